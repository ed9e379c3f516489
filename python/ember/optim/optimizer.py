# The base of every optimizer: parameter groups, per-parameter state, hooks, and checkpoints.
#
# `state_dict()` is PyTorch's, key by key, so files travel both ways. A subclass's `step` does next to nothing per
# parameter: `_gather` collects plain lists and one call into C++ does all the arithmetic, on a group at a time.
# Nothing here may do arithmetic on parameters.
"""The base class of all optimizers, with PyTorch's interface."""

import functools
import math
import numbers
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain, repeat
from operator import attrgetter, is_not, itemgetter, not_
from typing import Any, TypeAlias

import ember
from ember.utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

ParamsT: TypeAlias = Iterable[Any]  # of tensors, of (name, tensor), or of dicts that describe groups
StateDict: TypeAlias = dict[str, Any]

_global_optimizer_pre_hooks: "OrderedDict[int, Callable]" = OrderedDict()
_global_optimizer_post_hooks: "OrderedDict[int, Callable]" = OrderedDict()


class _RequiredParameter:
    """What a default is when each group must give its own value."""

    def __repr__(self):
        return "<required parameter>"


required = _RequiredParameter()
_grad_of = attrgetter("grad")


def _add_hook(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Registers `hook(optimizer, args, kwargs)` to run before the step of every optimizer.

    It may return None or new `(args, kwargs)`. Returns a handle whose `remove()` takes the hook away.

    >>> handle = register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: None)
    >>> handle.remove()
    """
    return _add_hook(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Registers `hook(optimizer, args, kwargs)` to run after the step of every optimizer.

    >>> handle = register_optimizer_step_post_hook(lambda optimizer, args, kwargs: None)
    >>> handle.remove()
    """
    return _add_hook(_global_optimizer_post_hooks, hook)


def _use_grad_for_differentiable(func):
    """Runs a `step` with gradients recorded only if the optimizer was made with `differentiable=True`."""

    @functools.wraps(func)
    def run(self, *args, **kwargs):
        with ember.set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            return func(self, *args, **kwargs)

    return run


def _run_closure(closure):
    """The loss of an optional closure, computed with gradients on."""
    if closure is None:
        return None
    with ember.enable_grad():
        return closure()


def _get_value(x):
    """A number for a tensor of one element; anything else as it is."""
    return x.item() if isinstance(x, ember.Tensor) else x


def _to_scalar(x):
    """A tensor of one element as a 0-dim tensor; anything else as it is."""
    return x.squeeze() if isinstance(x, ember.Tensor) and x.dim() != 0 else x


def _get_scalar_dtype(is_fused=None):
    """The dtype of step counters: float32, or float64 where that is the default dtype."""
    return ember.float64 if not is_fused and ember.get_default_dtype() == ember.float64 else ember.float32


def _default_to_fused_or_foreach(params, differentiable, use_fused=False):
    """Which of (fused, foreach) to prefer when the user chose neither."""
    return (bool(use_fused) and not differentiable, False)


def _view_as_real(params, *state_and_grads):
    """Replaces complex tensors in the lists by their real views, in place."""
    for i, p in enumerate(params):
        if ember.is_complex(p):
            for tensors in (params, *state_and_grads):
                tensors[i] = ember.view_as_real(tensors[i])


def _check_lr(lr) -> None:
    """Refuses a learning rate that is negative, not finite, or a tensor of several elements."""
    if isinstance(lr, ember.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not isinstance(lr, (ember.Tensor, numbers.Real)):
        raise TypeError(f"lr: expected a number or a tensor of one element, got {lr!r}")
    if not 0.0 <= lr < math.inf:
        raise ValueError(f"Invalid learning rate: {lr}")


def _differentiable_params(params):
    """`params`, if a step written in ordinary ops can take them (it reads them as real numbers)."""
    for p in params:
        if p.is_complex():
            raise RuntimeError(f"differentiable=True takes real parameters, but one is {p.dtype}")
    return params


def _check_fused(fused, foreach, differentiable) -> None:
    """Refuses combinations of implementation flags that contradict each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def _hooked(step):
    """`step` with the registered hooks around it. Only the outermost class's step runs them, so that a subclass may
    call its parent's."""

    @functools.wraps(step)
    def wrapper(self, *args, **kwargs):
        self._opt_called = True  # learning-rate schedulers look at this
        pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (pre or post or _global_optimizer_pre_hooks or _global_optimizer_post_hooks):
            return step(self, *args, **kwargs)
        if type(self).step is not wrapper:
            return step(self, *args, **kwargs)
        all_args = (self, *args)
        for hook in chain(_global_optimizer_pre_hooks.values(), pre.values()):
            result = hook(self, all_args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}.")
            all_args, kwargs = result
        out = step(*all_args, **kwargs)
        for hook in chain(post.values(), _global_optimizer_post_hooks.values()):
            hook(self, all_args, kwargs)
        return out

    wrapper.hooked = True
    return wrapper


class Optimizer:
    """The base of all optimizers.

    Args:
        params: an iterable of tensors, of `(name, tensor)` pairs, or of dicts, each of which describes a group:
            `{"params": ..., "lr": 0.1}`. All groups have names or none has.
        defaults: the options of groups that do not give their own.

    Raises:
        TypeError: `params` is one tensor, a set, or holds something that is no tensor.
        ValueError: no parameters, a parameter twice, or a tensor that is not a leaf.

    Attributes:
        param_groups: a list of dicts with `params` and the options; change an option there and the next step uses it.
        state: parameter -> dict of its buffers.

    >>> import ember
    >>> w = ember.nn.Parameter(ember.ones(2))
    >>> optimizer = ember.optim.SGD([w], lr=0.5)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, 0.5]
    """

    _HOOKS = (
        "_optimizer_step_pre_hooks",
        "_optimizer_step_post_hooks",
        "_optimizer_state_dict_pre_hooks",
        "_optimizer_state_dict_post_hooks",
        "_optimizer_load_state_dict_pre_hooks",
        "_optimizer_load_state_dict_post_hooks",
    )
    # What older checkpoints may lack in their groups, and what it was then; subclasses list theirs.
    _GROUP_DEFAULTS: dict[str, Any] = {}

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, ember.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + ember.typename(params)
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        for name in self._HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._patch_step_function()

    def _patch_step_function(self) -> None:
        """Puts the hooks around this class's `step`, once a class."""
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = _hooked(cls.step)

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._make_hooks()
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for key, value in self._GROUP_DEFAULTS.items():
                group.setdefault(key, value)
        for buffers in self.state.values():  # old checkpoints counted steps with plain numbers
            if isinstance(buffers, dict) and isinstance(buffers.get("step"), (int, float)):
                buffers["step"] = ember.tensor(float(buffers["step"]), dtype=_get_scalar_dtype())

    def __repr__(self):
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"

    # ---- stepping

    def step(self, closure=None):
        """Updates the parameters once. `closure`, where given, computes the loss anew and returns it."""
        raise NotImplementedError

    def _gather(self, group, *names):
        """The group's parameters that have gradients, the gradients, and for each of `names` the list of that buffer,
        `_init_state` having filled in what was missing.

        Everything is looked up anew each step: users replace gradients, buffers and whole states, and a lookup costs
        less than finding out whether it was needed."""
        params = group["params"]
        grads = list(map(_grad_of, params))
        if not all(map(is_not, grads, repeat(None))):
            params = [p for p, g in zip(params, grads) if g is not None]
            grads = [g for g in grads if g is not None]
        if not names:
            return params, grads
        states = list(map(self.state.__getitem__, params))
        if any(map(not_, states)):
            for p, state in zip(params, states):
                if not state:
                    self._init_state(group, p, state)
        return params, grads, *[list(map(itemgetter(name), states)) for name in names]

    def _init_state(self, group, p, state) -> None:
        """Fills in the buffers of a parameter that is stepped for the first time."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Takes the gradients away, or with `set_to_none=False` fills them with zeros.

        >>> import ember
        >>> w = ember.nn.Parameter(ember.ones(2))
        >>> w.sum().backward()
        >>> ember.optim.SGD([w]).zero_grad()
        >>> w.grad is None
        True
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif (grad := p.grad) is not None:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group: a dict with `params` and any options that differ from the defaults.

        >>> import ember
        >>> a, b = ember.nn.Parameter(ember.ones(1)), ember.nn.Parameter(ember.ones(1))
        >>> optimizer = ember.optim.SGD([a], lr=0.1)
        >>> optimizer.add_param_group({"params": b, "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, ember.Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        names = [entry[0] for entry in params if isinstance(entry, tuple)]
        params = [entry[1] if isinstance(entry, tuple) else entry for entry in params]
        param_group["params"] = params
        if names:
            if len(names) != len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names

        for p in params:
            if not isinstance(p, ember.Tensor):
                raise TypeError("optimizer can only optimize Tensors, but one of the params is " + ember.typename(p))
            if not self.defaults.get("differentiable", None) and not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)

        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if named != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with names' if named else 'without names'} to the optimizer"
                )
        if not set(params).isdisjoint(chain.from_iterable(group["params"] for group in self.param_groups)):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # ---- checkpoints

    def state_dict(self) -> StateDict:
        """A dict of the optimizer: `state` (parameter's number -> buffers) and `param_groups`.

        Parameters are numbered in the order of the groups. Tensors are shared, not copied.

        >>> import ember
        >>> optimizer = ember.optim.SGD([ember.nn.Parameter(ember.ones(1))], lr=0.1)
        >>> sorted(optimizer.state_dict())
        ['param_groups', 'state']
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number: dict[int, int] = {}
        groups, start = [], 0
        for group in self.param_groups:
            for i, p in enumerate(group["params"], start):
                number.setdefault(id(p), i)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [number[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {number[id(k)] if isinstance(k, ember.Tensor) else k: v for k, v in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    @staticmethod
    def _process_value_according_to_param_policy(param, value, param_id, param_groups, key=None):
        """A loaded buffer in its parameter's dtype and on its device; counters of steps stay as they are."""
        if key == "step":
            group = next((g for g in param_groups if param_id in g["params"]), {})
            on_device = group.get("capturable", False) or group.get("fused", False)
            return value.to(dtype=ember.float32, device=param.device) if on_device else value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over what `state_dict()` gave, here or in PyTorch: buffers and options of groups.

        Groups are matched by position and size (ValueError where they differ), parameters by position in them; tensors
        are cast to their parameter's dtype. Make learning-rate schedulers first: they set learning rates when made.

        >>> import ember
        >>> make = lambda lr: ember.optim.SGD([ember.nn.Parameter(ember.ones(1))], lr=lr)
        >>> a, b = make(0.1), make(0.2)
        >>> a.load_state_dict(b.state_dict())
        >>> a.param_groups[0]["lr"]
        0.2
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        ours, theirs = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(ours) != len(theirs):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(ours, theirs)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        params = dict(
            zip(
                chain.from_iterable(group["params"] for group in theirs),
                chain.from_iterable(group["params"] for group in ours),
            )
        )
        saved_groups = state_dict["param_groups"]

        def cast(param, value, number, key=None):
            if isinstance(value, ember.Tensor):
                return self._process_value_according_to_param_policy(param, value, number, saved_groups, key)
            if isinstance(value, dict):
                return {k: cast(param, v, number, k) for k, v in value.items()}
            if isinstance(value, Iterable) and not isinstance(value, str):
                return type(value)(cast(param, v, number) for v in value)
            return value

        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = cast(params[key], value, key)
            else:
                state[key] = value
        for mine, new in zip(ours, theirs):
            new["params"] = mine["params"]
            if "param_names" in mine:
                new.setdefault("param_names", mine["param_names"])
        self.__setstate__({"state": state, "param_groups": theirs})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Registers `hook(optimizer, args, kwargs)` to run before a step; it may return new `(args, kwargs)`."""
        return _add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Registers `hook(optimizer, args, kwargs)` to run after a step."""
        return _add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Registers `hook(optimizer)` to run before `state_dict()` collects; `prepend` puts it first."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Registers `hook(optimizer, state_dict)`, which may change the dict or return another."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Registers `hook(optimizer, state_dict)`, which may return the dict to load instead."""
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Registers `hook(optimizer)` to run once `load_state_dict()` is done."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)
