// The elementwise distributions. Each is one line of mathematics on a word or a pair of words (see random.h for the
// counts); the loop, the threads and the conversion are stream()'s and cast()'s. Formulas and constants are PyTorch's
// where another choice would give other numbers: log1p(-u) rather than log(u), -1 / rate * log, sin kept for later.
#include "kernel/cpu/random.h"

#include <limits>
#include <numbers>

#include "base/error.h"
#include "kernel/cpu/random_stream.h"

namespace ember::kernel {

using Lock = std::lock_guard<std::mutex>;

const cpu::RandomKernels& random_kernels() {
  static const cpu::RandomKernels& chosen = []() -> const cpu::RandomKernels& {
#if defined(__x86_64__)
    if (cpu_isa() == Isa::avx512) return cpu::avx512::kRandomKernels;
    if (cpu_isa() == Isa::avx2) return cpu::avx2::kRandomKernels;
#endif
    return cpu::baseline::kRandomKernels;
  }();
  return chosen;
}

void fill_words(Generator& generator, uint32_t* out, int64_t n) {
  const auto& kernels = random_kernels();
  Mt19937& mt = generator.engine();
  while (n > 0) {
    if (mt.left == 1) {
      kernels.renew(mt.state);
      mt.left = kMtWords + 1;
      mt.next = 0;
    }
    int64_t count = std::min<int64_t>(n, mt.left - 1);
    kernels.temper(mt.state + mt.next, out, count);
    mt.left -= static_cast<int32_t>(count);
    mt.next += static_cast<uint32_t>(count);
    out += count;
    n -= count;
  }
}

double next_normal(Generator& generator) {
  if (auto& cached = generator.next_normal()) {
    double value = *cached;
    cached.reset();
    return value;
  }
  double u1 = uniform53(generator.random64()), u2 = uniform53(generator.random64());
  double radius = std::sqrt(-2.0 * std::log1p(-u2)), theta = 2.0 * std::numbers::pi * u1;
  generator.next_normal() = radius * std::sin(theta);
  return radius * std::cos(theta);
}

namespace {

// f(words of one element) -> number, for every element.
template <class T, class F>
void fill(Generator& generator, void* out, int64_t n, int words_each, int64_t grain, F&& f) {
  T* data = static_cast<T*>(out);
  stream(generator, n, words_each, grain, [&](const uint32_t* words, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) data[first + i] = cast<T>(f(words + i * words_each));
  });
}

// f(words, tile, count) -> `count` numbers of type Number in a tile that stays in L1, for every tile; converted on.
template <class T, class Number, class F>
void fill_tiles(Generator& generator, void* out, int64_t n, int words_each, F&& f) {
  constexpr int64_t kTile = 1024;
  T* data = static_cast<T*>(out);
  stream(generator, n, words_each, kCheap, [&](const uint32_t* words, int64_t first, int64_t count) {
    if constexpr (std::is_same_v<T, Number>) return f(words, data + first, count);
    Number tile[kTile];
    for (int64_t i = 0; i < count; i += kTile) {
      int64_t m = std::min(kTile, count - i);
      f(words + i * words_each, tile, m);
      for (int64_t j = 0; j < m; ++j) data[first + i + j] = cast<T>(tile[j]);
    }
  });
}

// Blocks of sixteen normals from their words, for each type that is computed in.
void normal_blocks(const uint32_t* words, float* out, int64_t blocks, double mean, double std) {
  random_kernels().normal_f32(words, out, blocks, static_cast<float>(mean), static_cast<float>(std));
}
void normal_blocks(const uint32_t* words, double* out, int64_t blocks, double mean, double std) {
  for (; blocks > 0; --blocks, words += 32, out += 16)
    for (int j = 0; j < 8; ++j) {
      double radius = std::sqrt(-2 * std::log(1 - uniform53(words + 2 * j)));
      double theta = 2 * std::numbers::pi * uniform53(words + 2 * j + 16);
      out[j] = std::fma(radius * std::cos(theta), std, mean);
      out[j + 8] = std::fma(radius * std::sin(theta), std, mean);
    }
}
template <class T>
void normal_blocks(const uint32_t* words, T* out, int64_t blocks, double mean, double std) {
  constexpr int64_t kTile = 64;
  float wide[16 * kTile];
  for (; blocks > 0; blocks -= kTile, words += 16 * kTile, out += 16 * kTile) {
    int64_t count = std::min(blocks, kTile);
    normal_blocks(words, wide, count, mean, std);
    for (int64_t j = 0; j < 16 * count; ++j) out[j] = cast<T>(wide[j]);
  }
}

template <class T>
void normal_of(Generator& generator, T* out, int64_t n, double mean, double std) {
  constexpr int kWords = std::is_same_v<T, double> ? 32 : 16;
  stream(generator, n / 16, kWords, kCostly / 16, [&](const uint32_t* words, int64_t first, int64_t count) {
    normal_blocks(words, out + 16 * first, count, mean, std);
  });
  if (int64_t loose = n % 16; loose != 0) {
    uint32_t words[32];
    if (!is_narrow<T>) fill_words(generator, words, loose * (kWords / 16));  // drawn for nothing, but drawn
    fill_words(generator, words, kWords);
    normal_blocks(words, out + n - 16, 1, mean, std);
  }
}

struct IntRange {
  uint64_t width;  // 0: all 2^64
  int64_t from;
};

// A float type holds only some integers: the ends move inward to the nearest that it holds.
template <class T>
constexpr int kDigits = std::is_same_v<T, Half>       ? 11
                        : std::is_same_v<T, BFloat16> ? 8
                                                      : std::numeric_limits<T>::digits;
template <class T>
int64_t held(int64_t x) {
  return static_cast<int64_t>(load(cast<T>(x)));
}
int log2_of(int64_t x) { return 63 - __builtin_clzll(static_cast<uint64_t>(x) | 1); }
template <class T>
int64_t first_held(int64_t from) {
  if (from == std::numeric_limits<int64_t>::max() || held<T>(from + 1) >= from) return from;
  return held<T>(from + 1) + (int64_t{1} << (log2_of(std::abs(from + 1)) - kDigits<T> + 1));
}
template <class T>
int64_t end_held(int64_t to) {
  if (to == std::numeric_limits<int64_t>::min() || held<T>(to - 1) < to) return to;
  return held<T>(to - 1) - (int64_t{1} << (log2_of(std::abs(to - 1)) - kDigits<T> + 1));
}

template <class T>
IntRange int_range(DType dtype, int64_t from, std::optional<int64_t> to) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  constexpr bool kFloating = is_narrow<T> || std::is_floating_point_v<T>;
  if (!to && from == kMin) {
    EMBER_CHECK((kFloating && !std::is_same_v<T, Half>) || sizeof(T) == 8,
                "random_: all 64 bits were asked for; int64, float64, float32 and bfloat16 are allowed, not ", dtype);
    return {0, 0};
  }
  if (to) {
    EMBER_CHECK(from < *to, "random_ expects 'from' to be less than 'to', but got from=", from, " >= to=", *to);
  }
  int64_t last;
  if constexpr (kFloating) {
    from = first_held<T>(from);
    last = to ? end_held<T>(*to) - 1 : int64_t{1} << kDigits<T>;
    EMBER_CHECK(from <= last,
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from=", from,
                " >= to=", last + 1);
    if constexpr (std::is_same_v<T, Half>) {
      EMBER_CHECK(from >= -65504 && from <= 65504, "random_: from is out of bounds for ", dtype);
      EMBER_CHECK(last >= -65504 && last <= 65504, "random_: to - 1 is out of bounds for ", dtype);
    }
  } else {
    constexpr int64_t low = std::is_signed_v<T> ? static_cast<int64_t>(std::numeric_limits<T>::min()) : 0;
    constexpr int64_t high = sizeof(T) == 8            ? kMax
                             : std::is_same_v<T, bool> ? 1
                                                       : static_cast<int64_t>(std::numeric_limits<T>::max());
    last = to ? *to - 1 : high;
    EMBER_CHECK(from >= low && from <= high, "random_: from is out of bounds for ", dtype);
    EMBER_CHECK(last >= low && last <= high, "random_: to - 1 is out of bounds for ", dtype);
  }
  return {static_cast<uint64_t>(last) - static_cast<uint64_t>(from) + 1, from};
}

uint64_t join(const uint32_t* pair) { return uint64_t{pair[0]} << 32 | pair[1]; }

template <class T>
void fill_range(Generator& generator, void* out, int64_t n, IntRange range) {
  auto [width, from] = range;
  auto shift = [from](uint64_t x) { return static_cast<int64_t>(x + static_cast<uint64_t>(from)); };
  if (width == 0) {
    fill<T>(generator, out, n, 2, kCheap, [&](const uint32_t* w) { return static_cast<int64_t>(join(w)); });
  } else if ((width & (width - 1)) == 0) {
    bool wide = width >= uint64_t{1} << 28;
    if (wide) fill<T>(generator, out, n, 2, kCheap, [&](const uint32_t* w) { return shift(join(w) & (width - 1)); });
    if (!wide) fill<T>(generator, out, n, 1, kCheap, [&](const uint32_t* w) { return shift(*w & (width - 1)); });
  } else if (width >= uint64_t{1} << 28) {  // PyTorch accepts a skew of 5 % in 32-bit draws, no more
    fill<T>(generator, out, n, 2, kCostly, [&](const uint32_t* w) { return shift(join(w) % width); });
  } else {
    T* data = static_cast<T*>(out);
    stream(generator, n, 1, kCheap, [&, width = width](const uint32_t* words, int64_t first, int64_t count) {
      constexpr int64_t kTile = 1024;
      uint32_t tile[kTile];
      for (int64_t i = 0; i < count; i += kTile) {
        int64_t m = std::min(kTile, count - i);
        random_kernels().remainder(words + i, tile, m, static_cast<uint32_t>(width));
        for (int64_t j = 0; j < m; ++j) data[first + i + j] = cast<T>(shift(tile[j]));
      }
    });
  }
}

// u < p for u of 53 bits is an integer comparison: k < ceil(p 2^53).
int64_t limit53(double p) { return static_cast<int64_t>(std::ceil(p * 0x1p53)); }

void check_normal(double std) { EMBER_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std); }

}  // namespace

void uniform(Generator& generator, DType dtype, void* out, int64_t n, double from, double to) {
  if (is_complex(dtype)) return uniform(generator, real_of(dtype), out, 2 * n, from, to);
  EMBER_CHECK(from <= to, "uniform_ expects to return a [from, to) range, but found from=", from, " > to=", to);
  visit_floating("uniform_", dtype, [&]<class T>(T) {
    using C = compute_t<T>;
    double max = std::is_same_v<T, Half>       ? 65504.0
                 : std::is_same_v<T, BFloat16> ? 0x1.fep127
                                               : std::numeric_limits<C>::max();
    EMBER_CHECK(from >= -max && from <= max, "uniform_: from is out of bounds for ", dtype);
    EMBER_CHECK(to >= -max && to <= max, "uniform_: to is out of bounds for ", dtype);
    EMBER_CHECK(to - from <= max, "uniform_ expects to-from <= std::numeric_limits<", dtype,
                ">::max(), but found to=", to, " and from=", from, " which result in to-from to exceed the limit");
    Lock lock(generator.mutex());
    const auto& kernels = random_kernels();
    constexpr int kWords = std::is_same_v<T, double> ? 2 : 1;
    fill_tiles<T, C>(generator, out, n, kWords, [&](const uint32_t* words, C* tile, int64_t count) {
      if constexpr (kWords == 2) {
        kernels.uniform_f64(words, tile, count, from, to);
      } else {
        kernels.uniform_f32(words, tile, count, static_cast<float>(from), static_cast<float>(to));
      }
    });
    if constexpr (is_narrow<T>) {  // rounding to the narrow type can reach `to` as well, or -0 where `to` is 0
      T* data = static_cast<T*>(out);
      const T low = cast<T>(from), high = cast<T>(to);
      const bool zero = (high.bits & 0x7fff) == 0;
      for (int64_t i = 0; i < n; ++i) {
        uint16_t bits = data[i].bits;
        if (bits == high.bits || (zero && (bits & 0x7fff) == 0)) data[i] = low;
      }
    }
  });
}

void normal(Generator& generator, DType dtype, void* out, int64_t n, double mean, double std) {
  check_normal(std);
  if (is_complex(dtype)) return normal(generator, real_of(dtype), out, 2 * n, mean, std / std::sqrt(2.0));
  if (n < 16) return normal_serial(generator, dtype, out, n, mean, std);
  visit_floating("normal_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    normal_of(generator, static_cast<T*>(out), n, mean, std);
  });
}

void normal_serial(Generator& generator, DType dtype, void* out, int64_t n, double mean, double std) {
  check_normal(std);
  if (is_complex(dtype)) return normal_serial(generator, real_of(dtype), out, 2 * n, mean, std / std::sqrt(2.0));
  visit_floating("normal_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = cast<T>(std::fma(next_normal(generator), std, mean));
  });
}

void log_normal(Generator& generator, DType dtype, void* out, int64_t n, double mean, double std) {
  EMBER_CHECK(std > 0, "log_normal_ expects std > 0.0, but found std=", std);
  visit_floating("log_normal_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(out)[i] = cast<T>(std::exp(std::fma(next_normal(generator), std, mean)));
  });
}

void random(Generator& generator, DType dtype, void* out, int64_t n) {
  visit_real("random_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    if constexpr (is_narrow<T> || std::is_floating_point_v<T>) {
      constexpr uint64_t kWidth = (uint64_t{1} << kDigits<T>)+1;
      if constexpr (std::is_same_v<T, double>) {
        fill<T>(generator, out, n, 2, kCostly, [](const uint32_t* w) { return join(w) % kWidth; });
      } else {
        fill<T>(generator, out, n, 1, kCheap, [](const uint32_t* w) { return *w % static_cast<uint32_t>(kWidth); });
      }
    } else if constexpr (sizeof(T) == 8) {
      constexpr auto kMask = static_cast<uint64_t>(std::numeric_limits<T>::max());
      fill<T>(generator, out, n, 2, kCheap, [](const uint32_t* w) { return join(w) & kMask; });
    } else {
      constexpr uint32_t kMask = std::is_same_v<T, bool> ? 1 : static_cast<uint32_t>(std::numeric_limits<T>::max());
      fill<T>(generator, out, n, 1, kCheap, [](const uint32_t* w) { return *w & kMask; });
    }
  });
}

void randint(Generator& generator, DType dtype, void* out, int64_t n, int64_t from, std::optional<int64_t> to) {
  visit_real("random_", dtype, [&]<class T>(T) {
    IntRange range = int_range<T>(dtype, from, to);
    Lock lock(generator.mutex());
    fill_range<T>(generator, out, n, range);
  });
}

void randperm(Generator& generator, DType dtype, void* out, int64_t n) {
  EMBER_CHECK(n >= 0, "randperm: n must be non-negative, got ", n);
  visit_real("randperm", dtype, [&]<class T>(T) {
    int64_t largest = std::is_same_v<T, bool> ? 1
                      : is_narrow<T> || std::is_floating_point_v<T>
                          ? int64_t{1} << kDigits<T>
                          : static_cast<int64_t>(std::min<uint64_t>(
                                static_cast<uint64_t>(std::numeric_limits<compute_t<T>>::max()), INT64_MAX));
    EMBER_CHECK(n <= largest, "randperm: n=", n, " is too large: ", dtype, " holds every integer up to ", largest);
    T* data = static_cast<T*>(out);
    Lock lock(generator.mutex());
    if (n < std::numeric_limits<uint32_t>::max() / 20) {  // Fisher-Yates
      for (int64_t i = 0; i < n; ++i) data[i] = cast<T>(i);
      stream(generator, n - 1, 1, kCheap, [&](const uint32_t* words, int64_t first, int64_t count) {
        constexpr int64_t kTile = 512;
        uint32_t ahead[kTile];
        for (int64_t i = 0; i < count; i += kTile) {
          int64_t m = std::min(kTile, count - i);
          T* here = data + first + i;
          random_kernels().remainder_down(words + i, ahead, m, static_cast<uint32_t>(n - first - i));
          for (int64_t j = 0; j < m; ++j) __builtin_prefetch(here + j + ahead[j], 1);
          for (int64_t j = 0; j < m; ++j) std::swap(here[j], here[j + ahead[j]]);
        }
      });
    } else {  // the inside-out form, with draws wide enough for n near 2^32
      stream(generator, n, 2, kCheap, [&](const uint32_t* words, int64_t first, int64_t count) {
        for (int64_t i = first; i < first + count; ++i, words += 2) {
          auto z = static_cast<int64_t>(join(words) % static_cast<uint64_t>(i + 1));
          data[i] = cast<T>(i);
          data[i] = data[z];
          data[z] = cast<T>(i);
        }
      });
    }
  });
}

void bernoulli(Generator& generator, DType dtype, void* out, int64_t n, double p) {
  EMBER_CHECK(0 <= p && p <= 1, "bernoulli_ expects p to be in [0, 1], but got p=", p);
  visit_real("bernoulli_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    fill_tiles<T, bool>(generator, out, n, 2, [limit = limit53(p)](const uint32_t* words, bool* tile, int64_t count) {
      random_kernels().below(words, tile, count, limit);
    });
  });
}

void bernoulli(Generator& generator, DType dtype, void* out, int64_t n, DType p_dtype, const void* p) {
  visit_floating("bernoulli", p_dtype, [&]<class P>(P) {
    const P* given = static_cast<const P*>(p);
    for (int64_t i = 0; i < n; ++i) {
      auto value = load(given[i]);
      EMBER_CHECK(value >= 0 && value <= 1, "bernoulli: Expected p_in >= 0 && p_in <= 1 to be true, but got false: p=",
                  static_cast<double>(value));
    }
    visit_real("bernoulli", dtype, [&]<class T>(T) {
      T* data = static_cast<T*>(out);
      constexpr int kWords = std::is_same_v<P, double> ? 2 : 1;
      Lock lock(generator.mutex());
      stream(generator, n, kWords, kCheap, [&](const uint32_t* words, int64_t first, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          bool hit;
          if constexpr (kWords == 2) {
            hit = uniform53(words + 2 * i) < given[first + i];
          } else {
            hit = uniform24(words[i]) < load(given[first + i]);
          }
          data[first + i] = cast<T>(hit);
        }
      });
    });
  });
}

void dropout(Generator& generator, DType dtype, const void* x, void* out, bool* mask, int64_t n, double p) {
  EMBER_CHECK(0 <= p && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
  if (is_complex(dtype)) fail<NotImplementedError>("dropout: not implemented for ", dtype);
  visit_floating("dropout", dtype, [&]<class T>(T) {
    using C = compute_t<T>;
    const T* in = static_cast<const T*>(x);
    T* data = static_cast<T*>(out);
    if (p == 1) {  // PyTorch draws nothing here
      for (int64_t i = 0; i < n; ++i) data[i] = cast<T>(load(in[i]) * C{0});
      if (mask) std::memset(mask, 0, static_cast<size_t>(n));
      return;
    }
    // The mask's elements are 0 and 1 / (1 - p) of x's dtype; a dropped inf or nan is nan.
    const C scale = load(cast<T>(C{1} / static_cast<C>(1 - p)));
    Lock lock(generator.mutex());
    stream(generator, n, 2, kCheap, [&](const uint32_t* words, int64_t first, int64_t count) {
      constexpr int64_t kTile = 1024;
      bool kept[kTile];
      for (int64_t i = 0; i < count; i += kTile) {
        int64_t m = std::min(kTile, count - i), at = first + i;
        random_kernels().below(words + 2 * i, kept, m, limit53(1 - p));
        for (int64_t j = 0; j < m; ++j) data[at + j] = cast<T>(load(in[at + j]) * (static_cast<C>(kept[j]) * scale));
        if (mask) std::memcpy(mask + at, kept, static_cast<size_t>(m));
      }
    });
  });
}

void exponential(Generator& generator, DType dtype, void* out, int64_t n, double rate) {
  EMBER_CHECK(rate > 0, "exponential_ expects lambda > 0.0, but found lambda=", rate);
  visit_floating("exponential_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    const double scale = -1 / rate;
    if constexpr (std::is_same_v<T, double>) {  // libm's digits, as PyTorch's; narrower types cannot tell
      fill<T>(generator, out, n, 2, kCostly, [scale](const uint32_t* w) { return scale * std::log1p(-uniform53(w)); });
    } else {
      fill_tiles<T, float>(generator, out, n, 2, [scale](const uint32_t* words, float* tile, int64_t count) {
        random_kernels().exponential_f32(words, tile, count, scale);
      });
    }
  });
}

void geometric(Generator& generator, DType dtype, void* out, int64_t n, double p) {
  EMBER_CHECK(0 < p && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
  visit_real("geometric_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    fill<T>(generator, out, n, 2, kCostly,
            [base = std::log1p(-p)](const uint32_t* w) { return std::ceil(std::log(uniform53(w)) / base); });
  });
}

void cauchy(Generator& generator, DType dtype, void* out, int64_t n, double median, double sigma) {
  EMBER_CHECK(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
  visit_floating("cauchy_", dtype, [&]<class T>(T) {
    Lock lock(generator.mutex());
    fill<T>(generator, out, n, 2, kCostly, [=](const uint32_t* w) {
      return std::fma(sigma, std::tan(std::numbers::pi * (uniform53(w) - 0.5)), median);
    });
  });
}

}  // namespace ember::kernel
