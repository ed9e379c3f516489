# Stochastic gradient descent. The arithmetic is one call into C++ a group; `_with_ops` is the same formula in ordinary
# ops, for steps that are themselves differentiated.
"""Stochastic gradient descent, optionally with momentum."""

import ember

from .optimizer import (
    Optimizer,
    ParamsT,
    _check_fused,
    _check_lr,
    _differentiable_params,
    _run_closure,
    _use_grad_for_differentiable,
)

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent: `p -= lr * g`, with momentum `b = momentum * b + (1 - dampening) * g; p -= lr * b`.

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts of groups.
        lr: learning rate, a number or a tensor of one element.
        momentum, dampening: the first step sets `b = g`, undamped.
        weight_decay: adds `weight_decay * p` to the gradient.
        nesterov: steps along `g + momentum * b`; needs momentum and no dampening.
        maximize: ascends.
        foreach, fused: accepted; every step is one fused call.
        differentiable: records the step for autograd.

    Raises:
        ValueError: an option that is negative or not finite.

    >>> import ember
    >>> w = ember.nn.Parameter(ember.tensor([1.0]))
    >>> optimizer = ember.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    >>> w
    Parameter containing:
    tensor([0.7100], requires_grad=True)

    Source: I. Sutskever et al., On the importance of initialization and momentum in deep learning (ICML 2013).
    """

    _GROUP_DEFAULTS = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr=1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        _check_lr(lr)
        if not momentum >= 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        _check_fused(fused, foreach, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Updates the parameters once and returns the loss of `closure`, if there is one."""
        loss = _run_closure(closure)
        for group in self.param_groups:
            params, grads = self._gather(group)
            if not params:
                continue
            if group["differentiable"]:
                self._with_ops(group, params, grads)
            elif group["momentum"] == 0:
                self._fused(group, params, grads, [], False)
            else:
                self._with_momentum(group, params, grads)
        return loss

    def _with_momentum(self, group, params, grads):
        states = [self.state[p] for p in params]
        buffers = [s.get("momentum_buffer") for s in states]
        new = [i for i, b in enumerate(buffers) if b is None]
        if new:  # their first step: the buffer becomes the gradient
            for i in new:
                states[i]["momentum_buffer"] = buffers[i] = ember.empty_like(params[i]).detach()
            first = [[x[i] for i in new] for x in (params, grads, buffers)]
            self._fused(group, *first, True)
            skip = set(new)
            rest = [i for i in range(len(params)) if i not in skip]
            params, grads, buffers = ([x[i] for i in rest] for x in (params, grads, buffers))
        if params:
            self._fused(group, params, grads, buffers, False)

    @staticmethod
    def _fused(group, params, grads, buffers, first):
        ember._C.ops._sgd_step(
            params,
            grads,
            buffers,
            lr=float(group["lr"]),
            momentum=float(group["momentum"]),
            dampening=float(group["dampening"]),
            weight_decay=float(group["weight_decay"]),
            nesterov=bool(group["nesterov"]),
            maximize=bool(group["maximize"]),
            first=first,
        )

    def _with_ops(self, group, params, grads):
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        for p, g in zip(_differentiable_params(params), grads):
            g = -g if group["maximize"] else g
            if decay != 0:
                g = g + p.clone() * decay
            if momentum != 0:
                state = self.state[p]
                old = state.get("momentum_buffer")
                b = g.clone() if old is None else old * momentum + g * (1 - group["dampening"])
                state["momentum_buffer"] = b
                g = g + b * momentum if group["nesterov"] else b
            p.sub_(g * lr)
