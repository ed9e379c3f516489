# Factories, copies and casts against PyTorch: values, dtypes, strides, devices, errors.
"""Creation, copies and dtypes."""

import ember
import pytest
import torch
from against import check, check_error, check_gradient, same

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64"]

FACTORIES = [
    lambda m: m.zeros(2, 3),
    lambda m: m.zeros((2, 3), dtype=m.int64),
    lambda m: m.zeros(()),
    lambda m: m.ones(2, 0),
    lambda m: m.full((2,), 3),
    lambda m: m.full((2,), True),
    lambda m: m.full((2,), 1.5),
    lambda m: m.full((2,), 1 + 2j),
    lambda m: m.full((2,), 3, dtype=m.float16),
    lambda m: m.empty(0, 3),
    lambda m: m.empty(2, 3, device="meta"),
    lambda m: m.empty_strided((2, 3), (1, 2), device="meta"),
    lambda m: m.zeros_like(m.ones(2, 3).t()),
    lambda m: m.ones_like(m.ones(2, 3, 4).transpose(1, 2)[:, ::2]),
    lambda m: m.full_like(m.ones(2, 3), 7, dtype=m.int32),
    lambda m: m.zeros_like(m.ones(1, 2, 3, 4), memory_format=m.channels_last),
    lambda m: m.zeros_like(m.ones(2, 3).t(), memory_format=m.contiguous_format),
    lambda m: m.ones(2, 3).expand(4, 2, 3).clone(),
    lambda m: m.zeros_like(m.ones(3, 1).expand(3, 4)),
    lambda m: m.ones(2, dtype=m.float64).new_zeros(3, 2),
    lambda m: m.ones(2, dtype=m.int32).new_ones((3,)),
    lambda m: m.ones(2).new_full((3,), 7, dtype=m.int16),
    lambda m: m.ones(2).new_empty(0),
    lambda m: m.ones(2).new_tensor([1, 2]),
    lambda m: m.scalar_tensor(3),
    lambda m: m.arange(5),
    lambda m: m.arange(2, 9),
    lambda m: m.arange(2, 9, 3),
    lambda m: m.arange(9, 2, -3),
    lambda m: m.arange(5.0),
    lambda m: m.arange(0, 1, 0.1),
    lambda m: m.arange(1, 2.5, 0.5),
    lambda m: m.arange(5, dtype=m.float16),
    lambda m: m.arange(0.5, 6, dtype=m.int32),
    lambda m: m.arange(3, 3),
    lambda m: m.arange(0, 10, 3, dtype=m.uint8),
    lambda m: m.linspace(0, 1, 7),
    lambda m: m.linspace(-3, 10, 5),
    lambda m: m.linspace(3, -3, 4, dtype=m.float64),
    lambda m: m.linspace(0, 10, 1),
    lambda m: m.linspace(0, 10, 0),
    lambda m: m.linspace(0, 10, 4, dtype=m.int64),
    lambda m: m.linspace(0, 1 + 1j, 3),
    lambda m: m.logspace(0, 2, 5),
    lambda m: m.logspace(0, 3, 4, base=2, dtype=m.float64),
    lambda m: m.eye(3),
    lambda m: m.eye(2, 4, dtype=m.int64),
    lambda m: m.eye(0),
    lambda m: m.tril(m.arange(12).view(3, 4)),
    lambda m: m.tril(m.arange(24).view(2, 3, 4), 1),
    lambda m: m.triu(m.arange(12).view(3, 4), -1),
    lambda m: m.arange(12.0).view(3, 4).t().triu(),
    lambda m: m.arange(12.0).view(3, 4).t().tril_(-1),
    lambda m: m.tril_indices(3, 4, 1),
    lambda m: m.triu_indices(3, 3, -1, dtype=m.int32),
    lambda m: m.diag(m.arange(3)),
    lambda m: m.diag(m.arange(3), -2),
    lambda m: m.diag(m.arange(12).view(3, 4), 1),
    lambda m: m.diagflat(m.arange(4).view(2, 2)),
    lambda m: m.diag_embed(m.arange(6).view(2, 3)),
    lambda m: m.diag_embed(m.arange(6).view(2, 3), -1, 0, 2),
    lambda m: m.complex(m.arange(3.0), m.ones(3)),
    lambda m: m.polar(m.arange(3.0), m.ones(3)),
    lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="ij"),
    lambda m: m.meshgrid(m.arange(2), m.arange(3), m.arange(2), indexing="xy"),
    lambda m: m.cartesian_prod(m.arange(2), m.arange(3)),
    lambda m: m.combinations(m.arange(4)),
    lambda m: m.combinations(m.arange(4), 3, True),
    lambda m: m.combinations(m.arange(2), 3),
    lambda m: m.vander(m.arange(4), 3),
    lambda m: m.vander(m.arange(4.0), increasing=True),
    lambda m: m.hann_window(8),
    lambda m: m.hann_window(7, False, dtype=m.float64),
    lambda m: m.hamming_window(8),
    lambda m: m.hamming_window(8, True, 0.5, 0.4),
    lambda m: m.blackman_window(9),
    lambda m: m.bartlett_window(6),
    lambda m: m.block_diag(m.ones(2, 1), m.ones(3), m.ones(())),
    lambda m: m.conj(m.tensor([1 + 2j, 3.0])),
    lambda m: m.angle(m.tensor([1 + 2j, -3.0])),
    lambda m: m.angle(m.tensor([-1.0, 0.0, float("nan")])),
    lambda m: m.angle(m.tensor([-1, 2])),
]


@pytest.mark.parametrize("i", range(len(FACTORIES)))
def test_factory(i):
    check(FACTORIES[i])


@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_cast(source, to):
    def f(m):
        x = m.tensor([[0, 1, 2], [3, 100, 7]]).to(getattr(m, source))
        return x.to(getattr(m, to)), x.t().to(dtype=getattr(m, to)), x[:, ::2].to(getattr(m, to))

    check(f)


def test_casts_by_name():
    names = ["float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool", "cfloat"]
    check(lambda m: [getattr(m.tensor([[0.0, 1.7, 2.7]]).t(), n)() for n in names])
    check(lambda m: m.ones(3).type_as(m.ones(1, dtype=m.int16)))


def test_to_keeps_or_copies():
    x = ember.ones(3)
    assert x.to(ember.float32) is x
    assert x.to("cpu") is x
    assert x.to(x) is x
    assert x.float() is x
    assert x.contiguous() is x
    assert x.to(ember.float32, copy=True) is not x
    assert x.to(device="meta").is_meta
    check(lambda m: m.ones(1, 2, 3, 4).to(memory_format=m.channels_last))
    check(lambda m: m.ones(1, 2, 3, 4).contiguous(memory_format=m.channels_last))


def test_copy_broadcasts_and_converts():
    def f(m):
        x = m.zeros(2, 3)
        x.copy_(m.arange(3))
        x[:, 1].copy_(m.tensor([7, 8]))
        x.t()[2].copy_(m.tensor(True))
        return x

    check(f)
    check(lambda m: m.zeros(2, 2, dtype=m.complex64).copy_(m.eye(2)))
    check_gradient(lambda m, x, y: (x * 1).copy_(y), (2, 3), (3,))


def test_copy_of_what_overlaps():
    x = ember.arange(6)
    x[1:].copy_(x[:-1].clone())
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    y = ember.arange(4)
    y.copy_(y.flip(0))
    assert y.tolist() == [3, 2, 1, 0]


def test_fill():
    check(lambda m: m.zeros(2, 3).t().fill_(3))
    check(lambda m: m.zeros(3, dtype=m.int32).fill_(1.5))
    check(lambda m: m.zeros(3).fill_(m.tensor(2)))
    check(lambda m: m.ones(4, 4)[:, ::2].zero_())
    check(lambda m: m.fill(m.zeros(3), 2))
    check(lambda m: m.zeros(3, 4).fill_diagonal_(2))
    check(lambda m: m.zeros(7, 2).fill_diagonal_(2, wrap=True))
    check(lambda m: m.zeros(3, 3, 3).fill_diagonal_(2))
    check_gradient(lambda m, x, v: (x * 1).fill_(v.sum()), (3,), (2,))


def test_clone():
    check(lambda m: m.arange(12).view(3, 4).t().clone())
    check(lambda m: m.arange(12).view(3, 4)[:, ::2].clone())
    check(lambda m: m.arange(3).expand(2, 3).clone())
    check(lambda m: m.arange(12).view(3, 4).t().clone(memory_format=m.contiguous_format))
    check_gradient(lambda m, x: x.clone().double().float().to(m.float64), (3,))


def test_masked_fill():
    mask = lambda m: m.tensor([True, False, True])  # noqa: E731
    check(lambda m: m.arange(6).view(2, 3).masked_fill(mask(m), -1))
    check(lambda m: m.arange(3.0).masked_fill(mask(m), float("-inf")))
    check(lambda m: m.arange(3.0).masked_fill_(mask(m), m.tensor(5)))
    check(lambda m: m.arange(3).masked_fill(m.ones(2, 3, dtype=m.bool), 9))
    check(lambda m: m.zeros(3, dtype=m.bfloat16).t().masked_fill(mask(m), 2))
    check_gradient(lambda m, x: x.masked_fill(mask(m), 2.0), (2, 3))
    check_gradient(lambda m, x, v: x.masked_fill(mask(m), v.sum()), (2, 3), (2,))


def test_resize_and_set():
    check(lambda m: m.arange(6).resize_(2, 2))
    x = ember.arange(3)
    assert x.resize_(5).shape == (5,)
    assert x[:3].tolist() == [0, 1, 2]
    check(lambda m: m.arange(6).resize_as_(m.zeros(3)))
    y = ember.zeros(1, dtype=ember.int64).set_(x)
    y[0] = 9
    assert x[0] == 9


def test_requires_grad_of_factories():
    for f in ("zeros", "ones", "rand", "randn", "empty"):
        assert getattr(ember, f)(2, requires_grad=True).requires_grad
    assert ember.arange(3.0, requires_grad=True).is_leaf


ERRORS = [
    lambda m: m.arange(0, 5, 0),
    lambda m: m.arange(0, 5, -1),
    lambda m: m.arange(float("inf")),
    lambda m: m.arange(3, dtype=m.bool),
    lambda m: m.linspace(0, 1, -1),
    lambda m: m.eye(-1),
    lambda m: m.eye(2, -1),
    lambda m: m.tril(m.zeros(3)),
    lambda m: m.diag(m.zeros(3, 3, 3)),
    lambda m: m.diag_embed(m.zeros(3), 0, 0, 0),
    lambda m: m.complex(m.zeros(3).int(), m.zeros(3).int()),
    lambda m: m.combinations(m.zeros(2, 2)),
    lambda m: m.full((2,), 300, dtype=m.uint8),
    lambda m: m.zeros(2, dtype=m.int32).fill_(1j),
    lambda m: m.zeros(3).fill_(m.zeros(1)),
    lambda m: m.zeros(2).masked_fill(m.zeros(2), 1),
    lambda m: m.zeros(2).masked_fill(m.zeros(2) > 0, m.zeros(1)),
    lambda m: m.zeros(2).masked_fill(m.zeros(2) > 0, 1j),
    lambda m: m.zeros(2, device="meta").to("cpu"),
    lambda m: m.zeros(2).copy_(m.zeros(3)),
    lambda m: m.zeros(2).copy_(m.zeros(3, 2)),
    lambda m: m.zeros(2).contiguous(memory_format=m.channels_last),
    lambda m: m.zeros(2, -1),
    lambda m: m.hann_window(-1),
    lambda m: m.ones(3, requires_grad=True).resize_(2),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    check_error(ERRORS[i])


def test_messages():
    with pytest.raises(RuntimeError, match="The size of tensor a \\(2\\) must match the size of tensor b \\(3\\)"):
        ember.zeros(2).copy_(ember.zeros(3))
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        ember.zeros(2, device="meta").to("cpu")
    same(ember.zeros(2), torch.zeros(2))
