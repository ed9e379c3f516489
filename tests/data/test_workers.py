# Worker processes: the same batches as PyTorch's from the same seeds, nothing lost or left behind however they end.
"""Tests of DataLoader with worker processes."""

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import ember
import ember.utils.data
import numpy as np
import pytest
import torch
import torch.utils.data
from ember.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:This process .* multi-threaded")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def pids(iterator):
    return [worker.process.pid for worker in iterator._workers]


def values(batches):
    return [[t.tolist() for t in b] if isinstance(b, (list, tuple)) else b.tolist() for b in batches]


class Noise:
    """Draws from every generator that a worker seeds."""

    def __init__(self, rand):
        self.rand = rand

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return i, random.random(), np.random.rand(), self.rand(()).item()


def random_of_ember(size):
    return ember.rand(size)


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.n, info.num_workers) if info else range(self.n))


class Raises(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 5:
            raise self.error
        return i


class Awkward(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


class Dies(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 5:
            if self.how == "exit":
                os._exit(7)
            if self.how == signal.SIGSEGV:  # libraries that other tests opened may catch it
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), self.how)
            time.sleep(60)
        return i


class Naps(Dataset):
    def __init__(self, seconds, n=8):
        self.seconds, self.n = seconds, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        time.sleep(self.seconds if isinstance(self.seconds, float) else self.seconds(i))
        return i


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"prefetch_factor": 1}, {"drop_last": True}])
def test_same_batches_as_pytorch(options):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20)
    results = []
    for m in (ember, torch):
        m.manual_seed(4)
        dataset = m.utils.data.TensorDataset(m.from_numpy(x.copy()), m.from_numpy(y.copy()))
        loader = m.utils.data.DataLoader(dataset, 3, num_workers=2, **options)
        results.append([values(loader), values(loader), m.rand(1).item()])
    assert results[0] == results[1]


def test_same_seeds_as_pytorch():
    results = []
    for m in (ember, torch):
        m.manual_seed(4)
        loader = m.utils.data.DataLoader(Noise(m.rand), 2, num_workers=2)
        results.append([values(loader), values(loader)])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_start_methods(context):
    loader = DataLoader(Noise(random_of_ember), 4, num_workers=1, multiprocessing_context=context)
    assert [b[0].tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_worker_info_and_init():
    seen = []

    class Info(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            info = get_worker_info()
            return (
                info.id,
                info.num_workers,
                info.seed - info.id,
                int(info.dataset is self),
                ember.get_num_threads(),
                mark,
            )

    def init(worker):
        global mark
        mark = 10 + worker

    loader = DataLoader(Info(), 1, num_workers=2, worker_init_fn=init)
    for b in loader:
        seen.append([t.item() for t in b])
    assert [s[0] for s in seen] == [0, 1, 0, 1]
    assert all(s[1] == 2 and s[3] == 1 and s[4] == 1 and s[5] == 10 + s[0] for s in seen)
    assert len({s[2] for s in seen}) == 1
    assert get_worker_info() is None


@pytest.mark.parametrize("persistent", [False, True])
def test_streams(persistent):
    loader = DataLoader(Stream(11), 2, num_workers=3, persistent_workers=persistent)
    for _ in range(3):
        assert sorted(v for b in loader for v in b.tolist()) == list(range(11))
    for _ in loader:
        break  # an epoch given up half way
    assert sorted(v for b in loader for v in b.tolist()) == list(range(11))


def test_stream_order_is_pytorchs():
    class Theirs(torch.utils.data.IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            return iter(range(info.id, 23, info.num_workers))

    theirs = torch.utils.data.DataLoader(Theirs(), 2, num_workers=3)
    assert values(DataLoader(Stream(23), 2, num_workers=3)) == values(theirs)


def test_persistent_workers_stay():
    loader = DataLoader(range(8), 2, num_workers=2, persistent_workers=True)
    first = iter(loader)
    processes = pids(first)
    assert values(first) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    second = iter(loader)
    assert second is first and pids(second) == processes
    next(second)
    assert values(iter(loader)) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    del first, second, loader
    gc.collect()
    assert wait_until(lambda: not any(map(alive, processes)))


def test_out_of_order():
    loader = DataLoader(Naps(lambda i: 0.5 if i == 0 else 0.0), 1, num_workers=2, in_order=False)
    got = [b.item() for b in loader]
    assert sorted(got) == list(range(8)) and got[0] != 0


def test_batches_of_every_kind():
    class Kinds(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            big = ember.arange(5000)
            return {
                "big": big,
                "shared": big,
                "view": big.view(50, 100).t()[::3],
                "empty": ember.empty(0, 3),
                "scalar": ember.tensor(1.5),
                "bool": ember.tensor([True, False]),
                "bf16": ember.ones(3000, dtype=ember.bfloat16),
                "complex": ember.ones(3, dtype=ember.complex64),
                "numpy": np.arange(5000).reshape(100, 50).T,
                "text": "a" * 9000,
                "grad": ember.ones(2, requires_grad=True),
                "nested": [(ember.ones(1), {"x": 2})],
            }

    for got in DataLoader(Kinds(), None, num_workers=1):
        expected = Kinds()[0]
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            if isinstance(value, ember.Tensor):
                assert got[key].dtype == value.dtype and ember.equal(got[key], value), key
        assert np.array_equal(got["numpy"].numpy(), expected["numpy"]) and got["text"] == expected["text"]
        assert got["shared"] is got["big"] and got["grad"].requires_grad
        got["big"].add_(1)  # the memory is the receiver's own
        assert got["big"][1].item() == 2


def test_a_batch_outlives_its_worker():
    batches = list(DataLoader(TensorDataset(ember.arange(20000).view(2, 10000)), 1, num_workers=2))
    gc.collect()
    assert [b[0].sum().item() for b in batches] == [sum(range(10000)), sum(range(10000, 20000))]


def test_long_messages_both_ways_do_not_lock_up():
    class Texts(Dataset):
        def __getitem__(self, key):
            return "x" * 3000 + key[:10]

    keys = [f"{i:06d}" + "y" * 3000 for i in range(600)]
    loader = DataLoader(Texts(), None, sampler=keys, num_workers=1, prefetch_factor=500)
    assert len(list(loader)) == 600


@pytest.mark.parametrize("error", [ValueError("bad sample"), KeyError("bad sample"), Awkward("bad", "sample")])
def test_an_exception_keeps_type_and_traceback(error):
    kind = RuntimeError if isinstance(error, Awkward) else type(error)
    got = []
    with pytest.raises(kind) as info:
        for batch in DataLoader(Raises(error), 2, num_workers=2):
            got.append(batch.tolist())
    assert got == [[0, 1], [2, 3]]
    text = str(info.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 0" in text
    assert "Original Traceback" in text and "__getitem__" in text and "\n" in text and "bad" in text


def test_loading_goes_on_after_an_exception():
    iterator = iter(DataLoader(Raises(ValueError("x")), 1, num_workers=2))
    got = []
    while True:
        try:
            got.append(next(iterator).item())
        except ValueError:
            got.append("error")
        except StopIteration:
            break
    assert got == [0, 1, 2, 3, 4, "error", 6, 7]


def test_what_cannot_be_pickled_is_reported():
    class Lambdas(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return lambda: i

    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        list(DataLoader(Lambdas(), None, num_workers=1))


def test_an_exception_in_worker_init():
    def init(worker):
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        list(DataLoader(range(4), 1, num_workers=2, worker_init_fn=init))


@pytest.mark.parametrize(
    "how, words",
    [
        (signal.SIGKILL, "is killed by signal: SIGKILL, Killed"),
        (signal.SIGSEGV, "is killed by signal: SIGSEGV"),
        ("exit", "exited with code 7"),
    ],
)
def test_a_dead_worker_is_reported(how, words):
    iterator = iter(DataLoader(Dies(how), 1, num_workers=2))
    processes = pids(iterator)
    start = time.monotonic()
    with pytest.raises(RuntimeError) as info:
        list(iterator)
    assert time.monotonic() - start < 30
    text = str(info.value)
    assert f"DataLoader worker (pid(s) {processes[1]}) exited unexpectedly" in text
    assert f"ember_data_worker_1 (pid {processes[1]}) {words}" in text
    assert wait_until(lambda: not any(map(alive, processes)))
    with pytest.raises(StopIteration):
        next(iterator)


def test_an_idle_worker_that_dies_is_noticed():
    iterator = iter(DataLoader(Naps(0.3), 1, num_workers=2, prefetch_factor=1))
    os.kill(pids(iterator)[0], signal.SIGKILL)
    with pytest.raises(RuntimeError, match="SIGKILL"):
        list(iterator)


def test_timeout():
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.2 seconds"):
        list(DataLoader(Naps(3.0, 1), 1, num_workers=1, timeout=0.2))


@pytest.mark.parametrize("action", ["exhausted", "abandoned", "never started"])
def test_nothing_is_left(action):
    gc.collect()
    before = set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))
    iterator = iter(DataLoader(TensorDataset(ember.zeros(64, 5000)), 8, num_workers=2))
    processes = pids(iterator)
    if action == "exhausted":
        list(iterator)
    elif action == "abandoned":
        next(iterator)
    del iterator
    gc.collect()
    assert wait_until(lambda: not any(map(alive, processes)))
    assert (set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))) == before


def run_script(body, **popen):
    script = "import os, sys, time, signal\nimport ember\nfrom ember.utils.data import *\n" + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **popen,
    )


LOOP = """
class Data(Dataset):
    def __len__(self): return 10**6
    def __getitem__(self, i): time.sleep(0.01); return ember.zeros(10000)
it = iter(DataLoader(Data(), 2, num_workers=2))
print(*[w.process.pid for w in it._workers], flush=True)
"""


@pytest.mark.parametrize(
    "number, whom", [(signal.SIGINT, "group"), (signal.SIGINT, "loader"), (signal.SIGKILL, "loader")]
)
def test_interrupted_or_killed_loaders_leave_no_process(number, whom):
    process = run_script(LOOP + "for b in it: pass")
    processes = [int(p) for p in process.stdout.readline().split()]
    time.sleep(0.3)
    (os.killpg if whom == "group" else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -number or process.returncode == 130 or number == signal.SIGINT
    if number == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1 and "ember_data_worker" not in errors
    assert wait_until(lambda: not any(map(alive, processes)), 12)


@pytest.mark.parametrize("end", ["next(it)", "next(it); sys.exit(3)", "next(it); raise ValueError('done')"])
def test_no_hang_at_exit(end):
    process = run_script(LOOP + end)
    processes = [int(p) for p in process.stdout.readline().split()]
    _, errors = process.communicate(timeout=20)
    assert wait_until(lambda: not any(map(alive, processes)))
    assert errors.count("Traceback") == ("raise" in end)


def test_worker_numbers_are_weighed():
    with pytest.warns(UserWarning, match="worker processes in total"):
        DataLoader([1], num_workers=10**4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataLoader([1], num_workers=1)


def test_iterators_cannot_be_pickled():
    import pickle

    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(DataLoader([1])))
