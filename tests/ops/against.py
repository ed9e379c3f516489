# Runs one function with Ember and with PyTorch and compares everything that a user can see of the results: values,
# dtype, shape, strides, storage offset, gradients, and errors. Case tables in the test files are functions of the
# module.
"""One function, two frameworks, the same answer."""

import ember
import numpy as np
import torch

RTOL = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "complex64": 1e-6}


def array(t):
    """The values as NumPy has them; narrow floats as float32."""
    t = t.detach()
    if str(t.dtype) in ("torch.bfloat16", "ember.bfloat16"):
        t = t.float()
    return np.array(t.tolist(), dtype=str(t.dtype).split(".")[1]).reshape(tuple(t.shape))


def flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(ours, theirs, strides=True):
    """Asserts that two results, or tuples of them, are alike."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(b, torch.Tensor):
            assert a == b
            continue
        assert tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype).split(".")[1] == str(b.dtype).split(".")[1]
        if strides:
            assert tuple(a.stride()) == b.stride()
            assert a.storage_offset() == b.storage_offset()
        if b.device.type != "meta":
            rtol = RTOL.get(str(b.dtype).split(".")[1], 1e-12)
            np.testing.assert_allclose(array(a), array(b), rtol=rtol, atol=rtol)


def check(f, strides=True, seed=0):
    """f(module) gives the same with both."""
    ember.manual_seed(seed)
    ours = f(ember)
    torch.manual_seed(seed)
    same(ours, f(torch), strides)


def check_gradient(f, *shapes, dtype="float64"):
    """The gradients of a weighted sum of f's results, and the gradients of those, agree; f(module, *inputs)."""
    out = []
    for m in (ember, torch):
        inputs = [
            (m.arange(int(np.prod(s)), dtype=getattr(m, dtype)) * 0.37 + 0.1).cos().reshape(s).requires_grad_()
            for s in shapes
        ]
        total = 0
        for y in flat(f(m, *inputs)):
            if y.is_complex():
                y = m.view_as_real(y)
            w = (m.arange(y.numel(), dtype=getattr(m, dtype)) * 0.11).sin().reshape(y.shape)
            total = total + (w * y * y).sum()
        first = m.autograd.grad(total, inputs, create_graph=True)
        second = m.autograd.grad(sum((g * g).sum() for g in first), inputs)
        out.append([*first, *second])
    same(*out, strides=False)


def check_error(f):
    """Both raise, with the same type; ours holds their first line."""
    errors = []
    for m in (ember, torch):
        try:
            f(m)
        except Exception as e:
            errors.append(e)
        else:
            raise AssertionError(f"{m.__name__} raises nothing")
    ours, theirs = errors
    assert type(ours) is type(theirs), (ours, theirs)
    return str(ours), str(theirs)
