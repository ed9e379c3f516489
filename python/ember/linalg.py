"""ember.linalg: the ops of the table whose names begin with `linalg_`, under PyTorch's short names."""

import ember
from ember import _C
from ember._prefixed import prefixed_ops

__getattr__, __dir__ = prefixed_ops(__name__, "linalg_")


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """The vector norm of all of `A` or along `dim`; of a matrix (two dims) the Frobenius norm, or `matrix_norm`.

    >>> ember.linalg.norm(ember.tensor([3.0, 4.0]))
    tensor(5.)
    """
    dims = 1 if isinstance(dim, int) else len(dim) if dim is not None else 1 if ord is None else A.dim()
    to = {} if out is None else {"out": out}
    if ord is None or (dims == 1 and not isinstance(ord, str)):
        return _C.ops.linalg_vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, **to)
    if ord == "fro":
        return _C.ops.linalg_vector_norm(A, 2, (-2, -1) if dim is None else dim, keepdim, dtype=dtype, **to)
    return __getattr__("matrix_norm")(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype, **to)


def matmul(input, other, *, out=None):
    """The matrix product; the same as `ember.matmul`.

    >>> ember.linalg.matmul(ember.ones(2, 3), ember.ones(3, 1)).shape
    torch.Size([2, 1])
    """
    return ember.matmul(input, other) if out is None else ember.matmul(input, other, out=out)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of the matrices in the last two dims, as a view."""
    return ember.diagonal(A, offset=offset, dim1=dim1, dim2=dim2)


def vecdot(x, y, *, dim=-1, out=None):
    """The sum of conj(x) * y along `dim`.

    >>> ember.linalg.vecdot(ember.ones(2, 3), ember.ones(2, 3))
    tensor([3., 3.])
    """
    product = (x.conj() if x.is_complex() else x) * y
    return ember.sum(product, dim) if out is None else ember.sum(product, dim, out=out)
