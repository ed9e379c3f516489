# Optimizers against PyTorch's: trajectories for every combination of options, checkpoints both ways, words of errors.
"""Tests of ember.optim's optimizers."""

import copy
import itertools
import math
import pickle

import ember
import numpy as np
import pytest
import torch

SHAPES = [(), (3,), (4, 5), (2, 3, 17), (0,), (1000,)]
STEPS = 20


def product(**options):
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]


CASES = [
    *[
        ("SGD", o)
        for o in product(lr=[0.1], momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], maximize=[False, True])
    ],
    *[("SGD", o) for o in product(lr=[0.05], momentum=[0.9], nesterov=[True], weight_decay=[0, 0.1])],
    *[
        (name, o)
        for name in ("Adam", "AdamW")
        for o in product(lr=[0.03], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True])
    ],
    ("Adam", {"betas": (0.3, 0.6), "eps": 1e-3}),
    ("Adam", {"betas": (0.0, 0.0)}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.2}),
    *[
        ("RMSprop", o)
        for o in product(
            lr=[0.01], momentum=[0, 0.9], centered=[False, True], weight_decay=[0, 0.1], maximize=[False, True]
        )
    ],
    ("RMSprop", {"alpha": 0.4, "eps": 1e-2, "centered": True}),
    *[
        ("Adagrad", o)
        for o in product(
            lr=[0.1],
            lr_decay=[0, 0.1],
            weight_decay=[0, 0.1],
            initial_accumulator_value=[0, 0.5],
            maximize=[False, True],
        )
    ],
]


def to_ember(t: torch.Tensor):
    if t.dtype == torch.bfloat16:
        return ember.from_numpy(t.detach().float().numpy().copy()).to(ember.bfloat16)
    return ember.from_numpy(np.array(t.detach().numpy()))


def to_numpy(t):
    t = t.detach()
    return (t.float() if "bfloat16" in str(t.dtype) or "float16" in str(t.dtype) else t).numpy()


def make_params(dtype=torch.float32, shapes=SHAPES, seed=0):
    g = torch.Generator().manual_seed(seed)
    theirs = [torch.randn(s, generator=g, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]
    ours = [to_ember(p).requires_grad_() for p in theirs]
    return ours, theirs


def set_grads(ours, theirs, seed):
    g = torch.Generator().manual_seed(seed)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if (seed + i) % 5 == 4:  # some parameters sit a step out
            a.grad = b.grad = None
            continue
        b.grad = torch.randn(b.shape, generator=g, dtype=torch.float64).to(b.dtype)
        a.grad = to_ember(b.grad)


def assert_same(ours, theirs, rtol=1e-5, atol=1e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=rtol, atol=atol)


def assert_same_state(ours, theirs, rtol=1e-5, atol=1e-6, exact=None):
    """Alike within the bounds, or no farther from `exact` than PyTorch's is: its optimizer in float64."""
    a, b = ours.state_dict(), theirs.state_dict()
    exact = exact and exact.state_dict()
    assert [{k: v for k, v in g.items() if k != "lr"} for g in a["param_groups"]] == [
        {k: v for k, v in g.items() if k != "lr"} for g in b["param_groups"]
    ]
    assert a["state"].keys() == b["state"].keys()
    for i in a["state"]:
        assert a["state"][i].keys() == b["state"][i].keys()
        for key, value in a["state"][i].items():
            if value is None:
                assert b["state"][i][key] is None
            else:
                assert str(value.dtype).split(".")[-1] == str(b["state"][i][key].dtype).split(".")[-1]
                mine, its = to_numpy(value), to_numpy(b["state"][i][key])
                if exact:
                    best = to_numpy(exact["state"][i][key])
                    if np.abs(mine - best).max(initial=0) <= np.abs(its - best).max(initial=0):
                        continue
                np.testing.assert_allclose(mine, its, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name, options", CASES)
def test_trajectory(name, options):
    ours, theirs = make_params()
    wide = [p.detach().double().requires_grad_() for p in theirs]
    a = getattr(ember.optim, name)(ours, **options)
    b = getattr(torch.optim, name)(theirs, **options)
    exact = getattr(torch.optim, name)(wide, **options)
    for step in range(STEPS):
        set_grads(ours, theirs, step)
        for p, q in zip(wide, theirs):
            p.grad = None if q.grad is None else q.grad.double()
        a.step()
        b.step()
        exact.step()
    assert_same(ours, theirs)
    assert_same_state(a, b, exact=exact)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_float64(name):
    ours, theirs = make_params(torch.float64)
    a, b = getattr(ember.optim, name)(ours, lr=0.01), getattr(torch.optim, name)(theirs, lr=0.01)
    for step in range(STEPS):
        set_grads(ours, theirs, step)
        a.step()
        b.step()
    assert_same(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adagrad"])
def test_narrow_floats(name, dtype, tolerance):
    ours, theirs = make_params(dtype)
    a = getattr(ember.optim, name)(ours, lr=0.01)
    b = getattr(torch.optim, name)(theirs, lr=0.01, fused=True)  # which computes in f32, as we do
    for step in range(5):
        set_grads(ours, theirs, step)
        a.step()
        b.step()
    assert_same(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_floats_sgd(dtype):
    """Against f32 rounded after each step: PyTorch 2.13's own fused SGD leaves f16 and bf16 parameters alone."""
    ours, theirs = make_params(dtype)
    a = ember.optim.SGD(ours, lr=0.1, weight_decay=0.1)
    for step in range(5):
        set_grads(ours, theirs, step)
        a.step()
        for q in theirs:
            if q.grad is not None:
                wide = q.detach().float().requires_grad_()
                wide.grad = q.grad.float()
                torch.optim.SGD([wide], lr=0.1, weight_decay=0.1).step()
                q.data = wide.detach().to(dtype)
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(to_numpy(p), to_numpy(q), rtol=1e-2 if dtype == torch.bfloat16 else 1e-3)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_complex(name):
    g = torch.Generator().manual_seed(0)
    theirs = [torch.randn(5, 3, generator=g, dtype=torch.complex64).requires_grad_()]
    ours = [to_ember(theirs[0]).requires_grad_()]
    a, b = getattr(ember.optim, name)(ours, lr=0.01), getattr(torch.optim, name)(theirs, lr=0.01)
    for _ in range(5):
        theirs[0].grad = torch.randn(5, 3, generator=g, dtype=torch.complex64)
        ours[0].grad = to_ember(theirs[0].grad)
        a.step()
        b.step()
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_any_layout(name):
    """Parameters with holes or permuted, gradients that lie otherwise than their parameter."""
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    base = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    cut = [lambda x: x.t(), lambda x: x[:, ::2], lambda x: x[1:3]]
    ours = [f(to_ember(base)).detach().requires_grad_() for f in cut]
    theirs = [f(base.clone()).detach().requires_grad_() for f in cut]
    a, b = (getattr(m.optim, name)(p, lr=0.01, **options) for m, p in ((ember, ours), (torch, theirs)))
    for step in range(5):
        for p, q in zip(ours, theirs):
            q.grad = torch.randn(q.shape, generator=torch.Generator().manual_seed(step))
            p.grad = to_ember(q.grad)
        a.step()
        b.step()
    assert_same(ours, theirs)


def test_mixed_dtypes_and_groups():
    ours, theirs = make_params()
    more_ours, more_theirs = make_params(torch.float64, seed=1)

    def groups(p, q):
        return [{"params": p[:3] + q[:2]}, {"params": p[3:] + q[2:], "lr": 0.5, "betas": (0.5, 0.5)}]

    a, b = ember.optim.Adam(groups(ours, more_ours)), torch.optim.Adam(groups(theirs, more_theirs))
    for step in range(5):
        set_grads(ours + more_ours, theirs + more_theirs, step)
        a.step()
        b.step()
    assert_same(ours + more_ours, theirs + more_theirs)
    assert repr(a) == repr(b)


@pytest.mark.parametrize("name, options", CASES[::3])
def test_state_dict_travels(name, options):
    """PyTorch's state goes on here, and ours goes on there."""
    for ours_first in (True, False):
        ours, theirs = make_params()
        a, b = getattr(ember.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
        for step in range(3):
            set_grads(ours, theirs, step)
            a.step()
            b.step()

        def carried(value, convert):
            if isinstance(value, dict):
                return {k: carried(v, convert) for k, v in value.items()}
            if isinstance(value, list):
                return [carried(v, convert) for v in value]
            return convert(value) if hasattr(value, "numpy") else value

        if ours_first:
            b = getattr(torch.optim, name)(theirs, **{**options, "lr": 7.0})
            b.load_state_dict(carried(a.state_dict(), lambda t: torch.from_numpy(np.array(t.numpy()))))
        else:
            a = getattr(ember.optim, name)(ours, **{**options, "lr": 7.0})
            a.load_state_dict(carried(b.state_dict(), to_ember))
        for step in range(3, 6):
            set_grads(ours, theirs, step)
            a.step()
            b.step()
        assert_same(ours, theirs)
        assert_same_state(a, b)


def both(make):
    """What `make(module)` raises, with ours and with PyTorch's."""
    raised = []
    for module in (ember, torch):
        with pytest.raises(Exception) as info:
            make(module)
        raised.append(info.value)
    return raised


@pytest.mark.parametrize(
    "name, options",
    [
        ("SGD", {"lr": -0.1}),
        ("SGD", {"momentum": -0.5}),
        ("SGD", {"weight_decay": -1}),
        ("SGD", {"nesterov": True}),
        ("SGD", {"fused": True, "foreach": True}),
        ("SGD", {"fused": True, "differentiable": True}),
        ("Adam", {"lr": -1}),
        ("Adam", {"lr": math.nan}),
        ("Adam", {"eps": -1}),
        ("Adam", {"betas": (1.0, 0.5)}),
        ("Adam", {"betas": (0.5, -0.5)}),
        ("Adam", {"betas": (0.5, 0)}),
        ("Adam", {"weight_decay": -1}),
        ("Adam", {"fused": True, "foreach": True}),
        ("RMSprop", {"lr": -1}),
        ("RMSprop", {"alpha": -1}),
        ("RMSprop", {"eps": -1}),
        ("RMSprop", {"momentum": -1}),
        ("RMSprop", {"weight_decay": -1}),
        ("Adagrad", {"lr": -1}),
        ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"weight_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -1}),
    ],
)
def test_option_errors(name, options):
    ours, theirs = both(lambda m: getattr(m.optim, name)([m.zeros(1, requires_grad=True)], **options))
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


@pytest.mark.parametrize("lr", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_learning_rates_must_be_finite(name, lr):
    p = ember.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="Invalid learning rate"):
        getattr(ember.optim, name)([p], lr=lr)
    optimizer = getattr(ember.optim, name)([p])
    optimizer.param_groups[0]["lr"] = lr
    p.grad = ember.ones(1)
    with pytest.raises(ValueError, match="Invalid learning rate"):
        optimizer.step()
    assert p.item() == 0


@pytest.mark.parametrize("lr", ["0.1", None, [0.1]])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_learning_rates_are_numbers(name, lr):
    with pytest.raises(TypeError, match="lr: expected a number"):
        getattr(ember.optim, name)([ember.zeros(1, requires_grad=True)], lr=lr)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.optim.SGD([]),
        lambda m: m.optim.SGD(m.zeros(1)),
        lambda m: m.optim.SGD([{"params": {m.zeros(1)}}]),
        lambda m: m.optim.SGD([1]),
        lambda m: m.optim.SGD([m.zeros(1, requires_grad=True) * 2]),
        lambda m: m.optim.SGD([{"params": (p := m.zeros(1))}, {"params": p}]),
        lambda m: m.optim.SGD([("a", m.zeros(1)), m.zeros(1)]),
        lambda m: m.optim.SGD([m.zeros(1)]).add_param_group(1),
        lambda m: m.optim.SGD([m.zeros(1)]).add_param_group({"params": [("a", m.zeros(1))]}),
        lambda m: m.optim.SGD([m.zeros(1)]).load_state_dict({"state": {}, "param_groups": []}),
        lambda m: m.optim.SGD([m.zeros(1)]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
        lambda m: m.optim.Optimizer([m.zeros(1)], {}).step(),
    ],
)
def test_parameter_errors(make):
    ours, theirs = both(make)
    assert (type(ours), str(ours).replace("ember", "torch")) == (type(theirs), str(theirs))


def test_named_parameters():
    ours, theirs = make_params()
    named = [[(f"p{i}", p) for i, p in enumerate(params)] for params in (ours, theirs)]
    a, b = ember.optim.SGD(named[0], lr=0.1), torch.optim.SGD(named[1], lr=0.1)
    assert a.param_groups[0]["param_names"] == b.param_groups[0]["param_names"]
    assert repr(a) == repr(b)


def test_hooks_and_closure():
    calls = []
    p = ember.ones(1, requires_grad=True)
    optimizer = ember.optim.SGD([p], lr=0.5)
    module = ember.optim.optimizer
    handles = [
        module.register_optimizer_step_pre_hook(lambda o, args, kwargs: calls.append("global pre")),
        module.register_optimizer_step_post_hook(lambda o, args, kwargs: calls.append("global post")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("pre")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("post")),
    ]

    def closure():
        assert ember.is_grad_enabled()
        calls.append("closure")
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ember.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert calls == ["global pre", "pre", "closure", "post", "global post"]
    assert p.item() == 0.0
    for handle in handles:
        handle.remove()
    optimizer.step(closure)
    assert calls[5:] == ["closure"]


def test_subclass_step_runs_hooks_once():
    class Child(ember.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    p = ember.ones(1, requires_grad=True)
    ember.optim.SGD([p])
    child, calls = Child([p]), []
    child.register_step_post_hook(lambda *args: calls.append(1))
    child.step()
    assert calls == [1]


def test_state_dict_hooks():
    optimizer = ember.optim.SGD([ember.ones(1, requires_grad=True)], lr=0.1)
    order = []
    optimizer.register_state_dict_pre_hook(lambda o: order.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, d: order.append("load pre"))
    optimizer.register_load_state_dict_pre_hook(lambda o, d: order.append("first"), prepend=True)
    optimizer.register_load_state_dict_post_hook(lambda o: order.append("load post"))
    state = optimizer.state_dict()
    assert state["extra"] == 1
    optimizer.load_state_dict(state)
    assert order == ["pre", "first", "load pre", "load post"]


def test_pickle_and_copy():
    ours, theirs = make_params()
    optimizer = ember.optim.AdamW(ours, lr=0.01)
    set_grads(ours, theirs, 0)
    optimizer.step()
    for clone in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert repr(clone) == repr(optimizer)
        params = clone.param_groups[0]["params"]
        assert all(p in clone.state for p in params[:4])
        for p, q in zip(params, ours):
            p.grad = q.grad
        clone.step()


def test_zero_grad():
    p = ember.ones(2, requires_grad=True)
    optimizer = ember.optim.SGD([p])
    p.sum().backward()
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad and grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_learning_rate_as_a_tensor():
    ours, theirs = make_params()
    a = ember.optim.Adam(ours, lr=ember.tensor(0.1))
    b = torch.optim.Adam(theirs, lr=0.1)
    set_grads(ours, theirs, 0)
    a.step()
    b.step()
    assert_same(ours, theirs)


def test_buffers_may_be_replaced_between_steps():
    ours, theirs = make_params(shapes=[(3,)])
    a, b = ember.optim.Adam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    for step in range(3):
        set_grads(ours, theirs, step)
        a.step()
        b.step()
        a.state[ours[0]]["exp_avg"] = ember.zeros(3)
        b.state[theirs[0]]["exp_avg"] = torch.zeros(3)
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "name, options",
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("Adam", {"weight_decay": 0.1, "amsgrad": True}),
        ("AdamW", {}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ],
)
def test_differentiable(name, options):
    """The gradient of where three steps lead, against differences between PyTorch's plain runs."""
    constants = np.array([[0.3, -1.0], [1.3, -1.0], [2.3, -1.0]])

    def gradients(m, factor, p):
        return [factor * m.tensor(c) + p * p for c in constants]

    def plain_run(factor, p):
        q = torch.tensor(p, requires_grad=True)
        optimizer = getattr(torch.optim, name)([q], lr=0.01, **options)
        for g in gradients(torch, factor, torch.tensor(p)):
            q.grad = g
            optimizer.step()
        return q.detach().sum().item()

    start, factor = np.array([1.0, -2.0]), 1.5
    f = ember.tensor(factor, dtype=ember.float64, requires_grad=True)
    p = ember.tensor(start, requires_grad=True)
    q = p.clone()
    optimizer = getattr(ember.optim, name)([q], lr=0.01, differentiable=True, **options)
    for g in gradients(ember, f, p):
        q.grad = g
        optimizer.step()
    q.sum().backward()
    assert q.sum().item() == pytest.approx(plain_run(factor, start), rel=1e-9)
    h = 1e-5
    slope = (plain_run(factor + h, start) - plain_run(factor - h, start)) / (2 * h)
    assert f.grad.item() == pytest.approx(slope, rel=1e-5, abs=1e-8)
    for i in range(2):
        step = np.eye(2)[i] * h
        slope = (plain_run(factor, start + step) - plain_run(factor, start - step)) / (2 * h)
        assert p.grad[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_step_bumps_versions():
    """A tensor that was saved for backward and then stepped must be noticed."""
    p = ember.ones(2, requires_grad=True)
    loss = (p * p).sum()
    p.grad = ember.ones(2)
    ember.optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_op_checks_its_lists():
    op = ember._C.ops._adam_step
    p, one = ember.zeros(3), ember.zeros(())
    with pytest.raises(RuntimeError, match="_adam_step"):
        op([p], [], [p], [p], [], [one], lr=0.1)
    with pytest.raises(RuntimeError, match="exp_avgs"):
        op([p], [p], [ember.zeros(4)], [p], [], [one], lr=0.1)
    with pytest.raises(RuntimeError, match="state_steps"):
        op([p], [p], [p], [p], [], [ember.zeros(2)], lr=0.1)
    assert one.item() == 0
