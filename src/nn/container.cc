// Containers of modules.
#include "nn/container.h"

namespace ember::nn {

Module& ModuleSequence::operator[](size_t i) const {
  EMBER_CHECK_INDEX(i < size(), "index ", i, " is out of range");
  return *named_children()[i].second;
}

Tensor Sequential::forward(const Tensor& input) {
  Tensor x = input;
  for (auto& [name, module] : named_children()) x = (*module)(x);
  return x;
}

std::string ModuleList::repr() const {
  std::string out = name() + "(";
  for (size_t i = 0, end = i; i < size(); i = end) {
    std::string text = (*this)[i].repr();
    for (end = i + 1; end < size() && (*this)[end].repr() == text;) ++end;
    std::string label = end - i == 1 ? str("(", i, "): ") : str("(", i, "-", end - 1, "): ", end - i, " x ");
    out += "\n  " + label + indent(text);
  }
  return out + (size() ? "\n)" : ")");
}

}  // namespace ember::nn
