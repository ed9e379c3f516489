# From a list of samples to a batch: tensors are stacked, containers are kept and collated leaf by leaf.
#
# `default_collate_fn_map` says what is done with which leaf; programs add their own types to it or hand `collate` a
# map of theirs. Containers are copied shallowly and refilled, so that attributes of subclasses survive.
"""default_collate and default_convert."""

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence

import numpy as np

import ember

_NO_TENSOR = "SaUO"  # kinds of NumPy dtypes that no tensor holds: bytes, text, objects

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _rebuilt_mapping(model, values: dict):
    """A mapping of `model`'s type with these values; a plain dict where the type cannot be made that way."""
    try:
        if isinstance(model, MutableMapping):
            clone = copy.copy(model)
            clone.update(values)
            return clone
        return type(model)(values)
    except TypeError:
        return values


def _rebuilt_sequence(model, values: list):
    """A sequence of `model`'s type with these values; a plain list where the type cannot be made that way."""
    try:
        if isinstance(model, MutableSequence):
            clone = copy.copy(model)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(model)(values)
    except TypeError:
        return values


def default_convert(data):
    """`data` with NumPy arrays and scalars turned into tensors, in containers too; anything else as it is.

    >>> import numpy as np
    >>> default_convert({"x": np.array([1, 2])})
    {'x': tensor([1, 2])}
    """
    if isinstance(data, ember.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in _NO_TENSOR else ember.as_tensor(data)
    if isinstance(data, np.generic) and not isinstance(data, (str, bytes)):
        return ember.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt_sequence(data, [default_convert(d) for d in data])
    return data


def collate(batch, *, collate_fn_map: dict[type | tuple[type, ...], Callable] | None = None):
    """Collates by a map from a type (or tuple of types) to a function of `(batch, *, collate_fn_map)`.

    The first sample's exact type is looked up, then the first entry it is an instance of; containers that are not in
    the map are collated leaf by leaf. Raises TypeError for anything else, RuntimeError for sequences of unequal size.

    >>> collate([1, 2], collate_fn_map={int: lambda batch, collate_fn_map: sum(batch)})
    3
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for types, function in collate_fn_map.items():
            if isinstance(first, types):
                return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        values = {key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first}
        return _rebuilt_mapping(first, values)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _rebuilt_sequence(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Tensors stacked along a new first dimension."""
    if batch[0].layout is not ember.strided:
        raise RuntimeError(
            "Batches of sparse tensors are not currently supported by the default collate_fn; "
            "please provide a custom collate_fn to handle them appropriately."
        )
    return ember.stack(batch, 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    """NumPy arrays as tensors, stacked."""
    if batch[0].dtype.kind in _NO_TENSOR:
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([ember.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    """NumPy scalars as a tensor of their dtype."""
    return ember.as_tensor(np.asarray(batch))


def collate_float_fn(batch, *, collate_fn_map=None):
    """Floats as a tensor of float64, which loses nothing."""
    return ember.tensor(batch, dtype=ember.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Integers (or bools) as a tensor."""
    return ember.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    """Strings and bytes as they are."""
    return batch


default_collate_fn_map: dict[type | tuple[type, ...], Callable] = {
    ember.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch):
    """A batch from a list of samples: tensors, arrays and numbers become tensors with one more dimension in front,
    strings a list, and containers are kept, with batches for leaves (tuples become lists).

    Raises TypeError for a sample it knows nothing of, RuntimeError for samples of unequal sizes.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
