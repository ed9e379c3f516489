"""Hooks of modules: where they are registered, and the call that runs them.

A module without hooks never comes here: ModuleBase's C call goes straight to `forward`. The dicts below and the ones of
each instance keep PyTorch's names, because libraries read them.
"""

import functools
import warnings
import weakref
from collections import OrderedDict

import ember
from ember.utils.hooks import BackwardHook, RemovableHandle

_global_parameter_registration_hooks = OrderedDict()
_global_module_registration_hooks = OrderedDict()
_global_buffer_registration_hooks = OrderedDict()
_global_backward_pre_hooks = OrderedDict()
_global_backward_hooks = OrderedDict()
_global_is_full_backward_hook = None
_global_forward_pre_hooks = OrderedDict()
_global_forward_hooks = OrderedDict()
_global_forward_hooks_always_called = OrderedDict()
_global_forward_hooks_with_kwargs = OrderedDict()


def _add(hooks, hook, extra=(), prepend=False):
    """Puts `hook` into `hooks` (and its id into each of `extra`); returns the handle that takes it out again."""
    handle = RemovableHandle(hooks, extra_dict=extra or None)
    hooks[handle.id] = hook
    for flags in extra:
        flags[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook):
    """Calls `hook(module, name, buffer)` for each buffer registered anywhere; what it returns, if anything, is used."""
    return _add(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Calls `hook(module, name, submodule)` for each submodule registered anywhere."""
    return _add(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook):
    """Calls `hook(module, name, param)` for each parameter registered anywhere."""
    return _add(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook):
    """Calls `hook(module, args)` before every module's forward; it may return new args."""
    return _add(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Calls `hook(module, args, output)` after every module's forward; it may return a new output."""
    extra = [_global_forward_hooks_with_kwargs] * with_kwargs + [_global_forward_hooks_always_called] * always_call
    return _add(_global_forward_hooks, hook, extra)


def _set_global_backward_kind(full):
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    _global_is_full_backward_hook = full


def register_module_backward_hook(hook):
    """The older kind of `register_module_full_backward_hook`, which sees the gradients of the last op alone."""
    _set_global_backward_kind(False)
    return _add(_global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook):
    """Calls `hook(module, grad_output)` before every module's backward."""
    return _add(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """Calls `hook(module, grad_input, grad_output)` when every module's input gradients are there."""
    _set_global_backward_kind(True)
    return _add(_global_backward_hooks, hook)


class _WrappedHook:
    """A hook that is handed its module first; the module is held weakly, since it holds the hook."""

    def __init__(self, hook, module=None):
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if self.with_module:
            self.module = weakref.ref(module)

    def __call__(self, *args, **kwargs):
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self):
        return {
            "hook": self.hook,
            "with_module": self.with_module,
            **({"module": self.module()} if self.with_module else {}),
        }

    def __setstate__(self, state):
        self.hook, self.with_module = state["hook"], state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


class HookMixin:
    """The part of Module that registers hooks and runs them."""

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Calls `hook(module, args)` (and `kwargs`, `with_kwargs=True`) before forward; it may return new arguments.

        >>> handle = ember.nn.ReLU().register_forward_pre_hook(lambda module, args: (args[0] + 1,))
        """
        return _add(self._forward_pre_hooks, hook, [self._forward_pre_hooks_with_kwargs] * with_kwargs, prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Calls `hook(module, args, output)` after forward; it may return a new output.

        `with_kwargs` passes kwargs before output; `always_call` runs the hook even if forward raised.

        >>> handle = ember.nn.ReLU().register_forward_hook(lambda module, args, output: output * 2)
        """
        extra = [self._forward_hooks_with_kwargs] * with_kwargs + [self._forward_hooks_always_called] * always_call
        return _add(self._forward_hooks, hook, extra, prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Calls `hook(module, grad_output)` before the module's backward; it may return a new grad_output."""
        return _add(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Calls `hook(module, grad_input, grad_output)` once both are there; it may return a new grad_input."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = True
        return _add(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook):
        """The older kind of `register_full_backward_hook`, which sees the gradients of the module's last op alone."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = False
        return _add(self._backward_hooks, hook)

    def _get_backward_hooks(self):
        """(full hooks, older hooks) that run for this module, global ones first."""
        full, older = [], []
        if _global_is_full_backward_hook is not None:
            (full if _global_is_full_backward_hook else older).extend(_global_backward_hooks.values())
        if self._is_full_backward_hook is not None:
            (full if self._is_full_backward_hook else older).extend(self._backward_hooks.values())
        return full, older

    def _get_backward_pre_hooks(self):
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]

    def _run_forward_pre_hooks(self, args, kwargs):
        for id, hook in [*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()]:
            if id in self._forward_pre_hooks_with_kwargs:
                new = hook(self, args, kwargs)
                if new is not None:
                    if not (isinstance(new, tuple) and len(new) == 2):
                        raise RuntimeError(
                            f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {new}."
                        )
                    args, kwargs = new
            else:
                new = hook(self, args)
                if new is not None:
                    args = new if isinstance(new, tuple) else (new,)
        return args, kwargs

    def _forward_hook(self, id, hook, args, kwargs, result):
        if id in self._forward_hooks_with_kwargs or id in _global_forward_hooks_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    def _run_always_called_hooks(self, called, args, kwargs, result):
        """After an error: those `always_call` hooks that did not run yet; what they raise becomes a warning."""
        for hooks, flags in (
            (_global_forward_hooks, _global_forward_hooks_always_called),
            (self._forward_hooks, self._forward_hooks_always_called),
        ):
            for id, hook in list(hooks.items()):
                if id in flags and id not in called:
                    try:
                        new = self._forward_hook(id, hook, args, kwargs, result)
                        result = result if new is None else new
                    except Exception as error:
                        warnings.warn(
                            "module forward hook with ``always_call=True`` raised an exception that was "
                            f"silenced as another error was raised in forward: {error}",
                            stacklevel=2,
                        )

    def _call_impl(self, *args, **kwargs):
        """The call with hooks: pre-hooks, forward, hooks, and the taps of backward hooks around them."""
        if not (
            self._backward_hooks
            or self._backward_pre_hooks
            or self._forward_hooks
            or self._forward_pre_hooks
            or _global_backward_pre_hooks
            or _global_backward_hooks
            or _global_forward_hooks
            or _global_forward_pre_hooks
        ):
            return self.forward(*args, **kwargs)
        result, called = None, set()
        try:
            full, older = self._get_backward_hooks()
            pre = self._get_backward_pre_hooks()
            args, kwargs = self._run_forward_pre_hooks(args, kwargs)
            taps = BackwardHook(self, full, pre) if full or pre else None
            if taps:
                args = taps.setup_input_hook(args)
            result = self.forward(*args, **kwargs)
            for id, hook in [*_global_forward_hooks.items(), *self._forward_hooks.items()]:
                called.add(id)
                new = self._forward_hook(id, hook, args, kwargs, result)
                result = result if new is None else new
            if taps:
                if not isinstance(result, (ember.Tensor, tuple)):
                    warnings.warn(
                        "For backward hooks to be called, module output should be a Tensor or a tuple of "
                        f"Tensors but received {type(result)}",
                        stacklevel=2,
                    )
                result = taps.setup_output_hook(result)
            if older:
                self._attach_older_backward_hooks(older, args, result)
            return result
        except Exception:
            self._run_always_called_hooks(called, args, kwargs, result)
            raise

    def _attach_older_backward_hooks(self, hooks, args, result):
        value = result
        while not isinstance(value, ember.Tensor):
            if isinstance(value, dict):
                value = next(v for v in value.values() if isinstance(v, ember.Tensor))
            else:
                value = value[0]
        if value.grad_fn is not None:
            for hook in hooks:
                value.grad_fn.register_hook(_WrappedHook(hook, self))
            warnings.warn(
                "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
                "deprecated and will be removed in future versions. This hook will be missing some "
                "grad_input. Please use register_full_backward_hook to get the documented behavior.",
                FutureWarning,
                stacklevel=2,
            )
