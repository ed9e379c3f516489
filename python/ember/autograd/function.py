# autograd.Function: forward and backward written in Python. The call, the node and the context are C++
# (src/python/function_node.cc); each Function class gets a context class of its own, whose name is the node's.
"""Functions with a backward of their own."""

import functools

from ember import _C
from ember._C import Tensor

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`."""

    def save_for_backward(self, *tensors):
        """Keeps tensors (or None) for backward, which reads them as `ctx.saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keeps tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args):
        """Names the inputs that forward overwrote; they must be returned."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args):
        """Names outputs that have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value):
        """False: gradients of unused outputs come as None instead of zeros."""
        self.materialize_grads = value


class BackwardCFunction(_C._FunctionBase, FunctionCtx):
    """The base of the context classes."""


class _FunctionMeta(type):
    def __init__(cls, name, bases, attributes):
        cls._context = type(
            name + "Backward", (BackwardCFunction,), {"_forward_cls": cls, "__module__": cls.__module__}
        )
        super().__init__(name, bases, attributes)


class Function(metaclass=_FunctionMeta):
    """A function of tensors with its own derivative: subclass it, and call `apply`.

    `forward(ctx, *args)` computes (or `forward(*args)` with `setup_context(ctx, inputs, output)`), under no_grad;
    `backward(ctx, *grads)` returns one gradient (or None) for each argument of forward.

    >>> class Double(ember.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         return 2 * grad
    >>> x = ember.ones(1, requires_grad=True); Double.apply(x).backward(); x.grad
    tensor([2.])
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        raise RuntimeError(f"{type(self)} should not be instantiated. Methods on autograd functions are all static.")

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. "
            "Please use new-style autograd function with static forward method."
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the result; to be written by the subclass."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Fills `ctx` after a forward that takes no context."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """One gradient for each argument of forward; to be written by the subclass."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @classmethod
    def _backward(cls, ctx, *grads):
        """Calls backward or vjp, whichever the subclass wrote."""
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise RuntimeError("Implementing both 'backward' and 'vjp' for a custom Function is not allowed.")
        return (cls.vjp if cls.vjp is not Function.vjp else cls.backward)(ctx, *grads)

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs forward on the arguments and records backward for the results."""
        if kwargs:
            args = _bind_defaults(cls, args, kwargs)
        separate = cls.setup_context is not Function.setup_context
        return _C._apply_function(cls, cls._context, separate, args)


def _bind_defaults(cls, args, kwargs):
    import inspect

    signature = inspect.signature(cls.forward)
    separate = cls.setup_context is not Function.setup_context
    bound = signature.bind(*args, **kwargs) if separate else signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    return bound.args if separate else bound.args[1:]


class InplaceFunction(Function):
    """The old base of functions that work in place."""


def once_differentiable(fn):
    """Marks a backward that cannot be differentiated again: doing so raises RuntimeError."""

    @functools.wraps(fn)
    def wrapper(ctx, *grads):
        recording = _C.is_grad_enabled()
        with _C.no_grad():
            outputs = fn(ctx, *grads)
        if not recording or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return outputs
        single = not isinstance(outputs, tuple)
        marked = _Refuse.apply(*((outputs,) if single else outputs), *grads)
        marked = marked[: 1 if single else len(outputs)]
        return marked[0] if single else marked

    return wrapper


class _Refuse(Function):
    """The identity, whose backward says that the function was marked @once_differentiable."""

    @staticmethod
    def forward(ctx, *values):
        return tuple(v.detach().clone() if isinstance(v, Tensor) else v for v in values)

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


class NestedIOFunction(Function):
    """The old base of functions over nested structures; write a Function over flat tensors instead."""
