// Rows of memory for one instruction set: one value spread out, and choices by a mask.
// An element is its bytes here: dtypes of one width share a function.
#include <cstdint>
#include <cstring>

#include "kernel/cpu/converters.h"

namespace ember::cpu::EMBER_ISA {
namespace {

struct Wide {
  uint64_t a, b;
};

template <class T>
void fill(const void* value, void* to, int64_t n) {
  T v;
  std::memcpy(&v, value, sizeof v);
  T* y = static_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = v;
}

template <class T>
void select(void* out, const void* const* in, const void*, int64_t n) {
  T* y = static_cast<T*>(out);
  const auto* mask = static_cast<const uint8_t*>(in[0]);
  const T *a = static_cast<const T*>(in[1]), *b = static_cast<const T*>(in[2]);
#pragma GCC ivdep  // y may be b itself, never shifted
  for (int64_t i = 0; i < n; ++i) {
    const T all = static_cast<T>(-static_cast<T>(mask[i] != 0));
    y[i] = static_cast<T>((a[i] & all) | (b[i] & ~all));
  }
}
template <>
void select<Wide>(void* out, const void* const* in, const void*, int64_t n) {
  Wide* y = static_cast<Wide*>(out);
  const auto* mask = static_cast<const uint8_t*>(in[0]);
  const Wide *a = static_cast<const Wide*>(in[1]), *b = static_cast<const Wide*>(in[2]);
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t all = -static_cast<uint64_t>(mask[i] != 0);
    y[i] = {(a[i].a & all) | (b[i].a & ~all), (a[i].b & all) | (b[i].b & ~all)};
  }
}

}  // namespace

extern const ByteRows byte_rows;
const ByteRows byte_rows = {
    {fill<uint8_t>, fill<uint16_t>, fill<uint32_t>, fill<uint64_t>, fill<Wide>},
    {select<uint8_t>, select<uint16_t>, select<uint32_t>, select<uint64_t>, select<Wide>},
};

}  // namespace ember::cpu::EMBER_ISA
