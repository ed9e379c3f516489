# Reductions and scans against PyTorch: every form, dtypes, layouts, nan, empty, gradients; and the property that bits
# do not depend on layout, batch or threads.
"""Reductions."""

import ember
import numpy as np
import pytest
import torch
from against import check, check_error, check_gradient

NAN = float("nan")


def data(m, *shape, dtype="float32", seed=3):
    """The same numbers for both, with ties."""
    x = np.random.default_rng(seed).integers(-30, 30, size=shape) / 8
    return m.tensor(x.tolist(), dtype=getattr(m, dtype))


CASES = {
    "sum": lambda m, x: x.sum(),
    "sum dim": lambda m, x: m.sum(x, 1),
    "sum dims": lambda m, x: x.sum((0, -1), keepdim=True),
    "sum none": lambda m, x: x.sum(dim=()),
    "sum dtype": lambda m, x: x.sum(1, dtype=m.float64),
    "sum bool": lambda m, x: (x > 0).sum(0),
    "mean": lambda m, x: x.mean(),
    "mean dim": lambda m, x: x.mean(1, keepdim=True),
    "mean list": lambda m, x: x.mean([0, 2]),
    "nansum": lambda m, x: m.nansum(x, 1),
    "nanmean": lambda m, x: m.nanmean(x, 0),
    "prod": lambda m, x: x.prod(),
    "prod dim": lambda m, x: x.prod(1, keepdim=True),
    "amax": lambda m, x: x.amax(),
    "amax dims": lambda m, x: m.amax(x, (0, 2)),
    "amin": lambda m, x: x.amin(1, True),
    "aminmax": lambda m, x: m.aminmax(x),
    "aminmax dim": lambda m, x: m.aminmax(x, dim=1, keepdim=True),
    "max": lambda m, x: x.max(),
    "max dim": lambda m, x: x.max(1),
    "max other": lambda m, x: m.max(x, -x),
    "min dim": lambda m, x: m.min(x, dim=0, keepdim=True),
    "argmax": lambda m, x: x.argmax(),
    "argmax dim": lambda m, x: x.argmax(dim=2),
    "argmin": lambda m, x: m.argmin(x, 0, True),
    "all": lambda m, x: (x != 0).all(),
    "all dim": lambda m, x: m.all(x, 1),
    "any dims": lambda m, x: m.any(x > 3, (0, 2)),
    "any": lambda m, x: x.any(),
    "var": lambda m, x: x.var(),
    "var dim": lambda m, x: m.var(x, 1),
    "var unbiased": lambda m, x: x.var(1, False),
    "var correction": lambda m, x: x.var((0, 1), correction=2, keepdim=True),
    "std": lambda m, x: x.std(unbiased=False),
    "std dim": lambda m, x: x.std(2, keepdim=True),
    "var_mean": lambda m, x: m.var_mean(x, 1),
    "std_mean": lambda m, x: m.std_mean(x),
    "logsumexp": lambda m, x: m.logsumexp(x, (0, 1)),
    "logsumexp keepdim": lambda m, x: x.logsumexp(2, keepdim=True),
    "norm": lambda m, x: x.norm(),
    "norm 1": lambda m, x: x.norm(1, 1),
    "norm inf": lambda m, x: m.norm(x, float("inf")),
    "norm -inf": lambda m, x: m.norm(x, -float("inf"), dim=1, keepdim=True),
    "norm 0": lambda m, x: m.norm(x, 0, dim=2),
    "norm 3": lambda m, x: m.norm(x, 3.0, dim=(0, 1)),
    "norm fro": lambda m, x: m.norm(x, "fro"),
    "dist": lambda m, x: m.dist(x, x * 2 + 1, 3),
    "count_nonzero": lambda m, x: m.count_nonzero(x, 1),
    "cumsum": lambda m, x: x.cumsum(1),
    "cumsum last": lambda m, x: m.cumsum(x, -1),
    "cumprod": lambda m, x: x.cumprod(0),
    "logcumsumexp": lambda m, x: m.logcumsumexp(x, 1),
    "cummax": lambda m, x: m.cummax(x, 1),
    "cummin": lambda m, x: x.cummin(2),
    "diff": lambda m, x: m.diff(x, 2, 1),
    "diff joined": lambda m, x: m.diff(x, dim=0, prepend=x[:1], append=x[:2]),
    "trapezoid": lambda m, x: m.trapezoid(x, dx=0.5, dim=1),
    "cumulative_trapezoid": lambda m, x: m.cumulative_trapezoid(x),
    "out": lambda m, x: m.sum(x, 1, out=m.empty(5, 7, dtype=x.dtype)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("layout", ["plain", "transposed", "strided", "channels"])
def test_cases(name, layout):
    def f(m):
        x = data(m, 5, 4, 7)
        if layout == "transposed":
            x = data(m, 7, 4, 5).transpose(0, 2)
        elif layout == "strided":
            x = data(m, 5, 8, 14)[:, ::2, 1::2]
        elif layout == "channels":
            x = data(m, 4, 7, 5).permute(2, 0, 1)
        return CASES[name](m, x)

    check(f, strides=False)


SMALL = [
    n for n in CASES if n not in ("sum dtype", "out") and "logcum" not in n and "trapez" not in n and "norm 0" != n
]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("prod", "cumprod", "norm 3", "dist")])
def test_floats(name, dtype):
    check(lambda m: CASES[name](m, (data(m, 3, 4, 5) / 4).to(getattr(m, dtype))), strides=False)


INTEGERS = (
    "sum|sum dim|sum none|prod dim|amax|amin|aminmax dim|max|max dim|argmax|argmin|all|any|cumsum|cumprod|cummax|diff"
)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", INTEGERS.split("|"))
def test_integers(name, dtype):
    if dtype == "bool" and name in ("diff", "cummax", "aminmax dim", "argmax", "argmin"):
        pytest.skip("PyTorch has no such kernel for bool")

    def f(m):
        x = m.tensor(np.random.default_rng(1).integers(0, 5, size=(3, 4, 5)).tolist())
        return CASES[name](m, x.to(getattr(m, dtype)))

    check(f, strides=False)


@pytest.mark.parametrize(
    "name", ["sum", "sum dim", "mean", "mean dim", "prod", "prod dim", "var", "std dim", "norm", "cumsum", "cumprod"]
)
def test_complex(name):
    check(lambda m: CASES[name](m, m.complex(data(m, 3, 4, 5), data(m, 3, 4, 5, seed=9))), strides=False)


@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("norm fro", "dist", "var_mean", "std_mean")])
def test_nan(name):
    def f(m):
        x = data(m, 3, 4, 5)
        x[1, 2, 3] = NAN
        x[0, 0, 0] = float("inf")
        return CASES[name](m, x)

    check(f, strides=False)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "all", "any", "var", "norm", "nansum", "logsumexp", "cumsum"])
@pytest.mark.parametrize("shape", [(0, 4, 7), (5, 0, 7)])
@pytest.mark.filterwarnings("ignore")
def test_empty(name, shape):
    check(lambda m: CASES[name](m, m.zeros(shape)), strides=False)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "argmax", "amax", "norm", "all", "prod"])
def test_no_dims(name):
    check(lambda m: CASES[name](m, m.tensor(2.5)))


SMOOTH = [
    "sum dims", "mean list", "prod", "prod dim", "amax dims", "max", "max dim", "min dim", "var", "var correction",
    "std dim", "var_mean", "logsumexp", "norm", "norm 1", "norm 3", "norm inf", "cumsum", "cumprod", "logcumsumexp",
    "cummax", "diff", "trapezoid", "nansum", "nanmean", "aminmax dim",
]  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    check_gradient(lambda m, x: CASES[name](m, x), (3, 4, 2))


@pytest.mark.parametrize("zeros", [1, 2])
def test_products_of_zeros(zeros):
    def f(m):
        x = data(m, 3, 4, dtype="float64")
        x[1, :zeros] = 0
        x.requires_grad_()
        g = m.autograd.grad(x.prod(1).sum() + x.prod() + (x.cumprod(1) * data(m, 3, 4, dtype="float64")).sum(), x)
        return g[0]

    check(f, strides=False)


def test_covariance():
    check(lambda m: (m.cov(data(m, 4, 9)), m.corrcoef(data(m, 4, 9)), m.cov(data(m, 9))), strides=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda m: m.ones(2, 3).sum(5),
        lambda m: m.ones(2, 3).sum((0, 0)),
        lambda m: m.ones(0, 2).max(),
        lambda m: m.ones(0, 2).max(0),
        lambda m: m.ones(0, 2).argmax(),
        lambda m: m.ones(0, 2).amax(0),
        lambda m: m.ones(2, dtype=m.int64).mean(),
        lambda m: m.ones(2, dtype=m.int64).var(),
    ],
)
def test_errors(f):
    ours, theirs = check_error(f)
    assert theirs.split(". Got")[0].split(" dtype. ")[0] in ours


def layouts(x):
    """One array in several layouts."""
    t = ember.tensor(x)
    wide = ember.zeros(x.shape[0], 2 * x.shape[1])
    wide[:, ::2] = t
    return [t, t.t().contiguous().t(), wide[:, ::2]]


ALIKE = {
    "sum": lambda x: x.sum(),
    "sum 0": lambda x: x.sum(0),
    "sum 1": lambda x: x.sum(1),
    "var 0": lambda x: x.var(0),
    "var 1": lambda x: x.var(1),
    "norm": lambda x: x.norm(),
    "prod 1": lambda x: (x / 4 + 1).prod(1),
    "cumsum 0": lambda x: x.cumsum(0),
    "cumsum 1": lambda x: x.cumsum(1),
}


@pytest.mark.parametrize("shape", [(3, 5), (700, 37), (37, 700), (9, 9001), (9001, 9)])
@pytest.mark.parametrize("name", ALIKE)
def test_same_bits(name, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    threads = ember.get_num_threads()
    try:
        results = []
        for n in (1, 2, 5):
            ember.set_num_threads(n)
            results += [ALIKE[name](y).numpy().copy() for y in layouts(x)]
    finally:
        ember.set_num_threads(threads)
    for r in results:
        assert r.tobytes() == results[0].tobytes()


def test_a_row_alone_and_in_a_batch():
    x = ember.tensor(np.random.default_rng(0).standard_normal((33, 5003)).astype(np.float32))
    for f in (lambda t: t.sum(-1), lambda t: t.var(-1), lambda t: t.cumsum(-1)):
        batch = f(x)
        for i in (0, 7, 32):
            assert f(x[i]).numpy().tobytes() == batch[i].numpy().tobytes()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 255, 256, 257, 4096, 4097, 100_003])
def test_long_sums_are_accurate(n):
    x = np.random.default_rng(n).random(n).astype(np.float32)
    exact = x.astype(np.float64)
    y = ember.tensor(x)
    assert abs(y.sum().item() - exact.sum()) <= 4e-7 * exact.sum()
    if n > 1:
        assert abs(y.var().item() - exact.var(ddof=1)) <= 2e-6 * exact.var(ddof=1)
    assert y.argmax().item() == x.argmax()
    np.testing.assert_allclose(y.cumsum(0).numpy(), exact.cumsum(), rtol=1e-7)


def test_variance_far_from_zero():
    x = np.random.default_rng(0).standard_normal(100_000) + 1e4
    x = x.astype(np.float32)
    assert abs(ember.tensor(x).var().item() / x.astype(np.float64).var(ddof=1) - 1) < 1e-5
    assert torch.tensor(x).var().item() > 0


def test_out_that_is_the_argument():
    """Its shape changes only when it has been read."""
    for f in (
        lambda x, out: ember.sum(x, 0, out=out),
        lambda x, out: ember.cat([x, x], 0, out=out),
        lambda x, out: ember.mm(x, ember.ones(4, 2), out=out),
        lambda x, out: ember.max(x, 0, out=(out, ember.empty(0, dtype=ember.int64)))[0],
    ):
        x = ember.arange(12.0).reshape(3, 4)
        want = f(x, ember.empty(0)).tolist()
        assert f(x, x).tolist() == want == x.tolist()
    for m in (ember, torch):
        x = m.ones(3, 4)
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            m.add(x, m.ones(2, 3, 4), out=x)
        with pytest.raises(TypeError):
            m.where(x > 0, out=x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
@pytest.mark.parametrize("shape", [(300_007,), (5003, 1100), (2100, 37), (70_001, 3), (1025, 2, 517)])
def test_runs_and_columns(shape, dtype):
    """Whole numbers, whose sums are exact: nothing is lost or counted twice where runs, units and tiles meet."""
    x = np.random.default_rng(5).integers(-3, 4, size=shape)
    y = ember.from_numpy(x).to(getattr(ember, dtype))
    for dim in range(len(shape)):
        assert (y.double().sum(dim).numpy() == x.sum(dim)).all()
        assert (y.sum(dim, dtype=None if dtype != "bfloat16" else ember.float32).numpy() == x.sum(dim)).all()
        assert (y.amax(dim).double().numpy() == x.max(dim)).all()
        assert (y.transpose(0, -1).amin(dim).double().numpy() == x.swapaxes(0, -1).min(dim)).all()
    assert y.double().sum().item() == x.sum()


def test_results_larger_than_the_caches():
    """Their way to memory is another one: every element arrives, also at odd places, and no neighbour is touched."""
    n = (8 << 20) + 37
    a, b = np.arange(n, dtype=np.float32), np.full(n, 0.5, dtype=np.float32)
    x, y, room = ember.from_numpy(a), ember.from_numpy(b), ember.full((n + 2,), -1.0)
    ember.add(x, y, out=room[1:-1])
    assert (room[1:-1].numpy() == a + b).all() and room[0].item() == room[-1].item() == -1
    assert ((x * y).numpy() == a * b).all()
    assert (ember.where(x > 5, x, y).numpy() == np.where(a > 5, a, b)).all()
    x += y
    assert (x.numpy() == np.arange(n, dtype=np.float32) + np.float32(0.5)).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int64", "int8", "uint8", "bool"])
def test_hash_tensor(dtype):
    """The exclusive or of the bits, whatever the layout."""
    x = torch.from_numpy(np.random.default_rng(1).integers(-90, 90, size=(3, 70, 5))).to(getattr(torch, dtype))
    wide = x.double() if x.is_floating_point() else x.long()
    ours = ember.tensor(wide.tolist(), dtype=getattr(ember, dtype))
    for dim in ((0, 1, 2), (0, 2), 1, -1):
        want = np.bitwise_xor.reduce(wide.numpy().view(np.uint64), dim).tolist()
        got = ember.hash_tensor(ours, dim)
        assert got.dtype == ember.uint64 and got.tolist() == want
        assert ember.hash_tensor(ours.transpose(0, 2).contiguous().transpose(0, 2), dim).tolist() == want


def test_errors_of_hash_tensor():
    check_error(lambda m: m.hash_tensor(m.ones(2), mode=1))
    check_error(lambda m: m.hash_tensor(m.ones(0, 3), 0))
    check_error(lambda m: m.hash_tensor(m.ones(0)))
    check_error(lambda m: m.hash_tensor(m.ones(2, dtype=m.complex64)))
    check_error(lambda m: m.hash_tensor(m.ones(2), 3))
