// The families, listed by hand: registration objects would be dropped by linkers, and a small runtime picks its own.
#include <algorithm>
#include <unordered_map>

#include "op/make.h"

namespace ember {

using Family = std::vector<std::unique_ptr<Op>>;
#define EMBER_FAMILIES(M) \
  M(pointwise_arithmetic) \
  M(pointwise_math) \
  M(pointwise_compare) \
  M(pointwise_activation) \
  M(pointwise_logic) \
  M(pointwise_loss) \
  M(creation_ops) \
  M(copy_ops) \
  M(view_ops) \
  M(view_composite_ops) \
  M(random_ops) \
  M(matmul_ops) \
  M(optimizer_ops) \
  M(creation_composite_ops) \
  M(complex_ops) \
  M(shape_ops) \
  M(repeat_ops) \
  M(pad_ops) \
  M(resample_ops) \
  M(reductions) \
  M(statistics) \
  M(scans) \
  M(dropout_ops) \
  M(softmax_ops) \
  M(conv_ops) \
  M(pool_ops) \
  M(index_ops) \
  M(embedding_ops) \
  M(sort_ops) \
  M(special_ops) \
  M(norm_ops) \
  M(attention_ops) \
  M(loss_ops) \
  M(loss_elementwise_ops) \
  M(composite_math_ops) \
  M(distance_ops) \
  M(contract_ops) \
  M(grid_ops) \
  M(ctc_ops)
#define EMBER_DECLARE(family) Family family();
EMBER_FAMILIES(EMBER_DECLARE)
#undef EMBER_DECLARE

namespace {

struct Registry {
  std::vector<std::unique_ptr<Op>> ops;
  std::unordered_map<std::string_view, const Op*> by_name;

  void add(Family family) {
    for (auto& op : family) {
      Schema& s = op->schema;
      static std::vector<std::unique_ptr<std::string>> names;
      names.push_back(std::make_unique<std::string>(s.overload.empty() ? s.name : s.name + "." + s.overload));
      if (!by_name.emplace(*names.back(), op.get()).second) EMBER_FAIL("op '", *names.back(), "' is registered twice");
      ops.push_back(std::move(op));
    }
  }
  Registry() {
#define EMBER_ADD(family) add(family());
    EMBER_FAMILIES(EMBER_ADD)
#undef EMBER_ADD
  }
};

Registry& registry() {
  static Registry* const r = new Registry;  // never destroyed: tensors may outlive static destruction
  return *r;
}

}  // namespace

const std::vector<std::unique_ptr<Op>>& all_ops() { return registry().ops; }

const Op* find_op(std::string_view full_name) {
  auto found = registry().by_name.find(full_name);
  EMBER_CHECK(found != registry().by_name.end(), "there is no op named '", full_name, "'");
  return found->second;
}

void register_ops(Family family) { registry().add(std::move(family)); }

void detail::signature_mismatch(const Schema& schema, std::string_view rule, int position) {
  if (position < 0) EMBER_FAIL(schema.name, ": rule `", rule, "` has another number of parameters than ", schema.text);
  EMBER_FAIL(schema.name, ": rule `", rule, "`, parameter ", position, " does not fit argument '",
             schema.args[static_cast<size_t>(position)].name, "' of ", schema.text);
}

}  // namespace ember
