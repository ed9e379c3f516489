// Convolution against the naive seven-fold loop in double: 1, 2 and 3 dimensions, strides, padding, dilation, groups,
// depthwise, both layouts, all float dtypes; gradients from the same loop's transposes; bits across threads and batch.
#include "kernel/cpu/conv.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "check.h"

using namespace ember;
using namespace ember::cpu;

namespace {

std::mt19937 rng(3);
std::string shape_name;

template <class S>
S from_double(double x) {
  if constexpr (std::is_same_v<S, Half>) return to_half(static_cast<float>(x));
  else if constexpr (std::is_same_v<S, BFloat16>) return to_bfloat16(static_cast<float>(x));
  else return static_cast<S>(x);
}
template <class S>
double real(S x) {
  if constexpr (sizeof(S) == 2) return to_float(x);
  else return x;
}
template <class S>
std::vector<S> normal(int64_t n) {
  std::vector<S> v(n);
  for (auto& x : v) x = from_double<S>(std::normal_distribution<float>()(rng));
  return v;
}
int64_t volume(const int64_t* x) { return x[0] * x[1] * x[2]; }
int64_t index(int64_t n, int64_t c, int64_t at, int64_t channels, int64_t space, bool last) {
  return last ? (n * space + at) * channels + c : (n * channels + c) * space + at;
}

// Calls f(x index, y index, weight index) for every product of the convolution.
template <class F>
void products(const Conv& c, F f) {
  const int64_t ic = c.in_channels / c.groups, oc = c.out_channels / c.groups, taps = volume(c.kernel);
  for (int64_t n = 0; n < c.batch; ++n)
    for (int64_t o = 0; o < c.out_channels; ++o)
      for (int64_t i = 0; i < ic; ++i)
        for (int64_t at = 0; at < volume(c.out); ++at)
          for (int64_t t = 0; t < taps; ++t) {
            const int64_t out[3] = {at / c.out[2] / c.out[1], at / c.out[2] % c.out[1], at % c.out[2]};
            const int64_t tap[3] = {t / c.kernel[2] / c.kernel[1], t / c.kernel[2] % c.kernel[1], t % c.kernel[2]};
            int64_t in[3];
            bool ok = true;
            for (int d = 0; d < 3; ++d) {
              in[d] = out[d] * c.stride[d] - c.padding[d] + tap[d] * c.dilation[d];
              ok = ok && in[d] >= 0 && in[d] < c.in[d];
            }
            if (!ok) continue;
            const int64_t where = (in[0] * c.in[1] + in[1]) * c.in[2] + in[2];
            f(index(n, o / oc * ic + i, where, c.in_channels, volume(c.in), c.x_last),
              index(n, o, at, c.out_channels, volume(c.out), c.y_last), (o * ic + i) * taps + t);
          }
}
template <class S>
void near(const std::vector<S>& got, const std::vector<double>& want, double tolerance, const char* what) {
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(real(got[i]) - want[i]) <= tolerance * (4 + std::abs(want[i]))))
      ember::test::fail(__FILE__, __LINE__, what, " of ", shape_name, " at ", i, ": ", real(got[i]), " vs ", want[i]);
}

template <class S>
void check(Conv c, double tolerance) {
  for (int d = 0; d < 3; ++d)
    c.out[d] = (c.in[d] + 2 * c.padding[d] - c.dilation[d] * (c.kernel[d] - 1) - 1) / c.stride[d] + 1;
  const int64_t nx = c.batch * c.in_channels * volume(c.in), ny = c.batch * c.out_channels * volume(c.out);
  const int64_t nw = c.out_channels * c.in_channels / c.groups * volume(c.kernel);
  const auto x = normal<S>(nx), w = normal<S>(nw), b = normal<S>(std::max(c.in_channels, c.out_channels)),
             dy = normal<S>(ny);
  std::vector<double> y(ny), dx(nx), dw(nw), db(c.out_channels), y0(ny), dx0(nx);
  for (int64_t i = 0; i < ny; ++i) {
    const int64_t channel = c.y_last ? i % c.out_channels : i / volume(c.out) % c.out_channels;
    y[i] = real(b[channel]), db[channel] += real(dy[i]);
  }
  for (int64_t i = 0; i < nx; ++i) dx[i] = real(b[c.x_last ? i % c.in_channels : i / volume(c.in) % c.in_channels]);
  products(c, [&](int64_t ix, int64_t iy, int64_t iw) {
    y[iy] += real(x[ix]) * real(w[iw]), y0[iy] += real(x[ix]) * real(w[iw]);
    dx[ix] += real(dy[iy]) * real(w[iw]), dx0[ix] += real(dy[iy]) * real(w[iw]);
    dw[iw] += real(dy[iy]) * real(x[ix]);
  });
  // Each addition rounds a partial sum of size sqrt(i); at random, k of them come to eps * k.
  tolerance *= std::max(1.0, static_cast<double>(c.in_channels / c.groups * volume(c.kernel)) / 360);
  // Winograd's sums and differences of neighbours (3 x 3, stride 1, many channels) round at twice that.
  if (c.kernel[1] * c.kernel[2] == 9 && c.stride[1] * c.stride[2] == 1 && c.in_channels / c.groups >= 16)
    tolerance *= 2;
  const S junk = from_double<S>(NAN);
  std::vector<S> gy(ny, junk), gdx(nx, junk), gdw(nw, junk), gdb(c.out_channels, junk);
  const DType d = dtype_of<S>;
  conv_forward(d, c, x.data(), w.data(), b.data(), gy.data());
  near(gy, y, tolerance, "y");
  conv_forward(d, c, x.data(), w.data(), nullptr, gy.data());
  near(gy, y0, tolerance, "y without bias");
  conv_backward_data(d, c, dy.data(), w.data(), b.data(), gdx.data());
  near(gdx, dx, tolerance, "dx with bias");
  conv_backward_data(d, c, dy.data(), w.data(), nullptr, gdx.data());
  near(gdx, dx0, tolerance, "dx");
  conv_backward_weight(d, c, x.data(), dy.data(), gdw.data());
  near(gdw, dw, tolerance * 8, "dw");
  conv_backward_bias(d, c, dy.data(), gdb.data());
  near(gdb, db, tolerance * 8, "db");
}

template <class S>
void check_shapes(double tolerance) {
  const std::vector<Conv> shapes = {
      {2, 3, 5, 1, {1, 1, 9}, {}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}},  // 1d
      {2, 4, 6, 2, {1, 1, 20}, {}, {1, 1, 4}, {1, 1, 3}, {0, 0, 2}, {1, 1, 2}},
      {2, 3, 17, 1, {1, 10, 11}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},          // 2d
      {1, 3, 8, 1, {1, 23, 21}, {}, {1, 7, 7}, {1, 2, 2}, {0, 3, 3}},           // a stem
      {3, 40, 20, 1, {1, 7, 5}, {}, {1, 3, 3}, {1, 2, 1}, {0, 1, 0}},           // k over one block
      {2, 6, 4, 1, {1, 9, 9}, {}, {1, 2, 3}, {1, 3, 2}, {0, 0, 2}, {1, 2, 2}},  // unread edges, holes
      {2, 8, 12, 4, {1, 8, 6}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},            // groups
      {2, 7, 7, 7, {1, 9, 35}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},            // depthwise
      {2, 5, 10, 5, {1, 9, 8}, {}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
      {2, 20, 30, 1, {1, 6, 7}, {}, {1, 1, 1}, {1, 1, 1}},  // pointwise
      {2, 6, 4, 2, {1, 6, 7}, {}, {1, 1, 1}, {1, 1, 1}},
      {2, 20, 30, 1, {1, 6, 7}, {}, {1, 1, 1}, {1, 2, 2}},
      {2, 3, 4, 1, {1, 4, 4}, {}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},  // padded pointwise
      {2, 3, 4, 1, {4, 5, 6}, {}, {3, 2, 3}, {1, 1, 2}, {1, 0, 1}},  // 3d
      {1, 2, 4, 2, {7, 6, 5}, {}, {2, 3, 1}, {2, 2, 2}, {1, 1, 0}, {2, 1, 1}},
      {9, 1, 16, 1, {1, 8, 8}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},   // small images
      {3, 20, 24, 1, {1, 9, 8}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},  // 3 x 3 of many channels
      {9, 32, 16, 1, {1, 4, 4}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
      {1, 16, 20, 1, {1, 12, 61}, {}, {1, 3, 3}, {1, 1, 1}, {0, 2, 0}},
      {2, 40, 36, 2, {1, 7, 7}, {}, {1, 3, 3}, {1, 1, 1}, {0, 0, 2}},
      {1, 270, 16, 1, {1, 4, 6}, {}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
  };
  for (const Conv& c0 : shapes)
    for (int layout = 0; layout < 4; ++layout) {
      Conv c = c0;
      c.x_last = layout & 1, c.y_last = layout & 2;
      shape_name = "shape " + std::to_string(&c0 - shapes.data()) + ", layout " + std::to_string(layout);
      check<S>(c, tolerance);
    }
}

}  // namespace

TEST(conv_f32) { check_shapes<float>(3e-6); }
TEST(conv_f64) { check_shapes<double>(1e-14); }
TEST(conv_f16) { check_shapes<Half>(1e-3); }
TEST(conv_bf16) { check_shapes<BFloat16>(8e-3); }
TEST(conv_integers_raise) {
  Conv c{1, 1, 1, 1, {1, 3, 3}, {1, 1, 1}, {1, 3, 3}};
  CHECK_THROWS(conv_forward(DType::kInt64, c, nullptr, nullptr, nullptr, nullptr),
               "\"conv\" not implemented for 'int64'");
}

TEST(conv_bits_do_not_depend_on_threads_or_batch) {
  Conv c{20, 16, 32, 1, {1, 28, 28}, {1, 28, 28}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}};
  const int64_t nx = 16 * 28 * 28, ny = 32 * 28 * 28;
  const auto x = normal<float>(20 * nx), w = normal<float>(32 * 16 * 9), dy = normal<float>(20 * ny);
  std::vector<float> y(20 * ny), one(ny), dw(w.size()), dw1(w.size());
  conv_forward(DType::kFloat32, c, x.data(), w.data(), nullptr, y.data());
  conv_backward_weight(DType::kFloat32, c, x.data(), dy.data(), dw.data());
  const int threads = num_threads();
  set_num_threads(1);
  conv_backward_weight(DType::kFloat32, c, x.data(), dy.data(), dw1.data());
  c.batch = 1;
  conv_forward(DType::kFloat32, c, x.data() + 13 * nx, w.data(), nullptr, one.data());
  set_num_threads(threads);
  CHECK(dw == dw1);
  CHECK(!std::memcmp(one.data(), y.data() + 13 * ny, ny * 4));
}
