"""Padding layers: constant, zero, reflection, replication and circular, in 1, 2 and 3 spatial dims.

`padding` is one number for every side, or (left, right[, top, bottom[, front, back]]).
"""

from .. import functional as F
from .module import Module
from .utils import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_SIDES = {1: _pair, 2: _quadruple, 3: _ntuple(6)}


class _Pad(Module):
    """`_dims` spatial dims; `_mode` is F.pad's."""

    __constants__ = ["padding"]

    def __init__(self, padding):
        super().__init__()
        self.padding = _SIDES[self._dims](padding)

    def forward(self, input):
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    __constants__ = ["padding", "value"]

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class _CircularPadNd(_Pad):
    _mode = "circular"

    def _check_input_dim(self, input):
        if input.dim() not in (self._dims + 1, self._dims + 2):
            raise ValueError(f"expected {self._dims + 1}D or {self._dims + 2}D input (got {input.dim()}D input)")

    def forward(self, input):
        self._check_input_dim(input)
        return F.pad(input, self.padding, self._mode)


class _ReflectionPadNd(_Pad):
    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    _mode = "replicate"


def _layers(base, what):
    """The classes of `base` with 1, 2 and 3 spatial dims."""
    made = []
    for dims in (1, 2, 3):
        name = f"{base.__name__[1:-2]}{dims}d"
        shape, out = "1, 2" + ", 4" * dims, "1, 2" + ", 6" * dims
        args = "1, 0.5" if base is _ConstantPadNd else "1"
        doc = (
            f"Pads the last {dims} dim{'s' * (dims > 1)} {what}.\n\n"
            f"    >>> ember.nn.{name}({args})(ember.zeros({shape})).shape\n    ember.Size([{out}])\n    "
        )
        made.append(type(name, (base,), {"__doc__": doc, "__module__": __name__, "_dims": dims}))
    return made


ConstantPad1d, ConstantPad2d, ConstantPad3d = _layers(_ConstantPadNd, "with a value")
ZeroPad1d, ZeroPad2d, ZeroPad3d = _layers(_ZeroPadNd, "with zeros")
CircularPad1d, CircularPad2d, CircularPad3d = _layers(_CircularPadNd, "with the other end's values")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _layers(_ReflectionPadNd, "with the mirrored values")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _layers(_ReplicationPadNd, "with the border's values")
