// OpenCL, opened at run time: the first device of the first platform that has one (a GPU before a CPU), one context,
// one in-order queue, programs compiled once. Kernels are found by their text, so whoever wrote the same text gets the
// compiled one. Throws Error with the name of OpenCL's call and its code.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/export.h"
#include "base/span.h"

namespace ember::gpu::opencl {

// Device memory.
class EMBER_API Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  Buffer(Buffer&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Buffer();
  void upload(const void* from, size_t bytes);  // returns when `from` may be changed
  void download(void* to, size_t bytes) const;  // after all that was launched before
  void* handle() const { return handle_; }

 private:
  void* handle_ = nullptr;
};

// A kernel's argument: a buffer or the bytes of a number.
struct Argument {
  const Buffer* buffer = nullptr;
  size_t size = 0;
  unsigned char bytes[8] = {};
  Argument(const Buffer& b) : buffer(&b) {}
  template <class T>
  explicit Argument(T number) : size(sizeof(T)) {
    static_assert(sizeof(T) <= sizeof(bytes));
    __builtin_memcpy(bytes, &number, sizeof(T));
  }
};

struct KernelSource {
  std::string name, text;
};

// Why there is no device, or an empty text where there is one.
EMBER_API std::string why_not();
EMBER_API std::string device_name();
EMBER_API bool has_doubles();
// Compiles the kernels that are not compiled yet as one program.
EMBER_API void prepare(const std::string& prelude, Span<KernelSource> kernels);
// Runs `count` elements (kernels test for the end) in groups of `group`, after everything launched before.
EMBER_API void launch(const std::string& prelude, const KernelSource& kernel, Span<Argument> arguments, size_t count,
                      size_t group);

}  // namespace ember::gpu::opencl
