// Tensor's memory: allocation of impls and storages, geometry, aliases.
#include "tensor/tensor.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "tensor/allocator.h"

namespace ember {

// Small data lives behind its Storage, in one block; it starts on a cache line's boundary of its own.
constexpr size_t kStorageBytes = 64, kMaxInside = 1024;
static_assert(sizeof(Storage) <= kStorageBytes);
void* Storage::operator new(size_t, Behind data) { return cpu_alloc(kStorageBytes + data.bytes); }
void Storage::operator delete(void* p, Behind data) { cpu_free(p, kStorageBytes + data.bytes); }
void Storage::operator delete(Storage* s, std::destroying_delete_t) {
  size_t bytes = kStorageBytes + s->inside_;
  s->~Storage();
  cpu_free(s, bytes);
}
void* TensorImpl::operator new(size_t size) { return cpu_alloc(size); }
void TensorImpl::operator delete(void* p, size_t size) { cpu_free(p, size); }

// ---- labels: what large storages were made for, known only to the message of an error ----

constexpr int64_t kMinLabelled = 1 << 20;
std::string (*place_in_program)() = nullptr;

namespace {

struct Label {
  int64_t nbytes;
  Dims sizes;
  DType dtype;
  std::string place;
  Label *prev, *next;
};
struct Labels {
  std::mutex mutex;
  Label* first = nullptr;
};
Labels& labels() {  // never destroyed: statics may free tensors after it would have been
  static Labels* made = [] {
    pthread_atfork([] { labels().mutex.lock(); }, [] { labels().mutex.unlock(); }, [] { labels().mutex.unlock(); });
    return new Labels;
  }();
  return *made;
}
void drop_label(Label* label) {
  {
    std::lock_guard<std::mutex> lock(labels().mutex);
    (label->prev ? label->prev->next : labels().first) = label->next;
    if (label->next) label->next->prev = label->prev;
  }
  delete label;
}

}  // namespace

void Storage::label(DimsView sizes, DType dtype) {
  auto* label = new Label{nbytes_, Dims(sizes), dtype, place_in_program ? place_in_program() : "", nullptr, nullptr};
  std::lock_guard<std::mutex> lock(labels().mutex);
  if ((label->next = labels().first)) label->next->prev = label;
  labels().first = label;
  context_ = label;
}

std::string largest_storages() {
  constexpr size_t kShown = 8;
  std::lock_guard<std::mutex> lock(labels().mutex);
  std::vector<const Label*> all;
  for (const Label* l = labels().first; l; l = l->next) all.push_back(l);
  size_t n = std::min(kShown, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(),
                    [](const Label* a, const Label* b) { return a->nbytes > b->nbytes; });
  std::string out = n ? ". The largest tensors in memory:" : "";
  for (size_t i = 0; i < n; ++i) {
    out += str("\n  ", all[i]->nbytes, " bytes: ", all[i]->dtype, " of shape ", all[i]->sizes);
    if (!all[i]->place.empty()) out += str(", made at\n", all[i]->place);
  }
  if (all.size() > n) out += str("\n  and ", static_cast<int64_t>(all.size() - n), " more of a megabyte and over");
  return out;
}

Ptr<Storage> Storage::allocate(int64_t nbytes) {
  size_t bytes = static_cast<size_t>(nbytes);
  if (bytes <= kMaxInside) {
    auto* s = new (Behind{bytes}) Storage(nullptr, nbytes, kCpu, nullptr, nullptr);
    if (bytes) s->data_ = reinterpret_cast<char*>(s) + kStorageBytes;
    s->inside_ = static_cast<uint16_t>(bytes);
    return Ptr<Storage>::adopt(s);
  }
  void* data = cpu_alloc(bytes);
  try {
    return Ptr<Storage>::adopt(new (Behind{0}) Storage(data, nbytes, kCpu, nullptr, nullptr));
  } catch (...) {
    cpu_free(data, bytes);
    throw;
  }
}

Ptr<Storage> Storage::adopt(void* handle, int64_t nbytes, Device device, Deleter deleter, void* context) {
  return Ptr<Storage>::adopt(new (Behind{0}) Storage(handle, nbytes, device, deleter, context));
}

void Storage::free_data() {
  if (!deleter_ && context_) drop_label(static_cast<Label*>(context_));
  bool inside = data_ == reinterpret_cast<char*>(this) + kStorageBytes && inside_;
  if (deleter_) deleter_(data_, context_);
  else if (data_ && !inside) cpu_free(data_, static_cast<size_t>(nbytes_));
}

Storage::~Storage() { free_data(); }

void Storage::resize(int64_t nbytes) {
  EMBER_CHECK(resizable(), "Trying to resize storage that is not resizable");
  if (context_) drop_label(static_cast<Label*>(std::exchange(context_, nullptr)));
  void* fresh = nbytes ? cpu_alloc(static_cast<size_t>(nbytes)) : nullptr;
  if (data_ && fresh) std::memcpy(fresh, data_, static_cast<size_t>(std::min(nbytes, nbytes_)));
  free_data();
  data_ = fresh, nbytes_ = nbytes;
}

constinit thread_local bool inference_mode = false;
void (*release_python_object)(uintptr_t) = nullptr;

TensorImpl::~TensorImpl() {
  uintptr_t object = python_object.load(std::memory_order_relaxed);
  if (object & 1) release_python_object(object & ~uintptr_t{1});
}

void TensorImpl::set_sizes(DimsView new_sizes, DimsView new_strides) {
  numel = count(new_sizes);
  sizes.assign(new_sizes);
  strides.assign(new_strides);
  contiguous = is_contiguous(sizes, strides);
}

void TensorImpl::set_sizes_contiguous(DimsView new_sizes) {
  numel = count(new_sizes);
  sizes.assign(new_sizes);
  strides = contiguous_strides(sizes);
  contiguous = true;
}

void* Tensor::data() const {
  EMBER_CHECK(impl_->device.type == DeviceType::kCPU, "Cannot access data pointer of Tensor on device ", impl_->device);
  return impl_->storage ? static_cast<char*>(impl_->storage->data()) + impl_->offset * item_size(impl_->dtype)
                        : nullptr;
}

// Bytes from the storage's start that a geometry reaches; raises when that overflows.
static int64_t reach(DimsView sizes, DimsView strides, int64_t offset, DType dtype) {
  int64_t last = offset, first = offset;
  bool overflow = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    int64_t step;
    overflow |= __builtin_mul_overflow(sizes[i] - 1, strides[i], &step);
    overflow |= __builtin_add_overflow(step < 0 ? first : last, step, step < 0 ? &first : &last);
  }
  int64_t bytes;
  overflow |= __builtin_mul_overflow(last + 1, item_size(dtype), &bytes);
  EMBER_CHECK(!overflow, "Storage size calculation overflowed with sizes=", sizes, " and strides=", strides);
  EMBER_CHECK(first >= 0, "a view would start ", -first, " elements before its storage: sizes ", sizes, ", strides ",
              strides, ", storage offset ", offset);
  return bytes;
}

Tensor empty_strided_raw(DimsView sizes, DimsView strides, DType dtype, Device device) {
  count(sizes);
  int64_t bytes = reach(sizes, strides, 0, dtype);
  auto impl =
      make_ptr<TensorImpl>(device.type == DeviceType::kMeta ? nullptr : Storage::allocate(bytes), dtype, device);
  if (EMBER_UNLIKELY(bytes >= kMinLabelled) && impl->storage) impl->storage->label(sizes, dtype);
  impl->set_sizes(sizes, strides);
  if (device.type == DeviceType::kMeta) impl->keys |= key::kFake;
  return Tensor(std::move(impl));
}

Tensor empty_raw(DimsView sizes, DType dtype, Device device) {
  int64_t bytes;
  EMBER_CHECK(!__builtin_mul_overflow(count(sizes), item_size(dtype), &bytes),
              "Storage size calculation overflowed with sizes=", sizes);
  auto impl =
      make_ptr<TensorImpl>(device.type == DeviceType::kMeta ? nullptr : Storage::allocate(bytes), dtype, device);
  if (EMBER_UNLIKELY(bytes >= kMinLabelled) && impl->storage) impl->storage->label(sizes, dtype);
  impl->set_sizes_contiguous(sizes);
  if (device.type == DeviceType::kMeta) impl->keys |= key::kFake;
  return Tensor(std::move(impl));
}

Tensor empty_as_raw(const Tensor& x, DType dtype) {
  int64_t bytes = x->numel * item_size(dtype);
  auto impl = make_ptr<TensorImpl>(Storage::allocate(bytes), dtype, kCpu);
  if (EMBER_UNLIKELY(bytes >= kMinLabelled)) impl->storage->label(x->sizes, dtype);
  impl->sizes = x->sizes, impl->strides = x->strides, impl->numel = x->numel;
  int64_t step = 1;  // x's own strides may be any where they say nothing: of one element, or of none
  for (size_t d = x->sizes.size(); d-- > 0;) {
    impl->strides[d] = step;
    if (__builtin_mul_overflow(step, std::max<int64_t>(x->sizes[d], 1), &step)) step = INT64_MAX;  // of none
  }
  return Tensor(std::move(impl));
}

Tensor alias_raw(const Tensor& x, DimsView sizes, DimsView strides, int64_t offset) {
  auto impl = make_ptr<TensorImpl>(x->storage, x->dtype, x->device);
  impl->own_version = x->own_version;
  impl->offset = offset;
  impl->inference = x->inference;
  impl->keys = x->keys & key::kFake;
  impl->set_sizes(sizes, strides);
  return Tensor(std::move(impl));
}

void resize_raw(const Tensor& x, DimsView sizes) {
  int64_t bytes;
  EMBER_CHECK(!__builtin_mul_overflow(count(sizes) + x->offset, item_size(x->dtype), &bytes),
              "Storage size calculation overflowed with sizes=", sizes);
  if (x->storage && bytes > x->storage->nbytes()) x->storage->resize(bytes);
  x->set_sizes_contiguous(sizes);
}

// Kept in full precision: promotion treats it as the default dtype, but float64 tensors see all of it.
Tensor::Tensor(Scalar s) {
  *this = empty_raw({}, s.is_floating() ? DType::kFloat64 : s.is_complex() ? DType::kComplex128 : s.dtype());
  visit(dtype(), [&]<class T>(T) { *data<T>() = s.to<T>(); });
  impl_->wrapped_number = true;
}

}  // namespace ember
