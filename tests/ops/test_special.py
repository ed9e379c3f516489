# What the registry's samples do not reach: orders of polygamma that are large or end in poles, derivatives of functions
# that are not holomorphic, strides that say nothing.
"""Corners of pointwise and special functions."""

import ember
import numpy as np
import pytest
import scipy.special
from against import check, same


@pytest.mark.parametrize("n", [1, 2, 3, 7, 30])
def test_polygamma(n):
    x = np.array([1e-3, 0.3, 1.0, 2.5, 9.0, 400.0, 1e6])
    np.testing.assert_allclose(ember.polygamma(n, ember.tensor(x)).numpy(), scipy.special.polygamma(n, x), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_polygamma_recurs_to_negative_numbers(n):
    """psi_n(x) = psi_n(x + 1) - (-1)^n n! x^-(n + 1)"""
    x = ember.tensor([-0.25, -1.7, -5.5, -40.1], dtype=ember.float64)
    step = (-1) ** n * scipy.special.factorial(n) * x ** -(n + 1)
    a, b = ember.polygamma(n, x), ember.polygamma(n, x + 1) - step
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11)


def test_polygamma_of_poles_and_of_any_order_ends():
    assert ember.polygamma(1, ember.tensor([0.0, -3.0])).tolist() == [np.inf, np.inf]
    assert ember.polygamma(2, ember.tensor([0.0, -3.0])).tolist() == [-np.inf, -np.inf]
    assert ember.polygamma(1, ember.tensor([np.inf])).tolist() == [0.0]
    ember.polygamma(2**62, ember.tensor([0.5, 3.0, -0.5]))


@pytest.mark.parametrize("name", ["abs", "sgn", "conj_physical"])
def test_gradients_of_complex_numbers(name):
    def gradient(m):
        z = m.tensor([1 + 2j, 3 - 1j, -0.5j], requires_grad=True)
        w = m.tensor([1 - 1j, 2.0, 0.5j])
        y = getattr(m, name)(z) * w
        return m.autograd.grad(m.view_as_real(y).sum(), z)

    check(gradient)


def test_results_have_the_strides_of_their_shape():
    """Of one element, or of none, an operand's stride may be anything."""
    for sizes, strides in [((1, 3), (100, 1)), ((0, 3, 2), (144, 48, 1))]:
        check(lambda m: m.empty_strided(sizes, strides).fill_(2.0).neg())
    same(ember.empty_strided((1, 3), (100, 1)).neg().stride(), (3, 1))
