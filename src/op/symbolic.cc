// Recording of symbols.
#include "op/symbolic.h"

#include <algorithm>

#include "base/error.h"

namespace ember {

static thread_local SymGraph* t_graph = nullptr;

SymScope::SymScope(SymGraph& graph) : before_(t_graph) { t_graph = &graph; }
SymScope::~SymScope() { t_graph = before_; }

int SymGraph::add(const SymNode& node) {
  auto found = std::find(nodes.begin(), nodes.end(), node);
  if (found != nodes.end()) return static_cast<int>(found - nodes.begin());
  nodes.push_back(node);
  return static_cast<int>(nodes.size()) - 1;
}

uint32_t SymGraph::reads(int root) const {
  std::vector<bool> live(nodes.size());
  live[static_cast<size_t>(root)] = true;
  uint32_t bits = 0;
  for (int i = root; i >= 0; --i) {
    if (!live[static_cast<size_t>(i)]) continue;
    const SymNode& n = nodes[static_cast<size_t>(i)];
    if (n.kind == SymNode::kInput) bits |= 1u << n.index;
    for (int a : n.args) {
      if (a >= 0) live[static_cast<size_t>(a)] = true;
    }
  }
  return bits;
}

Sym::Sym(double literal) : id(t_graph->add({.kind = SymNode::kLiteral, .literal = literal})) {}
Sym Sym::input(int index, bool mask, bool imaginary) {
  return node(t_graph->add({.kind = SymNode::kInput, .mask = mask, .imaginary = imaginary, .index = index}));
}
Sym Sym::attribute(int index, bool imaginary) {
  return node(t_graph->add({.kind = SymNode::kAttribute, .imaginary = imaginary, .index = index}));
}
Sym sym_call(std::string_view name, bool mask, Sym a, Sym b, Sym c) {
  return Sym::node(t_graph->add({.kind = SymNode::kCall, .mask = mask, .call = name, .args = {a.id, b.id, c.id}}));
}
bool is_mask(Sym s) { return t_graph->nodes[static_cast<size_t>(s.id)].mask; }

}  // namespace ember
