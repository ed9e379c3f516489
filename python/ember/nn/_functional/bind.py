"""How a Python name gets its op: once, at import; a name without an op says so when it is used."""

import functools

from ember import _C


def op(name):
    """The op of that name from the C++ table, or a function that raises NotImplementedError."""
    found = getattr(_C.ops, name, None)
    if found is not None:
        return found

    def missing(*args, **kwargs):
        raise NotImplementedError(f"{name}: this build of Ember has no such op")

    missing.__name__ = name
    missing.__doc__ = f"`{name}` is not in this build's table of ops; a call raises NotImplementedError."
    return missing


def named(function):
    """For functions made of several ops: an error on its way out gets the function's name, which the user knows."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if len(error.args) == 1 and isinstance(error.args[0], str) and name not in error.args[0]:
                error.args = (f"{name}: {error.args[0]}",)
            raise

    return call


def with_inplace(name, doc):
    """`name(input, inplace=False)` over the ops `name` and `name_`."""
    plain, in_place = op(name), op(name + "_")

    def function(input, inplace=False):
        return in_place(input) if inplace else plain(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}, elementwise, any shape.\n\n    >>> F.{name}(ember.zeros(2)).shape\n    ember.Size([2])\n    "
    )
    return function
