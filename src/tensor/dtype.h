// Element types: their names, sizes, C++ types, and the lattice of type promotion.
// Half and BFloat16 are storage only: kernels compute them as float. Which type an operation computes in is decided
// by the op families, not here.
#pragma once

#include <complex>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/export.h"

namespace ember {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// The order is the order of promotion within a category (bool < integers < floats < complex numbers).
enum class DType : uint8_t {
  kBool,
  kUInt8,
  kInt8,
  kUInt16,
  kInt16,
  kUInt32,
  kInt32,
  kUInt64,
  kInt64,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
  kComplex64,
  kComplex128,
};
inline constexpr int kNumDTypes = 15;

// EMBER_DTYPES(M) applies M(enumerator, C++ type, name) to every element type.
// clang-format off
#define EMBER_DTYPES(M) \
  M(kBool, bool, "bool") M(kUInt8, uint8_t, "uint8") M(kInt8, int8_t, "int8") M(kUInt16, uint16_t, "uint16") \
  M(kInt16, int16_t, "int16") M(kUInt32, uint32_t, "uint32") M(kInt32, int32_t, "int32") \
  M(kUInt64, uint64_t, "uint64") M(kInt64, int64_t, "int64") M(kFloat16, ::ember::Half, "float16") \
  M(kBFloat16, ::ember::BFloat16, "bfloat16") M(kFloat32, float, "float32") M(kFloat64, double, "float64") \
  M(kComplex64, std::complex<float>, "complex64") M(kComplex128, std::complex<double>, "complex128")
// clang-format on

template <class T>
struct DTypeOf;
#define EMBER_DTYPE_OF(e, T, n) \
  template <> \
  struct DTypeOf<T> { \
    static constexpr DType value = DType::e; \
  };
EMBER_DTYPES(EMBER_DTYPE_OF)
#undef EMBER_DTYPE_OF
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

namespace detail {
inline constexpr uint8_t kItemSize[kNumDTypes] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 8, 16};
}
constexpr int64_t item_size(DType d) { return detail::kItemSize[static_cast<int>(d)]; }
constexpr bool is_complex(DType d) { return d >= DType::kComplex64; }
constexpr bool is_floating(DType d) { return d >= DType::kFloat16 && d <= DType::kFloat64; }
constexpr bool is_integral(DType d) { return d >= DType::kUInt8 && d <= DType::kInt64; }  // bool is not
constexpr bool is_differentiable(DType d) { return d >= DType::kFloat16; }
constexpr bool is_unsigned(DType d) {
  return d == DType::kUInt8 || d == DType::kUInt16 || d == DType::kUInt32 || d == DType::kUInt64;
}
constexpr bool is_reduced_float(DType d) { return d == DType::kFloat16 || d == DType::kBFloat16; }
constexpr bool is_signed(DType d) { return d != DType::kBool && !is_unsigned(d); }
// 0 bool, 1 integer, 2 floating, 3 complex.
constexpr int category(DType d) { return is_complex(d) ? 3 : is_floating(d) ? 2 : d == DType::kBool ? 0 : 1; }
constexpr DType real_of(DType d) {
  return d == DType::kComplex64 ? DType::kFloat32 : d == DType::kComplex128 ? DType::kFloat64 : d;
}
constexpr DType complex_of(DType d) {
  return d == DType::kFloat64 ? DType::kComplex128 : d >= DType::kComplex64 ? d : DType::kComplex64;
}

EMBER_API std::string_view name(DType d);  // "float32"
EMBER_API DType promote_types(DType a, DType b);
EMBER_API bool can_cast(DType from, DType to);
EMBER_API DType default_dtype();            // of floats that come from Python, float32 at first
EMBER_API void set_default_dtype(DType d);  // raises TypeError unless floating
EMBER_API void append(std::string& out, DType d);

// Calls f(T{}) with the C++ type of d: visit(d, [&]<class T>(T) { ... }).
template <class F>
decltype(auto) visit(DType d, F&& f) {
  switch (d) {
#define EMBER_CASE(e, T, n) \
  case DType::e: return f(T{});
    EMBER_DTYPES(EMBER_CASE)
#undef EMBER_CASE
  }
  __builtin_unreachable();
}

// Narrow floats, one at a time; whole rows go through kernel/cpu/convert.h.
inline float to_float(BFloat16 x) {
  uint32_t u = uint32_t{x.bits} << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline BFloat16 to_bfloat16(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return {uint16_t{0x7fc0}};
  return {static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}
EMBER_API float to_float(Half x);
EMBER_API Half to_half(float f);

}  // namespace ember
