# Sorting, selection and searching against PyTorch: order of equals, nan, every dtype, dims and layouts, gradients.
"""Sorting ops."""

import numpy as np
import pytest
from against import check, check_error, check_gradient

NAN = float("nan")
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def data(m, *shape, dtype="float32", seed=3, spread=30):
    x = np.random.default_rng(seed).integers(-spread, spread, size=shape) / 8
    return m.tensor(x.tolist()).to(getattr(m, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("n", [7, 1500])
def test_sort(dtype, descending, n):
    check(lambda m: m.sort(data(m, 3, n, dtype=dtype), stable=True, descending=descending))


def test_sort_forms():
    def f(m):
        x = data(m, 4, 5, 6)
        y = x.transpose(0, 2)
        by_dim = [*x.sort(dim=1, stable=True), *y.sort(dim=0, descending=True, stable=True)]
        whole = [x.argsort(dim=0, stable=True), m.msort(x), *m.sort(m.tensor(3.0)), *m.zeros(0, 3).sort(1)]
        return by_dim + whole

    check(f)


def test_nan_and_zeros():
    def f(m):
        x = m.tensor([3.0, NAN, -0.0, 0.0, -float("inf"), NAN, float("inf"), 0.0, -0.0] * 60)
        return [*x.sort(stable=True), *x.sort(descending=True, stable=True)]

    check(f)


def test_large_rows():
    check(lambda m: m.sort(m.tensor(np.random.default_rng(0).standard_normal(100_000).tolist()), stable=True))
    check(lambda m: m.sort(m.tensor(np.random.default_rng(0).integers(-(2**60), 2**60, 50_000).tolist()), stable=True))


@pytest.mark.parametrize("largest", [False, True])
def test_topk(largest):
    def f(m):
        x = m.tensor(np.random.default_rng(0).permutation(4000).reshape(4, 1000).tolist()).float()
        return [*x.topk(1, largest=largest), *x.topk(40, largest=largest), *x.topk(2, 0, largest=largest)]

    check(f, strides=False)


SELECT = {
    "kthvalue": lambda m, x: x.kthvalue(3, 1),
    "median": lambda m, x: x.median(),
    "median dim": lambda m, x: x.median(1),
    "nanmedian": lambda m, x: x.nanmedian(),
    "nanmedian dim": lambda m, x: m.nanmedian(x, 0, keepdim=True),
    "quantile": lambda m, x: x.quantile(0.3),
    "quantile dim": lambda m, x: x.quantile(0.7, dim=0, keepdim=True),
    "quantiles": lambda m, x: m.quantile(x, m.tensor([0.0, 0.4, 1.0]).to(x.dtype), dim=1),
    "nanquantile": lambda m, x: m.nanquantile(x, 0.25, dim=1),
    "lower": lambda m, x: x.quantile(0.3, interpolation="lower"),
    "higher": lambda m, x: x.quantile(0.3, dim=1, interpolation="higher"),
    "midpoint": lambda m, x: x.quantile(0.3, dim=1, interpolation="midpoint"),
    "nearest": lambda m, x: x.quantile(0.3, dim=1, interpolation="nearest"),
}


@pytest.mark.parametrize("name", SELECT)
@pytest.mark.parametrize("nan", [False, True])
def test_select(name, nan):
    def f(m):
        x = m.tensor(np.random.default_rng(0).permutation(2000).reshape(4, 500).tolist()).float()
        if nan:
            x[1, 3] = NAN
        return SELECT[name](m, x)

    check(f, strides=False)


def test_mode():
    check(lambda m: data(m, 5, 40, spread=6).mode(1)[0], strides=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda m, x: x.sort(1),
        lambda m, x: x.topk(2, 0),
        lambda m, x: x.kthvalue(2, 1),
        lambda m, x: x.median(1),
        lambda m, x: x.quantile(0.3, dim=1),
        lambda m, x: x.median(),
    ],
)
def test_gradients(f):
    check_gradient(f, (4, 5))


@pytest.mark.parametrize("right", [False, True])
def test_searching(right):
    def f(m):
        row = m.tensor([1.0, 2.0, 2.0, 3.0])
        rows, v = m.stack([row, row + 1]), m.tensor([[0.5, 2.0], [3.0, 9.0]])
        order = m.tensor([2, 0, 3, 1])
        return [
            m.searchsorted(row, v, right=right), m.searchsorted(rows, v, right=right, out_int32=True),
            m.searchsorted(row, 2.0, right=right), m.searchsorted(row, v, side="right" if right else "left"),
            m.searchsorted(m.tensor([3, 9, 1, 5]), m.tensor([4, 9]), right=right, sorter=order),
            m.bucketize(v, row, right=right), m.isin(v, row), m.isin(v, row, invert=True), m.isin(v, 2.0),
        ]  # fmt: skip

    check(f, strides=False)


def test_counting():
    def f(m):
        x = m.tensor([1, 5, 1, 0, 3])
        y = data(m, 300)
        return [
            m.bincount(x), x.bincount(minlength=9), m.bincount(x, m.arange(5.0) / 4), m.histc(y, 10),
            m.histc(y, bins=7, min=-2, max=2),
        ]  # fmt: skip

    check(f)


def test_distinct():
    def f(m):
        x = m.tensor([[3, 1], [2, 1], [3, 1]])
        y = m.tensor([1.0, 1.0, NAN, NAN, 3.0, 1.0])
        return [
            *m.unique(x, return_inverse=True, return_counts=True), m.unique(y), y.unique(return_counts=True)[1],
            *m.unique(x, return_inverse=True, return_counts=True, dim=0), m.unique(x, dim=1),
            *m.unique_consecutive(y, return_inverse=True, return_counts=True), x.unique_consecutive(dim=0),
            m.unique_consecutive(x),
        ]  # fmt: skip

    check(f, strides=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda m, x: x.topk(9),
        lambda m, x: x.kthvalue(9),
        lambda m, x: x.quantile(1.5),
        lambda m, x: m.bincount(m.tensor([-1])),
        lambda m, x: m.zeros(0, 2).median(0),
    ],
)
def test_errors(f):
    ours, theirs = check_error(lambda m: f(m, data(m, 4, 5)))
    assert theirs in ours
