# Contractions by name against PyTorch: einsum's whole grammar, tensordot, bilinear, chains, cross products.
"""einsum and its like."""

import numpy as np
import pytest
from against import check, check_error, check_gradient


def data(m, *shape, seed=0):
    return m.tensor(np.random.default_rng(seed).normal(size=shape).round(3).tolist()).reshape(shape)


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba,cb", (2, 3), (4, 2)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iji->j", (3, 2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (5, 3, 4)),
    ("...ij->...ji", (2, 3, 4)),
    ("i...->...", (2, 3, 4)),
    ("...,...", (2, 3), (3,)),
    ("b...n,...nk", (2, 5, 3), (3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("ij,ij,ij->", (2, 3), (2, 3), (2, 3)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("Ab,bC->AC", (2, 3), (3, 4)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("ij,k->ik", (2, 3), (4,)),
    (",ij->ij", (), (2, 3)),
]


@pytest.mark.parametrize("case", EINSUM, ids=lambda c: c[0])
def test_einsum(case):
    equation, *shapes = case
    check(lambda m: m.einsum(equation, *[data(m, *s, seed=i) for i, s in enumerate(shapes)]), strides=False)
    check_gradient(lambda m, *x: m.einsum(equation, *x), *shapes)


OTHERS = {
    "tensordot": (lambda m, a, b: m.tensordot(a, b, dims=([1, 0], [0, 1])), (2, 3, 4), (3, 2, 5)),
    "tensordot count": (lambda m, a, b: m.tensordot(a, b, dims=2), (2, 3, 4), (3, 4, 5)),
    "tensordot none": (lambda m, a, b: m.tensordot(a, b, dims=0), (2,), (3,)),
    "inner": (lambda m, a, b: m.inner(a, b), (2, 3), (4, 3)),
    "trace": (lambda m, a: m.trace(a), (3, 4)),
    "bilinear": (lambda m, a, b, w, c: m.nn.functional.bilinear(a, b, w, c), (5, 2), (5, 3), (4, 2, 3), (4,)),
    "chain_matmul": (lambda m, a, b, c: m.chain_matmul(a, b, c), (2, 6), (6, 3), (3, 5)),
    "cross": (lambda m, a, b: m.cross(a, b, dim=1), (2, 3), (2, 3)),
    "linalg.cross": (lambda m, a, b: m.linalg.cross(a, b), (2, 3), (1, 3)),
}


@pytest.mark.filterwarnings("ignore:torch.chain_matmul")
@pytest.mark.parametrize("case", OTHERS)
def test_others(case):
    f, *shapes = OTHERS[case]
    check(lambda m: f(m, *[data(m, *s, seed=i) for i, s in enumerate(shapes)]), strides=False)
    check_gradient(f, *shapes)


@pytest.mark.parametrize(
    "equation,shapes",
    [
        ("ij,jk->ik", [(2, 3)]),
        ("ij->ik", [(2, 3)]),
        ("ij->ii", [(2, 3)]),
        ("ijk->i", [(2, 3)]),
        ("i.j->i", [(2, 3)]),
        ("i1->i", [(2, 3)]),
        ("ij,jk->ik", [(2, 3), (4, 5)]),
        ("ii->i", [(2, 3)]),
    ],
)
def test_errors(equation, shapes):
    check_error(lambda m: m.einsum(equation, *[m.ones(s) for s in shapes]))
