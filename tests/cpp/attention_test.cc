// Attention against the whole score matrix in double: causal, masks of both kinds with broadcast, grouped heads,
// strided heads, lengths across the block edges; gradients by the closed form in double.
#include "kernel/cpu/attention.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/parallel.h"
#include "check.h"

using namespace ember;
using namespace ember::cpu;
using Doubles = std::vector<double>;

namespace {

std::mt19937 rng(5);

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
  for (auto& x : v) x = from_double<S>(std::normal_distribution<double>()(rng));
  return v;
}
// Layouts: [batch, heads, rows, dim], or [batch, rows, heads, dim] with `rows_first`.
AttentionOperand layout(int64_t heads, int64_t rows, int64_t dim, bool rows_first) {
  if (rows_first) return {rows * heads * dim, dim, heads * dim};
  return {heads * rows * dim, rows * dim, dim};
}
int64_t at(const AttentionOperand& x, int64_t b, int64_t h, int64_t i) { return b * x.batch + h * x.head + i * x.row; }

template <class S>
void near(const std::vector<S>& got, const Doubles& want, double tolerance, const char* what) {
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(real(got[i]) - want[i]) <= tolerance * (1 + std::abs(want[i]))))
      ember::test::fail(__FILE__, __LINE__, what, " at ", i, ": ", real(got[i]), " vs ", want[i]);
}

template <class S>
void check(Attention a, bool rows_first, double tolerance) {
  using T = std::conditional_t<std::is_same_v<S, double>, double, float>;
  a.q = layout(a.heads, a.queries, a.dim, rows_first), a.k = layout(a.kv_heads, a.keys, a.dim, rows_first);
  a.v = layout(a.kv_heads, a.keys, a.value_dim, rows_first),
  a.out = layout(a.heads, a.queries, a.value_dim, rows_first);
  a.scale = 0.3;
  const int64_t nq = a.batch * a.heads * a.queries * a.dim, nk = a.batch * a.kv_heads * a.keys * a.dim;
  const int64_t nv = nk / a.dim * a.value_dim, no = nq / a.dim * a.value_dim;
  const auto q = normal<S>(nq), k = normal<S>(nk), v = normal<S>(nv), g = normal<S>(no);
  const auto add = normal<S>(a.queries * a.keys);
  std::vector<uint8_t> bools(a.batch * a.keys);
  for (auto& b : bools) b = rng() % 3 != 0;
  bools[0] = 1;
  if (a.mask_kind == AttentionMask::kAdd) a.mask = add.data(), a.mask_strides[2] = a.keys, a.mask_strides[3] = 1;
  if (a.mask_kind == AttentionMask::kBool) a.mask = bools.data(), a.mask_strides[0] = a.keys, a.mask_strides[3] = 1;
  std::vector<S> out(no), dq(nq), dk(nk), dv(nv);
  std::vector<T> lse(a.batch * a.heads * a.queries);
  attention_forward(dtype_of<S>, a, q.data(), k.data(), v.data(), out.data(), lse.data());
  attention_backward(dtype_of<S>, a, {a.q, a.k, a.v, a.out}, q.data(), k.data(), v.data(), out.data(), g.data(),
                     lse.data(), dq.data(), dk.data(), dv.data());
  Doubles o(no), wq(nq), wk(nk), wv(nv);
  const int64_t group = a.heads / a.kv_heads;
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t i = 0; i < a.queries; ++i) {
        const int64_t iq = at(a.q, b, h, i), io = at(a.out, b, h, i);
        Doubles p(a.keys), dp(a.keys);
        double sum = 0, delta = 0;
        for (int64_t j = 0; j < a.keys; ++j) {
          double s = 0;
          for (int64_t c = 0; c < a.dim; ++c) s += real(q[iq + c]) * real(k[at(a.k, b, h / group, j) + c]);
          s *= a.scale;
          if (a.mask_kind == AttentionMask::kAdd) s += real(add[i * a.keys + j]);
          const bool seen = (!a.causal || j <= i) && (a.mask_kind != AttentionMask::kBool || bools[b * a.keys + j]);
          sum += p[j] = seen ? std::exp(s) : 0;
        }
        for (int64_t j = 0; j < a.keys; ++j) {
          if (sum > 0) p[j] /= sum;
          for (int64_t c = 0; c < a.value_dim; ++c) {
            const int64_t iv = at(a.v, b, h / group, j) + c;
            o[io + c] += p[j] * real(v[iv]), dp[j] += real(g[io + c]) * real(v[iv]), wv[iv] += p[j] * real(g[io + c]);
          }
          delta += p[j] * dp[j];
        }
        for (int64_t j = 0; j < a.keys; ++j)
          for (int64_t c = 0; c < a.dim; ++c) {
            const int64_t ik = at(a.k, b, h / group, j) + c;
            wq[iq + c] += p[j] * (dp[j] - delta) * a.scale * real(k[ik]);
            wk[ik] += p[j] * (dp[j] - delta) * a.scale * real(q[iq + c]);
          }
      }
  near(out, o, tolerance, "out"), near(dq, wq, 8 * tolerance, "dq"), near(dk, wk, 8 * tolerance, "dk"),
      near(dv, wv, 8 * tolerance, "dv");
}

template <class S>
void check_all(double tolerance) {
  for (bool rows_first : {false, true})
    for (bool causal : {false, true})
      for (auto mask : {AttentionMask::kNone, AttentionMask::kBool, AttentionMask::kAdd}) {
        Attention a{2, 4, 2, 9, 13, 10, 7};
        a.causal = causal, a.mask_kind = mask;
        check<S>(a, rows_first, tolerance);
        Attention b{1, 2, 2, 300, 290, 16, 40};
        b.causal = causal, b.mask_kind = mask;
        check<S>(b, rows_first, tolerance);
      }
  check<S>({1, 2, 1, 1, 600, 64, 64}, false, tolerance);   // one query, as in decoding
  check<S>({1, 1, 1, 20, 30, 300, 65}, false, tolerance);  // dim over one K block
}

}  // namespace

TEST(attention_f32) { check_all<float>(3e-6); }
TEST(attention_f64) { check_all<double>(1e-14); }
TEST(attention_f16) { check_all<Half>(2e-3); }
TEST(attention_bf16) { check_all<BFloat16>(2e-2); }

TEST(attention_without_a_key_is_zero) {
  Attention a{1, 1, 1, 2, 3, 4, 4};
  a.q = a.out = {8, 8, 4}, a.k = a.v = {12, 12, 4}, a.mask_kind = AttentionMask::kBool;
  const uint8_t mask[6] = {0, 0, 0, 1, 1, 1};
  a.mask = mask, a.mask_strides[2] = 3, a.mask_strides[3] = 1;
  const auto q = normal<float>(8), k = normal<float>(12), v = normal<float>(12);
  std::vector<float> out(8, 1), lse(2), dq(8), dk(12), dv(12);
  attention_forward(DType::kFloat32, a, q.data(), k.data(), v.data(), out.data(), lse.data());
  for (int i = 0; i < 4; ++i) CHECK_EQ(out[i], 0.f);
  attention_backward(DType::kFloat32, a, {a.q, a.k, a.v, a.out}, q.data(), k.data(), v.data(), out.data(), q.data(),
                     lse.data(), dq.data(), dk.data(), dv.data());
  for (int i = 0; i < 4; ++i) CHECK_EQ(dq[i], 0.f);
  for (float x : dk) CHECK(std::isfinite(x));
}

TEST(attention_bits_do_not_depend_on_threads_or_other_queries) {
  Attention a{2, 3, 3, 270, 300, 32, 32};
  a.q = a.out = layout(3, 270, 32, false), a.k = a.v = layout(3, 300, 32, false);
  const auto q = normal<float>(2 * 3 * 270 * 32), k = normal<float>(2 * 3 * 300 * 32);
  std::vector<float> out(q.size()), again(q.size()), row(32);
  attention_forward(DType::kFloat32, a, q.data(), k.data(), k.data(), out.data(), nullptr);
  const int threads = num_threads();
  set_num_threads(1);
  attention_forward(DType::kFloat32, a, q.data(), k.data(), k.data(), again.data(), nullptr);
  set_num_threads(threads);
  CHECK(out == again);
  Attention one = a;
  one.batch = one.heads = one.kv_heads = one.queries = 1;  // the path of decoding
  attention_forward(DType::kFloat32, one, q.data() + 266 * 32, k.data(), k.data(), row.data(), nullptr);
  CHECK(!std::memcmp(row.data(), out.data() + 266 * 32, 32 * 4));
}
