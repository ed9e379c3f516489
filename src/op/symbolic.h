// Sym: a symbol that records the expression it goes through as a graph of nodes, equal nodes once.
// A pointwise rule read with Sym tells what it computes: which inputs a partial reads, and the text of a kernel for a
// device whose compiler runs at run time (kernel/gpu).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/export.h"
#include "op/vocabulary.h"

namespace ember {

struct SymNode {
  enum Kind : uint8_t { kInput, kAttribute, kLiteral, kCall } kind = kInput;
  bool mask = false;           // a truth value
  bool imaginary = false;      // of an input or attribute: the second of a complex number's two parts
  std::string_view call = {};  // a name of the vocabulary, or an operator: "+", "<", "select"
  int args[3] = {-1, -1, -1};
  int index = 0;  // of the input (0: g, 1 + i: input i, 1 + inputs: the result) or attribute
  double literal = 0;
  friend bool operator==(const SymNode&, const SymNode&) = default;
};

class EMBER_API SymGraph {
 public:
  std::vector<SymNode> nodes;  // in order: a node's arguments stand before it
  int add(const SymNode& node);
  // Bit i: input i is reached from root.
  uint32_t reads(int root) const;
};

// What an expression computes: one node, or two of a complex number.
struct SymRoots {
  int re = -1, im = -1;
  bool complex() const { return im >= 0; }
};

// The graph that Sym records into on this thread.
class EMBER_API SymScope {
 public:
  explicit SymScope(SymGraph& graph);
  ~SymScope();

 private:
  SymGraph* before_;
};

struct EMBER_API Sym {
  int id = -1;
  Sym(double literal);
  Sym(int literal) : Sym(static_cast<double>(literal)) {}
  static Sym node(int id) {
    Sym s;
    s.id = id;
    return s;
  }
  static Sym input(int index, bool mask = false, bool imaginary = false);
  static Sym attribute(int index, bool imaginary = false);

 private:
  Sym() = default;
};
EMBER_API Sym sym_call(std::string_view name, bool mask, Sym a, Sym b = Sym::node(-1), Sym c = Sym::node(-1));
EMBER_API bool is_mask(Sym s);

#define EMBER_SYM_UNARY(name) \
  inline Sym name(Sym x) { return sym_call(#name, false, x); }
#define EMBER_SYM_TEST(name) \
  inline Sym name(Sym x) { return sym_call(#name, true, x); }
#define EMBER_SYM_BINARY(name) \
  inline Sym name(Sym x, Sym y) { return sym_call(#name, false, x, y); }
EMBER_UNARY_WORDS(EMBER_SYM_UNARY)
EMBER_TEST_WORDS(EMBER_SYM_TEST)
EMBER_BINARY_WORDS(EMBER_SYM_BINARY)
#undef EMBER_SYM_UNARY
#undef EMBER_SYM_TEST
#undef EMBER_SYM_BINARY
inline Sym fma(Sym x, Sym y, Sym z) { return sym_call("fma", false, x, y, z); }
inline Sym select(Sym c, Sym x, Sym y) { return sym_call("select", is_mask(x) && is_mask(y), c, x, y); }

#define EMBER_SYM_OPERATOR(op, mask) \
  inline Sym operator op(Sym x, Sym y) { return sym_call(#op, mask, x, y); }
EMBER_SYM_OPERATOR(+, false)
EMBER_SYM_OPERATOR(-, false)
EMBER_SYM_OPERATOR(*, false)
EMBER_SYM_OPERATOR(/, false)
EMBER_SYM_OPERATOR(%, false)
EMBER_SYM_OPERATOR(<<, false)
EMBER_SYM_OPERATOR(>>, false)
EMBER_SYM_OPERATOR(<, true)
EMBER_SYM_OPERATOR(<=, true)
EMBER_SYM_OPERATOR(>, true)
EMBER_SYM_OPERATOR(>=, true)
EMBER_SYM_OPERATOR(==, true)
EMBER_SYM_OPERATOR(!=, true)
EMBER_SYM_OPERATOR(&, is_mask(x) && is_mask(y))
EMBER_SYM_OPERATOR(|, is_mask(x) && is_mask(y))
EMBER_SYM_OPERATOR(^, is_mask(x) && is_mask(y))
#undef EMBER_SYM_OPERATOR
inline Sym operator-(Sym x) { return sym_call("neg", false, x); }
inline Sym operator!(Sym x) { return sym_call("!", true, x); }
inline Sym operator~(Sym x) { return sym_call("~", is_mask(x), x); }

}  // namespace ember
