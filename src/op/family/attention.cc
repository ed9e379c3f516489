// Scaled dot-product attention. The fused op runs in blocks and never holds the matrix of weights (Dao et al., 2022);
// its result lies as the query does, so that joining heads that were split from
// one projection is free. What the kernel does not
// take (dropout, other ranks, a mask that wants a gradient) is composed of ordinary ops, and so is a backward pass that
// must carry a graph of its own.
#include "kernel/cpu/attention.h"

#include <cmath>
#include <limits>

#include "op/family/checks.h"
#include "op/family/dense.h"

namespace ember {
namespace {

// Scores of narrow floats would lose the differences that softmax takes to the exponent.
Tensor widened(const Tensor& x) { return is_reduced_float(x.dtype()) ? to_dtype(x, DType::kFloat32) : x; }

// What softmax sees: q k^T * scale, with masked entries at -inf.
Tensor masked_scores(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal, double scale) {
  Tensor scores = matmul(q * Tensor(scale), transpose(k, -2, -1));
  Tensor seen = mask;
  if (causal) seen = tril(ones({q.size(-2), k.size(-2)}, DType::kBool, q.device()));
  if (!seen.defined()) return scores;
  if (seen.dtype() != DType::kBool) return scores + seen;
  return where(seen, scores, Tensor(-std::numeric_limits<double>::infinity()));
}

// The weights; a row that sees no key has none.
Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal, double scale) {
  Tensor scores = masked_scores(q, k, mask, causal, scale), weights = softmax(scores, -1);
  if (!mask.defined()) return weights;
  Tensor blind = all(scores == Tensor(-std::numeric_limits<double>::infinity()), Dims{-1}, true);
  return masked_fill(weights, blind, Tensor(0));
}

// [.., kv heads, s, e] as [.., heads, s, e]: each key head serves heads / kv_heads query heads.
Tensor repeat_heads(const Tensor& x, int64_t heads) {
  int64_t own = x.size(-3);
  if (own == heads) return x;
  Dims wide = x.sizes(), flat = x.sizes();
  wide.insert(wide.end() - 2, heads / own);
  flat[flat.size() - 3] = heads;
  return reshape(expand(unsqueeze(x, -3), wide), flat);
}

cpu::AttentionOperand operand(const Tensor& x) { return {x->strides[0], x->strides[1], x->strides[2]}; }

// Rows of the kernel's operands are contiguous.
Tensor rows(const Tensor& x) { return x->strides[3] == 1 || x->sizes[3] <= 1 ? x : dense(x); }

// Its dims ordered in memory as x's are, where x's rows are contiguous.
Meta as_it_lies(DimsView sizes, const Tensor& x) {
  Meta m(sizes, x);
  Dims strides = dense_strides_like(sizes, x.strides());
  if (x->strides[3] == 1 && strides[3] == 1) m.strides = strides;
  return m;
}

// Operands that the kernel reads: [B, H, L, E], [B, Hkv, S, E] and [B, Hkv, S, V] of one floating type, and a mask that
// broadcasts to [B, H, L, S].
bool kernel_takes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  if (q.dim() != 4 || k.dim() != 4 || v.dim() != 4 || !is_floating(q.dtype())) return false;
  if (k.dtype() != q.dtype() || v.dtype() != q.dtype()) return false;
  if (!q.numel() || !k.numel() || !v.numel()) return false;
  int64_t heads = q->sizes[1], own = k->sizes[1];
  bool same = q->sizes[0] == k->sizes[0] && k->sizes[0] == v->sizes[0] && own == v->sizes[1] && heads % own == 0 &&
              k->sizes[2] == v->sizes[2] && q->sizes[3] == k->sizes[3];
  if (!same || !mask.defined()) return same;
  if (mask.dim() > 4 || mask.device() != q.device() || (mask.dtype() != DType::kBool && !is_floating(mask.dtype())))
    return false;
  Dims full{q->sizes[0], heads, q->sizes[2], k->sizes[2]};
  for (size_t i = 0, n = mask.sizes().size(); i < n; ++i) {
    if (mask->sizes[i] != 1 && mask->sizes[i] != full[4 - n + i]) return false;
  }
  return true;
}

struct Problem {
  Tensor q, k, v, mask;
  cpu::Attention a;
  Problem(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& attn_mask, bool causal,
          double scale, const Tensor& out)
      : q(rows(query)), k(rows(key)), v(rows(value)) {
    a.batch = q->sizes[0], a.heads = q->sizes[1], a.kv_heads = k->sizes[1], a.queries = q->sizes[2];
    a.keys = k->sizes[2], a.dim = q->sizes[3], a.value_dim = v->sizes[3];
    a.q = operand(q), a.k = operand(k), a.v = operand(v), a.out = operand(out);
    a.scale = scale, a.causal = causal;
    if (!attn_mask.defined()) return;
    bool additive = attn_mask.dtype() != DType::kBool;
    mask = additive && attn_mask.dtype() != q.dtype() ? dense(attn_mask, q.dtype()) : attn_mask;
    a.mask_kind = additive ? cpu::AttentionMask::kAdd : cpu::AttentionMask::kBool;
    a.mask = mask.data();
    size_t n = mask.sizes().size();
    for (size_t i = 0; i < n; ++i) a.mask_strides[4 - n + i] = mask->sizes[i] == 1 ? 0 : mask->strides[i];
  }
};

struct FusedAttention {
  static constexpr auto schema =
      "_fused_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, bool is_causal, float scale) -> "
      "(Tensor output, Tensor logsumexp)";
  static constexpr auto doc = "Attention of [B, H, L, E] over keys [B, Hkv, S, E] and values [B, Hkv, S, V], in blocks";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves = {.inputs = 0b1111, .outputs = 0b11};
  static std::array<Meta, 2> infer(const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask, bool,
                                   double) {
    check_floating(q, "scaled_dot_product_attention", "flash_attention");
    EMBER_CHECK(kernel_takes(q, k, v, mask),
                "_fused_attention: expected query [B, H, L, E], key [B, Hkv, S, E], value "
                "[B, Hkv, S, V] of one type and a mask that broadcasts to [B, H, L, S], but got shapes ",
                q.sizes(), ", ", k.sizes(), ", ", v.sizes(), mask.defined() ? str(" and ", mask.sizes()) : "");
    Dims sizes = q.sizes(), rows = q.sizes();
    sizes[3] = v->sizes[3], rows.pop_back();
    DType stat = q.dtype() == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    return {as_it_lies(sizes, q), Meta(rows, stat, q.device())};
  }
  static void cpu(Out y, Out lse, const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask,
                  bool is_causal, double scale) {
    Problem p(q, k, v, mask, is_causal, scale, y);
    cpu::attention_forward(y.dtype(), p.a, p.q.data(), p.k.data(), p.v.data(), y.data(), lse.data());
  }
  static void vjp(Grads& d, const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask, bool is_causal,
                  double scale) {
    Tensor g = d.g();
    if (needs_graph(g)) return composed(d, widened(g), widened(q), k, v, mask, is_causal, scale);
    auto [dq, dk, dv] = fused_attention_backward(g, q, k, v, d.y(0), d.y(1), mask, is_causal, scale);
    d.set(0, dq), d.set(1, dk), d.set(2, dv);
  }

 private:
  static void composed(Grads& d, const Tensor& g, const Tensor& q, const Tensor& key, const Tensor& value,
                       const Tensor& mask, bool causal, double scale) {
    int64_t heads = q.size(1), own = key.size(1);
    Tensor k = widened(repeat_heads(key, heads)), v = widened(repeat_heads(value, heads));
    Tensor weights = attention_weights(q, k, mask, causal, scale);
    auto shared = [&](const Tensor& dx) {  // the sum over the query heads that a key head serves
      if (own == heads) return dx;
      return sum(reshape(dx, {dx.size(0), own, heads / own, dx.size(2), dx.size(3)}), Dims{2});
    };
    Tensor dw = matmul(g, transpose(v, -2, -1));
    Tensor ds = weights * (dw - sum(weights * dw, Dims{-1}, true)) * Tensor(scale);
    if (d.wants(0)) d.set(0, matmul(ds, k));
    if (d.wants(1)) d.set(1, shared(matmul(transpose(ds, -2, -1), q)));
    if (d.wants(2)) d.set(2, shared(matmul(transpose(weights, -2, -1), g)));
  }
};

struct FusedAttentionBackward {
  static constexpr auto schema =
      "_fused_attention_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor output, "
      "Tensor logsumexp, Tensor? attn_mask, bool is_causal, float scale) -> (Tensor, Tensor, Tensor)";
  static constexpr auto doc = "The gradients of attention to query, key and value; the weights are computed again";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kFunction;
  static std::array<Meta, 3> infer(const Tensor& g, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y,
                                   const Tensor& lse, const OptTensor& mask, bool causal, double scale) {
    constexpr std::string_view op = "_fused_attention_backward";
    auto made = FusedAttention::infer(q, k, v, mask, causal, scale);
    check_shape(op, "grad_out", g, made[0].sizes);
    check_made(op, "output", y, made[0]), check_made(op, "logsumexp", lse, made[1]);
    return {as_it_lies(q.sizes(), q), as_it_lies(k.sizes(), k), as_it_lies(v.sizes(), v)};
  }
  static void cpu(Out dq, Out dk, Out dv, const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                  const Tensor& out, const Tensor& lse, const OptTensor& mask, bool is_causal, double scale) {
    Tensor y = rows(out), g = rows(dense_if_other(grad, q.dtype())), stat = dense(lse);
    Problem p(q, k, v, mask, is_causal, scale, y);
    cpu::AttentionGradients grads{operand(dq), operand(dk), operand(dv), operand(g)};
    cpu::attention_backward(q.dtype(), p.a, grads, p.q.data(), p.k.data(), p.v.data(), y.data(), g.data(), stat.data(),
                            dq.data(), dk.data(), dv.data());
  }

 private:
  static Tensor dense_if_other(const Tensor& x, DType d) { return x.dtype() == d ? x : dense(x, d); }
};

struct ScaledDotProductAttention {
  static constexpr auto schema =
      "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float "
      "dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor";
  static constexpr auto doc = R"(softmax(query key^T * scale + mask) value over [..., L, E], [..., S, E], [..., S, V].

A boolean mask is true where a query sees a key; is_causal: query i sees keys up to i. scale: 1 / sqrt(E) by default.
With enable_gqa each key head serves several query heads.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;

  static Tensor call(const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask, double dropout_p,
                     bool is_causal, std::optional<double> given, bool gqa) {
    check(q, k, v, mask, dropout_p, is_causal);
    double scale = given ? *given : 1 / std::sqrt(static_cast<double>(q.size(-1)));
    if (q.dim() == 3 && k.dim() == 3 && v.dim() == 3 && !(mask.defined() && mask.dim() > 2)) {  // one head
      auto one = [](const Tensor& x) { return unsqueeze(x, 1); };
      if (fits(one(q), one(k), one(v), mask, dropout_p, false)) {
        return squeeze(std::get<0>(fused_attention(one(q), one(k), one(v), mask, is_causal, scale)), {1});
      }
    }
    if (fits(q, k, v, mask, dropout_p, gqa)) return std::get<0>(fused_attention(q, k, v, mask, is_causal, scale));
    Tensor keys = gqa ? repeat_heads(k, q.size(-3)) : k, values = gqa ? repeat_heads(v, q.size(-3)) : v;
    Tensor weights = attention_weights(widened(q), widened(keys), mask, is_causal, scale);
    if (dropout_p > 0) weights = dropout(weights, dropout_p, true);
    return to_dtype(matmul(weights, widened(values)), q.dtype());
  }

 private:
  static void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double p, bool causal) {
    constexpr std::string_view op = "scaled_dot_product_attention";
    EMBER_CHECK(q.dtype() == k.dtype() && k.dtype() == v.dtype(), op,
                ": Expected query, key, and value to have the same dtype, but got query.dtype: ", q.dtype(),
                " key.dtype: ", k.dtype(), " and value.dtype: ", v.dtype(), " instead.");
    EMBER_CHECK(q.device() == k.device() && k.device() == v.device(), op,
                ": Expected query, key, and value to have the same device type");
    EMBER_CHECK(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, op,
                ": Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: ", q.dim(),
                ", key.dim: ", k.dim(), " and value.dim: ", v.dim(), " instead.");
    EMBER_CHECK(!mask.defined() || mask.dtype() == DType::kBool || is_floating(mask.dtype()), op,
                ": Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: ",
                mask.defined() ? mask.dtype() : q.dtype(), " and  query.dtype: ", q.dtype(), " instead.");
    EMBER_CHECK(!(causal && mask.defined()), op, ": Explicit attn_mask should not be set when is_causal=True");
    EMBER_CHECK(p >= 0 && p <= 1, op, ": dropout probability has to be between 0 and 1, but got ", p);
  }

  // Can the fused op take this?
  static bool fits(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double p, bool gqa) {
    if (p > 0 || !kernel_takes(q, k, v, mask) || (!gqa && q->sizes[1] != k->sizes[1])) return false;
    return !mask.defined() || !(mask->requires_grad || (mask->keys & key::kGrad));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> attention_ops() {
  return make_family<FusedAttention, FusedAttentionBackward, ScaledDotProductAttention>();
}

}  // namespace ember
