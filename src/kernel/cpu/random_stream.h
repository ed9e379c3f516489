// What the distributions share: bulk words of a generator, the loop that turns them into elements, and conversion to
// any dtype. Private to kernel/cpu/random*.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>

#include "base/cpu_features.h"
#include "base/parallel.h"
#include "kernel/cpu/random_isa.h"
#include "kernel/cpu/scratch.h"
#include "tensor/dtype.h"
#include "tensor/generator.h"

namespace ember::kernel {

const cpu::RandomKernels& random_kernels();

// The next n words: what n calls of generator.random() return.
void fill_words(Generator& generator, uint32_t* out, int64_t n);

inline double uniform53(uint64_t word) { return static_cast<double>(word & 0x1fffffffffffff) * 0x1p-53; }
inline double uniform53(const uint32_t* pair) { return uniform53(uint64_t{pair[0]} << 32 | pair[1]); }
inline float uniform24(uint32_t word) { return static_cast<float>(word & 0xffffff) * 0x1p-24f; }

// One normal by Box-Muller in double; every second one comes from the generator's cache.
double next_normal(Generator& generator);

template <class T>
inline constexpr bool is_narrow = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
using compute_t = std::conditional_t<is_narrow<T>, float, T>;

// To and from storage; numbers reach the narrow floats through float, as everywhere. Truths take a shortcut: masks are
// the commonest fill.
template <class T, class From>
T cast(From value) {
  if constexpr (is_narrow<T> && std::is_same_v<From, bool>) {
    constexpr unsigned kOne = std::is_same_v<T, Half> ? 0x3c00 : 0x3f80;
    return {static_cast<uint16_t>(-static_cast<unsigned>(value) & kOne)};  // a branch would mispredict
  } else if constexpr (std::is_same_v<T, Half>) {
    return to_half(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}
template <class T>
compute_t<T> load(T value) {
  if constexpr (is_narrow<T>) {
    return to_float(value);
  } else {
    return value;
  }
}

// Draws `words_each` words for each of n elements in order and calls f(words, first, count) on consecutive ranges, of
// at most `grain` elements and perhaps on several threads: f may write elements [first, first + count) and nothing
// else.
template <class F>
void stream(Generator& generator, int64_t n, int words_each, int64_t grain, F&& f) {
  constexpr int64_t kNear = 1024, kChunk = int64_t{1} << 16;  // words; a chunk is 256 KB and stays in L2
  uint32_t near[kNear];
  int64_t chunk = (n * words_each <= kNear ? kNear : kChunk) / words_each;
  std::optional<cpu::Scratch> far;
  if (n * words_each > kNear) far.emplace(kChunk * sizeof(uint32_t));
  uint32_t* words = far ? far->as<uint32_t>() : near;
  for (int64_t done = 0; done < n; done += chunk) {
    int64_t count = std::min(chunk, n - done);
    fill_words(generator, words, count * words_each);
    parallel_for(0, count, grain, [&](int64_t b, int64_t e) { f(words + b * words_each, done + b, e - b); });
  }
}

// Elements that one thread keeps: plain conversions always, what costs a libm call only in these portions.
inline constexpr int64_t kCheap = int64_t{1} << 30, kCostly = 2048;

template <class F>
void visit_floating(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat16: return f(Half{});
    case DType::kBFloat16: return f(BFloat16{});
    case DType::kFloat32: return f(float{});
    case DType::kFloat64: return f(double{});
    default: fail<NotImplementedError>(op, ": not implemented for ", dtype, "; floating-point dtypes are allowed");
  }
}
template <class F>
void visit_real(const char* op, DType dtype, F&& f) {
  EMBER_CHECK_NOT_IMPLEMENTED(!is_complex(dtype), op, ": not implemented for ", dtype, "; every real dtype is allowed");
  visit(dtype, [&]<class T>(T zero) {
    if constexpr (!std::is_same_v<T, std::complex<float>> && !std::is_same_v<T, std::complex<double>>) f(zero);
  });
}

}  // namespace ember::kernel
