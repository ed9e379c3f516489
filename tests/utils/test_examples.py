# The examples in docstrings of optimizers, schedulers and utilities run and print what they say.
"""Runs the examples of ember.optim, ember.utils and the op table's modules."""

import doctest
import importlib
import warnings

import ember
import pytest

MODULES = [
    *[f"ember.{name}" for name in ("_functions", "linalg", "special")],
    *[f"ember.optim.{name}" for name in ("optimizer", "sgd", "adam", "adamw", "rmsprop", "adagrad", "swa_utils")],
    "ember.optim.lr_scheduler",
    *[f"ember.utils.{name}" for name in ("_pytree", "checkpoint", "hooks")],
    *[f"ember.utils.data.{name}" for name in ("dataset", "sampler", "distributed", "dataloader")],
    *[f"ember.utils.data._utils.{name}" for name in ("collate", "worker")],
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(name)
        before = ember.get_default_dtype()  # which an example sets
        result = doctest.testmod(module, extraglobs={"ember": ember}, optionflags=doctest.NORMALIZE_WHITESPACE)
        ember.set_default_dtype(before)
    assert result.attempted > 0 and result.failed == 0
