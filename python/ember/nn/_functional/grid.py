"""Reading an image at given points: grid_sample, and the points of an affine map."""

from .bind import op

_grid_sampler, _affine_grid = op("grid_sampler"), op("affine_grid_generator")
GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}


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
    return _grid_sampler(
        input, grid, GRID_SAMPLE_INTERPOLATION_MODES[mode], GRID_SAMPLE_PADDING_MODES[padding_mode], bool(align_corners)
    )


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
    return _affine_grid(theta, list(size), bool(align_corners))
