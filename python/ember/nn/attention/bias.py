"""Causal masks for queries and keys of different lengths: aligned at the first or at the last of both."""

from enum import IntEnum, auto

import ember

__all__ = ["CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Where the diagonal of a causal mask that is not square begins."""

    UPPER_LEFT = auto()
    LOWER_RIGHT = auto()


def _causal(rows, cols, diagonal):
    return ember.tril(ember.ones(rows, cols, dtype=ember.bool), diagonal=diagonal)


def causal_upper_left(*size):
    """[L, S]: query i sees keys up to i.

    >>> causal_upper_left(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])
    """
    if len(size) != 2:
        raise RuntimeError("causal_upper_left only supports 2D tensors")
    return _causal(*size, 0)


def causal_lower_right(*size):
    """[L, S]: the last query sees all keys, the one before all but one.

    >>> causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    if len(size) != 2:
        raise RuntimeError("causal_lower_right only supports 2D tensors")
    return _causal(*size, size[1] - size[0])
