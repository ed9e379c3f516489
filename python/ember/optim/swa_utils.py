# Averaged copies of a model: stochastic weight averaging and exponential moving averages.
#
# An average is updated a tensor at a time by `avg_fn`, or all at once by `multi_avg_fn`; it never touches the model.
"""Averaged models, and the scheduler that goes with them."""

import itertools
import math
from copy import deepcopy
from typing import Any

import ember
from ember.nn import Module

from ._lr_base import LRScheduler, _one_a_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay):
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _lists(update):
    """A function of lists of tensors from one of tensors that returns the new average."""

    @ember.no_grad()
    def update_all(averages, currents, num_averaged):
        for average, current in zip(averages, currents):
            average.copy_(update(average, current, num_averaged))

    return update_all


def get_ema_avg_fn(decay=0.999):
    """A function of (average, current, number) that gives `decay * average + (1 - decay) * current`.

    >>> import ember
    >>> get_ema_avg_fn(0.5)(ember.tensor(1.0), ember.tensor(3.0), 1)
    tensor(2.)
    """
    _check_decay(decay)

    @ember.no_grad()
    def ema_update(ema_param, current_param, num_averaged):
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn():
    """A function of (average, current, number) that gives the mean of `number + 1` models.

    >>> import ember
    >>> get_swa_avg_fn()(ember.tensor(1.0), ember.tensor(3.0), 1)
    tensor(2.)
    """

    @ember.no_grad()
    def swa_update(averaged_param, current_param, num_averaged):
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay=0.999):
    """`get_ema_avg_fn` over lists of tensors, in place.

    >>> import ember
    >>> average = [ember.tensor(1.0)]
    >>> get_ema_multi_avg_fn(0.5)(average, [ember.tensor(3.0)], 1)
    >>> average
    [tensor(2.)]
    """
    return _lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn():
    """`get_swa_avg_fn` over lists of tensors, in place.

    >>> import ember
    >>> average = [ember.tensor(1.0)]
    >>> get_swa_multi_avg_fn()(average, [ember.tensor(3.0)], 1)
    >>> average
    [tensor(2.)]
    """
    return _lists(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of those handed to `update_parameters`.

    Args:
        model: copied; its own parameters are never changed.
        device: where the copy lives.
        avg_fn: gives a new average from (average, current, number averaged); the plain mean by default.
        multi_avg_fn: the same over lists, in place. At most one of the two (AssertionError).
        use_buffers: averages buffers too, which are copied otherwise.

    >>> import ember
    >>> model = ember.nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model)
    >>> for value in (1.0, 3.0):
    ...     _ = model.weight.data.fill_(value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()
    2.0
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ember.tensor(0, dtype=ember.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """Calls the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model) -> None:
        """Adds the parameters of `model` to the average."""
        ours, theirs = self.module.parameters(), model.parameters()
        if self.use_buffers:
            ours = itertools.chain(ours, self.module.buffers())
            theirs = itertools.chain(theirs, model.buffers())
        ours = [p.detach() for p in ours]
        theirs = [p.detach().to(average.device) for p, average in zip(theirs, ours)]
        if self.n_averaged == 0:
            for average, current in zip(ours, theirs):
                average.copy_(current)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(ours, theirs, self.n_averaged)
        else:
            _lists(self.avg_fn or get_swa_avg_fn())(ours, theirs, self.n_averaged)
        if not self.use_buffers:
            for mine, current in zip(self.module.buffers(), model.buffers()):
                mine.detach().copy_(current.detach().to(mine.device))
        self.n_averaged += 1


@ember.no_grad()
def update_bn(loader, model, device=None) -> None:
    """Computes the running statistics of a model's batch norms anew, over one pass of `loader`.

    Batches may be tensors, or lists and tuples whose first entry is the input.

    >>> import ember
    >>> norm = ember.nn.BatchNorm1d(1)
    >>> update_bn([ember.tensor([[1.0], [3.0]])], norm)
    >>> norm.running_mean
    tensor([2.])
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, ember.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # the mean over all batches
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Moves the rates to `swa_lr` within `anneal_epochs` epochs ("cos" or "linear") and keeps them there.

    >>> import ember
    >>> optimizer = ember.optim.SGD([ember.nn.Parameter(ember.ones(1))], lr=1.0)
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=1)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        for lr, group in zip(_one_a_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step) -> float:
        """How much of the way is done after `step` steps."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self):
        self._check_called_within_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in super().state_dict().items() if key != "anneal_func"}
