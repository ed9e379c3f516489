# Products of matrices against PyTorch: every rank, dtype and layout, gradients to second order, errors.
"""Matrix products."""

import ember
import numpy as np
import pytest
from against import check, check_error, check_gradient


def data(m, *shape, dtype="float32", seed=0):
    x = np.random.default_rng(seed).integers(0 if dtype == "uint8" else -9, 9, size=shape)
    return m.tensor((x if "int" in dtype else x / 4).tolist(), dtype=getattr(m, dtype)).reshape(shape)


CASES = {
    "mm": lambda m, d: m.mm(d(2, 3), d(3, 4)),
    "mm transposed": lambda m, d: m.mm(d(3, 2).t(), d(4, 3).t()),
    "mm sliced": lambda m, d: m.mm(d(4, 6)[::2, ::2], d(3, 8)[:, 1::3]),
    "mm broadcast": lambda m, d: m.mm(d(1, 3).expand(2, 3), d(3, 1).expand(3, 4)),
    "mm empty": lambda m, d: m.mm(d(2, 0), d(0, 3)),
    "mm no rows": lambda m, d: m.mm(d(0, 3), d(3, 4)),
    "bmm": lambda m, d: m.bmm(d(5, 2, 3), d(5, 3, 4)),
    "bmm strided": lambda m, d: m.bmm(d(2, 5, 3).transpose(0, 1), d(5, 4, 3).mT),
    "mv": lambda m, d: m.mv(d(2, 3), d(3)),
    "mv strided": lambda m, d: d(3, 2).t().mv(d(6)[::2]),
    "dot": lambda m, d: m.dot(d(5), d(5, seed=2)),
    "dot strided": lambda m, d: m.dot(d(10)[::2], d(5, seed=2)),
    "outer": lambda m, d: m.outer(d(3), d(4)),
    "ger": lambda m, d: d(3).ger(d(4)),
    "addmm": lambda m, d: m.addmm(d(4), d(2, 3), d(3, 4)),
    "addmm matrix": lambda m, d: m.addmm(d(2, 4), d(2, 3), d(3, 4), beta=2, alpha=3),
    "addmm column": lambda m, d: m.addmm(d(2, 1), d(2, 3), d(3, 4), beta=2, alpha=3),
    "addmm_": lambda m, d: d(2, 4).addmm_(d(2, 3), d(3, 4), beta=2),
    "addmm out": lambda m, d: m.addmm(d(4), d(2, 3), d(3, 4), out=m.zeros(2, 4, dtype=d(1).dtype)),
    "addmv": lambda m, d: m.addmv(d(2), d(2, 3), d(3), beta=3, alpha=2),
    "addr": lambda m, d: m.addr(d(2, 3), d(2), d(3), beta=3, alpha=2),
    "addbmm": lambda m, d: m.addbmm(d(2, 4), d(5, 2, 3), d(5, 3, 4), beta=2, alpha=3),
    "baddbmm": lambda m, d: m.baddbmm(d(5, 2, 4), d(5, 2, 3), d(5, 3, 4), beta=2, alpha=3),
    "baddbmm broadcast": lambda m, d: m.baddbmm(d(4), d(5, 2, 3), d(5, 3, 4)),
    "1 x 1": lambda m, d: m.matmul(d(3), d(3)),
    "1 x 2": lambda m, d: m.matmul(d(3), d(3, 2)),
    "2 x 1": lambda m, d: d(2, 3) @ d(3),
    "2 x 2": lambda m, d: d(2, 3) @ d(3, 4),
    "3 x 1": lambda m, d: d(5, 2, 3) @ d(3),
    "1 x 3": lambda m, d: d(3) @ d(5, 3, 2),
    "3 x 2": lambda m, d: d(5, 2, 3) @ d(3, 4),
    "3 x 2 strided": lambda m, d: d(2, 5, 3).transpose(0, 1) @ d(4, 3).t(),
    "2 x 3": lambda m, d: (d(2, 3) @ d(5, 3, 4)).contiguous(),
    "3 x 3": lambda m, d: d(5, 2, 3) @ d(5, 3, 4),
    "broadcast": lambda m, d: d(2, 1, 2, 3) @ d(5, 3, 4),
    "broadcast both": lambda m, d: d(2, 1, 3, 2, 3) @ d(5, 1, 3, 4),
    "attention": lambda m, d: d(2, 5, 3, 4).transpose(1, 2) @ d(2, 5, 3, 4).permute(0, 2, 3, 1),
    "empty batch": lambda m, d: d(0, 2, 3) @ d(0, 3, 4),
    "linear": lambda m, d: m.nn.functional.linear(d(2, 3), d(4, 3), d(4)),
    "linear 1d": lambda m, d: m.nn.functional.linear(d(3), d(4, 3), d(4)),
    "linear 4d": lambda m, d: m.nn.functional.linear(d(2, 1, 5, 3), d(4, 3)),
    "linear strided": lambda m, d: m.nn.functional.linear(d(5, 2, 3).transpose(0, 1), d(3, 4).t(), d(8)[::2]),
    "linear vector": lambda m, d: m.nn.functional.linear(d(2, 3), d(3)),
    "linear empty": lambda m, d: m.nn.functional.linear(d(0, 3), d(4, 3), d(4)),
}
DTYPES = ["float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "complex64", "complex128"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(case, dtype):
    check(lambda m: CASES[case](m, lambda *s, seed=0: data(m, *s, dtype=dtype, seed=seed)))


@pytest.mark.parametrize("n", [1, 2, 7, 33, 130])
def test_sizes(n):
    check(lambda m: data(m, n, n + 3) @ data(m, n + 3, 2 * n + 1, seed=1))


def test_operands_that_are_overwritten():
    x = data(ember, 3, 3)
    expected = x + x @ x
    assert ember.equal(x.addmm_(x, x), expected)


def test_vdot_conjugates():
    check(lambda m: m.vdot(m.tensor([1 + 2j, 3j]), m.tensor([2 - 1j, 1 + 1j])))


GRADIENTS = {
    "mm": (lambda m, a, b: m.mm(a, b), (2, 3), (3, 4)),
    "mm transposed": (lambda m, a, b: m.mm(a.t(), b.t()), (3, 2), (4, 3)),
    "bmm": (lambda m, a, b: m.bmm(a, b), (5, 2, 3), (5, 3, 4)),
    "mv": (lambda m, a, b: m.mv(a, b), (2, 3), (3,)),
    "dot": (lambda m, a, b: m.dot(a, b), (3,), (3,)),
    "outer": (lambda m, a, b: m.outer(a, b), (3,), (4,)),
    "addmm": (lambda m, s, a, b: m.addmm(s, a, b, beta=2, alpha=3), (4,), (2, 3), (3, 4)),
    "addmv": (lambda m, s, a, b: m.addmv(s, a, b, beta=2, alpha=3), (2,), (2, 3), (3,)),
    "addbmm": (lambda m, s, a, b: m.addbmm(s, a, b, beta=2, alpha=3), (2, 4), (5, 2, 3), (5, 3, 4)),
    "baddbmm": (lambda m, s, a, b: m.baddbmm(s, a, b, beta=2, alpha=3), (2, 4), (5, 2, 3), (5, 3, 4)),
    "matmul 1 1": (lambda m, a, b: a @ b, (3,), (3,)),
    "matmul 1 2": (lambda m, a, b: a @ b, (3,), (3, 2)),
    "matmul 1 3": (lambda m, a, b: a @ b, (3,), (5, 3, 2)),
    "matmul 2 1": (lambda m, a, b: a @ b, (2, 3), (3,)),
    "matmul 3 1": (lambda m, a, b: a @ b, (5, 2, 3), (3,)),
    "matmul 3 2": (lambda m, a, b: a @ b, (5, 2, 3), (3, 4)),
    "matmul 2 3": (lambda m, a, b: a @ b, (2, 3), (5, 3, 4)),
    "matmul broadcast": (lambda m, a, b: a @ b, (2, 1, 2, 3), (5, 3, 4)),
    "linear": (lambda m, x, w, b: m.nn.functional.linear(x, w, b), (2, 3), (4, 3), (4,)),
    "linear 3d": (lambda m, x, w, b: m.nn.functional.linear(x, w, b), (5, 2, 3), (4, 3), (4,)),
    "linear vector": (lambda m, x, w: m.nn.functional.linear(x, w), (2, 3), (3,)),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients(case):
    check_gradient(*GRADIENTS[case])


ERRORS = {
    "shapes": lambda m: m.mm(m.ones(2, 3), m.ones(4, 5)),
    "rank": lambda m: m.mm(m.ones(2), m.ones(4, 5)),
    "bmm": lambda m: m.bmm(m.ones(2, 3, 4), m.ones(2, 3, 4)),
    "mv": lambda m: m.mv(m.ones(2, 3), m.ones(4)),
    "dot": lambda m: m.dot(m.ones(3), m.ones(4)),
    "dot rank": lambda m: m.dot(m.ones(3, 1), m.ones(4)),
    "linear": lambda m: m.nn.functional.linear(m.ones(2, 2, 3), m.ones(5, 4)),
    "matmul scalar": lambda m: m.matmul(m.tensor(1.0), m.ones(2)),
    "matmul folded": lambda m: m.ones(2, 2, 3) @ m.ones(2, 4),
    "matmul batch": lambda m: m.ones(2, 2, 3) @ m.ones(3, 3, 4),
    "matmul inner": lambda m: m.ones(2, 2, 3) @ m.ones(2, 2, 4),
    "addmm": lambda m: m.addmm(m.ones(3), m.ones(2, 3), m.ones(3, 4)),
    "bool": lambda m: m.mm(m.ones(2, 3).bool(), m.ones(3, 2).bool()),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    check_error(ERRORS[case])
