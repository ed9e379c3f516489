# Checkpoints. Plain data (tensors, numbers, strings, containers) goes through the C++ reader and writer, which have no
# pickle machine; whole objects go through Python's own pickler, and come back only with weights_only=False or for
# classes that were allowed by name.
"""save and load of `.pt` files, which PyTorch reads and writes too."""

import contextlib
import importlib
import io
import os
import pickle
import types
import zipfile

import ember
from ember import _C, _utils

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

_safe = {}


def _name_of(entry):
    if isinstance(entry, tuple):
        return entry[1], entry[0]
    return f"{entry.__module__}.{entry.__qualname__}", entry


def add_safe_globals(safe_globals):
    """Allows classes and functions (or `(object, "module.name")`) to be named by files read with weights_only=True.

    >>> import fractions
    >>> ember.serialization.add_safe_globals([fractions.Fraction])
    >>> ember.serialization.clear_safe_globals()
    """
    _safe.update(_name_of(entry) for entry in safe_globals)


def get_safe_globals():
    """What `add_safe_globals` allowed so far."""
    return list(_safe.values())


def clear_safe_globals():
    """Takes back all that `add_safe_globals` allowed."""
    _safe.clear()


@contextlib.contextmanager
def safe_globals(safe_globals):
    """Allows some classes within a `with` block.

    >>> import fractions
    >>> with ember.serialization.safe_globals([fractions.Fraction]):
    ...     len(ember.serialization.get_safe_globals())
    1
    """
    before = dict(_safe)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe.clear()
        _safe.update(before)


def _as_bytes_or_path(f):
    if isinstance(f, (str, os.PathLike)):
        os.stat(f)  # FileNotFoundError in Python's own words
        return os.fspath(f)
    if not hasattr(f, "read"):
        raise AttributeError(
            f"expected a path or a file opened for binary reading, got {type(f).__name__}. "
            "You can only torch.load from a file that is seekable."
        )
    data = f.read()
    if not isinstance(data, bytes):
        raise TypeError(f"load: the file gave {type(data).__name__}, not bytes; open it with mode 'rb'")
    return data


def _locator(map_location):
    """A check of where storages were saved: everything is brought to the CPU, and that must be what was asked for."""
    target = map_location
    if isinstance(map_location, (str,)) or type(map_location).__name__ == "device":
        kind = str(map_location).split(":")[0]
        if kind not in ("cpu", "meta"):
            raise RuntimeError(
                f"Attempting to deserialize object on device {map_location}, which is not available; "
                "use map_location=torch.device('cpu')"
            )

    def locate(location):
        wanted = target
        if isinstance(target, dict):
            wanted = target.get(location)
        elif callable(target) and type(target).__name__ != "device":
            wanted = "cpu"
        if wanted is None and location.startswith("cuda"):
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
                "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map "
                "your storages to the CPU."
            )

    return locate


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Reads what `save`, here or in PyTorch, wrote.

    Args:
        f: a path, or a file opened for reading bytes.
        map_location: "cpu", a device, a dict or a callable; needed for files that were saved on a GPU.
        weights_only: True (the default) builds data only and refuses any other name in the file; False runs Python's
            unpickler, which can execute code from the file: only for files that you trust.
        mmap: tensors look at the file's pages, read when touched; only for paths.

    Raises:
        pickle.UnpicklingError: the file names something that is not data.
        OSError, RuntimeError: the file is missing or damaged.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "x.pt")
    >>> ember.save({"w": ember.ones(2)}, path)
    >>> ember.load(path)
    {'w': tensor([1., 1.])}
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    locate = _locator(map_location)
    source = _as_bytes_or_path(f)
    if weights_only:
        return _C._load_tree(source, bool(mmap), _allowed, _lookup, locate)
    return _load_with_pickle(source, pickle_module or pickle, locate, pickle_load_args)


def _allowed(name):
    return name in _safe or name.replace("torch.", "ember.", 1) in _safe


def _lookup(name):
    return _safe[name] if name in _safe else _safe[name.replace("torch.", "ember.", 1)]


class _Storage:
    """A record of a file as the rebuilders take it: flat bytes, and the dtype that the file gives it."""

    def __init__(self, data, dtype):
        self.data, self.dtype = data, dtype


def _find_class(module, name):
    if module == "torch" and name.endswith("Storage"):
        return _utils._storage_dtype(name)
    if module == "torch" or module.startswith("torch."):
        own = "ember" + module[len("torch") :]
        return getattr(importlib.import_module(own), name)
    return None


def _load_with_pickle(source, pickle_module, locate, pickle_load_args):
    file = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
    with file:
        if not zipfile.is_zipfile(file):
            return _C._load_tree(source, False, lambda name: True, _lookup_any, locate)
        archive = zipfile.ZipFile(file)
        names = archive.namelist()
        try:
            root = next(n for n in names if n.endswith("data.pkl"))[: -len("data.pkl")]
        except StopIteration:
            raise RuntimeError("load: the archive holds no data.pkl: it was not written by save") from None
        storages = {}

        class Unpickler(pickle_module.Unpickler):
            def find_class(self, module, name):
                found = _find_class(module, name)
                return super().find_class(module, name) if found is None else found

            def persistent_load(self, saved_id):
                _, dtype, key, location, _count = saved_id
                locate(location)
                if key not in storages:
                    raw = archive.read(f"{root}data/{key}")
                    storages[key] = _utils._flat(raw)
                return _Storage(storages[key], dtype)

        return Unpickler(io.BytesIO(archive.read(root + "data.pkl")), **pickle_load_args).load()


def _lookup_any(name):
    module, _, attribute = name.rpartition(".")
    found = _find_class(module, attribute)
    return getattr(importlib.import_module(module), attribute) if found is None else found


class _Pickler(pickle._Pickler):
    """Python's pickler with PyTorch's names: tensors by reference to storages, `ember.…` written as `torch.…`."""

    def __init__(self, file, storages, protocol):
        super().__init__(file, protocol)
        self.storages, self.keys = storages, {}

    def reducer_override(self, obj):
        if isinstance(obj, ember.Tensor):
            return _utils._reduce_for_file(obj)
        return NotImplemented

    def persistent_id(self, obj):
        if not isinstance(obj, _utils._StorageOf):
            return None
        whole = obj.whole
        key = self.keys.get(obj.identity)
        if key is None:
            key = self.keys[obj.identity] = str(len(self.storages))
            self.storages.append(whole)
        return ("storage", _utils._StorageClass(obj.dtype), key, "cpu", whole.numel() // obj.dtype.itemsize)

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", None) or ""
        name = name or getattr(obj, "__qualname__", None) or obj.__name__
        if module == "ember" or module.startswith("ember."):
            self.write(pickle.GLOBAL + f"torch{module[5:]}\n{name}\n".encode())
            return self.memoize(obj)
        return super().save_global(obj, name)

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _utils._StorageClass):
            return self.write(pickle.GLOBAL + f"torch\n{obj.name}\n".encode())
        return super().save(obj, save_persistent_id)

    dispatch = {**pickle._Pickler.dispatch, types.FunctionType: save_global}


def save(obj, f, pickle_module=None, pickle_protocol=2, _use_new_zipfile_serialization=True):
    """Writes an object to a file that `load`, here and in PyTorch, reads.

    A path is written beside and renamed when it is complete: an older file stays whole until then. Tensors that share
    memory share it in the file too.

    Args:
        obj: tensors, numbers, strings, containers of them, modules; anything that can be pickled.
        f: a path, or a file opened for writing bytes.

    Raises:
        OSError: the file cannot be written (a full disk among the reasons).

    >>> import io
    >>> buffer = io.BytesIO()
    >>> ember.save([1, ember.zeros(2)], buffer)
    >>> _ = buffer.seek(0)
    >>> ember.load(buffer)
    [1, tensor([0., 0.])]
    """
    path = os.fspath(f) if isinstance(f, (str, os.PathLike)) else None
    if path is None and not hasattr(f, "write"):
        raise AttributeError(f"expected a path or a file opened for binary writing, got {type(f).__name__}")
    plain, data = _C._save_tree(obj, path)
    if not plain:
        buffer, storages = io.BytesIO(), []
        _Pickler(buffer, storages, pickle_protocol).dump(obj)
        data = _C._write_archive(buffer.getvalue(), storages, path)
    if path is None:
        f.write(data)
