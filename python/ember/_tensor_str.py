# How tensors print: PyTorch's text, character by character, since programs and notebooks are read beside each other.
#
# The numbers that will be shown are taken out as nested Python lists first (only the edges of a large tensor), one
# pass over them chooses the format, and a second lays them out.
"""Printing of tensors; `set_printoptions` changes how."""

import dataclasses
import math

from ember import _C

__all__ = ["set_printoptions"]


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTS = _Options()
_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Sets how tensors print: digits, when to leave out the middle, how many edge items, the width of a line.

    `profile` is "default", "short" or "full" and gives the values that are not named; `sci_mode` forces scientific
    notation on or off, None decides by the numbers.

    >>> ember.set_printoptions(precision=2); ember.tensor([1.12345])
    tensor([1.12])
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: profile {profile!r} is none of {', '.join(_PROFILES)}")
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in {**_PROFILES.get(profile, {}), **{k: v for k, v in given.items() if v is not None}}.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def _leaves(nested):
    if isinstance(nested, list):
        for item in nested:
            yield from _leaves(item)
    elif nested is not _GAP:
        yield nested


class _Format:
    """One way to write a number, chosen for all numbers of a tensor."""

    def __init__(self, values, floating):
        self.floating = floating
        self.integers, self.scientific, self.width = True, False, 1
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        shown = [v for v in values if v != 0 and math.isfinite(v)]
        if not shown:
            return
        low, high = min(abs(v) for v in shown), max(abs(v) for v in shown)
        self.integers = all(v == math.ceil(v) for v in shown)
        spread = high / low > 1000 or high > 1e8
        digits = PRINT_OPTS.precision
        self.scientific = PRINT_OPTS.sci_mode
        if self.scientific is None:
            self.scientific = spread or (not self.integers and low < 1e-4)
        if self.scientific:
            self.width = max(len(f"{v:.{digits}e}") for v in shown)
        elif self.integers:
            self.width = max(len(f"{v:.0f}") + 1 for v in shown)
        else:
            self.width = max(len(f"{v:.{digits}f}") for v in shown)

    def __call__(self, value):
        if not self.floating:
            out = str(value)
        elif self.scientific:
            out = f"{value:{self.width}.{PRINT_OPTS.precision}e}"
        elif self.integers:
            out = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            out = f"{value:.{PRINT_OPTS.precision}f}"
        return out.rjust(self.width)


class _ComplexFormat:
    def __init__(self, values):
        self.real, self.imag = _Format([v.real for v in values], True), _Format([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value):
        imag = (self.imag(value.imag) + "j").lstrip()
        return self.real(value.real) + ("" if imag[0] in "+-" else "+") + imag


_GAP = object()  # stands for the items that are left out


def _numbers(tensor, edge):
    """The elements as nested lists; with `edge`, only so many from either end of each dimension."""
    if edge is None or tensor.dim() == 0:
        return tensor.tolist()
    n = tensor.shape[0]
    if n <= 2 * edge:
        return tensor.tolist() if tensor.dim() == 1 else [_numbers(tensor[i], edge) for i in range(n)]
    if tensor.dim() == 1:
        return [*tensor[:edge].tolist(), _GAP, *(tensor[n - edge :].tolist() if edge else [])]
    ends = [*range(edge), *range(n - edge, n)]
    rows = [_numbers(tensor[i], edge) for i in ends]
    return [*rows[:edge], _GAP, *rows[edge:]]


def _layout(nested, dim, indent, write):
    if dim == 0:
        return write(nested)
    if dim > 1:
        parts = ["..." if row is _GAP else _layout(row, dim - 1, indent + 1, write) for row in nested]
        return "[" + ("," + "\n" * (dim - 1) + " " * (indent + 1)).join(parts) + "]"
    if nested == [_GAP]:
        return "[...]"
    words = [" ..." if v is _GAP else write(v) for v in nested]
    per_line = max(1, (PRINT_OPTS.linewidth - indent) // (write.width + 2))
    lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _contents(tensor, indent):
    if tensor.numel() == 0:
        return "[]"
    edge = PRINT_OPTS.edgeitems if tensor.numel() > PRINT_OPTS.threshold else None
    nested = _numbers(tensor, edge)
    values = list(_leaves(nested))
    write = _ComplexFormat(values) if tensor.is_complex() else _Format(values, tensor.is_floating_point())
    return _layout(nested, tensor.dim(), indent, write)


def _append_suffixes(body, suffixes, indent):
    out, column = body, len(body) - body.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > PRINT_OPTS.linewidth:
            out += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            out += ", " + suffix
            column += len(suffix) + 2
    return out + ")"


def tensor_repr(tensor, contents=None):
    """The text of a tensor, as `repr` and `print` show it."""
    kind = type(tensor)
    plain = kind is _C.Tensor or kind.__name__ == "Parameter"
    prefix = "tensor(" if plain else f"{kind.__name__}("
    indent = len(prefix)
    with _C.DisableTorchFunctionSubclass(), _C.no_grad():
        default = _C.get_default_dtype()
        usual = (default, default.to_complex(), _C.int64, _C.bool)
        suffixes = []
        if tensor.device.type != "cpu":
            suffixes.append(f"device='{tensor.device}'")
        if tensor.is_meta:
            suffixes.append(f"size={tuple(tensor.shape)}")
            body = "..."
            unusual = tensor.dtype != default
        elif tensor.numel() == 0:
            if tensor.dim() != 1:
                suffixes.append(f"size={tuple(tensor.shape)}")
            body = "[]"
            unusual = tensor.dtype != default
        else:
            unusual = tensor.dtype not in usual
            body = _contents(tensor.detach(), indent)
        if unusual:
            suffixes.append(f"dtype={tensor.dtype}")
        if contents is not None:
            body = contents
        node = tensor.grad_fn
        if node is not None:
            suffixes.append(f"grad_fn=<{node.name()}>")
        elif tensor.requires_grad:
            suffixes.append("requires_grad=True")
        return _append_suffixes(prefix + body, suffixes, indent)
