# The sampler for training from several processes: each rank takes every n-th index of one common shuffle.
"""DistributedSampler: one rank's share of a dataset."""

import math
from collections.abc import Iterator

import ember

from .sampler import Sampler

__all__ = ["DistributedSampler"]


def _ask_distributed(question: str) -> int:
    if not ember.distributed.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return getattr(ember.distributed, question)()


class DistributedSampler(Sampler):
    """The indices of rank `rank` of `num_replicas`, all ranks' shares being equally long.

    Args:
        num_replicas, rank: asked of `ember.distributed` where not given (RuntimeError where that is not available).
        shuffle: shuffles by `seed + epoch`; call `set_epoch` before each epoch, or every one has the same order.
        drop_last: drops the tail that does not divide evenly; otherwise the first indices are repeated.

    >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ):
        num_replicas = _ask_distributed("get_world_size") if num_replicas is None else num_replicas
        rank = _ask_distributed("get_rank") if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.num_samples = (len(dataset) if drop_last else len(dataset) + num_replicas - 1) // num_replicas
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = ember.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = ember.randperm(n, generator=generator).tolist()
        else:
            indices = list(range(n))
        if self.total_size > n:  # repeated from the start, more than once if there are few
            indices = (indices * math.ceil(self.total_size / n))[: self.total_size]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Makes the next pass shuffle as epoch `epoch` does."""
        self.epoch = epoch
