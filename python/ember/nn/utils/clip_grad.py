"""Gradient clipping, by the total norm or by value."""

import math
import warnings

import ember

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _grads(parameters):
    if isinstance(parameters, ember.Tensor):
        parameters = [parameters]
    return [p.grad for p in parameters if p.grad is not None]


def _foreach(name):
    """The fused form of an op over a list of tensors, where the core has it."""
    return getattr(ember, name, None)


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all tensors taken as one vector; RuntimeError with `error_if_nonfinite` when it is not finite.

    >>> ember.nn.utils.get_total_norm([ember.tensor([3.0]), ember.tensor([4.0])])
    tensor(5.)
    """
    tensors = [tensors] if isinstance(tensors, ember.Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return ember.tensor(0.0)
    fused = _foreach("_foreach_norm") if foreach is not False else None
    norms = fused(tensors, norm_type) if fused else [ember.linalg.vector_norm(t, norm_type) for t in tensors]
    first = tensors[0].device
    total = ember.linalg.vector_norm(ember.stack([norm.to(first) for norm in norms]), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite norm "
            "anyway, set `error_if_nonfinite=False`"
        )
    return total


@ember.no_grad()
def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scales the gradients by max_norm / total_norm where that is below one, in place."""
    grads = _grads(parameters)
    if not grads:
        return
    scale = ember.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    fused = _foreach("_foreach_mul_") if foreach is not False else None
    if fused:
        fused(grads, scale)
    else:
        for grad in grads:
            grad.mul_(scale.to(grad.device))


@ember.no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales all gradients together so that their norm is at most `max_norm`; returns the norm before.

    >>> p = ember.nn.Parameter(ember.ones(2)); p.grad = ember.tensor([3.0, 4.0])
    >>> ember.nn.utils.clip_grad_norm_([p], 1.0)
    tensor(5.)
    """
    if isinstance(parameters, ember.Tensor):
        parameters = [parameters]
    else:
        is_generator = hasattr(parameters, "__next__")
        parameters = list(parameters)
        if is_generator and not parameters:
            warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    total_norm = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total_norm, foreach)
    return total_norm


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@ember.no_grad()
def clip_grad_value_(parameters, clip_value, foreach=None):
    """Keeps every gradient within [-clip_value, clip_value], in place.

    >>> p = ember.nn.Parameter(ember.ones(2)); p.grad = ember.tensor([3.0, -4.0])
    >>> ember.nn.utils.clip_grad_value_([p], 1.0); p.grad
    tensor([ 1., -1.])
    """
    clip_value = float(clip_value)
    for grad in _grads(parameters):
        grad.clamp_(min=-clip_value, max=clip_value)
