# Reverse-mode differentiation from Python: the two calls that walk a graph, and what stands around them.
"""Automatic differentiation.

>>> x = ember.tensor(3.0, requires_grad=True)
>>> ember.autograd.grad(x**2, x)
(tensor(6.),)
"""

import importlib as _importlib

from ember import _C
from ember._C import Tensor
from ember.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from ember.autograd.function import Function, NestedIOFunction, once_differentiable
from ember.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from ember.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "NestedIOFunction",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
    "variable",
]


def _as_tuple(value):
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _seed(output, gradient, batched):
    """The gradient to start from: what was given, checked, or 1 for a single element."""
    if gradient is None:
        if output.requires_grad and output.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return None
    if not isinstance(gradient, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    shape = gradient.shape[1:] if batched else gradient.shape
    if tuple(shape) != tuple(output.shape):
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has a shape of "
            f"{output.shape}."
        )
    if gradient.is_complex() != output.is_complex():
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[0] has a dtype of {gradient.dtype} and output[0] has a dtype of {output.dtype}."
        )
    return gradient


def _seeds(outputs, gradients, batched=False):
    gradients = _as_tuple(gradients) or (None,) * len(outputs)
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    return tuple(_seed(o, g, batched) for o, g in zip(outputs, gradients))


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Sums the gradients of `tensors` with respect to the leaves of their graph into the leaves' `.grad`.

    `grad_tensors` holds one gradient a tensor (None: 1 for a single element); `inputs` names the tensors to reach
    instead of all leaves; `retain_graph` keeps the graph for another walk, `create_graph` records this one.

    >>> x = ember.ones(2, requires_grad=True)
    >>> ember.autograd.backward([(2 * x).sum(), (3 * x).sum()]); x.grad
    tensor([5., 5.])
    """
    outputs = _as_tuple(tensors)
    if inputs is not None and len(_as_tuple(inputs)) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if grad_tensors is None:
        grad_tensors = grad_variables
    retain = create_graph if retain_graph is None else retain_graph
    _C._run_backward(outputs, _seeds(outputs, grad_tensors), retain, create_graph, _as_tuple(inputs), True, True)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` stays as it is.

    `allow_unused` lets inputs that the outputs do not depend on have None; `materialize_grads` gives them zeros;
    `is_grads_batched` takes each of `grad_outputs` with a batch in front and returns batched gradients.

    >>> x = ember.tensor([1.0, 2.0], requires_grad=True)
    >>> ember.autograd.grad((x**3).sum(), x)
    (tensor([ 3., 12.]),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    outputs, inputs = _as_tuple(outputs), _as_tuple(inputs)
    retain = create_graph if retain_graph is None else retain_graph
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    seeds = _seeds(outputs, grad_outputs, is_grads_batched)
    if is_grads_batched:
        found = _batched_grad(outputs, inputs, seeds, retain, create_graph, allow_unused)
    else:
        found = _C._run_backward(outputs, seeds, retain, create_graph, inputs, allow_unused, False)
    if materialize_grads:
        found = tuple(x.new_zeros(x.shape) if g is None else g for g, x in zip(found, inputs))
    return found


def _batched_grad(outputs, inputs, seeds, retain, create_graph, allow_unused):
    from ember import stack

    size = next(s.shape[0] for s in seeds if s is not None)
    rows = [
        _C._run_backward(
            outputs,
            tuple(None if s is None else s[i] for s in seeds),
            retain or i + 1 < size,
            create_graph,
            inputs,
            allow_unused,
            False,
        )
        for i in range(size)
    ]
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows))


class _VariableType(type):
    def __instancecheck__(cls, value):
        return isinstance(value, Tensor)


class Variable(metaclass=_VariableType):
    """The old name of a tensor with history: `Variable(x)` is `x`."""

    def __new__(cls, data, requires_grad=False, volatile=None):
        return data.detach().requires_grad_() if requires_grad else data


_SUBMODULES = (
    "anomaly_mode",
    "forward_ad",
    "function",
    "functional",
    "grad_mode",
    "graph",
    "profiler",
    "variable",
)


def __getattr__(name):
    if name in _SUBMODULES:
        return _importlib.import_module(f"ember.autograd.{name}")
    raise AttributeError(f"module 'ember.autograd' has no attribute '{name}'")
