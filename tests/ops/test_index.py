# Picking and placing by index against PyTorch: shapes of results, masks, repeated indices, gradients, errors.
"""Indexing ops."""

import ember
import numpy as np
import pytest
import torch
from against import check, check_error, check_gradient

pytestmark = pytest.mark.sanitize


def data(m, *shape, dtype="float32", seed=3):
    x = np.random.default_rng(seed).integers(-30, 30, size=shape) / 8
    return m.tensor(x.tolist(), dtype=getattr(m, dtype))


def ints(m, *shape, high=4, seed=5, low=0):
    return m.tensor(np.random.default_rng(seed).integers(low, high, size=shape).tolist())


INDEX = {
    "rows": lambda m, x: x[m.tensor([0, 2, -1])],
    "columns": lambda m, x: x[:, m.tensor([0, 3, 3])],
    "matrix of indices": lambda m, x: x[ints(m, 2, 3)],
    "last": lambda m, x: x[..., m.tensor([4, 0])],
    "two": lambda m, x: x[m.tensor([0, 1]), m.tensor([2, 3])],
    "broadcast": lambda m, x: x[m.tensor([[0], [1]]), m.tensor([2, 3, 0])],
    "apart": lambda m, x: x[m.tensor([0, 1]), :, m.tensor([2, 3])],
    "after a slice": lambda m, x: x[1:, m.tensor([0, 1]), m.tensor([2, 3])],
    "mask": lambda m, x: x[x > 0],
    "row mask": lambda m, x: x[m.tensor([True, False, True, True])],
    "mask of two dims": lambda m, x: x[x[:, :, 0] > 0],
    "mask and index": lambda m, x: x[m.tensor([True, False, True, True]), m.tensor([0, 1, 2])],
    "empty": lambda m, x: x[m.tensor([], dtype=m.int64)],
    "int32": lambda m, x: x[m.tensor([1, 0], dtype=m.int32)],
    "of a transpose": lambda m, x: x.transpose(0, 2)[m.tensor([1, 0])],
    "number": lambda m, x: x[m.tensor(2)],
}
PICK = {
    "index_select": lambda m, x: x.index_select(1, m.tensor([0, 3, 0])),
    "gather": lambda m, x: x.gather(1, ints(m, 3, 6, 4)),
    "gather last": lambda m, x: m.gather(x, -1, ints(m, 4, 2, 9, high=5)),
    "take": lambda m, x: x.take(m.tensor([[0, -1], [7, 7]])),
    "take_along_dim": lambda m, x: m.take_along_dim(x, x.argsort(1), 1),
    "masked_select": lambda m, x: x.masked_select(x[0] > 0),
    "embedding": lambda m, x: m.embedding(x[0], ints(m, 2, 3, high=4)),
}
PLACE = {
    "index_put": lambda m, x, v: x.index_put((m.tensor([0, 2]),), v[:2]),
    "index_put accumulate": lambda m, x, v: x.index_put((m.tensor([0, 0, 0, 2]),), v, True),
    "index_put broadcast": lambda m, x, v: x.index_put((m.tensor([0, 1]), m.tensor([1, 1])), v[0, 0]),
    "index_add": lambda m, x, v: x.index_add(1, m.tensor([0, 0, 3, 1]), v, alpha=2),
    "index_copy": lambda m, x, v: x.index_copy(0, m.tensor([3, 0]), v[:2]),
    "index_fill": lambda m, x, v: x.index_fill(2, m.tensor([0, -1]), 9.0),
    "scatter": lambda m, x, v: x.scatter(1, m.tensor([[[0, 1], [3, 2]]]), v[:1, :2, :2]),
    "scatter value": lambda m, x, v: x.scatter(0, ints(m, 2, 3, 5), 1.5),
    "scatter add": lambda m, x, v: x.scatter(2, ints(m, 4, 4, 5), v, reduce="add"),
    "scatter multiply": lambda m, x, v: x.scatter(1, ints(m, 4, 2, 5), 2.0, reduce="multiply"),
    "scatter_add": lambda m, x, v: x.scatter_add(1, ints(m, 4, 4, 5), v),
    "scatter_reduce sum": lambda m, x, v: x.scatter_reduce(0, ints(m, 4, 4, 5), v, "sum"),
    "scatter_reduce prod": lambda m, x, v: x.scatter_reduce(1, ints(m, 4, 4, 5), v, "prod", include_self=False),
    "scatter_reduce mean": lambda m, x, v: x.scatter_reduce(0, ints(m, 4, 4, 5), v, "mean"),
    "scatter_reduce amax": lambda m, x, v: x.scatter_reduce(2, ints(m, 4, 4, 5), v, "amax"),
    "scatter_reduce amin": lambda m, x, v: x.scatter_reduce(2, ints(m, 4, 4, 5), v, "amin", include_self=False),
    "masked_scatter": lambda m, x, v: x.masked_scatter(x[0] > 0, v),
    "put": lambda m, x, v: x.put(m.tensor([0, -1, 5]), v[0, 0, :3]),
    "put accumulate": lambda m, x, v: x.put(m.tensor([1, 1, 5]), v[0, 0, :3], accumulate=True),
}


@pytest.mark.parametrize("name", [*INDEX, *PICK])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex128"])
def test_pick(name, dtype):
    if dtype in ("bool", "complex128") and name in ("mask", "mask of two dims", "masked_select", "take_along_dim"):
        pytest.skip("compares or sorts")
    f = {**INDEX, **PICK}[name]
    check(lambda m: f(m, data(m, 4, 4, 5).to(getattr(m, dtype))), strides=False)


@pytest.mark.parametrize("name", PLACE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
def test_place(name, dtype):
    def f(m):
        x, v = (data(m, 4, 4, 5, seed=s).to(getattr(m, dtype)) for s in (3, 4))
        return PLACE[name](m, x, v), PLACE[name](m, x.transpose(0, 1), v)

    check(f, strides=False)


def test_in_place():
    def f(m):
        x = data(m, 4, 5)
        x[m.tensor([0, 2])] = 1.0
        x[x > 1] = -1.0
        x[:, m.tensor([1, 1])] += 2
        x[m.tensor([True, False, False, True]), 2:] = m.zeros(3)
        x.index_put_((m.tensor([0, 0]), m.tensor([1, 1])), m.tensor([1.0, 2.0]), accumulate=True)
        x.scatter_(1, m.tensor([[0], [1]]), 7.0)
        x.scatter_add_(0, m.tensor([[0, 0, 0]]), m.ones(1, 3))
        x.index_add_(0, m.tensor([3]), m.ones(1, 5))
        x.index_fill_(1, m.tensor([4]), 5.0)
        x.t().index_copy_(0, m.tensor([0]), m.full((1, 4), 3.0))
        x.masked_scatter_(x > 6, m.arange(20.0))
        return x

    check(f)


@pytest.mark.parametrize("name", [*INDEX, *PICK])
def test_pick_gradients(name):
    f = {**INDEX, **PICK}[name]
    check_gradient(f, (4, 4, 5))


@pytest.mark.parametrize(
    "name", [n for n in PLACE if n not in ("scatter add", "scatter multiply", "scatter value", "index_fill")]
)
def test_place_gradients(name):
    check_gradient(PLACE[name], (4, 4, 5), (4, 4, 5))


def test_fill_gradients():
    for name in ("scatter value", "index_fill"):
        check_gradient(lambda m, x, f=PLACE[name]: f(m, x, None), (4, 4, 5))


def test_nonzero():
    check(lambda m: m.nonzero(data(m, 5, 6) > 0))
    check(lambda m: m.where(data(m, 5, 6) > 0), strides=False)
    check(lambda m: m.argwhere(data(m, 5, 6)))
    check(lambda m: m.nonzero(m.tensor(3)))
    check(lambda m: m.nonzero(m.zeros(3, 0)))


@pytest.mark.parametrize("padding", [-1, 2])
def test_embedding_gradient(padding):
    def f(m):
        w = data(m, 6, 40).requires_grad_()
        y = m.embedding(w, ints(m, 50, 7, high=6), padding)
        (y * data(m, 50, 7, 40)).sum().backward()
        return w.grad

    check(f, strides=False)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_embedding_bag(mode):
    def f(m):
        return m.embedding_bag(data(m, 6, 4), ints(m, 9, high=6), m.tensor([0, 2, 2, 6]), False, mode)[0]

    check(f, strides=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda m, x: x[m.tensor([9])],
        lambda m, x: x[m.tensor([-5])],
        lambda m, x: x[m.tensor([0.5])],
        lambda m, x: x[m.tensor([0, 1]), m.tensor([0, 1, 2])],
        lambda m, x: x[m.tensor([True, False])],
        lambda m, x: x.gather(1, m.tensor([[9]])),
        lambda m, x: x.gather(1, m.tensor([[-1]])),
        lambda m, x: x.gather(1, m.tensor([0])),
        lambda m, x: x.scatter(1, m.tensor([[9]]), 1.0),
        lambda m, x: x.take(m.tensor([99])),
        lambda m, x: x.index_fill(0, m.tensor([7]), 1.0),
        lambda m, x: x.index_put((m.tensor([0, 1]),), m.ones(3, 3)),
        lambda m, x: x.index_put((m.tensor([0, 1]),), m.ones(2, 5, dtype=m.int64)),
        lambda m, x: m.embedding(x, m.tensor([9])),
    ],
)
def test_errors(f):
    ours, theirs = check_error(lambda m: f(m, data(m, 4, 5)))
    assert theirs.split(", got Float")[0] in ours


def test_many_rows():
    def f(m):
        x = data(m, 3000, 33)
        i = ints(m, 5000, high=3000)
        return x[i], x.index_add(0, i, data(m, 5000, 33)), x[x > 0], x.gather(0, ints(m, 100, 33, high=3000))

    check(f, strides=False)


@pytest.mark.parametrize(
    "op", ["index_put_", "index_copy_", "index_add_", "scatter_", "scatter_add_", "put_", "masked_scatter_"]
)
def test_values_that_are_the_destination_itself(op):
    """PyTorch refuses most of these; what is read is what stood there before, as with a copy."""

    def program(l, copied):
        x, at = l.arange(1.0, 4.0), l.tensor([2, 0, 1])
        source = x.clone() if copied else x
        index = {"index_put_": ((at,),), "put_": (at,), "masked_scatter_": (l.tensor([False, True, True]),)}
        return getattr(x, op)(*index.get(op, (0, at)), source).tolist()

    assert program(ember, False) == program(torch, True)


def test_an_index_that_is_the_destination_itself():
    x = ember.tensor([2, 0, 1])
    assert x.scatter_(0, x, ember.tensor([7, 8, 9])).tolist() == [8, 9, 7]


@pytest.mark.parametrize("value", [2**63, 2**63 - 1, -(2**63), float(2**63), -float(2**63)])
def test_numbers_at_the_edge_of_int64(value):
    def program(l):
        try:
            return l.full((2,), value, dtype=l.int64).tolist(), l.zeros(2, dtype=l.int64).fill_(value).tolist()
        except RuntimeError as e:
            return "without overflow" in str(e)

    assert program(ember) == program(torch)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
def test_index_reduce(reduce, include):
    def f(m, x, v, i=(3, 0, 3, 3)):
        return x.index_reduce(1, m.tensor(list(i), dtype=m.int64), v, reduce, include_self=include)

    check(lambda m: f(m, data(m, 3, 5), data(m, 3, 4, seed=4)))
    check(lambda m: f(m, data(m, 3, 5, dtype="int64"), data(m, 3, 4, dtype="int64", seed=4)))
    check(lambda m: f(m, data(m, 5, 3).t(), data(m, 3, 4, seed=4)))
    check(lambda m: f(m, data(m, 3, 5), data(m, 3, 0), ()), strides=False)
    check(lambda m: data(m, 3, 5).index_reduce_(0, m.tensor([1]), data(m, 1, 5), reduce, include_self=include))
    check_gradient(f, (3, 5), (3, 4))


def test_errors_of_index_reduce():
    for f in (
        lambda m, x, i: x.index_reduce(0, i, m.ones(2), "sum"),
        lambda m, x, i: x.index_reduce(0, i + 4, m.ones(2), "prod"),
        lambda m, x, i: x.index_reduce(0, i - 1, m.ones(2), "mean"),
        lambda m, x, i: x.index_reduce(0, i.float(), m.ones(2), "prod"),
        lambda m, x, i: x.index_reduce(0, i[None], m.ones(2), "prod"),
        lambda m, x, i: x.index_reduce(0, i, m.ones(2, dtype=m.int64), "prod"),
        lambda m, x, i: x.bool().index_reduce(0, i, m.ones(2, dtype=m.bool), "amax"),
    ):
        ours, _ = check_error(lambda m, f=f: f(m, m.ones(5), m.tensor([0, 1])))
        assert "index" in ours


@pytest.mark.parametrize("at", [9, -9])
def test_lists_of_indices_raise_index_errors(at):
    """PyTorch words these "out of range in self"."""
    check_error(lambda m: m.ones(5, 3).index_select(0, m.tensor([at])))
    check_error(lambda m: m.ones(5).index_add(0, m.tensor([at]), m.ones(1)))
    check_error(lambda m: m.ones(5, 3, 2).index_add(1, m.tensor([at]), m.ones(5, 1, 2)))
    check_error(lambda m: m.nn.functional.embedding(m.tensor([at]), m.ones(5, 3)))


@pytest.mark.parametrize("op", ["scatter", "scatter_add"])
def test_scatter_of_a_number_has_one_place(op):
    """Of a source without dims only one element was there to read."""
    check(lambda m: getattr(m.zeros(3), op)(0, m.tensor([1]), m.tensor(2.0)))
    check_error(lambda m: getattr(m.zeros(3), op)(0, m.tensor([0, 1, 2]), m.tensor(2.0)))
    check(lambda m: m.zeros(()).scatter(0, m.tensor([0, 0, 0]), m.ones(3)))
