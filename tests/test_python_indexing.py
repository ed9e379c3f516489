"""Indexing against PyTorch and NumPy: the whole grammar, read and write, by hand and by random fuzz."""

import random

import ember
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.sanitize


def both(shape, dtype="float32"):
    array = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    return ember.from_numpy(array.copy()), torch.from_numpy(array.copy()), array


def convert(key, library):
    """A key written with NumPy arrays, as this library's tensors."""
    if isinstance(key, tuple):
        return tuple(convert(k, library) for k in key)
    if isinstance(key, np.ndarray):
        return library.from_numpy(key.copy())
    return key


def check_get(x, t, key):
    ours, theirs = x[convert(key, ember)], t[convert(key, torch)]
    assert tuple(ours.shape) == tuple(theirs.shape), key
    assert ours.tolist() == theirs.tolist(), key
    return ours, theirs


KEYS = [
    0,
    -1,
    slice(None),
    slice(1, None),
    slice(None, -1),
    slice(None, None, 2),
    slice(3, 1),
    slice(-100, 100),
    ...,
    None,
    (0, 1),
    (0, slice(None), 1),
    (..., 0),
    (None, 0, ..., None),
    (slice(None), None, 0),
    (0, 0, 0),
    True,
    False,
    (slice(None), True),
    np.array([0, 2]),
    np.array([[0, 1], [2, 0]]),
    np.array([-1, 0]),
    np.array([True, False, True]),
    (np.array([0, 1]), np.array([1, 2])),
    (np.array([[0], [1]]), np.array([0, 2])),
    (slice(None), np.array([0, 2])),
    (slice(None), np.array([0, 2]), slice(1, 3)),
    (np.array([0, 2]), slice(None), np.array([1, 3])),
    (np.array([0, 2]), 1, np.array([1, 3])),
    (0, np.array([1, 2])),
    (..., np.array([1, 2])),
    (None, np.array([1, 2])),
    (np.array(1),),
    (np.array([True, False, True]), 1),
    (np.array([True, False, True]), slice(None), np.array([0, 1])),
    (slice(None), np.array([True, False, True, False])),
    np.arange(12).reshape(3, 4) % 2 == 0,
    np.zeros((3, 4, 5), dtype=bool),
    np.array([], dtype=np.int64),
    [0, 2],
    [[0, 1], [1, 2]],
    (0, [1, 2]),
    ([0, 1], [1, 2]),
    range(2),
    (slice(0, 2), [0, 1]),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_get(key):
    x, t, _ = both((3, 4, 5))
    check_get(x, t, key)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_set_number_and_tensor(key):
    for value in (7, -2.5, True):
        x, t, _ = both((3, 4, 5))
        x[convert(key, ember)] = value
        t[convert(key, torch)] = value
        assert x.tolist() == t.tolist()
    x, t, _ = both((3, 4, 5))
    part = t[convert(key, torch)]
    values = np.asarray(np.random.RandomState(0).rand(*part.shape), dtype="float32")
    x[convert(key, ember)] = ember.from_numpy(values)
    t[convert(key, torch)] = torch.from_numpy(values)
    assert x.tolist() == t.tolist()


def test_views_share_memory():
    x, _, _ = both((4, 5))
    y = x[1:3, ::2]
    y.fill_(-1)
    assert x[1].tolist() == [-1, 6, -1, 8, -1]
    assert y.data_ptr() == x.data_ptr() + 5 * 4


def test_negative_steps_are_views():
    x, _, array = both((4, 5, 6))
    for key in [
        slice(None, None, -1),
        slice(3, 0, -2),
        (slice(None), slice(None, None, -1)),
        (slice(None, None, -1), 0, slice(4, None, -3)),
        (..., slice(None, None, -2)),
        slice(0, 3, -1),
    ]:
        ours, theirs = x[key], array[key]
        assert tuple(ours.shape) == theirs.shape
        assert ours.tolist() == theirs.tolist()
        if theirs.size:
            assert ours.stride() == tuple(s // 4 for s in theirs.strides)
    y = x[::-1]
    y[0] = 0
    assert x[3].abs().max().item() == 0 if hasattr(ember.Tensor, "max") else True


def random_key(rng, shape, depth=0):
    key, dim, advanced = [], 0, 0
    ellipsis = False
    while dim < len(shape) and rng.random() < 0.85:
        n = shape[dim]
        kind = rng.choice(["int", "slice", "slice", "none", "rest", "list", "tensor", "mask", "bool"])
        if kind == "int":
            key.append(rng.randint(-n, n - 1))
            dim += 1
        elif kind == "slice":
            ends = [None, *range(-n - 1, n + 2)]
            key.append(slice(rng.choice(ends), rng.choice(ends), rng.choice([None, 1, 2, 3])))
            dim += 1
        elif kind == "none":
            key.append(None)
        elif kind == "rest" and not ellipsis:
            key.append(...)
            ellipsis = True
            dim = rng.randint(dim, len(shape))
            break
        elif kind in ("list", "tensor") and advanced < 2:
            index = [rng.randint(-n, n - 1) for _ in range(3)]
            key.append(index if kind == "list" else np.array(index))
            advanced += 1
            dim += 1
        elif kind == "mask" and advanced == 0:
            mask = np.array([rng.random() < 0.5 for _ in range(n)])
            mask[: min(3, n)] = True
            mask[3:] = False
            if n < 3:
                continue
            key.append(mask)
            advanced += 1
            dim += 1
    return tuple(key)


@pytest.mark.parametrize("seed", range(60))
def test_fuzz_get(seed):
    rng = random.Random(seed)
    shape = tuple(rng.randint(3, 6) for _ in range(rng.randint(1, 4)))
    x, t, _ = both(shape, rng.choice(["float32", "int64", "float64", "uint8"]))
    for _ in range(12):
        check_get(x, t, random_key(rng, shape))


@pytest.mark.parametrize("seed", range(60))
def test_fuzz_set(seed):
    rng = random.Random(1000 + seed)
    shape = tuple(rng.randint(3, 6) for _ in range(rng.randint(1, 4)))
    for _ in range(6):
        x, t, array = both(shape)
        key = random_key(rng, shape)
        part = t[convert(key, torch)]
        value = np.full(tuple(part.shape), float(rng.randint(-9, 9)), "float32")
        if rng.random() < 0.5 and value.ndim:
            value = value[(slice(0, 1),) * rng.randint(1, value.ndim)] if value.size else value
        x[convert(key, ember)] = ember.from_numpy(value.copy())
        t[convert(key, torch)] = torch.from_numpy(value.copy())
        assert x.tolist() == t.tolist(), key


ERRORS = [
    5,
    -4,
    (0, 9),
    (0, 0, 0, 0),
    np.array([3]),
    np.array([-4]),
    np.array([True, False]),
    np.array([0.5]),
    "a",
    1.5,
    (slice(None), np.zeros((3, 3), dtype=bool)),
    (np.array([0, 1]), np.array([0, 1, 2])),
]


@pytest.mark.parametrize("key", ERRORS, ids=str)
def test_errors_are_pytorchs(key):
    x, t, _ = both((3, 4, 5))
    with pytest.raises(Exception) as theirs:
        t[convert(key, torch)]
    with pytest.raises(type(theirs.value)) as ours:
        x[convert(key, ember)]
    if not isinstance(key, (str, float)):
        text = str(ours.value).removeprefix("index: ")  # the op that reads tensors of indices
        assert text.split("\n")[0] == str(theirs.value).split("\n")[0]


def test_set_errors():
    for library in (ember, torch):
        x = library.zeros(3)
        with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 3"):
            x[5] = 1
        with pytest.raises(TypeError, match="can't assign a str to a torch.FloatTensor"):
            x[0] = "a"
        with pytest.raises(RuntimeError, match=r"expanded size of the tensor \(3\) must match"):
            x[:] = library.zeros(2)
        with pytest.raises(RuntimeError, match="shape mismatch"):
            x[[0, 1]] = library.zeros(3)
        with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
            library.zeros(())[0]
        with pytest.raises(TypeError):
            del x[0]


def test_scalars_and_leading_ones():
    for library in (ember, torch):
        x = library.zeros(2, 3)
        x[0] = library.ones(1, 1, 3)
        x[1, 1] = library.tensor(4.0)
        x[library.tensor(1), 2] = 5
        assert x.tolist() == [[1, 1, 1], [0, 4, 5]]
        i = library.zeros(2, dtype=library.int64)
        i[0] = 1.9
        i[1] = True
        assert i.tolist() == [1, 1]


def test_gradients_flow_through_get_and_set():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        w = library.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
        buffer = library.zeros(2, 3)
        buffer[0] = w[1] * 2
        buffer[:, 2] = w[:, 0]
        buffer[[0, 1], [0, 1]] = w[0, :2]
        (buffer * library.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
        out += [buffer.tolist(), w.grad.tolist(), buffer.requires_grad]
        v = library.tensor([1.0, 2.0, 3.0], requires_grad=True)
        (v[[0, 0, 2]] * library.tensor([1.0, 10.0, 100.0])).sum().backward()
        out.append(v.grad.tolist())
    assert ours == theirs


def test_iteration_and_length():
    x, t, _ = both((3, 2))
    assert [r.tolist() for r in x] == [r.tolist() for r in t] and len(x) == 3
    a, b, c = x
    assert b.tolist() == [2, 3]
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(ember.tensor(1.0)).__next__()
    with pytest.raises(TypeError, match="len\\(\\) of a 0-d tensor"):
        len(ember.tensor(1.0))
