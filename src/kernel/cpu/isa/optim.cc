// The optimizers' loops for one instruction set. S is the stored type, T the compute type. Each formula is written
// once, on vectors; the tail runs the same body on padded loads.
#include "kernel/cpu/optim.h"

#include "kernel/cpu/isa/lanes.h"
#include "kernel/cpu/vec_math.h"

namespace ember::cpu::EMBER_ISA {
namespace {

// Calls f(i, valid lanes) for each register of n elements.
template <class T, class F>
EMBER_INLINE void each(int64_t n, F f) {
  constexpr int64_t kStep = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) f(i, kStep);
  if (i < n) f(i, n - i);
}
template <class T, class S>
EMBER_INLINE Vec<T> at(const S* p, int64_t i, int64_t n) {
  return Vec<T>(n == Vec<T>::kLanes ? load_as<T>(p + i) : load_as_n<T>(p + i, n));
}
template <class T, class S>
EMBER_INLINE void set(S* p, int64_t i, int64_t n, Vec<T> x) {
  if (n == Vec<T>::kLanes) store_as<T>(p + i, x.v);
  else store_as_n<T>(p + i, x.v, n);
}

// The gradient to step along: turned round to ascend, and with the decay of weights that goes through it.
template <class T, class S, class Args>
EMBER_INLINE Vec<T> gradient(const OptimSlot& s, const Args& a, Vec<T> p, int64_t i, int64_t n) {
  Vec<T> g = at<T>(static_cast<const S*>(s.grad), i, n);
  if (a.maximize) g = -g;
  if (a.weight_decay != 0) g = g + p * Vec<T>(static_cast<T>(a.weight_decay));
  return g;
}

// a + w * (b - a), from the nearer end.
template <class T>
EMBER_INLINE Vec<T> lerp(Vec<T> a, Vec<T> b, T w) {
  return w < T(0.5) ? a + (b - a) * Vec<T>(w) : b - (b - a) * Vec<T>(T(1) - w);
}

template <class S, class T>
void sgd(const OptimSlot& s, const SgdArgs& a) {
  S *param = static_cast<S*>(s.param), *buffer = static_cast<S*>(s.state[0]);
  const Vec<T> rate(static_cast<T>(-a.lr)), momentum(static_cast<T>(a.momentum));
  const Vec<T> undamped(static_cast<T>(1 - a.dampening));
  each<T>(
      s.size, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        Vec<T> p = at<T>(param, i, n), g = gradient<T, S>(s, a, p, i, n);
        if (a.momentum != 0) {
          const Vec<T> b = a.first ? g : at<T>(buffer, i, n) * momentum + g * undamped;
          set(buffer, i, n, b);
          g = a.nesterov ? g + b * momentum : b;
        }
        set(param, i, n, p + g * rate);
      });
}

template <class S, class T>
void adam(const OptimSlot& s, const AdamArgs& a) {
  S* param = static_cast<S*>(s.param);
  S *mean = static_cast<S*>(s.state[0]), *square = static_cast<S*>(s.state[1]), *most = static_cast<S*>(s.state[2]);
  const T w1 = static_cast<T>(1 - a.beta1);
  const Vec<T> w2(static_cast<T>(1 - a.beta2)), beta2(static_cast<T>(a.beta2)), eps(static_cast<T>(a.eps));
  const Vec<T> rate(static_cast<T>(-s.rate)), scale(static_cast<T>(s.scale)), shrink(static_cast<T>(a.shrink));
  each<T>(
      s.size, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        Vec<T> p = at<T>(param, i, n);
        if (a.shrink != 1) p = p * shrink;
        const Vec<T> g = gradient<T, S>(s, a, p, i, n);
        const Vec<T> m = lerp(at<T>(mean, i, n), g, w1);
        Vec<T> v = at<T>(square, i, n) * beta2 + w2 * g * g;
        set(mean, i, n, m);
        set(square, i, n, v);
        if (a.amsgrad) {
          v = max(at<T>(most, i, n), v);
          set(most, i, n, v);
        }
        set(param, i, n, p + rate * m / (sqrt(v) / scale + eps));
      });
}

template <class S, class T>
void rmsprop(const OptimSlot& s, const RmspropArgs& a) {
  S* param = static_cast<S*>(s.param);
  S *square = static_cast<S*>(s.state[0]), *mean = static_cast<S*>(s.state[1]), *buffer = static_cast<S*>(s.state[2]);
  const T w = static_cast<T>(1 - a.alpha);
  const Vec<T> alpha(static_cast<T>(a.alpha)), eps(static_cast<T>(a.eps)), rate(static_cast<T>(-a.lr));
  const Vec<T> momentum(static_cast<T>(a.momentum));
  each<T>(
      s.size, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        const Vec<T> p = at<T>(param, i, n), g = gradient<T, S>(s, a, p, i, n);
        Vec<T> v = at<T>(square, i, n) * alpha + Vec<T>(w) * g * g;
        set(square, i, n, v);
        if (a.centered) {
          const Vec<T> m = lerp(at<T>(mean, i, n), g, w);
          set(mean, i, n, m);
          v = v - m * m;
        }
        const Vec<T> denominator = sqrt(v) + eps;
        if (a.momentum > 0) {
          const Vec<T> b = at<T>(buffer, i, n) * momentum + g / denominator;
          set(buffer, i, n, b);
          set(param, i, n, p + b * rate);
        } else {
          set(param, i, n, p + rate * g / denominator);
        }
      });
}

template <class S, class T>
void adagrad(const OptimSlot& s, const AdagradArgs& a) {
  S *param = static_cast<S*>(s.param), *sum = static_cast<S*>(s.state[0]);
  const Vec<T> rate(static_cast<T>(-s.rate)), eps(static_cast<T>(a.eps));
  each<T>(
      s.size, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        const Vec<T> p = at<T>(param, i, n), g = gradient<T, S>(s, a, p, i, n);
        const Vec<T> total = at<T>(sum, i, n) + g * g;
        set(sum, i, n, total);
        set(param, i, n, p + rate * g / (sqrt(total) + eps));
      });
}

template <class S, class T>
constexpr OptimTable table() {
  return {sgd<S, T>, adam<S, T>, rmsprop<S, T>, adagrad<S, T>};
}

}  // namespace

extern const OptimTable optim_tables[4];
const OptimTable optim_tables[4] = {table<Half, float>(), table<BFloat16, float>(), table<float, float>(),
                                    table<double, double>()};

}  // namespace ember::cpu::EMBER_ISA
