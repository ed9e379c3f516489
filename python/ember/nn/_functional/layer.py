"""Linear maps, convolutions, embeddings, norms, padding, resampling and rearranging."""

import math
import warnings

import ember

from .bind import op

linear, bilinear = op("linear"), op("bilinear")
conv1d, conv2d, conv3d, conv_tbc = op("conv1d"), op("conv2d"), op("conv3d"), op("conv_tbc")
conv_transpose1d, conv_transpose2d = op("conv_transpose1d"), op("conv_transpose2d")
conv_transpose3d = op("conv_transpose3d")
pixel_shuffle, pixel_unshuffle = op("pixel_shuffle"), op("pixel_unshuffle")
channel_shuffle, native_channel_shuffle = op("channel_shuffle"), op("native_channel_shuffle")
one_hot, cosine_similarity, pairwise_distance = op("one_hot"), op("cosine_similarity"), op("pairwise_distance")
pdist = op("pdist")

_embedding, _embedding_bag = op("embedding"), op("embedding_bag")
_batch_norm, _instance_norm, _layer_norm = op("batch_norm"), op("instance_norm"), op("layer_norm")
_group_norm, _rms_norm, _pad = op("group_norm"), op("rms_norm"), op("pad")
_im2col, _col2im = op("im2col"), op("col2im")


# ---- embeddings ----


def _no_grad_embedding_renorm_(weight, input, max_norm, norm_type):
    """Scales the rows that `input` names to a norm of at most `max_norm`, in place."""
    with ember.no_grad():
        index = ember.unique(input)
        rows = weight.index_select(0, index)
        norm = rows.norm(norm_type, 1, keepdim=True)
        weight.index_copy_(0, index, ember.where(norm > max_norm, rows * (max_norm / (norm + 1e-7)), rows))


def _check_padding_idx(padding_idx, weight):
    """`padding_idx` as an index from the front; -1 when there is none."""
    if padding_idx is None:
        return -1
    rows = weight.size(0)
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """Rows of `weight` [V, D] at the integer indices `input` [*]: a tensor [*, D].

    Row `padding_idx` gets no gradient; with `max_norm`, looked-up rows are first scaled in place to that norm.

    >>> F.embedding(ember.tensor([0, 2]), ember.eye(3)).shape
    ember.Size([2, 3])
    """
    padding_idx = _check_padding_idx(padding_idx, weight)
    if max_norm is not None:
        input = input.contiguous()
        _no_grad_embedding_renorm_(weight, input, max_norm, norm_type)
    return _embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The "sum", "mean" or "max" of the rows of each bag: `input` [B, L], or [N] with the bags' starts in `offsets`.

    >>> F.embedding_bag(ember.tensor([[0, 1]]), ember.eye(2), mode="sum")
    tensor([[1., 1.]])
    """
    if weight.dtype == ember.long and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, "
            "...)` is deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must "
            f"have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                f"length sequences. However, found offsets of type {type(offsets)}"
            )
        offsets = ember.arange(0, input.numel(), input.size(1), dtype=input.dtype, device=input.device)
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    try:
        mode_number = ("sum", "mean", "max").index(mode)
    except ValueError:
        raise ValueError("mode has to be one of sum, mean or max") from None
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(
            "max mode does not support "
            + ("scaling the gradient by the frequency" if scale_grad_by_freq else "sparse weights")
        )
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    if max_norm is not None:
        _no_grad_embedding_renorm_(weight, input, max_norm, norm_type)
    optional = () if padding_idx is None else (_check_padding_idx(padding_idx, weight),)
    return _embedding_bag(
        weight,
        input,
        offsets,
        scale_grad_by_freq,
        mode_number,
        sparse,
        per_sample_weights,
        include_last_offset,
        *optional,
    )[0]


# ---- norms ----


def _verify_batch_size(size):
    if size[0] * math.prod(size[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def _verify_spatial_size(size):
    if math.prod(size[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {size}")


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias per channel of [N, C, ...]; the batch's statistics when training.

    The running ones move by `momentum`, in place (Ioffe and Szegedy, 2015).

    >>> F.batch_norm(ember.randn(4, 2), None, None, training=True).shape
    ember.Size([4, 2])
    """
    if training:
        _verify_batch_size(input.size())
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, True)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """batch_norm with statistics of each sample's channel alone; input [N, C, ...].

    >>> F.instance_norm(ember.randn(2, 3, 8)).shape
    ember.Size([2, 3, 8])
    """
    if use_input_stats:
        _verify_spatial_size(input.size())
    return _instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, True)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims, whose sizes are `normalized_shape`.

    >>> F.layer_norm(ember.randn(2, 3), (3,)).shape
    ember.Size([2, 3])
    """
    return _layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean(x^2) + eps) * weight over the last dims, whose sizes are `normalized_shape`.

    >>> F.rms_norm(ember.randn(2, 3), (3,)).shape
    ember.Size([2, 3])
    """
    return _rms_norm(input, normalized_shape, weight, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """layer_norm over groups of the channels of [N, C, ...].

    >>> F.group_norm(ember.randn(2, 4, 3), 2).shape
    ember.Size([2, 4, 3])
    """
    if input.dim() < 2:
        raise RuntimeError(f"group_norm: Expected at least 2 dimensions for input tensor but received {input.dim()}")
    _verify_batch_size([input.size(0) * input.size(1) // num_groups, num_groups, *input.size()[2:]])
    return _group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta; input [N, C, ...].

    >>> F.local_response_norm(ember.randn(2, 4, 3), 2).shape
    ember.Size([2, 4, 3])
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    square = input.mul(input)
    # Channels as one spatial dim with the rest folded behind it, so that one 2d or 3d average serves every rank.
    if input.dim() == 3:
        mean = ember.nn.functional.avg_pool2d(
            pad(square.unsqueeze(1), (0, 0, size // 2, (size - 1) // 2)), (size, 1), stride=1
        ).squeeze(1)
    else:
        shape = input.size()
        folded = square.view(shape[0], 1, shape[1], shape[2], -1)
        padded = pad(folded, (0, 0, 0, 0, size // 2, (size - 1) // 2))
        mean = ember.nn.functional.avg_pool3d(padded, (size, 1, 1), stride=1).squeeze(1).view(shape)
    return input / mean.mul(alpha).add(k).pow(beta)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(norm_p(x), eps) along `dim`.

    >>> F.normalize(ember.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / norm if out is None else ember.div(input, norm, out=out)


# ---- padding, resampling, patches ----


def pad(input, pad, mode="constant", value=None):
    """Pads the last len(pad) / 2 dims, last first: (left, right, top, bottom, ...); negative sizes crop.

    mode: "constant" (with `value`), "reflect", "replicate" or "circular".

    >>> F.pad(ember.ones(2), (1, 0))
    tensor([0., 1., 1.])
    """
    return _pad(input, pad, mode, value)


_UPSAMPLE = {
    ("nearest", 3): "upsample_nearest1d",
    ("nearest", 4): "upsample_nearest2d",
    ("nearest", 5): "upsample_nearest3d",
    ("nearest-exact", 3): "_upsample_nearest_exact1d",
    ("nearest-exact", 4): "_upsample_nearest_exact2d",
    ("nearest-exact", 5): "_upsample_nearest_exact3d",
    ("linear", 3): "upsample_linear1d",
    ("bilinear", 4): "upsample_bilinear2d",
    ("trilinear", 5): "upsample_trilinear3d",
    ("bicubic", 4): "upsample_bicubic2d",
    ("area", 3): "adaptive_avg_pool1d",
    ("area", 4): "adaptive_avg_pool2d",
    ("area", 5): "adaptive_avg_pool3d",
}
_ALIGNABLE = ("linear", "bilinear", "bicubic", "trilinear")


def _interpolate_sizes(input, size, scale_factor, recompute_scale_factor):
    """(output sizes or None, scale factors or None) for the spatial dims; one of the two is None."""
    dims = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if not isinstance(size, (list, tuple)):
            return [size] * dims, None
        if len(size) != dims:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input with "
                f"spatial dimensions of {list(input.shape[2:])} and output size of {size}. Please provide "
                "input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
            )
        return list(size), None
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if isinstance(scale_factor, (list, tuple)):
        if len(scale_factor) != dims:
            raise ValueError(
                f"Input and scale_factor must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(input.shape[2:])} and scale_factor of shape "
                f"{scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
                "scale_factor in (s1, s2, ...,sK) format."
            )
        factors = [float(f) for f in scale_factor]
    else:
        factors = [float(scale_factor)] * dims
    if recompute_scale_factor:
        return [math.floor(float(n) * f) for n, f in zip(input.shape[2:], factors)], None
    return None, factors


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resamples the spatial dims of [N, C, ...] to `size` or by `scale_factor`.

    mode: nearest, nearest-exact, area (1-3 spatial dims), linear (1), bilinear, bicubic (2), trilinear (3).

    >>> F.interpolate(ember.zeros(1, 1, 4, 4), scale_factor=2).shape
    ember.Size([1, 1, 8, 8])
    """
    if mode not in _ALIGNABLE:
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | "
                "bicubic | trilinear"
            )
    elif align_corners is None:
        align_corners = False
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    size, factors = _interpolate_sizes(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    name = _UPSAMPLE.get((mode, input.dim()))
    if name is None:
        known = "nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact"
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.dim()}D) for the modes: {known} (got {mode})"
        )
    if mode == "area":
        size = size or [math.floor(float(n) * f) for n, f in zip(input.shape[2:], factors)]
        return op(name)(input, size)
    if antialias:
        name = f"_{name}_aa"
    return op(name)(input, size, align_corners, factors) if mode in _ALIGNABLE else op(name)(input, size, factors)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The old name of `interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """The old name of `interpolate(mode="nearest")`."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """The old name of `interpolate(mode="bilinear", align_corners=True)`."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _two(value):
    return [value, value] if isinstance(value, int) else list(value)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Patches of [N, C, H, W] as columns: [N, C * kernel area, patches].

    >>> F.unfold(ember.zeros(1, 2, 4, 4), 2).shape
    ember.Size([1, 8, 9])
    """
    return _im2col(input, _two(kernel_size), _two(dilation), _two(padding), _two(stride))


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Sums the columns of `unfold` back into an image of `output_size`.

    >>> F.fold(ember.zeros(1, 8, 9), (4, 4), 2).shape
    ember.Size([1, 2, 4, 4])
    """
    return _col2im(input, _two(output_size), _two(kernel_size), _two(dilation), _two(padding), _two(stride))
