# Samples of every op: PyTorch's own op_db where it has the op, the table OWN below for the rest. A sample is what a
# user would pass, made of torch tensors; oracle.py carries it over to Ember. Adding an op that op_db does not know
# means adding a line to OWN: test_registry.py fails when a public op has no sample.
"""Where samples come from."""

import os
import re
import warnings

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

ALL = bool(os.environ.get("EMBER_ALL_SAMPLES"))  # else a spread of at most LIMIT of each op and dtype
LIMIT = 16

# Ops that PyTorch does not show to users, or that the suites of their own part test (named after the reason).
INTERNAL = re.compile(
    r"_.*"  # private
    r"|.*_backward|col2im|im2col|cross_entropy_loss|nll_loss_nd|log_sigmoid|max_pool\dd_with_indices"  # nn.functional
    r"|index|slice|nonzero_numpy|unique_dim|alias|zero|feature_dropout"  # indexing, nonzero, unique, dropout
    r"|adaptive_max_pool\d+d|set|upsample_.*|grid_sampler|affine_grid_generator"  # interpolate
)


class Own:
    """Stands in for an OpInfo: name, and samples(dtype) -> [(input, args, kwargs)]."""

    variant_test_name = ""
    supports_gradgrad = True

    def __init__(self, name, make, dtypes=(torch.float32, torch.float64), grad=False):
        self.name, self.make, self.dtypes, self.supports_autograd = name, make, set(dtypes), grad

    def supported_dtypes(self, device):
        return self.dtypes

    def supported_backward_dtypes(self, device):
        return self.dtypes

    def sample_inputs(self, device, dtype, requires_grad=False):
        for input, args, kwargs in self.make(lambda *s: tensor(s, dtype, requires_grad), dtype):
            yield SampleInput(input, args=args, kwargs=kwargs)


def tensor(sizes, dtype, requires_grad=False):
    return torch.testing.make_tensor(sizes, dtype=dtype, device="cpu", low=-3, high=3, requires_grad=requires_grad)


def windows(t, dtype):
    for n in (0, 1, 2, 7, 20):
        yield n, (), {"dtype": dtype}
        yield n, (False,), {"dtype": dtype}


EVERY = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64)
OWN = [
    *[Own(f"{w}_window", windows) for w in ("bartlett", "blackman", "hamming", "hann")],
    Own("binomial", lambda t, d: [(torch.full((3, 4), 9.0, dtype=d), (torch.full((4,), 0.3, dtype=d),), {})]),
    Own("poisson", lambda t, d: [(t(3, 4).abs(), (), {}), (t(0), (), {})]),
    Own("rand", lambda t, d: [((3, 4), (), {"dtype": d}), ((20,), (), {"dtype": d}), ((), (), {"dtype": d})]),
    Own("randperm", lambda t, d: [(n, (), {"dtype": d}) for n in (0, 1, 5, 40)], [torch.int64, torch.float32]),
    Own("range", lambda t, d: [(1, (4,), {"dtype": d}), (0, (1, 0.25), {"dtype": d}), (3, (1, -1), {"dtype": d})]),
    Own("random_", lambda t, d: [(t(4, 5), (), {}), (t(5), (9,), {}), (t(5), (2, 30), {})], EVERY[:4]),
    Own("copy_", lambda t, d: [(t(2, 3), (t(3),), {}), (t(2, 3), (t(3, 2).t(),), {})], EVERY, True),
    Own("zero_", lambda t, d: [(t(2, 3), (), {}), (t(), (), {}), (t(0, 2), (), {})], EVERY),
    Own("type_as", lambda t, d: [(t(2, 3), (torch.ones(1, dtype=o),), {}) for o in EVERY[:5]], EVERY[:5]),
    Own("detach", lambda t, d: [(t(2, 3), (), {}), (t(3, 2).t(), (), {})], EVERY),
    Own("adjoint", lambda t, d: [(t(2, 3), (), {}), (t(4, 2, 3), (), {})], EVERY, True),
    Own("fill_diagonal_", lambda t, d: [(t(3, 4), (2,), {}), (t(7, 3), (1, True), {}), (t(0, 0), (1,), {})], EVERY),
    Own("chain_matmul", lambda t, d: [(t(2, 3), (t(3, 4), t(4, 1)), {}), (t(2, 3), (), {})], grad=True),
    Own("vander", lambda t, d: [(t(4), (), {}), (t(3), (5, True), {}), (t(3), (0,), {})], EVERY),
    Own("conv_tbc", lambda t, d: [(t(5, 2, 3), (t(3, 3, 4), t(4), 1), {})], grad=True),
    Own(
        "convolution",
        lambda t, d: [
            (t(2, 4, 5, 5), (t(4, 2, 3, 3), t(4), [1, 2], [1, 0], [1, 1], False, [0, 0], 2), {}),
            (t(2, 4, 5), (t(4, 3, 3), None, [2], [1], [1], True, [1], 1), {}),
        ],
        grad=True,
    ),
]
OWN_NAMES = {o.name for o in OWN}

# Second names: what holds for the first holds for them.
SOURCES = {}  # "nn.functional.linear", or "max.reduction_with_dim" -> OpInfo or Own
for _info in [*op_db, *OWN]:
    _key = _info.name + (f".{_info.variant_test_name}" if _info.variant_test_name else "")
    SOURCES.setdefault(_key, _info)


def table_names(keys):
    """What ops with samples may be called in the table: `special.entr` is `entr` or `special_entr`."""
    names = set()
    for info in map(SOURCES.get, keys):
        for name in (info.name, *(alias.name for alias in getattr(info, "aliases", ()))):
            names |= {name.split(".")[-1], name.replace(".", "_")}
    return names


def samples(key, dtype, requires_grad=False, limit=LIMIT):
    """A list of SampleInput, the same at every call."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(SOURCES[key].sample_inputs("cpu", dtype, requires_grad=requires_grad))
    # Modules of PyTorch's among the arguments cannot go over.
    found = [s for s in found if not any(isinstance(v, torch.nn.Module) for v in (*s.args, *s.kwargs.values()))]
    if ALL or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]
