// Pooling drivers. The largest are found for many planes or channels at once; averages by threads over planes, within
// one by rows of outputs, tap by tap (isa/pool.cc), or output by output over adaptive windows and channels-last memory.
#include "kernel/cpu/pool.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/small_vector.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/pool_kernels.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

#define EMBER_POOL_DECLARE(S, T, name) extern const PoolTable<S, T> pool_##name;
EMBER_PER_ISA(EMBER_POOL_TYPES(EMBER_POOL_DECLARE))

namespace {

template <class S, class T>
const PoolTable<S, T>& pool_table();
#define EMBER_POOL_PICK(S, T, name) \
  template <> \
  const PoolTable<S, T>& pool_table() { \
    return EMBER_PICK(pool_##name); \
  }
EMBER_POOL_TYPES(EMBER_POOL_PICK)

template <class S>
using Compute = std::conditional_t<std::is_same_v<S, Half> || std::is_same_v<S, BFloat16>, float, S>;

int64_t volume(const int64_t* x) { return x[0] * x[1] * x[2]; }

// The windows of one dimension: output o sees inputs begin[o] + t * dilation for t < count[o]; `full` is the length
// that an average counts with padding included.
struct Windows {
  std::vector<int64_t> begin, count, full;
  int64_t dilation;
};
Windows windows(const Pool& p, int i) {
  Windows w;
  w.dilation = p.adaptive ? 1 : p.dilation[i];
  for (int64_t o = 0; o < p.out[i]; ++o) {
    if (p.adaptive) {
      const int64_t b = o * p.in[i] / p.out[i], e = ((o + 1) * p.in[i] + p.out[i] - 1) / p.out[i];
      w.begin.push_back(b), w.count.push_back(e - b), w.full.push_back(e - b);
    } else {
      const int64_t start = o * p.stride[i] - p.padding[i], d = p.dilation[i];
      const int64_t skip = start < 0 ? (-start + d - 1) / d : 0;  // taps before the input
      const int64_t b = start + skip * d;
      const int64_t taps = b < p.in[i] ? (p.in[i] - 1 - b) / d + 1 : 0;
      w.begin.push_back(b), w.count.push_back(std::clamp<int64_t>(p.kernel[i] - skip, 0, taps));
      w.full.push_back(std::min(start + p.kernel[i], p.in[i] + p.padding[i]) - start);
    }
  }
  return w;
}

// Calls f(tap's input index, its range of outputs) for every tap of a row's windows, in order.
struct Tap {
  int64_t at, begin, end;
};
std::vector<Tap> row_taps(const Pool& p) {  // along the last dimension, not adaptive
  std::vector<Tap> taps;
  for (int64_t k = 0; k < p.kernel[2]; ++k) {
    const int64_t shift = k * p.dilation[2] - p.padding[2], s = p.stride[2];
    const int64_t begin = shift < 0 ? (-shift + s - 1) / s : 0;
    const int64_t end = p.in[2] - 1 - shift < 0 ? 0 : std::min(p.out[2], (p.in[2] - 1 - shift) / s + 1);
    if (begin < end) taps.push_back({begin * s + shift, begin, end});
  }
  return taps;
}

// Calls f(input row index, ih) over the rows of output (od, oh)'s window.
template <class F>
void rows_of(const Pool& p, const Windows& d, const Windows& h, int64_t od, int64_t oh, F f) {
  for (int64_t i = 0; i < d.count[od]; ++i)
    for (int64_t j = 0; j < h.count[oh]; ++j)
      f((d.begin[od] + i * d.dilation) * p.in[1] + h.begin[oh] + j * h.dilation);
}

int64_t row_grain(const Pool& p) {
  return std::max<int64_t>(1, (1 << 14) / (p.out[2] * p.kernel[0] * p.kernel[1] * p.kernel[2] + 1));
}
int64_t plane_grain(const Pool& p) {
  return std::max<int64_t>(1, (1 << 14) / ((volume(p.in) + volume(p.out)) * p.inner + 1));
}

// Walks the taps of every output row or element of a plane: f(od, oh, ow or -1 for the whole row, first output, n,
// tap's input index, step between outputs' inputs). Elements of a row are p.inner apart.
template <class Begin, class F, class End>
void walk(const Pool& p, const Windows* w, const std::vector<Tap>& taps, Begin begin, F f, End end) {
  const bool whole_rows = !p.adaptive && p.inner == 1;
  for (int64_t od = 0; od < p.out[0]; ++od)
    for (int64_t oh = 0; oh < p.out[1]; ++oh) {
      const int64_t row = (od * p.out[1] + oh) * p.out[2];
      if (whole_rows) {
        begin(row, p.out[2], od, oh, -1);
        rows_of(p, w[0], w[1], od, oh, [&](int64_t r) {
          for (const Tap& t : taps) f(t.begin, t.end - t.begin, r * p.in[2] + t.at, p.stride[2]);
        });
        end(row, p.out[2], od, oh, -1);
        continue;
      }
      for (int64_t ow = 0; ow < p.out[2]; ++ow) {
        begin(row + ow, p.inner, od, oh, ow);
        rows_of(p, w[0], w[1], od, oh, [&](int64_t r) {
          for (int64_t t = 0; t < w[2].count[ow]; ++t)
            f(0, p.inner, r * p.in[2] + w[2].begin[ow] + t * w[2].dilation, 1);
        });
        end(row + ow, p.inner, od, oh, ow);
      }
    }
}

// x[position * step + lane * lane_step] -> out[position * width + lane], in the compute type.
template <class S, class T>
void side_by_side(const S* x, int64_t step, int64_t lane_step, int64_t positions, int64_t lanes, int64_t width,
                  T* out) {
  if constexpr (std::is_floating_point_v<T>) {
    gemm_table<T>().pack_b[kKind<S>](x, step, lane_step, positions, lanes, width, out);
  } else {
    for (int64_t i = 0; i < positions; ++i)
      for (int64_t j = 0; j < lanes; ++j) out[i * width + j] = x[i * step + j * lane_step];
  }
}

// Planes, or the channels of a channels-last image, are lanes: with their numbers side by side at each position, any
// window is a few registers long. A piece is some lanes and some rows of outputs; it brings the positions that these
// see together, unless they are.
template <class S>
class MaxOfLanes {
 public:
  MaxOfLanes(const Pool& p, const Windows* w) : p_(p), w_(w) {
    in_place_ = p.inner > 1 && std::is_same_v<S, T>;
    lanes_ = p.inner > 1 ? p.inner : p.planes;
    width_ =
        in_place_ ? std::min(lanes_, kMostLanes) : std::clamp(kPiece / 8 / volume(p.in) / 16 * 16, kLanes, kMostLanes);
    rows_ = std::clamp<int64_t>(kPiece * p.out[1] / (width_ * p.in[1] * p.in[2]), 1, p.out[0] * p.out[1]);
  }

  void run(const S* x, S* y, int64_t* indices) const {
    const int64_t blocks = ceil_div(lanes_, width_), pieces = ceil_div(p_.out[0] * p_.out[1], rows_);
    const int64_t grain = std::max<int64_t>(1, kPiece / (width_ * volume(p_.in) / pieces + 1));
    parallel_for(0, (p_.inner > 1 ? p_.planes : 1) * blocks * pieces, grain, [&](int64_t b, int64_t e) {
      int64_t most = 0;  // positions of a piece
      for (int64_t row = 0; row < p_.out[0] * p_.out[1]; row += rows_) most = std::max(most, reach(row).second);
      const Scratch together(in_place_ ? 0 : (most * width_ + kTileSlack) * sizeof(T));
      const Scratch best(rows_ * p_.out[2] * width_ * sizeof(T)), where(rows_ * p_.out[2] * width_ * sizeof(int32_t));
      for (int64_t i = b; i < e; ++i) {
        const int64_t image = i / (blocks * pieces), lane = i / pieces % blocks * width_, row = i % pieces * rows_;
        piece(x + image * volume(p_.in) * p_.inner, y + image * volume(p_.out) * p_.inner,
              indices ? indices + image * volume(p_.out) * p_.inner : nullptr, lane, row, together.as<T>(),
              best.as<T>(), where.as<int32_t>());
      }
    });
  }

 private:
  using T = Compute<S>;
  static constexpr int64_t kLanes = 16, kMostLanes = 256, kPiece = 1 << 15;  // kPiece: numbers brought together

  void piece(const S* x, S* y, int64_t* indices, int64_t lane, int64_t row, T* together, T* best,
             int32_t* where) const {
    const int64_t lanes = std::min(width_, lanes_ - lane), last = std::min(row + rows_, p_.out[0] * p_.out[1]);
    const int64_t lane_in = p_.inner > 1 ? 1 : volume(p_.in), lane_out = p_.inner > 1 ? 1 : volume(p_.out);
    const auto [low, positions] = reach(row);
    const int64_t pitch = in_place_ ? p_.inner : width_, n = in_place_ ? lanes : width_;
    const T* from = together - low * width_;
    if constexpr (std::is_same_v<S, T>)
      if (in_place_) from = x + lane;
    if (!in_place_)
      side_by_side(x + low * p_.inner + lane * lane_in, p_.inner, lane_in, positions, lanes, width_, together);
    SmallVector<int64_t, 16> rows;
    for (int64_t r = row; r < last; ++r) {
      rows.clear();
      rows_of(p_, w_[0], w_[1], r / p_.out[1], r % p_.out[1], [&](int64_t at) { rows.push_back(at * p_.in[2]); });
      const MaxWindows windows{rows.data(),        static_cast<int64_t>(rows.size()),
                               w_[2].begin.data(), w_[2].count.data(),
                               w_[2].dilation,     p_.out[2]};
      const int64_t done = (r - row) * p_.out[2] * n;
      pool_table<S, T>().max_lanes(from, pitch, n, windows, best + done, where + done);
    }
    const int64_t outputs = (last - row) * p_.out[2], at = row * p_.out[2] * p_.inner + lane * lane_out;
    put(best, n, lanes, outputs, lane_out, y + at);
    if (indices) put(where, n, lanes, outputs, lane_out, indices + at);
  }

  // [outputs][n] to where they belong, along the nearer of both.
  template <class From, class To>
  void put(const From* from, int64_t n, int64_t lanes, int64_t outputs, int64_t lane_step, To* to) const {
    const auto one = [&](int64_t j, int64_t o) {
      const From v = from[o * n + j];
      To& at = to[j * lane_step + o * p_.inner];
      if constexpr (std::is_same_v<From, int32_t> && std::is_same_v<To, int64_t>) at = v;
      else narrow(v, at);
    };
    if (p_.inner > 1 || outputs < 16) {
      for (int64_t o = 0; o < outputs; ++o)
        for (int64_t j = 0; j < lanes; ++j) one(j, o);
    } else {
      for (int64_t j = 0; j < lanes; ++j)
        for (int64_t o = 0; o < outputs; ++o) one(j, o);
    }
  }

  // The first position that the outputs of a piece see, and how many from there on.
  std::pair<int64_t, int64_t> reach(int64_t row) const {
    const int64_t last = std::min(row + rows_, p_.out[0] * p_.out[1]);
    int64_t low = volume(p_.in), high = 0;
    for (int64_t r = row; r < last; ++r)
      rows_of(p_, w_[0], w_[1], r / p_.out[1], r % p_.out[1],
              [&](int64_t at) { low = std::min(low, at * p_.in[2]), high = std::max(high, (at + 1) * p_.in[2]); });
    return {low, high - low};
  }

  Pool p_;
  const Windows* w_;
  bool in_place_;
  int64_t lanes_, width_, rows_;
};

// Of few planes, tap by tap along the rows of outputs.
template <class S>
void max_rows(const Pool& p, const Windows* w, const S* x, S* y, int64_t* indices) {
  using T = Compute<S>;
  const auto& k = pool_table<S, T>();
  const std::vector<Tap> taps = row_taps(p);
  const T low =
      std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  parallel_for(0, p.planes * p.out[0] * p.out[1], row_grain(p), [&](int64_t b, int64_t e) {
    const Scratch best_memory(p.out[2] * sizeof(T)), where_memory(p.out[2] * sizeof(int32_t));
    T* best = best_memory.as<T>();
    int32_t* where = where_memory.as<int32_t>();
    for (int64_t r = b; r < e; ++r) {
      const int64_t od = r / p.out[1] % p.out[0], oh = r % p.out[1];
      const S* from = x + r / (p.out[0] * p.out[1]) * volume(p.in);
      const int64_t row = (w[0].begin[od] * p.in[1] + w[1].begin[oh]) * p.in[2];
      std::fill_n(best, p.out[2], low);
      for (int64_t i = 0; i < p.out[2]; ++i) where[i] = static_cast<int32_t>(row + w[2].begin[i]);
      rows_of(p, w[0], w[1], od, oh, [&](int64_t line) {
        for (const Tap& t : taps) {
          const int64_t at = line * p.in[2] + t.at;
          k.max(from + at, p.stride[2], t.end - t.begin, best + t.begin, where + t.begin, static_cast<int32_t>(at),
                static_cast<int32_t>(p.stride[2]));
        }
      });
      for (int64_t i = 0; i < p.out[2]; ++i) narrow(best[i], y[r * p.out[2] + i]);
      for (int64_t i = 0; indices && i < p.out[2]; ++i) indices[r * p.out[2] + i] = where[i];
    }
  });
}

template <class S>
void max_forward(const Pool& p, const S* x, S* y, int64_t* indices) {
  constexpr int64_t kFewPlanes = 8, kLongRow = 16;
  const Windows w[3] = {windows(p, 0), windows(p, 1), windows(p, 2)};
  EMBER_CHECK(volume(p.in) < std::numeric_limits<int32_t>::max(), "max_pool: a plane of ", volume(p.in),
              " elements is too large");
  if (p.planes < kFewPlanes && p.inner == 1 && p.out[2] >= kLongRow && !p.adaptive) max_rows(p, w, x, y, indices);
  else MaxOfLanes<S>(p, w).run(x, y, indices);
}

template <class S>
void max_backward(const Pool& p, const S* dy, const int64_t* indices, S* dx) {
  using T = Compute<S>;
  const int64_t in = volume(p.in) * p.inner, out = volume(p.out) * p.inner;
  parallel_for(0, p.planes, plane_grain(p), [&](int64_t b, int64_t e) {
    const Scratch memory(std::is_same_v<S, T> ? 0 : in * sizeof(T));
    for (int64_t plane = b; plane < e; ++plane) {
      T* sum = std::is_same_v<S, T> ? reinterpret_cast<T*>(dx + plane * in) : memory.as<T>();
      std::fill_n(sum, in, T(0));
      if (p.inner == 1)
        for (int64_t i = 0; i < out; ++i) sum[indices[plane * out + i]] += wide(dy[plane * out + i]);
      else
        for (int64_t i = 0; i < out; i += p.inner)
          for (int64_t j = 0; j < p.inner; ++j)
            sum[indices[plane * out + i + j] * p.inner + j] += wide(dy[plane * out + i + j]);
      if constexpr (!std::is_same_v<S, T>)
        for (int64_t i = 0; i < in; ++i) narrow(sum[i], dx[plane * in + i]);
    }
  });
}

int64_t divisor(const Pool& p, const Windows* w, int64_t od, int64_t oh, int64_t ow) {
  if (p.divisor_override) return p.divisor_override;
  if (p.adaptive || !p.count_include_pad) return std::max<int64_t>(1, w[0].count[od] * w[1].count[oh] * w[2].count[ow]);
  return w[0].full[od] * w[1].full[oh] * w[2].full[ow];
}

template <class S>
void avg_forward(const Pool& p, const S* x, S* y) {
  using T = Compute<S>;
  const auto& k = pool_table<S, T>();
  const Windows w[3] = {windows(p, 0), windows(p, 1), windows(p, 2)};
  const std::vector<Tap> taps = row_taps(p);
  const int64_t width = !p.adaptive && p.inner == 1 ? p.out[2] : p.inner;
  parallel_for(0, p.planes, plane_grain(p), [&](int64_t b, int64_t e) {
    const Scratch memory(width * sizeof(T));
    T* sum = memory.as<T>();
    for (int64_t plane = b; plane < e; ++plane) {
      const S* from = x + plane * volume(p.in) * p.inner;
      S* to = y + plane * volume(p.out) * p.inner;
      walk(
          p, w, taps, [&](int64_t, int64_t n, int64_t, int64_t, int64_t) { std::fill_n(sum, n, T(0)); },
          [&](int64_t first, int64_t n, int64_t at, int64_t step) { k.add(from + at * p.inner, step, n, sum + first); },
          [&](int64_t o, int64_t n, int64_t od, int64_t oh, int64_t ow) {
            for (int64_t i = 0; i < n; ++i)
              narrow(static_cast<T>(sum[i] / static_cast<T>(divisor(p, w, od, oh, ow < 0 ? i : ow))),
                     to[o * p.inner + i]);
          });
    }
  });
}

template <class S>
void avg_backward(const Pool& p, const S* dy, S* dx) {
  using T = Compute<S>;
  const auto& k = pool_table<S, T>();
  const Windows w[3] = {windows(p, 0), windows(p, 1), windows(p, 2)};
  const std::vector<Tap> taps = row_taps(p);
  const int64_t in = volume(p.in) * p.inner, width = !p.adaptive && p.inner == 1 ? p.out[2] : p.inner;
  parallel_for(0, p.planes, plane_grain(p), [&](int64_t b, int64_t e) {
    const Scratch memory(width * sizeof(T)), plane_memory(std::is_same_v<S, T> ? 0 : in * sizeof(T));
    T* share = memory.as<T>();
    for (int64_t plane = b; plane < e; ++plane) {
      const S* from = dy + plane * volume(p.out) * p.inner;
      T* sum = std::is_same_v<S, T> ? reinterpret_cast<T*>(dx + plane * in) : plane_memory.as<T>();
      std::fill_n(sum, in, T(0));
      walk(
          p, w, taps,
          [&](int64_t o, int64_t n, int64_t od, int64_t oh, int64_t ow) {
            for (int64_t i = 0; i < n; ++i)
              share[i] = wide(from[o * p.inner + i]) / static_cast<T>(divisor(p, w, od, oh, ow < 0 ? i : ow));
          },
          [&](int64_t first, int64_t n, int64_t at, int64_t step) {
            k.scatter(share + first, n, sum + at * p.inner, step);
          },
          [](int64_t, int64_t, int64_t, int64_t, int64_t) {});
      if constexpr (!std::is_same_v<S, T>)
        for (int64_t i = 0; i < in; ++i) narrow(sum[i], dx[plane * in + i]);
    }
  });
}

// Calls f(S{}) when the dtype is one of the tables' and, unless `integers`, floating.
template <bool integers, class F>
void with_pool(const char* name, DType dtype, F&& f) {
  visit(dtype, [&]<class S>(S) {
    if constexpr (is_complex(dtype_of<S>) || std::is_same_v<S, bool> || (!integers && !is_floating(dtype_of<S>)))
      fail<NotImplementedError>('"', name, "\" not implemented for '", dtype, "'");
    else f(S{});
  });
}

}  // namespace

void max_pool(DType dtype, const Pool& pool, const void* x, void* y, int64_t* indices) {
  if (volume(pool.out) == 0) return;
  with_pool<true>("max_pool", dtype,
                  [&]<class S>(S) { max_forward(pool, static_cast<const S*>(x), static_cast<S*>(y), indices); });
}

void max_pool_backward(DType dtype, const Pool& pool, const void* dy, const int64_t* indices, void* dx) {
  with_pool<false>("max_pool_backward", dtype,
                   [&]<class S>(S) { max_backward(pool, static_cast<const S*>(dy), indices, static_cast<S*>(dx)); });
}

void avg_pool(DType dtype, const Pool& pool, const void* x, void* y) {
  if (volume(pool.out) == 0) return;
  with_pool<true>("avg_pool", dtype,
                  [&]<class S>(S) { avg_forward(pool, static_cast<const S*>(x), static_cast<S*>(y)); });
}

void avg_pool_backward(DType dtype, const Pool& pool, const void* dy, void* dx) {
  with_pool<false>("avg_pool_backward", dtype,
                   [&]<class S>(S) { avg_backward(pool, static_cast<const S*>(dy), static_cast<S*>(dx)); });
}

}  // namespace ember::cpu
