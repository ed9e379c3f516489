"""flex_attention: attention whose scores a function changes and whose mask a function gives.

`score_mod(score, b, h, q, kv)` and `mask_mod(b, h, q, kv)` are called once with index tensors that broadcast over
[B, H, Q, KV], so any function of tensor operations works; the mask's blocks are kept as PyTorch keeps them.
"""

import math
from typing import NamedTuple

import ember

from .. import functional as F

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = 128
_LARGE_SPARSE_BLOCK_SIZE = 1 << 30
_mask_mod_signature = _score_mod_signature = object
FlexKernelOptions = dict


class AuxRequest(NamedTuple):
    """Which of the by-products flex_attention shall return."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The by-products: log of the sum of exponents, and largest score, of each query; None if not asked for."""

    lse: object = None
    max_scores: object = None


def noop_mask(batch, head, token_q, token_kv):
    """Lets every key through."""
    return batch.new_ones(size=(), dtype=ember.bool, device=batch.device)


def and_masks(*mask_mods):
    """The mask that lets through what all of them do."""
    return _combined(mask_mods, ember.logical_and, True)


def or_masks(*mask_mods):
    """The mask that lets through what any of them does."""
    return _combined(mask_mods, ember.logical_or, False)


def _combined(mask_mods, join, start):
    if not all(callable(mod) for mod in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def mask(b, h, q, kv):
        result = b.new_full((), start, dtype=ember.bool)
        for mod in mask_mods:
            result = join(result, mod(b, h, q, kv))
        return result

    return mask


def _indices(sizes, device):
    """Index tensors of the four dims, each shaped to broadcast along its own."""
    found = []
    for d, size in enumerate(sizes):
        shape = [1] * 4
        shape[d] = size
        found.append(ember.arange(size, device=device).view(shape))
    return found


def create_mask(mod_fn, B, H, Q_LEN, KV_LEN, device=None):
    """The function's values as a tensor [B or 1, H or 1, Q_LEN, KV_LEN]: booleans, or scores from a score_mod.

    >>> create_mask(lambda b, h, q, kv: q >= kv, None, None, 2, 2)
    tensor([[[[ True, False],
              [ True,  True]]]])
    """
    import inspect

    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    positional = [p for p in inspect.signature(mod_fn).parameters.values() if p.default is p.empty]
    index = _indices(sizes, device)
    if len(positional) == 5:
        scores = mod_fn(ember.zeros(sizes, device=device), *index)
        return scores != float("-inf")
    return mod_fn(*index).expand(sizes)


def _blocks(mask, q_block, kv_block):
    """(blocks with some ones, blocks with only ones) of a mask [B, H, Q, KV], as booleans a block."""
    q_pad, kv_pad = -mask.shape[2] % q_block, -mask.shape[3] % kv_block
    mask = F.pad(mask.to(ember.int32), (0, kv_pad, 0, q_pad))
    b, h, q, kv = mask.shape
    count = mask.view(b, h, q // q_block, q_block, kv // kv_block, kv_block).sum(dim=(3, 5))
    full = count == q_block * kv_block
    return (count > 0) & ~full, full


def _dense_to_ordered(dense):
    """(number of ones a row, their columns first and the rest after, in order) of a table of zeros and ones."""
    dense = dense.to(ember.int32)
    return dense.sum(dim=-1).to(ember.int32), ember.argsort(dense, dim=-1, descending=True, stable=True).to(ember.int32)


def _ordered_to_dense(num_blocks, indices):
    """The table of zeros and ones again."""
    columns = indices.shape[-1]
    chosen = ember.arange(columns, device=indices.device) < num_blocks.unsqueeze(-1)
    dense = ember.zeros(indices.shape, dtype=ember.int32, device=indices.device)
    return dense.scatter(-1, indices.long(), chosen.to(ember.int32))


def _transposed(num_blocks, indices):
    return _dense_to_ordered(_ordered_to_dense(num_blocks, indices).transpose(-2, -1))


class BlockMask:
    """A mask by blocks: for each row of blocks which columns are partly ones, and which wholly; and by columns.

    Made by `create_block_mask` and `from_kv_blocks`; index it to take part of the batch or heads.
    """

    _TENSORS = (
        "kv_num_blocks",
        "kv_indices",
        "full_kv_num_blocks",
        "full_kv_indices",
        "q_num_blocks",
        "q_indices",
        "full_q_num_blocks",
        "full_q_indices",
    )

    def __init__(
        self,
        seq_lengths,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks,
        full_kv_indices,
        q_num_blocks,
        q_indices,
        full_q_num_blocks,
        full_q_indices,
        BLOCK_SIZE=(_DEFAULT_SPARSE_BLOCK_SIZE, _DEFAULT_SPARSE_BLOCK_SIZE),
        mask_mod=noop_mask,
    ):
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        self.seq_lengths = tuple(seq_lengths)
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks=None,
        full_kv_indices=None,
        BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod=None,
        seq_lengths=None,
        compute_q_blocks=True,
    ):
        """A mask from its rows: how many blocks each has and which; the columns are worked out."""
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
        columns = full_columns = (None, None)
        if compute_q_blocks:
            columns = _transposed(kv_num_blocks, kv_indices)
            if full_kv_num_blocks is not None:
                full_columns = _transposed(full_kv_num_blocks, full_kv_indices)
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        full = (full_kv_num_blocks, full_kv_indices)
        mod = noop_mask if mask_mod is None else mask_mod
        return cls(seq_lengths, kv_num_blocks, kv_indices, *full, *columns, *full_columns, size, mod)

    @property
    def shape(self):
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def as_tuple(self, flatten=True):
        """Everything, in the constructor's order."""
        size = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        return (*lengths, *(getattr(self, name) for name in self._TENSORS), *size, self.mask_mod)

    def _map(self, fn, mask_mod=None):
        tensors = [None if t is None else fn(t) for t in (getattr(self, name) for name in self._TENSORS)]
        return type(self)(self.seq_lengths, *tensors, self.BLOCK_SIZE, mask_mod or self.mask_mod)

    def __getitem__(self, index):
        def refuse(b, h, q_idx, kv_idx):
            raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")

        index = index if isinstance(index, tuple) else (index,)
        kept = tuple(slice(i, i + 1 or None) if isinstance(i, int) else i for i in index)  # no dim goes
        return self._map(lambda t: t[kept], refuse)

    def to(self, device):
        """The mask with its tensors on another device."""
        return self._map(lambda t: t.to(device))

    def to_dense(self):
        """A table [B, H, rows, columns] of the blocks that are not wholly zero."""
        dense = _ordered_to_dense(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None:
            dense = dense | _ordered_to_dense(self.full_kv_num_blocks, self.full_kv_indices)
        return dense

    def numel(self):
        """The number of entries of the whole mask."""
        return math.prod(self.shape)

    def sparsity(self):
        """The percentage of entries in blocks that are skipped."""
        computed = self.kv_num_blocks.sum().item()
        if self.full_kv_num_blocks is not None:
            computed += self.full_kv_num_blocks.sum().item()
        return 100 * (1 - computed * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel())

    def __repr__(self):
        return f"BlockMask(shape={tuple(self.shape)}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod,
    B,
    H,
    Q_LEN,
    KV_LEN,
    device=None,
    BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE,
    _compile=False,
    separate_full_blocks=True,
):
    """The blocks of a mask function; B or H may be None where it does not depend on them.

    >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 256, 256).kv_num_blocks
    tensor([[[1, 1]]], dtype=torch.int32)
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    partial, full = _blocks(create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device), *size)
    if not separate_full_blocks:
        partial, full = partial | full, None
    rows = _dense_to_ordered(partial)
    full_rows = (None, None) if full is None else _dense_to_ordered(full)
    return BlockMask.from_kv_blocks(*rows, *full_rows, size, mask_mod, (Q_LEN, KV_LEN))


def _check(query, key, value, enable_gqa):
    if not query.dim() == key.dim() == value.dim() == 4:
        raise ValueError(
            f"flex_attention: query, key and value must be 4D, got {query.dim()}D, {key.dim()}D and {value.dim()}D"
        )
    if query.size(-1) != key.size(-1):
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got E={query.size(-1)} and "
            f"E={key.size(-1)}."
        )
    if not enable_gqa and query.size(1) != key.size(1):
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got Hq="
            f"{query.size(1)} and Hkv={key.size(1)}. Try setting enable_gqa=True for GQA."
        )
    if query.size(1) % key.size(1):
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got Hq="
            f"{query.size(1)} and Hkv={key.size(1)}."
        )


def flex_attention(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    return_lse=False,
    kernel_options=None,
    *,
    return_aux=None,
):
    """softmax(score_mod(query @ key.T * scale), masked) @ value: [B, Hq, L, E], [B, Hkv, S, E], [B, Hkv, S, Ev].

    A query that sees no key gives zeros. `return_aux` (or `return_lse`) adds the log-sum-exp and largest scores.

    >>> x = ember.randn(1, 2, 4, 8); flex_attention(x, x, x, lambda s, b, h, q, kv: s - (q - kv)).shape
    ember.Size([1, 2, 4, 8])
    """
    _check(query, key, value, enable_gqa)
    groups = query.size(1) // key.size(1)
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = (query @ key.transpose(-2, -1)) * scale
    scores = scores if query.dtype == ember.float64 else scores.float()
    index = _indices(scores.shape, query.device)
    if score_mod is not None:
        scores = score_mod(scores, *index)
    if block_mask is not None:
        scores = scores.masked_fill(~block_mask.mask_mod(*index), float("-inf"))
    largest = scores.amax(-1)
    seen = largest != float("-inf")
    weights = ember.softmax(scores.masked_fill(~seen.unsqueeze(-1), 0.0), dim=-1) * seen.unsqueeze(-1)
    output = weights.to(query.dtype) @ value
    if not return_lse and return_aux is None:
        return output
    lse = ember.logsumexp(scores, dim=-1)
    if return_aux is None:
        return output, lse
    return output, AuxOutput(lse if return_aux.lse else None, largest if return_aux.max_scores else None)
