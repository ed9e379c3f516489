// Tensor: a handle on TensorImpl, which is sizes, strides and an offset into a shared Storage.
// Everything that computes is an op (op/ops.h); the methods here are the short closed list that C++ programs write
// with a dot. Autograd's state is an abstract pointer: this layer knows that it exists, not what it is.
#pragma once

#include <memory>
#include <utility>

#include "base/intrusive.h"
#include "tensor/dtype.h"
#include "tensor/scalar.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace ember {

class Tensor;
class TensorImpl;

// The dispatch word. A call runs its kernel at once when keys(args) | thread's keys has no interpreter's bit; else the
// highest bit's interpreter takes it (op/dispatch.h). Order within a level: autocast > grad > functionalize > record >
// fake > python > backend.
using Keys = uint64_t;
namespace key {
inline constexpr Keys kPython = 1u << 0;  // a __torch_dispatch__ subclass
inline constexpr Keys kFake = 1u << 1;    // no data: shapes only (the meta device)
inline constexpr Keys kRecord = 1u << 2;
inline constexpr Keys kFunctionalize = 1u << 3;
inline constexpr Keys kGrad = 1u << 4;  // requires grad, or came from something that does
inline constexpr Keys kAutocast = 1u << 5;
inline constexpr Keys kLevel = 1u << 6;  // wrapped by a transform's level (vmap, grad, jvp of func)
}  // namespace key

// What autograd hangs on a tensor; defined in transform/grad.
struct EMBER_API AutogradState {
  virtual ~AutogradState() = default;
};

// Is this thread in inference mode? What is made in it stays outside of autograd for good. Set by InferenceMode
// (transform/grad.h).
extern EMBER_API constinit thread_local bool inference_mode EMBER_FAST_TLS;

class EMBER_API TensorImpl final : public RefCounted {
 public:
  TensorImpl(Ptr<Storage> storage, DType dtype, Device device)
      : storage(std::move(storage)), device(device), dtype(dtype) {}
  ~TensorImpl() override;

  // Sets the geometry and what is cached of it.
  void set_sizes(DimsView new_sizes, DimsView new_strides);
  void set_sizes_contiguous(DimsView new_sizes);

  Keys keys = 0;
  Ptr<Storage> storage;  // null on the meta device
  int64_t offset = 0;    // in elements
  int64_t numel = 1;
  Dims sizes, strides;
  Device device;
  DType dtype;
  Layout layout = Layout::kStrided;
  bool contiguous = true;           // cached: row-major without holes
  bool wrapped_number = false;      // made from a Python number: yields to dimensioned tensors in promotion
  bool inference = inference_mode;  // made in it: no version counter, cannot be saved for backward
  bool requires_grad = false;       // of a leaf, or set on a result by autograd
  Ptr<TensorImpl> view_base;        // of a differentiable view: the tensor that is no view itself
  std::unique_ptr<AutogradState> autograd;
  Ptr<VersionCounter> own_version;  // replaces the storage's counter (`x.data`)
  Ptr<RefCounted> extra;            // layout-specific parts
  // The Python object, if one was ever made. Bit 0 set: this impl keeps that object alive (see
  // python/tensor_object.cc).
  std::atomic<uintptr_t> python_object{0};

  std::atomic<uint32_t>& version() { return own_version ? own_version->value : storage->version(); }

  static void* operator new(size_t size);
  static void operator delete(void* p, size_t size);
};

// Set by python/ at start-up: gives up the Python object that a dying impl kept alive.
extern EMBER_API void (*release_python_object)(uintptr_t object);

class EMBER_API Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ptr<TensorImpl> impl) : impl_(std::move(impl)) {}
  // A number as a 0-dim tensor that yields in promotion as Python's numbers do: `x * 2.0`.
  Tensor(Scalar s);
  Tensor(double d) : Tensor(Scalar(d)) {}
  Tensor(int i) : Tensor(Scalar(i)) {}
  Tensor(int64_t i) : Tensor(Scalar(i)) {}

  bool defined() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }
  TensorImpl* operator->() const { return impl_.get(); }
  const Ptr<TensorImpl>& ptr() const { return impl_; }
  Ptr<TensorImpl> release() && { return std::move(impl_); }
  bool is(const Tensor& other) const { return impl_ == other.impl_; }

  int64_t dim() const { return static_cast<int64_t>(impl_->sizes.size()); }
  int64_t numel() const { return impl_->numel; }
  const Dims& sizes() const { return impl_->sizes; }
  const Dims& strides() const { return impl_->strides; }
  int64_t size(int64_t d) const { return impl_->sizes[wrap_dim(d, dim(), false)]; }
  int64_t stride(int64_t d) const { return impl_->strides[wrap_dim(d, dim(), false)]; }
  int64_t storage_offset() const { return impl_->offset; }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->device; }
  Layout layout() const { return impl_->layout; }
  bool is_meta() const { return impl_->device.type == DeviceType::kMeta; }
  bool is_contiguous(MemoryFormat format = MemoryFormat::kContiguous) const {
    return format == MemoryFormat::kContiguous ? impl_->contiguous
                                               : ember::is_contiguous(impl_->sizes, impl_->strides, format);
  }
  uint32_t version() const { return impl_->inference || !impl_->storage ? 0 : impl_->version().load(); }
  void bump_version() const {
    if (impl_->storage) impl_->version().fetch_add(1, std::memory_order_relaxed);
  }

  // The address of element [0, ..., 0]; RuntimeError where the memory has no address (meta, OpenCL).
  void* data() const;
  template <class T>
  T* data() const {
    return static_cast<T*>(data());
  }

  // ---- defined in op/ and transform/: the same names as in Python ----
  bool requires_grad() const { return impl_->requires_grad; }
  const Tensor& set_requires_grad(bool on) const;
  Tensor grad() const;
  void set_grad(const Tensor& grad) const;
  void backward(const Tensor& gradient = {}, bool retain_graph = false, bool create_graph = false) const;
  Tensor detach() const;
  Scalar item() const;
  template <class T>
  T item() const {
    return item().to<T>();
  }
  Tensor to(DType dtype) const;
  Tensor contiguous(MemoryFormat format = MemoryFormat::kContiguous) const;
  Tensor clone() const;
  Tensor view(DimsView sizes) const;
  Tensor reshape(DimsView sizes) const;
  Tensor operator[](int64_t index) const;
  const Tensor& operator+=(const Tensor& b) const;
  const Tensor& operator-=(const Tensor& b) const;
  const Tensor& operator*=(const Tensor& b) const;
  const Tensor& operator/=(const Tensor& b) const;
  std::string repr() const;

 private:
  Ptr<TensorImpl> impl_;
};

// Uninitialised memory, and the same geometry without memory.
EMBER_API Tensor empty_strided_raw(DimsView sizes, DimsView strides, DType dtype, Device device);
EMBER_API Tensor empty_raw(DimsView sizes, DType dtype, Device device = kCpu);
// Uninitialised memory with the geometry of x, which is contiguous and on the CPU.
EMBER_API Tensor empty_as_raw(const Tensor& x, DType dtype);
// Another geometry over the same storage; no autograd, no checks beyond bounds.
EMBER_API Tensor alias_raw(const Tensor& x, DimsView sizes, DimsView strides, int64_t offset);
// Gives x a new shape over its own storage, growing it when needed (`resize_`).
EMBER_API void resize_raw(const Tensor& x, DimsView sizes);

}  // namespace ember
