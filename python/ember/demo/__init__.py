"""The demo behind `ember demo`: two real trainings, each an ordinary PyTorch program, run one after the other.

digits.py and chargpt.py stand alone and are meant to be read, copied and changed; this file only checks that what they
need is there, runs each in a process of its own, and says where everything lies. It holds no training code.
"""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["SCRIPTS", "export_digits", "missing", "run"]

SCRIPTS = {
    "digits": "a convolutional network learns to read handwritten digits",
    "chargpt": "a small GPT learns to write, letter by letter",
}
_NEEDS = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}


def missing():
    """The PyPI names of what the demo needs and this Python lacks; empty when it can run."""
    return [name for module, name in _NEEDS.items() if importlib.util.find_spec(module) is None]


def run(out="ember-demo", seed=0, quick=False):
    """Runs both trainings and returns an exit status: 0 when both went through.

    Args:
        out: folder for checkpoints, pictures and the written page; made when it is not there.
        seed: seed of both trainings.
        quick: a few steps of each, to see that all works.
    """
    if absent := missing():
        print(f'ember demo needs {", ".join(absent)}: install with  pip install "ember-dl[demo]"', file=sys.stderr)
        return 1
    out, here = Path(out).resolve(), Path(__file__).parent
    start = time.perf_counter()
    for number, (name, story) in enumerate(SCRIPTS.items(), 1):
        print(f"\n[{number}/{len(SCRIPTS)}] {name}: {story}", flush=True)
        command = [sys.executable, str(here / f"{name}.py"), "--out", str(out), "--seed", str(seed)]
        status = subprocess.run(command + ["--quick"] * quick).returncode
        if status:
            print(f"ember demo: {name} stopped with status {status}", file=sys.stderr)
            return status
    print(f"\nBoth done in {time.perf_counter() - start:.0f} s. In {out}:")
    for file in sorted(out.iterdir()):
        print(f"  {file.name:12} {file.stat().st_size:>9,} bytes")
    print(
        f"""
What to try next:
  look at    {out / "digits.png"}
  read       {here / "digits.py"}  (and chargpt.py beside it: plain PyTorch programs)
  longer     python -m ember.demo.chargpt --steps 3000
  compare    python -m ember.demo.digits --torch   (the same program, the same losses, on PyTorch)
  your own   put `import ember as torch` in a program of yours"""
    )
    return 0


def export_digits(path):
    """Writes the digits as digits.py splits them, for programs in C++: train_x, train_y, test_x, test_y in one .pt.

    Returns an exit status.
    """
    import ember

    from . import digits

    (train_x, train_y), (test_x, test_y) = (part.tensors for part in digits.load_data())
    ember.save({"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}, path)
    return 0
