// Convolution forward and to the data, as GEMM tiles over padded images (see conv.h). Both are one engine, `gather`:
// rows of the product are output channels, columns are positions of an output grid, k runs over (channel, tap). Columns
// walk the padded image's pitch, so a few of them are garbage between rows; those are dropped when a tile is written
// out.
#include "kernel/cpu/conv.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/conv_pad.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm.h"
#include "kernel/cpu/gemm_tiles.h"

namespace ember::cpu {
namespace conv {
namespace {

constexpr int64_t kOwnChunk = 1 << 16;  // elements of padded images that one thread holds, if that is more than one

// ---- gather --------------------------------------------------------------------------------------------------------

// out[i, g * m + r, position] = bias + sum_k a[g][r, k] * source[i, g, offsets[k] + pitch position].
template <class S, class T>
struct Gather {
  int64_t groups, m, k;    // per group
  const T* a;              // packed, [groups][k blocks][panels]
  const int64_t* offsets;  // [k], from a group's first plane
  int64_t source_image, source_group;
  int64_t q[3], grid[3];  // pitch of the padded image, and the output grid within it
  const T* bias;          // [groups * m] or null
  S* out;
  Strides to;  // of out, per grid step
};

template <class S, class T>
void write_out(const Gather<S, T>& x, const T* c, int64_t ldc, int64_t begin, int64_t end, S* out) {
  for (int64_t at = begin, run; at < end; at += run) {
    const int64_t w = at % x.q[2], h = at / x.q[2] % x.q[1], d = at / x.q[2] / x.q[1];
    run = std::min(end - at, x.q[2] - w);
    const int64_t n = h < x.grid[1] ? std::min(run, x.grid[2] - w) : 0;
    if (n <= 0) continue;
    const T* from = c + (at - begin);
    S* y = out + d * x.to.space[0] + h * x.to.space[1] + w * x.to.space[2];
    if (x.to.channel == 1) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t r = 0; r < x.m; ++r) narrow(from[r * ldc + i], y[i * x.to.space[2] + r]);
    } else if (std::is_same_v<S, T> && x.to.space[2] == 1) {
      for (int64_t r = 0; r < x.m; ++r) copy_row(from + r * ldc, n, reinterpret_cast<T*>(y) + r * x.to.channel);
    } else {
      for (int64_t r = 0; r < x.m; ++r)
        for (int64_t i = 0; i < n; ++i) narrow(from[r * ldc + i], y[r * x.to.channel + i * x.to.space[2]]);
    }
  }
}

// One group of one image over grid positions [begin, end) of the pitch.
template <class S, class T>
void gather_piece(const GemmTable<T>& g, const Gather<S, T>& x, const T* source, int64_t group, int64_t begin,
                  int64_t end, int64_t nr, T* c, int64_t ldc) {
  Tile<T> t;
  t.ldb = 0, t.ldc = ldc, t.alpha = 1, t.beta = 1;
  const T* a = x.a + group * x.m * x.k;
  for (int64_t p = 0; p == 0 || p < x.k; p += kGemmKc) {  // no taps (k = 0) still writes the bias
    t.k = std::min(kGemmKc, x.k - p), t.offsets = x.offsets + p;
    t.add = p ? TileAdd::kC : x.bias ? TileAdd::kRowBias : TileAdd::kNone;
    for (int64_t j = begin; j < end; j += nr) {
      t.columns = std::min(nr, end - j), t.b = source + j;
      const int64_t vectors = ceil_div(t.columns, g.lanes);
      for (int64_t i = 0; i < x.m; i += g.rows) {
        t.a = a + p * x.m + i * t.k, t.c = c + i * ldc + (j - begin);
        t.bias = x.bias ? x.bias + group * x.m + i : nullptr;
        g.tile[std::min<int64_t>(g.rows, x.m - i)][vectors](t);
      }
    }
  }
}

template <class S, class T>
void gather(const Gather<S, T>& x, const T* source, int64_t first_image, int64_t images) {
  if (volume(x.grid) == 0 || x.m == 0) return;
  const auto& g = gemm_table<T>();
  const int64_t nr = int64_t{g.lanes} * (x.m <= g.thin_rows ? kMaxTileVectors : g.vectors);
  const int64_t positions = ((x.grid[0] - 1) * x.q[1] + x.grid[1] - 1) * x.q[2] + x.grid[2];
  // A piece shares one pass over the weights; its block of C stays in cache. Its pitch is kept off powers of two, whose
  // rows would fall into one cache set.
  const int64_t cache = x.m * x.k > 1 << 18 ? 1 << 16 : 1 << 14;
  int64_t piece = std::max(nr, std::min<int64_t>(cache / x.m, ceil_div(kTaskWork, x.m * x.k + 1) * 2) / nr * nr);
  piece = ceil_div(ceil_div(positions, ceil_div(positions, piece)), nr) * nr;
  const int64_t pitch = piece + (piece % 256 ? 0 : 16), pieces = ceil_div(positions, piece),
                tasks = images * x.groups * pieces;
  const int64_t grain = std::max<int64_t>(1, kTaskWork / (x.m * x.k * std::min(piece, positions) + 1));
  parallel_for(0, tasks, grain, [&](int64_t b, int64_t e) {
    const Scratch memory((x.m * pitch + kTileSlack) * sizeof(T));
    for (int64_t task = b; task < e; ++task) {
      const int64_t i = task / pieces / x.groups, group = task / pieces % x.groups;
      const int64_t begin = task % pieces * piece, end = std::min(positions, begin + piece);
      gather_piece(g, x, source + i * x.source_image + group * x.source_group, group, begin, end, nr, memory.as<T>(),
                   pitch);
      write_out(x, memory.as<T>(), pitch, begin, end,
                x.out + (first_image + i) * x.to.image + group * x.m * x.to.channel);
    }
  });
}

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
                 Body body) {
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

// Packs [groups] matrices of m x k (contiguous rows, T) in tile order.
template <class T>
void pack_weights(const T* w, int64_t groups, int64_t m, int64_t k, T* out) {
  const auto& g = gemm_table<T>();
  for (int64_t i = 0; i < groups; ++i)
    for (int64_t p = 0; p < k; p += kGemmKc)
      g.pack_a[0](w + i * m * k + p, k, 1, m, std::min(kGemmKc, k - p), out + i * m * k + p * m);
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
  const int64_t taps = volume(c.kernel), k = c.in_channels / c.groups * taps, m = c.out_channels / c.groups;
  const Padded p = padded_for(c);
  const std::vector<int64_t> offsets = tap_offsets(c, p, c.in_channels / c.groups);
  const Scratch a((c.groups * m * k + kTileSlack) * sizeof(T));
  pack_weights<T>(Widened<S, T>(weight, c.groups * m * k), c.groups, m, k, a.as<T>());
  const Widened<S, T> b(bias, c.out_channels);
  const int64_t image = c.in_channels * p.plane();
  const Gather<S, T> job{c.groups,
                         m,
                         k,
                         a.as<T>(),
                         offsets.data(),
                         image,
                         image / c.groups,
                         {p.q[0], p.q[1], p.q[2]},
                         {c.out[0], c.out[1], c.out[2]},
                         b,
                         y,
                         strides_of(c.out_channels, c.out, c.y_last)};
  over_images<S, T>(p, x, strides_of(c.in_channels, c.in, c.x_last), c.in_channels, c.in, c.batch,
                    [&](const T* padded, int64_t first, int64_t images) { gather(job, padded, first, images); });
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
struct ResidueJob {
  std::vector<int64_t> offsets;
  Gather<S, T> gather;
};

template <class S, class T>
void backward_data(const Conv& c, const S* dy, const S* weight, const void* bias, S* dx) {
  const int64_t m = c.in_channels / c.groups, source = c.out_channels / c.groups, taps = volume(c.kernel);
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
  const Widened<S, T> w(weight, c.out_channels * m * taps), b(bias, c.in_channels);
  const int64_t image = c.out_channels * p.plane();
  const Strides to = strides_of(c.in_channels, c.in, c.x_last), from = strides_of(c.out_channels, c.out, c.y_last);
  // Each tap belongs to one residue, so the packed weights of all residues take the room of the weights.
  const Scratch packed_memory((c.out_channels * m * taps + kTileSlack) * sizeof(T)),
      rows_memory(c.out_channels * m * taps * sizeof(T));
  T *packed = packed_memory.as<T>(), *rows = rows_memory.as<T>();
  std::vector<ResidueJob<S, T>> jobs;
  for (const auto& rd : residue[0])
    for (const auto& rh : residue[1])
      for (const auto& rw : residue[2]) {
        ResidueJob<S, T> x;
        std::vector<int64_t> tap, shift;
        for (size_t d = 0; d < rd.taps.size(); ++d)
          for (size_t h = 0; h < rh.taps.size(); ++h)
            for (size_t v = 0; v < rw.taps.size(); ++v) {
              shift.push_back(p.offset(rd.shift[d] + p.low[0], rh.shift[h] + p.low[1], rw.shift[v] + p.low[2]));
              tap.push_back((rd.taps[d] * c.kernel[1] + rh.taps[h]) * c.kernel[2] + rw.taps[v]);
            }
        const int64_t n = static_cast<int64_t>(tap.size()), k = source * n;
        for (int64_t o = 0; o < source; ++o)
          for (int64_t t : shift) x.offsets.push_back(o * p.plane() + t);
        // [oc][ic][tap] to rows [ic][oc][this residue's taps].
        parallel_for(
            0, c.groups * source, std::max<int64_t>(1, (1 << 15) / (m * n + 1)), [&](int64_t begin, int64_t end) {
              for (int64_t o = begin; o < end; ++o)
                for (int64_t r = 0; r < m; ++r)
                  for (int64_t t = 0; t < n; ++t)
                    rows[((o / source * m + r) * source + o % source) * n + t] = w[(o * m + r) * taps + tap[t]];
            });
        pack_weights<T>(rows, c.groups, m, k, packed);
        const int64_t r[3] = {rd.r, rh.r, rw.r};
        Strides step = to;
        S* start = dx;
        int64_t grid[3];
        for (int i = 0; i < 3; ++i) {
          start += r[i] * to.space[i], step.space[i] *= c.stride[i];
          grid[i] = (c.in[i] - r[i] + c.stride[i] - 1) / c.stride[i];
        }
        x.gather = {c.groups,
                    m,
                    k,
                    packed,
                    nullptr,
                    image,
                    image / c.groups,
                    {p.q[0], p.q[1], p.q[2]},
                    {grid[0], grid[1], grid[2]},
                    b,
                    start,
                    step};
        packed += c.groups * m * k;
        jobs.push_back(std::move(x));
      }
  over_images<S, T>(p, dy, from, c.out_channels, c.out, c.batch, [&](const T* padded, int64_t first, int64_t images) {
    for (auto& x : jobs) x.gather.offsets = x.offsets.data(), gather(x.gather, padded, first, images);
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
