# DataLoader: from a dataset, an order and a way to collate, an iterator of batches, made here or by worker processes.
#
# Batches are numbered; number n goes to the next worker that still runs, each worker having `prefetch_factor` of them
# ahead, and they are handed out in order of their numbers (or as they come). The loader waits on the workers'
# channels and on the processes themselves at once, so the death of one is seen at once.
"""DataLoader and its iterators."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import ember
from ember.utils.data import _utils
from ember.utils.data._utils.channel import Channel, pack
from ember.utils.data._utils.collate import default_collate, default_convert
from ember.utils.data._utils.worker import (
    MP_STATUS_CHECK_INTERVAL,
    ExceptionWrapper,
    Job,
    _IterableDatasetStopIteration,
    _ResumeIteration,
    get_worker_info,
    loader_ends,
    worker_main,
)
from ember.utils.data.dataset import IterableDataset
from ember.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_T_co = TypeVar("_T_co", covariant=True)
_collate_fn_t = Callable[[list], Any]
_worker_init_fn_t = Callable[[int], None]


class _DatasetKind:
    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(kind, dataset, auto_collation, collate_fn, drop_last):
        """The fetcher for this kind of dataset."""
        fetch = _utils.fetch
        cls = fetch._IterableDatasetFetcher if kind == _DatasetKind.Iterable else fetch._MapDatasetFetcher
        return cls(dataset, auto_collation, collate_fn, drop_last)


class _InfiniteConstantSampler(Sampler):
    """None, for ever: the keys of a stream."""

    def __iter__(self):
        while True:
            yield None


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class DataLoader(Generic[_T_co]):
    """Batches of a dataset.

    Args:
        dataset: reached by key, or an IterableDataset.
        batch_size: samples a batch; None for single samples, converted but not collated.
        shuffle: a new order each epoch.
        sampler, batch_sampler: an order of your own, of keys or of lists of keys.
        num_workers: processes that load ahead; 0 loads in this one.
        collate_fn: makes a batch of a list of samples; `default_collate` unless given.
        pin_memory: accepted; memory is pinned only where there is an accelerator.
        drop_last: drops a last batch that is too short.
        timeout: seconds to wait for workers before RuntimeError; 0 waits for ever.
        worker_init_fn: called in each worker with its number, after seeding.
        multiprocessing_context: how processes start: a context, or "fork", "spawn" or "forkserver".
        generator: source of the seeds of shuffles and workers.
        prefetch_factor: batches that each worker loads ahead; 2 unless given.
        persistent_workers: keeps workers for the next epoch.
        in_order: hands batches out in order; False hands them out as they are ready.

    Raises:
        ValueError, TypeError: options that contradict each other or the dataset.
        RuntimeError: while iterating, a worker that died or was too slow. What the dataset raises in a worker is raised
            again with its type and the worker's traceback.

    >>> from ember.utils.data import DataLoader
    >>> for batch in DataLoader(range(5), batch_size=2):
    ...     print(batch)
    tensor([0, 1])
    tensor([2, 3])
    tensor([4])
    """

    _FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
    __initialized = False

    def __init__(
        self,
        dataset,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler=None,
        batch_sampler=None,
        num_workers: int = 0,
        collate_fn: _collate_fn_t | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: _worker_init_fn_t | None = None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        self._check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self._dataset_kind = _DatasetKind.Iterable if isinstance(dataset, IterableDataset) else _DatasetKind.Map
        self._check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            if self._dataset_kind == _DatasetKind.Iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.collate_fn = collate_fn or (default_collate if self._auto_collation else default_convert)
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called = None
        self._iterator = None
        self.__initialized = True
        self.check_worker_number_rationality()

    @staticmethod
    def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")

    def _check_order(self, batch_size, shuffle, sampler, batch_sampler, drop_last) -> None:
        if self._dataset_kind == _DatasetKind.Iterable:
            given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
            for name, value in given.items():
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")

    @property
    def multiprocessing_context(self):
        """The context that starts workers; None for Python's default."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None and self.num_workers == 0:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                f"but got num_workers={self.num_workers}"
            )
        if isinstance(context, str):
            methods = multiprocessing.get_all_start_methods()
            if context not in methods:
                raise ValueError(
                    "multiprocessing_context option should specify a valid start method in "
                    f"{methods!r}, but got multiprocessing_context={context!r}"
                )
            context = multiprocessing.get_context(context)
        if context is not None and not isinstance(context, multiprocessing.context.BaseContext):
            raise TypeError(
                "multiprocessing_context option should be a valid context object or a string specifying the start "
                f"method, but got multiprocessing_context={context}"
            )
        self.__multiprocessing_context = context

    def __setattr__(self, name, value):
        if self.__initialized and name in self._FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def _get_iterator(self) -> "_BaseDataLoaderIter":
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self)

    def __iter__(self) -> "_BaseDataLoaderIter":
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None or self._iterator._closed:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        """What yields the keys of one fetch."""
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warns where there are more workers than CPUs."""
        cpus = _cpu_count()
        if self.num_workers > cpus:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number "
                f"of worker in current system is {cpus}, which is smaller than what this DataLoader is going to "
                "create. Please be aware that excessive worker creation might get DataLoader running slow or even "
                "freeze, lower the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


class _BaseDataLoaderIter:
    """What both iterators share: the keys, the seed and the count."""

    _closed = False

    def __init__(self, loader: DataLoader):
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._persistent_workers = loader.persistent_workers
        if loader.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=4,
            )
        self._sampler_iter = iter(self._index_sampler)
        # Drawn even where nothing uses it, and before the sampler draws: seeds must give PyTorch's orders.
        self._base_seed = ember.empty((), dtype=ember.int64).random_(generator=loader.generator).item()
        self._num_yielded = 0

    def __iter__(self):
        return self

    def _reset(self, loader: DataLoader) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self):
        return next(self._sampler_iter)

    def _next_data(self):
        raise NotImplementedError

    def __next__(self):
        data = self._next_data()
        self._num_yielded += 1
        promised = self._IterableDataset_len_called
        if promised is not None and self._dataset_kind == _DatasetKind.Iterable and self._num_yielded > promised:
            message = (
                f"Length of IterableDataset {self._dataset} was reported to be {promised} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched."
            )
            if self._num_workers > 0:
                message += " With several workers, each must be given its own share: see `get_worker_info`."
            warnings.warn(message, stacklevel=2)
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Loads in this process."""

    def __init__(self, loader: DataLoader):
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("Expected timeout to be 0 with num_workers=0")
        self._dataset_fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last
        )

    def _next_data(self):
        return self._dataset_fetcher.fetch(self._next_index())


class _WorkerHandle:
    """One worker as its loader sees it."""

    def __init__(self, context, job: Job):
        here, there = socket.socketpair()
        self.channel = Channel(here)
        loader_ends.add(self.channel)
        self.id = job.worker_id
        self.active = True  # may still have batches this epoch
        name = f"ember_data_worker_{job.worker_id}"
        self.process = context.Process(target=worker_main, args=(there, job), name=name, daemon=True)
        try:
            self.process.start()
        except BaseException:
            self.close()
            raise
        finally:
            there.close()

    def close(self) -> None:
        """Lets the worker know that nothing more is wanted."""
        loader_ends.discard(self.channel)
        self.channel.close()

    def describe_end(self) -> str:
        """How the process ended, in words."""
        self.process.join(1)
        code, who = self.process.exitcode, f"{self.process.name} (pid {self.process.pid})"
        if code is None:
            return f"{who} closed its channel"
        if code >= 0:
            return f"{who} exited with code {code}"
        try:
            name = f"{signal.Signals(-code).name}, {signal.strsignal(-code)}"
        except ValueError:
            name = str(-code)
        hint = " (out of shared memory or a full disk)" if -code == getattr(signal, "SIGBUS", None) else ""
        return f"{who} is killed by signal: {name}{hint}"


def _end_workers(workers: list[_WorkerHandle]) -> None:
    """Ends processes: asks, waits, then terminates, then kills. Safe to call twice and while the interpreter exits."""
    for worker in workers:
        worker.close()
    deadline = time.monotonic() + MP_STATUS_CHECK_INTERVAL
    for worker in workers:
        process = worker.process
        try:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join(1)
            if process.is_alive():
                process.kill()
                process.join()
        except (AssertionError, ValueError):
            pass  # forked since: not this process's children
    workers.clear()


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Loads in worker processes."""

    def __init__(self, loader: DataLoader):
        super().__init__(loader)
        if self._num_workers <= 0:
            raise AssertionError("num_workers must be greater than 0")
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._epoch = 0
        self._workers: list[_WorkerHandle] = []
        # Runs when the iterator is dropped, and at exit before Python waits for its child processes.
        self._finalizer = weakref.finalize(self, _end_workers, self._workers)
        context = loader.multiprocessing_context or multiprocessing
        for i in range(self._num_workers):
            job = Job(
                self._dataset_kind,
                self._dataset,
                self._auto_collation,
                self._collate_fn,
                self._drop_last,
                self._base_seed,
                loader.worker_init_fn,
                i,
                self._num_workers,
            )
            self._workers.append(_WorkerHandle(context, job))
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._send_idx = 0  # the number of the next batch to ask for
        self._rcvd_idx = 0  # and of the next to hand out
        self._asked: dict[int, _WorkerHandle] = {}
        self._ready: dict[int, Any] = {}
        self._turn = 0
        self._owed = self._prefetch_factor * self._num_workers  # how many more batches may be asked for
        self._ask()

    def _reset(self, loader: DataLoader) -> None:
        super()._reset(loader)
        self._epoch += 1  # what is still on its way belongs to the last epoch, and will be dropped
        for worker in self._workers:
            worker.active = True
            self._send(worker, _ResumeIteration())
        self._start_epoch()

    # ---- talking to workers

    def _send(self, worker: _WorkerHandle, message) -> None:
        # Taking in what is ready first keeps both directions of a socket from filling up at once.
        self._wait(0)
        try:
            worker.channel.send(pack(message))
        except OSError:
            self._fail([worker])

    def _ask(self) -> None:
        """Asks for as many batches as may be on their way."""
        while self._owed:
            self._owed -= 1
            self._ask_for_one()

    def _ask_for_one(self) -> None:
        """Asks the next running worker in turn for the next batch, if there is one."""
        count = len(self._workers)
        for step in range(count):
            worker = self._workers[(self._turn + step) % count]
            if worker.active:
                break
        else:
            return
        try:
            keys = self._next_index()
        except StopIteration:
            return
        self._turn = (self._turn + step + 1) % count
        number, self._send_idx = self._send_idx, self._send_idx + 1
        self._asked[number] = worker
        self._send(worker, ((self._epoch, number), keys))

    def _wait(self, timeout: float | None) -> bool:
        """Takes in what workers have sent, waiting up to `timeout` seconds (None: for ever) for the first of it."""
        watched = {worker.channel: worker for worker in self._workers}
        ends = {worker.process.sentinel: worker for worker in self._workers}
        ready = multiprocessing.connection.wait([*watched, *ends], timeout)
        dead = [ends[item] for item in ready if item in ends]
        for channel in ready:
            if channel in watched and not self._take(watched[channel]):
                dead.append(watched[channel])
        if dead:
            self._fail(dead)
        return bool(ready)

    def _take(self, worker: _WorkerHandle) -> bool:
        """Takes one message; False if the worker is gone."""
        try:
            (epoch, number), data = worker.channel.receive()
        except (EOFError, OSError):
            return False
        if epoch != self._epoch:
            return True
        if isinstance(data, _IterableDatasetStopIteration):
            worker.active = False
            self._asked.pop(number)
            # What this worker was asked for after its end never comes; those numbers are passed over.
            for other in [n for n, w in self._asked.items() if w is worker and n not in self._ready]:
                del self._asked[other]
                self._owed += 1
            self._owed += 1
        else:
            self._ready[number] = data
        return True

    def _fail(self, dead: list[_WorkerHandle]) -> None:
        ends = dict.fromkeys(worker.describe_end() for worker in dead)
        pids = ", ".join(dict.fromkeys(str(worker.process.pid) for worker in dead))
        self._shutdown_workers()
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly: {'; '.join(ends)}")

    # ---- handing batches out

    def _next_ready(self):
        """The number of a batch that can be handed out now; None if there is none, StopIteration after the last."""
        if not self._asked:
            raise StopIteration
        if not self._in_order:
            return next(iter(self._ready), None)
        number = next(iter(self._asked))  # in order of asking, without the numbers passed over
        return number if number in self._ready else None

    def _next_data(self):
        if self._closed:
            raise StopIteration
        deadline = time.monotonic() + self._timeout
        try:
            while (number := self._next_ready()) is None:
                left = max(0.0, deadline - time.monotonic()) if self._timeout > 0 else None
                if not self._wait(left) and self._timeout > 0:
                    raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
                self._ask()
        except StopIteration:
            if not self._persistent_workers:
                self._shutdown_workers()
            raise
        data = self._ready.pop(number)
        del self._asked[number]
        self._rcvd_idx += 1
        self._owed += 1
        self._ask()
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return data

    def _shutdown_workers(self) -> None:
        """Ends the worker processes; the iterator has nothing more to give."""
        self._closed = True
        self._asked, self._ready = {}, {}
        self._finalizer()
