// A vector whose first N elements live inside it: shapes, strides and argument lists never touch malloc.
// For trivially copyable T only, so that growing, moving and copying are memcpy and no destructor runs per element.
// Iterators and data() are invalidated by growth and, unlike std::vector's, by moving.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>

#include "base/export.h"
#include "base/span.h"

namespace ember {

template <class T, size_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T> && N > 0);
  static_assert(alignof(T) <= alignof(std::max_align_t));

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;
  using reference = T&;
  using const_reference = const T&;
  using size_type = size_t;
  using difference_type = std::ptrdiff_t;

  SmallVector() = default;
  explicit SmallVector(size_t n, const T& value = T()) { resize(n, value); }
  SmallVector(std::initializer_list<T> list) { append(Span<T>(list)); }
  SmallVector(Span<T> values) { append(values); }
  template <class It>
  requires(!std::is_integral_v<It>) SmallVector(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }
  SmallVector(const SmallVector& other) { append(other); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  ~SmallVector() { release(); }

  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other);
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) release(), take(other);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void clear() { size_ = 0; }
  void reserve(size_t n) {
    if (EMBER_UNLIKELY(n > capacity_)) grow(n);
  }
  void resize(size_t n, const T& value = T()) {
    if (n > size_) insert(end(), n - size_, value);
    size_ = static_cast<uint32_t>(n);
  }
  void push_back(const T& value) {
    T copy = value;  // `value` may live in the buffer that grow() frees
    reserve(size_ + size_t{1});
    new (data_ + size_++) T(copy);
  }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    push_back(T(static_cast<Args&&>(args)...));
    return back();
  }
  void pop_back() { --size_; }

  // Replaces the contents; `values` may be a part of this vector.
  void assign(Span<T> values) {
    if (values.size() <= capacity_) {
      if (!values.empty()) std::memmove(static_cast<void*>(data_), values.data(), values.size() * sizeof(T));
      size_ = static_cast<uint32_t>(values.size());
    } else {
      *this = SmallVector(values);
    }
  }
  void assign(size_t n, const T& value) {
    T copy = value;
    clear(), resize(n, copy);
  }
  void append(Span<T> values) {
    if (values.empty()) return;
    const T* from = values.data();
    bool inside = from >= data_ && from < end();
    size_t at = inside ? from - data_ : 0;
    reserve(size_ + values.size());
    std::memcpy(static_cast<void*>(end()), inside ? data_ + at : from, values.size() * sizeof(T));
    size_ += static_cast<uint32_t>(values.size());
  }

  T* insert(const T* where, const T& value) { return insert(where, 1, value); }
  T* insert(const T* where, size_t count, const T& value) {
    T copy = value;
    size_t at = where - data_;
    reserve(size_ + count);
    T* hole = data_ + at;
    std::memmove(static_cast<void*>(hole + count), hole, (size_ - at) * sizeof(T));
    std::uninitialized_fill_n(hole, count, copy);
    size_ += static_cast<uint32_t>(count);
    return hole;
  }
  T* insert(const T* where, Span<T> values) {
    SmallVector tail(Span<T>(where, end() - where)), copy(values);
    size_t at = where - data_;
    size_ = static_cast<uint32_t>(at);
    append(copy), append(tail);
    return data_ + at;
  }
  T* erase(const T* where) { return erase(where, where + 1); }
  T* erase(const T* first, const T* last) {
    T* hole = data_ + (first - data_);
    std::memmove(static_cast<void*>(hole), last, (end() - last) * sizeof(T));
    size_ -= static_cast<uint32_t>(last - first);
    return hole;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) { return Span<T>(a) == Span<T>(b); }
  friend bool operator==(const SmallVector& a, Span<T> b) { return Span<T>(a) == b; }
  friend auto operator<=>(const SmallVector& a, const SmallVector& b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  T* inline_data() { return reinterpret_cast<T*>(inline_); }

  EMBER_COLD void grow(size_t least) {
    if (least > std::numeric_limits<uint32_t>::max() / 2) throw std::bad_alloc();
    size_t want = std::max(least, size_t{2} * capacity_);
    T* fresh = static_cast<T*>(std::malloc(want * sizeof(T)));
    if (!fresh) throw std::bad_alloc();
    std::memcpy(static_cast<void*>(fresh), data_, size_ * sizeof(T));
    release();
    data_ = fresh;
    capacity_ = static_cast<uint32_t>(want);
  }
  void release() {
    if (EMBER_UNLIKELY(data_ != inline_data())) std::free(data_);
  }
  void take(SmallVector& other) {
    if (other.data_ == other.inline_data()) {
      data_ = inline_data();
      capacity_ = N;
      std::memcpy(inline_, other.inline_, other.size_ * sizeof(T));
    } else {
      data_ = other.data_;
      capacity_ = other.capacity_;
      other.data_ = other.inline_data();
      other.capacity_ = N;
    }
    size_ = other.size_;
    other.size_ = 0;
  }

  T* data_ = inline_data();
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) unsigned char inline_[N * sizeof(T)];
};

}  // namespace ember
