# Every random op draws PyTorch's numbers for the same seed, whatever its form, dtype and layout.
"""Random ops."""

import ember
import numpy as np
import pytest
import torch
from against import array, check_error

DRAWS = {
    "rand": lambda m: m.rand(20),
    "rand f64": lambda m: m.rand(3, 5, dtype=m.float64),
    "rand f16": lambda m: m.rand(20, dtype=m.float16),
    "randn": lambda m: m.randn(4, 9),
    "randn few": lambda m: m.randn(5),
    "randn complex": lambda m: m.randn(5, dtype=m.complex64),
    "randn generator": lambda m: m.randn(20, generator=m.Generator().manual_seed(5)),
    "randint": lambda m: m.randint(10, (5,)),
    "randint low": lambda m: m.randint(-3, 10, (5,), dtype=m.int16),
    "randperm": lambda m: m.randperm(30),
    "randperm i32": lambda m: m.randperm(7, dtype=m.int32),
    "rand_like": lambda m: m.rand_like(m.zeros(4, 5).t()),
    "randn_like": lambda m: m.randn_like(m.zeros(4, 5).t()),
    "randint_like": lambda m: m.randint_like(m.zeros(4, 5), 10),
    "randint_like low": lambda m: m.randint_like(m.zeros(4, 5), 3, 10),
    "normal tensors": lambda m: m.normal(m.arange(5.0), m.ones(5)),
    "normal mean tensor": lambda m: m.normal(m.arange(5.0), 2.0),
    "normal std tensor": lambda m: m.normal(1.0, m.arange(5.0)),
    "normal floats": lambda m: m.normal(1.0, 2.0, (5,)),
    "uniform_": lambda m: m.zeros(20).uniform_(-1, 3),
    "uniform_ with gaps": lambda m: m.zeros(5, 6)[:, ::2].uniform_(),
    "normal_": lambda m: m.zeros(20).normal_(1, 2),
    "normal_ transposed": lambda m: m.zeros(5, 6).t().normal_(),
    "exponential_": lambda m: m.zeros(20).exponential_(2),
    "geometric_": lambda m: m.zeros(20).geometric_(0.3),
    "cauchy_": lambda m: m.zeros(20).cauchy_(),
    "log_normal_": lambda m: m.zeros(20).log_normal_(),
    "random_": lambda m: m.zeros(20, dtype=m.int64).random_(),
    "random_ to": lambda m: m.zeros(20).random_(7),
    "random_ from": lambda m: m.zeros(20).random_(3, 9),
    "bernoulli": lambda m: m.bernoulli(m.full((20,), 0.4)),
    "bernoulli transposed": lambda m: m.bernoulli(m.full((4, 5), 0.5).t()),
    "bernoulli p": lambda m: m.bernoulli(m.zeros(20), 0.4),
    "bernoulli_": lambda m: m.zeros(20).bernoulli_(),
    "bernoulli_ p": lambda m: m.zeros(20, dtype=m.bool).bernoulli_(0.2),
    "bernoulli_ tensor": lambda m: m.zeros(4, 5).bernoulli_(m.full((5,), 0.3)),
    "multinomial": lambda m: m.multinomial(m.arange(1.0, 6.0), 3),
    "multinomial rows": lambda m: m.multinomial(m.arange(1.0, 7.0).view(2, 3), 8, True),
    "poisson": lambda m: m.poisson(m.arange(10.0)),
    "binomial": lambda m: m.binomial(m.full((5,), 10.0), m.full((5,), 0.4)),
    "gamma": lambda m: m._standard_gamma(m.arange(1.0, 6.0)),
    "dirichlet": lambda m: m._sample_dirichlet(m.ones(3, 4)),
    "dropout": lambda m: m.dropout(m.ones(40), 0.3, True),
    "dropout f16": lambda m: m.dropout(m.ones(40, dtype=m.float16), 0.3, True),
    "dropout transposed": lambda m: m.dropout(m.ones(6, 7).t(), 0.3, True),
    "dropout with gaps": lambda m: m.dropout(m.ones(6, 7)[:, ::2], 0.3, True),
    "dropout all": lambda m: m.dropout(m.ones(6), 1.0, True),
    "dropout none": lambda m: m.dropout(m.ones(6), 0.5, False),
    "dropout_": lambda m: m.dropout_(m.ones(20), 0.5, True),
    "feature_dropout": lambda m: m.feature_dropout(m.ones(3, 4, 2), 0.3, True),
    "alpha_dropout": lambda m: m.alpha_dropout(m.ones(40), 0.3, True),
    "feature_alpha_dropout": lambda m: m.feature_alpha_dropout(m.ones(3, 4, 2), 0.3, True),
    "rrelu": lambda m: m.rrelu(m.arange(-10.0, 10.0), 0.1, 0.3, True),
    "rrelu_": lambda m: m.rrelu_(m.arange(-10.0, 10.0), 0.1, 0.3, True),
    "rrelu eval": lambda m: m.rrelu(m.arange(-10.0, 10.0)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws(name):
    out = []
    for m in (ember, torch):
        m.manual_seed(3)
        x = DRAWS[name](m)
        out.append((array(x), str(x.dtype).split(".")[1], m.rand(3)))  # and the stream goes on alike
    (a, a_type, a_next), (b, b_type, b_next) = out
    assert a_type == b_type
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
    assert a_next.tolist() == b_next.tolist()


def test_dropout_gradient_is_the_mask():
    x = ember.ones(50, requires_grad=True)
    y = ember.dropout(x, 0.4, True)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    assert set(y.tolist()) == {0.0, ember.tensor(1 / 0.6).item()}


def test_rrelu_gradient():
    x = ember.tensor([-1.0, 2.0, -3.0], requires_grad=True)
    y = ember.rrelu(x, 0.1, 0.3, True)
    y.sum().backward()
    assert (y / x).tolist() == pytest.approx(x.grad.tolist())


def test_filling_forgets():
    x = ember.ones(3, requires_grad=True)
    y = x * 2
    y.uniform_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0]


ERRORS = [
    lambda m: m.zeros(3).normal_(0, -1),
    lambda m: m.zeros(3).exponential_(-1),
    lambda m: m.zeros(3).geometric_(2),
    lambda m: m.zeros(3, dtype=m.int32).cauchy_(),
    lambda m: m.zeros(3).uniform_(2, 1),
    lambda m: m.randint(3, 3, (2,)),
    lambda m: m.randperm(-1),
    lambda m: m.rand(3, dtype=m.int64),
    lambda m: m.bernoulli(m.full((3,), 2.0)),
    lambda m: m.zeros(3).bernoulli_(2),
    lambda m: m.multinomial(m.ones(3), 4),
    lambda m: m.multinomial(m.ones(3), 0),
    lambda m: m.multinomial(m.zeros(3), 2),
    lambda m: m.multinomial(m.ones(3, dtype=m.int64), 2),
    lambda m: m.dropout(m.ones(3), 1.5, True),
    lambda m: m.feature_dropout(m.ones(3), 0.5, True),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    ours, theirs = check_error(ERRORS[i])
    assert ours.split()[0]
    assert theirs
