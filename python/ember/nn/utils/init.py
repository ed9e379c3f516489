"""skip_init: a module without initial values."""

import inspect

import ember

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """The module with uninitialized parameters, without the time of filling them.

    >>> ember.nn.utils.skip_init(ember.nn.Linear, 2, 3).weight.shape
    ember.Size([3, 2])
    """
    if not issubclass(module_cls, ember.nn.Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    final = kwargs.pop("device", "cpu")
    kwargs["device"] = "meta"
    return module_cls(*args, **kwargs).to_empty(device=final)
