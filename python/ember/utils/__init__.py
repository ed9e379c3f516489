# Helpers that stand beside the tensor library: data loading, checkpointing, trees, hooks. Opened when touched, so that
# `import ember` stays light.
"""Utilities; `ember.utils.data` loads data."""

import importlib

__all__ = ["checkpoint", "data", "hooks"]

_SUBMODULES = ("_pytree", "checkpoint", "data", "hooks")


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"ember.utils.{name}")
    raise AttributeError(f"module 'ember.utils' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_SUBMODULES})
