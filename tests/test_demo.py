"""The demo's two trainings: over Ember and over PyTorch the same losses, and what `ember demo` promises of them.

Each script runs as a person runs it, in a process of its own; PyTorch over the very same file is the oracle.
"""

import re
import subprocess
import sys
from pathlib import Path

import ember
import numpy
import pytest
from ember import demo
from ember.__main__ import main
from PIL import Image

SCRIPTS = Path(demo.__file__).parent


def run(script, folder, *arguments):
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), "--out", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("script", demo.SCRIPTS)
def test_losses_are_pytorchs(script, tmp_path):
    losses = []
    for name, extra in (("ours", []), ("theirs", ["--torch"])):
        log = tmp_path / name
        run(script, tmp_path, "--steps", "50", "--seed", "3", "--log-losses", str(log), *extra)
        losses.append(numpy.loadtxt(log))
    assert len(losses[1]) == 50 and losses[1][-1] < losses[1][0]
    numpy.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-4)


def test_digits_are_read(tmp_path):
    said = run("digits", tmp_path)
    assert float(re.search(r"accuracy on held-out digits: ([\d.]+)%", said)[1]) >= 98.5
    assert "same predictions" in said
    width, height = Image.open(tmp_path / "digits.png").size
    assert width > 1000 and height > 800


@pytest.mark.parametrize("script", demo.SCRIPTS)
def test_pytorch_reads_the_checkpoint(script, tmp_path):
    torch = pytest.importorskip("torch")
    run(script, tmp_path, "--steps", "2")
    theirs = torch.load(tmp_path / f"{script}.pt", weights_only=True)
    ours = ember.load(tmp_path / f"{script}.pt")
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        numpy.testing.assert_array_equal(ours[name].numpy(), value.numpy(), err_msg=name)


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setattr(demo, "missing", lambda: ["scikit-learn", "tqdm"])
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert "needs scikit-learn, tqdm" in said and 'pip install "ember-dl[demo]"' in said


def test_info(capsys):
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert ember.__version__ in said and numpy.__version__ in said


def test_the_readme_program_runs(capsys):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    exec(program, {})
    exec(program.replace("ember", "torch"), {})
    ours, theirs = map(float, capsys.readouterr().out.split())
    assert 0 < theirs < 0.03 and ours == pytest.approx(theirs, rel=0.2)
