// Every channel of the result is a task of its own; within it each tap of the kernel adds a scaled, shifted plane of
// each channel that it reads. Sums wrap around, in unsigned arithmetic.
#include "kernel/cpu/integer_conv.h"

#include <algorithm>

#include "base/parallel.h"

namespace ember::cpu {
namespace {

// Where channel `c` of image `n` begins, and the distance of its neighbours.
struct Plane {
  int64_t start, step;
  Plane(int64_t n, int64_t c, int64_t channels, const int64_t* size, bool last) {
    const int64_t space = size[0] * size[1] * size[2];
    start = last ? n * channels * space + c : (n * channels + c) * space, step = last ? channels : 1;
  }
};

// Calls f(position in x, position in y) for each pair that one tap of the kernel joins.
template <class F>
void each_pair(const Conv& c, const int64_t* tap, F&& f) {
  const auto inner = [&](int d, int64_t o) { return o * c.stride[d] - c.padding[d] + tap[d] * c.dilation[d]; };
  const auto inside = [&](int d, int64_t i) { return i >= 0 && i < c.in[d]; };
  for (int64_t a = 0; a < c.out[0]; ++a) {
    const int64_t i = inner(0, a);
    for (int64_t b = 0; b < c.out[1] && inside(0, i); ++b) {
      const int64_t j = inner(1, b);
      for (int64_t e = 0; e < c.out[2] && inside(1, j); ++e) {
        const int64_t k = inner(2, e);
        if (inside(2, k)) f((i * c.in[1] + j) * c.in[2] + k, (a * c.out[1] + b) * c.out[2] + e);
      }
    }
  }
}

}  // namespace

void conv_integer(const Conv& c, bool transposed, const int64_t* from, const int64_t* weight, const int64_t* bias,
                  int64_t* to) {
  using U = uint64_t;
  const int64_t taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
  const int64_t ins = c.in_channels / c.groups, outs = c.out_channels / c.groups;
  const int64_t mine = transposed ? c.in_channels : c.out_channels, others = transposed ? outs : ins;
  const int64_t* size = transposed ? c.in : c.out;
  const int64_t space = size[0] * size[1] * size[2];
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, space * taps * others));
  parallel_for(0, c.batch * mine, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t n = task / mine, channel = task % mine, group = channel / (transposed ? ins : outs);
      const Plane p(n, channel, mine, size, transposed ? c.x_last : c.y_last);
      U* const sum = reinterpret_cast<U*>(to) + p.start;
      for (int64_t i = 0; i < space; ++i) sum[i * p.step] = bias ? static_cast<U>(bias[channel]) : 0;
      for (int64_t k = 0; k < others * taps; ++k) {
        const int64_t other = group * others + k / taps, tap = k % taps;
        const int64_t at[] = {tap / (c.kernel[1] * c.kernel[2]), tap / c.kernel[2] % c.kernel[1], tap % c.kernel[2]};
        const int64_t in = transposed ? channel : other, out = transposed ? other : channel;
        const U w = static_cast<U>(weight[(out * ins + in % ins) * taps + tap]);
        const Plane q = transposed ? Plane(n, other, c.out_channels, c.out, c.y_last)
                                   : Plane(n, other, c.in_channels, c.in, c.x_last);
        const U* const read = reinterpret_cast<const U*>(from) + q.start;
        each_pair(c, at, [&](int64_t x, int64_t y) {
          sum[(transposed ? x : y) * p.step] += read[(transposed ? y : x) * q.step] * w;
        });
      }
    }
  });
}

}  // namespace ember::cpu
