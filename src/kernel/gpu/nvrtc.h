// NVIDIA's run-time compiler, opened at run time. It needs no GPU: text goes in, machine code or PTX comes out.
#pragma once

#include <string>

#include "base/export.h"

namespace ember::gpu::nvrtc {

// Opens libnvrtc in `folder` (as nvidia-cuda-nvrtc installs it, its builtins beside it), or where the loader finds it
// when `folder` is empty. False when it is not there. Once open it stays.
EMBER_API bool open(const std::string& folder);
// CUDA C++ for an architecture: "sm_80" gives machine code (a cubin), "compute_80" gives PTX. Contraction is off, so
// that results follow the CPU's. Error with the compiler's log; NotImplementedError where NVRTC is not open.
EMBER_API std::string compile(const std::string& text, const std::string& arch);

}  // namespace ember::gpu::nvrtc
