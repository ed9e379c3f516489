// Convolution as GEMM tiles over padded images (see conv.h). Forward and backward_data are one engine, `gather`: rows
// of the product are output channels, columns are positions of an output grid, k runs over (channel, tap). Columns walk
// the padded image's pitch, so a few of them are garbage between rows; those are dropped when a tile is written out.
// backward_weight swaps the roles: k runs over positions, columns over (tap, channel) of a channels-last padded copy.
#include "kernel/cpu/conv.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernel/cpu/gemm.h"
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/row_kernels.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {
namespace {

constexpr int64_t kTaskWork = 1 << 18;    // multiply-adds worth a task
constexpr int64_t kImageChunk = 2 << 20;  // elements of padded images held at a time, by all threads together
constexpr int64_t kOwnChunk = 1 << 16;    // and by one thread, if that is more than one image

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t mod(int64_t a, int64_t b) { return ((a % b) + b) % b; }
int64_t floor_div(int64_t a, int64_t b) { return (a - mod(a, b)) / b; }
int64_t volume(const int64_t* x) { return x[0] * x[1] * x[2]; }

float wide(float x) { return x; }
double wide(double x) { return x; }
float wide(Half x) { return to_float(x); }
float wide(BFloat16 x) { return to_float(x); }
void narrow(float x, float& y) { y = x; }
void narrow(double x, double& y) { y = x; }
void narrow(float x, Half& y) { y = to_half(x); }
void narrow(float x, BFloat16& y) { y = to_bfloat16(x); }

template <class S>
constexpr int kKind = std::is_same_v<S, Half>       ? 1
                      : std::is_same_v<S, BFloat16> ? 2
                                                    : 0;

// Copies one row of an image; rows are often too short for memcpy's call to pay.
template <class T>
void copy_row(const T* from, int64_t n, T* to) {
  constexpr int64_t kPiece = 16 / sizeof(T);
  if (n < kPiece || n > 64) return static_cast<void>(std::copy_n(from, n, to));
  for (int64_t i = 0; i < n - kPiece; i += kPiece) __builtin_memcpy(to + i, from + i, 16);
  __builtin_memcpy(to + n - kPiece, from + n - kPiece, 16);
}

template <class F>
void with_float(const char* name, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32: return f.template operator()<float, float>();
    case DType::kFloat64: return f.template operator()<double, double>();
    case DType::kFloat16: return f.template operator()<Half, float>();
    case DType::kBFloat16: return f.template operator()<BFloat16, float>();
    default: fail<NotImplementedError>('"', name, "\" not implemented for '", dtype, "': floating dtypes only");
  }
}

// How an activation lies in memory.
struct Strides {
  int64_t image, channel, space[3];
};
Strides strides_of(int64_t channels, const int64_t* size, bool last) {
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
Range inside(int64_t size, int64_t low, int64_t step, int64_t phase, int64_t q) {
  if (step == 1) {  // the usual case, without divisions
    const int64_t begin = std::clamp<int64_t>(low, 0, q);
    return {begin, std::clamp<int64_t>(size + low, begin, q)};
  }
  const int64_t begin = std::clamp<int64_t>(-floor_div(phase - low, step), 0, q);
  return {begin, std::clamp<int64_t>(floor_div(size - 1 - phase + low, step) + 1, begin, q)};
}

template <class S, class T>
void pad_channel(const Padded& p, const int64_t* size, const S* x, const int64_t* stride, T* out) {
  std::fill_n(out, p.plane(), T(0));
  const int64_t move = p.step[2] * stride[2];
  for (int64_t pd = 0; pd < p.step[0]; ++pd)
    for (int64_t ph = 0; ph < p.step[1]; ++ph)
      for (int64_t pw = 0; pw < p.step[2]; ++pw, out += p.image()) {
        const Range d = inside(size[0], p.low[0], p.step[0], pd, p.q[0]),
                    h = inside(size[1], p.low[1], p.step[1], ph, p.q[1]);
        const Range w = inside(size[2], p.low[2], p.step[2], pw, p.q[2]);
        const int64_t first = (w.begin * p.step[2] + pw - p.low[2]) * stride[2], n = w.end - w.begin;
        for (int64_t qd = d.begin; qd < d.end; ++qd)
          for (int64_t qh = h.begin; qh < h.end; ++qh) {
            const S* row =
                x + (qd * p.step[0] + pd - p.low[0]) * stride[0] + (qh * p.step[1] + ph - p.low[1]) * stride[1] + first;
            T* to = out + (qd * p.q[1] + qh) * p.q[2] + w.begin;
            if (std::is_same_v<S, T> && move == 1) {
              copy_row(reinterpret_cast<const T*>(row), n, to);
            } else {
              for (int64_t i = 0; i < n; ++i, row += move) to[i] = wide(*row);
            }
          }
      }
}

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

// An array in the compute type; null stays null.
template <class S, class T>
class Widened {
 public:
  Widened(const void* x, int64_t n) : memory_(x && !std::is_same_v<S, T> ? n * sizeof(T) : 0), data_(nullptr) {
    if constexpr (std::is_same_v<S, T>) {
      data_ = static_cast<const T*>(x);
    } else if (x) {
      for (int64_t i = 0; i < n; ++i) memory_.as<T>()[i] = wide(static_cast<const S*>(x)[i]);
      data_ = memory_.as<T>();
    }
  }
  operator const T*() const { return data_; }

 private:
  Scratch memory_;
  const T* data_;
};

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

// The padded image that c's forward reads, and the offsets in it of each (channel, tap).
Padded padded_for(const Conv& c) {
  Padded p;
  for (int i = 0; i < 3; ++i) {
    p.low[i] = c.padding[i], p.step[i] = c.stride[i];
    p.q[i] = c.out[i] + (c.kernel[i] - 1) * c.dilation[i] / c.stride[i];
  }
  return p;
}
std::vector<int64_t> tap_offsets(const Conv& c, const Padded& p, int64_t channels) {
  std::vector<int64_t> offsets;
  for (int64_t ch = 0; ch < channels; ++ch)
    for (int64_t d = 0; d < c.kernel[0]; ++d)
      for (int64_t h = 0; h < c.kernel[1]; ++h)
        for (int64_t w = 0; w < c.kernel[2]; ++w)
          offsets.push_back(ch * p.plane() + p.offset(d * c.dilation[0], h * c.dilation[1], w * c.dilation[2]));
  return offsets;
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

// ---- backward_weight -----------------------------------------------------------------------------------------------

// Channels-last padded copy of one image: [d][h][w][channel], coordinates shifted by the padding.
template <class S, class T>
void pad_last(const Conv& c, const int64_t* size, const S* x, const Strides& from, int64_t d, T* out) {
  const int64_t channels = c.in_channels, row = size[2] * channels;
  for (int64_t h = 0; h < size[1]; ++h, out += row) {
    const int64_t sd = d - c.padding[0], sh = h - c.padding[1];
    if (sd < 0 || sd >= c.in[0] || sh < 0 || sh >= c.in[1]) {
      std::fill_n(out, row, T(0));
      continue;
    }
    const Range w = inside(c.in[2], c.padding[2], 1, 0, size[2]);
    const S* line = x + sd * from.space[0] + sh * from.space[1] + (w.begin - c.padding[2]) * from.space[2];
    std::fill_n(out, w.begin * channels, T(0));
    if (from.channel == 1) {
      for (int64_t i = 0; i < (w.end - w.begin) * channels; ++i) out[w.begin * channels + i] = wide(line[i]);
    } else {
      for (int64_t ch = 0; ch < channels; ch += 16) {  // squares, so that both sides stay in cache
        const int64_t end = std::min(channels, ch + 16);
        for (int64_t i = w.begin; i < w.end; ++i)
          for (int64_t j = ch; j < end; ++j) out[i * channels + j] = wide(line[(i - w.begin) + j * from.channel]);
      }
    }
    std::fill_n(out + w.end * channels, (size[2] - w.end) * channels, T(0));
  }
}

// One input channel a group: each weight is one dot product of dy with a shifted x. dy is laid out with x's pitch,
// zeros between its rows, so a whole image is a single run.
template <class S, class T>
void depthwise_weight(const Conv& c, const S* x, const S* dy, S* dweight) {
  const auto& k = row_table<T, T>();
  const Padded p = padded_for(c), g{{0, 0, 0}, {1, 1, 1}, {p.q[0], p.q[1], p.q[2]}};
  const Strides from = strides_of(c.in_channels, c.in, c.x_last), grad = strides_of(c.out_channels, c.out, c.y_last);
  const int64_t taps = volume(c.kernel), m = c.out_channels / c.groups, n = c.batch;
  const int64_t run = ((c.out[0] - 1) * p.q[1] + c.out[1] - 1) * p.q[2] + c.out[2];
  const std::vector<int64_t> offsets = tap_offsets(c, p, 1);
  const int64_t work = n * m * taps * run;
  parallel_for(0, c.groups, std::max<int64_t>(1, (1 << 16) / (work + 1)), [&](int64_t b, int64_t e) {
    const Scratch memory((p.plane() + g.plane() + kTileSlack) * sizeof(T)), sum_memory(m * taps * sizeof(double));
    T *xs = memory.as<T>(), *gs = xs + p.plane();
    double* sums = sum_memory.as<double>();
    for (int64_t group = b; group < e; ++group) {
      std::fill_n(sums, m * taps, 0.0);
      for (int64_t i = 0; i < n; ++i) {
        pad_channel(p, c.in, x + i * from.image + group * from.channel, from.space, xs);
        for (int64_t r = 0; r < m; ++r) {
          pad_channel(g, c.out, dy + i * grad.image + (group * m + r) * grad.channel, grad.space, gs);
          for (int64_t t = 0; t < taps; ++t) {
            T out[2];
            k.dots(gs, xs + offsets[t], run, 0, out);
            sums[r * taps + t] += out[1];
          }
        }
      }
      for (int64_t j = 0; j < m * taps; ++j) narrow(static_cast<T>(sums[j]), dweight[group * m * taps + j]);
    }
  });
}

template <class S, class T>
void backward_weight(const Conv& c, const S* x, const S* dy, S* dweight) {
  if (c.groups > 1 && c.groups == c.in_channels) return depthwise_weight<S, T>(c, x, dy, dweight);
  const auto& g = gemm_table<T>();
  const int64_t m = c.out_channels / c.groups, channels = c.in_channels / c.groups, taps = volume(c.kernel);
  const int64_t positions = volume(c.out), row_width = taps * channels;
  int64_t size[3];
  for (int i = 0; i < 3; ++i) size[i] = (c.out[i] - 1) * c.stride[i] + (c.kernel[i] - 1) * c.dilation[i] + 1;
  // Taps along w are neighbours of the channels in memory, unless dilation or groups come between.
  const bool merged = c.groups == 1 && c.dilation[2] == 1;
  // Where even so few columns lie together (few input channels), all taps of a position are copied into one patch.
  const int64_t together = merged ? c.kernel[2] * channels : channels;
  const bool patches =
      c.groups == 1 && taps > 1 && row_width <= 256 && together % (2 * g.lanes) != 0 && together < 4 * g.lanes;
  const int64_t columns = patches ? row_width : together, lines = row_width / columns;
  std::vector<int64_t> offsets;
  for (int64_t d = 0; d < c.out[0]; ++d)
    for (int64_t h = 0; h < c.out[1]; ++h)
      for (int64_t w = 0; w < c.out[2]; ++w)
        offsets.push_back(((d * c.stride[0] * size[1] + h * c.stride[1]) * size[2] + w * c.stride[2]) * c.in_channels);
  const int64_t image = volume(size) * c.in_channels, grads = c.out_channels * positions,
                patch = patches ? positions * row_width : 0;
  const int64_t chunk = std::clamp<int64_t>(kImageChunk / (image + grads + patch), 1, c.batch);
  const int64_t panels = ceil_div(m, g.rows), tiles = c.groups * panels * lines;
  // Few tiles and many images: fixed partial sums by image number, joined in order.
  const int64_t parts =
      std::clamp<int64_t>(ceil_div(16, tiles), 1, std::min<int64_t>(8, std::max<int64_t>(1, c.batch)));
  const int64_t total = c.out_channels * row_width,
                nr = int64_t{g.lanes} * (m <= g.thin_rows ? kMaxTileVectors : g.vectors);
  const Scratch sums_memory(parts * total * sizeof(T)), padded_memory((chunk * image + 2 * kTileSlack) * sizeof(T)),
      packed_memory((chunk * grads + kTileSlack) * sizeof(T)),
      patch_memory((chunk * patch + 2 * kTileSlack) * sizeof(T));
  T *sums = sums_memory.as<T>(), *padded = padded_memory.as<T>(), *packed = packed_memory.as<T>();
  std::fill_n(sums, parts * total, T(0));
  std::vector<int64_t> shifts;  // of each tap, or each run of merged taps
  for (int64_t d = 0; d < c.kernel[0]; ++d)
    for (int64_t h = 0; h < c.kernel[1]; ++h)
      for (int64_t w = 0; w < (merged ? 1 : c.kernel[2]); ++w)
        shifts.push_back(((d * c.dilation[0] * size[1] + h * c.dilation[1]) * size[2] + w * c.dilation[2]) *
                         c.in_channels);
  std::vector<int64_t> rows;  // what the tile reads for each position
  for (int64_t i = 0; i < positions; ++i) rows.push_back(patches ? i * row_width : offsets[i]);
  const T* columns_of = patches ? patch_memory.as<T>() : padded;
  const int64_t column_image = patches ? patch : image;
  const Strides from = strides_of(c.in_channels, c.in, c.x_last), grad = strides_of(c.out_channels, c.out, c.y_last);
  for (int64_t first = 0; first < c.batch; first += chunk) {
    const int64_t images = std::min(chunk, c.batch - first);
    parallel_for(0, images * size[0], std::max<int64_t>(1, (1 << 15) / (image / size[0])), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        pad_last(c, size, x + (first + i / size[0]) * from.image, from, i % size[0], padded + i * (image / size[0]));
    });
    if (patches)
      parallel_for(0, images, std::max<int64_t>(1, (1 << 15) / patch), [&](int64_t b, int64_t e) {
        T* out = patch_memory.as<T>() + b * patch;
        for (int64_t i = b; i < e; ++i)
          for (int64_t at : offsets)
            for (int64_t shift : shifts) copy_row(padded + i * image + at + shift, together, out), out += together;
      });
    // dy in tile order, [image][group][k block][panel][position][row].
    parallel_for(0, images * c.groups, std::max<int64_t>(1, (1 << 15) / (m * positions)), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        for (int64_t p = 0; p < positions; p += kGemmKc)
          g.pack_a[kKind<S>](
              dy + (first + i / c.groups) * grad.image + i % c.groups * m * grad.channel + p * grad.space[2],
              grad.channel, grad.space[2], m, std::min(kGemmKc, positions - p), packed + i * m * positions + p * m);
    });
    parallel_for(0, parts * tiles, 1, [&](int64_t b, int64_t e) {
      Tile<T> t;
      t.ldb = 0, t.ldc = row_width, t.alpha = 1, t.beta = 1, t.add = TileAdd::kC, t.bias = nullptr;
      for (int64_t task = b; task < e; ++task) {
        const int64_t part = task / tiles, group = task % tiles / (panels * lines), r = task / lines % panels * g.rows;
        const int64_t line = task % lines, h = std::min<int64_t>(g.rows, m - r);
        const int64_t shift = (patches ? 0 : shifts[line]) + group * channels;
        T* to = sums + part * total + (group * m + r) * row_width + line * columns;
        for (int64_t i = 0; i < images; ++i) {
          if ((first + i) % parts != part) continue;
          for (int64_t p = 0; p < positions; p += kGemmKc) {
            t.k = std::min(kGemmKc, positions - p), t.offsets = rows.data() + p;
            t.a = packed + (i * c.groups + group) * m * positions + p * m + r * t.k;
            for (int64_t j = 0; j < columns; j += nr) {
              t.columns = std::min(nr, columns - j), t.b = columns_of + i * column_image + shift + j, t.c = to + j;
              g.tile[h][ceil_div(t.columns, g.lanes)](t);
            }
          }
        }
      }
    });
  }
  // [oc][taps][channel] sums to [oc][channel][taps].
  for (int64_t o = 0; o < c.out_channels; ++o)
    for (int64_t ch = 0; ch < channels; ++ch)
      for (int64_t t = 0; t < taps; ++t) {
        T sum = 0;
        for (int64_t part = 0; part < parts; ++part) sum += sums[part * total + (o * taps + t) * channels + ch];
        narrow(sum, dweight[(o * channels + ch) * taps + t]);
      }
}

}  // namespace

void conv_forward(DType dtype, const Conv& c, const void* x, const void* weight, const void* bias, void* y) {
  if (c.batch * c.out_channels * volume(c.out) == 0) return;
  if (is_pointwise(c) && is_floating(dtype)) {
    const int64_t k = c.in_channels / c.groups;
    return pointwise(dtype, c, x, c.in_channels, weight, k, 1, bias, y, c.out_channels);
  }
  with_float("conv", dtype, [&]<class S, class T>() {
    forward<S, T>(c, static_cast<const S*>(x), static_cast<const S*>(weight), bias, static_cast<S*>(y));
  });
}

void conv_backward_data(DType dtype, const Conv& c, const void* dy, const void* weight, const void* bias, void* dx) {
  if (c.batch * c.in_channels * volume(c.in) == 0) return;
  if (is_pointwise(c) && is_floating(dtype)) {
    const int64_t k = c.in_channels / c.groups;
    return pointwise(dtype, c, dy, c.out_channels, weight, 1, k, bias, dx, c.in_channels);
  }
  with_float("conv", dtype, [&]<class S, class T>() {
    backward_data<S, T>(c, static_cast<const S*>(dy), static_cast<const S*>(weight), bias, static_cast<S*>(dx));
  });
}

void conv_backward_weight(DType dtype, const Conv& c, const void* x, const void* dy, void* dweight) {
  with_float("conv", dtype, [&]<class S, class T>() {
    backward_weight<S, T>(c, static_cast<const S*>(x), static_cast<const S*>(dy), static_cast<S*>(dweight));
  });
}

void conv_backward_bias(DType dtype, const Conv& c, const void* dy, void* dbias) {
  with_float("conv", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const int64_t space = volume(c.out), channels = c.out_channels;
    const S* from = static_cast<const S*>(dy);
    S* to = static_cast<S*>(dbias);
    if (c.y_last) {
      const Scratch memory(channels * sizeof(T));
      std::fill_n(memory.as<T>(), channels, T(0));
      for (int64_t j = 0; j < channels; j += kBand)
        k.column_sums(from + j, c.batch * space, channels, std::min(kBand, channels - j), memory.as<T>() + j);
      for (int64_t j = 0; j < channels; ++j) narrow(memory.as<T>()[j], to[j]);
    } else {
      parallel_for(0, channels, std::max<int64_t>(1, (1 << 15) / (c.batch * space + 1)), [&](int64_t b, int64_t e) {
        for (int64_t j = b; j < e; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < c.batch; ++i) sum += k.sum(from + (i * channels + j) * space, space);
          narrow(static_cast<T>(sum), to[j]);
        }
      });
    }
  });
}

}  // namespace ember::cpu
