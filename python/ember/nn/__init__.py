"""ember.nn: modules, losses, initialisers and the functions under them, with PyTorch's names."""

from . import functional, init, modules, parameter, utils
from .modules import *  # noqa: F403
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

# What few programs touch opens when touched: name -> where it is.
_LAZY = {
    "DataParallel": "parallel",
    "LinearCrossEntropyOptions": "modules.linear_cross_entropy_options",
    "attention": "",
    "common_types": "",
    "parallel": "",
}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    home = importlib.import_module(f"{__name__}.{_LAZY[name] or name}")
    return getattr(home, name) if _LAZY[name] else home


def factory_kwargs(kwargs):
    """The `device`, `dtype` and `memory_format` among a module's keyword arguments, old and new style.

    >>> ember.nn.factory_kwargs({"dtype": ember.float32})
    {'dtype': ember.float32}
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    unexpected = kwargs.keys() - (simple | {"factory_kwargs"})
    if unexpected:
        raise TypeError(f"unexpected kwargs {unexpected}")
    found = dict(kwargs.get("factory_kwargs", {}))
    for key in simple & kwargs.keys():
        if key in found:
            raise TypeError(f"{key} specified twice, in **kwargs and in factory_kwargs")
        found[key] = kwargs[key]
    return found


__all__ = [
    *modules.__all__,
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "factory_kwargs",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
]
