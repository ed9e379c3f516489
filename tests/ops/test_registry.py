# Every op of the registry against PyTorch, driven by samples.py: function, method, in-place and out= forms each on
# their own, first and second gradients, and shapes without data. A difference that we know of stands in known_gaps.py
# with its reason and must go on failing: a line that is no longer needed fails the test.
"""The op table against the oracle."""

import warnings

import ember
import oracle
import pytest
import samples
import torch
from known_gaps import KNOWN
from oracle import both, each, same
from samples import SOURCES

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
UNSET = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}  # values: anything
TIES = {"topk", "kthvalue", "median", "nanmedian", "mode", "argsort", "msort"}  # which of equals: either
GAPS = {test: reason for reason, tests in KNOWN.items() for test in tests}
OPS = vars(ember._C.ops)


def compare(name, ours, theirs, sample=None):
    if name in ("sort", "argsort") and sample is not None and not sample.kwargs.get("stable"):
        same_order(sample, oracle.flat(ours), oracle.flat(theirs))
    elif name in TIES and isinstance(theirs, tuple):
        same(ours[0], theirs[0])
        same(ours[1], theirs[1], values=False)
    else:
        same(ours, theirs, values=name not in UNSET)


def same_order(sample, ours, theirs):
    """The last results are indices that sort the sample; equals may come in any order."""
    *values, indices = ours
    same(values, theirs[:-1])
    same(indices, theirs[-1], values=False)
    x, at, dim = sample.input, oracle.to_torch(indices), sample.args[0] if sample.args else sample.kwargs.get("dim", -1)
    if x.dim():
        assert torch.equal(at.sort(dim).values, theirs[-1].sort(dim).values), "indices are missing"
        oracle.same_values(x.take_along_dim(at, dim), x.take_along_dim(theirs[-1], dim))


def is_here(key):
    return oracle.function(torch, SOURCES[key].name) and oracle.function(ember, SOURCES[key].name)


HERE = [key for key in SOURCES if is_here(key)]


def cases(test, dtypes=None, only=lambda info: True):
    """(key, dtype) pairs as test parameters, the known gaps among them marked."""
    out = []
    for key in HERE:
        info = SOURCES[key]
        if not only(info):
            continue
        for dtype in DTYPES:
            if dtype not in info.supported_dtypes("cpu") or (dtypes and dtype not in dtypes):
                continue
            name = f"{key}-{str(dtype)[6:]}"
            strict = not samples.ALL and dtype != torch.bfloat16  # narrow sums differ by instruction set
            reason = GAPS.get(f"{test}[{name}]")
            marks = [pytest.mark.xfail(strict=strict, reason=reason)] if reason else []
            out.append(pytest.param(key, dtype, id=name, marks=marks))
    return pytest.mark.parametrize("key,dtype", out)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_public_op_has_samples():
    have = samples.table_names(HERE)
    public = {n for n in OPS if not n.startswith("__")}
    public |= {n for n in dir(ember.Tensor) if type(getattr(ember.Tensor, n)).__name__ == "OpMethod"}
    without = {n for n in public if n not in have and n.rstrip("_") not in have and n + "_" not in have}
    aliases = ember._functions._ALIASES
    without -= {n for n in without if samples.INTERNAL.fullmatch(n.rstrip("_")) or aliases.get(n.rstrip("_")) in have}
    assert not without, f"ops without samples, or under no name that PyTorch gives them: {sorted(without)}"


def test_gaps_name_tests(request):
    known = {item.name for item in request.session.items}
    if "test_forward[add-float32]" not in known:
        pytest.skip("part of the tests were chosen")
    assert not [gap for gap in GAPS if gap not in known]


@cases("test_forward")
def test_forward(key, dtype):
    info = SOURCES[key]
    ours, theirs = oracle.function(ember, info.name), oracle.function(torch, info.name)

    def run(sample):
        got = both(ours, theirs, sample)
        if got:
            compare(info.name, got[0], got[1], sample)

    each(samples.samples(key, dtype), run)


def has_method(info):
    name = info.name.split(".")[-1]
    return hasattr(torch.Tensor, name) and not name.startswith("__")


@cases("test_method", [torch.float32, torch.int64], has_method)
def test_method(key, dtype):
    name = SOURCES[key].name.split(".")[-1]

    def call(x, *args, **kwargs):
        return getattr(x, name)(*args, **kwargs)

    def run(sample):
        if not isinstance(sample.input, torch.Tensor):
            return
        got = both(call, call, sample)
        if got:
            compare(name, got[0], got[1])

    each(samples.samples(key, dtype, limit=6), run)


def has_inplace(info):
    return callable(getattr(torch.Tensor, info.name.split(".")[-1] + "_", None))


@pytest.mark.sanitize
@cases("test_inplace", [torch.float32, torch.int64, torch.bool], has_inplace)
def test_inplace(key, dtype):
    name = SOURCES[key].name.split(".")[-1] + "_"

    def call(x, *args, **kwargs):
        result = getattr(x, name)(*args, **kwargs)
        assert result is x
        return result

    def run(sample):
        if isinstance(sample.input, torch.Tensor):
            got = both(call, call, sample)
            if got:
                same(got[0], got[1])

    each(samples.samples(key, dtype, limit=10), run)


def takes_out(info):
    return getattr(info, "supports_out", False)


@cases("test_out", [torch.float32, torch.int64], takes_out)
def test_out(key, dtype):
    """Destinations that are too small are resized; ones that fit keep their strides."""
    info = SOURCES[key]
    ours, theirs = oracle.function(ember, info.name), oracle.function(torch, info.name)

    def destinations(shapes, how):
        def make(module, b):
            d = getattr(module, str(b.dtype)[6:])
            if how == "resized":
                return module.empty(0, dtype=d)
            return module.zeros(tuple(reversed(b.shape)), dtype=d).permute(*reversed(range(b.dim())))

        def wrap(module):
            made = [make(module, b) for b in shapes]
            return made[0] if len(made) == 1 else tuple(made)

        return wrap

    def run(sample):
        got = both(ours, theirs, sample)
        if not got:
            return
        results = oracle.flat(got[1])
        if not all(isinstance(r, torch.Tensor) for r in results) or isinstance(got[1], list):
            return
        for how in ("resized", "kept"):
            wrap = destinations(results, how)
            seen = []

            def call(module, f, *args, _wrap=wrap, _seen=seen, **kwargs):
                out = _wrap(module)
                result = f(*args, **kwargs, out=out)
                _seen.append(all(x is y for x, y in zip(oracle.flat(result), oracle.flat(out))))
                return result

            got = both(
                lambda *a, **k: call(ember, ours, *a, **k),
                lambda *a, **k: call(torch, theirs, *a, **k),
                sample,
                lenient=how == "kept",
            )
            if got:
                assert seen[0] == seen[1], "the result is not the destination"
                compare(info.name, got[0], got[1])

    each(samples.samples(key, dtype, limit=6), run)


def derivable(info):
    return info.supports_autograd and torch.float64 in info.supported_backward_dtypes("cpu")


def gradients(module, results, inputs, order, seed):
    """Derivatives of a random weighted sum of the results, then of one of the first derivatives."""
    out = []
    results = [r for r in oracle.flat(results) if isinstance(r, module.Tensor) and r.requires_grad]
    for step in range(order):
        results = [r for r in results if r is not None and r.requires_grad]
        if not results:
            return out
        generator = torch.Generator().manual_seed(seed + step)
        weights = [torch.randn(tuple(r.shape), dtype=torch_dtype(r), generator=generator) for r in results]
        if module is ember:
            weights = oracle.to_ember(weights)
        results = module.autograd.grad(results, inputs, weights, allow_unused=True, create_graph=step + 1 < order)
        out.append(results)
    return out


def torch_dtype(t):
    return getattr(torch, str(t.dtype).split(".")[1])


def same_gradients(ours, theirs):
    """Where one says that nothing depends on an input, the other may say zero."""
    for a, b in zip(ours, theirs):
        if a is None and b is None:
            continue
        if a is None or b is None:
            t = oracle.to_torch(a) if b is None else b
            assert not t.detach().any(), "a gradient is missing" if a is None else "a gradient too many"
            continue
        same(a, b, strides=False)


def check_gradients(key, order):
    info = SOURCES[key]
    ours, theirs = oracle.function(ember, info.name), oracle.function(torch, info.name)

    def run(sample):
        got = both(ours, theirs, sample)
        if not got:
            return
        a_inputs, b_inputs = ([t for t in oracle.tensors_in(args) if t.requires_grad] for args in (got[2], got[3]))
        b_results = [r for r in oracle.tensors_in(got[1]) if r.requires_grad]
        if not b_inputs or not b_results:
            return
        a = gradients(ember, oracle.tensors_in(got[0]), a_inputs, order, 3)
        b = gradients(torch, b_results, b_inputs, order, 3)
        assert len(a) >= len(b) or not any(t is not None and t.any() for t in b[-1]), "the gradient has no graph"
        for x, y in zip(a, b):
            same_gradients(x, y)

    each(samples.samples(key, torch.float64, requires_grad=True, limit=8), run)


@pytest.mark.sanitize
@cases("test_gradient", [torch.float64], derivable)
def test_gradient(key, dtype):
    check_gradients(key, 1)


@cases("test_second_gradient", [torch.float64], lambda info: derivable(info) and info.supports_gradgrad)
def test_second_gradient(key, dtype):
    check_gradients(key, 2)


def to_meta(x):
    if isinstance(x, (ember.Tensor, torch.Tensor)):
        module = torch if isinstance(x, torch.Tensor) else ember
        return module.empty_strided(tuple(x.shape), x.stride(), dtype=x.dtype, device="meta")
    if isinstance(x, (list, tuple)):
        return type(x)(map(to_meta, x))
    return {k: to_meta(v) for k, v in x.items()} if isinstance(x, dict) else x


@cases("test_meta", [torch.float32])
def test_meta(key, dtype):
    """A run on the meta device tells shape, dtype and strides of a real one; values raise what they do in PyTorch."""
    info = SOURCES[key]
    ours, theirs = oracle.function(ember, info.name), oracle.function(torch, info.name)

    def run(sample):
        kwargs = {k: v for k, v in sample.kwargs.items() if k != "device"}
        args = oracle.to_ember((sample.input, sample.args, kwargs))
        if not oracle.tensors_in(args):
            return
        try:
            real = ours(args[0], *args[1], **args[2])
        except Exception:
            return  # test_forward's business
        try:
            meta = ours(to_meta(args[0]), *to_meta(args[1]), **to_meta(args[2]))
        except NotImplementedError:
            return  # depends on data
        except RuntimeError:
            with pytest.raises(RuntimeError):
                theirs(to_meta(sample.input), *to_meta(sample.args), **to_meta(kwargs))
            return
        for a, b in zip(oracle.tensors_in(meta), oracle.tensors_in(real)):
            assert a.is_meta and (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())

    each(samples.samples(key, dtype, limit=8), run)


def fails(function, arguments):
    """What a call raises, None when nothing."""
    input, args, kwargs = arguments
    try:
        function(input, *args, **kwargs)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(key, marks=[pytest.mark.xfail(strict=True, reason=GAPS[name])] if name in GAPS else [])
        for key in HERE
        for name in [f"test_error[{key}]"]
        if getattr(SOURCES[key], "error_inputs_func", None)
    ],
)
def test_error(key):
    """PyTorch's own wrong inputs raise the same type, and the message names the op."""
    info = SOURCES[key]
    ours, theirs = oracle.function(ember, info.name), oracle.function(torch, info.name)
    word = info.name.split(".")[-1].strip("_")

    def run(sample):
        arguments = (sample.input, sample.args, sample.kwargs)
        expected = fails(theirs, oracle.copy(arguments))
        if expected is None:
            return
        error = fails(ours, oracle.to_ember(arguments))
        assert error is not None, f"raises nothing where PyTorch says: {expected}"
        assert type(error) is type(expected), (
            f"{type(error).__name__}: {error}, not {type(expected).__name__}: {expected}"
        )
        assert word in str(error), f"does not name {word}: {error}"

    each([e.sample_input for e in info.error_inputs("cpu")], run)
