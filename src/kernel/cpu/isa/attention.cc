// The running softmax of attention and its gradient, one row at a time, for one instruction set.
#include "kernel/cpu/attention_kernels.h"
#include "kernel/cpu/vec_math.h"

namespace ember::cpu::EMBER_ISA {
namespace {

// Calls f(i, lanes) over registers of a row; lanes is full but at the end.
template <class T, class F>
EMBER_INLINE void each(int64_t n, F f) {
  constexpr int L = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + L <= n; i += L) f(i, int64_t{L});
  if (i < n) f(i, n - i);
}
template <class T>
EMBER_INLINE Vec<T> at(const T* p, int64_t i, int64_t n) {
  return n == Vec<T>::kLanes ? Vec<T>::load(p + i) : Vec<T>::load_n(p + i, n);
}
template <class T>
EMBER_INLINE void set(T* p, int64_t i, int64_t n, Vec<T> x) {
  if (n == Vec<T>::kLanes) x.store(p + i);
  else x.store_n(p + i, n);
}
template <class T>
EMBER_INLINE Vec<T> keep(Vec<T> x, int64_t n, Vec<T> other) {
  return n == Vec<T>::kLanes ? x : select(Vec<T>::iota() < static_cast<T>(n), x, other);
}

template <class T>
T running_softmax(T* s, int64_t valid, int64_t n, T* top, T* sum) {
  constexpr int L = Vec<T>::kLanes;
  const Vec<T> low(-__builtin_inf());
  Vec<T> m(*top);
  each<T>(
      valid, [&](int64_t i, int64_t k) __attribute__((always_inline)) { m = max(m, keep(at(s, i, k), k, low)); });
  T lane[L], best = *top;
  m.store(lane);
  for (int i = 0; i < L; ++i) best = lane[i] != lane[i] || lane[i] > best ? lane[i] : best;
  if (best == -__builtin_inf()) {  // nothing seen yet
    for (int64_t i = 0; i < n; ++i) s[i] = 0;
    return 1;
  }
  Vec<T> total;
  const Vec<T> shift(best);
  each<T>(
      valid, [&](int64_t i, int64_t k) __attribute__((always_inline)) {
        const Vec<T> e = exp(at(s, i, k) - shift);
        set(s, i, k, e);
        total += keep(e, k, Vec<T>(0));
      });
  for (int64_t i = valid; i < n; ++i) s[i] = 0;
  total.store(lane);
  for (int w = L / 2; w; w /= 2)
    for (int i = 0; i < w; ++i) lane[i] += lane[i + w];
  const T before = *top;
  *top = best;
  if (before == best || before == -__builtin_inf()) {  // as before, or the first: nothing to rescale
    *sum += lane[0];
    return 1;
  }
  const T factor = exp(Vec<T>(before - best))[0];
  *sum = *sum * factor + lane[0];
  return factor;
}

template <class T>
void probabilities(T* s, int64_t valid, int64_t n, T lse) {
  if (lse == -__builtin_inf()) valid = 0;
  const Vec<T> shift(lse);
  each<T>(
      valid, [&](int64_t i, int64_t k) __attribute__((always_inline)) { set(s, i, k, exp(at(s, i, k) - shift)); });
  for (int64_t i = valid; i < n; ++i) s[i] = 0;
}

template <class T>
void score_gradient(const T* p, T* dp, int64_t n, T delta, T scale) {
  const Vec<T> d(delta), c(scale);
  each<T>(
      n, [&](int64_t i, int64_t k)
             __attribute__((always_inline)) { set(dp, i, k, at(p, i, k) * (at(dp, i, k) - d) * c); });
}

template <class T>
void scale(T* x, int64_t n, T factor) {
  const Vec<T> f(factor);
  each<T>(
      n, [&](int64_t i, int64_t k) __attribute__((always_inline)) { set(x, i, k, at<T>(x, i, k) * f); });
}

template <class T>
constexpr AttentionTable<T> make_table() {
  return {running_softmax<T>, probabilities<T>, score_gradient<T>, scale<T>};
}

}  // namespace

extern const AttentionTable<float> attention_f32;
extern const AttentionTable<double> attention_f64;
const AttentionTable<float> attention_f32 = make_table<float>();
const AttentionTable<double> attention_f64 = make_table<double>();

}  // namespace ember::cpu::EMBER_ISA
