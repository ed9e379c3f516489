# The channel between a loader and one of its workers: a socket for small messages, and for large ones memory that
# both sides map.
#
# A message is a pickle whose tensors and arrays are left outside of it as flat buffers. A small message goes through
# the socket whole. A large one is written to an anonymous file of memory, whose descriptor goes through the socket;
# the receiver maps it and builds tensors on the mapping, so nothing is copied there. Such a file has no name: when the
# last process that holds it goes, however it goes, the memory is free. There are no threads, queues or locks, so a
# process that is killed at any point leaves nothing behind that others could wait for.
"""Messages with tensors between processes."""

import io
import mmap
import os
import pickle
import socket
import struct
import tempfile

import ember

_INLINE = 4096  # bytes; so small that what is on its way at a time fits the socket's buffer
_ALIGN = 64
_HEADER = struct.Struct("<QI")  # bytes of the pickle, number of buffers
_SIZE = struct.Struct("<Q")
_DTYPES = {str(dtype): dtype for dtype in vars(ember).values() if isinstance(dtype, ember.dtype)}


def _tensor_from(buffer, dtype: str, shape, requires_grad: bool):
    """A tensor on the memory of `buffer`."""
    dtype = _DTYPES[dtype]
    flat = ember.frombuffer(buffer, dtype=dtype) if len(buffer) else ember.empty(0, dtype=dtype)
    tensor = flat.view(shape)
    return tensor.requires_grad_() if requires_grad else tensor


class _Pickler(pickle.Pickler):
    """Pickles plain dense tensors as a buffer and four words; everything else is pickled as ever."""

    def reducer_override(self, obj):
        if type(obj) is not ember.Tensor or obj.layout is not ember.strided or obj.device.type != "cpu":
            return NotImplemented
        if obj.requires_grad and not obj.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
                "crossing process boundaries.  If you just want to transfer the data, call detach() on the tensor "
                "before serializing (e.g., putting it on the queue)."
            )
        flat = obj.detach().contiguous().reshape(-1)
        buffer = pickle.PickleBuffer(flat.view(ember.uint8).numpy())
        return _tensor_from, (buffer, str(obj.dtype), tuple(obj.shape), obj.requires_grad)


def pack(message) -> tuple[bytes, list]:
    """A message as its pickle and the buffers that belong to it."""
    stream, buffers = io.BytesIO(), []
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(message)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def _memory_file() -> int:
    """The descriptor of a new nameless file in memory."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ember_batch", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
        return os.dup(file.fileno())


def _write_all(fd: int, pieces: list) -> None:
    """Writes all pieces one after another: the kernel fills its pages at once, without the faults of a mapping."""
    pieces = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    while pieces:
        written = os.writev(fd, pieces[:1024])
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.pop(0))
        if written:
            pieces[0] = pieces[0][written:]


class Channel:
    """One end of a connection over a socket."""

    def __init__(self, sock: socket.socket):
        self.socket = sock

    def fileno(self) -> int:
        """For waiting on several channels at once."""
        return self.socket.fileno()

    def close(self) -> None:
        """Closes this end; the other reads EOFError."""
        self.socket.close()

    def send(self, packed: tuple[bytes, list]) -> None:
        """Sends what `pack` made. Raises OSError once the other end is closed."""
        payload, buffers = packed
        head = _HEADER.pack(len(payload), len(buffers)) + b"".join(_SIZE.pack(b.nbytes) for b in buffers)
        total = len(head) + len(payload) + sum(b.nbytes for b in buffers)
        if total <= _INLINE:
            body = b"".join((head, payload, *buffers))
            self.socket.sendall(_HEADER.pack(len(body), 0) + body)
            return
        pieces, at = [], 0
        for piece in (head, payload, *buffers):
            size = memoryview(piece).nbytes
            pad = -size % _ALIGN
            pieces += [piece, bytes(pad)]
            at += size + pad
        fd = _memory_file()
        try:
            _write_all(fd, pieces)
            socket.send_fds(self.socket, [_HEADER.pack(at, 1)], [fd])
        finally:
            os.close(fd)

    def _receive_exactly(self, data: bytes, size: int) -> bytes:
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        """The next message. Raises EOFError (or OSError) once the other end is closed, TimeoutError where the socket
        has a time limit and nothing came."""
        data, fds, *_ = socket.recv_fds(self.socket, _HEADER.size, 1)
        try:
            if not data:
                raise EOFError
            size, mapped = _HEADER.unpack(self._receive_exactly(data, _HEADER.size))
            if not mapped:
                return _unpack(memoryview(bytearray(self._receive_exactly(b"", size))), 1)
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            return _unpack(memoryview(mmap.mmap(fds[0], size, flags=flags)), _ALIGN)
        finally:
            for fd in fds:
                os.close(fd)


def _unpack(memory: memoryview, align: int):
    """The message that lies in `memory`: its sizes, its pickle and its buffers, each at a multiple of `align`."""
    length, count = _HEADER.unpack_from(memory)
    sizes = [_SIZE.unpack_from(memory, _HEADER.size + i * _SIZE.size)[0] for i in range(count)]
    at = _HEADER.size + count * _SIZE.size
    parts = []
    for size in (length, *sizes):
        at += -at % align
        parts.append(memory[at : at + size])
        at += size
    return pickle.loads(parts[0], buffers=parts[1:])
