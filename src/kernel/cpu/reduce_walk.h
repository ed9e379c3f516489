// How reductions walk memory: the reduced elements as one sequence in logical order, the outputs as tiles.
// Where the reduced elements lie together each output is a run of memory (inner); where the outputs lie together, many
// are computed at once, row by row (columns). What is strided both ways, or of another dtype, is gathered and converted
// into buffers.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernel/cpu/axes.h"
#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/reduce.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

void gather_strided(const char* from, int64_t step, int64_t size, char* to, int64_t n);  // step in bytes

// x seen by a reduction that computes in T.
template <class T>
struct Walk {
  const char* data;
  DType dtype;
  int64_t item;
  ConvertFn convert = nullptr;  // null: x holds T
  Axes reduced, kept;
  int64_t n = 1, outputs = 1;
  // Columns: outputs along one kept axis are computed together, `width` at a time.
  bool columns = false;
  int64_t axis = 1, axis_stride = 1, axis_out = 1, width = 1, tiles = 1;

  Walk(const Tensor& x, DimMask mask, DType compute) : data(static_cast<const char*>(x.data())), dtype(x.dtype()) {
    item = item_size(dtype);
    if (dtype != compute) convert = converter(dtype, compute);
    int64_t out = 1;
    Dims outs(x.sizes().size());
    for (size_t d = outs.size(); d-- > 0;) {
      outs[d] = out;
      if (!(mask >> d & 1)) out *= x.sizes()[d];
    }
    for (size_t d = 0; d < outs.size(); ++d) {
      if (mask >> d & 1) reduced.add(x.sizes()[d], x.strides()[d], 0);
      else kept.add(x.sizes()[d], x.strides()[d], outs[d]);
    }
    n = reduced.count(), outputs = kept.count();
    choose();
  }

  // Sequences lie in memory as they are.
  bool direct() const { return !convert && dense(); }
  bool dense() const { return reduced.sizes.empty() || (reduced.sizes.size() == 1 && reduced.strides[0] == 1); }

  // Elements [at, at + count) of the sequence of the output that starts at `base`, contiguous and of type T.
  const T* sequence(int64_t base, int64_t at, int64_t count, char* raw, T* buffer) const {
    const char* from = data + base * item;
    if (dense()) {
      from += at * item;
      if (!convert) return reinterpret_cast<const T*>(from);
      convert(from, buffer, count);
      return buffer;
    }
    char* to = convert ? raw : reinterpret_cast<char*>(buffer);
    Cursor c(reduced, at);
    for (int64_t done = 0; done < count;) {
      const int64_t len = std::min(c.left(), count - done);
      gather_strided(from + c.offset * item, c.stride() * item, item, to + done * item, len);
      c.advance(len), done += len;
    }
    if (convert) convert(raw, buffer, count);
    return buffer;
  }

  // `w` neighbouring outputs' elements of one row of the sequence.
  const T* row(int64_t offset, int64_t w, char* raw, T* buffer) const {
    const char* from = data + offset * item;
    if (axis_stride != 1) {
      gather_strided(from, axis_stride * item, item, convert ? raw : reinterpret_cast<char*>(buffer), w);
      from = convert ? raw : reinterpret_cast<char*>(buffer);
    }
    if (!convert) return reinterpret_cast<const T*>(from);
    convert(from, buffer, w);
    return buffer;
  }

  // Rows follow each other without gaps, each one a whole tile.
  bool flat() const {
    return axis_stride == 1 && tiles == 1 && reduced.sizes.size() == 1 && reduced.strides[0] == axis;
  }

  // Rows lie in memory as they are, row_stride() elements apart.
  bool rows_direct() const { return !convert && axis_stride == 1 && reduced.sizes.size() <= 1; }
  int64_t row_stride() const { return reduced.sizes.empty() ? 0 : reduced.strides[0]; }

  // Tiles of `most` columns, so that memory is read in long runs; narrower ones where that leaves too few tasks.
  void narrow(int64_t most, int64_t rows_tasks) {
    constexpr int64_t kTasks = 4, kLeast = 1024 / sizeof(T);
    width = std::min(axis, most), tiles = (axis + width - 1) / width;
    while (width / 2 >= kLeast && tasks() * rows_tasks < kTasks) width /= 2, tiles = (axis + width - 1) / width;
  }

  // Calls f(task, input offset, output place, width) for tile `task` of the outputs: tiles of all other kept axes.
  template <class F>
  void tile(int64_t task, F&& f) const {
    Cursor c(kept, task / tiles);
    const int64_t j = task % tiles * width;
    f(c.offset + j * axis_stride, c.out + j * axis_out, std::min(width, axis - j));
  }
  int64_t tasks() const { return axis ? outputs / axis * tiles : 0; }

 private:
  void choose() {
    int64_t least = INT64_MAX;
    size_t at = 0;
    for (size_t d = 0; d < kept.sizes.size(); ++d) {
      const int64_t s = std::abs(kept.strides[d]);
      if (s != 0 && s <= least) least = s, at = d;
    }
    const int64_t along = reduced.sizes.empty() ? 1 : std::abs(reduced.strides.back());
    columns = least < along && kept.sizes[at] > 1;
    if (!columns) return;
    axis = kept.sizes[at], axis_stride = kept.strides[at], axis_out = kept.out[at];
    kept.sizes.erase(kept.sizes.begin() + at), kept.strides.erase(kept.strides.begin() + at);
    kept.out.erase(kept.out.begin() + at);
    width = std::min<int64_t>(axis, 1024 / sizeof(T));
    tiles = (axis + width - 1) / width;
  }
};

}  // namespace ember::cpu
