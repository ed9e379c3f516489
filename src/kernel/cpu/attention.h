// scaled_dot_product_attention, forward and backward, in blocks of queries and keys with a running softmax: memory is
// linear in the lengths. f16, bf16, f32, f64 (narrow floats compute in f32). Threads take (batch, head, query range),
// so a row's bits depend on its own inputs and the number of keys only.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

// Where element (batch, head, row, 0) lies; the last dimension is contiguous. Strides in elements.
struct AttentionOperand {
  int64_t batch = 0, head = 0, row = 0;
};

enum class AttentionMask { kNone, kBool, kAdd };  // kBool: uint8, nonzero takes part; kAdd: of the data's dtype

// q, out: [batch, heads, queries, dim or value_dim]; k, v: [batch, kv_heads, keys, dim or value_dim]; query head h
// reads key head h / (heads / kv_heads). mask broadcasts over [batch, heads, queries, keys] by strides of 0. `causal`:
// query i sees keys j <= i. A row that sees no key gives 0.
struct Attention {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, dim = 0, value_dim = 0;
  AttentionOperand q{}, k{}, v{}, out{};
  double scale = 1;
  bool causal = false;
  AttentionMask mask_kind = AttentionMask::kNone;
  const void* mask = nullptr;
  int64_t mask_strides[4] = {0, 0, 0, 0};
};

// lse: Stat[batch, heads, queries] (double for f64, else float), log of the sum of exponentials; may be null.
void attention_forward(DType dtype, const Attention& a, const void* q, const void* k, const void* v, void* out,
                       void* lse);

// Gradients, laid out as `dq`, `dk`, `dv` say; `dout` lies like out.
struct AttentionGradients {
  AttentionOperand dq{}, dk{}, dv{}, dout{};
};
void attention_backward(DType dtype, const Attention& a, const AttentionGradients& g, const void* q, const void* k,
                        const void* v, const void* out, const void* dout, const void* lse, void* dq, void* dk,
                        void* dv);

}  // namespace ember::cpu
