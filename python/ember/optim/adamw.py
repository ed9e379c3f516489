# AdamW is Adam whose weight decay shrinks the parameters by themselves, apart from the gradient.
"""Adam with decoupled weight decay."""

from .adam import Adam
from .optimizer import ParamsT

__all__ = ["AdamW"]


class AdamW(Adam):
    """AdamW: Adam with `p *= 1 - lr * weight_decay` before each step, in place of decay through the gradient.

    The arguments, and the errors, are those of `Adam`; `weight_decay` is 0.01 unless given.

    >>> import ember
    >>> w = ember.nn.Parameter(ember.tensor([1.0]))
    >>> optimizer = ember.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w
    Parameter containing:
    tensor([0.8500], requires_grad=True)

    Source: I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization (arXiv:1711.05101).
    """

    def __init__(
        self,
        params: ParamsT,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # checkpoints from before the flag existed lack it
            group["decoupled_weight_decay"] = True
