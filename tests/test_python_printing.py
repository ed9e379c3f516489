"""Printing against PyTorch, character by character: shapes, dtypes, magnitudes, options, summaries, histories."""

import itertools
import math
import random

import ember
import numpy as np
import pytest
import torch

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTS = ["int64", "int32", "int16", "int8", "uint8"]
SHAPES = [
    (),
    (1,),
    (3,),
    (12,),
    (40,),
    (2, 3),
    (3, 1),
    (1, 1, 1),
    (2, 3, 4),
    (2, 1, 3, 2),
    (1001,),
    (40, 40),
    (3, 400),
    (12, 9, 11),
]


def pair(values, shape, dtype):
    array = np.array(values, dtype=object).reshape(shape).tolist()
    return ember.tensor(array, dtype=getattr(ember, dtype)), torch.tensor(array, dtype=getattr(torch, dtype))


def same(e, t):
    assert repr(e) == repr(t)
    assert str(e) == str(t)


def draw(rng, kind, n):
    if kind == "unit":
        return [rng.uniform(-1, 1) for _ in range(n)]
    if kind == "wide":
        return [rng.uniform(-1, 1) * 10 ** rng.randint(-6, 6) for _ in range(n)]
    if kind == "whole":
        return [float(rng.randint(-50, 50)) for _ in range(n)]
    if kind == "large":
        return [float(rng.randint(-(10**9), 10**9)) for _ in range(n)]
    if kind == "small":
        return [rng.uniform(-1, 1) * 1e-5 for _ in range(n)]
    if kind == "odd":
        return [rng.choice([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 2.5, -3.0]) for _ in range(n)]
    return [0.0] * n


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats(shape, dtype):
    rng = random.Random(str((shape, dtype)))
    for kind in ("unit", "wide", "whole", "large", "small", "odd", "zeros"):
        values = draw(rng, kind, math.prod(shape))
        if dtype == "float16":
            values = [max(-6e4, min(6e4, v)) if math.isfinite(v) else v for v in values]
        same(*pair(values, shape, dtype))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [*INTS, "bool"])
def test_integers(shape, dtype):
    rng = random.Random(str((shape, dtype)))
    low, high = (0, 1) if dtype == "bool" else (0, 200) if dtype == "uint8" else (-100, 100)
    same(*pair([rng.randint(low, high) for _ in range(math.prod(shape))], shape, dtype))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex(shape, dtype):
    rng = random.Random(str((shape, dtype)))
    for kind in ("unit", "wide", "whole", "zeros"):
        n = math.prod(shape)
        values = [complex(a, b) for a, b in zip(draw(rng, kind, n), draw(rng, kind, n))]
        same(*pair(values, shape, dtype))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex64"])
def test_empty(shape, dtype):
    same(ember.empty(shape, dtype=getattr(ember, dtype)), torch.empty(shape, dtype=getattr(torch, dtype)))


OPTIONS = [
    {"precision": 2},
    {"precision": 8},
    {"threshold": 5},
    {"threshold": 5, "edgeitems": 1},
    {"edgeitems": 2, "threshold": 3},
    {"linewidth": 40},
    {"linewidth": 200},
    {"sci_mode": True},
    {"sci_mode": False},
    {"profile": "short"},
    {"profile": "full"},
    {"sci_mode": True, "precision": 1, "linewidth": 50},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options):
    rng = random.Random(str(options))
    try:
        ember.set_printoptions(**options)
        torch.set_printoptions(**options)
        for kind, shape in itertools.product(
            ("unit", "wide", "whole", "small", "odd"), [(), (7,), (9, 9), (3, 4, 5), (600,)]
        ):
            same(*pair(draw(rng, kind, math.prod(shape)), shape, "float32"))
        same(*pair([rng.randint(-99, 99) for _ in range(48)], (6, 8), "int64"))
    finally:
        ember.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")


def test_history_and_flags():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        out += [
            repr(x),
            repr(y),
            repr(y + 1),
            repr(y.detach()),
            repr(x.view(2, 1)),
            repr(-x),
            repr(x[0]),
            repr(y.exp()),
        ]
        out += [
            repr(library.tensor([1.0] * 40, requires_grad=True)),
            repr(library.tensor(1.5, dtype=library.float64, requires_grad=True)),
        ]
    assert ours == theirs


def test_default_dtype_decides_the_suffix():
    try:
        for d in ("float64", "float16"):
            ember.set_default_dtype(getattr(ember, d))
            torch.set_default_dtype(getattr(torch, d))
            for dtype in ("float32", "float64", "float16", "complex64", "complex128", "int64"):
                same(*pair([1, 2], (2,), dtype))
    finally:
        ember.set_default_dtype(ember.float32)
        torch.set_default_dtype(torch.float32)


def test_meta():
    for dtype in ("float32", "float64"):
        same(
            ember.empty((2, 3), device="meta", dtype=getattr(ember, dtype)),
            torch.empty((2, 3), device="meta", dtype=getattr(torch, dtype)),
        )


def test_format():
    for library, out in ((ember, ours := []), (torch, theirs := [])):
        x = library.tensor(3.14159)
        out += [f"{x}", f"{x:.2f}", f"{library.tensor(7):d}", f"{library.tensor([1, 2])}", f"{library.tensor(True)}"]
        with pytest.raises(TypeError):
            format(library.tensor([1.0, 2.0]), ".2f")
    assert ours == theirs


def test_non_contiguous():
    e, t = pair(range(24), (4, 6), "int64")
    same(e.t(), t.t())
    same(e[:, ::2], t[:, ::2])
    same(e.expand(2, 4, 6), t.expand(2, 4, 6))


def test_types_print_as_in_pytorch():
    for name in (
        "float32",
        "int64",
        "bool",
        "complex64",
        "strided",
        "contiguous_format",
        "channels_last",
        "preserve_format",
    ):
        assert repr(getattr(ember, name)) == repr(getattr(torch, name))
    assert repr(ember.Size([2, 3])) == repr(torch.Size([2, 3]))
    assert repr(ember.device("cpu")) == repr(torch.device("cpu")) and str(ember.device("cuda:1")) == "cuda:1"
    assert repr(ember.device("cuda", 1)) == repr(torch.device("cuda", 1))
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert repr(ember.finfo(getattr(ember, name))) == repr(torch.finfo(getattr(torch, name)))
    for name in INTS:
        assert repr(ember.iinfo(getattr(ember, name))) == repr(torch.iinfo(getattr(torch, name)))
