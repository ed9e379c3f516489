// Scratch memory of kernels: 64-byte aligned blocks that a thread keeps between calls, so that packing buffers cost
// neither malloc nor page faults in the steady state. Blocks beyond kKeep bytes go back at once. Contents are
// undefined.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ember::cpu {

class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_;
  size_t bytes_;
};

}  // namespace ember::cpu
