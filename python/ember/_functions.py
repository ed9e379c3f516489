# Functions of the top level that are Python: predicates, settings, variadic fronts of ops that take lists, and names
# that PyTorch has twice. What computes is an op.
"""The top level's functions in Python."""

from ember import _C
from ember._C import Tensor

__all__ = [
    "_assert",
    "_check",
    "asarray",
    "are_deterministic_algorithms_enabled",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "compiled_with_cxx11_abi",
    "einsum",
    "frombuffer",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "is_complex",
    "is_floating_point",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_storage",
    "is_tensor",
    "is_warn_always_enabled",
    "meshgrid",
    "nonzero",
    "numel",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_flush_denormal",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "tensordot",
    "typename",
    "unique",
    "unique_consecutive",
    "use_deterministic_algorithms",
]


def is_tensor(obj):
    """Is it a Tensor, or of a subclass?

    >>> ember.is_tensor(ember.ones(1))
    True
    """
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Is it a storage object?"""
    from ember import storage

    return isinstance(obj, (storage.UntypedStorage, storage.TypedStorage))


def is_floating_point(input):
    """Is the tensor's dtype a floating one?"""
    return input.is_floating_point()


def is_complex(input):
    """Is the tensor's dtype complex?"""
    return input.is_complex()


def is_signed(input):
    """Can the tensor's dtype hold negative numbers?"""
    return input.is_signed()


def is_inference(input):
    """Was the tensor made in inference mode?"""
    return input.is_inference()


def is_same_size(input, other):
    """Have both tensors the same shape?"""
    return input.is_same_size(other)


def is_nonzero(input):
    """Is the one element not zero? RuntimeError when there is not exactly one."""
    if input.numel() != 1:
        what = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
    return bool(input)


def _assert(condition, message):
    """AssertionError with `message` unless `condition` holds."""
    assert condition, message


def _check(cond, message=None):
    """RuntimeError with what `message()` says unless `cond` holds."""
    if not cond:
        raise RuntimeError("Expected cond to be True" if message is None else message())


def numel(input):
    """The number of elements.

    >>> ember.numel(ember.ones(2, 3))
    6
    """
    return input.numel()


def typename(obj):
    """The name of an object's type; of a tensor "torch.FloatTensor" and its like."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__builtin__", None) else f"{module}.{kind.__qualname__}"


def set_default_dtype(d):
    """Sets the dtype of floats that come from Python; TypeError unless floating.

    >>> ember.set_default_dtype(ember.float64); ember.tensor(1.0).dtype
    torch.float64
    """
    _C.set_default_dtype(d)


def set_default_tensor_type(t):
    """Sets the default dtype by a legacy type ("torch.DoubleTensor")."""
    from ember._tensor import _LEGACY

    name = t if isinstance(t, str) else t.__name__
    name = name.removeprefix("torch.")
    if name not in _LEGACY:
        raise TypeError(f"invalid type object: {t!r} is no tensor type")
    _C.set_default_dtype(_LEGACY[name])


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-d tensor over the bytes of `buffer` (any object with the buffer protocol), without a copy.

    ValueError when count, offset and the element size do not fit the buffer.

    >>> ember.frombuffer(bytearray(b"\\x01\\x02"), dtype=ember.uint8)
    tensor([1, 2], dtype=torch.uint8)
    """
    made = _C._frombuffer(buffer, dtype, count, offset)
    return made.requires_grad_() if requires_grad else made


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """A tensor of `obj`: tensor, array, DLPack object, buffer, number or lists. Shares memory unless copy is True.

    ValueError when copy=False cannot be met.

    >>> ember.asarray([1, 2])
    tensor([1, 2])
    """
    if isinstance(obj, Tensor):
        made = obj
    elif hasattr(obj, "__dlpack__") and not hasattr(obj, "__array_interface__"):
        made = _C.from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        made = _C._frombuffer(obj, dtype or _C.get_default_dtype(), -1, 0)
    elif hasattr(obj, "__array_interface__") and not isinstance(obj, (int, float, complex)):
        made = _C.as_tensor(obj)
    else:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return _C.tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    if copy is False and dtype is not None and dtype != made.dtype:
        raise ValueError(f"can't alias tensor with dtype '{made.dtype}' into dtype '{dtype}'.")
    made = made.to(dtype=dtype or made.dtype, device=device or made.device, copy=bool(copy))
    if requires_grad != made.requires_grad:
        made = made.detach().requires_grad_(requires_grad)
    return made


def _variadic(tensors):
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


def broadcast_shapes(*shapes):
    """The shape that tensors of these shapes broadcast to; RuntimeError when they do not.

    >>> ember.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    rank = max((len(s) if not isinstance(s, int) else 1 for s in shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        for i, n in enumerate(shape, rank - len(shape)):
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({n}): ({n})")
            if n != 1 and n != out[i]:
                if out[i] != 1:
                    raise RuntimeError(
                        f"Shape mismatch: objects cannot be broadcast to a single shape: {', '.join(map(str, shapes))}"
                    )
                out[i] = n
    return _C.Size(out)


def broadcast_tensors(*tensors):
    """The tensors as views of their common shape.

    >>> a, b = ember.broadcast_tensors(ember.ones(2, 1), ember.ones(3)); a.shape
    torch.Size([2, 3])
    """
    return _C.ops.broadcast_tensors(list(_variadic(tensors)))


def meshgrid(*tensors, indexing="ij"):
    """Coordinate grids of 1-d tensors, as views: result i varies along dimension i ("ij"), or with the first two
    dimensions swapped ("xy").

    >>> x, y = ember.meshgrid(ember.arange(2), ember.arange(3), indexing="ij"); x
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    return _C.ops.meshgrid(list(_variadic(tensors)), indexing=indexing)


def block_diag(*tensors):
    """A matrix with the given matrices along its diagonal; vectors are rows.

    >>> ember.block_diag(ember.ones(1, 2), ember.ones(1))
    tensor([[1., 1., 0.],
            [0., 0., 1.]])
    """
    return _C.ops.block_diag(list(_variadic(tensors)))


def cartesian_prod(*tensors):
    """All combinations of one element of each vector, as rows.

    >>> ember.cartesian_prod(ember.arange(2), ember.tensor([5, 6]))
    tensor([[0, 5],
            [0, 6],
            [1, 5],
            [1, 6]])
    """
    return _C.ops.cartesian_prod(list(_variadic(tensors)))


def _at_least(op, tensors):
    return op(tensors[0]) if len(tensors) == 1 else op(list(tensors))


def atleast_1d(*tensors):
    """0-dim tensors as one element in one dim, others as they are; one tensor or a tuple of them.

    >>> ember.atleast_1d(ember.tensor(2))
    tensor([2])
    """
    return _at_least(_C.ops.atleast_1d, tensors)


def atleast_2d(*tensors):
    """Vectors as one row, others as they are; one tensor or a tuple of them.

    >>> ember.atleast_2d(ember.arange(2))
    tensor([[0, 1]])
    """
    return _at_least(_C.ops.atleast_2d, tensors)


def atleast_3d(*tensors):
    """Vectors as [1, n, 1], matrices as [n, m, 1], others as they are; one tensor or a tuple of them.

    >>> ember.atleast_3d(ember.arange(2)).shape
    torch.Size([1, 2, 1])
    """
    return _at_least(_C.ops.atleast_3d, tensors)


def einsum(equation, *operands):
    """Einstein's sum: products over the letters that repeat, sums over those that the result leaves out.

    >>> ember.einsum("ij,jk->ik", ember.ones(2, 3), ember.ones(3, 2))
    tensor([[3., 3.],
            [3., 3.]])
    """
    if isinstance(equation, str):
        return _C.ops.einsum(equation, list(_variadic(operands)))
    # einsum(a, [0, 1], b, [1, 2], [0, 2]): sublists of numbers instead of letters
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def word(sublist):
        return "".join("..." if n is Ellipsis else letters[n] for n in sublist)

    parts = (equation, *operands)
    tensors, sublists = list(parts[0 : len(parts) // 2 * 2 : 2]), parts[1 : len(parts) // 2 * 2 : 2]
    text = ",".join(map(word, sublists))
    if len(parts) % 2:
        text += "->" + word(parts[-1])
    return _C.ops.einsum(text, tensors)


_CDIST_MODES = (  # by the number that the op takes
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norm between all rows of x1 [..., P, M] and of x2 [..., R, M]: [..., P, R].

    `compute_mode` says whether p = 2 goes by a matrix product: above 25 rows, always, or never. ValueError for others.

    >>> ember.cdist(ember.zeros(1, 2), ember.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    if compute_mode not in _CDIST_MODES:
        raise ValueError(f"cdist: compute_mode {compute_mode!r} is not one of {', '.join(_CDIST_MODES)}")
    return _C.ops.cdist(x1, x2, p, _CDIST_MODES.index(compute_mode))


def tensordot(a, b, dims=2, out=None):
    """Sums of products over the last `dims` of a and the first of b, or over the two lists of dims that it gives.

    >>> ember.tensordot(ember.ones(2, 3), ember.ones(3, 2), dims=1)
    tensor([[3., 3.],
            [3., 3.]])
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        pairs = dims if isinstance(dims[0], (tuple, list)) else ([dims[0]], [dims[1]])
        dims_a, dims_b = (list(side) for side in pairs)
    elif dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    elif dims > min(a.dim(), b.dim()):
        raise RuntimeError(
            f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}, ndim_a={a.dim()}, ndim_b={b.dim()}"
        )
    else:
        dims_a, dims_b = list(range(-dims, 0)), list(range(dims))
    if out is None:
        return _C.ops.tensordot(a, b, dims_a, dims_b)
    return _C.ops.tensordot(a, b, dims_a, dims_b, out=out)


def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the order that takes the least work.

    >>> ember.chain_matmul(ember.ones(2, 3), ember.ones(3, 1), ember.ones(1, 2)).shape
    torch.Size([2, 2])
    """
    product = _C.ops.chain_matmul(list(_variadic(matrices)))
    return product if out is None else out.copy_(product)


# ---- settings that programs make and that change nothing here: results are the same bits at any thread count ----

_settings = {"deterministic": False, "warn_only": False, "matmul": "highest", "interop": 1}


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Remembered; every kernel is deterministic already."""
    _settings["deterministic"], _settings["warn_only"] = bool(mode), warn_only


def are_deterministic_algorithms_enabled():
    """What use_deterministic_algorithms() set."""
    return _settings["deterministic"]


def get_deterministic_debug_mode():
    """0, 1 or 2: default, warn, error."""
    return 0 if not _settings["deterministic"] else 1 if _settings["warn_only"] else 2


def set_float32_matmul_precision(precision):
    """ "highest", "high" or "medium"; remembered: float32 products are exact to rounding here."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"set_float32_matmul_precision: {precision!r} is not one of the supported 'highest', 'high', 'medium'"
        )
    _settings["matmul"] = precision


def get_float32_matmul_precision():
    """What set_float32_matmul_precision() set."""
    return _settings["matmul"]


def set_num_interop_threads(n):
    """Remembered; operations run one after the other."""
    if n < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _settings["interop"] = n


def get_num_interop_threads():
    """What set_num_interop_threads() set, 1 at first."""
    return _settings["interop"]


def set_flush_denormal(mode):
    """False: denormal numbers are always kept."""
    return False


def is_warn_always_enabled():
    """False: a warning appears once."""
    return False


def compiled_with_cxx11_abi():
    """True."""
    return True


# ---- second names ----

_ALIASES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "fix": "trunc",
    "ger": "outer",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "moveaxis": "movedim",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "row_stack": "vstack",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "true_divide": "div",
}


def nonzero(input, *, out=None, as_tuple=False):
    """The coordinates of the elements that are not zero: [count, dims], or one vector a dim with `as_tuple`.

    >>> ember.nonzero(ember.tensor([0, 3, 4])).tolist()
    [[1], [2]]
    """
    if as_tuple:
        return _C.ops.nonzero_numpy(input)
    return _C.ops.nonzero(input) if out is None else _C.ops.nonzero(input, out=out)


def _wanted(results, return_inverse, return_counts):
    values, inverse, counts = results
    found = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
    return found if len(found) > 1 else values


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, or slices along `dim`, in ascending order.

    With `return_inverse` also where each element went, with `return_counts` how often each occurs.

    >>> ember.unique(ember.tensor([3, 1, 3])).tolist()
    [1, 3]
    """
    if dim is None:
        found = _C.ops._unique2(input, sorted, return_inverse, return_counts)
    else:
        found = _C.ops.unique_dim(input, dim, sorted, return_inverse, return_counts)
    return _wanted(found, return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Each run of equal elements, or slices along `dim`, once.

    >>> ember.unique_consecutive(ember.tensor([3, 3, 1, 3])).tolist()
    [3, 1, 3]
    """
    return _wanted(_C.ops._unique_consecutive(input, return_inverse, return_counts, dim), return_inverse, return_counts)


def install_aliases(names):
    """Adds the second names of ops: functions to `names`, methods to Tensor, in place forms of both."""
    for alias, name in _ALIASES.items():
        for suffix in ("", "_"):
            if name + suffix in names:
                names.setdefault(alias + suffix, names[name + suffix])
            method = getattr(Tensor, name + suffix, None)
            if method is not None and not hasattr(Tensor, alias + suffix):
                setattr(Tensor, alias + suffix, method)
    for function in (nonzero, unique, unique_consecutive):
        setattr(Tensor, function.__name__, function)
