# Ember on a machine without a GPU: every question has its honest answer, every setting is accepted where PyTorch
# without CUDA accepts it, and what needs a GPU raises.
"""CUDA: not available in this build."""

import contextlib

__all__ = ["current_device", "device_count", "empty_cache", "is_available", "manual_seed_all", "synchronize"]


def is_available():
    """False: this build has no GPU."""
    return False


def is_initialized():
    """False."""
    return False


def is_bf16_supported(including_emulation=True):
    """False."""
    return False


def device_count():
    """0."""
    return 0


def _unavailable(*args, **kwargs):
    raise AssertionError("Torch not compiled with CUDA enabled")


def _nothing(*args, **kwargs):
    """Nothing to do without a GPU."""


current_device = get_device_name = get_device_properties = get_device_capability = set_device = synchronize = (
    _unavailable
)
current_stream = default_stream = mem_get_info = get_rng_state = init = _unavailable
empty_cache = manual_seed = manual_seed_all = seed = seed_all = reset_peak_memory_stats = ipc_collect = _nothing
set_rng_state_all = reset_max_memory_allocated = _nothing


def _zero(device=None):
    """0 bytes without a GPU."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = _zero


def get_rng_state_all():
    """No devices, no states."""
    return []


def get_arch_list():
    """No architectures."""
    return []


class device(contextlib.nullcontext):
    """Selects a GPU; nothing happens for None or a negative index, as in PyTorch."""

    def __init__(self, device=None):
        super().__init__()
        index = getattr(device, "index", device)
        if index is not None and not (isinstance(index, int) and index < 0):
            _unavailable()


class Stream:
    """A queue of GPU work; none can be made here."""

    def __init__(self, *args, **kwargs):
        _unavailable()


class Event:
    """A mark in a queue of GPU work; none can be made here."""

    def __init__(self, *args, **kwargs):
        _unavailable()


def stream(stream):
    """A block on a stream; None is no stream."""
    return contextlib.nullcontext()


def __getattr__(name):
    if name == "amp":
        import ember.amp

        return ember.amp
    raise AttributeError(f"module 'ember.cuda' has no attribute '{name}'")
