"""Kernels written from the reductions' rules, held against the CPU's reductions."""

import math

import ember
import numpy as np
import pytest
from ember import _C
from gpu_tools import needs_nvrtc, needs_opencl

RULES = ["sum", "nansum", "prod", "max", "min", "abs_sum", "square_sum", "pow_sum", "abs_max", "abs_min"]
NONE, MEAN, SQRT, ROOT = range(4)
FLOATS = [ember.float32, ember.float64]
EXTREMES, INTEGER = {"max", "min"}, {"sum", "prod", "max", "min"}
FINISHED = [("sum", MEAN), ("square_sum", SQRT), ("pow_sum", ROOT)]  # as mean and the norms use them
KERNELS = [(RULES.index(r), f, d) for d in FLOATS for r, f in [(r, NONE) for r in RULES] + FINISHED]
KERNELS += [(RULES.index(r), NONE, ember.int64) for r in sorted(INTEGER)]
KERNELS += [(RULES.index(r), NONE, d) for d in (ember.uint64, ember.bool) for r in sorted(EXTREMES)]


def test_entries_name_their_rules():
    entries = {op: (RULES[rule], finish) for op, rule, finish in _C._gpu_reductions()}
    assert entries["sum"] == ("sum", NONE) and entries["mean"] == ("sum", MEAN)
    assert entries["any"] == ("max", NONE) and entries["all"] == ("min", NONE)
    assert entries["_vector_norm"] == ("pow_sum", ROOT)
    assert {"nansum", "prod", "amax", "amin", "max", "min"} <= entries.keys()


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "compute_90"])
def test_nvrtc_compiles_every_rule(arch):
    code = _C._nvrtc_compile(_C._gpu_reduce_program(KERNELS, "cuda"), arch)
    assert b"r_square_sum_sqrt_f32" in code and b"r_max_u8" in code


def test_what_does_not_exist_is_an_error():
    with pytest.raises(RuntimeError, match="abs_sum.*no such kernel"):
        _C._gpu_reduce_program([(RULES.index("abs_sum"), NONE, ember.int64)], "opencl")


def reduce(rule, x, dims, finish=NONE, out=None, compute=None, p=2.0):
    """The OpenCL result."""
    compute = compute or x.dtype
    mask = sum(1 << d for d in dims)
    return _C._opencl_reduce(RULES.index(rule), finish, x, mask, compute, out or compute, p).numpy()


WANT = {  # over float64, from NumPy
    "sum": np.sum,
    "nansum": np.nansum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "abs_sum": lambda x, axis: np.abs(x).sum(axis),
    "square_sum": lambda x, axis: (x * x).sum(axis),
    "pow_sum": lambda x, axis: (np.abs(x) ** 2.5).sum(axis),
    "abs_max": lambda x, axis: np.abs(x).max(axis),
    "abs_min": lambda x, axis: np.abs(x).min(axis),
}


@needs_opencl
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_float_rules(rule, dtype):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 300, 3)) if rule != "prod" else rng.uniform(0.9, 1.1, size=(5, 300, 3))
    a = a.astype(np.float32 if dtype == ember.float32 else np.float64)
    x = ember.from_numpy(a)
    if rule == "nansum":
        x = ember.from_numpy(np.where(rng.random(a.shape) < 0.1, np.nan, a).astype(a.dtype))
        a = x.numpy()
    rtol = 2e-6 if dtype == ember.float32 else 1e-14
    size = np.abs(np.nan_to_num(a)).sum()  # sums cancel: the error is that of the terms
    for dims in [(1,), (0, 2), (0, 1, 2)]:
        want = WANT[rule](a.astype(np.float64), axis=dims)
        np.testing.assert_allclose(reduce(rule, x, dims, p=2.5), want, rtol=4 * rtol, atol=rtol * size * 0.01)


@needs_opencl
@pytest.mark.parametrize("rule", sorted(INTEGER))
def test_integers_are_exact(rule):
    rng = np.random.default_rng(1)
    a = rng.integers(-(2**62), 2**62, size=(4, 500))
    x = ember.from_numpy(a)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(reduce(rule, x, (1,)), WANT[rule](a, axis=1))
    small = ember.from_numpy(rng.integers(0, 200, size=(4, 500)).astype(np.uint8))
    np.testing.assert_array_equal(
        reduce(rule, small, (0,), compute=ember.int64), WANT[rule](small.numpy().astype(np.int64), axis=0)
    )
    if rule in EXTREMES:
        u = rng.integers(0, 2**64, size=(3, 200), dtype=np.uint64)
        np.testing.assert_array_equal(reduce(rule, ember.from_numpy(u), (1,)), WANT[rule](u, axis=1))


@needs_opencl
def test_truth_means_and_norms():
    a = np.random.default_rng(2).normal(size=(6, 130)).astype(np.float32)
    x = ember.from_numpy(a)
    flags = ember.from_numpy(a > 2)
    np.testing.assert_array_equal(reduce("max", flags, (1,)), (a > 2).any(1))
    np.testing.assert_array_equal(reduce("min", ember.from_numpy(a < 3), (1,)), (a < 3).all(1))
    np.testing.assert_allclose(reduce("sum", x, (1,), MEAN), a.mean(1, dtype=np.float64), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(reduce("square_sum", x, (1,), SQRT), np.linalg.norm(a, axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        reduce("pow_sum", x, (1,), ROOT, p=3.0), np.linalg.norm(a.astype(float), 3, axis=1), rtol=2e-6
    )


@needs_opencl
def test_special_values_layouts_and_narrow_types():
    a = np.random.default_rng(3).normal(size=(8, 9, 10)).astype(np.float32)
    a[1, 2, 3], a[2, 3, 4] = np.nan, np.inf
    x = ember.from_numpy(a)
    for rule in ("max", "min"):  # nan wins
        np.testing.assert_array_equal(reduce(rule, x, (1,)), WANT[rule](a, axis=1))
    for view, array in [
        (x.transpose(0, 2), a.transpose(2, 1, 0)),
        (x[:, ::-1, 1::3], a[:, ::-1, 1::3]),
        (x[:1].expand(5, 9, 10), np.broadcast_to(a[:1], (5, 9, 10))),
    ]:
        np.testing.assert_allclose(
            reduce("nansum", view, (0, 1)), np.nansum(array.astype(float), axis=(0, 1)), rtol=1e-5, atol=1e-5
        )
    half = ember.from_numpy(np.abs(a[3:])).to(ember.bfloat16)
    got = reduce("sum", half, (0, 2), out=ember.float32, compute=ember.float32)
    np.testing.assert_allclose(got, half.to(ember.float64).numpy().sum((0, 2)), rtol=1e-6)
    empty = ember.zeros(3, 0)
    assert reduce("sum", empty, (1,)).tolist() == [0, 0, 0]
    assert reduce("max", empty, (1,)).tolist() == [-math.inf] * 3
    assert reduce("sum", ember.tensor(2.5), ()).item() == 2.5
