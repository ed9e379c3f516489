# Schedulers against PyTorch's: curves over hundreds of steps, momenta, checkpoints, warnings and errors.
"""Tests of ember.optim.lr_scheduler."""

import warnings

import ember
import numpy as np
import pytest
import torch


def make(m, kind="SGD"):
    p = [m.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": p[:1]}, {"params": p[1:], "lr": 0.05}]
    return m.optim.SGD(groups, lr=0.4, momentum=0.9) if kind == "SGD" else m.optim.Adam(groups, lr=0.4)


class Factor:
    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


SCHEDULERS = {
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.8),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 50, 50, 120], 0.5),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.3, 40),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.9, 90),
    "LinearLR down": lambda s, o: s.LinearLR(o, 1.0, 0.0, 90),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.98),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 30, 0.01),
    "CosineAnnealingLR 0": lambda s, o: s.CosineAnnealingLR(o, 13),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 2, 0.001),
    "CosineAnnealingWarmRestarts 1": lambda s, o: s.CosineAnnealingWarmRestarts(o, 17),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=301),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.7, 0.2], epochs=43, steps_per_epoch=7, pct_start=0.4, anneal_strategy="linear", cycle_momentum=False
    ),
    "OneCycleLR three": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=310, three_phase=True),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.5, 11, 17),
    "CyclicLR 2": lambda s, o: s.CyclicLR(o, 0.01, [0.5, 0.2], 11, mode="triangular2"),
    "CyclicLR exp": lambda s, o: s.CyclicLR(o, 0.01, 0.5, 11, mode="exp_range", gamma=0.99, cycle_momentum=False),
    "CyclicLR fn": lambda s, o: s.CyclicLR(o, 0.01, 0.5, 9, scale_fn=lambda x: 1 / x, scale_mode="cycle"),
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda e: 0.99**e, lambda e: 1 / (1 + e)]),
    "LambdaLR object": lambda s, o: s.LambdaLR(o, Factor(0.97)),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.95 if e % 3 else 1.01),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 200, 1.7),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o,
        [s.LinearLR(o, 0.1, total_iters=20), s.CosineAnnealingLR(o, 50), s.ExponentialLR(o, 0.9)],
        milestones=[20, 90],
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.97)]),
    "SWALR": lambda s, o: (torch if s is torch.optim.lr_scheduler else ember).optim.swa_utils.SWALR(o, 0.02, 15),
    "SWALR linear": lambda s, o: (torch if s is torch.optim.lr_scheduler else ember).optim.swa_utils.SWALR(
        o, [0.02, 0.3], 0, "linear"
    ),
}


def curve(m, name, steps, kind="SGD", scheduler=None, optimizer=None):
    optimizer = optimizer or make(m, kind)
    scheduler = scheduler or SCHEDULERS[name](m.optim.lr_scheduler, optimizer)
    rows = []
    for _ in range(steps):
        groups = optimizer.param_groups
        momenta = [g["momentum"] if "momentum" in g else g["betas"][0] for g in groups]
        rows.append([*scheduler.get_last_lr(), *(g["lr"] for g in groups), *momenta])
        optimizer.step()
        scheduler.step()
    return np.array(rows), scheduler, optimizer


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_curve(name, kind):
    ours, theirs = (curve(m, name, 300, kind)[0] for m in (ember, torch))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_state_dict_goes_on(name):
    """A state dict of PyTorch's, half way, leads to PyTorch's second half."""
    _, scheduler, optimizer = curve(torch, name, 40)
    if name.startswith(("LambdaLR", "MultiplicativeLR", "CyclicLR fn")):
        state = scheduler.state_dict()
    else:
        state = {k: v for k, v in scheduler.state_dict().items() if k != "anneal_func"}
    mine = make(ember)
    new = SCHEDULERS[name](ember.optim.lr_scheduler, mine)
    new.load_state_dict(state)
    for a, b in zip(mine.param_groups, optimizer.param_groups):
        a.update({k: v for k, v in b.items() if k != "params"})
    expected = curve(torch, name, 60, scheduler=scheduler, optimizer=optimizer)[0]
    np.testing.assert_allclose(
        curve(ember, name, 60, scheduler=new, optimizer=mine)[0], expected, rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", SCHEDULERS)
def test_state_dict_keys(name):
    ours, theirs = (curve(m, name, 3)[1].state_dict() for m in (ember, torch))
    assert set(ours) - {"_is_initial"} == set(theirs) - {"_is_initial"}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_reduce_on_plateau(mode, threshold_mode, cooldown):
    metrics = np.random.default_rng(0).normal(size=200).cumsum() + 3
    rows = []
    for m in (ember, torch):
        optimizer = make(m)
        scheduler = m.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode,
            factor=0.7,
            patience=2,
            threshold=0.01,
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            min_lr=[1e-3, 1e-4],
        )
        row = []
        for metric in metrics:
            scheduler.step(m.tensor(metric))
            row.append([*scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best])
        rows.append(row)
        if m is ember:
            state = scheduler.state_dict()
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)
    assert set(state) == set(scheduler.state_dict())


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
                                  "CosineAnnealingLR", "CosineAnnealingWarmRestarts"])  # fmt: skip
def test_epoch_argument(name):
    rows = []
    for m in (ember, torch):
        optimizer = make(m)
        scheduler = SCHEDULERS[name](m.optim.lr_scheduler, optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = []
            for epoch in (3, 17, 5, 60, 199):
                scheduler.step(epoch)
                row.append(scheduler.get_last_lr())
        rows.append(row)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "name, options",
    [
        ("StepLR", {"step_size": 5}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("CosineAnnealingLR", {"T_max": 20}),
        ("LinearLR", {"total_iters": 30}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 100}),
    ],
)
def test_resume_with_last_epoch(name, options):
    rows = []
    for m in (ember, torch):
        optimizer = make(m)
        with pytest.raises(KeyError, match="initial_lr"):
            getattr(m.optim.lr_scheduler, name)(optimizer, **options, last_epoch=6)
        for group in optimizer.param_groups:
            group.update(initial_lr=0.4, max_lr=1.0, min_lr=0.01, max_momentum=0.95, base_momentum=0.85)
        scheduler = getattr(m.optim.lr_scheduler, name)(optimizer, **options, last_epoch=6)
        rows.append(curve(m, name, 20, scheduler=scheduler, optimizer=optimizer)[0])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)


def test_changing_a_rate_by_hand_is_respected():
    rows = []
    for m in (ember, torch):
        _, scheduler, optimizer = curve(m, "ExponentialLR", 5)
        optimizer.param_groups[0]["lr"] = 3.0
        rows.append(curve(m, "ExponentialLR", 5, scheduler=scheduler, optimizer=optimizer)[0])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)


def test_tensor_learning_rate_is_written_in_place():
    lr = ember.tensor(1.0)
    optimizer = ember.optim.SGD([ember.zeros(1, requires_grad=True)], lr=lr)
    scheduler = ember.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr and lr.item() == 0.5


@pytest.mark.parametrize(
    "make_scheduler",
    [
        lambda s, o: s.StepLR(1, 2),
        lambda s, o: s.LambdaLR(o, [lambda e: 1]),
        lambda s, o: s.MultiplicativeLR(o, 3),
        lambda s, o: s.ConstantLR(o, factor=2),
        lambda s, o: s.LinearLR(o, start_factor=0),
        lambda s, o: s.LinearLR(o, end_factor=2),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0),
        lambda s, o: s.OneCycleLR(o, 1.0),
        lambda s, o: s.OneCycleLR(o, 1.0, total_steps=-1),
        lambda s, o: s.OneCycleLR(o, 1.0, total_steps=10, pct_start=2),
        lambda s, o: s.OneCycleLR(o, 1.0, total_steps=10, anneal_strategy="x"),
        lambda s, o: s.OneCycleLR(o, [1.0], total_steps=10),
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, mode="x"),
        lambda s, o: s.ReduceLROnPlateau(o, factor=1),
        lambda s, o: s.ReduceLROnPlateau(o, mode="x"),
        lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"),
        lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]),
        lambda s, o: s.ReduceLROnPlateau(3),
        lambda s, o: s.SequentialLR(o, [], []),
        lambda s, o: s.SequentialLR(o, [s.ExponentialLR(o, 0.9)], [1]),
        lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
        lambda s, o: s.ChainedScheduler([]),
        lambda s, o: s.ChainedScheduler([3]),
    ],
)
def test_errors(make_scheduler):
    raised = []
    for m in (ember, torch):
        with pytest.raises(Exception) as info:
            make_scheduler(m.optim.lr_scheduler, make(m))
        raised.append((type(info.value), str(info.value)))
    if raised[0][0] is AttributeError:  # where PyTorch stumbles, we need not use its words
        return
    assert raised[0] == raised[1] or raised[1][0] is AttributeError


def test_too_many_steps_of_one_cycle():
    optimizer = make(ember)
    scheduler = ember.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=3)
    optimizer.step()
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 4 times. The specified number of total steps is 3"):
        scheduler.step()


def test_warnings():
    optimizer = make(ember)
    scheduler = ember.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)
    optimizer = make(ember)
    scheduler = ember.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="overridden"):
        scheduler.step()
    optimizer = make(ember)
    scheduler = ember.optim.lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()
    assert issubclass(ember.optim.lr_scheduler._LRScheduler, ember.optim.lr_scheduler.LRScheduler)


def test_averaged_models():
    def run(m, **options):
        m.manual_seed(0)
        model = m.nn.Linear(2, 1)
        average = m.optim.swa_utils.AveragedModel(model, **options)
        for i in range(4):
            with m.no_grad():
                model.weight.fill_(float(i * i))
                model.bias.fill_(float(i))
            average.update_parameters(model)
        return [p.detach().numpy() for p in average.parameters()], average.n_averaged.item()

    utils = {m: m.optim.swa_utils for m in (ember, torch)}
    for make_options in (
        lambda u: {},
        lambda u: {"avg_fn": u.get_ema_avg_fn(0.9)},
        lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    ):
        (ours, n), (theirs, k) = (run(m, **make_options(utils[m])) for m in (ember, torch))
        assert n == k
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b, rtol=1e-6)
