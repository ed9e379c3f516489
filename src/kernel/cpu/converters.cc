// Picks the instruction set's conversions and rows of bytes.
#include "kernel/cpu/converters.h"

#include "base/cpu_features.h"
#include "kernel/cpu/elementwise.h"

namespace ember::cpu {

ConvertFn converter(DType from, DType to) {
  static const auto rows = [] {
#ifdef EMBER_X86
    if (cpu_isa() == Isa::avx512) return avx512::convert_rows;
    if (cpu_isa() == Isa::avx2) return avx2::convert_rows;
#endif
    return baseline::convert_rows;
  }();
  return rows(static_cast<int>(from), static_cast<int>(to));
}

const ByteRows& byte_rows() {
#ifdef EMBER_X86
  if (cpu_isa() == Isa::avx512) return avx512::byte_rows;
  if (cpu_isa() == Isa::avx2) return avx2::byte_rows;
#endif
  return baseline::byte_rows;
}

}  // namespace ember::cpu
