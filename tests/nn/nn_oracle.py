"""Compares a module of ember.nn with torch.nn's of the same name: weights, outputs, gradients, names, text."""

import ember
import numpy as np
import torch


def to_ember(value):
    """torch tensors, also inside tuples, lists and dicts, as Ember's; everything else as it is."""
    if isinstance(value, torch.Tensor):
        out = ember.from_numpy(value.detach().numpy().copy())
        return out.requires_grad_() if value.requires_grad else out
    if isinstance(value, torch.dtype):
        return getattr(ember, str(value).split(".")[1])
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(to_ember(v) for v in value)
    if isinstance(value, dict):
        return type(value)((k, to_ember(v)) for k, v in value.items())
    return value


def leaves(value):
    """The tensors in a nested result, in order."""
    if hasattr(value, "detach"):
        return [value]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in leaves(v)]
    return []


def assert_same(ours, theirs, what, rtol=1e-5, atol=1e-6):
    if theirs is None:
        assert ours is None, f"{what}: expected None, got {ours}"
        return
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype, what
    assert ours.shape == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)


def seeded(library, seed, function, *args, **kwargs):
    library.manual_seed(seed)
    return function(*args, **kwargs)


def make(name, args=(), kwargs=None, seed=0):
    """(ours, theirs), made after the same seed."""
    pair = []
    for library, convert in ((ember, to_ember), (torch, lambda v: v)):
        library.manual_seed(seed)
        cls = getattr(library.nn, name)
        pair.append(cls(*convert(list(args)), **convert(kwargs or {})))
    return pair


def check_module(name, args, kwargs, inputs, train=True, rtol=1e-5, atol=1e-6):
    """Runs both, forward and backward, and compares everything that can be seen."""
    ours, theirs = make(name, args, kwargs)
    ours.train(train), theirs.train(train)
    torch.manual_seed(1)
    data = [x() if callable(x) else x for x in inputs]
    mirrored = to_ember(data)
    got, expected = (
        leaves(seeded(library, 2, m, *d)) for library, m, d in ((ember, ours, mirrored), (torch, theirs, data))
    )
    assert repr(ours) == repr(theirs)
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected)):
        assert_same(a, b, f"output {i}", rtol, atol)
    check_state(ours, theirs, rtol, atol)
    loss = sum((t.float() ** 2).sum() for t in expected if t.requires_grad)
    if not isinstance(loss, torch.Tensor):
        return
    loss.backward()
    sum((t.float() ** 2).sum() for t in got if t.requires_grad).backward()
    for (n, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert_same(a.grad, b.grad, f"gradient of {n}", rtol * 10, atol * 10)
    for i, (a, b) in enumerate(zip(leaves(mirrored), leaves(data))):
        if b.requires_grad:
            assert_same(a.grad, b.grad, f"gradient of input {i}", rtol * 10, atol * 10)


def check_state(ours, theirs, rtol=1e-5, atol=1e-6):
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b)
    for key in b:
        assert_same(a[key], b[key], key, rtol, atol)
    assert dict(a._metadata) == dict(b._metadata)
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
