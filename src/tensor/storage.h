// A block of memory that tensors share: an opaque handle, its size, its device and how to give it back.
// On the CPU the handle is an address; on other devices it may not be one.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

#include "base/intrusive.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace ember {

// Counts the in-place writes that were made through any view; autograd compares it when it opens a saved tensor.
struct VersionCounter : RefCounted {
  std::atomic<uint32_t> value{0};
};

class EMBER_API Storage final : public RefCounted {
 public:
  using Deleter = void (*)(void* handle, void* context);

  // Memory from the CPU's caching allocator, uninitialised.
  static Ptr<Storage> allocate(int64_t nbytes);
  // Memory of somebody else: `deleter(handle, context)` runs when the last tensor is gone.
  static Ptr<Storage> adopt(void* handle, int64_t nbytes, Device device, Deleter deleter, void* context);

  void* data() const { return data_; }
  int64_t nbytes() const { return nbytes_; }
  Device device() const { return device_; }
  bool resizable() const { return deleter_ == nullptr; }
  // Grows or shrinks in place of the old block, keeping the common bytes. Only for memory of our own.
  void resize(int64_t nbytes);
  std::atomic<uint32_t>& version() { return version_; }
  // Notes what a large block of our own was made for; an OutOfMemoryError lists the largest.
  void label(DimsView sizes, DType dtype);

  ~Storage() override;
  struct Behind {
    size_t bytes;  // of data in the same block
  };
  static void* operator new(size_t size, Behind data);
  static void operator delete(void* p, Behind data);
  static void operator delete(Storage* s, std::destroying_delete_t);

 private:
  void free_data();
  Storage(void* data, int64_t nbytes, Device device, Deleter deleter, void* context)
      : data_(data), nbytes_(nbytes), context_(context), deleter_(deleter), device_(device) {}

  void* data_;
  int64_t nbytes_;
  void* context_;    // the deleter's; of our own memory: its label, or null
  Deleter deleter_;  // null: cpu_free
  std::atomic<uint32_t> version_{0};
  Device device_;
  uint16_t inside_ = 0;  // bytes that were allocated behind the object itself: small data lives there
};

// The largest labelled storages alive, a line each, for messages.
EMBER_API std::string largest_storages();
// Set by transform/: where the program is, when anomaly mode is on; else an empty text.
extern EMBER_API std::string (*place_in_program)();

}  // namespace ember
