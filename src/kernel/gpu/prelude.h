// What every kernel text opens with: the words that a dialect of C lacks, under one set of names.
// Types are called u8 ... i64, f32, f64, c64, c128; functions that differ by type carry it as a suffix (min_f32).
// Kernels written on top of it read the same in OpenCL C and in CUDA C++ (which HIP takes as it is).
#pragma once

#include <string>
#include <string_view>

#include "base/export.h"

namespace ember::gpu {

enum class Dialect : unsigned char { kOpenCL, kCuda };

// The opening text; `doubles` false leaves out f64, for devices that have none.
EMBER_API std::string prelude(Dialect dialect, bool doubles = true);

}  // namespace ember::gpu
