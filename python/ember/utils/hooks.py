# Handles that take a registered hook away again, and the taps that run a module's backward hooks.
#
# Every registry of hooks in the package is an ordered dict from a number to a callable; a handle remembers the dict
# weakly and its own number, so a handle outlives neither the dict nor keeps it alive. A tap is an identity function of
# autograd placed before or after a module: what it does is done when a gradient passes.
"""Handles for hooks, and the backward hooks of modules."""

import itertools
import warnings
import weakref
from collections import OrderedDict

import ember

__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


class RemovableHandle:
    """A handle on one hook; `remove()` takes the hook away, as does leaving a `with` block.

    `extra_dict` names further dicts (or a list of them) that hold entries under the same `id`.

    >>> from collections import OrderedDict
    >>> hooks = OrderedDict()
    >>> handle = RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> len(hooks)
    0
    """

    next_id: int = 0
    _ids = itertools.count()

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(RemovableHandle._ids)  # count() is atomic under every build of CPython
        RemovableHandle.next_id = self.id + 1
        extra = () if extra_dict is None else (extra_dict,) if isinstance(extra_dict, dict) else tuple(extra_dict)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra)

    def remove(self) -> None:
        """Takes the hook away; a second call does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return (self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref))

    def __setstate__(self, state):
        # A dict that did not survive the trip is stood in for by an empty one nobody else holds.
        hooks, self.id, *extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if d is None else d) for d in (extra[0] if extra else ()))
        if self.id >= RemovableHandle.next_id:
            RemovableHandle.next_id = self.id + 1
            RemovableHandle._ids = itertools.count(self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def unserializable_hook(f):
    """Marks a hook so that a tensor which carries it warns when it is pickled."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor):
    """Raises for a tensor with hooks that are marked as not picklable; warns about those that are merely dropped."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized. If this is expected, you can "
                "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )


_tap_class = None


def _tap(on_backward, tensors, materialize):
    """`tensors` through an identity whose backward is `on_backward(grads) -> grads`."""
    global _tap_class
    if _tap_class is None:  # made on first use, so that importing nn does not open autograd

        class ModuleTap(ember.autograd.Function):
            @staticmethod
            def forward(ctx, on_backward, materialize, *tensors):
                ctx.on_backward = on_backward
                ctx.set_materialize_grads(materialize)
                return tuple(t.view_as(t) for t in tensors)

            @staticmethod
            def backward(ctx, *grads):
                return (None, None, *ctx.on_backward(grads))

        _tap_class = ModuleTap
    return _tap_class.apply(on_backward, materialize, *tensors)


class BackwardHook:
    """Runs one call's full backward hooks: an output tap catches grad_output, an input tap asks the hooks.

    `args = hook.setup_input_hook(args)`, the module's forward, `result = hook.setup_output_hook(result)`.
    """

    def __init__(self, module, user_hooks, user_pre_hooks):
        self.module, self.user_hooks, self.user_pre_hooks = module, user_hooks, user_pre_hooks
        self.grad_outputs = None
        self.n_outputs = self.n_inputs = -1
        self.input_tensors_index = self.output_tensors_index = None

    def setup_input_hook(self, args):
        """`args` (a tuple) with its tensors tapped."""
        args, self.input_tensors_index = self._apply(args, self._input_grads, True)
        self.n_inputs = len(args)
        return args

    def setup_output_hook(self, args):
        """The module's result (a tensor or a tuple of some) with its tensors tapped."""
        is_tuple = isinstance(args, tuple)
        args, self.output_tensors_index = self._apply(args if is_tuple else (args,), self._output_grads, False)
        self.n_outputs = len(args)
        return args if is_tuple else args[0]

    def _apply(self, args, on_backward, materialize):
        index = [i for i, arg in enumerate(args) if isinstance(arg, ember.Tensor)]
        if not (ember.is_grad_enabled() and any(args[i].requires_grad for i in index)):
            return args, None
        wants = [args[i].requires_grad for i in index]
        tapped = _tap(
            lambda grads: [g if want else None for g, want in zip(on_backward(grads), wants)],
            [args[i] for i in index],
            materialize,
        )
        args = list(args)
        for i, want, tensor in zip(index, wants, tapped):
            args[i] = tensor if want else args[i]
        return tuple(args), index

    @staticmethod
    def _unpack(index, count, values):
        full = [None] * count
        for i, value in zip(index, values):
            full[i] = value
        return tuple(full)

    def _replace(self, old, new, what, hook_kind):
        new = new if isinstance(new, tuple) else (new,)
        if len(new) != len(old):
            raise RuntimeError(
                f"{hook_kind} returned an invalid number of {what}, got {len(new)}, but expected {len(old)}"
            )
        return new

    def _output_grads(self, grads):
        full = self._unpack(self.output_tensors_index, self.n_outputs, grads)
        for hook in self.user_pre_hooks:
            new = hook(self.module, full)
            if new is not None:
                full = self._replace(full, new, "grad_output", "Backward pre hook")
        self.grad_outputs = full
        if self.input_tensors_index is None:
            # No input wants a gradient, so no input tap will run: the hooks see None for every input.
            for hook in self.user_hooks:
                new = hook(self.module, (None,) * self.n_inputs, self.grad_outputs)
                if new is not None and not (isinstance(new, tuple) and all(g is None for g in new)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always "
                        "return None or None for all gradients."
                    )
            self.grad_outputs = None
        return [full[i] for i in self.output_tensors_index]

    def _input_grads(self, grads):
        if self.grad_outputs is None:
            raise RuntimeError(
                "Module backward hook for grad_input is called before the grad_output one. This "
                "happens because the gradient in your nn.Module flows to the Module's input without "
                "passing through the Module's output. Make sure that the output depends on the input "
                "and that the loss is computed based on the output."
            )
        full = self._unpack(self.input_tensors_index, self.n_inputs, grads)
        for hook in self.user_hooks:
            new = hook(self.module, full, self.grad_outputs)
            if new is not None:
                full = self._replace(full, new, "grad_input", "Backward hook")
        self.grad_outputs = None
        return [full[i] for i in self.input_tensors_index]
