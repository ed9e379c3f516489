# Helpers that stand beside the tensor library: data loading, checkpointing, trees, hooks.
"""Utilities; `ember.utils.data` loads data."""

from ember.utils import hooks

__all__ = ["hooks"]
