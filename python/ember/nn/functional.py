"""ember.nn.functional: the functions under the modules, thin wrappers over the ops of the C++ table.

Where an op's signature is the function's, the name is the op itself. The parts by theme are in `_functional`; they name
this module as their home, so that pickles and error texts show the public path.
"""

from ._functional import activation as _activation
from ._functional import attention as _attention
from ._functional import grid as _grid
from ._functional import layer as _layer
from ._functional import loss as _loss
from ._functional import pool as _pool

for _part in (_activation, _layer, _grid, _pool, _attention, _loss):
    for _name, _value in vars(_part).items():
        if callable(_value) and not _name.startswith("__") and _name not in ("op", "named", "with_inplace"):
            if getattr(_value, "__module__", "").startswith("ember.nn._functional"):
                _value.__module__ = __name__
            globals()[_name] = _value
        elif _name.isupper() and not _name.startswith("_"):
            globals()[_name] = _value
del _part, _name, _value

from . import _reduction  # noqa: E402, F401  (part of the module's face)
from .modules.utils import _pair, _single, _triple  # noqa: E402, F401
