// Reductions of contiguous runs for one instruction set: the rules of kernel/reduce_rules.h over 16 virtual lanes,
// whatever the width of the registers. Tails are padded with the identity and take the same body.
#include <bit>

#include "kernel/cpu/reduce_kernels.h"
#include "kernel/cpu/vec_math.h"
#include "kernel/reduce_rules.h"

namespace ember::cpu::EMBER_ISA {
namespace {

// ---- the tree ------------------------------------------------------------------------------------------------------

template <class T>
EMBER_INLINE Vec<T> rotate(Vec<T> v, int by) {
  constexpr int n = Vec<T>::kLanes;
  if constexpr (sizeof(T) == 1) {  // many lanes: through memory, where compilers would move them one by one
    T twice[2 * n];
    v.store(twice), v.store(twice + n);
    return Vec<T>::load(twice + by);
  }
  Vec<T> r;
  for (int i = 0; i < n; ++i) r.v[i] = v.v[(i + by) % n];
  return r;
}

// A load in a loop over much memory. Processors fetch ahead by what each load instruction has touched before; two loads
// to a cache line, in a loop that is unrolled a little but not out of existence, keep them going best.
template <class T>
EMBER_INLINE Vec<T> stream(const T* p) {
#if defined(__AVX512F__)
  const __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  return Vec<T>((Raw<T>)_mm512_insertf32x8(_mm512_castps256_ps512(low),
                                           _mm256_loadu_ps(reinterpret_cast<const float*>(p) + 8), 1));
#else
  return Vec<T>::load(p);
#endif
}

template <class R, class T>
struct Tree {
  using V = Vec<T>;
  static constexpr int L = V::kLanes, kRegs = kReduceLanes<T> / L;
  struct Lanes {
    V v[kRegs];
  };
  static EMBER_INLINE Lanes identity() {
    Lanes a;
    for (int r = 0; r < kRegs; ++r) a.v[r] = V(R::template identity<T>);
    return a;
  }
  // One row of lanes; `n` < kReduceLanes only in the last.
  static EMBER_INLINE Lanes row(Lanes a, const T* x, V p) {
#pragma GCC unroll 4
    for (int r = 0; r < kRegs; ++r) a.v[r] = R::combine(a.v[r], R::map(stream(x + r * L), p));
    return a;
  }
  static EMBER_INLINE Lanes last_row(Lanes a, const T* x, int64_t n, V p) {
    const V none(R::template identity<T>);
#pragma GCC unroll 4
    for (int r = 0; r < kRegs; ++r) {
      const int64_t m = n - r * L;
      if (m <= 0) break;
      if (m >= L) a.v[r] = R::combine(a.v[r], R::map(V::load(x + r * L), p));
      else a.v[r] = R::combine(a.v[r], select(V::iota() < V(m), R::map(V::load_n(x + r * L, m), p), none));
    }
    return a;
  }

  // Joined blocks wait in memory, as in a binary counter.
  using Stack = T[std::bit_width(unsigned{kReduceRun<T> / kReduceChunk<T> * kReduceBlocks}) + 1][kReduceLanes<T>];
  static EMBER_INLINE Lanes join(const T* waiting, Lanes b) {
    for (int r = 0; r < kRegs; ++r) b.v[r] = R::combine(V::load(waiting + r * L), b.v[r]);
    return b;
  }
  static EMBER_INLINE void push(Stack& stack, int64_t blocks, Lanes a) {
    int k = 0;
    for (; blocks >> k & 1; ++k) a = join(stack[k], a);
    for (int r = 0; r < kRegs; ++r) a.v[r].store(stack[k] + r * L);
  }

  // At most one run.
  static EMBER_INLINE Lanes reduce(const T* x, int64_t n, V p) {
    constexpr int64_t kRow = kReduceLanes<T>, kBlock = kRow * kReduceRows;
    alignas(kVecBytes) Stack stack;
    int64_t blocks = 0;
    for (; n >= kBlock; ++blocks, x += kBlock, n -= kBlock) {
      Lanes a = identity();
#pragma GCC unroll 4
      for (int i = 0; i < kReduceRows; ++i) a = row(a, x + i * kRow, p);
      push(stack, blocks, a);
    }
    if (n > 0 || blocks == 0) {
      Lanes a = identity();
      for (; n >= kRow; n -= kRow, x += kRow) a = row(a, x, p);
      if (n > 0) a = last_row(a, x, n, p);
      if (blocks == 0) return a;
      push(stack, blocks++, a);
    }
    int k = __builtin_ctzll(static_cast<uint64_t>(blocks));
    Lanes a;
    for (int r = 0; r < kRegs; ++r) a.v[r] = V::load(stack[k] + r * L);
    for (++k; blocks >> k; ++k)
      if (blocks >> k & 1) a = join(stack[k], a);
    return a;
  }

  static EMBER_INLINE T fold(Lanes a) {
#pragma GCC unroll 4
    for (int w = kRegs / 2; w; w /= 2) {
      for (int r = 0; r < w; ++r) a.v[r] = R::combine(a.v[r], a.v[r + w]);
    }
#pragma GCC unroll 8
    for (int w = L / 2; w; w /= 2) a.v[0] = R::combine(a.v[0], rotate(a.v[0], w));
    return a.v[0][0];
  }

  static void lanes(const T* x, int64_t n, T p, T* out) {
    const Lanes a = reduce(x, n, V(p));
    for (int r = 0; r < kRegs; ++r) a.v[r].store(out + r * L);
  }
  static void rows(const T* x, int64_t n, int64_t stride, int64_t rows, T p, T* out) {
    for (int64_t r = 0; r < rows; ++r) out[r] = fold(reduce(x + r * stride, n, V(p)));
  }
  template <int kRows>
  static EMBER_INLINE void accumulate_rows(T* acc, const T* x, int64_t n, int64_t stride, V order) {
    int64_t i = 0;
    for (; i + L <= n; i += L) {
      V a = V::load(acc + i);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) a = R::combine(a, R::map(V::load(x + r * stride + i), order));
      a.store(acc + i);
    }
    if (i == n) return;
    V a = V::load_n(acc + i, n - i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) a = R::combine(a, R::map(V::load_n(x + r * stride + i, n - i), order));
    a.store_n(acc + i, n - i);
  }
  static void accumulate(T* acc, const T* x, int64_t n, int64_t rows, int64_t stride, T p) {
    for (; rows >= 4; rows -= 4, x += 4 * stride) accumulate_rows<4>(acc, x, n, stride, V(p));
    for (; rows > 0; --rows, x += stride) accumulate_rows<1>(acc, x, n, stride, V(p));
  }
  static void merge(T* acc, const T* x, int64_t n) {
    int64_t i = 0;
    for (; i + L <= n; i += L) R::combine(V::load(acc + i), V::load(x + i)).store(acc + i);
    if (i < n) R::combine(V::load_n(acc + i, n - i), V::load_n(x + i, n - i)).store_n(acc + i, n - i);
  }
  static constexpr ReduceTable<T> table() { return {R::template identity<T>, lanes, rows, accumulate, merge}; }
};

// ---- first extreme element -----------------------------------------------------------------------------------------

template <class T>
EMBER_INLINE int64_t first_place(const T* x, int64_t n, T value) {
  using V = Vec<T>;
  constexpr int L = V::kLanes;
  const V wanted(value), lane = V::iota();
  const auto nan = Mask<T>::all_of(value != value);
  for (int64_t i = 0; i < n; i += L) {
    const int64_t m = n - i < L ? n - i : L;
    const V v = m == L ? V::load(x + i) : V::load_n(x + i, m);
    const auto hit = (v == wanted) | (nan & (v != v));
    if (!any(hit)) continue;
    V place = select(hit, lane, V(L));
#pragma GCC unroll 8
    for (int w = L / 2; w; w /= 2) place = raw_min(place, rotate(place, w));
    const int64_t at = i + static_cast<int64_t>(place[0]);
    return at < n ? at : n;
  }
  return n;
}
template <class T>
int64_t find(const T* x, int64_t n, T value) {
  return first_place(x, n, value);
}

template <class R, class T>
EMBER_INLINE void extreme_rows(const T* x, int64_t n, int64_t stride, int64_t rows, T* values, int64_t* at) {
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    const int64_t place = first_place(x, n, Tree<R, T>::fold(Tree<R, T>::reduce(x, n, Vec<T>(0))));
    if (values) values[r] = x[place];
    if (at) at[r] = place;
  }
}
template <class T>
void rows_extreme(const T* x, int64_t n, int64_t stride, int64_t rows, bool largest, T* values, int64_t* at) {
  if (largest) extreme_rows<MaxRule>(x, n, stride, rows, values, at);
  else extreme_rows<MinRule>(x, n, stride, rows, values, at);
}

template <bool kLargest, class T>
EMBER_INLINE void better_loop(const T* x, int64_t n, int64_t row, T* best, int64_t* at) {
  for (int64_t j = 0; j < n; ++j) {
    const T v = x[j], b = best[j];
    const bool wins = b == b && ((kLargest ? v > b : v < b) || v != v);
    best[j] = wins ? v : b;
    at[j] = wins ? row : at[j];
  }
}
template <class T>
void better(const T* x, int64_t n, int64_t row, bool largest, T* best, int64_t* at) {
  if (largest) better_loop<true>(x, n, row, best, at);
  else better_loop<false>(x, n, row, best, at);
}

template <class T>
constexpr SearchTable<T> search_table() {
  return {find<T>, rows_extreme<T>, better<T>};
}

// ---- mean and squared deviations -----------------------------------------------------------------------------------

// Squares around the mean `p`.
struct DeviationRule : SumRule {
  static auto map(auto x, auto p) { return (x - p) * (x - p); }
};

template <class T>
void moments(const T* x, int64_t n, double* mean, double* squares) {
  using Sums = Tree<SumRule, T>;
  using Squares = Tree<DeviationRule, T>;
  const T m = Sums::fold(Sums::reduce(x, n, Vec<T>(0))) / static_cast<T>(n);
  *mean = static_cast<double>(m);
  *squares = static_cast<double>(Squares::fold(Squares::reduce(x, n, Vec<T>(m))));
}
template <class T>
void squares(T* acc, const T* x, const T* mean, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T d = x[i] - mean[i];
    acc[i] += d * d;
  }
}
template <class T>
constexpr MomentTable<T> moment_table() {
  return {moments<T>, squares<T>};
}

// ---- running sums --------------------------------------------------------------------------------------------------
// Eight elements at a time: their prefixes in three rounds, then the carry; so the carry's chain of additions is an
// eighth as long, and rows and columns take the same steps.

template <class A>
struct EightOf {
  typedef A type __attribute__((vector_size(8 * sizeof(A))));
};

template <bool kProduct, class A>
EMBER_INLINE A join(A a, A b) {
  if constexpr (kProduct) return a * b;
  else return a + b;
}

template <bool kProduct, class T, class A>
EMBER_INLINE void scan(const T* x, T* y, int64_t n, A* carry) {
  using Eight = typename EightOf<A>::type;
  const Eight none = Eight{} + (kProduct ? 1 : 0);
  A c = *carry;
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t m = n - i < 8 ? n - i : 8;
    Eight v = none;
    if (m == 8) {
      for (int k = 0; k < 8; ++k) v[k] = static_cast<A>(x[i + k]);
    } else {
      for (int64_t k = 0; k < m; ++k) v[k] = static_cast<A>(x[i + k]);
    }
    v = join<kProduct>(__builtin_shufflevector(none, v, 0, 8, 9, 10, 11, 12, 13, 14), v);
    v = join<kProduct>(__builtin_shufflevector(none, v, 0, 1, 8, 9, 10, 11, 12, 13), v);
    v = join<kProduct>(__builtin_shufflevector(none, v, 0, 1, 2, 3, 8, 9, 10, 11), v);
    v = join<kProduct>(Eight{} + c, v);
    c = v[7];
    if (m == 8) {
      for (int k = 0; k < 8; ++k) y[i + k] = static_cast<T>(v[k]);
    } else {
      for (int64_t k = 0; k < m; ++k) y[i + k] = static_cast<T>(v[k]);
    }
  }
  *carry = c;
}
template <class T, class A>
void scan_run(const T* x, T* y, int64_t n, bool product, A* carry) {
  if (product) scan<true>(x, y, n, carry);
  else scan<false>(x, y, n, carry);
}

template <bool kProduct, class T, class A>
EMBER_INLINE void scan_rows(const T* x, T* y, int64_t rows, int64_t stride_x, int64_t stride_y, int64_t width,
                            A* carry) {
  for (int64_t j = 0; j < width; j += 8) {
    const int64_t m = width - j < 8 ? width - j : 8;
    using Eight = typename EightOf<A>::type;
    const Eight none = Eight{} + (kProduct ? 1 : 0);
    Eight v[8], c = none;
    for (int r = 0; r < 8; ++r) {
      v[r] = none;
      if (r >= rows) continue;
      for (int64_t k = 0; k < m; ++k) v[r][k] = static_cast<A>(x[r * stride_x + j + k]);
    }
    for (int64_t k = 0; k < m; ++k) c[k] = carry[j + k];
#pragma GCC unroll 3
    for (int d = 1; d < 8; d *= 2) {
#pragma GCC unroll 8
      for (int r = 7; r >= 0; --r) v[r] = join<kProduct>(r >= d ? v[r - d] : none, v[r]);
    }
    for (int r = 0; r < 8; ++r) v[r] = join<kProduct>(c, v[r]);
    for (int r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < m; ++k) y[r * stride_y + j + k] = static_cast<T>(v[r][k]);
    }
    for (int64_t k = 0; k < m; ++k) carry[j + k] = v[7][k];
  }
}
template <class T, class A>
void scan_columns(const T* x, T* y, int64_t rows, int64_t stride_x, int64_t stride_y, int64_t width, bool product,
                  A* carry) {
  if (product) scan_rows<true>(x, y, rows, stride_x, stride_y, width, carry);
  else scan_rows<false>(x, y, rows, stride_x, stride_y, width, carry);
}
template <class T, class A>
constexpr ScanTable<T, A> scan_table() {
  return {scan_run<T, A>, scan_columns<T, A>};
}

// An empty entry where the reduction is not for the type.
template <class R, class T, bool there>
constexpr ReduceTable<T> entry() {
  if constexpr (there) return Tree<R, T>::table();
  else return {};
}

}  // namespace

#define EMBER_ENTRY(name, word, types, T, bit) entry<name##Rule, T, (types >> bit & 1) != 0>(),
extern const ReduceTables reduce_tables;
const ReduceTables reduce_tables = {
    {EMBER_REDUCTIONS(EMBER_ENTRY, float, 0)},
    {EMBER_REDUCTIONS(EMBER_ENTRY, double, 1)},
    {EMBER_REDUCTIONS(EMBER_ENTRY, int64_t, 2)},
    {EMBER_REDUCTIONS(EMBER_ENTRY, uint64_t, 3)},
    {EMBER_REDUCTIONS(EMBER_ENTRY, uint8_t, 4)},
    search_table<float>(),
    search_table<double>(),
    search_table<int64_t>(),
    search_table<uint64_t>(),
    moment_table<float>(),
    moment_table<double>(),
    scan_table<float, double>(),
    scan_table<double, double>(),
    scan_table<int64_t, int64_t>(),
};
#undef EMBER_ENTRY

}  // namespace ember::cpu::EMBER_ISA
