"""Functions that pickles name: how a parameter is made again. Checkpoints of PyTorch call them `torch._utils.…`."""

import ember


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """A Parameter over `data`; hooks do not travel."""
    return ember.nn.Parameter(data, requires_grad)


def _set_obj_state(obj, state):
    """Gives a pickled object its attributes back: a dict, or (dict, values of slots)."""
    own, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for name, value in {**(own or {}), **(slots or {})}.items():
        setattr(obj, name, value)
    return obj


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """A Parameter over `data` with the attributes `state`."""
    return _set_obj_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _bytes_of(tensor):
    """The bytes that a tensor's geometry reaches, from its first element on."""
    if tensor.numel() == 0 or tensor.is_meta:
        return b""
    reach = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride()))
    if any(s < 0 for s in tensor.stride()) or reach > 2 * tensor.numel():
        tensor, reach = tensor.contiguous(), tensor.numel()
    return bytes(memoryview(tensor.as_strided((reach,), (1,)).view(ember.uint8)))


def _rebuild_tensor_from_bytes(dtype, shape, stride, data, requires_grad):
    """A tensor from the bytes that `_bytes_of` gave."""
    if not data:
        return ember.empty(shape, dtype=dtype).requires_grad_(requires_grad)
    flat = ember._C._frombuffer(bytearray(data), dtype, -1, 0)
    reach = 1 + sum((n - 1) * s for n, s in zip(shape, stride))
    if reach == flat.numel() and all(s >= 0 for s in stride):
        return flat.as_strided(shape, stride).requires_grad_(requires_grad)
    return flat.view(shape).requires_grad_(requires_grad)


def _rebuild_from_type(dtype, shape, stride, data, requires_grad, kind, state):
    """The same for a subclass with attributes."""
    tensor = _rebuild_tensor_from_bytes(dtype, shape, stride, data, False)
    if kind is not ember.Tensor:
        tensor = ember.Tensor._make_subclass(kind, tensor, requires_grad)
    return _set_obj_state(tensor.requires_grad_(requires_grad), state)


def _rebuild_generator(state):
    """A random generator that continues from `state`."""
    return ember.Generator().set_state(state)


def _restore_state(obj, state):
    """The attributes of a loaded object: by its own __setstate__ when it has one."""
    if hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
    else:
        _set_obj_state(obj, state)


# ---- tensors in `.pt` files ----

_STORAGE_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}


class _StorageClass:
    """Stands for `torch.FloatStorage` and its like while a pickle is written."""

    def __init__(self, dtype):
        wanted = str(dtype).split(".")[-1]
        self.name = next((n for n, d in _STORAGE_DTYPES.items() if d == wanted), "UntypedStorage")


def _storage_dtype(name):
    """The dtype that a storage class of PyTorch holds."""
    return getattr(ember, _STORAGE_DTYPES[name])


class _StorageOf:
    """A tensor's whole storage on its way into a file."""

    def __init__(self, tensor):
        self.whole = ember._C._whole_storage(tensor)
        self.identity, self.dtype = tensor._storage()[2], tensor.dtype


def _flat(raw):
    return ember._C._frombuffer(bytearray(raw), ember.uint8, -1, 0) if raw else ember.empty(0, dtype=ember.uint8)


def _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None):
    """A tensor over a storage that a file holds."""
    flat = storage.data.view(storage.dtype) if storage.data.numel() else ember.empty(0, dtype=storage.dtype)
    tensor = flat.as_strided(tuple(size), tuple(stride), storage_offset).detach()
    return tensor.requires_grad_(requires_grad)


def _rebuild_tensor(storage, storage_offset, size, stride):
    """The same without gradient's flag, as older files name it."""
    return _rebuild_tensor_v2(storage, storage_offset, size, stride, False, None)


def _reduce_for_file(tensor):
    """How a `.pt` file describes a tensor: its storage by reference, its geometry, and for a Parameter what it is."""
    from collections import OrderedDict

    parameter = isinstance(tensor, ember.nn.Parameter)
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError("save: a non-leaf tensor that requires grad cannot be written; detach() it first")
    data = tensor.detach()
    args = (
        _StorageOf(data),
        data.storage_offset(),
        tuple(data.shape),
        tuple(data.stride()),
        tensor.requires_grad and not parameter,
        OrderedDict(),
    )
    if not parameter:
        return _rebuild_tensor_v2, args
    plain = ember.Tensor._make_subclass(ember.Tensor, data)
    state = {k: v for k, v in tensor.__dict__.items()}
    if state:
        return _rebuild_parameter_with_state, (plain, tensor.requires_grad, OrderedDict(), state)
    return _rebuild_parameter, (plain, tensor.requires_grad, OrderedDict())
