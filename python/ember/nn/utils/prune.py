"""Pruning: a parameter times a mask of zeros and ones, recomputed before each call.

`<name>_orig` is the parameter, `<name>_mask` the buffer; methods applied one after the other become a container.
"""

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable

import ember

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def _validate_pruning_amount_init(amount):
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, numbers.Integral) and amount < 0) or (
        not isinstance(amount, numbers.Integral) and not 0.0 <= float(amount) <= 1.0
    ):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _compute_nparams_toprune(amount, tensor_size):
    """The number of entries: `amount` itself, or that fraction of them."""
    return amount if isinstance(amount, numbers.Integral) else round(amount * tensor_size)


def _validate_pruning_amount(amount, tensor_size):
    if isinstance(amount, numbers.Integral) and amount > tensor_size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}")


def _zero_smallest(mask, scores, count):
    """The mask with zeros at the `count` smallest scores."""
    mask = mask.clone(memory_format=ember.contiguous_format)
    if count:
        mask.view(-1)[ember.topk(scores.reshape(-1), k=count, largest=False).indices] = 0
    return mask


def _slices_mask(t, dim, kept):
    """Ones on the slices `kept` along `dim`."""
    mask = ember.zeros_like(t)
    where = [slice(None)] * t.dim()
    where[dim] = kept
    mask[tuple(where)] = 1
    return mask


class BasePruningMethod(ABC):
    """A way of choosing what to prune: subclasses give `compute_mask` and PRUNING_TYPE, which is "unstructured",
    "structured" or "global"."""

    _tensor_name: str
    PRUNING_TYPE = "unstructured"

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """The mask for tensor `t`, which leaves out what `default_mask` does and more."""

    def apply_mask(self, module):
        """The parameter times its mask."""
        mask, orig = getattr(module, self._tensor_name + "_mask"), getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=orig.dtype) * orig

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prunes `module.<name>`: swaps the parameter for `_orig` and `_mask` and registers the hook."""
        earlier = [
            (key, hook)
            for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]
        method = cls(*args, **kwargs)
        method._tensor_name = name
        orig = getattr(module, name) if not earlier else getattr(module, name + "_orig")
        if importance_scores is not None and importance_scores.shape != orig.shape:
            raise AssertionError(f"importance_scores should have the same shape as parameter {name} of {module}")
        scores = getattr(module, name) if importance_scores is None else importance_scores
        if earlier:
            key, previous = earlier[0]
            del module._forward_pre_hooks[key]
            container = previous if isinstance(previous, PruningContainer) else PruningContainer(previous)
            container.add_pruning_method(method)
            default_mask = getattr(module, name + "_mask").detach().clone(memory_format=ember.contiguous_format)
            method = container
        else:
            default_mask = ember.ones_like(orig)
            module.register_parameter(name + "_orig", orig)
            del module._parameters[name]
        try:
            mask = method.compute_mask(scores, default_mask=default_mask)
        except Exception:
            if not earlier:
                delattr(module, name + "_orig")
                module.register_parameter(name, orig)
            raise
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """A pruned copy of the tensor `t`."""
        scores = t if importance_scores is None else importance_scores
        return t * self.compute_mask(scores, ember.ones_like(t) if default_mask is None else default_mask)

    def remove(self, module):
        """Makes the pruning lasting: the parameter is the pruned one."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        orig = module._parameters[name + "_orig"]
        orig.data = weight.data
        del module._parameters[name + "_orig"], module._buffers[name + "_mask"]
        setattr(module, name, orig)


class PruningContainer(BasePruningMethod):
    """Several methods on one tensor; each prunes what the ones before left."""

    def __init__(self, *args):
        self._pruning_methods = ()
        if not isinstance(args, Iterable) or (args and not isinstance(args[0], BasePruningMethod)):
            raise TypeError("PruningContainer expects pruning methods")
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method):
        """Adds a method for the same tensor."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx):
        return self._pruning_methods[idx]

    def compute_mask(self, t, default_mask):
        """The last method's mask over what is left, combined with the mask so far."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            left = mask == 1
        elif method.PRUNING_TYPE == "structured":
            axis = method.dim % t.dim()
            others = [d for d in range(t.dim()) if d != axis]
            left = [slice(None)] * t.dim()
            left[axis] = mask.sum(dim=others) != 0
            left = tuple(left)
        elif method.PRUNING_TYPE == "global":
            left = tuple([slice(None)] * t.dim())
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        combined = mask.clone()
        combined[left] = method.compute_mask(t[left], default_mask=mask[left]).to(dtype=mask.dtype)
        return combined


class Identity(BasePruningMethod):
    """Prunes nothing; gives the parameter a mask of ones."""

    def compute_mask(self, t, default_mask):
        return default_mask


class _Amount(BasePruningMethod):
    def __init__(self, amount):
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, size):
        _validate_pruning_amount(self.amount, size)
        return _compute_nparams_toprune(self.amount, size)


class RandomUnstructured(_Amount):
    """Prunes entries at random."""

    def compute_mask(self, t, default_mask):
        count = self._count(t.nelement())
        return _zero_smallest(default_mask, -ember.rand_like(t), count)


class L1Unstructured(_Amount):
    """Prunes the entries of smallest magnitude."""

    def compute_mask(self, t, default_mask):
        return _zero_smallest(default_mask, t.abs(), self._count(t.nelement()))


class _Structured(_Amount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1):
        super().__init__(amount)
        self.dim = dim

    def _kept(self, scores, size):
        """The indices of the slices that stay."""
        return ember.topk(scores, k=size - self._count(size), largest=True).indices

    def compute_mask(self, t, default_mask):
        if t.dim() < 2:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{t.shape} with {t.dim()} dims"
            )
        size = t.shape[self.dim]
        if self._count(size) == 0:
            return default_mask
        mask = _slices_mask(t, self.dim, self._kept(self._scores(t), size))
        return mask * default_mask.to(dtype=mask.dtype)


class RandomStructured(_Structured):
    """Prunes whole slices along `dim` at random."""

    def _scores(self, t):
        return ember.rand(t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the slices along `dim` of smallest n-norm."""

    def __init__(self, amount, n, dim=-1):
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t):
        axis = self.dim % t.dim()
        return ember.norm(t, p=self.n, dim=[d for d in range(t.dim()) if d != axis])


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module, name):
    """Gives `module.<name>` a mask of ones; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prunes `amount` (a number or a fraction) of the entries at random; returns the module."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prunes the `amount` entries of smallest magnitude; returns the module.

    >>> m = ember.nn.utils.prune.l1_unstructured(ember.nn.Linear(4, 2), "weight", 3); int((m.weight == 0).sum())
    3
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prunes `amount` slices along `dim` at random; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prunes the `amount` slices along `dim` of smallest n-norm; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prunes several (module, name) together, as if their entries were one tensor."""
    parameters = list(parameters)
    if not issubclass(pruning_method, BasePruningMethod) or pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE is supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {getattr(pruning_method, 'PRUNING_TYPE', None)}"
        )
    given = importance_scores or {}
    scores = [given.get((module, name), getattr(module, name)) for module, name in parameters]
    flat = ember.cat([s.reshape(-1) for s in scores])
    masks = [getattr(m, n + "_mask", ember.ones_like(getattr(m, n))) for m, n in parameters]
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container = PruningContainer(method)
    mask = container.compute_mask(flat, ember.cat([m.reshape(-1) for m in masks]))
    start = 0
    for module, name in parameters:
        param = getattr(module, name)
        count = param.numel()
        custom_from_mask(module, name, mask[start : start + count].view_as(param))
        start += count


def custom_from_mask(module, name, mask):
    """Prunes by a mask of zeros and ones; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module, name):
    """Makes the pruning of `module.<name>` lasting; returns the module."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module):
    """Is anything in the module pruned?"""
    return any(isinstance(hook, BasePruningMethod) for m in module.modules() for hook in m._forward_pre_hooks.values())
