"""Autograd's corners that once went wrong, against PyTorch: the same program run by both."""

import ember
import pytest
from test_python_autograd import both, leaf


def test_asking_for_what_was_not_used_leaves_its_graph_alone():
    def program(l):
        a, b, calls = leaf(l, 1, 2, 3), leaf(l, 1, 2, 3), []
        h = (b * b) * b
        h.grad_fn.register_hook(lambda *_: calls.append("walked"))
        g, none = l.autograd.grad((a * a).sum(), [a, h], allow_unused=True)
        before = len(calls)
        h.sum().backward()
        return g.tolist(), none, before, len(calls), b.grad.tolist()

    both(program)


def test_hooks_run_where_a_gradient_is_caught():
    def program(l):
        x = leaf(l, 1, 2, 3)
        x.register_hook(lambda g: g * 2)
        h = x * 2
        h.grad_fn.register_prehook(lambda g: (g[0] * 5,))
        unasked, calls = x * 3, []
        unasked.register_hook(lambda g: calls.append(1))
        caught = l.autograd.grad((h * 3 + unasked).sum(), [h], retain_graph=True)[0].tolist()
        leafs = l.autograd.grad((h * 3).sum(), x)[0].tolist()
        (x * x).sum().backward(inputs=[x])
        z = x * 2
        z.retain_grad()
        (z * z).sum().backward(inputs=[z])
        return caught, calls, leafs, x.grad.tolist(), z.grad.tolist()

    both(program)


@pytest.mark.parametrize("part", ["pairs", "real", "imag", "complex", "after"])
def test_inplace_on_a_view_of_another_dtype(part):
    def program(l):
        z = l.tensor([1 + 2j, 3 - 1j], dtype=l.complex128, requires_grad=True)
        x = leaf(l, 1, 2, 3, 4)
        u = z * 1
        if part == "pairs":
            l.view_as_real(u).mul_(l.tensor([2.0, 3.0], dtype=l.float64))
        elif part == "complex":
            u = (x * 1).reshape(2, 2)
            l.view_as_complex(u).mul_(z.detach())
            (u * u).sum().backward()
            return x.grad.tolist()
        elif part == "after":
            r = u.real
            u.mul_(2j)
            r.sum().backward()
            return z.grad.tolist()
        else:
            getattr(u, part).mul_(3.0)
        (u * u.conj()).real.sum().backward()
        return z.grad.tolist()

    both(program)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_leafs_gradient_is_laid_out_as_the_leaf(fresh):
    def program(l):
        x = l.arange(12.0).reshape(3, 4)
        w = (x if fresh else x.t()).requires_grad_()
        factor = l.arange(12.0).reshape(w.shape[1], w.shape[0])
        strides = []
        for create_graph in (False, True):
            w.grad = None
            (w.t() * factor).sum().backward(create_graph=create_graph)
            strides.append((w.grad.stride(), w.grad.tolist()))
            w.grad = None
            (w.contiguous() * w.detach()).sum().backward(create_graph=create_graph)
            strides.append((w.grad.stride(), w.grad.tolist()))
        w.grad = None
        return strides

    both(program)


@pytest.mark.parametrize("leafs", [True, False])
@pytest.mark.parametrize(
    "gradient",
    [
        lambda l, g: g.double(),
        lambda l, g: g.long(),
        lambda l, g: g.sum().expand(2, 3),
        lambda l, g: g.expand(4, 3),
        lambda l, g: g.sum(),
        lambda l, g: l.ones(5),
        lambda l, g: g * 1j,
    ],
)
def test_what_a_function_returns_fits_its_input(gradient, leafs):
    def program(l):
        class F(l.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return gradient(l, g)

        x = l.ones(3, requires_grad=True)
        try:
            F.apply(x if leafs else x * 2).sum().backward()
        except RuntimeError:
            return "RuntimeError"
        return x.grad.tolist(), str(x.grad.dtype).split(".")[1]

    both(program)


def test_resize_of_a_saved_tensor_is_seen():
    def program(l):
        x, w = l.ones(2, 3, requires_grad=True), l.ones(2, 3)
        y = x * w
        w.resize_(6)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
        w = l.ones(2, 3)
        y = x * w
        w.data = l.zeros(2)
        with pytest.raises(RuntimeError):
            y.sum().backward()

    both(program)


def test_a_backward_that_fails_keeps_nothing():
    def failing():
        x = ember.ones(10000, requires_grad=True)
        z = ember.softmax(x * x, 0)
        z.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()

    for _ in range(3):
        failing()
    before = ember._C._memory_stats()["allocated"]
    for _ in range(5):
        failing()
    assert ember._C._memory_stats()["allocated"] <= before
