# Views against PyTorch: geometry, writing through, gradients, in-place geometry, errors.
"""View ops."""

import ember
import pytest
import torch
from against import check, check_error, check_gradient, same

pytestmark = pytest.mark.sanitize


def grid(m, *sizes, dtype="float32"):
    n = 1
    for s in sizes:
        n *= s
    return m.arange(n, dtype=getattr(m, dtype)).reshape(sizes)


VIEWS = {
    "view": lambda x: x.view(4, 6),
    "view -1": lambda x: x.view(-1, 3),
    "view list": lambda x: x.view([24]),
    "reshape": lambda x: x.reshape(6, 4),
    "transpose": lambda x: x.transpose(0, 2),
    "swapaxes": lambda x: x.swapaxes(0, -1),
    "swapdims": lambda x: x.swapdims(1, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "movedim": lambda x: x.movedim(0, -1),
    "movedim list": lambda x: x.movedim((0, 1), (2, 0)),
    "moveaxis": lambda x: x.moveaxis(2, 0),
    "select": lambda x: x.select(1, -2),
    "index": lambda x: x[1],
    "slice": lambda x: x[:, 1:3],
    "slice step": lambda x: x[..., ::3],
    "slice empty": lambda x: x[:, 2:1],
    "slice beyond": lambda x: x[:, 9:],
    "narrow": lambda x: x.narrow(2, -2, 2),
    "unsqueeze front": lambda x: x.unsqueeze(0),
    "unsqueeze middle": lambda x: x.unsqueeze(2),
    "unsqueeze back": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:1].squeeze(),
    "squeeze dim": lambda x: x[:1].squeeze(0),
    "squeeze not one": lambda x: x.squeeze(0),
    "squeeze dims": lambda x: x[:1, :1].squeeze((0, 1)),
    "flatten": lambda x: x.flatten(),
    "flatten some": lambda x: x.flatten(1, 2),
    "unflatten": lambda x: x.unflatten(2, (2, -1)),
    "ravel": lambda x: x.ravel(),
    "diagonal": lambda x: x.diagonal(),
    "diagonal above": lambda x: x.diagonal(1, 1, 2),
    "diagonal below": lambda x: x.diagonal(-1, 2, 0),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "unfold step": lambda x: x.unfold(1, 2, 2),
    "split": lambda x: x.split(2, 2),
    "split uneven": lambda x: x.split(3, -1),
    "split sizes": lambda x: x.split([1, 2], 1),
    "split_with_sizes": lambda x: x.split_with_sizes([1, 3], 2),
    "chunk": lambda x: x.chunk(3, 2),
    "chunk more": lambda x: x.chunk(5, 1),
    "tensor_split": lambda x: x.tensor_split(3, 2),
    "tensor_split at": lambda x: x.tensor_split((1, 3), 2),
    "hsplit": lambda x: x.hsplit(3),
    "vsplit": lambda x: x.vsplit([1]),
    "dsplit": lambda x: x.dsplit(2),
    "unbind": lambda x: x.unbind(1),
    "expand": lambda x: x[:1].expand(5, -1, -1),
    "mT": lambda x: x.mT,
    "T": lambda x: x[0].T,
    "t": lambda x: x[0].t(),
    "t vector": lambda x: x[0, 0].t(),
    "view_as": lambda x: x.view_as(x.reshape(4, 6)),
    "expand_as": lambda x: x[:1].expand_as(x),
    "as_strided": lambda x: x.as_strided((2, 3), (1, 2), 5),
    "detach": lambda x: x.detach(),
    "of transposed": lambda x: x.transpose(0, 1)[1:, :, ::2].unsqueeze(1),
    "dtype wider": lambda x: x.view(x.double().dtype),
    "dtype narrower": lambda x: x.view(x.short().dtype),
    "dtype same size": lambda x: x.view(x.int().dtype),
}


@pytest.mark.parametrize("name", VIEWS)
def test_geometry_and_writing_through(name):
    def run(m):
        base = grid(m, 2, 3, 4)
        view = VIEWS[name](base)
        first = view[0] if isinstance(view, (tuple, list)) else view
        results = [*view] if isinstance(view, (tuple, list)) else [view]
        if first.dtype == base.dtype and name not in ("expand", "expand_as", "unfold"):  # these overlap
            first.mul_(2)
        return [*results, base]

    check(run)


DIFFERENTIABLE = [n for n in VIEWS if "dtype" not in n and n not in ("T", "t", "t vector", "detach")]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient(name):
    check_gradient(lambda m, x: VIEWS[name](x), (2, 3, 4))


def test_gradient_of_overlapping_and_general_views():
    check_gradient(lambda m, x: m.as_strided(x, (3, 4), (2, 1), 1), (4, 3))
    check_gradient(lambda m, x: m.as_strided(x.t(), (3, 2), (1, 4), 0), (4, 3))
    check_gradient(lambda m, x: m.as_strided(x.expand(3, 4), (3, 2), (0, 1), 1), (4,))
    check_gradient(lambda m, x: x.unfold(0, 3, 1).unfold(1, 2, 1), (6,))
    check_gradient(lambda m, x: x.expand(3, 2, 4), (2, 1))


def test_gradient_through_one_of_several_views():
    check_gradient(lambda m, x: x.split(2)[1], (5, 2))
    check_gradient(lambda m, x: x.unbind()[2] * x.unbind()[0], (5, 2))
    check_gradient(lambda m, x: x.chunk(3)[2], (5, 2))


def test_complex_views():
    check(lambda m: m.view_as_real(m.tensor([[1 + 2j, 3 - 1j]])))
    check(lambda m: m.view_as_complex(grid(m, 3, 2)))
    check(lambda m: (m.tensor([1 + 2j, 3 - 1j]).real, m.tensor([1 + 2j, 3 - 1j]).imag, grid(m, 2).real))

    def write(m):
        z = m.tensor([1 + 2j, 3 - 1j])
        z.imag.fill_(7)
        return z

    check(write)
    check_gradient(lambda m, x: m.view_as_complex(x), (3, 2))
    check_gradient(lambda m, x: m.view_as_real(m.complex(x, x * 2)), (3,))
    check_gradient(lambda m, x: m.complex(x, x * 2).imag, (3,))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.t_(),
        lambda x: x.transpose_(0, 1),
        lambda x: x.unsqueeze_(1),
        lambda x: x[:1].squeeze_(0),
        lambda x: x.swapaxes_(0, 1),
        lambda x: x.as_strided_((2,), (2,)),
    ],
)
def test_inplace_geometry(f):
    check(lambda m: f(grid(m, 3, 4)))
    check_gradient(lambda m, x: f(x * 1), (3, 4))


def test_inplace_writes_into_views_have_gradients():
    def f(m, x):
        y = x * 2
        y[:, 1].mul_(3)
        y.t()[0].copy_(x[0, 0] * x[:, 2])
        return y

    check_gradient(f, (3, 4))


def test_negative_steps_are_views():
    x = ember.arange(12).view(3, 4)
    assert x[::-1].tolist() == [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert x[::-1].stride() == (-4, 1)
    assert x[:, 2:0:-1].tolist() == [[2, 1], [6, 5], [10, 9]]
    assert x[:, -1:-4:-2].tolist() == [[3, 1], [7, 5], [11, 9]]
    assert x[:, 1:2:-1].shape == (3, 0)
    x[::-1][0, ::-1].mul_(10)
    assert x[2].tolist() == [80, 90, 100, 110]
    for a, b, s in [(None, None, -1), (5, None, -2), (None, 1, -3), (-1, -9, -1), (2, -1, -1)]:
        assert ember.arange(7)[a:b:s].tolist() == list(range(7))[a:b:s]
    y = ember.arange(4.0).requires_grad_()
    (y[::-1] * ember.tensor([1.0, 2, 3, 4])).sum().backward()
    assert y.grad.tolist() == [4, 3, 2, 1]


def test_at_least_and_broadcast():
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        check(lambda m: [getattr(m, name)(grid(m, *s)) for s in [(), (2,), (2, 3), (2, 3, 4)]])
        check(lambda m: getattr(m, name)(grid(m), grid(m, 2)))
    check(lambda m: m.broadcast_tensors(grid(m, 3, 1), grid(m, 2), grid(m)))
    check(lambda m: m.broadcast_to(grid(m, 3, 1), (2, 3, 4)))
    check(lambda m: [m.ones(()).expand(1, 1), grid(m, 3).expand(1, 3), grid(m, 3, 1).expand(1, 1, 3, 4)])


def test_scatters():
    src = lambda m, *s: -grid(m, *s) - 1  # noqa: E731
    check(lambda m: m.select_scatter(grid(m, 3, 4), src(m, 3), 1, 2))
    check(lambda m: m.slice_scatter(grid(m, 3, 4), src(m, 2, 4), 0, 1))
    check(lambda m: m.diagonal_scatter(grid(m, 3, 4), src(m, 3)))
    check(lambda m: m.as_strided_scatter(grid(m, 3, 4), src(m, 2), (2,), (5,), 1))
    check_gradient(lambda m, x, y: m.select_scatter(x, y, 1, 2), (3, 4), (3,))


def test_meta_device_has_shapes_only():
    check(lambda m: m.empty(2, 3, device="meta").t().unsqueeze(0)[..., 1:])
    check(lambda m: m.empty(4, 3, device="meta").split(2)[1].expand(5, 2, 3))


ERRORS = [
    lambda m: grid(m, 3).narrow(0, 2, 3),
    lambda m: grid(m, 3).narrow(0, 7, 1),
    lambda m: grid(m, 3).narrow(0, 0, -1),
    lambda m: grid(m).narrow(0, 0, 1),
    lambda m: grid(m, 3).select(0, 5),
    lambda m: grid(m).select(0, 0),
    lambda m: grid(m).unbind(),
    lambda m: grid(m, 3, 3).permute(0, 0),
    lambda m: grid(m, 3, 3).permute(0),
    lambda m: grid(m, 3).expand(4),
    lambda m: grid(m, 3).expand(-1, 3),
    lambda m: grid(m, 3).view(4),
    lambda m: grid(m, 3, 4).t().view(12),
    lambda m: grid(m, 3, 4, 5).t(),
    lambda m: grid(m, 5).split([2, 2]),
    lambda m: grid(m, 5).split(-1),
    lambda m: grid(m, 5).split(0),
    lambda m: grid(m, 5).chunk(0),
    lambda m: grid(m, 3).unfold(0, 4, 1),
    lambda m: grid(m, 3).unfold(0, -1, 1),
    lambda m: grid(m, 3).unfold(0, 1, 0),
    lambda m: grid(m, 3, 3).diagonal(0, 0, 0),
    lambda m: grid(m, 3, 3).movedim((0, 1), (0,)),
    lambda m: grid(m, 3, 3).movedim((0, 0), (0, 1)),
    lambda m: grid(m, 6).unflatten(0, (2, 4)),
    lambda m: grid(m, 6).unflatten(0, (2**62, 3)),
    lambda m: grid(m, 6).split((2**62, 2**62, 7)),
    lambda m: grid(m, 3, 3, 3).flatten(2, 1),
    lambda m: m.view_as_real(grid(m, 3)),
    lambda m: m.view_as_complex(grid(m, 3)),
    lambda m: m.view_as_complex(grid(m)),
    lambda m: m.view_as_complex(grid(m, 3, 4)[:, ::2]),
    lambda m: m.imag(grid(m, 3)),
    lambda m: grid(m, 4, 2).t().view(m.float64),
    lambda m: m.as_strided(grid(m, 3), (4,), (1,)),
    lambda m: m.as_strided(grid(m, 3), (2,), (1, 1)),
    lambda m: grid(m, 3).hsplit(2),
    lambda m: grid(m, 3).vsplit(2),
    lambda m: grid(m, 3).tensor_split(0),
    lambda m: grid(m, 3).unsqueeze(3),
    lambda m: grid(m, 3).squeeze(3),
    lambda m: grid(m, 3, 1).squeeze((0, 0)),
    lambda m: grid(m, 3).adjoint(),
    lambda m: grid(m, 2, 3).view(m.float64),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    ours, theirs = check_error(ERRORS[i])
    if not theirs.startswith(("self.", "Tensor must")):  # these name dtypes PyTorch's internal way
        assert theirs.split("\n")[0] in ours or theirs.split("(")[0] in ours, (ours, theirs)


def test_a_view_of_a_view_keeps_the_base():
    x = ember.zeros(3, 4)
    y = x.t()[1:]
    assert y._base is x
    assert x._version == 0
    y.add_(1)
    assert x._version == y._version == 1
    assert x.detach()._version == 1
    same(x, torch.tensor([[0.0, 1, 1, 1]] * 3))


def test_numbers_at_the_end_of_their_range():
    least, most = -(2**63), 2**63 - 1
    for f in (
        lambda m: grid(m, 3, 3).unfold(0, 2, most),
        lambda m: [getattr(grid(m, 3, 4), side)(k) for side in ("tril", "triu") for k in (least, most)],
    ):
        check(f)
    for x in (ember.zeros(2, 0, 5, requires_grad=True), ember.zeros(2, 1, requires_grad=True)):
        x[:, ::least].sum().backward()
        assert x.grad.shape == x.shape


def test_an_empty_tensor_of_sizes_that_overflow_is_contiguous():
    for x in (ember.empty(0, 2**62 + 3, 5), ember.constant_pad_nd(ember.zeros(0, 3, 2), (1, 2, 0, 2**62), 1)):
        assert x.is_contiguous() and x.numel() == 0
        for y in (x + 1, x.transpose(0, 1) + 1, x.clone(), x[None].contiguous(memory_format=ember.channels_last)):
            assert y.numel() == 0


def test_gradient_of_a_view_without_elements():
    g = ember._C.ops._view_backward(ember.zeros(1, 0), (3, 0, 1, 2), (1, 0), (1, 1), -1)
    assert g.shape == (3, 0, 1, 2)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_batched_product_over_nothing(dtype):
    check(lambda m: m.ones(3, 2, 5, 0).to(getattr(m, dtype)) @ m.ones(1, 0, 2).to(getattr(m, dtype)))
