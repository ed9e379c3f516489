// The random generator of the CPU: MT19937 with PyTorch's seeding, draws and saved states, so that one seed gives the
// same numbers in both and a state saved by either continues in the other. It holds raw bits only; what a distribution
// makes of them is kernel/cpu/random.h. `random`, `random64` and the cached normals do not lock: whoever draws several
// values for one call holds `mutex` meanwhile, so that a call's numbers are consecutive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/intrusive.h"

namespace ember {

inline constexpr int kMtWords = 624;

// PyTorch's invariant, which saved states carry: before the first draw left == 1 and next == 0, afterwards
// left + next == 625. A draw that finds left == 1 renews all words first.
struct Mt19937 {
  uint64_t seed;
  int32_t left;
  uint32_t next;
  uint32_t state[kMtWords];
};

// One renewal of the words. Each new word needs the old words i and i+1 and word i+397, old or new, so the three loops
// below carry nothing closer than 227 words and compile to vector code of any width. Always inlined: the kernels
// compiled per instruction set get their own copies.
EMBER_INLINE void mt_renew(uint32_t* s) {
  constexpr int kShift = 397;
  auto mix = [](uint32_t a, uint32_t b, uint32_t far) {
    uint32_t y = (a & 0x80000000u) | (b & 0x7fffffffu);
    return far ^ (y >> 1) ^ (-(b & 1u) & 0x9908b0dfu);
  };
  for (int i = 0; i < kMtWords - kShift; ++i) s[i] = mix(s[i], s[i + 1], s[i + kShift]);
#pragma GCC ivdep
  for (int i = kMtWords - kShift; i < 2 * (kMtWords - kShift); ++i)
    s[i] = mix(s[i], s[i + 1], s[i - (kMtWords - kShift)]);
#pragma GCC ivdep
  for (int i = 2 * (kMtWords - kShift); i < kMtWords - 1; ++i) s[i] = mix(s[i], s[i + 1], s[i - (kMtWords - kShift)]);
  s[kMtWords - 1] = mix(s[kMtWords - 1], s[0], s[kShift - 1]);
}
EMBER_INLINE uint32_t mt_temper(uint32_t y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

class EMBER_API Generator : public RefCounted {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721;
  static constexpr size_t kStateBytes = 5056;

  explicit Generator(uint64_t seed = kDefaultSeed) { manual_seed(seed); }
  Generator& operator=(const Generator&) = delete;
  Ptr<Generator> clone() const;

  void manual_seed(uint64_t seed);  // the words come from its low 32 bits, as in PyTorch
  uint64_t seed();                  // seeds from the system's entropy, returns the seed
  uint64_t initial_seed() const { return engine_.seed; }

  uint32_t random() {
    if (--engine_.left == 0) renew();
    return mt_temper(engine_.state[engine_.next++]);
  }
  uint64_t random64() {  // the first draw is the high half
    uint64_t high = random();
    return high << 32 | random();
  }

  // A saved state is kStateBytes bytes, laid out as PyTorch's get_rng_state lays them out on 64-bit little-endian
  // machines. set_state raises Error when the size or the counters are impossible, and then changes nothing.
  void get_state(void* bytes) const;
  void set_state(const void* bytes, size_t size);

  std::mutex& mutex() const { return mutex_; }
  Mt19937& engine() { return engine_; }
  // Box-Muller makes normals in pairs; the second of a pair waits here for the next scalar draw.
  std::optional<double>& next_normal() { return next_normal_; }
  std::optional<float>& next_normal_float() { return next_normal_float_; }

 private:
  void renew();

  Mt19937 engine_;
  std::optional<double> next_normal_;
  std::optional<float> next_normal_float_;
  mutable std::mutex mutex_;
};

// The generator of every call that names none; seeded from the system's entropy when first used.
EMBER_API const Ptr<Generator>& default_generator();

}  // namespace ember
