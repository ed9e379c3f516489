// Convolution forward and to the data: a Gather (conv_gather.h) over padded images each, the gradient one for each
// residue of the stride; 3 x 3 at stride 1 goes by Winograd's way, and kernels of one element are plain products.
#include "kernel/cpu/conv.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/conv_gather.h"
#include "kernel/cpu/conv_pad.h"
#include "kernel/cpu/conv_winograd.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const ConvTable<float> conv_f32; extern const ConvTable<double> conv_f64;)

template <>
const ConvTable<float>& conv_table<float>() {
  return EMBER_PICK(conv_f32);
}
template <>
const ConvTable<double>& conv_table<double>() {
  return EMBER_PICK(conv_f64);
}

namespace conv {
namespace {

constexpr int64_t kOwnChunk = 1 << 16;  // elements of padded images that one thread holds, if that is more than one

// Padded copies of images [first, first + images): [image][channel][plane].
template <class S, class T>
void pad_images(const Padded& p, const S* x, const Strides& from, int64_t channels, const int64_t* size, int64_t first,
                int64_t images, T* out) {
  const int64_t plane = p.plane();
  parallel_for(0, images * channels, std::max<int64_t>(1, (1 << 15) / plane), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i)
      pad_channel(p, size, x + (first + i / channels) * from.image + i % channels * from.channel, from.space,
                  out + i * plane);
  });
}

// Runs body(padded images, first, count) over the batch. With enough images each thread pads and uses its own, which
// then lie in its cache; else the threads share the work within chunks of images.
template <class S, class T, class Body>
void over_images(const Padded& p, const S* x, const Strides& from, int64_t channels, const int64_t* size, int64_t batch,
                 const Body& body) {
  const int64_t image = channels * p.plane();
  const bool own = batch >= 2 * num_threads();
  const int64_t chunk = std::clamp<int64_t>((own ? kOwnChunk : kImageChunk) / image, 1, batch);
  auto run = [&](int64_t first, int64_t last) {
    const Scratch padded((std::min(chunk, last - first) * image + 2 * kTileSlack) * sizeof(T));
    for (; first < last; first += chunk) {
      const int64_t images = std::min(chunk, last - first);
      pad_images(p, x, from, channels, size, first, images, padded.as<T>());
      body(padded.as<T>(), first, images);
    }
  };
  if (own) parallel_for(0, batch, std::max<int64_t>(1, std::min(chunk, batch / 8)), run);
  else run(0, batch);
}

bool is_pointwise(const Conv& c) {
  for (int i = 0; i < 3; ++i)
    if (c.kernel[i] != 1 || c.stride[i] != 1 || c.padding[i] != 0) return false;
  return c.x_last == c.y_last;
}

// Kernel 1, stride 1: plain products. `out` = rows [rows] x from [k], weight element (r, k) at w + r * wr + k * wk.
void pointwise(DType dtype, const Conv& c, const void* from, int64_t k, const void* w, int64_t wr, int64_t wk,
               const void* bias, void* to, int64_t rows) {
  const int64_t space = volume(c.in), item = item_size(dtype), group_k = k / c.groups, group_rows = rows / c.groups;
  for (int64_t g = 0; g < c.groups; ++g) {
    const char* x = static_cast<const char*>(from) + g * group_k * item * (c.x_last ? 1 : space);
    char* y = static_cast<char*>(to) + g * group_rows * item * (c.x_last ? 1 : space);
    const char* wg = static_cast<const char*>(w) + g * (c.out_channels / c.groups) * (c.in_channels / c.groups) * item;
    const char* b = bias ? static_cast<const char*>(bias) + g * group_rows * item : nullptr;
    Gemm p;
    p.k = group_k, p.bias = b;
    if (c.x_last) {
      p.m = c.batch * space, p.n = group_rows, p.a = x, p.a_row = k, p.b = wg, p.b_row = wk, p.b_col = wr, p.c = y,
      p.c_row = rows;
      p.bias_kind = b ? Bias::kColumn : Bias::kNone;
      gemm(dtype, p);
    } else {
      p.m = group_rows, p.n = space, p.a = wg, p.a_row = wr, p.a_col = wk, p.b = x, p.b_row = space, p.c = y,
      p.c_row = space;
      p.bias_kind = b ? Bias::kRow : Bias::kNone;
      gemm_batched(dtype, p, c.batch, 0, k * space, rows * space);
    }
  }
}

template <class S, class T>
void forward(const Conv& c, const S* x, const S* weight, const void* bias, S* y) {
  const int64_t taps = volume(c.kernel), channels = c.in_channels / c.groups, m = c.out_channels / c.groups;
  const Padded p = padded_for(c);
  Filter<S> filter{weight, m * channels * taps, channels * taps, taps, std::vector<int64_t>(taps)};
  std::iota(filter.taps.begin(), filter.taps.end(), 0);
  const Widened<S, T> b(bias, c.out_channels);
  if constexpr (std::is_same_v<S, float>)
    if (const auto w = winograd_of(c, false)) return winograd(*w, x, filter, b, y);
  const Gather<S, T> job(filter, c.groups, m, channels, tap_offsets(c, p, 1), p, c.out, b, y,
                         strides_of(c.out_channels, c.out, c.y_last));
  over_images<S, T>(p, x, strides_of(c.in_channels, c.in, c.x_last), c.in_channels, c.in, c.batch, job);
}

// ---- backward_data -------------------------------------------------------------------------------------------------

// dx at i = r + stride * o gathers dy at o + (r + padding - k * dilation) / stride from the taps k for which that
// divides; so each residue r of the stride is a dense stride-1 gather of its own over the same padded dy.
struct Residue {
  int64_t r;
  std::vector<int64_t> taps, shift;  // shift: (r + padding - k * dilation) / stride
};
std::vector<Residue> residues(const Conv& c, int i) {
  std::vector<Residue> all;
  for (int64_t r = 0; r < std::min(c.stride[i], c.in[i]); ++r) {
    Residue x{r, {}, {}};
    for (int64_t k = 0; k < c.kernel[i]; ++k) {
      const int64_t s = r + c.padding[i] - k * c.dilation[i];
      if (mod(s, c.stride[i]) == 0) x.taps.push_back(k), x.shift.push_back(floor_div(s, c.stride[i]));
    }
    all.push_back(std::move(x));
  }
  return all;
}

template <class S, class T>
void backward_data(const Conv& c, const S* dy, const S* weight, const void* bias, S* dx) {
  const int64_t m = c.in_channels / c.groups, source = c.out_channels / c.groups, taps = volume(c.kernel);
  const Strides to = strides_of(c.in_channels, c.in, c.x_last), from = strides_of(c.out_channels, c.out, c.y_last);
  const Widened<S, T> b(bias, c.in_channels);
  if constexpr (std::is_same_v<S, float>)
    if (const auto w = winograd_of(c, true))
      return winograd(*w, dy, {weight, source * m * taps, taps, m * taps, {}}, b, dx);
  std::vector<Residue> residue[3];
  Padded p;
  for (int i = 0; i < 3; ++i) {
    residue[i] = residues(c, i);
    int64_t low = 0, high = c.out[i];
    for (const auto& r : residue[i])
      for (int64_t s : r.shift)
        low = std::max(low, -s), high = std::max(high, (c.in[i] - r.r + c.stride[i] - 1) / c.stride[i] + s);
    p.low[i] = low, p.step[i] = 1, p.q[i] = low + high;
  }
  std::vector<std::unique_ptr<Gather<S, T>>> jobs;
  for (const auto& rd : residue[0])
    for (const auto& rh : residue[1])
      for (const auto& rw : residue[2]) {
        Filter<S> filter{weight, source * m * taps, taps, m * taps, {}};
        std::vector<int64_t> shifts;
        for (size_t d = 0; d < rd.taps.size(); ++d)
          for (size_t h = 0; h < rh.taps.size(); ++h)
            for (size_t v = 0; v < rw.taps.size(); ++v) {
              shifts.push_back(p.offset(rd.shift[d] + p.low[0], rh.shift[h] + p.low[1], rw.shift[v] + p.low[2]));
              filter.taps.push_back((rd.taps[d] * c.kernel[1] + rh.taps[h]) * c.kernel[2] + rw.taps[v]);
            }
        const int64_t r[3] = {rd.r, rh.r, rw.r};
        Strides step = to;
        S* start = dx;
        int64_t grid[3];
        for (int i = 0; i < 3; ++i) {
          start += r[i] * to.space[i], step.space[i] *= c.stride[i];
          grid[i] = (c.in[i] - r[i] + c.stride[i] - 1) / c.stride[i];
        }
        jobs.push_back(std::make_unique<Gather<S, T>>(filter, c.groups, m, source, shifts, p, grid, b, start, step));
      }
  over_images<S, T>(p, dy, from, c.out_channels, c.out, c.batch, [&](const T* padded, int64_t first, int64_t images) {
    for (const auto& job : jobs) (*job)(padded, first, images);
  });
}

}  // namespace
}  // namespace conv

void conv_forward(DType dtype, const Conv& c, const void* x, const void* weight, const void* bias, void* y) {
  if (c.batch * c.out_channels * conv::volume(c.out) == 0) return;
  if (conv::is_pointwise(c) && is_floating(dtype)) {
    const int64_t k = c.in_channels / c.groups;
    return conv::pointwise(dtype, c, x, c.in_channels, weight, k, 1, bias, y, c.out_channels);
  }
  with_float("conv", dtype, [&]<class S, class T>() {
    conv::forward<S, T>(c, static_cast<const S*>(x), static_cast<const S*>(weight), bias, static_cast<S*>(y));
  });
}

void conv_backward_data(DType dtype, const Conv& c, const void* dy, const void* weight, const void* bias, void* dx) {
  if (c.batch * c.in_channels * conv::volume(c.in) == 0) return;
  if (conv::is_pointwise(c) && is_floating(dtype)) {
    const int64_t k = c.in_channels / c.groups;
    return conv::pointwise(dtype, c, dy, c.out_channels, weight, 1, k, bias, dx, c.in_channels);
  }
  with_float("conv", dtype, [&]<class S, class T>() {
    conv::backward_data<S, T>(c, static_cast<const S*>(dy), static_cast<const S*>(weight), bias, static_cast<S*>(dx));
  });
}

}  // namespace ember::cpu
