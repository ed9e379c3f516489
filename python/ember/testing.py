# Comparing results in tests, with PyTorch's tolerances and words.
"""assert_close and make_tensor."""

import math

import ember
from ember import _C

__all__ = ["assert_close", "make_tensor"]

_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def _tolerance(*dtypes):
    found = [_TOLERANCES.get(str(d)[6:], (0.0, 0.0)) for d in dtypes]
    return max(r for r, _ in found), max(a for _, a in found)


def _where(path):
    return f"\n\nThe failure occurred for item {path}" if path else ""


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
    _path="",
):
    """AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere, with equal shapes and dtypes.

    Tensors, numbers, and sequences and mappings of them; tolerances that are not given come from the dtypes.

    >>> ember.testing.assert_close(ember.ones(2), ember.ones(2) + 1e-7)
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            f"rtol and atol must both be specified or both be unspecified, but got rtol={rtol} and atol={atol}"
        )
    rest = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_device": check_device,
        "check_dtype": check_dtype,
        "check_stride": check_stride,
        "msg": msg,
    }
    if isinstance(actual, dict) and isinstance(expected, dict):
        if actual.keys() != expected.keys():
            raise AssertionError(
                f"The keys of the mappings do not match: {list(actual)} and {list(expected)}{_where(_path)}"
            )
        for key in actual:
            assert_close(actual[key], expected[key], _path=f"{_path}[{key!r}]", **rest)
        return
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            raise AssertionError(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{_where(_path)}"
            )
        for i, (a, e) in enumerate(zip(actual, expected)):
            assert_close(a, e, _path=f"{_path}[{i}]", **rest)
        return
    if actual is None and expected is None:
        return
    problem = _compare(_C.as_tensor(actual), _C.as_tensor(expected), rest)
    if problem:
        text = problem + _where(_path)
        raise AssertionError(text if msg is None else msg(text) if callable(msg) else msg)


def _compare(actual, expected, o):
    """What differs, or an empty string."""
    if actual.shape != expected.shape:
        return f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
    if o["check_dtype"] and actual.dtype != expected.dtype:
        return f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}."
    if o["check_device"] and actual.device != expected.device:
        return f"The values for attribute 'device' do not match: {actual.device} != {expected.device}."
    if o["check_stride"] and actual.stride() != expected.stride():
        return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
    rtol, atol = (o["rtol"], o["atol"]) if o["rtol"] is not None else _tolerance(actual.dtype, expected.dtype)
    with ember.no_grad():
        actual, expected = actual.detach(), expected.detach()
        common = ember.promote_types(actual.dtype, expected.dtype)
        if common.is_floating_point and common.itemsize < 4:
            common = ember.float32
        a, e = actual.to(common), expected.to(common)
        close = ember.isclose(a, e, rtol=rtol, atol=atol, equal_nan=o["equal_nan"])
        if bool(close.all()):
            return ""
        wrong, total = int((~close).sum()), close.numel()
        wide = common if common.is_floating_point or common.is_complex else ember.float64
        distance = (a.to(wide) - e.to(wide)).abs()
        worst = (
            float(distance.nan_to_num(nan=math.inf).max()) if hasattr(distance, "nan_to_num") else float(distance.max())
        )
    if total == 1 and actual.dim() == 0:
        return (
            f"Scalars are not close!\n\nExpected {expected.item()} but got {actual.item()}.\n"
            f"Absolute difference: {worst} (up to {atol} allowed)"
        )
    kind = "equal" if rtol == atol == 0 else "close"
    return (
        f"Tensor-likes are not {kind}!\n\nMismatched elements: {wrong} / {total} ({100 * wrong / total:.1f}%)\n"
        f"Greatest absolute difference: {worst} (up to {atol} allowed, with a relative tolerance of {rtol})"
    )


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False, **_):
    """A tensor of random values from [low, high), [-9, 9) unless given."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if dtype is ember.bool:
        made = ember.rand(shape) < 0.5
    elif dtype.is_floating_point or dtype.is_complex:
        low, high = -9 if low is None else low, 9 if high is None else high
        made = (ember.rand(shape, dtype=ember.float64) * (high - low) + low).to(dtype)
    else:
        low = (0 if not dtype.is_signed else -9) if low is None else low
        made = ember.randint(low, 10 if high is None else high, shape, dtype=dtype)
    if noncontiguous and made.numel() > 1:
        made = made.repeat_interleave(2, dim=-1)[..., ::2]
    return made.requires_grad_(requires_grad)
