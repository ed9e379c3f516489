// Checks that inner ops share: backward ops and the general forms that named ops compose. Other ops call them with
// arguments that fit by construction, but anybody can, so each op's `infer` still holds them to what its kernel reads.
// A backward op asks its forward op's infer what the forward made, and takes nothing else.
#pragma once

#include <limits>

#include "op/make.h"

namespace ember {

inline void check_shape(std::string_view op, std::string_view what, const Tensor& x, DimsView sizes) {
  EMBER_CHECK(!x.defined() || DimsView(x.sizes()) == sizes, op, ": expected ", what, " of shape ", sizes,
              ", but got shape ", x.defined() ? DimsView(x.sizes()) : DimsView());
}
inline void check_dtype(std::string_view op, std::string_view what, const Tensor& x, DType dtype) {
  EMBER_CHECK(!x.defined() || x.dtype() == dtype, op, ": expected ", what, " of type ", dtype, ", but got ",
              x.defined() ? x.dtype() : dtype);
}
// x is what a forward op made, as its infer tells.
inline void check_made(std::string_view op, std::string_view what, const Tensor& x, const Meta& made) {
  check_shape(op, what, x, made.sizes);
  check_dtype(op, what, x, made.dtype);
}
inline void check_index_dtype(std::string_view op, std::string_view what, const Tensor& x) {
  EMBER_CHECK(x.dtype() == DType::kInt64 || x.dtype() == DType::kInt32, op, ": expected ", what,
              " of type int64 or int32, but got ", x.dtype());
}
inline void check_length(std::string_view op, std::string_view what, size_t given, size_t wanted) {
  EMBER_CHECK(given == wanted, op, ": expected ", what, " of length ", static_cast<int64_t>(wanted), ", but got ",
              static_cast<int64_t>(given));
}
// Numbers of windows and steps: with 32 bits none of the sums and products that they enter overflows.
inline void check_numbers(std::string_view op, std::string_view what, DimsView list, int64_t least) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  for (int64_t x : list) {
    EMBER_CHECK(x >= least && x <= kMost, op, ": expected ", what, " between ", least, " and ", kMost, ", but got ",
                list);
  }
}
// Every index in [0, size): for kernels that trust them. x: int64, any order of memory.
inline void check_indices(std::string_view op, std::string_view what, const Tensor& x, int64_t size) {
  const int64_t* at = x.data<int64_t>();
  int64_t low = 0, high = -1;
  for (int64_t i = 0; i < x.numel(); ++i) low = std::min(low, at[i]), high = std::max(high, at[i]);
  EMBER_CHECK_INDEX(low >= 0 && high < size, op, ": ", what, " from ", low, " to ", high,
                    " are out of range; allowed are 0 to ", size - 1);
}

}  // namespace ember
