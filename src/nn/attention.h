// Multi-head attention, with the parameters and initial weights of Python's nn.MultiheadAttention.
#pragma once

#include "nn/layers.h"

namespace ember::nn {

struct EMBER_API AttentionOptions {
  double dropout = 0;  // of the weights, in training
  bool bias = true, batch_first = false;
  OptDType dtype = {};
};
// query [L, N, E], key and value [S, N, E] ([N, L, E] with batch_first) -> the query's shape. `attn_mask` [L, S]: a
// bool that is true leaves out, as in Python; numbers are added. Weights are not returned, so they are never made.
class EMBER_API MultiheadAttention : public Module {
 public:
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, AttentionOptions options = {});
  using Module::forward;
  Tensor forward(const Tensor& query, const Tensor& key, const Tensor& value, const OptTensor& attn_mask = {},
                 bool is_causal = false);

 private:
  Tensor split_heads(const Tensor& x) const;  // -> [N, heads, L, E / heads]
  int64_t num_heads_;
  AttentionOptions options_;

 public:
  const Tensor in_proj_weight, in_proj_bias;
  const Child<Linear> out_proj;
};

}  // namespace ember::nn
