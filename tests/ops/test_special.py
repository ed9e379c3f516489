# What the registry's samples do not reach: orders of polygamma that are large or end in poles, derivatives of functions
# that are not holomorphic, strides that say nothing.
"""Corners of pointwise and special functions."""

import ember
import numpy as np
import pytest
import scipy.special
import torch
from against import check, check_gradient, same


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


def test_entr():
    x = np.array([0.0, -0.0, 1e-300, 0.3, 1.0, 7.0, -1e-300, -2.0, np.inf, -np.inf, np.nan])
    np.testing.assert_allclose(ember.special.entr(ember.tensor(x)).numpy(), scipy.special.entr(x), rtol=1e-14)
    check(lambda m: m.special.entr(m.tensor([-1, 0, 1, 5])))
    check_gradient(lambda m, x: m.special.entr(x * x), (3, 4))
    with pytest.raises(NotImplementedError, match="special_entr"):
        ember.special.entr(ember.tensor([1j]))


@pytest.mark.parametrize("start", [0.0, -1.0])
def test_gradient_of_entr_where_it_ends(start):
    def gradient(m):
        x = m.tensor(start, requires_grad=True)
        return m.autograd.grad(m.special.entr(x), x)

    check(gradient)


def test_module_special():
    """Its functions are PyTorch's, and ops of the prefix are not at the top level."""
    names = [n for n in dir(ember.special) if not n.startswith("_") and n != "prefixed_ops"]
    assert {"entr", "expit", "softmax"} <= set(names) and not hasattr(ember, "special_entr")
    assert all(hasattr(torch.special, name) for name in names)
    x = ember.tensor([0.2, 0.7])
    assert ember.special.expit(x).tolist() == x.sigmoid().tolist()
    assert ember.special.gammaln(x).tolist() == x.lgamma().tolist()
    with pytest.raises(AttributeError, match="'ember.special' has no attribute 'nothing'"):
        ember.special.nothing  # noqa: B018


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
