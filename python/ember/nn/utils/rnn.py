"""Sequences of different lengths: padded into one tensor, or packed step by step for the recurrent layers."""

from collections import namedtuple

import ember

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

_Fields = namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


def invert_permutation(permutation):
    """The permutation that undoes this one; None for None.

    >>> ember.nn.utils.rnn.invert_permutation(ember.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    output = ember.empty_like(permutation)
    return output.scatter_(0, permutation, ember.arange(0, permutation.numel(), device=permutation.device))


class PackedSequence(_Fields):
    """`data` [sum of lengths, *]: for each step, the rows of the sequences still running; `batch_sizes` counts them.

    Made by `pack_padded_sequence` and `pack_sequence`.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("data must be a tuple or list of length 2 when batch_sizes is None")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created "
                "manually. They should be instantiated by functions like pack_sequence and "
                "pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The data moved and cast as `Tensor.to` does."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        move = {k: v for k, v in kwargs.items() if k not in ("device", "dtype")}
        indices = [None if i is None else i.to(data.device, **move) for i in self[2:]]
        return type(self)(data, self.batch_sizes, *indices)

    def cuda(self, *args, **kwargs):
        """The data on the GPU."""
        return self.to(*args, device=kwargs.pop("device", "cuda"), **kwargs)

    def cpu(self, *args, **kwargs):
        """The data on the CPU."""
        return self.to(*args, device="cpu", **kwargs)

    def double(self):
        """The data as float64."""
        return self.to(dtype=ember.double)

    def float(self):
        """The data as float32."""
        return self.to(dtype=ember.float)

    def half(self):
        """The data as float16."""
        return self.to(dtype=ember.half)

    def long(self):
        """The data as int64."""
        return self.to(dtype=ember.long)

    def int(self):
        """The data as int32."""
        return self.to(dtype=ember.int)

    def short(self):
        """The data as int16."""
        return self.to(dtype=ember.short)

    def char(self):
        """The data as int8."""
        return self.to(dtype=ember.int8)

    def byte(self):
        """The data as uint8."""
        return self.to(dtype=ember.uint8)

    def pin_memory(self):
        """The data in pinned memory."""
        return type(self)(self.data.pin_memory(), *self[1:])

    def is_pinned(self):
        """Is the data in pinned memory?"""
        return self.data.is_pinned()

    @property
    def is_cuda(self):
        return self.data.is_cuda


def _pack(padded, lengths):
    """(data, batch_sizes) of a padded tensor [T, N, *] with lengths in falling order."""
    if padded.size(1) != len(lengths):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={padded.size(1)})"
        )
    if not lengths:
        raise RuntimeError("Cannot pack empty tensors.")
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in zip(lengths, lengths[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can "
            "pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this "
            "requirement if you do not need ONNX exportability."
        )
    if lengths[0] > padded.size(0):
        raise RuntimeError(f"Expected lengths of at most {padded.size(0)} (the padded length), but got {lengths[0]}")
    sizes, running = [], len(lengths)
    for t in range(lengths[0]):
        while lengths[running - 1] <= t:
            running -= 1
        sizes.append(running)
    return ember.cat([padded[t, :n] for t, n in enumerate(sizes)]), ember.tensor(sizes, dtype=ember.int64)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Packs [T, N, *] ([N, T, *] with batch_first), whose sequences have these lengths.

    >>> ember.nn.utils.rnn.pack_padded_sequence(ember.zeros(3, 2, 4), [3, 1]).data.shape
    ember.Size([4, 4])
    """
    lengths = ember.as_tensor(lengths, dtype=ember.int64)
    if lengths.device.type != "cpu":
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device} {lengths.dtype} tensor"
        )
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = ember.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    data, batch_sizes = _pack(input.transpose(0, 1) if batch_first else input, lengths.tolist())
    return PackedSequence(data, batch_sizes, sorted_indices, None)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """(padded tensor [T, N, *], lengths [N]) of a packed sequence.

    >>> packed = ember.nn.utils.rnn.pack_padded_sequence(ember.ones(3, 2), [3, 1])
    >>> ember.nn.utils.rnn.pad_packed_sequence(packed)[1]
    tensor([3, 1])
    """
    sizes = [int(n) for n in sequence.batch_sizes]
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
    batch, rest = sizes[0], tuple(sequence.data.shape[1:])
    rows = []
    for n, part in zip(sizes, sequence.data.split(sizes, 0)):
        rows.append(part if n == batch else ember.cat([part, part.new_full((batch - n, *rest), padding_value)]))
    if total_length is not None and total_length > steps:
        fill = sequence.data.new_full((batch, *rest), padding_value)
        rows.extend([fill] * (total_length - steps))
    padded = ember.stack(rows, 1 if batch_first else 0)
    lengths = ember.tensor([sum(n > i for n in sizes) for i in range(batch)], dtype=ember.int64)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return padded, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stacks tensors [L_i, *] of different lengths as [max L, N, *] ([N, max L, *] with batch_first).

    >>> ember.nn.utils.rnn.pad_sequence([ember.ones(3), ember.ones(1)], batch_first=True)
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """
    if isinstance(sequences, ember.Tensor):
        sequences = sequences.unbind(0)
    elif not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: Expected padding_side to be one of left or right, but got {padding_side}")
    longest = max(s.size(0) for s in sequences)
    rows = []
    for s in sequences:
        if s.size(0) < longest:
            fill = s.new_full((longest - s.size(0), *s.shape[1:]), padding_value)
            s = ember.cat([s, fill] if padding_side == "right" else [fill, s])
        rows.append(s)
    return ember.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The list of tensors [L_i, *] that `pad_sequence` padded.

    >>> [len(s) for s in ember.nn.utils.rnn.unpad_sequence(ember.ones(3, 2), ember.tensor([3, 1]))]
    [3, 1]
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[: int(length)] for sequence, length in zip(padded_sequences, lengths)]


def pack_sequence(sequences, enforce_sorted=True):
    """Packs a list of tensors [L_i, *].

    >>> ember.nn.utils.rnn.pack_sequence([ember.ones(3), ember.ones(1)]).batch_sizes
    tensor([2, 1, 1])
    """
    lengths = ember.as_tensor([s.size(0) for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The list of tensors [L_i, *] that `pack_sequence` packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
