"""The C++ API as a user meets it: programs built with find_package(Ember), outside of Ember's own build.

PyTorch is the oracle: initial weights of one seed, results of one state, states after some steps. Files go both ways.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import ember
import numpy
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(ember.__file__).resolve().parent
CMAKE = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(CMAKE is None, reason="needs cmake")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def build(source, folder):
    """The folder with the built programs. An installed package is a prefix; a working tree links to its build's."""
    if (PACKAGE / "lib/cmake/Ember").is_dir():
        where = f"-DCMAKE_PREFIX_PATH={PACKAGE}"
    else:
        where = f"-DEmber_DIR={(PACKAGE / 'libember.so').resolve().parent}"
    run(CMAKE, "-S", source, "-B", folder, where)
    run(CMAKE, "--build", folder)
    return folder


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    return build(ROOT / "tests/cpp_api", tmp_path_factory.mktemp("consumer")) / "consumer"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return build(ROOT / "examples/cpp", tmp_path_factory.mktemp("digits")) / "digits"


def test_every_header_stands_alone(tmp_path):
    """An installed header needs nothing that is not installed: all in one program, in an order that hides nothing."""
    include = PACKAGE / "include"
    compiler = shutil.which("c++")
    if not include.is_dir() or not compiler:
        pytest.skip("not an installed package, or no compiler called c++")
    headers = sorted((str(path.relative_to(include)) for path in include.rglob("*.h")), reverse=True)
    (tmp_path / "all.cc").write_text("".join(f'#include "{header}"\n' for header in headers))
    run(compiler, "-std=c++20", "-fsyntax-only", "-I", include, tmp_path / "all.cc")


def make_net(torch):
    """tests/cpp_api/consumer.cc's network, over either framework."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.SiLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(16, 8, bias=False),
                nn.LayerNorm(8),
                nn.Dropout(0.5),
            )
            self.table = nn.Embedding(5, 8, padding_idx=2)
            self.gain = nn.Parameter(torch.ones(8))

        def forward(self, x):
            return (self.body(x) * self.gain) @ self.table(torch.arange(5)).T

    return Net()


def assert_same_states(ours, theirs, tolerance=0.0):
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert str(ours[name].dtype).split(".")[1] == str(value.dtype).split(".")[1]
        numpy.testing.assert_allclose(ours[name].numpy(), value.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


def test_functions_loaders_and_errors(consumer):
    assert run(consumer, "check") == "ok\n"


def test_weights_of_a_seed_are_pytorchs(consumer, tmp_path):
    run(consumer, "weights", 17, tmp_path / "cpp.pt")
    torch.manual_seed(17)
    expected = make_net(torch).state_dict()
    assert_same_states(torch.load(tmp_path / "cpp.pt"), expected, 1e-6)
    assert_same_states(ember.load(tmp_path / "cpp.pt"), expected, 1e-6)
    ember.manual_seed(17)
    assert_same_states(torch.load(tmp_path / "cpp.pt"), make_net(ember).state_dict())


@pytest.mark.parametrize("writer", [ember, torch], ids=["ember", "torch"])
def test_a_state_from_python_gives_the_same_results(consumer, tmp_path, writer):
    torch.manual_seed(3)
    net = make_net(torch)
    x = torch.randn(6, 1, 4, 4)
    net(x)  # running statistics of its own
    written = make_net(writer)
    written.load_state_dict({k: writer.from_numpy(v.numpy().copy()) for k, v in net.state_dict().items()})
    writer.save(written.state_dict(), tmp_path / "state.pt")
    writer.save({"x": writer.from_numpy(x.numpy())}, tmp_path / "x.pt")

    run(consumer, "forward", tmp_path / "state.pt", tmp_path / "x.pt", tmp_path / "y.pt")
    net.eval()
    expected = net(x).detach()
    torch.testing.assert_close(torch.load(tmp_path / "y.pt")["y"], expected, rtol=1e-5, atol=1e-5)

    run(consumer, "train", tmp_path / "state.pt", tmp_path / "x.pt", tmp_path / "trained.pt")
    for optimizer in (
        torch.optim.AdamW(net.parameters(), lr=1e-2),
        torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9),
    ):
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    assert_same_states(ember.load(tmp_path / "trained.pt"), net.state_dict(), 1e-4)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    path = tmp_path_factory.mktemp("scans") / "digits-data.pt"
    run(sys.executable, "-m", "ember", "demo", "--export-digits", path)
    return path


def test_digits_learn_as_in_python(digits, scans, tmp_path):
    said = run(digits, scans, tmp_path / "cpp.pt", 2, 5)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", said)]
    steps = [int(step) for step in re.findall(r"step +(\d+) of", said)]
    script, log = PACKAGE / "demo/digits.py", tmp_path / "losses"
    run(
        sys.executable,
        script,
        "--steps",
        steps[-1],
        "--seed",
        5,
        "--out",
        tmp_path,
        "--log-losses",
        tmp_path / "losses",
    )
    expected = numpy.loadtxt(log)
    numpy.testing.assert_allclose(losses, expected[[step - 1 for step in steps]], rtol=0, atol=1e-4)
    assert_same_states(ember.load(tmp_path / "cpp.pt"), ember.load(tmp_path / "digits.pt"), 1e-3)


def test_digits_are_read(digits, scans, tmp_path):
    said = run(digits, scans, tmp_path / "cpp.pt", 12)
    accuracy = float(re.search(r"accuracy on held-out digits: ([\d.]+)%", said)[1])
    assert accuracy >= 98.5
    assert "read back: same accuracy" in said
    sys.path.insert(0, str(PACKAGE / "demo"))
    try:
        import digits as program
    finally:
        sys.path.pop(0)
    model = program.Digits()
    model.load_state_dict(ember.load(tmp_path / "cpp.pt"))
    images, labels = program.load_data()[1].tensors
    guess, _ = program.predict(model, images)
    assert round(100 * (guess == labels).float().mean().item(), 2) == accuracy
