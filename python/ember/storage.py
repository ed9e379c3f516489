# Views of the memory behind a tensor, as PyTorch shows it: bytes, or elements of one dtype.
"""UntypedStorage and TypedStorage."""

from ember import _C

__all__ = ["TypedStorage", "UntypedStorage"]


class UntypedStorage:
    """The bytes that a tensor and its views share.

    >>> ember.zeros(3).untyped_storage().nbytes()
    12
    """

    def __init__(self, tensor):
        self._bytes = _C._whole_storage(tensor)
        self.device = tensor.device

    def data_ptr(self):
        return self._bytes.data_ptr()

    def nbytes(self):
        return self._bytes.numel()

    size = __len__ = nbytes

    def element_size(self):
        return 1

    @property
    def _cdata(self):
        return self._bytes._storage()[2]

    def __getitem__(self, index):
        got = self._bytes[index]
        return got.item() if got.dim() == 0 else UntypedStorage(got)

    def __setitem__(self, index, value):
        self._bytes[index] = value

    def tolist(self):
        return self._bytes.tolist()

    def clone(self):
        return UntypedStorage(self._bytes.clone())

    def is_shared(self):
        return self._bytes.is_shared()

    def __iter__(self):
        return iter(self.tolist())

    def __repr__(self):
        return f"<UntypedStorage of {self.nbytes()} bytes on {self.device}>"


class TypedStorage:
    """The elements of the memory that a tensor and its views share."""

    def __init__(self, tensor):
        self._untyped_storage = UntypedStorage(tensor)
        self.dtype, self.device = tensor.dtype, tensor.device
        self._elements = self._untyped_storage._bytes.view(tensor.dtype)

    def data_ptr(self):
        return self._untyped_storage.data_ptr()

    def nbytes(self):
        return self._untyped_storage.nbytes()

    def size(self):
        return self._elements.numel()

    __len__ = size

    def element_size(self):
        return self.dtype.itemsize

    def untyped(self):
        return self._untyped_storage

    def tolist(self):
        return self._elements.tolist()

    def __getitem__(self, index):
        got = self._elements[index]
        return got.item() if got.dim() == 0 else got

    def __setitem__(self, index, value):
        self._elements[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def __repr__(self):
        return f"<TypedStorage of {self.size()} x {self.dtype} on {self.device}>"
