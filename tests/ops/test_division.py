"""Integers divided by zero are refused as PyTorch refuses them; floating-point numbers give infinity and NaN."""

import ember
import pytest
from against import check, check_error

DIVISIONS = {
    "floor": lambda m, x, y: x // y,
    "trunc": lambda m, x, y: m.div(x, y, rounding_mode="trunc"),
    "remainder": lambda m, x, y: x % y,
    "fmod": lambda m, x, y: m.fmod(x, y),
}


@pytest.mark.parametrize("divide", DIVISIONS.values(), ids=DIVISIONS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_integers_divided_by_zero(divide, dtype):
    def x(m):
        return m.tensor([5, 7, 0], dtype=getattr(m, dtype))

    for zero in (lambda m: 0, x, lambda m: x(m)[2], lambda m: x(m).flip(0).expand(2, 3)):
        ours, _ = check_error(lambda m, zero=zero: divide(m, x(m), zero(m)))
        assert "ZeroDivisionError" in ours
    check(lambda m: divide(m, x(m), 2))
    check(lambda m: divide(m, x(m)[:0], 0))
    check(lambda m: divide(m, x(m), 0.0).isfinite())


def test_a_failed_division_in_place_changes_nothing():
    x = ember.tensor([5, 7])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        x //= 0
    assert x.tolist() == [5, 7]
