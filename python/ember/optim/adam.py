# Adam. The arithmetic is one call into C++ a group; `_with_ops` is the same formula in ordinary ops, for steps that
# are themselves differentiated.
"""Adam: steps scaled by running means of the gradient and of its square."""

import ember

from .optimizer import (
    Optimizer,
    ParamsT,
    _check_fused,
    _check_lr,
    _differentiable_params,
    _get_scalar_dtype,
    _run_closure,
    _to_scalar,
    _use_grad_for_differentiable,
)

__all__ = ["Adam"]

_BUFFERS = ("step", "exp_avg", "exp_avg_sq")


class Adam(Optimizer):
    """Adam: `p -= lr * m / (sqrt(v) + eps)`, `m` and `v` being bias-corrected running means of `g` and `g * g`.

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts of groups.
        lr: learning rate, a number or a tensor of one element.
        betas: the decay rates of the two means, both numbers or both tensors.
        eps: added to the denominator.
        weight_decay: adds `weight_decay * p` to the gradient; with `decoupled_weight_decay` it shrinks `p` instead.
        amsgrad: divides by the largest `v` so far.
        maximize: ascends.
        foreach, capturable, fused: accepted; every step is one fused call.
        differentiable: records the step for autograd.

    Raises:
        ValueError: an option that is negative, not finite, or a beta outside [0, 1).

    >>> import ember
    >>> w = ember.nn.Parameter(ember.tensor([1.0, -2.0]))
    >>> optimizer = ember.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    Parameter containing:
    tensor([ 0.5000, -1.5000], requires_grad=True)

    Source: D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization (arXiv:1412.6980); S. Reddi et al., On the
    Convergence of Adam and Beyond (ICLR 2018) for amsgrad.
    """

    _GROUP_DEFAULTS = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ):
        if isinstance(lr, ember.Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        _check_lr(lr)
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i in range(2):
            if not 0.0 <= betas[i] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        tensors = [isinstance(beta, ember.Tensor) for beta in betas]
        if not all(tensors) and not (isinstance(betas[0], float) and isinstance(betas[1], float)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i in range(2):
            if tensors[i] and foreach and not capturable:
                raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
            if tensors[i] and betas[i].numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
        _check_fused(fused, foreach, differentiable)
        defaults = {
            "lr": lr,
            "betas": tuple(map(_to_scalar, betas)),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _init_state(self, group, p, state):
        if p.grad.is_sparse:
            raise RuntimeError("Adam does not support sparse gradients, please consider SparseAdam instead")
        state["step"] = ember.tensor(0.0, dtype=_get_scalar_dtype(group["fused"]))
        for name in ("exp_avg", "exp_avg_sq") + ("max_exp_avg_sq",) * bool(group["amsgrad"]):
            state[name] = ember.zeros_like(p).detach()

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Updates the parameters once and returns the loss of `closure`, if there is one."""
        loss = _run_closure(closure)
        for group in self.param_groups:
            amsgrad = group["amsgrad"]
            names = (*_BUFFERS, "max_exp_avg_sq") if amsgrad else _BUFFERS
            params, grads, steps, exp_avgs, exp_avg_sqs, *max_exp_avg_sqs = self._gather(group, *names)
            if not params:
                continue
            if group["differentiable"]:
                self._with_ops(group, params, grads)
                continue
            beta1, beta2 = group["betas"]
            ember._C.ops._adam_step(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                max_exp_avg_sqs[0] if amsgrad else [],
                steps,
                lr=float(group["lr"]),
                beta1=float(beta1),
                beta2=float(beta2),
                eps=float(group["eps"]),
                weight_decay=float(group["weight_decay"]),
                decoupled=bool(group["decoupled_weight_decay"]),
                maximize=bool(group["maximize"]),
            )
        return loss

    def _with_ops(self, group, params, grads):
        lr, eps, decay = group["lr"], group["eps"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        for p, g in zip(_differentiable_params(params), grads):
            state = self.state[p]
            if state["step"].requires_grad:
                raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
            state["step"] += 1
            t = state["step"].item()
            g = -g if group["maximize"] else g
            if decay != 0 and group["decoupled_weight_decay"]:
                p.sub_(p.clone() * (lr * decay))
            elif decay != 0:
                g = g + p.clone() * decay
            m = state["exp_avg"] = state["exp_avg"] * beta1 + g * (1 - beta1)
            v = state["exp_avg_sq"] = state["exp_avg_sq"] * beta2 + g * g * (1 - beta2)
            if group["amsgrad"]:
                v = state["max_exp_avg_sq"] = ember.maximum(state["max_exp_avg_sq"], v)
            denominator = v.sqrt() / (1 - beta2**t) ** 0.5 + eps
            p.sub_(m / denominator * (lr / (1 - beta1**t)))
