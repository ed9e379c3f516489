// x[...] in C++: the whole indexing grammar, for reading and for writing.
//   index_get(x, {0, Slice(1, 5, -1), kNewAxis, kRest, mask})      index_set(x, {mask}, 0)
// Integers, slices and new axes become views, one op each; tensors (integers or masks) are collected and done at once
// by the ops index and index_put_, so that autograd and every transform see ordinary ops.
#pragma once

#include <optional>

#include "tensor/tensor.h"

namespace ember {

struct Slice {
  std::optional<int64_t> start, stop;
  int64_t step = 1;
};
struct NewAxis {};
struct Rest {};
inline constexpr NewAxis kNewAxis{};
inline constexpr Rest kRest{};

// One place between the brackets.
class IndexItem {
 public:
  enum class Kind : uint8_t { kInt, kSlice, kNewAxis, kRest, kBool, kTensor };
  IndexItem(int64_t i) : kind(Kind::kInt), integer(i) {}
  IndexItem(int i) : IndexItem(int64_t{i}) {}
  IndexItem(bool b) : kind(Kind::kBool), integer(b) {}
  IndexItem(Slice s) : kind(Kind::kSlice), slice(s) {}
  IndexItem(NewAxis) : kind(Kind::kNewAxis) {}
  IndexItem(Rest) : kind(Kind::kRest) {}
  IndexItem(Tensor t) : kind(Kind::kTensor), tensor(std::move(t)) {}

  Kind kind;
  int64_t integer = 0;
  Slice slice;
  Tensor tensor;
};

// IndexError in PyTorch's words where an index is out of bounds, there are too many, or a tensor cannot index.
EMBER_API Tensor index_get(const Tensor& x, Span<IndexItem> items);
// x[items] = value, with value broadcast; writes into x and raises what copy_, fill_ and index_put_ raise.
EMBER_API void index_set(const Tensor& x, Span<IndexItem> items, const Tensor& value);

}  // namespace ember
