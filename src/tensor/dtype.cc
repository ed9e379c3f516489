// Names, the promotion table, the default dtype, and the scalar half conversions.
#include "tensor/dtype.h"

#include <atomic>

namespace ember {

std::string_view name(DType d) {
  static constexpr std::string_view names[] = {
#define EMBER_NAME(e, T, n) n,
      EMBER_DTYPES(EMBER_NAME)
#undef EMBER_NAME
  };
  return names[static_cast<int>(d)];
}

void append(std::string& out, DType d) { out += name(d); }

// Within a category the wider wins; where neither holds the other (uint8 with int8, float16 with bfloat16) the
// smallest type that holds both; a larger unsigned with any signed integer takes int64, as NumPy's rule stopped short
// of floats; across categories the higher category wins.
DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (category(a) != category(b)) {
    if (category(a) < category(b)) std::swap(a, b);
    if (is_complex(a) && b == DType::kFloat64) return DType::kComplex128;
    return a;
  }
  if (is_complex(a)) return DType::kComplex128;
  if (is_floating(a)) {
    if (is_reduced_float(a) && is_reduced_float(b)) return DType::kFloat32;
    return a > b ? a : b;
  }
  if (is_unsigned(a) == is_unsigned(b)) return a > b ? a : b;
  DType u = is_unsigned(a) ? a : b, s = is_unsigned(a) ? b : a;
  if (item_size(s) > item_size(u)) return s;
  switch (u) {
    case DType::kUInt8: return DType::kInt16;
    case DType::kUInt16: return DType::kInt32;
    case DType::kUInt32: return DType::kInt64;
    default: return DType::kFloat32;
  }
}

bool can_cast(DType from, DType to) {
  if (category(from) > category(to)) return false;
  return !(is_integral(from) && is_signed(from) && is_integral(to) && is_unsigned(to));
}

static std::atomic<DType> g_default_dtype{DType::kFloat32};
DType default_dtype() { return g_default_dtype.load(std::memory_order_relaxed); }
void set_default_dtype(DType d) {
  EMBER_CHECK_TYPE(is_floating(d),
                   "set_default_dtype: only floating-point types are supported as the default type, got ", d);
  g_default_dtype = d;
}

float to_float(Half x) {
  uint32_t sign = uint32_t{x.bits & 0x8000u} << 16, rest = x.bits & 0x7fff, u;
  if (rest >= 0x7c00) {
    u = sign | 0x7f800000 | (rest & 0x3ff) << 13;
  } else if (rest >= 0x400) {
    u = sign | ((rest << 13) + 0x38000000);
  } else {
    float f = static_cast<float>(rest) * 0x1p-24f;  // denormal: a multiple of the smallest step
    std::memcpy(&u, &f, 4);
    u |= sign;
  }
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

Half to_half(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  uint16_t sign = static_cast<uint16_t>(u >> 16 & 0x8000);
  u &= 0x7fffffff;
  if (u > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (u >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};
  if (u < 0x38800000) {  // below the smallest normal: adding 0.5 rounds to a multiple of 2^-24 in hardware
    float g;
    std::memcpy(&g, &u, 4);
    g += 0.5f;
    std::memcpy(&u, &g, 4);
    return {static_cast<uint16_t>(sign | (u - 0x3f000000))};
  }
  u += 0xc8000fff + (u >> 13 & 1);
  return {static_cast<uint16_t>(sign | u >> 13)};
}

}  // namespace ember
