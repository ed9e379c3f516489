// A growing list whose first N elements live inside it: for elements that own things, which SmallVector does not take.
// They are default-constructed from the start, so keep them small and cheap to make.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>

namespace ember {

template <class T, size_t N>
class InlineVector {
 public:
  InlineVector() = default;
  InlineVector(std::initializer_list<T> list) {
    for (const T& v : list) push_back(v);
  }
  InlineVector(const InlineVector&) = delete;
  InlineVector& operator=(const InlineVector&) = delete;

  T* begin() { return heap_ ? heap_.get() : inline_; }
  const T* begin() const { return heap_ ? heap_.get() : inline_; }
  T* end() { return begin() + size_; }
  const T* end() const { return begin() + size_; }
  T* data() { return begin(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return begin()[i]; }
  const T& operator[](size_t i) const { return begin()[i]; }
  T& back() { return begin()[size_ - 1]; }

  void push_back(T v) {
    reserve(size_ + 1);
    begin()[size_++] = std::move(v);
  }
  void resize(size_t n) {
    reserve(n);
    for (size_t i = n; i < size_; ++i) begin()[i] = T();
    size_ = n;
  }
  void clear() { resize(0); }
  void reserve(size_t n) {
    if (n <= capacity_) return;
    size_t more = n > 2 * capacity_ ? n : 2 * capacity_;
    auto fresh = std::make_unique<T[]>(more);
    for (size_t i = 0; i < size_; ++i) fresh[i] = std::move(begin()[i]);
    heap_ = std::move(fresh);
    capacity_ = more;
  }

 private:
  T inline_[N] = {};
  std::unique_ptr<T[]> heap_;
  size_t size_ = 0, capacity_ = N;
};

}  // namespace ember
