"""Pooling over the spatial dims of [N, C, ...] or [C, ...]: max, average, power mean, adaptive, fractional, undone."""

import ember

from .bind import named, op

avg_pool1d, avg_pool2d, avg_pool3d = op("avg_pool1d"), op("avg_pool2d"), op("avg_pool3d")
adaptive_avg_pool1d = op("adaptive_avg_pool1d")
_WORD = {1: "[N, C, L]", 2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}
_SIZE = {1: "4", 2: "4, 4", 3: "4, 4, 4"}


def _document(function, name, dims, doc, call):
    function.__name__ = function.__qualname__ = name
    half = ", ".join(["2"] * dims)
    function.__doc__ = (
        f"{doc}; input {_WORD[dims]}.\n\n    >>> F.{name}(ember.ones(1, 1, {_SIZE[dims]}), {call}).shape\n"
        f"    ember.Size([1, 1, {half}])\n    "
    )
    return function


def _with_indices(pair, name, doc):
    pair.__name__ = pair.__qualname__ = f"{name}_with_indices"
    pair.__doc__ = f"{doc}, as (values, indices)."


def _max_pool(dims):
    """(max_pool{n}d, max_pool{n}d_with_indices, _max_pool{n}d)."""
    plain, with_indices = op(f"max_pool{dims}d"), op(f"max_pool{dims}d_with_indices")

    def values(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        return plain(input, kernel_size, [] if stride is None else stride, padding, dilation, ceil_mode)

    def pair(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        return with_indices(input, kernel_size, [] if stride is None else stride, padding, dilation, ceil_mode)

    def either(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        call = pair if return_indices else values
        return call(input, kernel_size, stride, padding, dilation, ceil_mode)

    doc = "The maximum of each window, and with `return_indices` where it is"
    _with_indices(pair, f"max_pool{dims}d", "The maximum of each window and where it is")
    values.__name__ = f"_max_pool{dims}d"
    return _document(either, f"max_pool{dims}d", dims, doc, "2"), pair, values


max_pool1d, max_pool1d_with_indices, _max_pool1d = _max_pool(1)
max_pool2d, max_pool2d_with_indices, _max_pool2d = _max_pool(2)
max_pool3d, max_pool3d_with_indices, _max_pool3d = _max_pool(3)


def _defaults(output_size, sizes, name="_list_with_default"):
    """An adaptive pool's output size: a None in it keeps that dim's size."""
    if isinstance(output_size, int):
        return output_size
    if len(sizes) <= len(output_size):
        raise ValueError(f"{name}: Input dimension should be at least {len(output_size) + 1}, but got {len(sizes)}")
    return [have if want is None else want for want, have in zip(output_size, sizes[-len(output_size) :])]


_list_with_default = _defaults


def _adaptive_max_pool(dims):
    name = f"adaptive_max_pool{dims}d"
    pooled = op(name)

    def pair(input, output_size, return_indices=False):
        return pooled(input, output_size if dims == 1 else _defaults(output_size, input.size(), name))

    def either(input, output_size, return_indices=False):
        values, indices = pair(input, output_size)
        return (values, indices) if return_indices else values

    doc = "The maximum over windows chosen so that the output has `output_size`"
    _with_indices(pair, name, "The maximum of each window and where it is")
    return _document(either, name, dims, doc, "2"), pair


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3)


def _adaptive_avg_pool(dims):
    name = f"adaptive_avg_pool{dims}d"
    pooled = op(name)

    def average(input, output_size):
        return pooled(input, _defaults(output_size, input.size(), name))

    doc = "The average over windows chosen so that the output has `output_size`"
    return _document(average, name, dims, doc, "2")


adaptive_avg_pool2d, adaptive_avg_pool3d = _adaptive_avg_pool(2), _adaptive_avg_pool(3)


def _lp_pool(dims, average):
    def power_mean(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        kernel = [kernel_size] * dims if isinstance(kernel_size, int) else list(kernel_size)
        area = 1
        for size in kernel:
            area *= size
        mean = average(input.pow(norm_type), kernel_size, [] if stride is None else stride, 0, ceil_mode)
        return (ember.sign(mean) * ember.relu(ember.abs(mean))).mul(area).pow(1.0 / norm_type)

    return _document(power_mean, f"lp_pool{dims}d", dims, "(sum of x^p over each window)^(1/p)", "2, 2")


lp_pool1d, lp_pool2d, lp_pool3d = _lp_pool(1, avg_pool1d), _lp_pool(2, avg_pool2d), _lp_pool(3, avg_pool3d)


def _fractional_max_pool(dims):
    pooled = op(f"fractional_max_pool{dims}d")

    def pair(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        name = f"fractional_max_pool{dims}d"
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        if output_size is None:
            ratios = [output_ratio] * dims if isinstance(output_ratio, float) else list(output_ratio)
            output_size = [int(size * ratio) for size, ratio in zip(input.shape[-dims:], ratios)]
        if _random_samples is None:
            batched = input.dim() == dims + 2
            shape = (input.size(0) if batched else 1, input.size(-dims - 1), dims)
            _random_samples = ember.rand(shape, dtype=input.dtype, device=input.device)
        return pooled(input, kernel_size, output_size, _random_samples)

    def either(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        values, indices = pair(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return (values, indices) if return_indices else values

    _with_indices(pair, f"fractional_max_pool{dims}d", "The maximum of each random window and where it is")
    either.__name__ = either.__qualname__ = f"fractional_max_pool{dims}d"
    either.__doc__ = f"The maximum over windows at random fractional steps (Graham, 2014); input {_WORD[dims]}."
    return either, pair


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional_max_pool(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional_max_pool(3)


def _tuple(value, dims):
    return (value,) * dims if isinstance(value, int) else tuple(value)


def _unpool_output_size(input, kernel_size, stride, padding, output_size):
    """The spatial sizes that pooling came from: computed, or `output_size` if that is near enough."""
    sizes = input.size()[-len(kernel_size) :]
    default = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(sizes, kernel_size, stride, padding)]
    if output_size is None:
        return default
    if len(output_size) == len(kernel_size) + 2:
        output_size = output_size[2:]
    if len(output_size) != len(kernel_size):
        raise ValueError(
            f"output_size should be a sequence containing {len(kernel_size)} or {len(kernel_size) + 2} "
            f"elements, but it has a length of '{len(output_size)}'"
        )
    for d, (want, base, step) in enumerate(zip(output_size, default, stride)):
        if not base - step < want < base + step:
            raise ValueError(
                f'invalid output_size "{output_size}" (dim {d} must be between {base - step} and {base + step})'
            )
    return list(output_size)


def _max_unpool(dims):
    unpool = op("max_unpool3d" if dims == 3 else "max_unpool2d")

    def inverse(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        kernel = _tuple(kernel_size, dims)
        step = kernel if stride is None else _tuple(stride, dims)
        around = _tuple(padding, dims)
        size = _unpool_output_size(input, kernel, step, around, output_size)
        if dims == 1:
            return unpool(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)
        return unpool(input, indices, size, step, around) if dims == 3 else unpool(input, indices, size)

    inverse.__name__ = inverse.__qualname__ = f"max_unpool{dims}d"
    inverse.__doc__ = f"Puts the maxima of max_pool{dims}d back at their `indices`, zeros elsewhere."
    return named(inverse)


max_unpool1d, max_unpool2d, max_unpool3d = _max_unpool(1), _max_unpool(2), _max_unpool(3)
