# The base of learning-rate schedulers, and what their families share.
#
# A scheduler sets `group["lr"]` of an optimizer when stepped. Most are written twice, as in PyTorch: `get_lr` computes
# the next value from the present one, so that schedulers can be chained and users may change a rate by hand, and
# `_get_closed_form_lr` computes it from the epoch alone. Attributes have PyTorch's names: they are what `state_dict()`
# holds.
"""LRScheduler, the base of all schedulers."""

import types
import warnings
from functools import wraps
from typing import Any
from weakref import ref

import ember

from .optimizer import Optimizer, _to_scalar

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
    "Please use `scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, "
    "the closed form is used instead of the new chainable form, where available."
)
_ORDER_HINT = "`lr_scheduler.step()` belongs after `optimizer.step()`, or the first value of the schedule is skipped."


def _copy(value):
    return value.clone() if isinstance(value, ember.Tensor) else value


def _values(optimizer: Optimizer, key: str) -> list:
    """The option `key` of each group; tensors are copied, since schedulers write into them."""
    return [_copy(group[key]) for group in optimizer.param_groups]


def _set(group: dict[str, Any], key: str, value) -> None:
    """Sets an option of a group; a tensor is written in place, since others may hold it."""
    if isinstance(group[key], ember.Tensor):
        group[key].fill_(_to_scalar(value))
    else:
        group[key] = value


def _one_a_group(name: str, optimizer: Optimizer, value) -> list:
    """`value` for each group, whether given once or as a list."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * groups
    elif len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {groups}."
        )
    return [_copy(v) for v in value]


def _check_optimizer(optimizer) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)


def _mark_step(optimizer: Optimizer) -> None:
    """Wraps the optimizer's `step` once, so that a scheduler can tell when someone replaces it later."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    weak, function = ref(optimizer), optimizer.step.__func__

    @wraps(function)
    def step(*args, **kwargs):
        optimizer = weak()
        optimizer._opt_called = True
        return function.__get__(optimizer, type(optimizer))(*args, **kwargs)

    step._wrapped_by_lr_sched = True
    optimizer.step = step


class _flag:
    """Sets a flag of a scheduler for the time of a block."""

    def __init__(self, scheduler, name):
        self.scheduler, self.name = scheduler, name

    def __enter__(self):
        setattr(self.scheduler, self.name, True)

    def __exit__(self, *exc):
        setattr(self.scheduler, self.name, False)


class LRScheduler:
    """The base of schedulers: a subclass gives `get_lr()`, the list of the groups' next rates, from `last_epoch`,
    `base_lrs` and the groups.

    Args:
        optimizer: whose groups to schedule. Their `lr` becomes `initial_lr`.
        last_epoch: -1 to start; to resume at another epoch, groups must have an `initial_lr` (KeyError).

    >>> import ember
    >>> class Halving(ember.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / 2**self.last_epoch for lr in self.base_lrs]
    >>> optimizer = ember.optim.SGD([ember.nn.Parameter(ember.ones(1))], lr=1.0)
    >>> scheduler = Halving(optimizer)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        _check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0: load the optimizer's state before, or start with last_epoch=-1"
                )
        self.base_lrs = _values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _mark_step(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        with _flag(self, "_is_initial"):
            self.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as a dict."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict()` gave. Load the optimizer's state as well: it holds the rates."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list:
        """The groups' rates as of the last step."""
        return self._last_lr

    def get_lr(self) -> list:
        """The groups' next rates; `step()` calls it, users want `get_last_lr()`."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Goes to the next epoch (or to `epoch`, which is deprecated) and sets the groups' rates."""
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                _warn(
                    "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                    "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. " + _ORDER_HINT
                )
            elif not getattr(self.optimizer, "_opt_called", False):
                _warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. " + _ORDER_HINT)
        self._step_count += 1
        if epoch is not None:
            _warn(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with _flag(self, "_get_lr_called_within_step"):
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
            values = self.get_lr() if closed is None else closed()
        self._apply(values)

    def _apply(self, values) -> None:
        groups = self.optimizer.param_groups
        if len(values) != len(groups):
            raise ValueError(f"{type(self).__name__}: got {len(values)} learning rates for {len(groups)} groups")
        for group, lr in zip(groups, values):
            _set(group, "lr", lr)
        self._last_lr = _values(self.optimizer, "lr")

    # What subclasses build `get_lr` from.

    def _check_called_within_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _kept(self) -> list:
        return _values(self.optimizer, "lr")

    def _scaled(self, factor) -> list:
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class _LRScheduler(LRScheduler):
    """The base's name before PyTorch 2.0, which many programs derive from."""


def _function_states(functions) -> list:
    """What can be saved of each function: the attributes of callable objects, nothing of plain functions."""
    return [None if isinstance(f, types.FunctionType) else f.__dict__.copy() for f in functions]
