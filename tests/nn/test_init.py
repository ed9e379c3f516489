"""nn.init against torch.nn.init: the same seed gives the same values."""

import warnings

import ember
import pytest
import torch
from nn_oracle import assert_same, seeded

CASES = [
    ("uniform_", (3, 5), {"a": -2.0, "b": 3.0}),
    ("uniform_", (20, 30), {}),
    ("normal_", (3, 5), {"mean": 1.0, "std": 2.0}),
    ("normal_", (20, 30), {}),
    ("trunc_normal_", (20, 30), {"std": 0.5, "a": -0.7, "b": 0.9}),
    ("trunc_normal_", (20, 30), {"std": 0.02}),
    ("trunc_normal_", (20, 30), {"a": 0.9, "b": 1.3}),
    ("constant_", (3, 5), {"val": 0.3}),
    ("ones_", (3, 5), {}),
    ("zeros_", (3, 5), {}),
    ("eye_", (3, 5), {}),
    ("dirac_", (6, 4, 3), {}),
    ("dirac_", (6, 4, 3, 2), {"groups": 3}),
    ("dirac_", (2, 4, 3, 2, 5), {}),
    ("xavier_uniform_", (3, 5, 2), {"gain": 1.5}),
    ("xavier_normal_", (13, 15), {}),
    ("kaiming_uniform_", (13, 15), {"a": 0.2}),
    ("kaiming_uniform_", (3, 5, 2, 2), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (13, 15), {"nonlinearity": "tanh"}),
    ("orthogonal_", (5, 3), {}),
    ("orthogonal_", (3, 4, 2), {"gain": 2.0}),
    ("sparse_", (10, 4), {"sparsity": 0.35}),
]


@pytest.mark.parametrize("name,shape,kwargs", CASES, ids=lambda v: str(v))
def test_same_values(name, shape, kwargs):
    ours = seeded(ember, 5, getattr(ember.nn.init, name), ember.empty(shape), **kwargs)
    theirs = seeded(torch, 5, getattr(torch.nn.init, name), torch.empty(shape), **kwargs)
    assert_same(ours, theirs, name, 1e-5, 1e-6)
    if name.endswith("form_") or name in ("normal_", "xavier_normal_"):
        own = ember.Generator()
        own.manual_seed(9)
        other = torch.Generator()
        other.manual_seed(9)
        assert_same(
            getattr(ember.nn.init, name)(ember.empty(shape), generator=own, **kwargs),
            getattr(torch.nn.init, name)(torch.empty(shape), generator=other, **kwargs),
            f"{name} with a generator",
        )


def test_in_place_without_gradient():
    p = ember.nn.Parameter(ember.empty(3, 3))
    assert ember.nn.init.xavier_normal_(p) is p
    assert p.grad_fn is None and p.requires_grad


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain(name):
    assert ember.nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert ember.nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_fans():
    for shape in ((3, 5), (3, 5, 2), (3, 5, 2, 4)):
        expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert ember.nn.init._calculate_fan_in_and_fan_out(ember.empty(shape)) == expected


def test_old_names_warn():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ember.nn.init.xavier_uniform(ember.empty(2, 2))
    assert caught[0].category is FutureWarning and "nn.init.xavier_uniform_" in str(caught[0].message)
