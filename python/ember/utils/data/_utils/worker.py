# The worker process of a DataLoader: it takes keys off its channel and puts batches on it until the channel closes.
#
# A worker runs one thread and seeds every generator from the loader's base seed and its own number, as PyTorch does.
# Whatever its dataset or collation raises travels to the loader as data. It ends when its loader is gone.
"""What runs in a worker process."""

import os
import random
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import Any

import ember
from ember.utils.data._utils.channel import Channel, pack
from ember.utils.data._utils.fetch import _IterableDatasetFetcher, _MapDatasetFetcher

MP_STATUS_CHECK_INTERVAL = 5.0  # seconds between looks at whether the other side is still there

# The loaders' ends of all channels in this process. A forked worker inherits them and must close them, or a loader
# that dies would not be noticed by its workers.
loader_ends: set[Channel] = set()


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows of itself; see `get_worker_info`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process: its `id`, `num_workers`, `seed`, and its copy of the `dataset`. None elsewhere.

    >>> get_worker_info() is None
    True
    """
    return _worker_info


@dataclass(frozen=True)
class _IterableDatasetStopIteration:
    """Sent once a worker's stream has ended."""

    worker_id: int


@dataclass(frozen=True)
class _ResumeIteration:
    """Asks a persistent worker for a new epoch."""

    seed: int | None = None


class ExceptionWrapper:
    """An exception on its way to another process: its type, and its traceback as text."""

    def __init__(self, exc_info=None, where="in background"):
        kind, value, trace = sys.exc_info() if exc_info is None else exc_info
        self.exc_type = kind
        self.exc_msg = "".join(traceback.format_exception(kind, value, trace))
        self.where = where

    def reraise(self):
        """Raises an exception of the original type, with the original traceback in its message."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(_Unquoted(message))
        try:
            exception = self.exc_type(message)
        except Exception:  # its constructor wants other arguments
            raise RuntimeError(message) from None
        raise exception


class _Unquoted(str):
    """A KeyError shows the repr of its argument, which would hide a traceback's line breaks."""

    __slots__ = ()

    def __repr__(self):
        return str(self)


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """The seed of NumPy's global generator: four words hashed from the seed and the worker's number."""
    import numpy as np

    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(words).generate_state(4).tolist()


def _seed_everything(base_seed: int, worker_id: int) -> int:
    seed = base_seed + worker_id
    random.seed(seed)
    ember.manual_seed(seed)
    import numpy as np

    np.random.seed(_generate_state(base_seed, worker_id))
    return seed


@dataclass
class Job:
    """Everything that a worker needs to know; sent once, when its process starts."""

    kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Any
    drop_last: bool
    base_seed: int
    init_fn: Any
    worker_id: int
    num_workers: int

    def fetcher(self):
        """A fetcher at the start of the dataset."""
        cls = _IterableDatasetFetcher if self.kind else _MapDatasetFetcher
        return cls(self.dataset, self.auto_collation, self.collate_fn, self.drop_last)

    @property
    def where(self) -> str:
        return f"in DataLoader worker process {self.worker_id}"


class _Worker:
    """The state of the loop: the fetcher, and whether the present epoch's stream has ended."""

    def __init__(self, job: Job):
        self.job = job
        self.ended = False
        self.failed: ExceptionWrapper | None = None
        self.fetcher = None

    def start(self) -> None:
        try:
            if self.job.init_fn is not None:
                self.job.init_fn(self.job.worker_id)
            self.fetcher = self.job.fetcher()
        except Exception:
            self.failed = ExceptionWrapper(where=self.job.where)

    def resume(self) -> None:
        self.ended = False
        try:
            self.fetcher = self.job.fetcher()
        except Exception:
            self.failed = ExceptionWrapper(where=self.job.where)

    def answer(self, keys):
        """What to send back for these keys; None, for nothing, where the stream has ended before."""
        if self.ended:
            return None
        if self.failed is not None:
            return self.failed
        try:
            return self.fetcher.fetch(keys)
        except StopIteration:
            if not self.job.kind:
                return ExceptionWrapper(where=self.job.where)
            self.ended = True
            return _IterableDatasetStopIteration(self.job.worker_id)
        except Exception:
            return ExceptionWrapper(where=self.job.where)


def _packed(number, answer, where):
    """The answer as a message; an answer that cannot be pickled becomes an exception that says so."""
    try:
        return pack((number, answer))
    except Exception:
        wrapped = ExceptionWrapper(where=where)
    try:
        return pack((number, wrapped))
    except Exception:  # the exception's type cannot be pickled either
        wrapped.exc_type = RuntimeError
        return pack((number, wrapped))


def _serve(channel: Channel, job: Job) -> None:
    worker = _Worker(job)
    worker.start()
    loader = os.getppid()
    channel.socket.settimeout(MP_STATUS_CHECK_INTERVAL)
    while True:
        try:
            message = channel.receive()
        except TimeoutError:
            if os.getppid() != loader:
                return
            continue
        if isinstance(message, _ResumeIteration):
            worker.resume()
            continue
        number, keys = message
        answer = worker.answer(keys)
        if answer is None:
            continue
        packed = _packed(number, answer, job.where)
        channel.socket.settimeout(None)  # the loader may be busy for as long as it likes
        channel.send(packed)
        channel.socket.settimeout(MP_STATUS_CHECK_INTERVAL)
        del message, keys, answer, packed  # do not hold a batch while waiting


def worker_main(sock, job: Job) -> None:
    """The body of a worker process."""
    global _worker_info
    for end in loader_ends:
        end.close()
    loader_ends.clear()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        ember.set_num_threads(1)
        seed = _seed_everything(job.base_seed, job.worker_id)
        _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)
        threading.current_thread().name = f"ember_data_worker_{job.worker_id}"
        _serve(Channel(sock), job)
    except KeyboardInterrupt:
        pass  # the loader has it, too, and reports it
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the loader is done or gone
