# Adagrad. The arithmetic is one call into C++ a group; `_with_ops` is the same formula in ordinary ops, for steps that
# are themselves differentiated. Unlike the others it makes its state at once, as PyTorch does.
"""Adagrad: steps divided by the root of the sum of all squared gradients."""

import ember

from .optimizer import (
    Optimizer,
    ParamsT,
    _check_fused,
    _check_lr,
    _differentiable_params,
    _get_scalar_dtype,
    _run_closure,
    _use_grad_for_differentiable,
)

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad: `p -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)`, `s` being the sum of `g * g` so far.

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts of groups.
        lr: learning rate, a number or a tensor of one element.
        lr_decay: how fast the learning rate falls with the number of steps.
        weight_decay: adds `weight_decay * p` to the gradient.
        initial_accumulator_value: where `s` starts.
        eps: added to the denominator.
        maximize: ascends.
        foreach, fused: accepted; every step is one fused call.
        differentiable: records the step for autograd.

    Raises:
        ValueError: an option that is negative or not finite.

    >>> import ember
    >>> w = ember.nn.Parameter(ember.tensor([1.0]))
    >>> optimizer = ember.optim.Adagrad([w], lr=0.1)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w
    Parameter containing:
    tensor([0.9000], requires_grad=True)

    Source: J. Duchi et al., Adaptive Subgradient Methods for Online Learning and Stochastic Optimization (JMLR 2011).
    """

    _GROUP_DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr=1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        _check_lr(lr)
        checked = {
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "epsilon": eps,
        }
        for name, value in checked.items():
            if not value >= 0.0:
                raise ValueError(f"Invalid {name} value: {value}")
        _check_fused(fused, foreach, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self._init_state(group, p, self.state[p])

    def _init_state(self, group, p, state):
        start = self.defaults["initial_accumulator_value"]
        state["step"] = ember.tensor(0.0, dtype=_get_scalar_dtype(group["fused"]))
        state["sum"] = ember.full_like(p, complex(start, start) if p.is_complex() else start).detach()

    def share_memory(self) -> None:
        """Moves the sums to shared memory, for training from several processes."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Updates the parameters once and returns the loss of `closure`, if there is one."""
        loss = _run_closure(closure)
        for group in self.param_groups:
            params, grads, steps, sums = self._gather(group, "step", "sum")
            if not params:
                continue
            if group["differentiable"]:
                self._with_ops(group, params, grads)
                continue
            ember._C.ops._adagrad_step(
                params,
                grads,
                sums,
                steps,
                lr=float(group["lr"]),
                lr_decay=float(group["lr_decay"]),
                weight_decay=float(group["weight_decay"]),
                eps=float(group["eps"]),
                maximize=bool(group["maximize"]),
            )
        return loss

    def _with_ops(self, group, params, grads):
        decay = group["weight_decay"]
        for p, g in zip(_differentiable_params(params), grads):
            state = self.state[p]
            state["step"] += 1
            lr = group["lr"] / (1 + (state["step"].item() - 1) * group["lr_decay"])
            g = -g if group["maximize"] else g
            if decay != 0:
                g = g + p.clone() * decay
            total = state["sum"] = state["sum"] + g * g
            p.sub_(g / (total.sqrt() + group["eps"]) * lr)
