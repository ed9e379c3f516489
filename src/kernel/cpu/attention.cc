// Attention drivers. Forward: a task packs a block of keys and values, runs all its query blocks over it, and keeps a
// running maximum, sum and output per row. Backward: a task owns one key head, recomputes the probabilities block by
// block from the saved log-sum-exp, and accumulates dq, dk, dv in scratch; so nothing is shared and the order is fixed.
#include "kernel/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/parallel.h"
#include "kernel/cpu/attention_kernels.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/scratch.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const AttentionTable<float> attention_f32; extern const AttentionTable<double> attention_f64;)

namespace {

constexpr int64_t kKeys = kGemmKc;    // keys of a block
constexpr int64_t kQueryRange = 256;  // queries of a task
constexpr int64_t kQueryPanels = 4;   // tile heights in a query block

template <class T>
const AttentionTable<T>& attention_table() {
  if constexpr (std::is_same_v<T, float>) return EMBER_PICK(attention_f32);
  else return EMBER_PICK(attention_f64);
}

int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

// Small dense products over packed operands, in one thread.
template <class S, class T>
struct Small {
  const GemmTable<T>& g = gemm_table<T>();
  const int64_t nr = int64_t{g.lanes} * g.vectors;

  size_t a_size(int64_t m, int64_t k) const { return m * k + kTileSlack; }
  size_t b_size(int64_t k, int64_t n) const { return round_up(n, nr) * k + kTileSlack; }
  void pack_a(const void* a, int kind, int64_t item, int64_t rs, int64_t cs, int64_t m, int64_t k, T* out) const {
    for (int64_t p = 0; p < k; p += kGemmKc)
      g.pack_a[kind](static_cast<const char*>(a) + p * cs * item, rs, cs, m, std::min(kGemmKc, k - p), out + p * m);
  }
  void a_of(const S* a, int64_t rs, int64_t m, int64_t k, T* out) const {
    pack_a(a, kKind<S>, sizeof(S), rs, 1, m, k, out);
  }
  void b_of(const S* b, int64_t rs, int64_t cs, int64_t k, int64_t n, T* out) const {
    g.pack_b[kKind<S>](b, rs, cs, k, n, nr, out);
  }

  // c (+)= alpha * a b. Rows of b are ldb apart, its panels of nr columns `panel` apart: nr and nr * rows from b_of.
  void multiply(int64_t m, int64_t n, int64_t k, T alpha, const T* a, const T* b, int64_t ldb, int64_t panel, bool add,
                T* c, int64_t ldc) const {
    Tile<T> t;
    t.ldb = ldb, t.offsets = nullptr, t.ldc = ldc, t.alpha = alpha, t.beta = 1, t.bias = nullptr;
    for (int64_t p = 0; p < k; p += kGemmKc) {
      t.k = std::min(kGemmKc, k - p), t.add = p || add ? TileAdd::kC : TileAdd::kNone;
      for (int64_t j = 0; j < n; j += nr) {
        t.columns = std::min(nr, n - j), t.b = b + j / nr * panel + p * ldb;
        const int64_t vectors = (t.columns + g.lanes - 1) / g.lanes;
        for (int64_t i = 0; i < m; i += g.rows) {
          t.lda = std::min<int64_t>(g.rows, m - i), t.a = a + p * m + i * t.k, t.c = c + i * ldc + j;
          g.tile[t.lda][vectors](t);
        }
      }
    }
  }
};

// Keys of the block [k0, k0 + n) that query i may see as far as causality goes.
int64_t visible(const Attention& a, int64_t i, int64_t k0, int64_t n) {
  return a.causal ? std::clamp<int64_t>(i + 1 - k0, 0, n) : n;
}

template <class S, class T>
void add_mask(const Attention& a, int64_t batch, int64_t head, int64_t i, int64_t k0, int64_t n, T* s) {
  if (a.mask_kind == AttentionMask::kNone) return;
  const int64_t step = a.mask_strides[3];
  const int64_t at = batch * a.mask_strides[0] + head * a.mask_strides[1] + i * a.mask_strides[2] + k0 * step;
  if (a.mask_kind == AttentionMask::kBool) {
    const uint8_t* m = static_cast<const uint8_t*>(a.mask) + at;
    for (int64_t j = 0; j < n; ++j) s[j] = m[j * step] ? s[j] : -std::numeric_limits<T>::infinity();
  } else {
    const S* m = static_cast<const S*>(a.mask) + at;
    for (int64_t j = 0; j < n; ++j) s[j] += wide(m[j * step]);
  }
}

template <class S, class T>
void forward_range(const Attention& a, const S* q, const S* k, const S* v, S* out, T* lse, int64_t batch, int64_t head,
                   int64_t q0, int64_t q1) {
  const Small<S, T> small;
  const auto& f = attention_table<T>();
  const int64_t rows = q1 - q0, block = kQueryPanels * small.g.rows, dv = a.value_dim, nr = small.nr;
  const Scratch memory((small.a_size(rows, a.dim) + small.b_size(a.dim, kKeys) + small.b_size(kKeys, dv) +
                        2 * small.a_size(block, kKeys) + rows * (dv + 2)) *
                       sizeof(T));
  T* packed_q = memory.as<T>();
  T* packed_k = packed_q + small.a_size(rows, a.dim);
  T* packed_v = packed_k + small.b_size(a.dim, kKeys);
  T* scores = packed_v + small.b_size(kKeys, dv);
  T* packed_p = scores + small.a_size(block, kKeys);
  T* sums = packed_p + small.a_size(block, kKeys);  // [rows, dv], then maxima and denominators
  T *top = sums + rows * dv, *total = top + rows;
  for (int64_t i = 0; i < rows; i += block)
    small.a_of(q + (q0 + i) * a.q.row, a.q.row, std::min(block, rows - i), a.dim, packed_q + i * a.dim);
  std::fill_n(sums, rows * dv, T(0));
  std::fill_n(top, rows, -std::numeric_limits<T>::infinity());
  std::fill_n(total, rows, T(0));
  const int64_t keys = a.causal ? std::min(a.keys, q1) : a.keys;
  for (int64_t k0 = 0; k0 < keys; k0 += kKeys) {
    const int64_t n = std::min(kKeys, keys - k0);
    // One query (decoding) takes its products with the keys where they are; the bits are the same.
    const bool single = rows == 1 && a.dim <= kGemmKc;
    if (!single) small.b_of(k + k0 * a.k.row, 1, a.k.row, a.dim, n, packed_k);
    // A few queries read the values where they are.
    const bool bare = std::is_same_v<S, T> && rows <= small.g.rows && dv % small.g.lanes == 0;
    const T* values = bare ? reinterpret_cast<const T*>(v + k0 * a.v.row) : packed_v;
    if (!bare) small.b_of(v + k0 * a.v.row, a.v.row, 1, n, dv, packed_v);
    for (int64_t i = 0; i < rows; i += block) {
      const int64_t m = std::min(block, rows - i), seen = visible(a, q0 + i + m - 1, k0, n);
      if (seen == 0) continue;
      if (single) {
        for (int64_t j = 0; j < seen; j += 2 * small.g.lanes)
          small.g.dots[kKind<S>](packed_q, a.dim, 1, k + (k0 + j) * a.k.row, a.k.row, a.dim,
                                 std::min<int64_t>(2 * small.g.lanes, seen - j), scores + j, kKeys);
        f.scale(scores, seen, static_cast<T>(a.scale));
      } else {
        small.multiply(m, seen, a.dim, static_cast<T>(a.scale), packed_q + i * a.dim, packed_k, nr, nr * a.dim, false,
                       scores, kKeys);
      }
      for (int64_t r = 0; r < m; ++r) {
        T* s = scores + r * kKeys;
        const int64_t at = q0 + i + r, valid = visible(a, at, k0, n);
        add_mask<S>(a, batch, head, at, k0, valid, s);
        const T factor = f.running_softmax(s, valid, seen, top + i + r, total + i + r);
        if (factor != 1) f.scale(sums + (i + r) * dv, dv, factor);
      }
      small.pack_a(scores, 0, sizeof(T), kKeys, 1, m, seen, packed_p);
      small.multiply(m, dv, seen, 1, packed_p, values, bare ? a.v.row : nr, bare ? nr : nr * n, true, sums + i * dv,
                     dv);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    const T scale = total[i] == 0 ? T(0) : 1 / total[i];  // no key: 0
    for (int64_t j = 0; j < dv; ++j) narrow(sums[i * dv + j] * scale, out[(q0 + i) * a.out.row + j]);
    if (lse) lse[q0 + i] = top[i] + std::log(total[i]);
  }
}

// One key head and the query heads that read it.
template <class S, class T>
struct Backward {
  const Attention& a;
  const AttentionGradients& to;
  const S *q, *k, *v, *out, *dout;
  const T* lse;
  S *dq, *dk, *dv;

  void run(int64_t batch, int64_t kv_head) const {
    const Small<S, T> small;
    const auto& f = attention_table<T>();
    const int64_t d = a.dim, e = a.value_dim, group = a.heads / a.kv_heads, block = kQueryPanels * small.g.rows;
    const int64_t nr = small.nr;
    const Scratch dq_memory(group * a.queries * (d + 1) * sizeof(T));
    T *dq_sum = dq_memory.as<T>(), *delta = dq_sum + group * a.queries * d;
    std::fill_n(dq_sum, group * a.queries * d, T(0));
    auto head_of = [&](int64_t h) { return kv_head * group + h; };
    for (int64_t h = 0; h < group; ++h)  // delta = sum of dout * out by row
      for (int64_t i = 0; i < a.queries; ++i) {
        const S* o = out + batch * a.out.batch + head_of(h) * a.out.head + i * a.out.row;
        const S* g = dout + batch * to.dout.batch + head_of(h) * to.dout.head + i * to.dout.row;
        T sum = 0;
        for (int64_t j = 0; j < e; ++j) sum += wide(o[j]) * wide(g[j]);
        delta[h * a.queries + i] = sum;
      }
    const size_t sizes[] = {small.b_size(d, kKeys),     small.b_size(kKeys, d),         small.b_size(e, kKeys),
                            small.a_size(block, d),     small.b_size(block, d),         small.a_size(block, e),
                            small.b_size(block, e),     small.a_size(block, kKeys),     small.a_size(block, kKeys),
                            small.a_size(block, kKeys), static_cast<size_t>(kKeys * d), static_cast<size_t>(kKeys * e)};
    size_t bytes = 0;
    for (size_t n : sizes) bytes += n * sizeof(T);
    const Scratch memory(bytes);
    T* buffer[12];
    T* next = memory.as<T>();
    for (int i = 0; i < 12; ++i) buffer[i] = next, next += sizes[i];
    auto [kt, kn, vt, qa, qb, ga, gb, p, ds, packed, dk_sum, dv_sum] = buffer;
    const S *kh = k + batch * a.k.batch + kv_head * a.k.head, *vh = v + batch * a.v.batch + kv_head * a.v.head;
    for (int64_t k0 = 0; k0 < a.keys; k0 += kKeys) {
      const int64_t n = std::min(kKeys, a.keys - k0);
      small.b_of(kh + k0 * a.k.row, 1, a.k.row, d, n, kt);
      small.b_of(kh + k0 * a.k.row, a.k.row, 1, n, d, kn);
      small.b_of(vh + k0 * a.v.row, 1, a.v.row, e, n, vt);
      std::fill_n(dk_sum, n * d, T(0)), std::fill_n(dv_sum, n * e, T(0));
      for (int64_t h = 0; h < group; ++h) {
        const S* qh = q + batch * a.q.batch + head_of(h) * a.q.head;
        const S* gh = dout + batch * to.dout.batch + head_of(h) * to.dout.head;
        const T* lse_h = lse + (batch * a.heads + head_of(h)) * a.queries;
        for (int64_t i = 0; i < a.queries; i += block) {
          const int64_t m = std::min(block, a.queries - i), seen = visible(a, i + m - 1, k0, n);
          if (seen == 0) continue;
          small.a_of(qh + i * a.q.row, a.q.row, m, d, qa);
          small.b_of(qh + i * a.q.row, a.q.row, 1, m, d, qb);
          small.a_of(gh + i * to.dout.row, to.dout.row, m, e, ga);
          small.b_of(gh + i * to.dout.row, to.dout.row, 1, m, e, gb);
          small.multiply(m, seen, d, static_cast<T>(a.scale), qa, kt, nr, nr * d, false, p, kKeys);
          small.multiply(m, seen, e, 1, ga, vt, nr, nr * e, false, ds, kKeys);
          for (int64_t r = 0; r < m; ++r) {
            const int64_t valid = visible(a, i + r, k0, n);
            add_mask<S>(a, batch, head_of(h), i + r, k0, valid, p + r * kKeys);
            f.probabilities(p + r * kKeys, valid, seen, lse_h[i + r]);
            f.score_gradient(p + r * kKeys, ds + r * kKeys, seen, delta[h * a.queries + i + r],
                             static_cast<T>(a.scale));
          }
          small.pack_a(p, 0, sizeof(T), 1, kKeys, seen, m, packed);  // transposed: [keys, queries]
          small.multiply(seen, e, m, 1, packed, gb, nr, nr * m, true, dv_sum, e);
          small.pack_a(ds, 0, sizeof(T), 1, kKeys, seen, m, packed);
          small.multiply(seen, d, m, 1, packed, qb, nr, nr * m, true, dk_sum, d);
          small.pack_a(ds, 0, sizeof(T), kKeys, 1, m, seen, packed);
          small.multiply(m, d, seen, 1, packed, kn, nr, nr * n, true, dq_sum + (h * a.queries + i) * d, d);
        }
      }
      store(dk_sum, n, d, dk + batch * to.dk.batch + kv_head * to.dk.head + k0 * to.dk.row, to.dk.row);
      store(dv_sum, n, e, dv + batch * to.dv.batch + kv_head * to.dv.head + k0 * to.dv.row, to.dv.row);
    }
    for (int64_t h = 0; h < group; ++h)
      store(dq_sum + h * a.queries * d, a.queries, d, dq + batch * to.dq.batch + head_of(h) * to.dq.head, to.dq.row);
  }

  static void store(const T* x, int64_t rows, int64_t columns, S* y, int64_t stride) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) narrow(x[i * columns + j], y[i * stride + j]);
  }
};

}  // namespace

void attention_forward(DType dtype, const Attention& a, const void* q, const void* k, const void* v, void* out,
                       void* lse) {
  with_float("scaled_dot_product_attention", dtype, [&]<class S, class T>() {
    const int64_t ranges = (a.queries + kQueryRange - 1) / kQueryRange,
                  group = a.heads / std::max<int64_t>(1, a.kv_heads);
    const int64_t work = std::min(kQueryRange, a.queries) * a.keys * (a.dim + a.value_dim);
    parallel_for(
        0, a.batch * a.heads * ranges, std::max<int64_t>(1, (1 << 18) / (work + 1)), [&](int64_t begin, int64_t end) {
          for (int64_t task = begin; task < end; ++task) {
            const int64_t b = task / ranges / a.heads, h = task / ranges % a.heads, q0 = task % ranges * kQueryRange;
            forward_range<S, T>(a, static_cast<const S*>(q) + b * a.q.batch + h * a.q.head,
                                static_cast<const S*>(k) + b * a.k.batch + h / group * a.k.head,
                                static_cast<const S*>(v) + b * a.v.batch + h / group * a.v.head,
                                static_cast<S*>(out) + b * a.out.batch + h * a.out.head,
                                lse ? static_cast<T*>(lse) + (b * a.heads + h) * a.queries : nullptr, b, h, q0,
                                std::min(a.queries, q0 + kQueryRange));
          }
        });
  });
}

void attention_backward(DType dtype, const Attention& a, const AttentionGradients& g, const void* q, const void* k,
                        const void* v, const void* out, const void* dout, const void* lse, void* dq, void* dk,
                        void* dv) {
  with_float("scaled_dot_product_attention_backward", dtype, [&]<class S, class T>() {
    const Backward<S, T> x{a,
                           g,
                           static_cast<const S*>(q),
                           static_cast<const S*>(k),
                           static_cast<const S*>(v),
                           static_cast<const S*>(out),
                           static_cast<const S*>(dout),
                           static_cast<const T*>(lse),
                           static_cast<S*>(dq),
                           static_cast<S*>(dk),
                           static_cast<S*>(dv)};
    const int64_t work = a.queries * a.keys * (a.dim + a.value_dim);
    parallel_for(0, a.batch * a.kv_heads, std::max<int64_t>(1, (1 << 18) / (work + 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t task = begin; task < end; ++task) x.run(task / a.kv_heads, task % a.kv_heads);
                 });
  });
}

}  // namespace ember::cpu
