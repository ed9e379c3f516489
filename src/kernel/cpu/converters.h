// Row conversions by element type, as each instruction set publishes them (isa/convert.cc).
#pragma once

#include <cstdint>

namespace ember::cpu {

using ConvertRows = void (*)(const void* from, void* to, int64_t n);
namespace baseline {
ConvertRows convert_rows(int from, int to);
}
namespace avx2 {
ConvertRows convert_rows(int from, int to);
}
namespace avx512 {
ConvertRows convert_rows(int from, int to);
}

}  // namespace ember::cpu
