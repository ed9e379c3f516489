// Reference counting inside the object: a handle is one pointer, and a raw pointer can become a handle again.
// RefCounted starts at one, owned by whoever made it; make_ptr and Ptr::adopt take that one over. The count is atomic,
// but an owner who is alone lets go without a locked instruction. Cycles are the callers' business.
#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "base/export.h"

namespace ember {

class EMBER_API RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    // Alone: nobody else can reach the object to retain it, so a load is enough.
    if (count_.load(std::memory_order_acquire) == 1 || count_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  int64_t use_count() const { return count_.load(std::memory_order_acquire); }

 protected:
  virtual ~RefCounted() = default;

  // For classes whose objects are also reached by address, without a count: release() and retain() for those.
  void drop_count() const {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  bool retain_unless_zero() const {
    int64_t count = count_.load(std::memory_order_relaxed);
    while (count && !count_.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel)) {}
    return count != 0;
  }

 private:
  void destroy() const { delete this; }

  mutable std::atomic<int64_t> count_{1};
};

template <class T>
class Ptr {
 public:
  using element_type = T;

  Ptr() = default;
  Ptr(std::nullptr_t) {}
  Ptr(const Ptr& other) : object_(other.object_) {
    if (object_) object_->retain();
  }
  Ptr(Ptr&& other) noexcept : object_(other.unsafe_release()) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> Ptr(Ptr<U> other) : object_(other.unsafe_release()) {}
  ~Ptr() {
    if (object_) object_->release();
  }
  Ptr& operator=(const Ptr& other) {
    Ptr(other).swap(*this);
    return *this;
  }
  Ptr& operator=(Ptr&& other) noexcept {
    Ptr(std::move(other)).swap(*this);
    return *this;
  }

  // A handle that takes over the reference that the caller holds, and one that adds its own.
  static Ptr adopt(T* object) {
    Ptr out;
    out.object_ = object;
    return out;
  }
  static Ptr share(T* object) {
    if (object) object->retain();
    return adopt(object);
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  int64_t use_count() const { return object_ ? object_->use_count() : 0; }
  void reset() { Ptr().swap(*this); }
  void swap(Ptr& other) noexcept { std::swap(object_, other.object_); }
  // Gives up the reference without dropping it: the caller holds it now.
  [[nodiscard]] T* unsafe_release() noexcept { return std::exchange(object_, nullptr); }

  friend bool operator==(const Ptr& a, const Ptr& b) { return a.object_ == b.object_; }
  friend bool operator==(const Ptr& a, std::nullptr_t) { return !a.object_; }
  friend auto operator<=>(const Ptr& a, const Ptr& b) { return std::compare_three_way()(a.object_, b.object_); }

 private:
  T* object_ = nullptr;
};

template <class T, class... Args>
Ptr<T> make_ptr(Args&&... args) {
  return Ptr<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace ember

template <class T>
struct std::hash<ember::Ptr<T>> {
  size_t operator()(const ember::Ptr<T>& p) const noexcept { return std::hash<T*>()(p.get()); }
};
