// What both halves of convolution know: how activations lie in memory, and the padded copy of a channel, split by the
// stride's phases, that the tiles read. Internal to conv.cc and conv_weight.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernel/cpu/conv.h"
#include "kernel/cpu/conv_tiles.h"
#include "kernel/cpu/float_types.h"

namespace ember::cpu::conv {

inline constexpr int64_t kTaskWork = 1 << 18;    // multiply-adds worth a task
inline constexpr int64_t kImageChunk = 2 << 20;  // elements of padded images held at a time, by all threads together

inline int64_t mod(int64_t a, int64_t b) { return ((a % b) + b) % b; }
inline int64_t floor_div(int64_t a, int64_t b) { return (a - mod(a, b)) / b; }
inline int64_t volume(const int64_t* x) { return x[0] * x[1] * x[2]; }

// Copies one row of an image; rows are often too short for memcpy's call to pay.
template <class T>
void copy_row(const T* from, int64_t n, T* to) {
  constexpr int64_t kPiece = 16 / sizeof(T);
  if (n < kPiece || n > 64) return static_cast<void>(std::copy_n(from, n, to));
  for (int64_t i = 0; i < n - kPiece; i += kPiece) __builtin_memcpy(to + i, from + i, 16);
  __builtin_memcpy(to + n - kPiece, from + n - kPiece, 16);
}

// How an activation lies in memory.
struct Strides {
  int64_t image, channel, space[3];
};
inline Strides strides_of(int64_t channels, const int64_t* size, bool last) {
  const int64_t unit = last ? channels : 1;
  return {channels * volume(size), last ? 1 : volume(size), {size[1] * size[2] * unit, size[2] * unit, unit}};
}

// The padded copy of one channel: for every phase (d, h, w) modulo `step`, an image of size q whose element i is the
// source's i * step + phase - low, or zero outside.
struct Padded {
  int64_t low[3], step[3], q[3];
  int64_t image() const { return volume(q); }
  int64_t plane() const { return volume(step) * volume(q); }
  // Offset of the source coordinate x + low, where x counts from an output position's first tap.
  int64_t offset(int64_t d, int64_t h, int64_t w) const {
    const int64_t phase = ((d % step[0]) * step[1] + h % step[1]) * step[2] + w % step[2];
    return phase * image() + ((d / step[0]) * q[1] + h / step[1]) * q[2] + w / step[2];
  }
};

// Indices i of 0 <= i < q whose source coordinate i * step + phase - low lies in [0, size).
struct Range {
  int64_t begin, end;
};
inline Range inside(int64_t size, int64_t low, int64_t step, int64_t phase, int64_t q) {
  if (step == 1) {  // the usual case, without divisions
    const int64_t begin = std::clamp<int64_t>(low, 0, q);
    return {begin, std::clamp<int64_t>(size + low, begin, q)};
  }
  const int64_t begin = std::clamp<int64_t>(-floor_div(phase - low, step), 0, q);
  return {begin, std::clamp<int64_t>(floor_div(size - 1 - phase + low, step) + 1, begin, q)};
}

template <class S, class T>
void pad_channel(const Padded& p, const int64_t* size, const S* x, const int64_t* stride, T* out) {
  const int64_t move = p.step[2] * stride[2], pitch = p.q[2];
  for (int64_t pd = 0; pd < p.step[0]; ++pd)
    for (int64_t ph = 0; ph < p.step[1]; ++ph)
      for (int64_t pw = 0; pw < p.step[2]; ++pw) {
        const Range d = inside(size[0], p.low[0], p.step[0], pd, p.q[0]),
                    h = inside(size[1], p.low[1], p.step[1], ph, p.q[1]);
        const Range w = inside(size[2], p.low[2], p.step[2], pw, pitch);
        const int64_t first = (w.begin * p.step[2] + pw - p.low[2]) * stride[2], n = w.end - w.begin;
        const T* end = out + p.image();
        out = std::fill_n(out, d.begin * p.q[1] * pitch, T(0));
        for (int64_t qd = d.begin; qd < d.end; ++qd) {
          const S* from = x + (qd * p.step[0] + pd - p.low[0]) * stride[0] +
                          (h.begin * p.step[1] + ph - p.low[1]) * stride[1] + first;
          const int64_t down = p.step[1] * stride[1], rows = h.end - h.begin;
          out = std::fill_n(out, h.begin * pitch, T(0));
          if (std::is_same_v<S, T> && move == 1) {
            conv_table<T>().pad_rows(reinterpret_cast<const T*>(from), down, rows, n, w.begin, pitch, out);
            out += rows * pitch;
          } else {
            for (int64_t r = 0; r < rows; ++r, from += down) {
              out = std::fill_n(out, w.begin, T(0));
              for (int64_t i = 0; i < n; ++i) *out++ = wide(from[i * move]);
              out = std::fill_n(out, pitch - w.end, T(0));
            }
          }
          out = std::fill_n(out, (p.q[1] - h.end) * pitch, T(0));
        }
        out = std::fill_n(out, end - out, T(0));
      }
}

// The padded image that c's forward reads, and the offsets in it of each (channel, tap).
inline Padded padded_for(const Conv& c) {
  Padded p;
  for (int i = 0; i < 3; ++i) {
    p.low[i] = c.padding[i], p.step[i] = c.stride[i];
    p.q[i] = c.out[i] + (c.kernel[i] - 1) * c.dilation[i] / c.stride[i];
  }
  return p;
}
inline std::vector<int64_t> tap_offsets(const Conv& c, const Padded& p, int64_t channels) {
  std::vector<int64_t> offsets;
  for (int64_t ch = 0; ch < channels; ++ch)
    for (int64_t d = 0; d < c.kernel[0]; ++d)
      for (int64_t h = 0; h < c.kernel[1]; ++h)
        for (int64_t w = 0; w < c.kernel[2]; ++w)
          offsets.push_back(ch * p.plane() + p.offset(d * c.dilation[0], h * c.dilation[1], w * c.dilation[2]));
  return offsets;
}

}  // namespace ember::cpu::conv
