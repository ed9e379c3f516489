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
