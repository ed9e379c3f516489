"""Autograd from Python against PyTorch: the same program run by both must give the same numbers and errors."""

import signal

import ember
import numpy
import pytest
import torch


def both(program):
    ours, theirs = program(ember), program(torch)
    assert ours == theirs
    return ours


def leaf(l, *values):
    return l.tensor(list(values), dtype=l.float64, requires_grad=True)


def test_backward_and_accumulation():
    def program(l):
        x = leaf(l, 1, 2, 3)
        (x * x).sum().backward()
        first = x.grad.tolist()
        (x * 2).sum().backward()
        return first, x.grad.tolist(), x.is_leaf, (x * 2).is_leaf, (x * 2).requires_grad

    both(program)


def test_grad():
    def program(l):
        x, y = leaf(l, 1, 2), leaf(l, 3, 4)
        out = [g.tolist() for g in l.autograd.grad((x * y).sum(), (x, y))]
        out.append([g if g is None else g.tolist() for g in l.autograd.grad(x.sum(), (x, y), allow_unused=True)])
        out.append([g.tolist() for g in l.autograd.grad(x * y, x, grad_outputs=l.tensor([1.0, 10.0], dtype=l.float64))])
        out.append([g.tolist() for g in l.autograd.grad(x.sum(), (x, y), materialize_grads=True)])
        (g,) = l.autograd.grad((x**3).sum(), x, create_graph=True)
        out.append(l.autograd.grad(g.sum(), x)[0].tolist())
        batched = l.autograd.grad(x * y, x, l.eye(2, dtype=l.float64), is_grads_batched=True)
        out.append(batched[0].tolist())
        return out

    both(program)


@pytest.mark.parametrize(
    "program",
    [
        lambda l: leaf(l, 1, 2).backward(),
        lambda l: (leaf(l, 1, 2) * 2).backward(),
        lambda l: l.ones(1).backward(),
        lambda l: l.autograd.grad(leaf(l, 1).sum(), leaf(l, 1)),
        lambda l: leaf(l, 1).add_(1),
        lambda l: (leaf(l, 1, 2) * 2).backward(l.ones(3, dtype=l.float64)),
        lambda l: setattr(leaf(l, 1), "grad", l.ones(2, dtype=l.float64)),
        lambda l: l.ones(1, dtype=l.int64).requires_grad_(),
        lambda l: (leaf(l, 1) * 2).requires_grad_(False),
        lambda l: l.ones(1).register_hook(print),
        lambda l: l.tensor([1], requires_grad=True),
    ],
)
def test_errors(program):
    with pytest.raises(Exception) as theirs:
        program(torch)
    with pytest.raises(type(theirs.value)) as ours:
        program(ember)
    text = str(ours.value).removeprefix("add_: ")  # the op that was called
    assert text.split(".")[0][:60] == str(theirs.value).split(".")[0][:60]


def test_backward_twice_and_versions():
    for l in (ember, torch):
        x = leaf(l, 1, 2)
        y = (x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward()
        z = x.exp()
        w = z * z
        z.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            w.sum().backward()
        y = (x * x).sum()
        y.backward(retain_graph=True)
        y.backward()


def test_modes():
    def program(l):
        x = leaf(l, 1.0)
        out = []
        with l.no_grad():
            out += [(x * 2).requires_grad, l.is_grad_enabled()]
            with l.enable_grad():
                out.append((x * 2).requires_grad)
            out.append(l.is_grad_enabled())
        out.append(l.is_grad_enabled())

        @l.no_grad()
        def f():
            return (x * 2).requires_grad

        @l.no_grad
        def g():
            """doc"""
            return (x * 2).requires_grad

        @l.no_grad()
        def steps():
            yield l.is_grad_enabled()
            yield l.is_grad_enabled()

        out += [f(), g(), g.__name__, g.__doc__]
        s = steps()
        out += [next(s), l.is_grad_enabled(), next(s), l.is_grad_enabled()]
        l.set_grad_enabled(False)
        out.append(l.is_grad_enabled())
        l.set_grad_enabled(True)
        with l.set_grad_enabled(False):
            out.append(l.is_grad_enabled())
        out.append(l.is_grad_enabled())
        with l.inference_mode():
            out += [l.is_inference_mode_enabled(), (x * 2).requires_grad]
        out += [l.is_inference_mode_enabled(), l.is_grad_enabled()]
        try:
            with l.no_grad():
                raise ValueError
        except ValueError:
            out.append(l.is_grad_enabled())
        return out

    both(program)


def test_inference_mode():
    """What is made in inference mode, views of it, and views that are made in it of what is not."""

    def program(l):
        x, plain = l.ones(3, requires_grad=True), l.ones(3)
        with l.inference_mode():
            made = {
                "computed": x * 2,
                "new": l.zeros(3),
                "from data": l.tensor([1.0, 2.0]),
                "out": l.add(plain, 1, out=l.empty(3)),
                "view of a normal tensor": plain[1:],
                "itself": plain.contiguous(),
                "detached": x.detach(),
                "converted": plain.to(l.float64),
                "parameter": l.nn.Parameter(l.ones(2)),
            }
            made["view"] = made["new"][1:]
            made["parts"] = made["new"].split(2)[0]
            made["part of normal"] = plain.split(2)[0]
            with l.enable_grad():
                made["with gradients on"] = x * 2
            with l.inference_mode(False):
                made["outside within"] = x * 2
                modes = [l.is_inference_mode_enabled(), l.is_grad_enabled()]
            plain.add_(1)
            made["new"].add_(1)
            x.add_(1)
        inference = made["new"]
        made["cloned"] = inference.clone()
        made["computed outside"] = inference + 1
        made["view outside"] = inference[1:]
        made["graph"] = inference + x
        facts = {k: (v.is_inference(), v.requires_grad, v.tolist()) for k, v in made.items()}
        plain.mul_(2), made["view of a normal tensor"].mul_(2)
        (x * made["cloned"]).sum().backward()
        return modes, facts, x._version, plain._version, plain.tolist(), x.grad.tolist()

    both(program)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda l, t, x: t.add_(1), "Inplace update to inference tensor outside InferenceMode is not allowed"),
        (lambda l, t, x: t.__setitem__(0, 1.0), "Inplace update to inference tensor outside InferenceMode"),
        (lambda l, t, x: t[1:].zero_(), "Inplace update to inference tensor outside InferenceMode"),
        (lambda l, t, x: t.unsqueeze_(0), "Inplace update to inference tensor outside InferenceMode"),
        (lambda l, t, x: l.no_grad()(lambda: t.add_(1))(), "Inplace update to inference tensor outside InferenceMode"),
        (lambda l, t, x: x * t, "Inference tensors cannot be saved for backward. "),
        (lambda l, t, x: x.exp().mul_(t), "Inference tensors cannot be saved for backward. "),
        (lambda l, t, x: l.nn.Linear(3, 3)(t), "Inference tensors cannot be saved for backward. "),
        (lambda l, t, x: t.requires_grad_(), "Setting requires_grad=True on inference tensor outside InferenceMode"),
        (lambda l, t, x: l.nn.Parameter(t), "Setting requires_grad=True on inference tensor outside InferenceMode"),
        (lambda l, t, x: t._version, "Inference tensors do not track version counter."),
    ],
)
def test_inference_tensors_stay_out_of_autograd(act, message):
    for l in (ember, torch):
        x = l.ones(3, requires_grad=True)
        with l.inference_mode():
            t = l.ones(3)
        with pytest.raises(RuntimeError, match=message):
            act(l, t, x)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_a_view_that_gradients_do_not_know_of_is_not_written_to(mode):
    for l in (ember, torch):
        x = l.ones(3, requires_grad=True) * 1
        with getattr(l, mode)():
            view = x[1:]
            view.mul_(2)
        with pytest.raises(RuntimeError, match="A view was created in"):
            view.mul_(2)


@pytest.mark.sanitize
def test_interrupted_backward():
    """Ctrl-C is seen between the nodes of a long graph, and the program goes on afterwards."""
    x = ember.ones(10, requires_grad=True)
    y = x
    for _ in range(30_000):
        y = y * 1.0
    y.register_hook(lambda g: signal.raise_signal(signal.SIGINT))
    seen = []
    x.register_hook(lambda g: seen.append(g))
    with pytest.raises(KeyboardInterrupt):
        y.sum().backward()
    assert not seen and x.grad is None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0] * 10


def test_one_mode_can_be_entered_inside_itself():
    mode = ember.no_grad()
    with mode, mode:
        assert not ember.is_grad_enabled()
    assert ember.is_grad_enabled()


def test_hooks():
    def program(l):
        out = []
        x = leaf(l, 1, 2)
        h = x.register_hook(lambda g: g * 10)
        y = x * 3
        y.register_hook(lambda g: out.append(g.tolist()))
        y.retain_grad()
        y.sum().backward()
        out += [x.grad.tolist(), y.grad.tolist(), y.retains_grad, x.retains_grad]
        h.remove()
        (x * 3).sum().backward()
        out.append(x.grad.tolist())
        handle = x.register_post_accumulate_grad_hook(lambda p: out.append(p.grad.tolist()))
        x.sum().backward()
        handle.remove()
        x.sum().backward()
        node = (x * 2).grad_fn
        out.append(node.name())
        z = x * 2
        z.grad_fn.register_hook(lambda gi, go: (gi[0] * 5, *gi[1:]))
        z.grad_fn.register_prehook(lambda go: (go[0] * 2,))
        x.grad = None
        z.sum().backward()
        out += [
            x.grad.tolist(),
            z.grad_fn.next_functions[0][0].name().endswith("AccumulateGrad"),
            z.grad_fn.next_functions[0][0].variable is x,
        ]
        return out

    both(program)


def test_hook_errors_come_back():
    x = leaf(ember, 1.0)

    class Mine(Exception):
        pass

    def bad(g):
        raise Mine("from a hook")

    x.register_hook(bad)
    with pytest.raises(Mine, match="from a hook"):
        (x * 2).sum().backward()


def test_detach_data_views():
    def program(l):
        x = leaf(l, 1, 2)
        d = x.detach()
        d.fill_(5)
        out = [x.tolist(), d.requires_grad, d._version, x._version]
        x.data.fill_(7)
        out += [x.tolist(), x._version]
        x.data = l.ones(3, dtype=l.float64)
        out += [x.tolist()]
        y = l.zeros(2, 2, dtype=l.float64)
        v = y[0]
        v.copy_(leaf(l, 3, 4))
        out += [y.requires_grad, v._base is y, y.tolist()]
        z = (leaf(l, 1) * 2).detach_()
        out += [z.requires_grad, z.is_leaf]
        return out

    both(program)


def functions(l):
    class Cube(l.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x**3 * scale

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2 * ctx.scale, None

    class Split(l.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2, x > 1, "text"

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_non_differentiable(output[1])
            ctx.set_materialize_grads(False)

        @staticmethod
        def backward(ctx, g, *rest):
            assert rest == (None, None)
            return g * 2

    class Double_(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Same(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 100

    class SavesOutput(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    return Cube, Split, Double_, Same, SavesOutput


def test_functions():
    def program(l):
        Cube, Split, Double_, Same, SavesOutput = functions(l)
        out = []
        x = leaf(l, 1, 2)
        y = Cube.apply(x, 2.0)
        out += [y.grad_fn.name(), y.grad_fn.needs_input_grad, type(y.grad_fn).__name__]
        y.sum().backward()
        out.append(x.grad.tolist())
        (g,) = l.autograd.grad(Cube.apply(x, 1.0).sum(), x, create_graph=True)
        out.append(l.autograd.grad(g.sum(), x)[0].tolist())
        a, b, c = Split.apply(x)
        out += [a.requires_grad, b.requires_grad, c]
        x.grad = None
        a.sum().backward()
        out.append(x.grad.tolist())
        w = x * 1
        v = Double_.apply(w)
        out += [v is w, v.tolist()]
        x.grad = None
        v.sum().backward()
        out.append(x.grad.tolist())
        s = Same.apply(x)
        out += [s is x, s.grad_fn.name()]
        x.grad = None
        s.sum().backward()
        out.append(x.grad.tolist())
        e = SavesOutput.apply(x)
        (g,) = l.autograd.grad(e.sum(), x, create_graph=True)
        out.append(l.autograd.grad(g.sum(), x)[0].tolist())
        with l.no_grad():
            out.append(Cube.apply(x, 1.0).requires_grad)
        return out

    both(program)


def test_function_errors():
    for l in (ember, torch):

        class Wrong(l.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                return x + y

            @staticmethod
            def backward(ctx, g):
                return g

        with pytest.raises(RuntimeError, match="incorrect number of gradients \\(expected 2, got 1\\)"):
            Wrong.apply(leaf(l, 1), leaf(l, 1)).backward()

        class Once(l.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            @l.autograd.function.once_differentiable
            def backward(ctx, g):
                return 2 * g * ctx.saved_tensors[0]

        x, seed = leaf(l, 3.0), leaf(l, 1.0)
        (g,) = l.autograd.grad(Once.apply(x), x, seed, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            g.sum().backward()


def test_gradcheck():
    x = ember.randn(3, 2, dtype=ember.float64, requires_grad=True)
    y = ember.randn(2, dtype=ember.float64, requires_grad=True)
    assert ember.autograd.gradcheck(lambda a, b: (a * b).sin(), (x, y))
    assert ember.autograd.gradgradcheck(lambda a, b: (a * b).exp(), (x, y))

    class Wrong(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        ember.autograd.gradcheck(Wrong.apply, (x,))
    assert not ember.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)


def test_functional():
    def program(l):
        F = l.autograd.functional
        x, v = l.tensor([1.0, 2.0], dtype=l.float64), l.tensor([1.0, 10.0], dtype=l.float64)
        f = lambda a: (a**3).sum()  # noqa: E731
        return [
            F.jacobian(lambda a: a * a, x).tolist(),
            [b.tolist() for b in F.jacobian(lambda a, b: a * b, (x, v))],
            F.hessian(f, x).tolist(),
            [o.tolist() for o in F.vjp(lambda a: a * a, x, v)],
            [o.tolist() for o in F.jvp(lambda a: a * a, x, v)],
            [o.tolist() for o in F.vhp(f, x, v)],
            [o.tolist() for o in F.hvp(f, x, v)],
        ]

    both(program)


def test_saved_tensors_hooks():
    def program(l):
        out = []
        x = leaf(l, 2, 3)
        with l.autograd.graph.saved_tensors_hooks(
            lambda t: (out.append("pack"), t.tolist())[1], lambda p: l.tensor(p, dtype=l.float64)
        ):
            y = x.exp()
        y.sum().backward()
        return x.grad.tolist(), len(out)

    both(program)


def test_anomaly():
    x = leaf(ember, -1.0)
    with ember.autograd.detect_anomaly(), pytest.warns(UserWarning, match="Error detected in SqrtBackward0"):
        with pytest.raises(RuntimeError, match="returned nan values"):
            (x.sqrt()).sum().backward()
    assert ember._C._anomaly() == (False, True)


def test_deep_graph():
    x = ember.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y


def test_threads_backward():
    import threading

    x = ember.ones(100, requires_grad=True)

    def work():
        for _ in range(50):
            (x * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert x.grad.tolist() == [400.0] * 100


_INPLACE = {
    "abs_": lambda x, l: x.abs_(),
    "sin_": lambda x, l: x.sin_(),
    "square_": lambda x, l: x.square_(),
    "lerp_": lambda x, l: x.lerp_(x.detach() * 2, 0.3),
    "pow_": lambda x, l: x.pow_(3),
    "clamp_": lambda x, l: x.clamp_(-0.5, 0.5),
    "view": lambda x, l: (x[0].sin_(), x)[1],
    "relu6": lambda x, l: l.nn.functional.relu6(x, inplace=True),
    "leaky_relu": lambda x, l: l.nn.functional.leaky_relu(x, 0.2, inplace=True),
    "elu": lambda x, l: l.nn.functional.elu(x, inplace=True),
    "selu": lambda x, l: l.nn.functional.selu(x, inplace=True),
    "celu": lambda x, l: l.nn.functional.celu(x, inplace=True),
    "silu": lambda x, l: l.nn.functional.silu(x, inplace=True),
    "hardtanh": lambda x, l: l.nn.functional.hardtanh(x, inplace=True),
    "threshold": lambda x, l: l.nn.functional.threshold(x, 0.1, 2.0, inplace=True),
    "rrelu": lambda x, l: l.nn.functional.rrelu(x, inplace=True),
}


@pytest.mark.parametrize("name", _INPLACE)
def test_what_an_inplace_call_overwrites_is_kept_for_its_gradient(name):
    def program(l):
        x = l.linspace(-1.3, 1.7, 6, dtype=l.float64).reshape(2, 3).requires_grad_()
        y = _INPLACE[name](x * 1.5, l)
        (first,) = l.autograd.grad((y * y * y).sum(), x, create_graph=True)
        (second,) = l.autograd.grad(first.square().sum(), x)
        return y.tolist(), first.tolist(), second.tolist()

    for ours, theirs in zip(program(ember), program(torch), strict=True):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda l, x: l.lerp(x, 2 * x.detach(), 0.3),
        lambda l, x: 0.3**x,
        lambda l, x: x**0.3,
        lambda l, x: x / 0.3,
        lambda l, x: l.xlogy(x, 0.3),
        lambda l, x: l.xlogy(0.3, x),
        lambda l, x: l.remainder(x, 0.3),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_python_numbers_keep_their_digits_in_gradients_that_are_differentiated(f, dtype):
    def program(l):
        x = l.tensor([0.7, 1.9], dtype=getattr(l, dtype), requires_grad=True)
        y = f(l, x)
        (first,) = l.autograd.grad((y * y).abs().sum(), x, create_graph=True)
        (second,) = l.autograd.grad(first.abs().sum(), x)
        return y.tolist(), first.tolist(), second.tolist()

    try:
        theirs = program(torch)
    except RuntimeError:  # no complex numbers there
        pytest.skip("PyTorch refuses it")
    for a, b in zip(program(ember), theirs, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
