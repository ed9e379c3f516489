// What every driver of float kernels says: which C++ types a dtype means (S stored, T computed: float for f16, bf16 and
// f32, double for f64), how single numbers and small arrays pass between them, and which instruction set's table is in
// use. For drivers only; files of isa/ have their own words in lanes.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernel/cpu/scratch.h"
#include "tensor/dtype.h"

// Declarations in the namespace of each instruction set, and the table of a name in that of the one in use.
#if defined(__x86_64__)
#define EMBER_PER_ISA(...) \
  namespace baseline { \
  __VA_ARGS__ \
  } \
  namespace avx2 { \
  __VA_ARGS__ \
  } \
  namespace avx512 { \
  __VA_ARGS__ \
  }
#define EMBER_PICK(table) \
  (cpu_isa() == Isa::avx512 ? avx512::table : cpu_isa() == Isa::avx2 ? avx2::table : baseline::table)
#else
#define EMBER_PER_ISA(...) \
  namespace baseline { \
  __VA_ARGS__ \
  }
#define EMBER_PICK(table) baseline::table
#endif

namespace ember::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
T wide(T x) {
  return x;
}
inline float wide(Half x) { return to_float(x); }
inline float wide(BFloat16 x) { return to_float(x); }
template <class T>
void narrow(T x, T& y) {
  y = x;
}
inline void narrow(float x, Half& y) { y = to_half(x); }
inline void narrow(float x, BFloat16& y) { y = to_bfloat16(x); }

// The packers' word for S (gemm_tiles.h).
template <class S>
inline constexpr int kKind = std::is_same_v<S, Half>       ? 1
                             : std::is_same_v<S, BFloat16> ? 2
                                                           : 0;

// Calls f.operator()<S, T>() for a floating dtype.
template <class F>
void with_float(const char* name, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32: return f.template operator()<float, float>();
    case DType::kFloat64: return f.template operator()<double, double>();
    case DType::kFloat16: return f.template operator()<Half, float>();
    case DType::kBFloat16: return f.template operator()<BFloat16, float>();
    default: fail<NotImplementedError>('"', name, "\" not implemented for '", dtype, "': floating dtypes only");
  }
}

// A small array in the compute type; null stays null, and an array that is in it already is not copied.
template <class S, class T>
class Widened {
 public:
  Widened(const void* x, int64_t n) : memory_(x && !std::is_same_v<S, T> ? n * sizeof(T) : 0), data_(nullptr) {
    if constexpr (std::is_same_v<S, T>) {
      data_ = static_cast<const T*>(x);
    } else if (x) {
      for (int64_t i = 0; i < n; ++i) memory_.as<T>()[i] = wide(static_cast<const S*>(x)[i]);
      data_ = memory_.as<T>();
    }
  }
  operator const T*() const { return data_; }

 private:
  Scratch memory_;
  const T* data_;
};

}  // namespace ember::cpu
