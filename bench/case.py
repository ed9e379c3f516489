"""What a benchmark case is: a function of the module under test that sets the stage and returns the work to time.

`@case` registers it. The work is a statement with its names (for nanoseconds: nothing is called in between), or a
function, or a number that the case measured itself. Cases say their targets; they know nothing of rounds or printing.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

CASES: dict = {}
GROUP_TARGETS = {"gemm": 1.0, "conv": 1.0, "attention": 1.0}  # least geometric mean of the ratios


@dataclass(frozen=True)
class Case:
    group: str
    file: str
    make: Callable[[Any], Any]
    ratio: float | None  # at least so many times PyTorch's figure
    below: float | None  # our own figure is less than this
    above: float | None  # our own figure is a share, and at least this
    unit: str


def case(group, name, *, ratio=None, below=None, above=None, unit="s"):
    """Registers the function under `name`. Units: "s" and "B", less is better; "/s", more is better."""

    def register(make):
        assert name not in CASES, f"two cases are named {name}"
        CASES[name] = Case(group, make.__module__, make, ratio, below, above, unit)
        return make

    return register


def load_cases():
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        importlib.import_module(f"cases.{path.stem}")


@lru_cache(maxsize=12)
def values(module, *shape, seed=0):
    """Normal numbers of that shape, the same tensor each time."""
    module.manual_seed(seed)
    return module.randn(*shape)
