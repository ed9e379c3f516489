# Reading images at points against PyTorch: modes, paddings, alignment, gradients; fractional pooling.
"""grid_sample, affine_grid, fractional pooling."""

import ember
import numpy as np
import pytest
import torch
from against import check, check_gradient


def data(m, *shape, seed=0):
    return m.tensor(np.random.default_rng(seed).normal(size=shape).round(3).tolist())


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [True, False])
def test_grid_sample(mode, padding, align):
    def f(m):
        return m.nn.functional.grid_sample(
            data(m, 2, 3, 5, 6).double(), data(m, 2, 4, 3, 2, seed=1).double(), mode, padding, align
        )

    check(f)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_of_volumes(padding):
    check(
        lambda m: m.nn.functional.grid_sample(
            data(m, 1, 2, 3, 4, 5), data(m, 1, 2, 3, 2, 3, seed=1), padding_mode=padding, align_corners=False
        )
    )


def test_gradients():
    def f(m):
        x, g = data(m, 1, 2, 4, 4).double().requires_grad_(), (data(m, 1, 3, 3, 2) * 0.5).double().requires_grad_()
        y = m.nn.functional.grid_sample(x, g, align_corners=False)
        (y * y).sum().backward()
        return x.grad, g.grad

    check(f)


@pytest.mark.parametrize("size", [(2, 1, 3, 4), (2, 1, 2, 3, 4), (2, 1, 1, 4)])
@pytest.mark.parametrize("align", [True, False])
def test_affine_grid(size, align):
    n = len(size) - 2
    check(lambda m: m.nn.functional.affine_grid(data(m, 2, n, n + 1), size, align))
    check_gradient(lambda m, t: m.nn.functional.affine_grid(t, size, align), (2, n, n + 1))


@pytest.mark.sanitize
@pytest.mark.parametrize(
    "kernel,out",
    [((2**63 - 1, 7, 3), (5, 1, 7)), (2, (2**63 - 1, 2, 2)), ((-(2**63), 2, 2), (-1, 2, 2)), (2, -(2**63))],
)
def test_fractional_max_pool_of_numbers_that_overflow(kernel, out):
    for m in (torch, ember):
        with pytest.raises(RuntimeError):
            m.nn.functional.fractional_max_pool3d(data(m, 1, 3, 5, 5, 5), kernel, out)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_max_pool(dims):
    def f(m):
        pool = getattr(m.nn.functional, f"fractional_max_pool{dims}d")
        samples = m.tensor(np.random.default_rng(3).uniform(size=(2, 3, dims)).tolist())
        x = data(m, 2, 3, *[7, 9, 8][:dims])
        return pool(x, 2, output_size=[4, 5, 3][:dims], return_indices=True, _random_samples=samples)

    check(f)
