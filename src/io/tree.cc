// Building nodes, and the one walk that may not assume that the graph is shallow or free of cycles.
#include "io/tree.h"

#include <algorithm>

#include "base/error.h"

namespace ember::io {

const Node* Node::find(std::string_view key) const {
  if (!is_dict()) return nullptr;
  for (size_t i = items.size(); i >= 2; i -= 2)  // from the end: a key given twice has its last value
    if (items[i - 2]->kind == Kind::kString && items[i - 2]->text == key) return items[i - 1];
  return nullptr;
}

Node* Tree::add(Kind kind, std::string text) {
  Node* node = add(kind);
  node->text = std::move(text);
  return node;
}

Node* Tree::add(Kind kind, std::vector<Node*> items) {
  Node* node = add(kind);
  node->items = std::move(items);
  return node;
}

Node* Tree::add_int(int64_t value, Kind kind) {
  Node* node = add(kind);
  node->integer = value;
  return node;
}

Node* Tree::add_float(double real, double imag, Kind kind) {
  Node* node = add(kind);
  node->real = real, node->imag = imag;
  return node;
}

Node* Tree::add_tensor(TensorRef tensor) {
  Node* node = add(Kind::kTensor);
  node->tensor = std::make_unique<TensorRef>(std::move(tensor));
  return node;
}

void Tree::check_depth(int limit) {
  for (Node& node : nodes_) node.depth = 0;
  constexpr int32_t kOpen = -1;
  struct Step {
    Node* node;
    size_t next = 0;
    int32_t below = 0;
  };
  std::vector<Step> path{{root}};
  root->depth = kOpen;
  while (!path.empty()) {
    Step& step = path.back();
    size_t children = step.node->items.size() + (step.node->state != nullptr);
    if (step.next == children) {
      step.node->depth = step.below + 1;
      int32_t depth = step.node->depth;
      path.pop_back();
      if (!path.empty()) path.back().below = std::max(path.back().below, depth);
      continue;
    }
    size_t i = step.next++;
    Node* child = i < step.node->items.size() ? step.node->items[i] : step.node->state;
    EMBER_CHECK_VALUE(child->depth != kOpen, "checkpoint: a container holds itself, which is not supported");
    if (child->depth > 0) {
      step.below = std::max(step.below, child->depth);
    } else {
      child->depth = kOpen;
      path.push_back({child});
    }
    EMBER_CHECK_VALUE(static_cast<int64_t>(path.size()) <= limit && path.back().below < limit,
                      "checkpoint: nested deeper than ", limit, " levels");
  }
}

}  // namespace ember::io
