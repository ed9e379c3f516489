# Python's multiprocessing under PyTorch's name, and tensors in memory that forked processes share.
"""Processes, and tensors that they share: `x.share_memory_()` before a fork gives all processes one memory."""

import mmap
import multiprocessing as _multiprocessing
import weakref

from ember import _C

__all__ = [
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "is_shared",
    "set_sharing_strategy",
    "share_memory",
    "spawn",
]

_addresses = weakref.WeakValueDictionary()  # of the maps in use: by where their tensors are


def share_memory(tensor):
    """Moves a tensor's memory to where processes that are forked later see the same bytes; returns the tensor.

    Views that were made before keep the old memory.

    >>> ember.zeros(2).share_memory_().is_shared()
    True
    """
    if is_shared(tensor) or tensor.is_meta:
        return tensor
    whole = _C._whole_storage(tensor)
    memory = mmap.mmap(-1, max(whole.numel(), 1))
    fresh = _C._frombuffer(memory, _C.uint8, -1, 0)
    if whole.numel():
        fresh[: whole.numel()].copy_(whole)
    with _C.no_grad():
        tensor.data = _C._over_storage(fresh, tensor)
    _addresses[tensor._storage()[0]] = memory
    return tensor


def is_shared(tensor):
    """Is the tensor's memory seen by forked processes?"""
    return tensor._storage()[0] in _addresses


def get_sharing_strategy():
    """How memory is shared: by maps that forked processes inherit."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy):
    """Accepted for PyTorch's sake."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"set_sharing_strategy: {new_strategy!r} is none of {get_all_sharing_strategies()}")


def get_all_sharing_strategies():
    """The names that set_sharing_strategy() accepts."""
    return {"file_descriptor", "file_system"}


def spawn(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """Runs `fn(i, *args)` in `nprocs` processes and waits; RuntimeError when one fails.

    Without `join` it returns the processes at once.
    """
    context = _multiprocessing.get_context(start_method)
    processes = [context.Process(target=fn, args=(i, *args), daemon=daemon) for i in range(nprocs)]
    for process in processes:
        process.start()
    if not join:
        return processes
    for i, process in enumerate(processes):
        process.join()
        if process.exitcode:
            for other in processes:
                other.terminate()
            raise RuntimeError(f"process {i} terminated with exit code {process.exitcode}")
    return None


def __getattr__(name):
    return getattr(_multiprocessing, name)
