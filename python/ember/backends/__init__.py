# Settings of libraries that PyTorch can be built with. Ember has none of them under the CPU's kernels; what programs
# set is remembered, so that they run unchanged.
"""What the build can use, and settings that programs make."""

import sys
import types

from ember import _C

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


def _module(name, doc, **members):
    module = types.ModuleType(f"ember.backends.{name}", doc)
    module.__dict__.update(members)
    sys.modules[module.__name__] = module
    return module


def _no():
    """False in this build."""
    return False


def _capability():
    """The instruction set whose kernels run: "DEFAULT", "AVX2" or "AVX512"."""
    name = _C._cpu_capability()
    return "DEFAULT" if name == "baseline" else name.upper()


cpu = _module("cpu", "The CPU.", get_cpu_capability=_capability)
cudnn = _module(
    "cudnn",
    "cuDNN: not in this build.",
    is_available=_no,
    version=lambda: None,
    enabled=True,
    benchmark=False,
    deterministic=False,
    allow_tf32=True,
)
cuda = _module(
    "cuda",
    "CUDA: not in this build.",
    is_built=_no,
    matmul=types.SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True),
    flash_sdp_enabled=_no,
    mem_efficient_sdp_enabled=_no,
    math_sdp_enabled=lambda: True,
    enable_flash_sdp=lambda enabled: None,
    enable_mem_efficient_sdp=lambda enabled: None,
    enable_math_sdp=lambda enabled: None,
)
mkl = _module("mkl", "MKL: not in this build.", is_available=_no)
mkldnn = _module("mkldnn", "oneDNN: not in this build.", is_available=_no, enabled=False)
mps = _module("mps", "Apple's GPUs: not in this build.", is_available=_no, is_built=_no)
openmp = _module("openmp", "OpenMP: threads are Ember's own.", is_available=_no)
quantized = _module("quantized", "Quantised kernels.", engine="none", supported_engines=["none"])
