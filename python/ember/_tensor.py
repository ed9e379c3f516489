# The methods of Tensor that are written in Python, set on the C type when the package is imported, and the legacy
# constructors. Nothing here is hot; what is hot lives in src/python.
"""Tensor's methods in Python."""

from ember import _C

Tensor = _C.Tensor

_LEGACY = {
    "FloatTensor": _C.float32,
    "DoubleTensor": _C.float64,
    "HalfTensor": _C.float16,
    "BFloat16Tensor": _C.bfloat16,
    "ByteTensor": _C.uint8,
    "CharTensor": _C.int8,
    "ShortTensor": _C.int16,
    "IntTensor": _C.int32,
    "LongTensor": _C.int64,
    "BoolTensor": _C.bool,
}


def _legacy_tensor(dtype, args, kwargs):
    """`Tensor(2, 3)` has sizes, `Tensor([2, 3])` has values."""
    device = kwargs.pop("device", None)
    if kwargs:
        raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
    dtype = dtype or _C.get_default_dtype()
    if not args:
        return _C.ops.empty(0, dtype=dtype, device=device)
    if len(args) == 1 and not isinstance(args[0], (int, _C.Size)):
        data = args[0]
        if isinstance(data, Tensor):
            if data.dtype != dtype:
                raise TypeError(f"expected {dtype} (got {data.dtype})")
            return data.detach()
        return _C.tensor(data, dtype=dtype, device=device)
    sizes = args[0] if isinstance(args[0], _C.Size) else args
    return _C.ops.empty(sizes, dtype=dtype, device=device)


def _legacy_new(cls, *args, **kwargs):
    requires_grad = kwargs.pop("requires_grad", False)
    made = _legacy_tensor(None, args, kwargs)
    if cls is Tensor:
        return made.requires_grad_() if requires_grad else made
    return Tensor._make_subclass(cls, made, requires_grad)


class _LegacyType(type):
    def __instancecheck__(cls, value):
        return isinstance(value, Tensor) and value.dtype == cls.dtype and value.device.type == "cpu"

    def __repr__(cls):
        return f"<class 'torch.{cls.__name__}'>"


def _legacy_type(name, dtype):
    def new(cls, *args, **kwargs):
        return _legacy_tensor(dtype, args, kwargs)

    return _LegacyType(name, (), {"__new__": new, "dtype": dtype, "__module__": "ember"})


legacy_types = {name: _legacy_type(name, dtype) for name, dtype in _LEGACY.items()}


def _convert(value, cls):
    if cls is Tensor:
        return value
    if isinstance(value, Tensor) and not isinstance(value, cls):
        return value.as_subclass(cls)
    if isinstance(value, (tuple, list)):
        items = (_convert(item, cls) for item in value)
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return type(value)(items)
    return value


def _torch_function(cls, func, types, args=(), kwargs=None):
    """What a subclass that does not override does: the plain call, its tensors given the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with _C.DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
        return _convert(result, cls)


def _overrides(*operands):
    return any(type(o) is not Tensor and _C._has_torch_function(o) for o in operands)


def _repr(self, *, tensor_contents=None):
    from ember._tensor_str import tensor_repr

    return tensor_repr(self, tensor_contents)


def _format(self, spec):
    if self.dim() == 0 and not self.is_meta and type(self) is Tensor:
        return self.item().__format__(spec)
    return object.__format__(self, spec)


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage."
        )
    from copy import deepcopy

    with _C.no_grad():
        # Tensors that share a storage share it again afterwards.
        key = ("storage", self._storage()[2])
        flat = memo.get(key)
        if flat is None:
            whole = _C._whole_storage(self)
            flat = memo[key] = whole.clone()
            memo[id(flat)] = flat  # keeps it alive as long as the memo
        copy = _C._over_storage(flat, self)
        if type(self) is not Tensor:
            copy = Tensor._make_subclass(type(self), copy)
        copy.requires_grad_(self.requires_grad)
        memo[id(self)] = copy
        if self.grad is not None:
            copy.grad = deepcopy(self.grad, memo)
        if self.__dict__:
            copy.__dict__.update(deepcopy(self.__dict__, memo))
    return copy


def _reduce_ex(self, protocol):
    from ember import _utils

    if self.requires_grad and not self.is_leaf:
        raise RuntimeError(
            "Cannot serialize a non-leaf tensor that requires grad; detach() it first (the history cannot be written)"
        )
    plain = (
        _utils._rebuild_tensor_from_bytes,
        (
            self.dtype,
            tuple(self.shape),
            tuple(self.stride()),
            _utils._bytes_of(self.detach()),
            self.requires_grad,
        ),
    )
    if type(self) is Tensor and not self.__dict__:
        return plain
    return _utils._rebuild_from_type, (*plain, type(self), dict(self.__dict__))


def _numpy(self, *, force=False):
    """The tensor as an array over the same memory; `force=True` detaches, moves and copies where that is needed.

    RuntimeError for a tensor that requires gradient, TypeError for bfloat16, which NumPy lacks.

    >>> ember.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    if force:
        self = self.detach().cpu()
        if self.is_conj() if hasattr(self, "is_conj") else False:
            self = self.resolve_conj()
    if self.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if self.device.type != "cpu":
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )
    if self.dtype is _C.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    import numpy

    return numpy.asarray(memoryview(self if type(self) is Tensor else self.detach()))


def _array(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested: the dtype differs")
        return array.astype(dtype)
    return array.copy() if copy else array


def _array_wrap(self, array, context=None, return_scalar=False):
    if array.dtype == bool:
        array = array.astype("uint8")
    return _C.from_numpy(array)


def _dlpack(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule over the tensor's memory."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return _C.to_dlpack(self.clone() if copy else self)


def _dlpack_device(self):
    if self.device.type != "cpu":
        raise ValueError(f"Unknown device type {self.device.type} for Dlpack")
    return (1, 0)


def _backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Sums the gradient of this tensor with respect to the graph's leaves into their `.grad`.

    `gradient` is needed unless the tensor has one element; `inputs` names the tensors to reach instead of all leaves.

    >>> x = ember.ones(2, requires_grad=True); (x * x).sum().backward(); x.grad
    tensor([2., 2.])
    """
    if _overrides(self):
        handler = type(self).__torch_function__
        kwargs = {"gradient": gradient, "retain_graph": retain_graph, "create_graph": create_graph, "inputs": inputs}
        return handler(Tensor.backward, (type(self),), (self,), kwargs)
    if inputs is None and gradient is None:
        retain = create_graph if retain_graph is None else retain_graph
        _C._run_backward((self,), (None,), retain, create_graph, (), True, True)
        return None
    from ember.autograd import backward

    return backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def _register_hook(self, hook):
    """Calls `hook(grad)` whenever a gradient for this tensor is computed; a tensor that it returns replaces it.

    RuntimeError unless the tensor requires gradient. Returns a handle with `remove()`.

    >>> x = ember.ones(1, requires_grad=True); handle = x.register_hook(lambda g: 2 * g)
    >>> x.sum().backward(); x.grad
    tensor([2.])
    """
    from ember.utils.hooks import RemovableHandle

    hooks = self._hooks()
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _reversed(self):
    return self if self.dim() == 0 else self.flip(0)


def _type(self, dtype=None, non_blocking=False, **kwargs):
    """Without arguments the name of the type ("torch.FloatTensor"), else the tensor converted to a type or dtype."""
    if dtype is None:
        return _C._legacy_type_name(self.dtype)
    if isinstance(dtype, str):
        short = dtype.removeprefix("torch.")
        if short == "Tensor":
            return self.to(_C.get_default_dtype())
        if short not in _LEGACY:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = _LEGACY[short]
    elif isinstance(dtype, _LegacyType):
        dtype = dtype.dtype
    elif dtype is Tensor:
        dtype = _C.get_default_dtype()
    return self.to(dtype)


def _new(self, *args, **kwargs):
    return _legacy_tensor(self.dtype, args, kwargs)


def _new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A copy of `data` with this tensor's dtype and device unless others are given."""
    made = data.detach().clone() if isinstance(data, Tensor) else _C.tensor(data, dtype=dtype or self.dtype)
    return made.to(device=device or self.device, dtype=dtype or self.dtype).requires_grad_(requires_grad)


def _sizes(size):
    return size[0] if len(size) == 1 and not isinstance(size[0], int) else size


def _new_like(function, doc):
    def method(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **named):
        size = named.pop("size", None) if "size" in named else _sizes(size)
        make = getattr(_C.ops, function)
        return make(size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    method.__name__ = method.__qualname__ = f"new_{function}"
    method.__doc__ = doc
    return method


def _new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A tensor of `size` filled with a number, with this tensor's dtype and device unless others are given."""
    return _C.ops.full(
        size, fill_value, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


def _where(self, condition, other):
    """The tensor's elements where `condition` holds, those of `other` elsewhere.

    >>> x = ember.tensor([5, 6]); x.where(x > 5, 0)
    tensor([0, 6])
    """
    return _C.ops.where(condition, self, other)


def _apply_(self, function):
    """Replaces each element by `function(element)`, in place. Slow; for tests and odd jobs."""
    if self.requires_grad:
        raise TypeError("apply_ is only implemented on CPU tensors that do not require grad")
    flat = [function(v) for v in self.reshape(-1).tolist()]
    return self.copy_(_C.tensor(flat, dtype=self.dtype).reshape(self.shape)) if flat else self


def _map_(self, other, function):
    """Replaces each element by `function(own, other's)`, in place."""
    own, others = self.reshape(-1).tolist(), other.expand_as(self).reshape(-1).tolist()
    return self.copy_(_C.tensor([function(a, b) for a, b in zip(own, others)], dtype=self.dtype).reshape(self.shape))


def _untyped_storage(self):
    """The memory behind the tensor."""
    from ember.storage import UntypedStorage

    return UntypedStorage(self)


def _storage(self):
    """The memory behind the tensor, as elements."""
    from ember.storage import TypedStorage

    return TypedStorage(self)


def _pin_memory(self, device=None):
    return self


def _share_memory_(self):
    """Moves the memory to where other processes can map it; returns the tensor."""
    from ember.multiprocessing import share_memory

    return share_memory(self)


def _as_subclass(self, cls):
    """The same data as an instance of `cls`, a subclass of Tensor."""
    return _C._as_subclass(self, cls)


def _setstate(self, state):
    self.__dict__.update(state if isinstance(state, dict) else {})


def _is_shared(self):
    from ember.multiprocessing import is_shared

    return is_shared(self)


def install():
    """Sets the methods on the C type."""
    methods = {
        "__torch_function__": classmethod(_torch_function),
        "__repr__": _repr,
        "__format__": _format,
        "__deepcopy__": _deepcopy,
        "__reduce_ex__": _reduce_ex,
        "__setstate__": _setstate,
        "__array__": _array,
        "__array_wrap__": _array_wrap,
        "__array_priority__": 1000,
        "__dlpack__": _dlpack,
        "__dlpack_device__": _dlpack_device,
        "__reversed__": _reversed,
        "numpy": _numpy,
        "backward": _backward,
        "register_hook": _register_hook,
        "type": _type,
        "new": _new,
        "new_tensor": _new_tensor,
        "where": _where,
        "apply_": _apply_,
        "map_": _map_,
        "untyped_storage": _untyped_storage,
        "storage": _storage,
        "pin_memory": _pin_memory,
        "is_pinned": lambda self, device=None: False,
        "share_memory_": _share_memory_,
        "is_shared": _is_shared,
        "as_subclass": _as_subclass,
        "_make_subclass": staticmethod(_C._make_subclass),
    }
    for name, method in methods.items():
        setattr(Tensor, name, method)
    made = {
        "new_empty": _new_like("empty", "An uninitialised tensor of this one's dtype and device."),
        "new_zeros": _new_like("zeros", "Zeros of this one's dtype and device."),
        "new_ones": _new_like("ones", "Ones of this one's dtype and device."),
        "new_full": _new_full,
    }
    for name, method in made.items():
        if not hasattr(Tensor, name):
            setattr(Tensor, name, method)
