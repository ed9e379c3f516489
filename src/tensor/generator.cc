// Seeding, and the bytes of a saved state.
#include "tensor/generator.h"

#include <cstring>
#include <random>

#include "base/error.h"

namespace ember {
namespace {

// The record that PyTorch copies out as a byte tensor: its old generator's fields, then what was added later. The old
// generator kept each word in 64 bits and had three doubles for normals, of which only `normal_y` still means
// something.
struct SavedState {
  uint64_t seed;
  int32_t left, seeded;
  uint64_t next, state[kMtWords];
  double normal_x, normal_y, normal_rho;
  int32_t normal_valid, gap;
  float normal_float;
  uint8_t normal_float_valid, end[3];
};
static_assert(sizeof(SavedState) == Generator::kStateBytes);

uint64_t entropy() {
  std::random_device device;
  uint64_t high = device();
  return (high << 32 | device()) & 0x1fffffffffffff;  // 53 bits: exact in a double, as PyTorch's are
}

}  // namespace

Ptr<Generator> Generator::clone() const {
  auto copy = make_ptr<Generator>();
  copy->engine_ = engine_;
  copy->next_normal_ = next_normal_;
  copy->next_normal_float_ = next_normal_float_;
  return copy;
}

void Generator::manual_seed(uint64_t seed) {
  engine_.seed = seed;
  engine_.left = 1;
  engine_.next = 0;
  uint32_t word = engine_.state[0] = static_cast<uint32_t>(seed);
  for (uint32_t i = 1; i < kMtWords; ++i) engine_.state[i] = word = 1812433253u * (word ^ word >> 30) + i;
  next_normal_.reset();
  next_normal_float_.reset();
}

uint64_t Generator::seed() {
  uint64_t value = entropy();
  manual_seed(value);
  return value;
}

void Generator::renew() {
  mt_renew(engine_.state);
  engine_.left = kMtWords;
  engine_.next = 0;
}

void Generator::get_state(void* bytes) const {
  SavedState s{};
  s.seed = engine_.seed;
  s.left = engine_.left;
  s.seeded = 1;
  s.next = engine_.next;
  for (int i = 0; i < kMtWords; ++i) s.state[i] = engine_.state[i];
  s.normal_valid = next_normal_.has_value();
  s.normal_y = next_normal_.value_or(0);
  s.normal_float_valid = next_normal_float_.has_value();
  s.normal_float = next_normal_float_.value_or(0);
  std::memcpy(bytes, &s, sizeof s);
}

void Generator::set_state(const void* bytes, size_t size) {
  EMBER_CHECK(size == kStateBytes, "set_state: Expected a CPUGeneratorImplState of size ", uint64_t{kStateBytes},
              " but found the input RNG state size to be ", uint64_t{size});
  SavedState s;
  std::memcpy(&s, bytes, sizeof s);
  // left + next is bounded so that a forged state cannot make a draw read past the words.
  EMBER_CHECK(s.seeded == 1 && s.left > 0 && s.left <= kMtWords && s.next <= kMtWords &&
                  s.left + static_cast<int64_t>(s.next) <= kMtWords + 1,
              "set_state: Invalid mt19937 state: left=", s.left, ", next=", uint64_t{s.next}, ", seeded=", s.seeded);
  engine_.seed = s.seed;
  engine_.left = s.left;
  engine_.next = static_cast<uint32_t>(s.next);
  for (int i = 0; i < kMtWords; ++i) engine_.state[i] = static_cast<uint32_t>(s.state[i]);
  next_normal_ = s.normal_valid ? std::optional(s.normal_y) : std::nullopt;
  next_normal_float_ = s.normal_float_valid ? std::optional(s.normal_float) : std::nullopt;
}

const Ptr<Generator>& default_generator() {
  static const auto generator = make_ptr<Generator>(entropy());
  return generator;
}

}  // namespace ember
