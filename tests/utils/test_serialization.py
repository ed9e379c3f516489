# Files as they come: damaged ones, ones that cannot be written, and saves that are cut short. PyTorch reads what we
# write, and we read what PyTorch writes.
"""Tests of ember.serialization and ember.safetensors against bad files."""

import os
import pickle
import random
import signal
import subprocess
import sys
import time

import ember
import pytest
import torch
from ember import safetensors

pytestmark = pytest.mark.sanitize

STATE = {"a": list(range(100)), "b": [1, 2.5, "x", None], "c": {"d": 3}}


def state(m):
    return {
        "w": m.arange(100.0).reshape(4, 25).t(),
        "i": m.ones(3, 4, dtype=m.int64),
        "b": [1, 2.5, "x", None, m.zeros(())],
    }


def kept(x):
    if isinstance(x, (ember.Tensor, torch.Tensor)):
        return [str(x.dtype), tuple(x.stride()), x.tolist()] if x.numel() < 10**6 else None
    if isinstance(x, dict):
        return {k: kept(v) for k, v in x.items()}
    return [kept(v) for v in x] if isinstance(x, (list, tuple)) else x


def test_both_ways(tmp_path):
    ember.save(state(ember), tmp_path / "ours.pt")
    torch.save(state(torch), tmp_path / "theirs.pt")
    assert kept(torch.load(tmp_path / "ours.pt")) == kept(ember.load(tmp_path / "theirs.pt")) == kept(state(torch))


def written(kind, path):
    if kind == "safetensors":
        safetensors.save_file({"a": ember.ones(100), "b": ember.zeros(3, 3, dtype=ember.int64)}, str(path))
    elif kind == "ours":
        ember.save(state(ember), path)
    else:
        torch.save(state(torch), path, _use_new_zipfile_serialization=kind == "theirs")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["ours", "theirs", "old", "safetensors"])
def test_damaged_files(kind, tmp_path):
    """Every damage is an exception that says something, or goes unnoticed: never a crash, never other errors."""
    whole = written(kind, tmp_path / "whole")
    path = tmp_path / "damaged"
    rng = random.Random(kind)
    refused = 0
    for _ in range(700):
        data = bytearray(whole)
        if rng.random() < 0.4:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice([1, 1, 2, 8, 64])):
                near = min(len(data), 400)
                at = rng.choice([rng.randrange(len(data)), rng.randrange(near), len(data) - 1 - rng.randrange(near)])
                data[at] = rng.randrange(256)
        path.write_bytes(data)
        try:
            if kind == "safetensors":
                kept(safetensors.load_file(str(path)))
            else:
                kept(ember.load(path, mmap=kind != "old" and rng.random() < 0.3))
        except UnicodeError:
            raise
        except (OSError, pickle.UnpicklingError, RuntimeError, ValueError) as error:
            assert str(error)
            refused += 1
    assert refused > 200


def test_names_that_are_no_text(tmp_path):
    # protocol 2, GLOBAL "\xde.x": a name that is quoted in an error, and asked for in Python
    data = b"\x80\x02c\xde\nx\n."
    with pytest.raises(pickle.UnpicklingError, match="UTF-8"):
        path = tmp_path / "x.pkl"
        path.write_bytes(data)
        ember.load(path)


def test_no_space():
    with pytest.raises(OSError, match="No space left"):
        ember.save(state(ember), "/dev/full")
    with pytest.raises(OSError, match="No space left"):
        safetensors.save_file({"a": ember.ones(10)}, "/dev/full")
    assert not os.path.isfile("/dev/full")  # a device stays one


def test_a_link_stays_one(tmp_path):
    target, link = tmp_path / "target.pt", tmp_path / "link.pt"
    target.write_bytes(b"old")
    link.symlink_to(target)
    ember.save(STATE, link)
    assert link.is_symlink() and ember.load(target) == STATE


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        ember.load(tmp_path / "nothing.pt")
    with pytest.raises(OSError, match="no/such"):
        ember.save(STATE, tmp_path / "no/such.pt")
    with pytest.raises(IsADirectoryError):
        ember.load(tmp_path)


def child(code, *args):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


def test_a_file_that_grows_too_large(tmp_path):
    path = tmp_path / "x.pt"
    ember.save(STATE, path)
    process = child(
        "import ember, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: ember.save(ember.ones(1_000_000), sys.argv[1])\n"
        "except OSError as error: print(error)\n",
        path,
    )
    assert "File too large" in process.communicate()[0]
    assert ember.load(path) == STATE and os.listdir(tmp_path) == ["x.pt"]


def test_killed_while_saving(tmp_path):
    path = tmp_path / "x.pt"
    for wait in (0.0, 0.02, 0.05):
        ember.save(STATE, path)
        process = child(
            "import ember, sys\nx = ember.ones(20_000_000)\nprint('go', flush=True)\nember.save(x, sys.argv[1])", path
        )
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = ember.load(path)
        assert found == STATE if isinstance(found, dict) else found.shape == (20_000_000,)
