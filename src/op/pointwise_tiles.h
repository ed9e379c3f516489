// The vector reader: tiles of a pointwise family for one instruction set.
// A tile reads n contiguous elements of its compute type; the tail runs the same vector body on padded loads, so an
// element's bits do not depend on where it stands.
#pragma once

#include "kernel/cpu/complex.h"
#include "kernel/cpu/vec.h"
#include "kernel/cpu/vec_math.h"
#include "op/pointwise_traits.h"

namespace ember::cpu::EMBER_ISA {

// Words that are trivial for real numbers.
template <class T>
EMBER_INLINE Vec<T> conj(Vec<T> x) {
  return x;
}
template <class T>
EMBER_INLINE Vec<T> real(Vec<T> x) {
  return x;
}
template <class T>
EMBER_INLINE Vec<T> sgn(Vec<T> x) {
  return sign(x);
}

template <class V>
struct Real {  // loads and stores of a real compute type
  using Lane = typename V::Scalar;
  using M = Mask<Lane>;
  static constexpr int kLanes = V::kLanes;
  EMBER_INLINE static V load(const void* p, int64_t i, int64_t n) {
    const Lane* q = static_cast<const Lane*>(p) + i;
    return n >= kLanes ? V::load(q) : V::load_n(q, n);
  }
  EMBER_INLINE static M load_mask(const void* p, int64_t i, int64_t n) {
    const uint8_t* q = static_cast<const uint8_t*>(p) + i;
    return n >= kLanes ? M::load(q) : M::load_n(q, n);
  }
  EMBER_INLINE static void store(void* p, int64_t i, int64_t n, V v) {
    if constexpr (sizeof(Lane) == 1) v = select(v != V(0), V(1), V(0));  // a bool in memory is 0 or 1
    Lane* q = static_cast<Lane*>(p) + i;
    n >= kLanes ? v.store(q) : v.store_n(q, n);
  }
  EMBER_INLINE static void store(void* p, int64_t i, int64_t n, M m) {
    uint8_t* q = static_cast<uint8_t*>(p) + i;
    n >= kLanes ? m.store(q) : m.store_n(q, n);
  }
  EMBER_INLINE static V attribute(const void* params, int j) { return V(static_cast<const Lane*>(params)[j]); }
  EMBER_INLINE static V conjugate(V v) { return v; }
};

template <class V>
struct Complex {  // the same for pairs (re, im) in memory
  using Lane = typename V::Scalar;
  using C = Cx<V>;
  using M = Mask<Lane>;
  static constexpr int kLanes = V::kLanes;
  EMBER_INLINE static C load(const void* p, int64_t i, int64_t n) {
    const Lane* q = static_cast<const Lane*>(p) + 2 * i;
    Lane re[kLanes] = {}, im[kLanes] = {};
    if (n > kLanes) n = kLanes;
    for (int64_t k = 0; k < n; ++k) re[k] = q[2 * k], im[k] = q[2 * k + 1];
    return C{V::load(re), V::load(im)};
  }
  EMBER_INLINE static M load_mask(const void* p, int64_t i, int64_t n) { return Real<V>::load_mask(p, i, n); }
  EMBER_INLINE static void store(void* p, int64_t i, int64_t n, C c) {
    Lane* q = static_cast<Lane*>(p) + 2 * i;
    Lane re[kLanes], im[kLanes];
    c.re.store(re), c.im.store(im);
    if (n > kLanes) n = kLanes;
    for (int64_t k = 0; k < n; ++k) q[2 * k] = re[k], q[2 * k + 1] = im[k];
  }
  EMBER_INLINE static void store(void* p, int64_t i, int64_t n, V v) { Real<V>::store(p, i, n, v); }
  EMBER_INLINE static void store(void* p, int64_t i, int64_t n, M m) { Real<V>::store(p, i, n, m); }
  EMBER_INLINE static C attribute(const void* params, int j) {
    const Lane* q = static_cast<const Lane*>(params) + 2 * j;
    return C{V(q[0]), V(q[1])};
  }
  EMBER_INLINE static C conjugate(C c) { return C{c.re, -c.im}; }
};

template <Compute c>
struct ReaderOf;
template <>
struct ReaderOf<Compute::kF32> {
  using type = Real<Vec<float>>;
};
template <>
struct ReaderOf<Compute::kF64> {
  using type = Real<Vec<double>>;
};
template <>
struct ReaderOf<Compute::kI64> {
  using type = Real<Vec<int64_t>>;
};
template <>
struct ReaderOf<Compute::kU64> {
  using type = Real<Vec<uint64_t>>;
};
template <>
struct ReaderOf<Compute::kBool> {
  using type = Real<Vec<uint8_t>>;
};
template <>
struct ReaderOf<Compute::kC64> {
  using type = Complex<Vec<float>>;
};
template <>
struct ReaderOf<Compute::kC128> {
  using type = Complex<Vec<double>>;
};

// Input k of op T at element i.
template <class T, class R, int k>
EMBER_INLINE auto input(const void* const* in, int64_t i, int64_t n) {
  if constexpr (ember::detail::mask_inputs<T>() >> k & 1) return R::load_mask(in[k], i, n);
  else return R::load(in[k], i, n);
}
template <class T, class R, int k>
EMBER_INLINE auto conjugate_input(const void* const* in, int64_t i, int64_t n) {
  if constexpr (ember::detail::mask_inputs<T>() >> k & 1) return R::load_mask(in[k], i, n);
  else return R::conjugate(R::load(in[k], i, n));
}

template <class T, class R, int... I, int... J>
EMBER_INLINE auto evaluate(const void* const* in, [[maybe_unused]] const void* params, int64_t i, int64_t n,
                           ember::detail::Ints<I...>, ember::detail::Ints<J...>) {
  return T::eval(input<T, R, I>(in, i, n)..., R::attribute(params, J)...);
}

template <class T, class R>
void forward_tile(void* out, const void* const* in, const void* params, int64_t n) {
  using Inputs = ember::detail::Up<ember::detail::kInputs<T>>;
  using Attributes = ember::detail::Up<ember::detail::kAttributes<T>>;
  int64_t i = 0;
  for (; i + R::kLanes <= n; i += R::kLanes)
    R::store(out, i, R::kLanes, evaluate<T, R>(in, params, i, R::kLanes, Inputs{}, Attributes{}));
  if (i < n) R::store(out, i, n - i, evaluate<T, R>(in, params, i, n - i, Inputs{}, Attributes{}));
}

template <class T, class R, int which, int... I, int... J>
EMBER_INLINE auto differentiate(const void* const* in, [[maybe_unused]] const void* params, int64_t i, int64_t n,
                                ember::detail::Ints<I...>, ember::detail::Ints<J...>) {
  constexpr int kY = sizeof...(I);
  auto g = R::load(in[0], i, n);
  if constexpr (ember::detail::takes<T, which, decltype(g), decltype(input<T, R, I>(in, i, n))..., decltype(g),
                                     decltype(R::attribute(params, J))...>)
    return ember::detail::partial<T, which>(g, conjugate_input<T, R, I>(in + 1, i, n)...,
                                            R::conjugate(R::load(in[1 + kY], i, n)), R::attribute(params, J)...);
  else
    return ember::detail::partial<T, which>(g, conjugate_input<T, R, I>(in + 1, i, n)..., R::attribute(params, J)...);
}

template <class T, class R, int which>
void partial_tile(void* out, const void* const* in, const void* params, int64_t n) {
  using Inputs = ember::detail::Up<ember::detail::kInputs<T>>;
  using Attributes = ember::detail::Up<ember::detail::kAttributes<T>>;
  int64_t i = 0;
  for (; i + R::kLanes <= n; i += R::kLanes)
    R::store(out, i, R::kLanes, differentiate<T, R, which>(in, params, i, R::kLanes, Inputs{}, Attributes{}));
  if (i < n) R::store(out, i, n - i, differentiate<T, R, which>(in, params, i, n - i, Inputs{}, Attributes{}));
}

template <class A, class B>
inline constexpr bool kSameType = false;
template <class A>
inline constexpr bool kSameType<A, A> = true;

// Does T have partial `which`? Asked with float vectors: only the number of parameters decides.
template <class T, int which, int... I, int... J>
consteval bool has_partial(ember::detail::Ints<I...>, ember::detail::Ints<J...>) {
  using R = Real<Vec<float>>;
  using V = Vec<float>;
  return ember::detail::takes<T, which, V, decltype(input<T, R, I>(nullptr, 0, 0))...,
                              decltype(R::attribute(nullptr, J))...> ||
         ember::detail::takes<T, which, V, decltype(input<T, R, I>(nullptr, 0, 0))..., V,
                              decltype(R::attribute(nullptr, J))...>;
}

template <class T, Compute c>
constexpr void add_tiles(PointwiseTiles& t) {
  if constexpr (T::types >> static_cast<int>(c) & 1) {
    using R = typename ReaderOf<c>::type;
    using Inputs = ember::detail::Up<ember::detail::kInputs<T>>;
    using Attributes = ember::detail::Up<ember::detail::kAttributes<T>>;
    constexpr int k = static_cast<int>(c);
    t.forward[k] = forward_tile<T, R>;
    using Out = decltype(evaluate<T, R>(nullptr, nullptr, 0, 0, Inputs{}, Attributes{}));
    constexpr bool complex = c == Compute::kC64 || c == Compute::kC128;
    if constexpr (kSameType<Out, typename R::M>) t.result[k] = ResultType::kBool;
    else if constexpr (complex && kSameType<Out, Vec<typename R::Lane>>) t.result[k] = ResultType::kReal;
    if constexpr (c == Compute::kF32 || c == Compute::kF64 || complex) {
      constexpr bool holomorphic = !(complex && kSameType<Out, Vec<typename R::Lane>>);
      if constexpr (holomorphic && has_partial<T, 0>(Inputs{}, Attributes{})) t.partial[0][k] = partial_tile<T, R, 0>;
      if constexpr (holomorphic && has_partial<T, 1>(Inputs{}, Attributes{})) t.partial[1][k] = partial_tile<T, R, 1>;
      if constexpr (holomorphic && has_partial<T, 2>(Inputs{}, Attributes{})) t.partial[2][k] = partial_tile<T, R, 2>;
    }
  }
}

template <class T>
constexpr PointwiseTiles make_tiles() {
  PointwiseTiles t{};
  add_tiles<T, Compute::kF32>(t), add_tiles<T, Compute::kF64>(t), add_tiles<T, Compute::kI64>(t),
      add_tiles<T, Compute::kU64>(t);
  add_tiles<T, Compute::kBool>(t), add_tiles<T, Compute::kC64>(t), add_tiles<T, Compute::kC128>(t);
  return t;
}

}  // namespace ember::cpu::EMBER_ISA
