// Expressions as text: recorded nodes become lines of C, each node one temporary, in the words of a dialect's prelude.
// Shared by the writers of kernels; knows nothing of operands and loops.
#pragma once

#include <initializer_list>
#include <string>

#include "op/pointwise.h"

namespace ember {

constexpr bool complex_compute(Compute c) { return c == Compute::kC64 || c == Compute::kC128; }
constexpr bool float_compute(Compute c) { return c != Compute::kI64 && c != Compute::kU64 && c != Compute::kBool; }
std::string_view lane_name(Compute c);  // the type of temporaries, which is also the suffix of the prelude's functions
std::string_view stored_name(DType d);  // the type that a dtype has in memory

// Inputs are called x0, x1 ..., attributes a0, a1 ..., their imaginary parts x0_im, and temporaries t0, t1 ...
class Expression {
 public:
  Expression(const SymGraph& graph, Compute compute) : graph_(graph), compute_(compute), lane_(lane_name(compute)) {}
  std::string temporaries(std::initializer_list<int> roots) const;  // the lines that compute these nodes
  std::string use(int id) const;                                    // how a node is named after those lines
  bool mask(int id) const { return graph_.nodes[static_cast<size_t>(id)].mask; }

 private:
  std::string literal(double value) const;
  std::string call(const SymNode& n) const;
  std::string float_call(const SymNode& n, const std::string& a, const std::string& b) const;
  std::string integer_call(std::string_view w, const std::string& a, const std::string& b) const;

  const SymGraph& graph_;
  Compute compute_;
  std::string_view lane_;
};

// Text that loads the element `at` of buffer `name` as a real number, and a statement that stores `value` there.
std::string load_text(DType d, std::string_view name, std::string_view at);
std::string store_text(DType d, std::string_view name, std::string_view at, const std::string& value, bool mask);

}  // namespace ember
