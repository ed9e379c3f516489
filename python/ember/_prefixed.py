"""For modules whose functions are the ops of one prefix: `linalg_vector_norm` is `linalg.vector_norm`."""

import sys

from ember import _C

PREFIXES = ("linalg_", "special_")  # of ops that the top level does not show


def prefixed_ops(module, prefix, shared=None):
    """`__getattr__` and `__dir__` of a module: names are ops under `prefix`; of `shared`, ops of the top level."""
    shared = shared or {}

    def find(name):
        op = None if name.startswith("__") else getattr(_C.ops, shared.get(name, prefix + name), None)
        if op is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        setattr(sys.modules[module], name, op)
        return op

    def names():
        own = (name[len(prefix) :] for name in vars(_C.ops) if name.startswith(prefix))
        return sorted({*vars(sys.modules[module]), *own, *shared})

    return find, names
