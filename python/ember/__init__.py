# The package: PyTorch's names over ember._C. Only the extension and Tensor's Python methods are loaded here; every
# submodule and every name that lives in one is opened when it is first touched, which keeps `import ember` fast.
"""Ember: a deep-learning framework with PyTorch's API.

>>> import ember
>>> x = ember.ones(2, requires_grad=True)
>>> (x * 3).sum().backward()
>>> x.grad
tensor([3., 3.])
"""

import importlib as _importlib
import math as _math

from ember import _C
from ember._C import (
    Generator,
    OutOfMemoryError,
    Size,
    Tensor,
    as_tensor,
    can_cast,
    default_generator,
    device,
    dtype,
    enable_grad,
    finfo,
    from_dlpack,
    from_numpy,
    get_default_device,
    get_default_dtype,
    get_num_threads,
    iinfo,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    layout,
    memory_format,
    no_grad,
    promote_types,
    set_default_device,
    set_grad_enabled,
    set_num_threads,
    tensor,
)
from ember._prefixed import PREFIXES as _PREFIXES
from ember.version import __version__

# ---- dtypes, layouts, memory formats ----

for _name in dir(_C):
    if isinstance(getattr(_C, _name), (dtype, layout, memory_format)):
        globals()[_name] = getattr(_C, _name)
float, double, half, cfloat, cdouble = _C.float32, _C.float64, _C.float16, _C.complex64, _C.complex128
int, long, short = _C.int32, _C.int64, _C.int16
e, inf, nan, pi = _math.e, _math.inf, _math.nan, _math.pi
newaxis = None

# ---- functions of the op table ----

# In the table for nn.functional, and for nobody else.
_NN_ONLY = {
    "cross_entropy",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu6",
    "scaled_dot_product_attention",
    "silu",
    "slice",
    "smooth_l1_loss",
    "huber_loss",
    "softplus",
    "softsign",
    "tanhshrink",
    "interpolate",
    "avg_pool2d",
    "avg_pool3d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
}
for _name, _function in vars(_C.ops).items():
    if not _name.startswith(("__", *_PREFIXES)) and _name.rstrip("_") not in _NN_ONLY:
        globals().setdefault(_name, _function)

from ember import _tensor as _tensor_methods  # noqa: E402

_tensor_methods.install()
globals().update(_tensor_methods.legacy_types)

from ember._functions import *  # noqa: E402, F403
from ember._functions import install_aliases as _install_aliases  # noqa: E402

_install_aliases(globals())
del _name, _function

# ---- what is opened when touched ----

_SUBMODULES = {
    "_utils",
    "accelerator",
    "amp",
    "autograd",
    "backends",
    "compiler",
    "cuda",
    "data",
    "distributed",
    "distributions",
    "fft",
    "func",
    "hub",
    "io",
    "jit",
    "linalg",
    "mps",
    "multiprocessing",
    "nn",
    "optim",
    "profiler",
    "random",
    "safetensors",
    "serialization",
    "special",
    "sparse",
    "storage",
    "testing",
    "types",
    "utils",
    "version",
    "xpu",
}
_ELSEWHERE = {
    "compile": "compiler",
    "set_printoptions": "_tensor_str",
    "save": "serialization",
    "load": "serialization",
    "manual_seed": "random",
    "seed": "random",
    "initial_seed": "random",
    "get_rng_state": "random",
    "set_rng_state": "random",
    "UntypedStorage": "storage",
    "TypedStorage": "storage",
    "return_types": "_C",
}


def __getattr__(name):
    if name in _ELSEWHERE:
        value = getattr(_importlib.import_module(f"ember.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        try:
            return _importlib.import_module(f"ember.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"ember.{name}":
                raise
    raise AttributeError(f"module 'ember' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_ELSEWHERE, *_SUBMODULES})
