"""Kernels written from the pointwise entries, held against the CPU's.

Every entry, forward and each partial, in every type that it is defined for: compiled for NVIDIA targets by NVRTC, which
needs no GPU, and run by OpenCL (PoCL where there is no device) against the CPU's tiles, which tests/ops hold against
PyTorch. Operands that are strided, broadcast, offset or narrow take the same bodies through other loads and stores:
those are tested on a few ops.
"""

import zlib

import ember
import numpy as np
import pytest
from ember import _C
from gpu_tools import needs_nvrtc, needs_opencl

NUMPY = {
    ember.bool: np.bool_,
    ember.int64: np.int64,
    ember.uint64: np.uint64,
    ember.float32: np.float32,
    ember.float64: np.float64,
    ember.complex64: np.complex64,
    ember.complex128: np.complex128,
}
SHORT = dict(zip(NUMPY, ["bool", "i64", "u64", "f32", "f64", "c64", "c128"]))  # in kernels' names
ENTRIES = _C._gpu_ops()  # (op, inputs, numbers, mask of conditions, [(which, dtype), ...])
KERNELS = {d: [(op, which, t) for op, _, _, _, kernels in ENTRIES for which, t in kernels if t == d] for d in NUMPY}
SHAPES = {op: (inputs, numbers, masks) for op, inputs, numbers, masks, _ in ENTRIES}

# Where terms of the size of the operands cancel, an error is measured against the operands.
CANCELLING = {"lgamma", "digamma", "silu", "_gelu_erf", "_gelu_tanh", "mish", "tanhshrink"}
# Losses whose terms change sign: log(1 - x) - log(x) is 0 at 1/2.
CANCELLING |= {"_binary_cross_entropy", "_binary_cross_entropy_logits", "_kl_div"}
CANCELLING |= {"special_entr"}  # its derivative -1 - log(x) is 0 at 1/e
ULPS = {"pow": 32}  # of complex numbers, exp(w log z): the error grows with the exponent


def test_every_entry_has_kernels():
    assert len(ENTRIES) >= 100
    assert all(kernels for *_, kernels in ENTRIES)
    partials = {(op, which) for op, *_, kernels in ENTRIES for which, _ in kernels if which >= 0}
    assert ("silu", 0) in partials and ("addcmul", 2) in partials


def test_shared_subexpressions_are_one_temporary():
    text = _C._gpu_source("_gelu_tanh", 0, ember.float32, "opencl")
    kernel = text[text.index("KERNEL k_") : text.index("KERNEL k_", text.index("KERNEL k_") + 1)]
    assert kernel.count("tanh_f32(") == 1
    assert "0.797884583f" in kernel  # the type's suffix


def test_what_does_not_exist_is_an_error():
    with pytest.raises(RuntimeError, match="gcd.*no such kernel"):
        _C._gpu_source("gcd", -1, ember.float32, "cuda")
    with pytest.raises(RuntimeError, match="abs.*no such kernel.*partial 0"):
        _C._gpu_source("abs", 0, ember.complex64, "cuda")  # not holomorphic


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "compute_90"])
@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_nvrtc_compiles_every_entry(dtype, arch):
    text = _C._gpu_program(KERNELS[dtype], 0, "cuda")
    code = _C._nvrtc_compile(text, arch)
    assert code.startswith(b"\x7fELF") if arch.startswith("sm_") else b".target sm_90" in code
    for op, which, _ in KERNELS[dtype]:
        partial = f"_d{which}" if which >= 0 else ""
        assert f"k_{op.split('.')[0]}_{SHORT[dtype]}{partial}".encode() in code


@needs_nvrtc
def test_nvrtc_compiles_strided_kernels():
    kernels = [k for d in (ember.float32, ember.complex64, ember.int64) for k in KERNELS[d][::7]]
    assert b".entry" in _C._nvrtc_compile(_C._gpu_program(kernels, 3, "cuda"), "compute_80")


@needs_nvrtc
def test_nvrtc_reports_errors():
    with pytest.raises(RuntimeError, match="(?s)does not compile.*undefined"):
        _C._nvrtc_compile("__global__ void f() { g(); }", "sm_80")


DIVIDING = {"floor_divide", "_trunc_divide", "remainder", "fmod"}  # integers by 0 are refused before a kernel runs
SPECIAL = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3.5, 10, -10, 1e-6, -1e-6, 90, -90, 1e10, -1e10]
SPECIAL += [np.inf, -np.inf, np.nan]


def values(rng, dtype, n):
    """Random and special values, in random order."""
    t = NUMPY[dtype]
    if dtype == ember.bool:
        return rng.integers(0, 2, n).astype(bool)
    if dtype == ember.int64:
        x = rng.integers(-9, 10, n)
        x[:8] = [0, -1, 1, -(2**63), 2**63 - 1, -7, 3, 0]
    elif dtype == ember.uint64:
        x = rng.integers(0, 20, n).astype(t)
        x[:4] = [0, 1, 2**64 - 1, 2**63]
    elif dtype.is_complex:
        x = rng.normal(size=n) + 1j * rng.normal(size=n)
    else:
        x = rng.normal(size=n) * 1.5
        x[: len(SPECIAL)] = SPECIAL
        x[len(SPECIAL) : len(SPECIAL) + 60] = rng.uniform(-1, 1, 60)
    return rng.permutation(x).astype(t)


def operands(rng, op, which, dtype, n=320):
    """Tensors and numbers of a call; of a partial: g, the inputs and the result."""
    inputs, numbers, masks = SHAPES[op]
    arrays = [values(rng, ember.bool if masks >> i & 1 else dtype, n) for i in range(inputs)]
    if op in DIVIDING and arrays[1].dtype.kind in "iu":
        arrays[1][arrays[1] == 0] = 5
    tensors = [ember.from_numpy(a) for a in arrays]
    scalars = [0.75 if dtype.is_floating_point or dtype.is_complex else 2] * numbers
    if which >= 0:
        g = rng.normal(size=n).astype(NUMPY[dtype])
        tensors = [ember.from_numpy(g), *tensors, _C._pointwise_run(op, -1, tensors, scalars)]
    return tensors, scalars


def check(op, got, want, tensors=(), ulps=4):
    """Raises unless `got` is `want`: integers and special values exactly, floats to some ulp."""
    got, want = got.numpy(), want.numpy()
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    if want.dtype.kind == "f":
        np.testing.assert_array_equal(got[~finite], want[~finite])
    size = np.abs(want)
    if op in CANCELLING:
        for t in tensors:
            t = np.abs(t.numpy())
            size = np.maximum(size, np.where(np.isfinite(t), t, 0))
    info = np.finfo(want.dtype)
    error = np.abs(got - want)[finite] / (info.eps * np.maximum(size, info.tiny))[finite]
    assert error.max(initial=0) <= ulps, f"{error.max()} ulp"


@needs_opencl
@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_opencl_agrees_with_cpu(dtype):
    _C._opencl_prepare(KERNELS[dtype], 0)
    failures = []
    for op, which, _ in KERNELS[dtype]:
        rng = np.random.default_rng(zlib.crc32(f"{op} {which}".encode()))  # whatever else is in the table
        with np.errstate(all="ignore"):
            tensors, numbers = operands(rng, op, which, dtype)
            got, want = _C._opencl_run(op, which, tensors, numbers), _C._pointwise_run(op, which, tensors, numbers)
            try:
                check(op, got, want, tensors, ULPS.get(op, 8) if dtype.is_complex else 5)
            except AssertionError as e:
                failures.append(f"{op}, {'forward' if which < 0 else f'partial {which}'}: {e}")
    assert not failures, f"{len(failures)} of {len(KERNELS[dtype])}:\n" + "\n".join(failures)


def layouts(make):
    """The same operand in every layout that a kernel may meet, made from an array of shape (6, 5, 4)."""
    x = ember.from_numpy(make((6, 5, 4)))
    yield x
    yield x.transpose(0, 2).contiguous().transpose(0, 2)
    yield ember.from_numpy(make((12, 5, 9)))[1::2, :, 3:7]
    yield ember.from_numpy(make((6, 1, 4))).expand(6, 5, 4)
    yield ember.from_numpy(make((4,)))
    yield x[:, ::-1]


@needs_opencl
@pytest.mark.parametrize("op, which", [("addcmul", -1), ("addcmul", 1), ("where.self", -1), ("silu", 0)])
def test_opencl_takes_any_layout(op, which):
    rng = np.random.default_rng(1)
    inputs, numbers, masks = SHAPES[op]
    floats, flags = (
        list(layouts(lambda s: rng.normal(size=s).astype(np.float32))),
        list(layouts(lambda s: rng.normal(size=s) > 0)),
    )
    for shift in range(3 if inputs > 1 else len(floats)):
        tensors = [
            (flags if masks >> i & 1 else floats)[(shift + (2 * i if i else 0)) % len(floats)] for i in range(inputs)
        ]
        scalars = [0.5] * numbers
        if which >= 0:
            y = _C._pointwise_run(op, -1, tensors, scalars)
            tensors = [ember.from_numpy(rng.normal(size=tuple(y.shape)).astype(np.float32)), *tensors, y]
        got, want = _C._opencl_run(op, which, tensors, scalars), _C._pointwise_run(op, which, tensors, scalars)
        check(op, got, want)
        assert which >= 0 or got.stride() == want.stride()


@needs_opencl
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int16", "uint32"])
@pytest.mark.parametrize("op", ["mul", "maximum", "lt", "sqrt"])
def test_opencl_stores_narrow_types(op, dtype):
    rng = np.random.default_rng(2)
    d = getattr(ember, dtype)
    x = ember.from_numpy((rng.normal(size=(7, 30)) * 50).astype(np.float32)).abs().to(d)
    tensors = [x, x[:, ::-1]][: SHAPES[op][0]]
    got, want = _C._opencl_run(op, -1, tensors, []), _C._pointwise_run(op, -1, tensors, [])
    assert got.dtype == want.dtype
    exact = want.dtype != ember.float32  # rounded to a narrow type, both are the same
    check(op, got.to(ember.float32), want.to(ember.float32), ulps=0 if exact else 1)


@needs_opencl
def test_opencl_mixed_and_empty():
    a, b = ember.tensor([1, 2, 3], dtype=ember.int32), ember.tensor([[0.5], [1.5]])
    check("mul", _C._opencl_run("mul", -1, [a, b], []), a * b)
    z = ember.tensor([1 + 2j, 3 - 1j])
    check("add", _C._opencl_run("add", -1, [z, ember.tensor([0.5, 2.0])], [1]), z + ember.tensor([0.5, 2.0]))
    assert _C._opencl_run("exp", -1, [ember.zeros(0, 3)], []).shape == (0, 3)
