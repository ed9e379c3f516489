# safetensors files with the functions of the `safetensors.torch` package, over the C++ reader and writer.
"""Read and write safetensors: names, shapes and bytes of tensors, nothing that could run."""

import os

from ember import _C

__all__ = ["load", "load_file", "safe_open", "save", "save_file"]


def save_file(tensors, filename, metadata=None):
    """Writes a dict of contiguous tensors, beside the file and renamed when complete.

    Raises TypeError for keys that are no str or values that are no Tensor, ValueError for a tensor that is not
    contiguous, OSError when the file cannot be written.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> ember.safetensors.save_file({"w": ember.ones(2)}, path)
    >>> ember.safetensors.load_file(path)
    {'w': tensor([1., 1.])}
    """
    _C._safetensors_save(dict(tensors), dict(metadata or {}), os.fspath(filename))


def save(tensors, metadata=None):
    """The bytes that `save_file` would write."""
    return _C._safetensors_save(dict(tensors), dict(metadata or {}), None)


def load_file(filename, device="cpu"):
    """The tensors of a file, over its mapped pages: read when touched, never copied.

    Raises OSError for a damaged file.
    """
    return _C._safetensors_load(os.fspath(filename))[0]


def load(data):
    """The tensors in the bytes of a file."""
    return _C._safetensors_load(bytes(data))[0]


class safe_open:  # noqa: N801  the package's own name
    """A file opened for looking up single tensors.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> ember.safetensors.save_file({"w": ember.ones(2)}, path, {"by": "me"})
    >>> with ember.safetensors.safe_open(path) as f:
    ...     f.keys(), f.metadata(), f.get_tensor("w")
    (['w'], {'by': 'me'}, tensor([1., 1.]))
    """

    def __init__(self, filename, framework="pt", device="cpu"):
        self._tensors, self._metadata = _C._safetensors_load(os.fspath(filename))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tensors = {}

    def keys(self):
        return list(self._tensors)

    def metadata(self):
        return self._metadata

    def get_tensor(self, name):
        return self._tensors[name]

    def get_slice(self, name):
        return self._tensors[name]
