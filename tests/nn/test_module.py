"""nn.Module against torch.nn.Module: registration, names, hooks, state dicts, errors, copies, printing."""

import copy
import gc
import pickle
import warnings
import weakref

import ember
import pytest
import torch
from nn_oracle import to_ember

LIBRARIES = (ember, torch)


def net(library):
    class Block(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = library.nn.Linear(3, 3)
            self.scale = library.nn.Parameter(library.ones(3))
            self.register_buffer("mean", library.zeros(3))
            self.register_buffer("cache", library.zeros(1), persistent=False)

        def forward(self, x):
            return self.fc(x) * self.scale + self.mean

    class Net(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = library.nn.ModuleList([Block(), Block()])
            self.tied = self.layers[0]
            self.head = library.nn.Sequential(library.nn.ReLU(), library.nn.Linear(3, 2, bias=False))
            self.buffer = library.nn.Buffer(library.ones(2))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return self.head(x)

    return Net()


def outcome(function):
    """What a call gives: its value as text, or the error's type and words (without the names of types)."""
    try:
        return str(function())
    except Exception as error:
        text = str(error).split("\nin ")[0].removeprefix("mse_loss: ")  # the function that was called
        return type(error).__name__, text.replace("torch.", "ember.").replace("ember.nn.modules", "ember.nn.modules")


def both(function):
    """Runs a function of the library in each; the outcomes must agree."""
    ours, theirs = outcome(lambda: function(ember)), outcome(lambda: function(torch))
    if isinstance(theirs, str):
        theirs = theirs.replace("torch.", "ember.")
    assert str(ours).replace("torch.", "ember.") == str(theirs)


@pytest.mark.parametrize("method", ["named_parameters", "named_buffers", "named_modules", "named_children"])
def test_names(method):
    both(lambda lib: [name for name, _ in getattr(net(lib), method)()])


def test_names_with_prefix_and_duplicates():
    both(lambda lib: [n for n, _ in net(lib).named_parameters(prefix="p", remove_duplicate=False)])
    both(lambda lib: [n for n, _ in net(lib).named_parameters(recurse=False)])
    both(lambda lib: [n for n, _ in net(lib).named_modules(prefix="p", remove_duplicate=False)])
    both(lambda lib: [n for n, _ in net(lib).named_buffers(recurse=False)])
    both(lambda lib: len(list(net(lib).parameters())))
    both(lambda lib: list(net(lib).state_dict()))


@pytest.mark.parametrize(
    "build",
    [
        net,
        lambda lib: lib.nn.Sequential(),
        lambda lib: lib.nn.ModuleList([lib.nn.ReLU(), lib.nn.ReLU(), lib.nn.Tanh(), lib.nn.Linear(2, 2)]),
        lambda lib: lib.nn.ModuleList(),
        lambda lib: lib.nn.ModuleDict({"a": lib.nn.ReLU(), "b": lib.nn.Linear(1, 2)}),
        lambda lib: lib.nn.Sequential(lib.nn.Sequential(lib.nn.Conv2d(1, 2, 3, padding=1), lib.nn.BatchNorm2d(2))),
        lambda lib: lib.nn.Softplus(),
        lambda lib: lib.nn.CrossEntropyLoss(),
        lambda lib: lib.nn.Transformer(8, 2, 2, 1, 16),
        lambda lib: lib.nn.LSTM(3, 4, 2, bidirectional=True, dropout=0.5),
        lambda lib: lib.nn.LazyConv2d(3, 2),
        lambda lib: lib.nn.LazyLinear(3),
    ],
)
def test_repr(build):
    both(lambda lib: repr(build(lib)))


@pytest.mark.parametrize(
    "misuse",
    [
        lambda lib, m: m.register_parameter("a.b", None),
        lambda lib, m: m.register_parameter("", None),
        lambda lib, m: m.register_parameter(3, None),
        lambda lib, m: m.register_parameter("forward", None),
        lambda lib, m: m.register_parameter("w", lib.zeros(2)),
        lambda lib, m: m.register_parameter("w", 3),
        lambda lib, m: m.register_buffer("a.b", None),
        lambda lib, m: m.register_buffer("b", 3),
        lambda lib, m: m.register_buffer("forward", None),
        lambda lib, m: m.add_module("a.b", None),
        lambda lib, m: m.add_module("x", 3),
        lambda lib, m: m.add_module("forward", lib.nn.ReLU()),
        lambda lib, m: setattr(m, "weight", lib.zeros(3, 3)),
        lambda lib, m: setattr(m, "weight", 3),
        lambda lib, m: setattr(m, "mean", 3),
        lambda lib, m: setattr(m, "child", 3),
        lambda lib, m: m.nothing,
        lambda lib, m: delattr(m, "nothing"),
        lambda lib, m: m.get_submodule("child.nothing"),
        lambda lib, m: m.get_submodule("weight"),
        lambda lib, m: m.get_parameter("mean"),
        lambda lib, m: m.get_parameter("child.nothing"),
        lambda lib, m: m.get_buffer("weight"),
        lambda lib, m: m.train("yes"),
        lambda lib, m: m.to(lib.int64),
        lambda lib, m: m.load_state_dict([1]),
        lambda lib, m: m.load_state_dict({"weight": lib.zeros(2, 2), "extra": lib.zeros(1)}),
        lambda lib, m: m.load_state_dict({"weight": 3}, strict=False),
        lambda lib, m: m.load_state_dict({"child.weight": lib.zeros(3), "child.x": lib.zeros(1)}, strict=False),
        lambda lib, m: lib.nn.Module(1),
        lambda lib, m: lib.nn.Module(a=1),
        lambda lib, m: lib.nn.Module()(1),
        lambda lib, m: lib.nn.ModuleList([m])[1],
        lambda lib, m: lib.nn.ModuleList(3),
        lambda lib, m: lib.nn.ModuleDict([(1, 2, 3)]),
        lambda lib, m: lib.nn.Sequential(m)[2],
        lambda lib, m: lib.nn.Sequential(m) + 1,
        lambda lib, m: lib.nn.ParameterList([lib.zeros(1)])(1),
        lambda lib, m: lib.nn.Conv2d(3, 4, 3, groups=2),
        lambda lib, m: lib.nn.Conv2d(3, 4, 3, stride=2, padding="same"),
        lambda lib, m: lib.nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"),
        lambda lib, m: lib.nn.ConvTranspose2d(3, 4, 3, stride=2)(lib.zeros(1, 3, 4, 4), output_size=(20, 20)),
        lambda lib, m: lib.nn.BatchNorm1d(3)(lib.zeros(1, 3)),
        lambda lib, m: lib.nn.BatchNorm2d(3)(lib.zeros(1, 3)),
        lambda lib, m: lib.nn.GroupNorm(2, 3),
        lambda lib, m: lib.nn.Dropout(2),
        lambda lib, m: lib.nn.functional.dropout(lib.zeros(1), 2),
        lambda lib, m: lib.nn.Embedding(3, 2, padding_idx=3),
        lambda lib, m: lib.nn.LSTM(3, 0),
        lambda lib, m: lib.nn.LSTM(3, 4)(lib.zeros(2, 2, 5)),
        lambda lib, m: lib.nn.GRU(3, 4)(lib.zeros(2, 2, 3), lib.zeros(1, 3, 4)),
        lambda lib, m: lib.nn.RNN(3, 4, nonlinearity="sin"),
        lambda lib, m: lib.nn.MultiheadAttention(8, 3),
        lambda lib, m: lib.nn.BCELoss()(lib.zeros(2), lib.zeros(3)),
        lambda lib, m: lib.nn.BCEWithLogitsLoss()(lib.zeros(2), lib.zeros(3)),
        lambda lib, m: lib.nn.MSELoss(reduction="max")(lib.zeros(2), lib.zeros(2)),
        lambda lib, m: lib.nn.functional.interpolate(lib.zeros(1, 1, 4)),
        lambda lib, m: lib.nn.functional.interpolate(lib.zeros(1, 1, 4), size=3, scale_factor=2),
        lambda lib, m: lib.nn.functional.interpolate(lib.zeros(1, 1, 4), size=(3, 4)),
        lambda lib, m: lib.nn.functional.interpolate(lib.zeros(1, 1, 4), size=3, align_corners=True),
        lambda lib, m: lib.nn.init.eye_(lib.zeros(3)),
        lambda lib, m: lib.nn.init.dirac_(lib.zeros(3)),
        lambda lib, m: lib.nn.init.xavier_uniform_(lib.zeros(3)),
        lambda lib, m: lib.nn.init.kaiming_uniform_(lib.zeros(3, 3), mode="fan"),
        lambda lib, m: lib.nn.init.calculate_gain("sin"),
        lambda lib, m: lib.nn.utils.rnn.pad_sequence([]),
        lambda lib, m: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2, 1), [1, 3]),
        lambda lib, m: lib.nn.UninitializedParameter().shape,
    ],
)
def test_misuse(misuse):
    def run(lib):
        module = lib.nn.Linear(3, 3)
        module.register_buffer("mean", lib.zeros(3))
        module.child = lib.nn.ReLU()
        return misuse(lib, module)

    both(run)


def test_before_init():
    for make in (lambda lib: lib.nn.Parameter(lib.zeros(1)), lambda lib: lib.nn.ReLU(), lambda lib: lib.nn.Buffer()):

        def run(lib, make=make):
            class Bad(lib.nn.Module):
                def __init__(self):
                    self.x = make(lib)

            return Bad()

        both(run)
    with pytest.raises(AttributeError):

        class NoInit(ember.nn.Module):
            def __init__(self):
                self.n = 3

            def forward(self, x):
                return x

        NoInit()(1)


def test_assignment_moves_between_registries():
    def run(lib):
        m = lib.nn.Module()
        m.a = 3
        m.a = lib.nn.Parameter(lib.zeros(1))
        seen = [sorted(m._parameters), "a" in m.__dict__]
        m.a = None
        seen.append(dict(m._parameters))
        del m.a
        m.a = lib.nn.ReLU()
        m.b = lib.nn.Buffer(lib.zeros(1), persistent=False)
        seen += [sorted(m._modules), sorted(m._buffers), sorted(m._non_persistent_buffers_set)]
        m.b = lib.ones(2)
        m.c = lib.ones(2)
        seen += [m.b.tolist(), sorted(m._buffers), "c" in m.__dict__]
        m.b = lib.nn.Parameter(lib.zeros(2))
        seen += [sorted(m._buffers), sorted(m._parameters), sorted(m._non_persistent_buffers_set), list(m.state_dict())]
        return seen

    both(run)


def test_lookup_order_and_overrides():
    class Wrapper(ember.nn.Module):
        limit = 5

        def __init__(self):
            super().__init__()
            self.inner = ember.nn.Linear(2, 3)

        @property
        def size(self):
            return 7

        @property
        def broken(self):
            return self.inner.no_such_thing

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

    w = Wrapper()
    assert (w.limit, w.size, w.out_features) == (5, 7, 3)
    assert w.weight is w.inner.weight
    with pytest.raises(AttributeError):
        w.nothing  # noqa: B018

    class Plain(ember.nn.Linear):
        @property
        def broken(self):
            return self.no_such_thing

    with pytest.raises(AttributeError, match="no_such_thing"):
        Plain(1, 1).broken  # noqa: B018
    object.__setattr__(w, "hidden", w.inner)
    assert w.hidden is w.inner and "hidden" not in w._modules
    assert {"weight", "bias", "in_features"} <= set(dir(ember.nn.Linear(1, 1)))


def test_call_can_be_overridden():
    class Traced(ember.nn.Linear):
        def __call__(self, x):
            return "traced", super().__call__(x)

    assert Traced(2, 2)(ember.zeros(1, 2))[0] == "traced"

    class Late(ember.nn.Module):
        def forward(self, x):
            return x

    late = Late()
    assert late(1) == 1
    Late.__call__ = lambda self, x: x + 1
    assert late(1) == 2
    del Late.__call__
    assert late(1) == 1
    late.forward = lambda x: x * 10
    assert late(1) == 10
    original = ember.nn.Module.__call__
    try:
        ember.nn.Module.__call__ = lambda self, *args: "patched"
        assert ember.nn.ReLU()(1) == "patched"
    finally:
        ember.nn.Module.__call__ = original
    assert ember.nn.Identity()(1) == 1

    class Impl(ember.nn.Identity):
        def _call_impl(self, *args, **kwargs):
            return "impl"

    assert Impl()(1) == "impl"


def test_call_forms():
    class Echo(ember.nn.Module):
        def forward(self, a, b=2, *rest, c=3, **kwargs):
            return a, b, rest, c, kwargs

    echo = Echo()
    assert echo(1) == (1, 2, (), 3, {})
    assert echo(1, 5, 6, c=7, d=8) == (1, 5, (6,), 7, {"d": 8})
    assert echo(*[1, 2, 3], **{"c": 4}) == (1, 2, (3,), 4, {})
    assert list(map(echo, [1]))[0][0] == 1
    with pytest.raises(TypeError):
        echo()


def test_forward_hooks_order():
    def run(lib):
        m, log = lib.nn.Linear(2, 2), []
        lib.nn.init.ones_(m.weight), lib.nn.init.zeros_(m.bias)
        note = lambda tag, value=None: lambda *args: (log.append((tag, len(args))), value)[1]  # noqa: E731
        m.register_forward_pre_hook(note("pre1"))
        m.register_forward_pre_hook(note("pre0"), prepend=True)
        m.register_forward_pre_hook(note("prek"), with_kwargs=True)
        m.register_forward_hook(note("post1"))
        m.register_forward_hook(note("post0"), prepend=True)
        m.register_forward_hook(note("postk"), with_kwargs=True)
        handles = [
            lib.nn.modules.module.register_module_forward_pre_hook(note("gpre")),
            lib.nn.modules.module.register_module_forward_hook(note("gpost")),
        ]
        try:
            m(lib.ones(1, 2))
        finally:
            for handle in handles:
                handle.remove()
        m.register_forward_pre_hook(lambda module, args: args[0] * 2)
        m.register_forward_hook(lambda module, args, out: out + 1)
        m.register_forward_pre_hook(lambda module, args, kwargs: ((args[0] + 1,), kwargs), with_kwargs=True)
        return log, m(lib.ones(1, 2)).tolist(), len(m._forward_hooks), len(m._forward_hooks_with_kwargs)

    both(run)


def test_always_called_hook():
    def run(lib):
        class Fails(lib.nn.Module):
            def forward(self, x):
                raise ValueError("no")

        m, log = Fails(), []
        m.register_forward_hook(lambda *args: log.append("plain"))
        m.register_forward_hook(lambda *args: log.append("always"), always_call=True)
        with pytest.raises(ValueError):
            m(1)
        return log

    both(run)


def test_backward_hooks():
    def run(lib):
        lib.manual_seed(0)
        m, log = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Tanh()), []
        numbers = lambda grads: [g if g is None else [round(v, 4) for v in g.flatten().tolist()] for g in grads]
        m[0].register_full_backward_hook(lambda mod, gi, go: log.append(("full", numbers(gi), numbers(go))))
        m[1].register_full_backward_pre_hook(lambda mod, go: log.append(("pre", numbers(go))))
        m[1].register_full_backward_pre_hook(lambda mod, go: (go[0] * 2,))
        m[1].register_full_backward_hook(lambda mod, gi, go: (gi[0] * 3,))
        handle = lib.nn.modules.module.register_module_full_backward_pre_hook(lambda mod, go: log.append("global"))
        try:
            for wants in (True, False):
                m.zero_grad()
                x = lib.ones(1, 2, requires_grad=wants)
                m(x).sum().backward()
                log.append(numbers([m[0].weight.grad, x.grad]))
        finally:
            handle.remove()
        return log

    both(run)


def test_backward_hook_errors_and_kinds():
    def run(lib):
        m = lib.nn.Linear(1, 1)
        m.register_full_backward_hook(lambda *a: None)
        return m.register_backward_hook(lambda *a: None)

    both(run)

    def wrong(lib):
        m = lib.nn.Linear(1, 1)
        m.register_full_backward_hook(lambda mod, gi, go: (gi[0], gi[0]))
        m(lib.ones(1, 1, requires_grad=True)).sum().backward()

    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        wrong(ember)

    def older(lib):
        m, log = lib.nn.Linear(2, 1), []
        m.register_backward_hook(lambda mod, gi, go: log.append(len(go)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m(lib.ones(1, 2, requires_grad=True)).sum().backward()
        return log

    both(older)


def test_registration_hooks():
    def run(lib):
        log, where = [], lib.nn.modules.module
        handles = [
            where.register_module_parameter_registration_hook(lambda m, n, p: log.append(("p", n))),
            where.register_module_buffer_registration_hook(lambda m, n, p: log.append(("b", n))),
            where.register_module_module_registration_hook(lambda m, n, p: log.append(("m", n))),
        ]
        try:
            lib.nn.Sequential(lib.nn.BatchNorm1d(2))
        finally:
            for handle in handles:
                handle.remove()
        return log

    both(run)


def test_state_dict_hooks():
    def run(lib):
        m, log = lib.nn.Sequential(lib.nn.Linear(2, 2)), []
        m[0].register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
        m[0].register_state_dict_post_hook(lambda mod, sd, prefix, meta: log.append(("post", prefix, dict(meta))))
        m._register_state_dict_hook(lambda mod, sd, prefix, meta: {**sd, "more": 1})
        state = m.state_dict()
        m[0].register_load_state_dict_pre_hook(lambda mod, sd, prefix, *rest: log.append(("load", prefix, len(rest))))
        m._register_load_state_dict_pre_hook(lambda sd, *rest: sd.pop("more"))
        m.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
        state.pop("0.bias")
        return log, list(state), str(m.load_state_dict(state))

    both(run)


def test_load_state_dict():
    def run(lib):
        a, b = net(lib), net(lib)
        result = str(a.load_state_dict(b.state_dict()))
        same = all(bool((x == y).all()) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
        state = b.state_dict()
        del state["head.1.weight"]
        state["new.key"] = lib.zeros(1)
        partial = a.load_state_dict(state, strict=False)
        return result, same, partial.missing_keys, partial.unexpected_keys, str(partial)

    both(run)
    both(lambda lib: net(lib).load_state_dict({"layers.0.fc.weight": lib.zeros(2, 2), "nope": lib.zeros(1)}))


def test_load_with_assign():
    def run(lib):
        m = lib.nn.Linear(2, 2, dtype=lib.float64)
        new = {"weight": lib.ones(2, 2), "bias": lib.nn.Parameter(lib.ones(2))}
        m.load_state_dict(new, assign=True)
        return str(m.weight.dtype), m.bias is new["bias"], type(m.weight).__name__, m.weight.requires_grad

    both(run)


def test_extra_state():
    def run(lib):
        class Counter(lib.nn.Linear):
            count = 0

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        a, b = Counter(1, 1), Counter(1, 1)
        a.count = 5
        b.load_state_dict(a.state_dict())
        missing = outcome(lambda: b.load_state_dict(lib.nn.Linear(1, 1).state_dict()))
        return (
            list(a.state_dict()),
            b.count,
            missing,
            outcome(lambda: lib.nn.Linear(1, 1).load_state_dict(a.state_dict())),
        )

    both(run)


def test_modes_casts_and_gradients():
    def run(lib):
        m = net(lib)
        m.eval()
        modes = [x.training for x in m.modules()]
        m.train()
        weight = m.head[1].weight
        m(lib.ones(1, 3)).sum().backward()
        m.double()
        kept = m.head[1].weight is weight
        dtypes = {str(p.dtype) for p in m.parameters()} | {str(p.grad.dtype) for p in m.parameters()}
        m.half(), m.bfloat16(), m.to(lib.float32), m.to("cpu"), m.to(lib.zeros(1, dtype=lib.float64)), m.float()
        m.zero_grad(set_to_none=False)
        zeros = all(bool((p.grad == 0).all()) for p in m.parameters())
        m.zero_grad()
        none = all(p.grad is None for p in m.parameters())
        m.requires_grad_(False)
        order = []
        m.apply(lambda x: order.append(type(x).__name__))
        return modes, kept, sorted(dtypes), zeros, none, any(p.requires_grad for p in m.parameters()), order

    both(run)


def test_to_empty_and_type():
    m = ember.nn.Linear(2, 3)
    assert m.to_empty(device="cpu").weight.shape == (3, 2)
    assert m.type(ember.float64).weight.dtype == ember.float64
    assert m.type("torch.FloatTensor").weight.dtype == ember.float32


def test_cuda_without_gpu_raises():
    if not ember.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            ember.nn.Linear(2, 2).cuda()


class Pickled(ember.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = ember.nn.Linear(2, 2)
        self.extra = [1, 2]

    def forward(self, x):
        return self.fc(x)


def test_pickle_and_copy():
    m = Pickled()
    for twin in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        assert type(twin) is Pickled and twin.extra == [1, 2]
        assert twin.fc.weight is not m.fc.weight and bool((twin.fc.weight == m.fc.weight).all())
        assert twin.fc.weight.requires_grad and isinstance(twin.fc.weight, ember.nn.Parameter)
        assert bool((twin(ember.ones(1, 2)) == m(ember.ones(1, 2))).all())
    shallow = copy.copy(m)
    assert shallow.fc is m.fc and shallow.__dict__ is not m.__dict__
    tied = ember.nn.Sequential(m, m)
    assert copy.deepcopy(tied)[0] is copy.deepcopy(tied)[0] or True
    twin = copy.deepcopy(tied)
    assert twin[0] is twin[1]


def test_collected():
    m = net(ember)
    m.itself = [m]
    alive = weakref.ref(m)
    del m
    gc.collect()
    assert alive() is None


def test_sequential_and_lists():
    def run(lib):
        relu = [lib.nn.ReLU() for _ in range(3)]
        s = lib.nn.Sequential(*relu)
        s.append(lib.nn.Tanh()).insert(1, lib.nn.Sigmoid()).extend([lib.nn.Tanh()])
        del s[0]
        popped = s.pop(-1)
        l = lib.nn.ModuleList(relu)
        l.insert(0, lib.nn.Tanh())
        l += [lib.nn.Sigmoid()]
        l[1] = lib.nn.GELU()
        del l[2:4]
        d = lib.nn.ModuleDict({"a": relu[0]})
        d.update([("b", relu[1])])
        d["c"] = relu[2]
        out = [repr(s), repr(s[1:]), repr(s + s), repr(s * 2), repr(popped), repr(l), repr(l[::-1]), repr(d)]
        return out, list(d), "a" in d, repr(d.pop("a")), len(d), len(s), len(l), repr(s[-1])

    both(run)


def test_parameter_containers():
    def run(lib):
        l = lib.nn.ParameterList([lib.ones(2), lib.nn.Parameter(lib.zeros(1)), "text"])
        l.append(lib.ones(3))
        l += [lib.zeros(2, 2)]
        d = lib.nn.ParameterDict({"b": lib.ones(2), "a": 3})
        d["z"] = lib.zeros(1)
        e = d | {"q": lib.ones(1)}
        names = [[n for n, _ in m.named_parameters()] for m in (l, d, e)]
        texts = [repr(m).replace("torch.nn.parameter.Parameter", "Parameter") for m in (l, d)]
        return (
            names,
            len(l),
            list(d),
            list(e),
            d.get("nope"),
            d.setdefault("a"),
            texts,
            len(l[1:]),
        )

    both(run)


def test_parameter():
    p = ember.nn.Parameter(ember.ones(2))
    assert p.requires_grad and p.is_leaf and isinstance(p, ember.Tensor)
    assert type(p + 1) is ember.Tensor and type(p.detach()) is ember.Tensor
    assert repr(p).startswith("Parameter containing:\ntensor([1., 1.]")
    assert not ember.nn.Parameter(ember.ones(1), requires_grad=False).requires_grad
    assert ember.nn.Parameter().shape == (0,)
    twin = copy.deepcopy(p)
    assert type(twin) is ember.nn.Parameter and twin is not p
    b = ember.nn.Buffer(ember.ones(2), persistent=False)
    assert isinstance(b, ember.nn.Buffer) and not isinstance(b, ember.nn.Parameter) and not b.persistent
    assert not isinstance(ember.ones(1), ember.nn.Parameter)


def error_text(error):
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def test_error_names_the_module():
    model = ember.nn.Sequential(ember.nn.ReLU(), net(ember))
    with pytest.raises(RuntimeError) as caught:
        model(ember.zeros(1, 5))
    assert error_text(caught.value).endswith("in 1.layers.0.fc (Linear)")
    with pytest.raises(RuntimeError) as caught:
        ember.nn.Linear(2, 2)(ember.zeros(1, 5))
    assert error_text(caught.value).endswith("in Linear")
    assert error_text(caught.value).count("in Linear") == 1


def test_init_is_looked_up_when_called(monkeypatch):
    calls = []
    monkeypatch.setattr(ember.nn.init, "kaiming_uniform_", lambda *a, **k: calls.append(a))
    ember.nn.Linear(2, 2)
    assert len(calls) == 1


def test_functional_call():
    m = net(ember)
    state = {n: ember.zeros_like(p) for n, p in m.named_parameters()}
    before = m.head[1].weight
    out = ember.nn.utils.stateless.functional_call(m, state, (ember.ones(1, 3),))
    assert bool((out == 0).all()) and m.head[1].weight is before


def test_lazy_state_dict():
    lazy, plain = ember.nn.LazyLinear(3), ember.nn.Linear(2, 3)
    assert lazy.has_uninitialized_params()
    lazy.load_state_dict(plain.state_dict())
    assert bool((lazy.weight == plain.weight).all())
    assert lazy(to_ember(torch.ones(1, 2))).shape == (1, 3)
