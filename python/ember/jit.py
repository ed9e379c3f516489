# TorchScript's names over plain Python: a function or module that is scripted runs as it is written, which gives the
# same results. Files of TorchScript are neither read nor written.
"""torch.jit: scripting returns what it is given."""

__all__ = ["export", "ignore", "interface", "is_scripting", "is_tracing", "script", "trace", "unused"]


def is_scripting():
    """False: nothing is compiled from source."""
    return False


def is_tracing():
    """False: nothing is traced."""
    return False


def script(obj, *args, **kwargs):
    """The function, class or module itself.

    >>> @ember.jit.script
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    """
    return obj


def trace(func, example_inputs=None, *args, **kwargs):
    """The function or module itself."""
    return func


script_if_tracing = export = interface = script


def _marker(fn=None, **kwargs):
    """A decorator that changes nothing, with or without arguments."""
    return fn if callable(fn) else lambda f: f


ignore = unused = _marker


def annotate(the_type, the_value):
    """The value."""
    return the_value


def freeze(mod, *args, **kwargs):
    """The module itself."""
    return mod


class ScriptModule:
    """What PyTorch calls a compiled module; nothing here is one."""


class ScriptFunction:
    """What PyTorch calls a compiled function; nothing here is one."""


def save(m, f, _extra_files=None):
    """RuntimeError: TorchScript files cannot be written; save the state dict."""
    raise RuntimeError("jit.save: TorchScript files are not supported, save the module's state_dict() instead")


def load(f, map_location=None, _extra_files=None):
    """RuntimeError: TorchScript files cannot be read."""
    raise RuntimeError("jit.load: TorchScript files are not supported, load a state_dict into a module instead")
