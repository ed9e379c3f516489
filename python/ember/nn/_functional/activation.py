"""Activations, softmaxes and the dropout family."""

import warnings

import ember

from .bind import op, with_inplace

_softmax, _log_softmax = op("softmax"), op("log_softmax")

relu = with_inplace("relu", "max(0, x)")
relu6 = with_inplace("relu6", "min(max(0, x), 6)")
selu = with_inplace("selu", "scale * (max(0, x) + min(0, alpha * (exp(x) - 1))) with the fixed point's constants")
silu = with_inplace("silu", "x * sigmoid(x)")
mish = with_inplace("mish", "x * tanh(softplus(x))")
hardsigmoid = with_inplace("hardsigmoid", "relu6(x + 3) / 6")
hardswish = with_inplace("hardswish", "x * relu6(x + 3) / 6")

relu_, selu_, elu_, celu_ = op("relu_"), op("selu_"), op("elu_"), op("celu_")
leaky_relu_, hardtanh_, threshold_, rrelu_ = op("leaky_relu_"), op("hardtanh_"), op("threshold_"), op("rrelu_")
gelu, logsigmoid, softplus, prelu = op("gelu"), op("log_sigmoid"), op("softplus"), op("prelu")
softshrink, hardshrink = op("softshrink"), op("hardshrink")
_elu, _celu, _leaky_relu, _hardtanh = op("elu"), op("celu"), op("leaky_relu"), op("hardtanh")
_threshold_op, _rrelu, _glu = op("threshold"), op("rrelu"), op("glu")


def elu(input, alpha=1.0, inplace=False):
    """x for x > 0, alpha * (exp(x) - 1) below.

    >>> F.elu(ember.tensor([1.0]))
    tensor([1.])
    """
    return elu_(input, alpha) if inplace else _elu(input, alpha)


def celu(input, alpha=1.0, inplace=False):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).

    >>> F.celu(ember.tensor([1.0]))
    tensor([1.])
    """
    return celu_(input, alpha) if inplace else _celu(input, alpha)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x for x > 0, negative_slope * x below.

    >>> F.leaky_relu(ember.tensor([-1.0]), 0.5)
    tensor([-0.5000])
    """
    return leaky_relu_(input, negative_slope) if inplace else _leaky_relu(input, negative_slope)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x kept within [min_val, max_val].

    >>> F.hardtanh(ember.tensor([3.0]))
    tensor([1.])
    """
    if min_val > max_val:
        raise ValueError("hardtanh: min_val cannot be greater than max_val")
    return hardtanh_(input, min_val, max_val) if inplace else _hardtanh(input, min_val, max_val)


def threshold(input, threshold, value, inplace=False):
    """x where x > threshold, `value` elsewhere.

    >>> F.threshold(ember.tensor([1.0, 3.0]), 2, 0)
    tensor([0., 3.])
    """
    return threshold_(input, threshold, value) if inplace else _threshold_op(input, threshold, value)


_threshold = threshold


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """leaky_relu with a slope drawn from U(lower, upper) when training, their mean otherwise.

    >>> F.rrelu(ember.tensor([1.0]))
    tensor([1.])
    """
    return rrelu_(input, lower, upper, training) if inplace else _rrelu(input, lower, upper, training)


def glu(input, dim=-1):
    """a * sigmoid(b) for the two halves a, b of `input` along `dim`, whose size is even.

    >>> F.glu(ember.zeros(2, 4)).shape
    ember.Size([2, 2])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return _glu(input, dim)


def tanhshrink(input):
    """x - tanh(x).

    >>> F.tanhshrink(ember.zeros(2))
    tensor([0., 0.])
    """
    return input - input.tanh()


def softsign(input):
    """x / (1 + |x|).

    >>> F.softsign(ember.ones(1))
    tensor([0.5000])
    """
    return input / (input.abs() + 1)


def tanh(input):
    """tanh(x); the same as `input.tanh()`.

    >>> F.tanh(ember.zeros(1))
    tensor([0.])
    """
    return input.tanh()


def sigmoid(input):
    """1 / (1 + exp(-x)); the same as `input.sigmoid()`.

    >>> F.sigmoid(ember.zeros(1))
    tensor([0.5000])
    """
    return input.sigmoid()


def _get_softmax_dim(name, ndim, stacklevel):
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` if given.

    >>> F.softmax(ember.zeros(2), dim=0)
    tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _get_softmax_dim("softmax", input.dim(), _stacklevel)
    return _softmax(input, dim) if dtype is None else _softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)) along `dim`, without the loss of precision that the two in turn would have.

    >>> F.log_softmax(ember.zeros(2), dim=0)
    tensor([-0.6931, -0.6931])
    """
    if dim is None:
        dim = _get_softmax_dim("log_softmax", input.dim(), _stacklevel)
    return _log_softmax(input, dim) if dtype is None else _log_softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x) along `dim`.

    >>> F.softmin(ember.zeros(2), dim=0)
    tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _get_softmax_dim("softmin", input.dim(), _stacklevel)
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A sample of the relaxed one-hot distribution (Jang et al., 2017); `hard` gives one-hot values, soft gradients.

    >>> F.gumbel_softmax(ember.zeros(2, 3), hard=True).sum(-1)
    tensor([1., 1.])
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -ember.empty_like(logits, memory_format=ember.contiguous_format).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = ember.zeros_like(logits, memory_format=ember.contiguous_format).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


# ---- dropout ----


def _dropout(name):
    plain, in_place = op(name), op(name + "_")

    def run(input, p, training, inplace):
        if p < 0.0 or p > 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        return in_place(input, p, training) if inplace else plain(input, p, training)

    return run


_drop, _drop_feature = _dropout("dropout"), _dropout("feature_dropout")
_drop_alpha, _drop_feature_alpha = _dropout("alpha_dropout"), _dropout("feature_alpha_dropout")


def dropout(input, p=0.5, training=True, inplace=False):
    """Zeroes elements with probability p and scales the rest by 1 / (1 - p), when training.

    >>> F.dropout(ember.ones(2), training=False)
    tensor([1., 1.])
    """
    return _drop(input, p, training, inplace)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """The dropout that keeps mean and variance of selu networks.

    >>> F.alpha_dropout(ember.ones(2))
    tensor([1., 1.])
    """
    return _drop_alpha(input, p, training, inplace)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """alpha_dropout of whole channels.

    >>> F.feature_alpha_dropout(ember.ones(1, 2, 3)).shape
    ember.Size([1, 2, 3])
    """
    return _drop_feature_alpha(input, p, training, inplace)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of [N, C, L] or [C, L] with probability p, when training.

    >>> F.dropout1d(ember.ones(2, 3, 4)).shape
    ember.Size([2, 3, 4])
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel "
            "dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.dim() == 3:
        return _drop_feature(input, p, training, inplace)
    return _drop_feature(input.unsqueeze(0), p, training, inplace).squeeze(0)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of [N, C, H, W] with probability p, when training.

    >>> F.dropout2d(ember.ones(2, 3, 4, 4)).shape
    ember.Size([2, 3, 4, 4])
    """
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in "
            "an error in a future release. To retain the behavior and silence this warning, please use "
            "dropout instead.",
            stacklevel=2,
        )
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior "
            "will change in a future release to interpret the input as one without a batch dimension, i.e. "
            "shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please switch to using "
            "dropout1d instead.",
            stacklevel=2,
        )
    return _drop_feature(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of [N, C, D, H, W] or [C, D, H, W] with probability p, when training.

    >>> F.dropout3d(ember.ones(2, 3, 4, 4, 4)).shape
    ember.Size([2, 3, 4, 4, 4])
    """
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in "
            "an error in a future release. To retain the behavior and silence this warning, please use "
            "dropout instead.",
            stacklevel=2,
        )
    if input.dim() == 4:
        return _drop_feature(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _drop_feature(input, p, training, inplace)
