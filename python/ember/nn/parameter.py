"""Parameter and Buffer, tensors that register themselves when set on a module, and their kinds without a shape yet."""

from collections import OrderedDict

import ember
from ember import _C

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


class _ParameterMeta(type(ember.Tensor)):
    # A subclass of Tensor that is used as a parameter stays of its class and carries `_is_param`.
    def __instancecheck__(cls, instance):
        return super().__instancecheck__(instance) or (
            cls is Parameter and isinstance(instance, ember.Tensor) and getattr(instance, "_is_param", False)
        )


class _BufferMeta(type(ember.Tensor)):
    def __instancecheck__(cls, instance):
        return super().__instancecheck__(instance) or (
            cls is Buffer and isinstance(instance, ember.Tensor) and getattr(instance, "_is_buffer", False)
        )


def _plain(data):
    return type(data) is ember.Tensor or type(data) is Parameter


class Parameter(ember.Tensor, metaclass=_ParameterMeta):
    """A tensor that a module lists among its parameters. `data` of any shape; it is not copied.

    >>> ember.nn.Parameter(ember.zeros(2)).requires_grad
    True
    """

    __torch_function__ = _C._disabled_torch_function_impl

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = ember.empty(0)
        if _plain(data):
            return ember.Tensor._make_subclass(cls, data, requires_grad)
        t = data.detach().requires_grad_(requires_grad)
        if type(t) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns "
                f"an instance of the same type, but return type {type(t).__name__} was found instead."
            )
        t._is_param = True
        return t

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(memory_format=ember.preserve_format), self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents=None):
        return "Parameter containing:\n" + ember.Tensor.__repr__(self, tensor_contents=tensor_contents)

    def __reduce_ex__(self, proto):
        from ember._utils import _rebuild_parameter, _rebuild_parameter_with_state

        state = dict(self.__dict__)
        hooks = OrderedDict()  # pickled for the shape of the call alone; hooks do not travel
        if not state:
            return _rebuild_parameter, (self.data, self.requires_grad, hooks)
        return _rebuild_parameter_with_state, (self.data, self.requires_grad, hooks, state)


class Buffer(ember.Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the module it is set on; `persistent=False` keeps it out of the state dict.

    >>> module = ember.nn.Module(); module.mean = ember.nn.Buffer(ember.zeros(3)); list(module.state_dict())
    ['mean']
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = ember.empty(0)
        t = data.detach().requires_grad_(data.requires_grad)
        t.persistent = persistent
        t._is_buffer = True
        return t

    __torch_function__ = _C._disabled_torch_function_impl


_ALLOWED = (
    "__hash__",
    "size",
    "copy_",
    "is_complex",
    "is_floating_point",
    "half",
    "float",
    "double",
    "char",
    "short",
    "int",
    "long",
    "cuda",
    "cpu",
    "to",
    "get_device",
    "_has_compatible_shallow_copy_type",
    "is_leaf",
)


class UninitializedTensorMixin:
    """What tensors without a shape share: they can be moved and cast, and everything else says what is missing."""

    def materialize(self, shape, device=None, dtype=None):
        """Gives the tensor its shape and memory (values not set) and its ordinary class."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = ember.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens "
            "in `load_state_dict` when trying to load an uninitialized parameter into an initialized "
            "one. Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize "
            "the parameters before calling `module.share_memory()`."
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, proto):
        return type(self), (self.requires_grad,)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in _ALLOWED or name == "__get__" or name == "__set__":
            return super().__torch_function__(func, types, args, kwargs or {})
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you are using "
            f"a `LazyModule` or explicitly manipulating `torch.nn.parameter.{cls.__name__}` objects. When "
            "using LazyModules Call `forward` with a dummy batch to initialize the parameters before "
            "calling torch functions"
        )


def is_lazy(param):
    """Has this parameter or buffer no shape yet?"""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is set by the first call of its lazy module.

    >>> p = ember.nn.UninitializedParameter(); p.materialize((2, 3)); tuple(p.shape)
    (2, 3)
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return ember.Tensor._make_subclass(cls, ember.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, ember.Tensor):
    """A buffer whose shape is set by the first call of its lazy module.

    >>> b = ember.nn.UninitializedBuffer(); b.materialize((4,)); tuple(b.shape)
    (4,)
    """

    cls_to_become = ember.Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        t = ember.Tensor._make_subclass(cls, ember.empty(0, device=device, dtype=dtype), requires_grad)
        t.persistent = persistent
        t._is_buffer = True
        return t
