# Checkpointing against running without: the same values and gradients, fewer tensors kept, the errors.
"""Tests of ember.utils.checkpoint."""

import contextlib
import gc
import weakref

import ember
import numpy as np
import pytest
from ember.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential, set_checkpoint_early_stop


def model():
    ember.manual_seed(0)
    nn = ember.nn
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3))


def gradients(net, run):
    x = ember.linspace(-1, 1, 8).view(2, 4).requires_grad_()
    net.zero_grad()
    y = run(x)
    (y * y).sum().backward()
    return [y.detach().numpy(), x.grad.numpy(), *[p.grad.numpy() for p in net.parameters()]]


@pytest.mark.parametrize("reentrant", [False, True])
def test_same_gradients(reentrant):
    net = model()
    expected = gradients(net, net)
    runs = [
        lambda x: checkpoint(net, x, use_reentrant=reentrant),
        lambda x: checkpoint_sequential(net, 2, x, use_reentrant=reentrant),
        lambda x: net[4](checkpoint(lambda x: net[:4](x), checkpoint(lambda y: y * 1, x, use_reentrant=reentrant),
                                    use_reentrant=reentrant)),
    ]  # fmt: skip
    for run in runs:
        for a, b in zip(gradients(net, run), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nested():
    net = model()

    def inner(x):
        return checkpoint(net[:2], x, use_reentrant=False)

    def outer(x):
        return net[2:](checkpoint(lambda x: inner(x) * 2, x, use_reentrant=False))

    expected = gradients(net, lambda x: net[2:](net[:2](x) * 2))
    for a, b in zip(gradients(net, outer), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("early", [True, False])
def test_counts_of_runs(early):
    calls = []

    def block(x):
        calls.append("start")
        y = (x * 2).exp()
        calls.append("end")
        return y

    x = ember.ones(3, requires_grad=True)
    with set_checkpoint_early_stop(early):
        y = checkpoint(block, x, use_reentrant=False)
    assert calls == ["start", "end"]
    y.sum().backward()
    assert calls[2] == "start" and len(calls) <= 4
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([2.0] * 3), rtol=1e-6)


@pytest.mark.parametrize("reentrant", [False, True])
def test_random_numbers_are_the_same(reentrant):
    x = ember.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: ember.nn.functional.dropout(x, 0.5) * x, x, use_reentrant=reentrant)
    after = ember.get_rng_state()
    y.sum().backward()
    assert ember.equal(after, ember.get_rng_state())
    np.testing.assert_array_equal(x.grad.numpy(), 2 * y.detach().numpy())


def test_nothing_is_kept():
    kept = []

    def block(x):
        y = x.exp()
        kept.append(weakref.ref(y))
        return y.sin().cos()

    x = ember.ones(3, requires_grad=True)
    y = checkpoint(block, x, use_reentrant=False)
    gc.collect()
    assert kept[0]() is None
    y.sum().backward()


def test_keywords_numbers_and_tuples():
    def block(x, k, *, scale):
        return x * k, {"y": x * scale}

    x = ember.ones(2, requires_grad=True)
    a, b = checkpoint(block, x, 3, use_reentrant=False, scale=x * 2)
    (a.sum() + b["y"].sum()).backward()
    assert x.grad.tolist() == [7, 7]


def test_twice_through():
    x = ember.ones(2, requires_grad=True)
    y = checkpoint(lambda x: x.exp().sin(), x, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    first = x.grad.clone()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first.numpy())
    z = checkpoint(lambda x: x * x * x, x, use_reentrant=False).sum()
    (g,) = ember.autograd.grad(z, x)
    assert g.tolist() == [3, 3]


def test_without_gradients():
    x = ember.ones(2)
    with ember.no_grad():
        assert checkpoint(lambda x: x + 1, x, use_reentrant=False).tolist() == [2, 2]
    w = ember.ones(2, requires_grad=True)
    checkpoint(lambda x: x * w, x, use_reentrant=False).sum().backward()  # only a closure requires a gradient
    assert w.grad.tolist() == [1, 1]


def test_contexts():
    order = []

    @contextlib.contextmanager
    def note(name):
        order.append(name)
        yield

    x = ember.ones(2, requires_grad=True)
    y = checkpoint(ember.exp, x, use_reentrant=False, context_fn=lambda: (note("first"), note("second")))
    assert order == ["first"]
    y.sum().backward()
    assert order == ["first", "second"]


def test_differences_are_noticed():
    def unsteady(make):
        runs = []

        def block(x):
            runs.append(1)
            return make(x, len(runs))

        x = ember.ones(4, requires_grad=True)
        return checkpoint(block, x, use_reentrant=False).sum()

    with pytest.raises(CheckpointError, match="different metadata"):
        unsteady(lambda x, run: (x[: 4 // run] * 2).exp().sum()).backward()
    with pytest.raises(CheckpointError, match="A different number of tensors was saved"):
        unsteady(lambda x, run: x.exp().sin() if run == 1 else x.exp()).backward()


def test_errors():
    x = ember.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(ember.exp, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(ember.exp, x.detach(), use_reentrant=True)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint(ember.exp, x, use_reentrant=True, scale=1)
    with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
        checkpoint(ember.exp, x, use_reentrant=True, debug=True)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(ember.exp, x, use_reentrant=False, determinism_check="x")
