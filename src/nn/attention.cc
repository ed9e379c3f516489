// Multi-head attention: three projections in one weight, the fused op, and a projection of what the heads give.
#include "nn/attention.h"

#include "nn/init.h"

namespace ember::nn {

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t num_heads, AttentionOptions options)
    : num_heads_(num_heads),
      options_(options),
      in_proj_weight(register_parameter("in_proj_weight", empty({3 * embed_dim, embed_dim}, options.dtype))),
      in_proj_bias(register_parameter("in_proj_bias", options.bias ? zeros({3 * embed_dim}, options.dtype) : Tensor())),
      out_proj(
          register_module("out_proj", Linear(embed_dim, embed_dim, {.bias = options.bias, .dtype = options.dtype}))) {
  EMBER_CHECK_VALUE(embed_dim > 0 && num_heads > 0,
                    "embed_dim and num_heads must be greater than 0, got embed_dim=", embed_dim,
                    " and num_heads=", num_heads, " instead");
  EMBER_CHECK_VALUE(embed_dim % num_heads == 0, "embed_dim must be divisible by num_heads");
  init::xavier_uniform_(in_proj_weight);
  if (options.bias) init::zeros_(out_proj->bias);
}

Tensor MultiheadAttention::split_heads(const Tensor& x) const {
  Tensor batched = options_.batch_first ? x : transpose(x, 0, 1);
  return transpose(reshape(batched, {batched.size(0), batched.size(1), num_heads_, x.size(2) / num_heads_}), 1, 2);
}

Tensor MultiheadAttention::forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                   const OptTensor& attn_mask, bool is_causal) {
  const int64_t embed_dim = in_proj_weight.size(1);
  for (const Tensor* x : {&query, &key, &value})
    EMBER_CHECK(x->dim() == 3 && x->size(2) == embed_dim, "MultiheadAttention: expected query, key and value of 3 ",
                "dimensions with embed_dim ", embed_dim, ", but got shape ", DimsView(x->sizes()));
  const Tensors weights = chunk(in_proj_weight, 3);
  const Tensors biases = in_proj_bias.defined() ? chunk(in_proj_bias, 3) : Tensors(3);
  auto project = [&](const Tensor& x, size_t i) { return split_heads(linear(x, weights[i], biases[i])); };
  Tensor mask = attn_mask;
  if (mask.defined() && mask.dtype() == DType::kBool) mask = logical_not(mask);  // the op's masks say what takes part
  Tensor heads = scaled_dot_product_attention(project(query, 0), project(key, 1), project(value, 2), mask,
                                              is_training() ? options_.dropout : 0, is_causal);
  Tensor joined = flatten(transpose(heads, 1, 2), 2);  // [N, L, E]
  return out_proj(options_.batch_first ? joined : transpose(joined, 0, 1));
}

}  // namespace ember::nn
