// Scratch: a few cached blocks a thread, best fit.
#include "kernel/cpu/scratch.h"

#include <cstdlib>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace ember::cpu {
namespace {

constexpr int kSlots = 12;
constexpr size_t kKeep = size_t{32} << 20;

struct Cache {
  std::pair<void*, size_t> slots[kSlots] = {};
  ~Cache() {
    for (auto& [memory, bytes] : slots) std::free(memory);
  }
};
thread_local Cache cache;

}  // namespace

Scratch::Scratch(size_t bytes) : memory_(nullptr), bytes_((bytes + 4095) & ~size_t{4095}) {
  std::pair<void*, size_t>* best = nullptr;
  for (auto& slot : cache.slots)
    if (slot.second >= bytes_ && slot.second / 4 <= bytes_ && (!best || slot.second < best->second)) best = &slot;
  if (best) {
    std::tie(memory_, bytes_) = std::exchange(*best, {nullptr, 0});
    return;
  }
  memory_ = std::aligned_alloc(4096, bytes_);
  EMBER_CHECK_AS(OutOfMemoryError, memory_, "kernel scratch: not enough memory for ", static_cast<int64_t>(bytes_),
                 " bytes");
}

Scratch::~Scratch() {
  std::pair<void*, size_t> mine{memory_, bytes_};
  if (bytes_ <= kKeep)
    for (auto& slot : cache.slots)
      if (slot.second < mine.second) std::swap(slot, mine);  // keeps the largest; the smallest of all drops out
  std::free(mine.first);
}

}  // namespace ember::cpu
