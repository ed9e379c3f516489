# Losses against PyTorch: every reduction, weights, ignored classes, smoothing, gradients to second order, errors.
"""Losses."""

import numpy as np
import pytest
from against import check, check_error, check_gradient


def data(m, *shape, seed=0):
    return m.tensor(np.random.default_rng(seed).normal(size=shape).round(3).tolist()).reshape(shape)


def classes(m, *shape, high=5, seed=1):
    return m.tensor(np.random.default_rng(seed).integers(0, high, size=shape).tolist())


def signs(m, *shape):
    return classes(m, *shape, high=2) * 2 - 1


def nn(m):
    return m.nn.functional


CASES = {
    "cross_entropy": lambda m, **k: nn(m).cross_entropy(data(m, 6, 5), classes(m, 6), **k),
    "cross_entropy one": lambda m, **k: nn(m).cross_entropy(data(m, 5), m.tensor(2), **k),
    "cross_entropy 4d": lambda m, **k: nn(m).cross_entropy(data(m, 2, 5, 3, 4), classes(m, 2, 3, 4), **k),
    "cross_entropy weight": lambda m, **k: nn(m).cross_entropy(data(m, 6, 5), classes(m, 6), data(m, 5).abs(), **k),
    "cross_entropy ignore": lambda m, **k: nn(m).cross_entropy(data(m, 6, 5), classes(m, 6), ignore_index=2, **k),
    "cross_entropy smooth": lambda m, **k: nn(m).cross_entropy(data(m, 6, 5), classes(m, 6), label_smoothing=0.2, **k),
    "cross_entropy smooth weight": lambda m, **k: nn(m).cross_entropy(
        data(m, 6, 5), classes(m, 6), data(m, 5).abs(), ignore_index=1, label_smoothing=0.2, **k
    ),
    "cross_entropy probabilities": lambda m, **k: nn(m).cross_entropy(
        data(m, 6, 5), data(m, 6, 5, seed=3).softmax(1), data(m, 5).abs(), label_smoothing=0.1, **k
    ),
    "nll_loss": lambda m, **k: nn(m).nll_loss(data(m, 6, 5), classes(m, 6), **k),
    "nll_loss 3d": lambda m, **k: nn(m).nll_loss(data(m, 2, 5, 3), classes(m, 2, 3), data(m, 5), **k),
    "mse_loss": lambda m, **k: nn(m).mse_loss(data(m, 3, 4), data(m, 3, 4, seed=2), **k),
    "l1_loss": lambda m, **k: nn(m).l1_loss(data(m, 3, 4), data(m, 3, 4, seed=2), **k),
    "smooth_l1_loss": lambda m, **k: nn(m).smooth_l1_loss(data(m, 3, 4), data(m, 3, 4, seed=2), beta=0.7, **k),
    "huber_loss": lambda m, **k: nn(m).huber_loss(data(m, 3, 4), data(m, 3, 4, seed=2), delta=0.7, **k),
    "binary_cross_entropy": lambda m, **k: nn(m).binary_cross_entropy(
        data(m, 3, 4).sigmoid(), data(m, 3, 4, seed=2).sigmoid(), data(m, 4).abs(), **k
    ),
    "binary_cross_entropy certain": lambda m, **k: nn(m).binary_cross_entropy(
        m.tensor([0.0, 1.0, 0.0]), m.tensor([0.0, 1.0, 1.0]), **k
    ),
    "with_logits": lambda m, **k: nn(m).binary_cross_entropy_with_logits(
        data(m, 3, 4), data(m, 3, 4, seed=2).sigmoid(), **k
    ),
    "with_logits pos_weight": lambda m, **k: nn(m).binary_cross_entropy_with_logits(
        data(m, 3, 4), data(m, 3, 4, seed=2).sigmoid(), data(m, 4), pos_weight=data(m, 4, seed=5).abs(), **k
    ),
    "kl_div": lambda m, **k: nn(m).kl_div(data(m, 3, 4).log_softmax(1), data(m, 3, 4, seed=2).softmax(1), **k),
    "kl_div log": lambda m, **k: nn(m).kl_div(data(m, 3, 4), data(m, 3, 4, seed=2), log_target=True, **k),
    "poisson": lambda m, **k: nn(m).poisson_nll_loss(data(m, 5), data(m, 5).abs() * 3, full=True, **k),
    "poisson plain": lambda m, **k: nn(m).poisson_nll_loss(data(m, 5).abs(), data(m, 5).abs(), log_input=False, **k),
    "gaussian": lambda m, **k: nn(m).gaussian_nll_loss(data(m, 5), data(m, 5, seed=2), data(m, 5).abs(), **k),
    "cosine": lambda m, **k: nn(m).cosine_embedding_loss(
        data(m, 4, 3), data(m, 4, 3, seed=2), signs(m, 4), margin=0.1, **k
    ),
    "margin_ranking": lambda m, **k: nn(m).margin_ranking_loss(
        data(m, 4), data(m, 4, seed=2), signs(m, 4), margin=0.1, **k
    ),
    "hinge": lambda m, **k: nn(m).hinge_embedding_loss(data(m, 4), signs(m, 4), **k),
    "soft_margin": lambda m, **k: nn(m).soft_margin_loss(data(m, 4), signs(m, 4), **k),
    "multi_margin": lambda m, **k: nn(m).multi_margin_loss(data(m, 6, 5), classes(m, 6), weight=data(m, 5).abs(), **k),
    "multi_margin 2": lambda m, **k: nn(m).multi_margin_loss(data(m, 6, 5), classes(m, 6), p=2, margin=0.5, **k),
    "multilabel_margin": lambda m, **k: nn(m).multilabel_margin_loss(
        data(m, 2, 4), m.tensor([[1, 3, -1, 0], [2, -1, 1, 1]]), **k
    ),
    "multilabel_soft": lambda m, **k: nn(m).multilabel_soft_margin_loss(data(m, 3, 4), classes(m, 3, 4, high=2), **k),
    "triplet": lambda m, **k: nn(m).triplet_margin_loss(
        data(m, 4, 3), data(m, 4, 3, seed=2), data(m, 4, 3, seed=3), swap=True, **k
    ),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_values(case, reduction):
    check(lambda m: CASES[case](m, reduction=reduction), strides=False)


GRADIENTS = {
    "cross_entropy": (lambda m, x: nn(m).cross_entropy(x, m.tensor([1, 0, 4])), (3, 5)),
    "cross_entropy none": (lambda m, x: nn(m).cross_entropy(x, m.tensor([1, 0, 4]), reduction="none"), (3, 5)),
    "cross_entropy ignore": (lambda m, x: nn(m).cross_entropy(x, m.tensor([1, 0, 4]), ignore_index=0), (3, 5)),
    "cross_entropy 3d": (lambda m, x: nn(m).cross_entropy(x, m.tensor([[1, 0], [2, 2]])), (2, 3, 2)),
    "cross_entropy soft": (lambda m, x, t: nn(m).cross_entropy(x, t, label_smoothing=0.1), (3, 5), (3, 5)),
    "nll_loss": (lambda m, x: nn(m).nll_loss(x.log_softmax(1), m.tensor([1, 0, 4]), reduction="sum"), (3, 5)),
    "mse_loss": (lambda m, x, t: nn(m).mse_loss(x, t), (3, 4), (3, 4)),
    "smooth_l1_loss": (lambda m, x, t: nn(m).smooth_l1_loss(x, t * 0.3, beta=0.5), (3, 4), (3, 4)),
    "huber_loss": (lambda m, x, t: nn(m).huber_loss(x, t * 0.3, delta=0.5), (3, 4), (3, 4)),
    "binary_cross_entropy": (lambda m, x, t: nn(m).binary_cross_entropy(x.sigmoid(), t.sigmoid()), (3, 4), (3, 4)),
    "with_logits": (lambda m, x, t: nn(m).binary_cross_entropy_with_logits(x, t), (3, 4), (3, 4)),
    "kl_div": (lambda m, x, t: nn(m).kl_div(x.log_softmax(1), t.softmax(1), reduction="batchmean"), (3, 4), (3, 4)),
    "cosine": (lambda m, a, b: nn(m).cosine_embedding_loss(a, b, m.tensor([1, -1, 1])), (3, 4), (3, 4)),
    "triplet": (lambda m, a, b, c: nn(m).triplet_margin_loss(a, b + 1, c - 1), (3, 4), (3, 4), (3, 4)),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients(case):
    check_gradient(*GRADIENTS[case])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_backward_in_one_pass(reduction):
    def f(m):
        x = data(m, 40, 70).requires_grad_()
        y = nn(m).cross_entropy(x, classes(m, 40, high=70), data(m, 70).abs(), ignore_index=3, reduction=reduction)
        (y * y).sum().backward()
        return x.grad

    check(f)


FIRST = {
    "multi_margin": lambda m, x: nn(m).multi_margin_loss(x, m.tensor([1, 0, 4]), p=2),
    "multilabel_margin": lambda m, x: nn(m).multilabel_margin_loss(x, m.tensor([[1, 3, -1, 0, 0]] * 3)),
    "ctc": lambda m, x: nn(m).ctc_loss(
        m.stack([x, x * 2, x + 1, x.flip(1), -x]).log_softmax(2),
        m.tensor([[1, 2, 2], [3, 1, 0], [4, 0, 0]]),
        m.tensor([5, 4, 3]),
        m.tensor([3, 2, 1]),
    ),
    "ctc flat": lambda m, x: nn(m).ctc_loss(
        m.stack([x, x * 2, x + 1]).log_softmax(2), m.tensor([1, 2, 3, 3, 3]), (3, 3, 3), (2, 0, 3), zero_infinity=True
    ),
}


@pytest.mark.parametrize("case", FIRST)
def test_first_gradients(case):
    """Of losses that PyTorch differentiates once."""

    def f(m):
        x = data(m, 3, 5).double().requires_grad_()
        y = FIRST[case](m, x)
        y.backward()
        return y, x.grad

    check(f)


ERRORS = {
    "bounds": lambda m: nn(m).cross_entropy(m.ones(2, 3), m.tensor([0, 3])),
    "batch": lambda m: nn(m).cross_entropy(m.ones(2, 3), m.tensor([0, 1, 2])),
    "float indices": lambda m: nn(m).nll_loss(m.ones(2, 3), m.ones(2)),
    "smoothing": lambda m: nn(m).cross_entropy(m.ones(2, 3), m.tensor([0, 1]), label_smoothing=2.0),
    "probability": lambda m: nn(m).binary_cross_entropy(m.tensor([1.5]), m.ones(1)),
    "weight": lambda m: nn(m).cross_entropy(m.ones(2, 3), m.tensor([0, 1]), m.ones(4)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    check_error(ERRORS[case])
