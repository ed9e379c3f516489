"""One training step of each of the demo's networks: the very scripts, loaded over either framework."""

import importlib.util
import sys
from pathlib import Path

from case import case

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(m, name):
    """examples/<name>.py as a module over `m`; the script itself picks its framework from the command line."""
    spec = importlib.util.spec_from_file_location(f"{name}_over_{m.__name__}", EXAMPLES / f"{name}.py")
    script, arguments = importlib.util.module_from_spec(spec), sys.argv
    sys.argv = [name] + ["--torch"] * (m.__name__ == "torch")
    try:
        spec.loader.exec_module(script)
    finally:
        sys.argv = arguments
    return script


@case("training", "digits CNN, one step, batch 64", ratio=2.0)
def digits(m):
    script = load(m, "digits")
    m.manual_seed(0)
    data, _ = script.load_data()
    images, labels = (part[:64] for part in data.tensors)
    model = script.Digits()
    optimizer = m.optim.AdamW(model.parameters(), lr=1e-3)

    def step():
        loss = m.nn.functional.cross_entropy(model(script.bend(images)), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


@case("training", "character GPT, one step, 32 x 64 letters", ratio=1.2)
def chargpt(m):
    script = load(m, "chargpt")
    m.manual_seed(0)
    alphabet, data = script.load_text()
    model = script.GPT(len(alphabet))
    letters, following = script.windows(data, 32, model.context)
    optimizer = m.optim.AdamW(model.parameters(), lr=1e-3)

    def step():
        loss = m.nn.functional.cross_entropy(model(letters).flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        m.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


@case("training", "DataLoader, 10,000 rows of 784, batch 64")
def loader(m):
    data = m.utils.data.TensorDataset(m.zeros(10_000, 784))
    batches = m.utils.data.DataLoader(data, batch_size=64, shuffle=True)
    return lambda: sum(1 for _ in batches)
