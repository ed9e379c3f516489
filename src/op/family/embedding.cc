// Tables of rows looked up by index, and the dense form of a class index.
#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/index.h"
#include "op/family/checks.h"
#include "op/family/reduce_common.h"

namespace ember {
namespace {

struct EmbeddingDenseBackward {
  static constexpr auto schema =
      "embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, "
      "bool scale_grad_by_freq) -> Tensor";
  static constexpr auto doc = "The gradient of an embedding's table: rows of grad_output summed by index, in order.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& g, const Tensor& indices, int64_t rows, int64_t, bool) {
    constexpr std::string_view op = "embedding_dense_backward";
    EMBER_CHECK(is_floating(g.dtype()), op, ": grad_output must be floating point, got ", g.dtype());
    EMBER_CHECK(g.dim() >= 1, op, ": grad_output must have a last dim, the embedding's width, but got shape []");
    check_index_dtype(op, "indices", indices);
    check_shape(op, "indices", indices, DimsView(g->sizes.data(), g->sizes.size() - 1));
    return Meta({rows, g.sizes().back()}, g);
  }
  static void cpu(Out y, const Tensor& g, const Tensor& indices, int64_t, int64_t padding, bool by_count) {
    if (y.numel() == 0) return;
    Tensor at = empty_raw(indices.sizes(), DType::kInt64);
    cpu::copy(at, indices);
    check_indices("embedding_dense_backward", "indices", at, y.sizes()[0]);
    cpu::embedding_backward(y, g, at, padding, by_count);
  }
  static void vjp(Grads& d, const Tensor&, const Tensor& indices, int64_t, int64_t padding, bool by_count) {
    EMBER_CHECK(!by_count, "embedding: double backward with scale_grad_by_freq is not supported");
    const Tensor rows = embedding(d.g(), indices, padding);
    d.set(0, padding < 0 ? rows : masked_fill(rows, unsqueeze(eq(indices, padding), -1), 0));
  }
};

struct Embedding {
  static constexpr auto schema =
      "embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool "
      "sparse=False) "
      "-> Tensor";
  static constexpr auto doc = "The rows of `weight` that `indices` names; the row padding_idx gets no gradient.";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static constexpr Saves saves{.inputs = 2};
  static Meta infer(const Tensor& weight, const Tensor& indices, int64_t, bool, bool) {
    EMBER_CHECK(weight.dim() == 2, "embedding: 'weight' must be 2-D, got shape ", weight.sizes());
    EMBER_CHECK(indices.dtype() == DType::kInt64 || indices.dtype() == DType::kInt32,
                "embedding: Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, "
                "Int; but got ",
                indices.dtype(), " instead");
    Dims sizes(indices.sizes());
    sizes.push_back(weight.sizes()[1]);
    return Meta(sizes, weight);
  }
  static void cpu(Out y, const Tensor& weight, const Tensor& indices, int64_t, bool, bool) {
    try {
      cpu::Picked(weight, {{indices}}, cpu::Bounds::kStrict).gather(y);
    } catch (const Error& e) { fail<IndexError>("index out of range in self: ", e.what()); }
  }
  static void vjp(Grads& d, const Tensor& weight, const Tensor& indices, int64_t padding, bool by_count, bool) {
    static const Op* const backward = find_op("embedding_dense_backward");
    d.set(0, call_op(backward, d.g(), indices, weight.sizes()[0], padding, by_count));
  }
};

struct EmbeddingBag {
  static constexpr auto schema =
      "embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, "
      "bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> "
      "(Tensor, Tensor, Tensor, Tensor)";
  static constexpr auto doc =
      "Sums (mode 0), means (1) or maxima (2) of bags of embedding rows; bag b starts at offsets[b].";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static std::tuple<Tensor, Tensor, Tensor, Tensor> call(const Tensor& weight, const Tensor& indices,
                                                         const Tensor& offsets, bool by_count, int64_t mode,
                                                         bool sparse, const Tensor& sample_weights, bool include_last,
                                                         int64_t padding) {
    EMBER_CHECK(indices.dim() == 1 && offsets.dim() == 1,
                "embedding_bag: input and offsets have to be 1-D tensors, got ", indices.sizes(), " and ",
                offsets.sizes());
    EMBER_CHECK(!sample_weights.defined() || mode == 0,
                "embedding_bag: per_sample_weights was not None. "
                "per_sample_weights is only supported for mode='sum'");
    const int64_t n = indices.numel(), bags = offsets.numel() - include_last, width = weight.sizes()[1];
    const Device at = weight.device();
    static const Op* const search = find_op("searchsorted");
    const Tensor starts = narrow(offsets, 0, 0, bags);
    const Tensor bag_of = Tensor(call_op(search, starts, arange(0, n, 1, offsets.dtype(), at), false, true,
                                         std::optional<std::string_view>(), Tensor())) -
                          1;
    Tensor rows = embedding(weight, indices, padding, by_count, sparse);
    Tensor counted = ones({n}, DType::kInt64, at);
    if (padding >= 0) counted = to_dtype(ne(indices, padding), DType::kInt64);
    const Tensor sizes = scatter_add(zeros({bags}, DType::kInt64, at), 0, bag_of, counted);
    const Tensor to = expand(unsqueeze(bag_of, 1), {n, width});
    if (mode == 2) {
      const Tensor low = full({bags, width}, -INFINITY, weight.dtype(), at);
      if (padding >= 0) rows = masked_fill(rows, unsqueeze(eq(counted, 0), 1), -INFINITY);
      static const Op* const reduce = find_op("scatter_reduce");
      const Tensor most = call_op(reduce, low, int64_t{0}, to, rows, "amax", false);
      return {masked_fill(most, unsqueeze(eq(sizes, 0), 1), 0), bag_of, sizes, sizes};
    }
    if (sample_weights.defined()) rows = rows * unsqueeze(sample_weights, 1);
    if (padding >= 0) rows = rows * unsqueeze(to_dtype(counted, weight.dtype()), 1);
    Tensor y = index_add(zeros({bags, width}, weight.dtype(), at), 0, bag_of, rows);
    if (mode == 1) y = y / unsqueeze(to_dtype(maximum(sizes, Tensor(1)), weight.dtype()), 1);
    return {y, bag_of, sizes, sizes};
  }
};

struct OneHot {
  static constexpr auto schema = "one_hot(Tensor self, int num_classes=-1) -> Tensor";
  static constexpr auto doc =
      "Each class index as a row of zeros with a 1 at its place; as many classes as there are by default.";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& x, int64_t classes) {
    EMBER_CHECK(x.dtype() == DType::kInt64, "one_hot is only applicable to index tensor of type LongTensor, got ",
                x.dtype());
    EMBER_CHECK(x.numel() != 0 || classes > 0, "Can not infer total number of classes from empty tensor.");
    if (x.numel()) {
      EMBER_CHECK(min(x).item<int64_t>() >= 0, "Class values must be non-negative.");
      const int64_t most = max(x).item<int64_t>();
      EMBER_CHECK(classes == -1 || classes > 0, "num_classes should be positive");
      EMBER_CHECK(classes == -1 || most < classes, "Class values must be smaller than num_classes.");
      if (classes == -1) classes = most + 1;
    }
    Dims sizes(x.sizes());
    sizes.push_back(classes);
    static const Op* const scatter_value = find_op("scatter.value");
    return call_op(scatter_value, zeros(sizes, DType::kInt64), int64_t{-1}, unsqueeze(x, -1), Scalar(1));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> embedding_ops() {
  return make_family<EmbeddingDenseBackward, Embedding, EmbeddingBag, OneHot>();
}

}  // namespace ember
