"""Losses. Every `reduction` is "none", "mean" or "sum"; `size_average` and `reduce` are old flags for the same."""

import math
import sys
import warnings

import ember

from .. import _reduction
from .bind import named, op

_ops = {
    name: op(name)
    for name in (
        "nll_loss_nd",
        "cross_entropy_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
        "poisson_nll_loss",
        "cosine_embedding_loss",
        "margin_ranking_loss",
        "hinge_embedding_loss",
        "triplet_margin_loss",
        "soft_margin_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "ctc_loss",
    )
}
_ENUM = _reduction._ENUM


def _number(reduction, size_average=None, reduce=None):
    """The reduction as the ops' number; an error opens with the name of the loss that asks."""
    if size_average is not None or reduce is not None:
        return _reduction.legacy_get_enum(size_average, reduce)
    found = _ENUM.get(reduction)
    if found is None:
        raise ValueError(f"{sys._getframe(1).f_code.co_name}: {reduction} is not a valid value for reduction")
    return found


def _reduced(loss, number):
    return loss.mean() if number == 1 else loss.sum() if number == 2 else loss


def _warn_broadcast(input, target):
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same "
            "size.",
            stacklevel=3,
        )


def _weighted(loss, weight, number):
    """Elementwise losses times `weight`; their mean is over the sum of the weights."""
    if weight.size() != loss.size():
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    return loss.sum() / weight.sum() if number == 1 else _reduced(loss, number)


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    """-log softmax(input)[target]: logits [N, C, ...], targets as classes [N, ...] or probabilities [N, C, ...].

    >>> F.cross_entropy(ember.zeros(1, 2), ember.tensor([0]))
    tensor(0.6931)
    """
    return _ops["cross_entropy_loss"](
        input, target, weight, _number(reduction, size_average, reduce), ignore_index, label_smoothing
    )


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """-input[target]: log-probabilities [N, C, ...] and classes [N, ...].

    >>> F.nll_loss(ember.tensor([[-1.0, -2.0]]), ember.tensor([1]))
    tensor(2.)
    """
    return _ops["nll_loss_nd"](input, target, weight, _number(reduction, size_average, reduce), ignore_index)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)^2.

    >>> F.mse_loss(ember.zeros(2), ember.ones(2))
    tensor(1.)
    """
    _warn_broadcast(input, target)
    number = _number(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_ops["mse_loss"](input, target, 0), weight, number)
    return _ops["mse_loss"](input, target, number)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|.

    >>> F.l1_loss(ember.zeros(2), ember.ones(2))
    tensor(1.)
    """
    _warn_broadcast(input, target)
    number = _number(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_ops["l1_loss"](input, target, 0), weight, number)
    return _ops["l1_loss"](input, target, number)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2.

    >>> F.smooth_l1_loss(ember.zeros(2), ember.ones(2))
    tensor(0.5000)
    """
    _warn_broadcast(input, target)
    number = _number(reduction, size_average, reduce)
    return _ops["l1_loss"](input, target, number) if beta == 0 else _ops["smooth_l1_loss"](input, target, number, beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 where d = |input - target| < delta, else delta * (d - delta / 2).

    >>> F.huber_loss(ember.zeros(2), ember.ones(2))
    tensor(0.5000)
    """
    _warn_broadcast(input, target)
    number = _number(reduction)
    if weight is not None:
        return _weighted(_ops["huber_loss"](input, target, 0, delta), weight, number)
    return _ops["huber_loss"](input, target, number, delta)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(t log p + (1 - t) log(1 - p)) for probabilities p and targets t of one shape.

    >>> F.binary_cross_entropy(ember.tensor([0.5]), ember.ones(1))
    tensor(0.6931)
    """
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    return _ops["binary_cross_entropy"](input, target, weight, _number(reduction, size_average, reduce))


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """binary_cross_entropy(sigmoid(input), target) without overflow; `pos_weight` weighs positive targets.

    >>> F.binary_cross_entropy_with_logits(ember.zeros(1), ember.ones(1))
    tensor(0.6931)
    """
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    return _ops["binary_cross_entropy_with_logits"](
        input, target, weight, pos_weight, _number(reduction, size_average, reduce)
    )


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target * (log target - input) with log-probabilities `input`; "batchmean" divides the sum by the batch size.

    >>> F.kl_div(ember.tensor([[0.5, 0.5]]).log(), ember.tensor([[0.5, 0.5]]), reduction="batchmean")
    tensor(0.)
    """
    if size_average is not None or reduce is not None:
        number = _reduction.legacy_get_enum(size_average, reduce)
    else:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support size."
                "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
                "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
                stacklevel=2,
            )
        number = 2 if reduction == "batchmean" else _number(reduction)
    loss = _ops["kl_div"](input, target, number, log_target=log_target)
    return loss / input.size()[0] if reduction == "batchmean" and input.dim() != 0 else loss


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """exp(input) - target * input (or, with log_input=False, input - target * log(input + eps)).

    >>> F.poisson_nll_loss(ember.zeros(1), ember.ones(1))
    tensor(1.)
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    return _ops["poisson_nll_loss"](input, target, log_input, full, eps, _number(reduction))


@named
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log var + (input - target)^2 / var) / 2, with var at least eps.

    >>> F.gaussian_nll_loss(ember.zeros(1), ember.ones(1), ember.ones(1))
    tensor(0.5000)
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * ember.ones_like(input)
    elif (var < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (input.size()[:-1] == var.size()[:-1] and var.size(-1) == 1) and not (
            input.ndim == var.ndim and all(v in (1, i) for i, v in zip(input.shape, var.shape))
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    var = var.clone()
    with ember.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, _number(reduction))


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos for target 1, max(0, cos - margin) for target -1; inputs [N, D] or [D].

    >>> F.cosine_embedding_loss(ember.ones(1, 2), -ember.ones(1, 2), -ember.ones(1))
    tensor(0.)
    """
    return _ops["cosine_embedding_loss"](input1, input2, target, margin, _number(reduction, size_average, reduce))


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -target * (input1 - input2) + margin).

    >>> F.margin_ranking_loss(ember.zeros(1), ember.ones(1), ember.ones(1))
    tensor(1.)
    """
    number = _number(reduction, size_average, reduce)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _ops["margin_ranking_loss"](input1, input2, target, margin, number)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x for target 1, max(0, margin - x) for target -1.

    >>> F.hinge_embedding_loss(ember.ones(1), ember.ones(1))
    tensor(1.)
    """
    return _ops["hinge_embedding_loss"](input, target, margin, _number(reduction, size_average, reduce))


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, d(a, p) - d(a, n) + margin) with the p-norm as distance; inputs [N, D] or [D].

    >>> F.triplet_margin_loss(ember.zeros(1, 2), ember.zeros(1, 2), ember.zeros(1, 2))
    tensor(1.)
    """
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    return _ops["triplet_margin_loss"](
        anchor, positive, negative, margin, p, eps, swap, _number(reduction, size_average, reduce)
    )


@named
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """triplet_margin_loss with any distance function of two tensors.

    >>> a = ember.zeros(1, 2); F.triplet_margin_with_distance_loss(a, a, a)
    tensor(1.)
    """
    distance = distance_function or ember.nn.functional.pairwise_distance
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ember.minimum(far, distance(positive, negative))
    return _reduced((margin + near - far).clamp_min(0), _number(reduction))


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target * input)), targets 1 and -1.

    >>> F.soft_margin_loss(ember.zeros(1), ember.ones(1))
    tensor(0.6931)
    """
    return _ops["soft_margin_loss"](input, target, _number(reduction, size_average, reduce))


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Sum over the other classes of max(0, margin - x[target] + x[i])^p / C; input [N, C].

    >>> F.multi_margin_loss(ember.zeros(1, 2), ember.tensor([0]))
    tensor(0.5000)
    """
    number = _number(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("multi_margin_loss: only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("multi_margin_loss: weight must be one-dimensional")
    return _ops["multi_margin_loss"](input, target, p, margin, weight, number)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The hinge between every label and every other class; targets [N, C] list labels up to the first -1.

    >>> F.multilabel_margin_loss(ember.zeros(1, 2), ember.tensor([[0, -1]]))
    tensor(0.5000)
    """
    return _ops["multilabel_margin_loss"](input, target, _number(reduction, size_average, reduce))


@named
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean over classes of the binary cross entropy with logits; input, target [N, C].

    >>> F.multilabel_soft_margin_loss(ember.zeros(1, 2), ember.ones(1, 2))
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    log_sigmoid = ember.nn.functional.logsigmoid
    loss = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    if weight is not None:
        loss = loss * weight
    loss = loss.sum(dim=input.dim() - 1) / input.size(input.dim() - 1)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    return _reduced(loss, _number(reduction))


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Connectionist temporal classification (Graves et al., 2006): log_probs [T, N, C], targets [N, S] or [sum]."""
    return _ops["ctc_loss"](log_probs, targets, input_lengths, target_lengths, blank, _number(reduction), zero_infinity)


def _check_linear(input, weight, bias):
    """What linear_cross_entropy asks of input [N, D] or [D], weight [C, *, D] and bias [C, *]."""
    if input.dim() not in (1, 2):
        raise RuntimeError(f"input has {input.dim()} dims, allowed are 1 or 2")
    if weight.dim() < 2:
        raise RuntimeError(f"linear_weight has {weight.dim()} dims, at least 2 are needed")
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            f"the last dims of input ({input.shape[-1]}) and of linear_weight ({weight.shape[-1]}) must be equal"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise RuntimeError(f"linear_bias has shape {tuple(bias.shape)}, not {tuple(weight.shape[:-1])}")
    if weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"a linear_weight of shape {tuple(weight.shape)} needs input (N, {input.shape[0]}), "
            f"but got shape {tuple(input.shape)}"
        )


@named
def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """cross_entropy(linear(input, linear_weight, linear_bias), target): input [N, D], weight [C, *, D], target [N, *].

    `options` chooses how PyTorch splits the work; the result does not depend on it.

    >>> F.linear_cross_entropy(ember.zeros(1, 3), ember.zeros(2, 3), ember.tensor([0]))
    tensor(0.6931)
    """
    _check_linear(input, linear_weight, linear_bias)
    shape = linear_weight.shape[:-1]
    if ignore_index is not None and target.shape == (*input.shape[:-1], *shape):
        raise RuntimeError("ignore_index goes with targets that are classes, not with probabilities")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = ember.nn.functional.linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    return cross_entropy(
        logits if len(shape) == 1 else logits.unflatten(-1, shape),
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
