# RMSprop. The arithmetic is one call into C++ a group; `_with_ops` is the same formula in ordinary ops, for steps that
# are themselves differentiated.
"""RMSprop: steps divided by a running root mean square of the gradient."""

import ember

from .optimizer import (
    Optimizer,
    ParamsT,
    _check_lr,
    _differentiable_params,
    _get_scalar_dtype,
    _run_closure,
    _use_grad_for_differentiable,
)

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: `p -= lr * g / (sqrt(v) + eps)`, `v` being a running mean of `g * g`.

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts of groups.
        lr: learning rate, a number or a tensor of one element.
        alpha: the decay rate of the mean.
        eps: added to the denominator.
        weight_decay: adds `weight_decay * p` to the gradient.
        momentum: accumulates the scaled gradients and steps along the sum.
        centered: divides by an estimate of the variance instead of the mean square.
        maximize: ascends.
        foreach, capturable: accepted; every step is one fused call.
        differentiable: records the step for autograd.

    Raises:
        ValueError: an option that is negative or not finite.

    >>> import ember
    >>> w = ember.nn.Parameter(ember.tensor([1.0]))
    >>> optimizer = ember.optim.RMSprop([w], lr=0.01)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w
    Parameter containing:
    tensor([0.9000], requires_grad=True)

    Source: G. Hinton, Neural Networks for Machine Learning, lecture 6; A. Graves, Generating Sequences With Recurrent
    Neural Networks (arXiv:1308.0850) for the centered form.
    """

    _GROUP_DEFAULTS = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr=1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        _check_lr(lr)
        checked = {"epsilon": eps, "momentum": momentum, "weight_decay": weight_decay, "alpha": alpha}
        for name, value in checked.items():
            if not value >= 0.0:
                raise ValueError(f"Invalid {name} value: {value}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, group, p, state):
        if p.grad.is_sparse:
            raise RuntimeError("RMSprop does not support sparse gradients")
        state["step"] = ember.zeros((), dtype=_get_scalar_dtype())
        for name in self._buffers(group)[1:]:
            state[name] = ember.zeros_like(p).detach()

    @staticmethod
    def _buffers(group):
        names = ("step", "square_avg")
        if group["momentum"] > 0:
            names += ("momentum_buffer",)
        return (*names, "grad_avg") if group["centered"] else names

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Updates the parameters once and returns the loss of `closure`, if there is one."""
        loss = _run_closure(closure)
        for group in self.param_groups:
            names = self._buffers(group)
            params, grads, *buffers = self._gather(group, *names)
            if not params:
                continue
            if group["differentiable"]:
                self._with_ops(group, params, grads)
                continue
            lists = dict(zip(names, buffers))
            ember._C.ops._rmsprop_step(
                params,
                grads,
                lists["square_avg"],
                lists.get("grad_avg", []),
                lists.get("momentum_buffer", []),
                lists["step"],
                lr=float(group["lr"]),
                alpha=float(group["alpha"]),
                eps=float(group["eps"]),
                weight_decay=float(group["weight_decay"]),
                momentum=float(group["momentum"]),
                maximize=bool(group["maximize"]),
            )
        return loss

    def _with_ops(self, group, params, grads):
        lr, alpha, momentum, decay = group["lr"], group["alpha"], group["momentum"], group["weight_decay"]
        for p, g in zip(_differentiable_params(params), grads):
            state = self.state[p]
            state["step"] += 1
            g = -g if group["maximize"] else g
            if decay != 0:
                g = g + p.clone() * decay
            v = state["square_avg"] = state["square_avg"] * alpha + g * g * (1 - alpha)
            if group["centered"]:
                mean = state["grad_avg"] = state["grad_avg"] * alpha + g * (1 - alpha)
                v = v - mean * mean
            g = g / (v.sqrt() + group["eps"])
            if momentum > 0:
                g = state["momentum_buffer"] = state["momentum_buffer"] * momentum + g
            p.sub_(g * lr)
