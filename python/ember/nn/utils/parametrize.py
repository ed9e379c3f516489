"""Parametrizations: a parameter that is computed from others, with the module still reading it under its own name.

The module gets a class of its own, on which the parameter is a property; the tensors it is computed from are in
`module.parametrizations.<name>`, a list of modules run one after the other.
"""

import contextlib
import copy

import ember

from ..modules.container import ModuleDict, ModuleList
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache = {}


@contextlib.contextmanager
def cached():
    """Within: a parametrized tensor is computed once and kept."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _register_parameter_or_buffer(module, name, value):
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and what it is computed from: `original`, or `original0`, `original1`..."""

    def __init__(self, modules, original, unsafe=False):
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        wanted = original
        with ember.no_grad():
            new = original
            for module in reversed(self):
                inverse = getattr(module, "right_inverse", None)
                new = inverse(new) if inverse is not None else new
        if not isinstance(new, ember.Tensor) and not isinstance(new, (tuple, list)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, ember.Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if not self.unsafe and self.is_tensor and original.dtype != new.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
            )
        for name, tensor in zip(self._original_names(), [new] if self.is_tensor else new):
            if not isinstance(tensor, ember.Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element of type {type(tensor).__name__}."
                )
            same = self.is_tensor and isinstance(wanted, Parameter)
            if same:  # the parameter object stays, so that optimizers keep hold of it
                with ember.no_grad():
                    wanted.data = tensor.data
                tensor = wanted
            elif isinstance(wanted, Parameter):
                tensor = Parameter(tensor, requires_grad=wanted.requires_grad)
            _register_parameter_or_buffer(self, name, tensor)

    def _original_names(self):
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def right_inverse(self, value):
        """Sets the originals so that the tensor becomes `value`, as far as the parametrizations can."""
        with ember.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            for name, tensor in zip(self._original_names(), [value] if self.is_tensor else value):
                original = getattr(self, name)
                if original.dtype != tensor.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {tensor.dtype} while `{name}` "
                        f"has dtype {original.dtype}"
                    )
                original.data = tensor.to(original.device)

    def forward(self):
        originals = [getattr(self, name) for name in self._original_names()]
        modules = iter(self)
        value = next(modules)(*originals)
        for module in modules:
            value = module(value)
        return value


def _inject_new_class(module):
    cls = type(module)

    def getstate(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    def deepcopy(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        replica = self.__new__(type(self))
        memo[id(self)] = replica
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
        return replica

    body = {"__getstate__": getstate}
    if not hasattr(cls, "__deepcopy__"):
        body["__deepcopy__"] = deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), body)


def _inject_property(module, name):
    def get(self):
        if not _cache_depth:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def set(self, value):
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, set))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """From now on `module.<tensor_name>` is `parametrization(original)`; several are applied in order.

    The check that shape and dtype stay is left out with `unsafe`. Returns the module.

    >>> class Symmetric(ember.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> m = register_parametrization(ember.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((m.weight == m.weight.T).all())
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        chain = module.parametrizations[tensor_name]
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            _check_same(after, before, tensor_name, parametrization)
        if hasattr(parametrization, "right_inverse"):
            with ember.no_grad():
                wanted = getattr(module, tensor_name)
                chain.append(parametrization)
                inverted = parametrization.right_inverse(wanted)
                for earlier in reversed(list(chain)[:-1]):
                    inverse = getattr(earlier, "right_inverse", None)
                    inverted = inverse(inverted) if inverse is not None else inverted
                for name, tensor in zip(chain._original_names(), [inverted] if chain.is_tensor else inverted):
                    getattr(chain, name).data = tensor.data
        else:
            chain.append(parametrization)
        chain.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        chain = ParametrizationList([parametrization], original, unsafe=unsafe)
        if not unsafe:
            _check_same(chain(), original, tensor_name, parametrization)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = chain
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_same(after, before, tensor_name, parametrization):
    """A parametrization is a map from a tensor to one of its kind."""
    if not isinstance(after, ember.Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__}.")
    if after.dtype != before.dtype:
        raise ValueError(
            "Registering a parametrization may not change the dtype of the tensor, unless `unsafe` flag is enabled.\n"
            f"module.{tensor_name}.dtype: {before.dtype}\nparametrization(module.{tensor_name}).dtype: {after.dtype}"
        )
    if after.shape != before.shape:
        raise ValueError(
            "Registering a parametrization may not change the shape of the tensor, unless `unsafe` flag is enabled.\n"
            f"module.{tensor_name}.shape: {before.shape}\nparametrization(module.{tensor_name}).shape: {after.shape}"
        )


def is_parametrized(module, tensor_name=None):
    """Has the module a parametrization (of that tensor)?"""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Makes the tensor an ordinary parameter again: with its computed value, or (False) with the original one."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain = module.parametrizations[tensor_name]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with ember.no_grad():
                original.data = getattr(module, tensor_name).data
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in "
            "terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register_parameter_or_buffer(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """The module's class, not counting the one that parametrizations put on it."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Puts the parametrizations of one module, with their tensors, on another; returns that."""
    if not is_parametrized(from_module):
        return to_module
    for name in [tensor_name] if tensor_name is not None else list(from_module.parametrizations):
        if not hasattr(to_module, name):
            setattr(to_module, name, copy.deepcopy(getattr(from_module, name)))
        for parametrization in from_module.parametrizations[name]:
            register_parametrization(to_module, name, parametrization)
        source, target = from_module.parametrizations[name], to_module.parametrizations[name]
        for original in target._original_names():
            setattr(target, original, getattr(source, original))
    return to_module
