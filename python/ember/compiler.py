# Compilation's names. This build runs every function as it is written; `compile` changes neither results nor speed.
"""torch.compiler: questions about compilation, answered no."""

__all__ = [
    "allow_in_graph",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "reset",
]


def compile(model=None, **kwargs):
    """The function or module itself; as a decorator with options, one that returns what it is given.

    >>> ember.compile(len) is len
    True
    """
    return (lambda m: m) if model is None else model


def disable(fn=None, recursive=True, **kwargs):
    """The function itself, or a decorator that returns what it is given."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn):
    """The function itself."""
    return fn


def is_compiling():
    """False."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset():
    """Nothing is kept, so nothing is forgotten."""


def cudagraph_mark_step_begin():
    """Nothing to mark without a GPU."""
