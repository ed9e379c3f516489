// The typed fast path of grad: nodes of pointwise ops.
// What a partial reads is known (Pointwise::reads), so a node keeps just that, in place, without a list; its backward
// is one fused pass an input, or the partial read with tensors where the gradient itself is to be differentiated.
#include "op/ops.h"
#include "op/pointwise.h"
#include "transform/grad_record.h"

namespace ember {
namespace {

class PointwiseNode final : public Node {
 public:
  explicit PointwiseNode(const Op& op) : op_(op), p_(*op.pointwise) {}
  std::string name() const override { return node_name(op_); }

  // One edge an input; false when no gradient is wanted.
  bool connect(const Value* args) {
    bool any = false;
    for (int i = 0; i < p_.inputs; ++i) {
      const Tensor& t = args[i].tensor();
      next.push_back(t->requires_grad ? gradient_edge(t) : Edge{});
      any |= static_cast<bool>(next.back());
    }
    if (any) follow_inputs();
    return any;
  }

  void keep(const Value* args, const Tensor* overwritten) {
    uint32_t reads = read_bits();
    for (int i = 0; i < p_.inputs; ++i) {
      const Tensor& t = args[i].tensor();
      Input& in = inputs_[i];
      in.sizes = t.sizes(), in.dtype = t.dtype(), in.wrapped = t->wrapped_number;
      in.saved = reads >> (1 + i) & 1;
      if (in.saved) in.data = save_input(t, overwritten);
    }
    for (int j = 0; j < p_.attributes; ++j) attributes_[j] = args[p_.inputs + j];
  }
  void keep_result(const Tensor& y) {
    if (read_bits() >> (1 + p_.inputs) & 1) result_ = SavedTensor(y, SavedTensor::kResult), result_saved_ = true;
  }

  std::vector<Tensor> apply(std::vector<Tensor> grads) override {
    std::vector<Tensor> out(next.size());
    const Tensor& g = grads[0];
    if (freed_) fail_freed();
    if (!g.defined()) return out;
    bool differentiable = grad_enabled() || g.is_meta() || dispatch_state.on;
    // Alone in a partial's expression (1 - weight), a Python number would be of the default dtype.
    bool exact = differentiable && real_of(g.dtype()) == DType::kFloat64;
    Value args[kMaxArgs];
    for (int i = 0; i < p_.inputs; ++i) {
      const Input& in = inputs_[i];
      Tensor t = in.saved ? in.data.unpack({}) : empty_raw(in.sizes, in.dtype, kMeta);
      // The kernel reads memory by the geometry it was promised.
      EMBER_CHECK(t.sizes() == in.sizes, name(), ": a tensor that was saved for backward had the shape ", in.sizes,
                  ", but what came back has ", t.sizes());
      if (!in.saved) t->wrapped_number = in.wrapped;
      else if (in.wrapped && exact && !is_complex(in.dtype)) t = to_dtype(t, DType::kFloat64);
      args[i] = Value(std::move(t));
    }
    for (int j = 0; j < p_.attributes; ++j) args[p_.inputs + j] = attributes_[j];
    Tensor y = result_saved_ ? result_.unpack(Ptr<Node>::share(this)) : Tensor();
    for (int k = 0; k < p_.partials; ++k) {
      size_t i = static_cast<size_t>(p_.input_of(k));
      if (!next[i]) continue;
      const Input& in = inputs_[i];
      bool same = in.sizes == g.sizes() && (is_complex(in.dtype) || !is_complex(g.dtype()));
      Tensor d = differentiable ? p_.tensor_partial(k, g, args, y)
                                : pointwise_partial(op_, k, g, args, y, same ? in.dtype : g.dtype());
      out[i] = fit_gradient(std::move(d), in.sizes, in.dtype);
    }
    return out;
  }

  void release_saved() override {
    for (Input& in : inputs_) {
      if (in.saved) in.data.reset(), freed_ = true;
    }
    if (result_saved_) result_.reset(), freed_ = true;
  }

 private:
  static constexpr int kMaxInputs = 3, kMaxAttributes = 3, kMaxArgs = kMaxInputs + kMaxAttributes;
  struct Input {
    SavedTensor data;
    Dims sizes;
    DType dtype = DType::kFloat32;
    bool saved = false, wrapped = false;
  };

  uint32_t read_bits() const {  // by the partials that are wanted
    uint32_t bits = 0;
    for (int k = 0; k < p_.partials; ++k) {
      if (next[static_cast<size_t>(p_.input_of(k))]) bits |= p_.reads[k];
    }
    return bits;
  }

  const Op& op_;
  const Pointwise& p_;
  Input inputs_[kMaxInputs];
  Value attributes_[kMaxAttributes];
  SavedTensor result_;
  bool result_saved_ = false, freed_ = false;
};

}  // namespace

void record_pointwise(Call& c) {
  bool inplace = c.form == form::kInplace;
  auto node = make_ptr<PointwiseNode>(c.op);
  bool wanted = node->connect(c.args);
  if (wanted) node->keep(c.args, inplace ? c.out : nullptr);
  {
    Without off(key::kGrad);
    invoke(c);
  }
  const Tensor& y = c.results[0].tensor();
  if (!wanted || !is_differentiable(y.dtype())) return;
  note_forward_trace(*node);
  node->results.push_back({y.sizes(), y.dtype(), y.device()});
  node->keep_result(y);
  if (inplace) rebase_history(*c.out, node);
  else set_history(y, node, 0);
}

}  // namespace ember
