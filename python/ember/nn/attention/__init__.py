"""Which implementation `scaled_dot_product_attention` may take.

Ember picks its kernel by shape and device itself; the names here let programs that choose one in PyTorch run, and
remember what they chose.
"""

import contextlib
import enum

__all__ = ["SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """PyTorch's names and numbers of the implementations."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_chosen = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]


def _cur_sdpa_kernel_backends(with_priority=False):
    """The backends chosen by the innermost `sdpa_kernel`."""
    return list(_chosen)


@contextlib.contextmanager
def sdpa_kernel(backends, set_priority=False):
    """Within: scaled_dot_product_attention is limited to `backends`, which on a CPU all name the same kernel.

    >>> with ember.nn.attention.sdpa_kernel(ember.nn.attention.SDPBackend.MATH):
    ...     ember.nn.attention._cur_sdpa_kernel_backends()
    [<SDPBackend.MATH: 0>]
    """
    global _chosen
    backends = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not backends or not all(isinstance(backend, SDPBackend) for backend in backends):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    previous, _chosen = _chosen, list(dict.fromkeys(backends))
    try:
        yield {}
    finally:
        _chosen = previous
