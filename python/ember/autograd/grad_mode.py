# The modes are C types (src/python/grad_mode.cc); what is here is how they decorate.
"""Context managers and decorators that switch recording on and off."""

import functools
import inspect

from ember._C import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]


def _decorate_generator(mode, function):
    # The mode holds while the generator runs, not while it waits: the caller's mode comes back at each yield.
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        generator = function(*args, **kwargs)
        step, value = generator.send, None
        try:
            while True:
                try:
                    with mode.clone():
                        out = step(value)
                except StopIteration as end:
                    return end.value
                try:
                    value = yield out
                    step = generator.send
                except GeneratorExit:
                    with mode.clone():
                        generator.close()
                    raise
                except BaseException as error:
                    step, value = generator.throw, error
        finally:
            generator.close()

    return wrapped


def _decorate(mode, function):
    """`function` under `mode`; of a class, its constructor's work is done by PyTorch's rule: each call."""
    if inspect.isclass(function):
        function.__init__ = _decorate(mode, function.__init__)
        return function
    if inspect.isgeneratorfunction(function):
        return _decorate_generator(mode, function)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with mode.clone():
            return function(*args, **kwargs)

    return wrapped


class set_multithreading_enabled:
    """Accepted for PyTorch's sake: backward runs on the caller's thread."""

    def __init__(self, mode):
        self.mode = mode

    def __enter__(self):
        return None

    def __exit__(self, *args):
        return None
