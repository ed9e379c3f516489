"""The argument parser against PyTorch: what is accepted, and the exact words of what is not."""

import ember
import numpy as np
import pytest
import torch

T = "tensor"  # stands for a float tensor of shape (2, 3)


def build(library, value):
    if value is T:
        return library.arange(6.0).reshape(2, 3)
    if isinstance(value, str) and value.startswith("t:"):
        return eval(value[2:], {"l": library})
    if isinstance(value, (list, tuple)):
        return type(value)(build(library, v) for v in value)
    return value


def find(library, name):
    if name.startswith("Tensor."):
        return getattr(library.Tensor, name[7:])
    return getattr(library, name)


def run(library, name, args, kwargs):
    return find(library, name)(*[build(library, a) for a in args], **{k: build(library, v) for k, v in kwargs.items()})


GOOD = [
    ("add", (T, 2), {}),
    ("add", (T, T), {"alpha": 2}),
    ("add", (T,), {"other": T}),
    ("add", (), {"input": T, "other": 1.5}),
    ("add", (T, True), {}),
    ("add", (T, np.float32(2)), {}),
    ("mul", (2, T), {}),
    ("Tensor.add", (T, 2), {}),
    ("Tensor.view", (T, 3, 2), {}),
    ("Tensor.view", (T, (3, 2)), {}),
    ("Tensor.view", (T, [3, 2]), {}),
    ("Tensor.view", (T, 6), {}),
    ("Tensor.view", (T, "t:l.Size([3, 2])"), {}),
    ("Tensor.view", (T, "t:l.tensor(3)", 2), {}),
    ("Tensor.view", (T, -1), {}),
    ("Tensor.reshape", (T, 3, -1), {}),
    ("reshape", (T, (3, 2)), {}),
    ("Tensor.permute", (T, 1, 0), {}),
    ("permute", (T, (1, 0)), {}),
    ("Tensor.permute", (T, (1, 0)), {}),
    ("Tensor.expand", ("t:l.ones(1, 3)", 4, -1), {}),
    ("Tensor.repeat", (T, 2, 1), {}),
    ("zeros", (2, 3), {}),
    ("zeros", ((2, 3),), {}),
    ("zeros", ([2, 3],), {"dtype": "t:l.int64"}),
    ("zeros", (), {"size": (2,)}),
    ("zeros", (2,), {"dtype": "t:l.float64", "device": "cpu", "layout": "t:l.strided", "requires_grad": True}),
    ("zeros", (np.int64(2), 3), {}),
    ("ones", (3,), {"pin_memory": False}),
    ("full", ((2, 2), 3), {}),
    ("arange", (5,), {}),
    ("arange", (1, 5), {}),
    ("arange", (1, 5, 2), {}),
    ("arange", (0.0, 1.0, 0.25), {}),
    ("arange", (), {"start": 1, "end": 4}),
    ("sum", (T,), {}),
    ("sum", (T, 1), {}),
    ("sum", (T, (0, 1)), {"keepdim": True}),
    ("sum", (T,), {"dim": 0, "dtype": "t:l.float64"}),
    ("sum", (T,), {"axis": 1, "keepdims": True}),
    ("Tensor.sum", (T, 0, True), {}),
    ("mean", (T,), {"dim": "t:None"}),
    ("max", (T,), {}),
    ("max", (T, 1), {}),
    ("max", (T, T), {}),
    ("max", (T,), {"dim": -1, "keepdim": True}),
    ("where", ("t:l.ones(2, 3) > 0", T, 0.0), {}),
    ("clamp", (T,), {"min": 1}),
    ("clamp", (T, 1, 2), {}),
    ("clamp", (T,), {"max": T}),
    ("cat", ([T, T],), {}),
    ("cat", ((T, T), 1), {}),
    ("cat", ((T, T),), {"dim": -1}),
    ("stack", ([T, T],), {"dim": 1}),
    ("split", (T, 1), {}),
    ("split", (T, [1, 2], 1), {}),
    ("transpose", (T, 0, 1), {}),
    ("softmax", (T,), {"dim": 1}),
    ("Tensor.softmax", (T, -1), {}),
    ("pow", (T, 2), {}),
    ("pow", (2, T), {}),
    ("div", (T, T), {"rounding_mode": "floor"}),
    ("Tensor.squeeze", ("t:l.ones(1, 2, 1)", 0), {}),
    ("Tensor.flatten", (T,), {}),
    ("Tensor.transpose", (T, "t:l.tensor(0)", 1), {}),
    ("std", (T,), {"dim": 0, "correction": 0}),
    ("var", (T,), {"unbiased": False}),
    ("eye", (3,), {}),
    ("linspace", (0, 1), {"steps": 5}),
    ("tril", (T, -1), {}),
    ("broadcast_tensors", ("t:l.ones(2, 1)", "t:l.ones(3)"), {}),
    ("meshgrid", ("t:l.arange(2)", "t:l.arange(3)"), {"indexing": "ij"}),
    ("einsum", ("ij,kj->ik", T, T), {}),
]


def shown(value):
    if isinstance(value, (tuple, list)):
        return [shown(v) for v in value]
    return (
        (tuple(value.shape), str(value.dtype), value.tolist(), value.requires_grad)
        if hasattr(value, "dtype")
        else value
    )


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_accepted(case):
    name, args, kwargs = case
    kwargs = {k: None if v == "t:None" else v for k, v in kwargs.items()}
    ours, theirs = shown(run(ember, name, args, kwargs)), shown(run(torch, name, args, kwargs))
    if name in ("softmax", "Tensor.softmax", "std", "var"):
        assert ours[:2] == theirs[:2] and np.allclose(ours[2], theirs[2])
    else:
        assert repr(ours) == repr(theirs)  # nan is nan


# Cases where the messages are the same words in both.
SAME_WORDS = [
    ("add", (T, "x"), {}),
    ("add", (T, [1]), {}),
    ("add", (T, None), {}),
    ("add", (T,), {}),
    ("add", (T, T), {"beta": 1}),
    ("Tensor.add", (T, "x"), {}),
    ("relu", (1,), {}),
    ("relu", (T, T), {}),
    ("relu", (), {}),
    ("relu", (T,), {"foo": 1}),
    ("exp", ("a",), {}),
    ("exp", ([1, 2],), {}),
    ("softmax", (T, "a"), {}),
    ("transpose", (T, 0), {}),
    ("mm", (T, 1), {}),
    ("cat", (T,), {}),
    ("cat", ([T, 1],), {}),
    ("stack", ([1],), {}),
    ("eq", (T, "a"), {}),
    ("matmul", (T, 2), {}),
    ("abs", (T,), {"out": 1}),
]


@pytest.mark.parametrize("case", SAME_WORDS, ids=str)
def test_refused_in_the_same_words(case):
    name, args, kwargs = case
    with pytest.raises(TypeError) as theirs:
        run(torch, name, args, kwargs)
    with pytest.raises(TypeError) as ours:
        run(ember, name, args, kwargs)
    theirs, ours = str(theirs.value).split("\n"), str(ours.value).split("\n")
    if "invalid combination" in theirs[0] and "invalid combination" not in ours[0]:
        return  # PyTorch has more overloads here; ours names the argument
    named = theirs[0] if name.removeprefix("Tensor.") in theirs[0] else f"{name}(): {theirs[0]}"
    assert ours[0] == named


REFUSED = [
    ("max", ("a",), {}),
    ("sum", (T, "a"), {}),
    ("zeros", ("a",), {}),
    ("zeros", (2,), {"dtype": "float"}),
    ("zeros", (2,), {"foo": 1}),
    ("zeros", (2.5,), {}),
    ("Tensor.view", (T, 1.5), {}),
    ("Tensor.view", (T, "a"), {}),
    ("arange", ("a",), {}),
    ("clamp", (T, "a"), {}),
    ("where", (1, 2, 3), {}),
    ("zeros", (2,), {"layout": 1}),
    ("zeros", (2,), {"requires_grad": 1}),
    ("zeros", (2,), {"device": 1.5}),
    ("max", (T, 0), {"out": T}),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused_with_the_same_type(case):
    name, args, kwargs = case
    with pytest.raises(Exception) as theirs:
        run(torch, name, args, kwargs)
    with pytest.raises(type(theirs.value)):
        run(ember, name, args, kwargs)


def test_combination_message_lists_the_overloads():
    with pytest.raises(TypeError) as e:
        ember.max("a")
    text = str(e.value)
    assert text.startswith("max() received an invalid combination of arguments - got (str), but expected one of:")
    assert "\n * (Tensor input, *, Tensor out = None)" in text or "\n * (Tensor input" in text


def test_wrong_self():
    for library in (ember, torch):
        with pytest.raises(TypeError, match="descriptor 'add'"):
            library.Tensor.add(1, 2)
        with pytest.raises(TypeError, match="needs an argument"):
            library.Tensor.add()


def test_integers_that_do_not_fit():
    for library in (ember, torch):
        with pytest.raises((RuntimeError, OverflowError, TypeError)):
            library.zeros(2**70)
        with pytest.raises((RuntimeError, OverflowError)):
            library.ones(2) + 2**70


def test_out():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        x, y = library.ones(3), library.empty(3)
        z = library.add(x, 2, out=y)
        out += [z is y, y.tolist()]
        v, i = library.empty(0), library.empty(0, dtype=library.int64)
        m = library.max(library.tensor([[1.0, 3.0]]), 1, out=(v, i))
        out += [v.tolist(), i.tolist(), m.values.tolist()]
        library.add(x, 1, out=x)
        out.append(x.tolist())
        with pytest.raises(RuntimeError, match="can't be cast"):
            library.add(x, 1.5, out=library.empty(3, dtype=library.int64))
    assert ours == theirs


def test_named_results():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        m = library.max(library.tensor([[1.0, 3.0], [4.0, 2.0]]), dim=1)
        values, indices = m
        out += [
            values.tolist(),
            m.indices.tolist(),
            m[0].tolist(),
            repr(m),
            isinstance(m, tuple),
            isinstance(m, library.return_types.max),
        ]
        s = library.tensor([3, 1, 2]).sort()
        out += [s.values.tolist(), s.indices.tolist()]
        out += [type(library.ones(4).split(2)).__name__, type(library.ones(4).unbind()).__name__]
    assert ours == theirs


def test_inplace_returns_self():
    x = ember.ones(3)
    assert x.add_(1) is x and x.tolist() == [2, 2, 2]
    y = x
    x += 1
    assert x is y and y.tolist() == [3, 3, 3]
    with pytest.raises(RuntimeError, match="can't be cast"):
        ember.ones(2, dtype=ember.int64).add_(1.5)


def test_operators():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        x = library.tensor([1.0, 2.0, 4.0])
        i = library.tensor([1, 2, 5])
        b = library.tensor([True, False, True])
        for y in (
            x + 1,
            1 + x,
            x - 1,
            1 - x,
            x * 2,
            2 * x,
            x / 2,
            2 / x,
            x // 2,
            5 // x,
            x % 3,
            5 % x,
            x**2,
            2**x,
            -x,
            +x,
            abs(-x),
            i & 3,
            3 & i,
            i | 4,
            i ^ 1,
            ~i,
            i << 1,
            1 << i,
            i >> 1,
            ~b,
            b & True,
            b | False,
            x @ x,
            x == 2,
            x != x,
            x < 2,
            2 < x,
            x >= i,
            i + 1.5,
            i / 2,
            b + 1,
            b + b,
            x + 1j,
            i // 2,
            i % 2,
            True + b,
        ):
            out.append((str(y.dtype), y.tolist()))
        out += [x == None, x != None, x == "a", 2.0 in x, 7 in x]  # noqa: E711
        for bad in (
            lambda: x + "a",
            lambda: x + None,
            lambda: "a" + x,
            lambda: x < "a",
            lambda: x & 1.5,
            lambda: x @ 2,
            lambda: [1] * x,
        ):
            with pytest.raises((TypeError, RuntimeError)):
                bad()
    assert ours == theirs


def test_torch_function():
    class Logged:
        calls = []

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.calls.append((func.__name__, types, kwargs))
            return "done"

    x = ember.ones(2)
    assert ember.add(x, Logged()) == "done"
    assert x.add(Logged()) == "done"
    assert x + Logged() == "done"
    assert ember.cat([x, Logged()], dim=0) == "done"
    assert Logged.calls[0] == ("add", (Logged,), {}) and Logged.calls[3][2] == {"dim": 0}

    class Refuses:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    with pytest.raises(TypeError, match="no implementation found for 'torch.add'"):
        ember.add(x, Refuses())


def test_subclasses_keep_their_class():
    class Mine(ember.Tensor):
        pass

    x = ember.ones(3).as_subclass(Mine)
    assert type(x + 1) is Mine and type(x.relu()) is Mine and type(x[0]) is Mine and type(x.float()) is Mine
    assert all(type(p) is Mine for p in x.split(1))
    assert type(x.T) is Mine and type(x.data) is Mine and type(x.to(ember.float64)) is Mine and type(x.detach()) is Mine
    assert type(ember.nn.Parameter(ember.ones(2)) + 1) is ember.Tensor

    class Counts(ember.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return super().__torch_function__(func, types, args, kwargs or {})

    y = ember.ones(2).as_subclass(Counts)
    assert type(y * 2) is Counts and type(ember.exp(y)) is Counts


def test_ops_know_their_names():
    assert ember.add.__name__ == "add" and "alpha" in ember.add.schemas[0]
    assert ember.Tensor.add.__name__ == "add" and ember.add.__doc__
    assert "function add" in repr(ember.add) and "method 'add'" in repr(ember.Tensor.add)


def test_default_device():
    for library in (ember, torch):
        with library.device("meta"):
            assert (
                library.zeros(2).is_meta
                and library.tensor([1.0]).is_meta
                and library.get_default_device().type == "meta"
            )
            assert not library.zeros(2, device="cpu").is_meta
            assert library.empty((2, 3), device=None).is_meta and library.tensor([1.0], device=None).is_meta
            assert library.nn.Linear(2, 3).weight.is_meta and library.nn.BatchNorm1d(2).running_mean.is_meta
            assert not library.zeros_like(library.zeros(2, device="cpu"), device=None).is_meta
        assert not library.zeros(2).is_meta
        library.set_default_device("meta")
        try:
            assert library.randn(2).is_meta
        finally:
            library.set_default_device(None)
        assert library.get_default_device().type == "cpu"
