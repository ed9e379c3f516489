# Runs samples made of torch tensors through both frameworks. Tensors go over with their sizes, strides and storage; the
# results come back by DLPack and must agree in dtype, shape, strides and values.
"""Samples carried over to Ember, results compared."""

import ember
import torch

torch.set_num_threads(1)
ember.set_num_threads(1)

TOLERANCE = {  # relative, absolute
    torch.float16: (1e-3, 1e-3),
    torch.bfloat16: (1.6e-2, 1.6e-2),
    torch.float32: (1e-5, 1e-5),
    torch.complex64: (1e-5, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex128: (1e-7, 1e-7),
}


def to_ember(x):
    """Tensors, dtypes and their like inside any nest of lists, as Ember's; tensors share nothing with x."""
    if isinstance(x, torch.Tensor):
        return tensor_to_ember(x)
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, (list, tuple)):
        return type(x)(map(to_ember, x))
    if isinstance(x, dict):
        return {k: to_ember(v) for k, v in x.items()}
    if isinstance(x, (torch.dtype, torch.memory_format, torch.layout)):
        return getattr(ember, str(x).split(".")[1])
    if isinstance(x, torch.device):
        return ember.device(str(x))
    return x


def tensor_to_ember(x):
    flat = torch.empty(0, dtype=x.dtype).set_(x.detach().untyped_storage().clone())
    y = ember.from_dlpack(flat).clone().as_strided(tuple(x.shape), x.stride(), x.storage_offset())
    y = y.detach()
    return y.requires_grad_() if x.requires_grad else y


def to_torch(y):
    if not isinstance(y, ember.Tensor):
        return y
    return torch.from_dlpack(y.detach())


def copy(x):
    """A sample's tensors again, with storages of their own."""
    if isinstance(x, torch.Tensor):
        y = torch.empty(0, dtype=x.dtype).set_(
            x.detach().untyped_storage().clone(), x.storage_offset(), x.shape, x.stride()
        )
        return y.requires_grad_() if x.requires_grad else y
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return type(x)(map(copy, x))
    if isinstance(x, dict):
        return {k: copy(v) for k, v in x.items()}
    return x


def tensors_in(x):
    """All tensors of a nest, in order."""
    if isinstance(x, (torch.Tensor, ember.Tensor)):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for item in x for t in tensors_in(item)] if isinstance(x, (list, tuple)) else []


def show(x):
    """Short text of a sample for messages."""
    if isinstance(x, torch.Tensor):
        return f"{str(x.dtype)[6:]}{list(x.shape)}" + ("" if x.is_contiguous() else f" strides {list(x.stride())}")
    if isinstance(x, (list, tuple)):
        return "(" + ", ".join(map(show, x)) + ")"
    if isinstance(x, dict):
        return ", ".join(f"{k}={show(v)}" for k, v in x.items())
    return repr(x)


def flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same_values(a, b):
    if a.numel() == 0 or torch.equal(a, b):
        return
    rtol, atol = TOLERANCE.get(b.dtype, (0, 0))
    if b.is_floating_point() or b.is_complex():  # sums that cancel are right to the size of what was summed
        finite = b[b.isfinite()].abs()
        atol = max(atol, rtol * finite.max().item()) if finite.numel() else atol
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol, equal_nan=True)


def same(ours, theirs, values=True, strides=True):
    """Asserts that two results, or tuples of them, are alike."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs), f"{len(ours)} results, not {len(theirs)}"
    for a, b in zip(ours, theirs):
        if isinstance(b, (tuple, list)):
            same(a, b, values, strides)
            continue
        if not isinstance(b, torch.Tensor):
            plain = (bool, int, float, complex, str, type(None))
            assert not isinstance(b, plain) or a == b or (a != a and b != b), f"{a!r}, not {b!r}"
            continue
        assert isinstance(a, ember.Tensor), f"a result of type {type(a).__name__}, not Tensor"
        assert str(a.dtype).split(".")[1] == str(b.dtype).split(".")[1], f"dtype {a.dtype}, not {b.dtype}"
        assert tuple(a.shape) == tuple(b.shape), f"shape {tuple(a.shape)}, not {tuple(b.shape)}"
        if strides and b.numel() > 0 and b.layout == torch.strided:
            # a dimension of one element has no stride that matters
            ours_, theirs_ = ([s for s, n in zip(t.stride(), t.shape) if n != 1] for t in (a, b))
            assert ours_ == theirs_, f"strides {tuple(a.stride())}, not {tuple(b.stride())} of shape {tuple(b.shape)}"
        if values and b.device.type != "meta":
            same_values(to_torch(a), b.detach().resolve_conj().resolve_neg())


def find(module, path):
    for part in path.split("."):
        module = getattr(module, part, None)
    return module


# op_db's samples of these open with another argument than the function does.
ORDER = {
    "where": lambda m: lambda x, condition, y: m.where(condition, x, y),
    "polygamma": lambda m: lambda x, n, **out: m.polygamma(n, x, **out),
    "special.polygamma": lambda m: lambda x, n, **out: m.special.polygamma(n, x, **out),
}


def function(module, name):
    """The function that a user would call for an op_db name; where there is none, the method, else the in-place one."""
    if name in ORDER:
        return ORDER[name](module)
    found = find(module, name)
    if callable(found):
        return found
    for form in (name, name + "_"):
        if callable(getattr(module.Tensor, form, None)):
            return lambda x, *a, **k: getattr(x, form)(*a, **k)
    return None


def both(f_ours, f_theirs, sample, lenient=False):
    """Both results of a sample with the arguments that gave them; None when PyTorch raises and we do too, or may."""
    theirs_args = copy((sample.input, sample.args, sample.kwargs))
    ours_args = to_ember((sample.input, sample.args, sample.kwargs))
    torch.manual_seed(7)
    try:
        theirs = f_theirs(theirs_args[0], *theirs_args[1], **theirs_args[2])
    except Exception as error:
        if lenient:
            return None
        try:
            f_ours(ours_args[0], *ours_args[1], **ours_args[2])
        except Exception:
            return None
        raise AssertionError(f"raises nothing where PyTorch says: {error}") from None
    ember.manual_seed(7)
    return f_ours(ours_args[0], *ours_args[1], **ours_args[2]), theirs, ours_args, theirs_args


def each(found, run):
    """Runs all samples and reports the failures together."""
    failures = []
    for i, s in enumerate(found):
        try:
            run(s)
        except Exception as error:
            what = f"{type(error).__name__}: {error}".replace("\n", " | ")[:300]
            failures.append(f"sample {i}: ({show(s.input)}; {show(s.args)}; {show(s.kwargs)}): {what}")
    assert not failures, f"{len(failures)} of {len(found)} samples:\n" + "\n".join(failures[:4])
