// A read-only view of a contiguous run of values: std::span<const T> that an initializer list, a vector or a
// SmallVector turns into at a call, so `view(x, {2, 3})` and `view(x, sizes)` read alike, and that compares by value.
// It owns nothing: take it as an argument, never keep one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>

namespace ember {

template <class T>
class Span : public std::span<const T> {
  using Base = std::span<const T>;

 public:
  constexpr Span() = default;
  constexpr Span(const T* data, size_t size) : Base(data, size) {}
  template <class Range>
  requires std::convertible_to<const Range&, Base>
  constexpr Span(const Range& range) : Base(range) {}
  // The list lives until the end of the full expression, which is as long as an argument needs it.
  constexpr Span(std::initializer_list<T> list) : Base(list.size() ? &*list.begin() : nullptr, list.size()) {}

  friend constexpr bool operator==(Span a, Span b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
};

}  // namespace ember
