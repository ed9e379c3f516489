// Containers: Sequential runs its modules one after the other, ModuleList only holds them.
//   nn::Sequential net{nn::Linear(8, 32), nn::GELU(), nn::Linear(32, 1)};
// In braces C++ makes the modules from left to right, so that weights are drawn in Python's order; in parentheses it
// need not. A Sequential that is given alone is moved, not nested: push_back nests it.
#pragma once

#include <string>
#include <utility>

#include "nn/module.h"

namespace ember::nn {

// Modules named "0", "1", ...
class EMBER_API ModuleSequence : public Module {
 public:
  // A module by value, or one that is shared: a Child or std::shared_ptr.
  template <class M>
  auto push_back(M&& module) {
    return register_module(std::to_string(size()), std::forward<M>(module));
  }
  size_t size() const { return named_children().size(); }
  Module& operator[](size_t i) const;  // IndexError outside
  template <class T>
  T& at(size_t i) const {
    auto* module = dynamic_cast<T*>(&(*this)[i]);
    EMBER_CHECK_TYPE(module, name(), ".at(", i, "): the module is a ", (*this)[i].name());
    return *module;
  }
};

class EMBER_API Sequential : public ModuleSequence {
 public:
  Sequential() = default;
  template <class First, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<First>, Sequential> ||
           sizeof...(Rest) > 0) explicit Sequential(First&& first, Rest&&... rest) {
    push_back(std::forward<First>(first));
    (push_back(std::forward<Rest>(rest)), ...);
  }
  Tensor forward(const Tensor& input) override;
};

class EMBER_API ModuleList : public ModuleSequence {
 public:
  std::string repr() const override;  // neighbours that print alike become one line: (0-2): 3 x ...
};

}  // namespace ember::nn
