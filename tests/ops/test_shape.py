# Joining, repeating, rearranging, padding against PyTorch: values, strides, gradients, errors.
"""Shape ops."""

import ember
import pytest
import torch.nn.functional
from against import check, check_error, check_gradient

pytestmark = pytest.mark.sanitize


def grid(m, *sizes, dtype="float32"):
    n = 1
    for s in sizes:
        n *= s
    return m.arange(n, dtype=getattr(m, dtype)).reshape(sizes)


JOINS = [
    lambda m: m.cat([grid(m, 2, 3), grid(m, 1, 3)]),
    lambda m: m.cat([grid(m, 2, 3), grid(m, 2, 1)], 1),
    lambda m: m.cat((grid(m, 2, 3), grid(m, 2, 2)), -1),
    lambda m: m.cat([grid(m, 2, 3).t(), grid(m, 3, 2)], 0),
    lambda m: m.cat([grid(m, 2), m.zeros(0), grid(m, 3)]),
    lambda m: m.cat([m.zeros(0), grid(m, 2, 3)]),
    lambda m: m.cat([grid(m, 2, 0), grid(m, 2, 3)], 1),
    lambda m: m.cat([grid(m, 2), grid(m, 2, dtype="int64")]),
    lambda m: m.cat([grid(m, 2, dtype="int32"), grid(m, 2, dtype="uint8")]),
    lambda m: m.cat([grid(m, 2, dtype="bfloat16"), grid(m, 2, dtype="float64")]),
    lambda m: m.cat([grid(m, 1, 2, 3, 4).contiguous(memory_format=m.channels_last)] * 2, 1),
    lambda m: m.cat([grid(m, 3, 50, 70), grid(m, 3, 30, 70)] * 2, 1),
    lambda m: m.concat([grid(m, 2), grid(m, 2)]),
    lambda m: m.cat([grid(m, 2), grid(m, 2)], dim=0, out=m.empty(0)),
    lambda m: m.stack([grid(m, 2, 3), grid(m, 2, 3)]),
    lambda m: m.stack([grid(m, 2, 3), grid(m, 2, 3)], 1),
    lambda m: m.stack([grid(m, 3, 2).t(), grid(m, 2, 3)], -1),
    lambda m: m.stack([m.tensor(1), m.tensor(2.5)]),
    lambda m: m.hstack([grid(m, 2), grid(m, 3)]),
    lambda m: m.hstack([grid(m, 2, 1), grid(m, 2, 2)]),
    lambda m: m.vstack([grid(m, 2), grid(m, 3, 2)]),
    lambda m: m.dstack([grid(m, 2), grid(m, 2)]),
    lambda m: m.column_stack([grid(m, 2), grid(m, 2, 3)]),
    lambda m: m.row_stack([grid(m, 2), grid(m, 2)]),
    lambda m: m.flip(grid(m, 2, 3, 4), (0, 2)),
    lambda m: grid(m, 2, 3).t().flip(0),
    lambda m: m.fliplr(grid(m, 2, 3)),
    lambda m: m.flipud(grid(m, 2, 3)),
    lambda m: m.roll(grid(m, 3, 4), 1),
    lambda m: m.roll(grid(m, 3, 4), -5, 1),
    lambda m: m.roll(grid(m, 3, 4), (1, 2), (0, 1)),
    lambda m: m.roll(grid(m, 3, 4), (1, 2), (1, 1)),
    lambda m: m.roll(grid(m, 0, 4), 1, 0),
    *[lambda m, k=k: m.rot90(grid(m, 3, 4), k) for k in range(-2, 5)],
    lambda m: m.rot90(grid(m, 2, 3, 4), 1, (1, 2)),
    lambda m: grid(m, 2, 3).repeat(2, 1),
    lambda m: grid(m, 3).repeat(2, 3),
    lambda m: grid(m, 3).repeat(0, 3),
    lambda m: m.tile(grid(m, 2, 3), (2,)),
    lambda m: m.tile(grid(m, 2, 3), (2, 1, 2)),
    lambda m: grid(m, 2, 3).repeat_interleave(2),
    lambda m: grid(m, 2, 3).repeat_interleave(3, 1),
    lambda m: grid(m, 2, 3).repeat_interleave(m.tensor([1, 2]), 0),
    lambda m: m.repeat_interleave(m.tensor([1, 0, 2])),
    lambda m: grid(m, 2, 3).sum_to_size(1, 3),
    lambda m: grid(m, 2, 3).sum_to_size(3),
    lambda m: m.pixel_shuffle(grid(m, 1, 8, 2, 3), 2),
    lambda m: m.pixel_unshuffle(grid(m, 1, 2, 4, 6), 2),
    lambda m: m.channel_shuffle(grid(m, 1, 6, 2, 2), 3),
    lambda m: m.kron(grid(m, 2, 2), grid(m, 3)),
    lambda m: m.kron(grid(m, 2, 2), grid(m, 2, 3)),
]


@pytest.mark.parametrize("i", range(len(JOINS)))
def test_values(i):
    check(JOINS[i])


GRADIENTS = [
    (lambda m, x, y: m.cat([x, y, x], 1), (2, 3), (2, 2)),
    (lambda m, x, y: m.stack([x, y], 1), (2, 3), (2, 3)),
    (lambda m, x: m.flip(x, (0,)), (2, 3)),
    (lambda m, x: m.roll(x, (1, 2), (0, 1)), (3, 4)),
    (lambda m, x: m.roll(x, 3), (3, 4)),
    (lambda m, x: m.rot90(x), (3, 4)),
    (lambda m, x: x.repeat(2, 3), (3,)),
    (lambda m, x: m.tile(x, (2, 2)), (2, 3)),
    (lambda m, x: x.repeat_interleave(2, 0), (3, 2)),
    (lambda m, x: x.sum_to_size(1, 3), (2, 3)),
    (lambda m, x: m.tril(x), (3, 3)),
    (lambda m, x: m.diag(x), (3,)),
    (lambda m, x: m.diag(x, 1), (3, 4)),
    (lambda m, x: m.diag_embed(x, 1), (2, 3)),
    (lambda m, x, y: m.kron(x, y), (2, 2), (2,)),
    (lambda m, x, y: m.block_diag(x, y), (2, 2), (1, 3)),
    (lambda m, x: m.pixel_shuffle(x, 2), (1, 4, 2, 2)),
    (lambda m, x, y: m.complex(x, y), (3,), (3,)),
    (lambda m, x, y: m.conj(m.complex(x, y)) * m.complex(y, x), (3,), (3,)),
    (lambda m, x, y: m.angle(m.complex(x, y)), (3,), (3,)),
]


@pytest.mark.parametrize("i", range(len(GRADIENTS)))
def test_gradients(i):
    f, *shapes = GRADIENTS[i]
    check_gradient(f, *shapes)


def pad_of(m):
    return m.nn.functional.pad


PADS = [
    ((2, 3), (1, 2), "constant", None),
    ((2, 3), (1, 2, 0, 1), "constant", 7.0),
    ((2, 3), (-1, 2), "constant", 0.0),
    ((2, 3), (1, -2, -1, 3), "constant", 1.0),
    ((2, 3, 4), (1, 2), "reflect", None),
    ((2, 3), (2, 1), "reflect", None),
    ((1, 2, 3, 4), (1, 2, 2, 1), "reflect", None),
    ((1, 2, 3, 3, 4), (1, 2, 2, 1, 1, 1), "reflect", None),
    ((2, 3, 4), (3, 2), "replicate", None),
    ((1, 2, 3, 4), (1, 2, 5, 0), "replicate", None),
    ((1, 2, 3, 3, 4), (1, 2, 0, 1, 4, 1), "replicate", None),
    ((2, 3, 4), (3, 4), "circular", None),
    ((1, 2, 3, 4), (1, 2, 3, 0), "circular", None),
    ((2, 3, 4), (-1, 2), "replicate", None),
    ((2, 3, 4), (-1, 2), "circular", None),
]


@pytest.mark.parametrize("i", range(len(PADS)))
def test_pad(i):
    shape, pad, mode, value = PADS[i]
    check(lambda m: pad_of(m)(grid(m, *shape), pad, mode, value))
    check_gradient(lambda m, x: pad_of(m)(x, pad, mode, value), shape)


def test_pad_in_channels_last():
    check(lambda m: pad_of(m)(grid(m, 1, 2, 3, 4).contiguous(memory_format=m.channels_last), (1, 1)))


PATCHES = [((2, 2), 1, 0, 1), ((2, 3), 1, 1, 2), ((3, 2), 2, (2, 1), (1, 2))]


@pytest.mark.parametrize("i", range(len(PATCHES)))
def test_unfold_and_fold(i):
    kernel, dilation, padding, stride = PATCHES[i]
    x = grid(torch, 2, 3, 6, 7)
    columns = torch.nn.functional.unfold(x, kernel, dilation, padding, stride).shape

    def unfold(m, x):
        return m.nn.functional.unfold(x, kernel, dilation, padding, stride)

    def fold(m, x):
        return m.nn.functional.fold(x, (6, 7), kernel, dilation, padding, stride)

    check(lambda m: unfold(m, grid(m, 2, 3, 6, 7)))
    check(lambda m: fold(m, grid(m, *columns)))
    check_gradient(unfold, (1, 2, 6, 7))
    check_gradient(fold, (1, *columns[1:]))


ERRORS = [
    (lambda m: m.cat([]), "expected a non-empty list"),
    (lambda m: m.cat([m.tensor(1), m.tensor(2)]), "zero-dimensional tensor (at position 0) cannot be concatenated"),
    (lambda m: m.cat([grid(m, 2, 2), grid(m, 2)]), "Tensors must have same number of dimensions: got 2 and 1"),
    (
        lambda m: m.cat([grid(m, 2, 2), grid(m, 3, 3)]),
        "Expected size 2 but got size 3 for tensor number 1 in the list.",
    ),
    (lambda m: m.stack([]), "stack expects a non-empty TensorList"),
    (lambda m: m.stack([grid(m, 2), grid(m, 3)]), "but got [2] at entry 0 and [3] at entry 1"),
    (lambda m: m.flip(grid(m, 3, 3), (0, 0)), "dim 0 appears multiple times in the list of dims"),
    (lambda m: grid(m, 3, 3).roll((1, 2), 0), "shifts and dimensions must align. shifts: 2, dims:1"),
    (lambda m: grid(m, 3, 3).rot90(1, (0, 0)), "expected rotation dims to be different"),
    (lambda m: grid(m, 3).rot90(1, (0, 1)), "expected total dims >= 2, but got total dims = 1"),
    (lambda m: grid(m, 3, 3).repeat(2), "Number of dimensions of repeat dims can not be smaller"),
    (lambda m: grid(m, 3).repeat_interleave(-1), "Repeats must be non-negative"),
    (lambda m: grid(m, 3).repeat_interleave(m.tensor([1, 2])), "repeats must have the same size as input along dim"),
    (lambda m: grid(m, 3).sum_to_size(2), "is not expandable to size"),
    (lambda m: m.fliplr(grid(m, 3)), "Input must be >= 2-d."),
    (lambda m: pad_of(m)(grid(m, 2, 3), (1, 2, 3)), "adding length must be divisible by 2"),
    (lambda m: pad_of(m)(grid(m, 2, 3), (3, 3), "reflect"), "adding size should be less than the corresponding input"),
    (lambda m: pad_of(m)(grid(m, 2, 3), (4, 3), "circular"), "wrapping around more than once"),
    (lambda m: m.constant_pad_nd(grid(m, 3), (-2, -2)), "egative"),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    f, words = ERRORS[i]
    ours, theirs = check_error(f)
    assert words in ours
    assert words in theirs


def test_cat_of_much_is_exact():
    parts = [ember.arange(1000 * k, 1000 * k + 1000 * (k % 3 + 1)) for k in range(20)]
    whole = ember.cat([p.view(-1, 100) for p in parts], 0)
    assert whole.shape[1] == 100
    assert whole.flatten().tolist() == [v for p in parts for v in p.tolist()]
    wide = ember.cat([p.view(10, -1) for p in parts], 1)
    assert wide[3, :100].tolist() == parts[0].view(10, -1)[3].tolist()


@pytest.mark.parametrize("size,kernel,padding", [(4, 2**63 - 1, 0), (4, 2**40, 2**41), (2**40, 1, 0)])
def test_windows_that_overflow(size, kernel, padding):
    for m in (ember, torch):
        with pytest.raises(RuntimeError):
            m.nn.functional.fold(m.zeros(1, 1, 5), (size, size), kernel, padding=padding)
    with pytest.raises(RuntimeError):
        ember.nn.functional.unfold(ember.zeros(1, 1, 4, 4), max(kernel, 2**40), padding=2**41)


@pytest.mark.parametrize("at", range(5))
def test_windows_of_lists_of_another_length(at):
    lists = [(4, 4), (2, 2), (1, 1), (0, 0), (1, 1)]
    for wrong in ((), (1, 1, 1)):
        given = [*lists[:at], wrong, *lists[at + 1 :]]
        for m, ops in ((ember, ember._C.ops), (torch, torch.ops.aten)):
            with pytest.raises(RuntimeError):
                ops.col2im(m.zeros(1, 4, 9), *given)
            if at:
                with pytest.raises(RuntimeError):
                    ops.im2col(m.zeros(1, 1, 4, 4), *given[1:])
