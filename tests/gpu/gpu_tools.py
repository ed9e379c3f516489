"""What the tests of GPU kernels share: is a compiler there, is a device, and if not, why."""

import os
import sys

import pytest
from ember import _C


def nvrtc_folder():
    """Where nvidia-cuda-nvrtc put the library, or ''."""
    for root in sys.path:
        for part in ("cu13", "cuda_nvrtc", "cu12"):
            folder = os.path.join(root, "nvidia", part, "lib")
            if os.path.isdir(folder) and any(f.startswith("libnvrtc.so") for f in os.listdir(folder)):
                return folder
    return ""


needs_nvrtc = pytest.mark.skipif(
    not _C._nvrtc_open(nvrtc_folder()), reason="NVRTC is not installed (pip install 'nvidia-cuda-nvrtc==13.0.*')"
)
needs_opencl = pytest.mark.skipif(
    bool(_C._opencl_device()[1]),
    reason=f"OpenCL: {_C._opencl_device()[1]} (Debian: pocl-opencl-icd ocl-icd-opencl-dev)",
)
