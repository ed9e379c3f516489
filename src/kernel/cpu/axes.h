// Dims in the order in which a kernel walks them, and a place among them: the outer loops of reductions and indexing.
#pragma once

#include <cstdint>

#include "tensor/shape.h"

namespace ember::cpu {

// Dims, outermost first; adjacent ones that one stride walks are merged.
struct Axes {
  Dims sizes, strides, out;  // `out`: strides in the dense result

  void add(int64_t size, int64_t stride, int64_t out_stride) {
    if (size == 1) return;
    if (!sizes.empty() && strides.back() == stride * size && out.back() == out_stride * size) {
      sizes.back() *= size, strides.back() = stride, out.back() = out_stride;
    } else {
      sizes.push_back(size), strides.push_back(stride), out.push_back(out_stride);
    }
  }
  int64_t count() const { return ember::count(sizes); }
};

// A place in Axes, in row-major order.
class Cursor {
 public:
  Cursor(const Axes& axes, int64_t at) : axes_(axes), index_(axes.sizes.size()) {
    for (size_t d = index_.size(); d-- > 0;) {
      index_[d] = at % axes.sizes[d], at /= axes.sizes[d];
      offset += index_[d] * axes.strides[d], out += index_[d] * axes.out[d];
    }
  }
  // How many steps along the last axis are left in its row, this place included.
  int64_t left() const { return index_.empty() ? 1 : axes_.sizes.back() - index_.back(); }
  int64_t stride() const { return index_.empty() ? 1 : axes_.strides.back(); }
  int64_t out_stride() const { return index_.empty() ? 1 : axes_.out.back(); }
  void advance(int64_t steps) {  // at most left()
    for (size_t d = index_.size(); d-- > 0;) {
      offset += steps * axes_.strides[d], out += steps * axes_.out[d];
      if ((index_[d] += steps) < axes_.sizes[d]) return;
      offset -= index_[d] * axes_.strides[d], out -= index_[d] * axes_.out[d];
      index_[d] = 0, steps = 1;
    }
  }
  int64_t offset = 0, out = 0;

 private:
  const Axes& axes_;
  Dims index_;
};

}  // namespace ember::cpu
