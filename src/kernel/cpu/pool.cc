// Pooling drivers: threads over planes; within one, a row of outputs is reduced tap by tap (isa/pool.cc). Adaptive
// windows and channels-last memory reduce output by output, the latter over the contiguous channels.
#include "kernel/cpu/pool.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/pool_kernels.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

#define EMBER_POOL_DECLARE(S, T, name) extern const PoolTable<S, T> pool_##name;
namespace baseline {
EMBER_POOL_TYPES(EMBER_POOL_DECLARE)
}
#if defined(__x86_64__)
namespace avx2 {
EMBER_POOL_TYPES(EMBER_POOL_DECLARE)
}
namespace avx512 {
EMBER_POOL_TYPES(EMBER_POOL_DECLARE)
}
#endif

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

constexpr int64_t kShortRow = 16;  // outputs: below it a row's vectors do not pay for their set-up

// Windows that no edge cuts, of short rows: a table of where each begins, over enough planes to fill vectors.
class WholeWindows {
 public:
  WholeWindows(const Pool& p, const Windows* w) : in_(volume(p.in)), out_(volume(p.out)) {
    const auto same = [](const Windows& v) { return std::count(v.count.begin(), v.count.end(), v.count[0]); };
    whole_ = p.inner == 1 && p.out[2] < kShortRow && w[0].count[0] * w[1].count[0] * w[2].count[0] > 0;
    for (int i = 0; i < 3; ++i) whole_ = whole_ && same(w[i]) == p.out[i];
    if (!whole_) return;
    planes_ = std::max<int64_t>(1, kTogether / out_);
    for (int64_t plane = 0; plane < planes_; ++plane)
      for (int64_t d : w[0].begin)
        for (int64_t h : w[1].begin)
          for (int64_t b : w[2].begin)
            begin_.push_back(static_cast<int32_t>(plane * in_ + (d * p.in[1] + h) * p.in[2] + b));
    for (int64_t d = 0; d < w[0].count[0]; ++d)
      for (int64_t h = 0; h < w[1].count[0]; ++h)
        for (int64_t t = 0; t < w[2].count[0]; ++t)
          offsets_.push_back(
              static_cast<int32_t>((d * w[0].dilation * p.in[1] + h * w[1].dilation) * p.in[2] + t * w[2].dilation));
  }
  explicit operator bool() const { return whole_; }

  template <class S, class T>
  void max(const S* x, S* y, int64_t* indices, int64_t begin, int64_t end) const {
    const Scratch best_memory(planes_ * out_ * sizeof(T)), where_memory(planes_ * out_ * sizeof(int32_t));
    T* best = best_memory.as<T>();
    int32_t* where = where_memory.as<int32_t>();
    for (int64_t plane = begin; plane < end; plane += planes_) {
      const int64_t count = std::min(planes_, end - plane), n = count * out_, taps = offsets_.size();
      pool_table<S, T>().max_windows(x + plane * in_, begin_.data(), offsets_.data(), taps, n, best, where);
      for (int64_t i = 0; i < n; ++i) narrow(best[i], y[plane * out_ + i]);
      for (int64_t i = 0; indices && i < count; ++i)
        for (int64_t o = 0; o < out_; ++o) indices[(plane + i) * out_ + o] = where[i * out_ + o] - i * in_;
    }
  }

 private:
  static constexpr int64_t kShortRow = 16;   // outputs: below it a row's vectors do not pay for their set-up
  static constexpr int64_t kTogether = 256;  // outputs
  bool whole_;
  int64_t in_, out_, planes_ = 1;
  std::vector<int32_t> begin_, offsets_;
};

template <class S>
void max_forward(const Pool& p, const S* x, S* y, int64_t* indices) {
  using T = Compute<S>;
  const auto& k = pool_table<S, T>();
  const Windows w[3] = {windows(p, 0), windows(p, 1), windows(p, 2)};
  const std::vector<Tap> taps = row_taps(p);
  EMBER_CHECK(volume(p.in) < std::numeric_limits<int32_t>::max(), "max_pool: a plane of ", volume(p.in),
              " elements is too large");
  const bool whole_rows = !p.adaptive && p.inner == 1;
  if (const WholeWindows windows(p, w); windows)
    return parallel_for(0, p.planes, plane_grain(p),
                        [&](int64_t b, int64_t e) { windows.max<S, T>(x, y, indices, b, e); });
  const int64_t width = whole_rows ? p.out[2] : p.inner;
  const T low =
      std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  parallel_for(0, p.planes, plane_grain(p), [&](int64_t b, int64_t e) {
    const Scratch best_memory(width * sizeof(T)), where_memory(width * sizeof(int32_t));
    T* best = best_memory.as<T>();
    int32_t* where = where_memory.as<int32_t>();
    for (int64_t plane = b; plane < e; ++plane) {
      const S* from = x + plane * volume(p.in) * p.inner;
      const int64_t out = plane * volume(p.out) * p.inner;
      walk(
          p, w, taps,
          [&](int64_t, int64_t n, int64_t od, int64_t oh, int64_t ow) {
            std::fill_n(best, n, low);
            const int64_t row = (w[0].begin[od] * p.in[1] + w[1].begin[oh]) * p.in[2];
            for (int64_t i = 0; i < n; ++i) where[i] = static_cast<int32_t>(row + w[2].begin[ow < 0 ? i : ow]);
          },
          [&](int64_t first, int64_t n, int64_t at, int64_t step) {
            k.max(from + at * p.inner, step, n, best + first, where + first, static_cast<int32_t>(at),
                  whole_rows ? static_cast<int32_t>(step) : 0);
          },
          [&](int64_t o, int64_t n, int64_t, int64_t, int64_t) {
            for (int64_t i = 0; i < n; ++i) narrow(best[i], y[out + o * p.inner + i]);
            if (indices)
              for (int64_t i = 0; i < n; ++i) indices[out + o * p.inner + i] = where[i];
          });
    }
  });
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
