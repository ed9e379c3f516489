"""Reading an image at given points: grid_sample, and the points of an affine map.

A point reads its neighbours through one gather for each corner, so gradients, also of the points, follow from ops.
"""

import itertools

import ember

GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}


def _reflect(x, low, high):
    """x folded back into [low, high] at both ends."""
    span = high - low
    if span == 0:
        return ember.zeros_like(x)
    x = (x - low).abs()
    turns = (x / span).floor()
    rest = x - turns * span
    return ember.where(turns % 2 == 0, rest + low, span - rest + low)


def _to_pixels(x, size, align_corners):
    """Coordinates in [-1, 1] as pixels: the corners' centres (aligned) or their outer edges are -1 and 1."""
    return (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2


def _settle(x, size, padding_mode, align_corners):
    """Pixel coordinates moved into the image, for the paddings that do."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        x = _reflect(x, 0.0, size - 1.0) if align_corners else _reflect(x, -0.5, size - 0.5)
    return x.clamp(0, size - 1)


def _read(input, corner, sizes):
    """Values [N, C, *out] at the integer pixels `corner` (one float tensor [N, *out] a dim); zero outside."""
    inside, flat = None, 0
    for at, size in zip(corner, sizes):
        here = (at >= 0) & (at < size)
        inside = here if inside is None else inside & here
        flat = flat * size + at.clamp(0, size - 1).to(ember.int64)
    n, c = input.shape[:2]
    index = flat.reshape(n, 1, -1).expand(n, c, -1)
    values = input.reshape(n, c, -1).gather(2, index).reshape(n, c, *flat.shape[1:])
    return values * inside.unsqueeze(1).to(input.dtype)


def _cubic(t):
    """The weights of the four neighbours of a point that lies t behind the second."""
    a = -0.75

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _check(input, grid, mode):
    dims = input.dim() - 2
    if dims not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got "
            f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[0] != input.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != dims:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if dims == 3 and mode == "bicubic":
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Values of `input` [N, C, H, W] at `grid` [N, H', W', 2] of (x, y) from -1 to 1 -> [N, C, H', W']; also 3 dims.

    mode: "bilinear", "nearest", "bicubic"; outside lie "zeros", the "border", or its "reflection".

    >>> F.grid_sample(ember.ones(1, 1, 2, 2), ember.zeros(1, 1, 1, 2), align_corners=True)
    tensor([[[[1.]]]])
    """
    if mode not in GRID_SAMPLE_INTERPOLATION_MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in GRID_SAMPLE_PADDING_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    _check(input, grid, mode)
    sizes = input.shape[2:]
    # The grid's last dim runs x, y(, z): the image's dims from the last to the first.
    points = [_to_pixels(grid[..., -1 - d], size, align_corners) for d, size in enumerate(sizes)]
    if mode == "bicubic":
        return _sample_cubic(input, points, sizes, padding_mode, align_corners)
    points = [_settle(p, size, padding_mode, align_corners) for p, size in zip(points, sizes)]
    if mode == "nearest":
        return _read(input, [p.round() for p in points], sizes)
    low = [p.detach().floor() for p in points]
    total = None
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight = 1.0
        for p, base, up in zip(points, low, corner):
            weight = weight * ((p - base) if up else (base + 1 - p))
        part = _read(input, [base + up for base, up in zip(low, corner)], sizes) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _sample_cubic(input, points, sizes, padding_mode, align_corners):
    low = [p.detach().floor() for p in points]
    rows, cols = (_cubic(p - base) for p, base in zip(points, low))
    total = None
    for i, j in itertools.product(range(4), repeat=2):
        corner = [_settle(base + k - 1, size, padding_mode, align_corners) for base, k, size in zip(low, (i, j), sizes)]
        part = _read(input, corner, sizes) * (rows[i] * cols[j]).unsqueeze(1)
        total = part if total is None else total + part
    return total


def affine_grid(theta, size, align_corners=None):
    """The points that `grid_sample` reads for affine maps `theta` [N, 2, 3] and an output of `size` [N, C, H, W].

    >>> F.affine_grid(ember.eye(2, 3).unsqueeze(0), (1, 1, 2, 2), align_corners=True).shape
    ember.Size([1, 2, 2, 2])
    """
    dims = len(size) - 2
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if dims not in (2, 3):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {size}"
        )
    if tuple(theta.shape[-2:]) != (dims, dims + 1) or theta.dim() != 3:
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    spatial, made = tuple(size[2:]), {"dtype": theta.dtype, "device": theta.device}
    axes = []
    for d in reversed(range(dims)):
        n = spatial[d]
        line = ember.linspace(-1, 1, n, **made) if n > 1 else ember.zeros(1, **made)
        line = line if align_corners else line * ((n - 1) / n)
        axes.append(line.view([-1 if k == d else 1 for k in range(dims)]).expand(spatial))
    base = ember.stack([*axes, ember.ones(spatial, **made)], -1).reshape(1, -1, dims + 1)
    return (base.expand(size[0], -1, -1) @ theta.transpose(1, 2)).reshape(size[0], *spatial, dims)
