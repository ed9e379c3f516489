"""Ways to fill a tensor with initial values.

Each function changes its tensor in place under no_grad, returns it, and draws from the generator in PyTorch's order, so
that the same seed gives the same weights. Modules look these names up at the time of the call: libraries replace them.
"""

import math
import warnings

import numpy as np

import ember

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity, param=None):
    """The factor by which weights make up for what a nonlinearity takes from the variance.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        if param is None:
            slope = 0.01
        elif isinstance(param, (int, float)) and not isinstance(param, bool):
            slope = param
        else:
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def _no_grad_uniform_(tensor, a, b, generator=None):
    with ember.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def _no_grad_normal_(tensor, mean, std, generator=None):
    with ember.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _no_grad_fill_(tensor, val):
    with ember.no_grad():
        return tensor.fill_(val)


def _no_grad_zero_(tensor):
    with ember.no_grad():
        return tensor.zero_()


def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
    """Redraws until every value lies in [a, b]: normal ones where most do, else uniform ones by their odds."""

    def norm_cdf(x):
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if tensor.is_meta:
        return tensor
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    low, high = tensor.new_tensor(a).item(), tensor.new_tensor(b).item()  # as the tensor's dtype has them
    mode = max(a, min(mean, b))
    log_peak = -0.5 * ((mode - mean) / std) ** 2

    def propose_normal(x):
        x.normal_(mean, std, generator=generator)
        return (x < low) | (x > high)

    def propose_uniform(x):
        x.uniform_(a, b, generator=generator)
        log_density = x.sub(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)
        return ember.empty_like(x).uniform_(generator=generator).log_().gt(log_density)

    inside = norm_cdf((b - mean) / std) - norm_cdf((a - mean) / std)
    propose = propose_normal if inside > 0.3 else propose_uniform
    with ember.no_grad():
        refused = propose(tensor)
        fresh = ember.empty_like(tensor)
        while refused.any():
            again = propose(fresh)
            tensor.copy_(ember.where(refused, fresh, tensor))
            refused = refused & again
    return tensor


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Values of U(a, b).

    >>> tuple(uniform_(ember.empty(3, 5)).shape)
    (3, 5)
    """
    return _no_grad_uniform_(tensor, a, b, generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Values of N(mean, std^2).

    >>> tuple(normal_(ember.empty(3, 5)).shape)
    (3, 5)
    """
    return _no_grad_normal_(tensor, mean, std, generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Values of N(mean, std^2) that lie in [a, b].

    >>> bool(trunc_normal_(ember.empty(100)).abs().max() <= 2)
    True
    """
    return _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=generator)


def constant_(tensor, val):
    """The one value `val`.

    >>> constant_(ember.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return _no_grad_fill_(tensor, val)


def ones_(tensor):
    """Ones.

    >>> ones_(ember.empty(2))
    tensor([1., 1.])
    """
    return _no_grad_fill_(tensor, 1.0)


def zeros_(tensor):
    """Zeros.

    >>> zeros_(ember.empty(2))
    tensor([0., 0.])
    """
    return _no_grad_zero_(tensor)


def eye_(tensor):
    """The identity, for a matrix: as many inputs as possible pass through.

    >>> eye_(ember.empty(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with ember.no_grad():
        tensor.zero_()
        tensor.diagonal().fill_(1)
    return tensor


def dirac_(tensor, groups=1):
    """The identity, for the weight of a 1d, 2d or 3d convolution: a one in the middle of each kernel's own channel.

    >>> dirac_(ember.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    dims = tensor.ndimension()
    if dims not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = tensor.size(0) // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    with ember.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, tensor.size(1))):
                tensor[(group * per_group + channel, channel, *middle)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor):
    """(inputs, outputs) of one unit of a weight: linear [out, in] or convolution [out, in, ...]."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    kernel = math.prod(tensor.shape[2:])
    return tensor.size(1) * kernel, tensor.size(0) * kernel


def _calculate_correct_fan(tensor, mode):
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Values of U(-a, a), a = gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> tuple(xavier_uniform_(ember.empty(3, 5)).shape)
    (3, 5)
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    a = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return _no_grad_uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Values of N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> tuple(xavier_normal_(ember.empty(3, 5)).shape)
    (3, 5)
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return _no_grad_normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _kaiming(tensor, a, mode, nonlinearity):
    """The standard deviation that keeps variance through the layer; None for a tensor without elements."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Values of U(-b, b), b = gain * sqrt(3 / fan) (He et al., 2015); `a` is leaky_relu's slope.

    >>> tuple(kaiming_uniform_(ember.empty(3, 5), nonlinearity="relu").shape)
    (3, 5)
    """
    std = _kaiming(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    with ember.no_grad():
        return tensor.uniform_(-bound, bound, generator=generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Values of N(0, std^2), std = gain / sqrt(fan) (He et al., 2015); `a` is leaky_relu's slope.

    >>> tuple(kaiming_normal_(ember.empty(3, 5), mode="fan_out").shape)
    (3, 5)
    """
    std = _kaiming(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    with ember.no_grad():
        return tensor.normal_(0, std, generator=generator)


def orthogonal_(tensor, gain=1, generator=None):
    """A (semi) orthogonal matrix, uniform among them, of dims after the first taken together (Saxe et al., 2013).

    >>> w = orthogonal_(ember.empty(3, 3)); bool(ember.allclose(w @ w.T, ember.eye(3), atol=1e-5))
    True
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    cols = tensor.numel() // rows
    with ember.no_grad():
        flat = tensor.new_empty((rows, cols)).normal_(0, 1, generator=generator)
        # LAPACK's factorization, which NumPy brings; the signs of R's diagonal are its choice, so they are taken out.
        q, r = np.linalg.qr(flat.T.numpy() if rows < cols else flat.numpy())
        q *= np.sign(np.diagonal(r))
        tensor.copy_(ember.from_numpy(np.ascontiguousarray(q.T if rows < cols else q)).reshape(tensor.shape))
        tensor.mul_(gain)
    return tensor


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """A matrix of N(0, std^2) in each of whose columns the fraction `sparsity` is zero (Martens, 2010).

    >>> int((sparse_(ember.empty(10, 2), 0.3) == 0).sum())
    6
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with ember.no_grad():
        tensor.normal_(0, std, generator=generator)
        for col in range(cols):
            tensor[ember.randperm(rows)[:zeros], col] = 0
    return tensor


def _deprecated(name):
    def old(*args, **kwargs):
        warnings.warn(f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.", FutureWarning, stacklevel=2)
        return globals()[name + "_"](*args, **kwargs)

    old.__name__ = name
    old.__doc__ = f"The old name of `{name}_`."
    return old


uniform, normal, constant = _deprecated("uniform"), _deprecated("normal"), _deprecated("constant")
eye, dirac, orthogonal, sparse = (_deprecated(name) for name in ("eye", "dirac", "orthogonal", "sparse"))
xavier_uniform, xavier_normal = _deprecated("xavier_uniform"), _deprecated("xavier_normal")
kaiming_uniform, kaiming_normal = _deprecated("kaiming_uniform"), _deprecated("kaiming_normal")
