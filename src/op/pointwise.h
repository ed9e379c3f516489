// Pointwise ops: one generic expression, three readers.
// A family's file (op/family/pointwise_*.cc) holds structs with
//   static auto eval(auto x, auto y, auto alpha)          the tensor arguments, then the numbers (attributes)
//   static auto d_self(auto g, auto x, auto y, [auto result,] auto alpha)
// and is compiled once for the table (EMBER_ISA not defined: Sym and Tensor read it) and once per instruction set
// (vectors read it: the tiles). d_self, d_other, d_third are the partials of the first, second and third tensor that
// is not a mask.
#pragma once

#include "op/op.h"
#include "op/pointwise_traits.h"
#include "op/symbolic.h"

namespace ember {

constexpr DType storage_dtype(Compute c) {
  constexpr DType table[] = {DType::kFloat32, DType::kFloat64,   DType::kInt64,     DType::kUInt64,
                             DType::kBool,    DType::kComplex64, DType::kComplex128};
  return table[static_cast<int>(c)];
}

struct Pointwise {
  int inputs = 0, attributes = 0;
  uint32_t mask_inputs = 0;  // bit i: input i is a condition
  uint32_t types = 0;
  bool divides = false;  // input 0 by input 1: of integers, 0 is refused
  Promote promote = Promote::kSame;
  int partials = 0;                     // how many of d_self, d_other, d_third there are
  uint32_t reads[3] = {};               // bit 0: g; bit 1 + i: input i; bit 1 + inputs: the result
  const PointwiseTiles* tiles[3] = {};  // by Isa
  // By dtype: the tile that runs on dense operands of that dtype as they are, or null; and its result's dtype.
  struct Direct {
    TileFunction tile = nullptr;
    DType result = DType::kBool;
  };
  Direct direct[kNumDTypes];
  // Symbolic form: which = -1 forward, else a partial; returns the root node.
  int (*trace)(SymGraph& graph, int which) = nullptr;
  // The same of complex numbers, as two real expressions; null where the op has no complex type. A partial that does
  // not exist (the op is not holomorphic) has no roots.
  SymRoots (*trace_complex)(SymGraph& graph, int which) = nullptr;
  // Differentiable form of a partial; x: the inputs.
  Tensor (*tensor_partial)(int which, const Tensor& g, const Value* args, const Tensor& y) = nullptr;

  // The input that partial `which` belongs to.
  int input_of(int which) const {
    for (int i = 0;; ++i) {
      if (!(mask_inputs >> i & 1) && which-- == 0) return i;
    }
  }
};

// The dtype computed in and the result's dtype of a call; raises when the op has no such type.
struct PointwiseTypes {
  DType common;  // operands are promoted to this
  Compute compute;
  DType result;
};
EMBER_API PointwiseTypes pointwise_types(const Op& op, const Value* args);
EMBER_API void prepare(Pointwise& p);  // fills `direct` for this machine
EMBER_API Meta pointwise_infer(const Op& op, const Value* args);
// The common case, dense operands of one dtype and Python's numbers, without more ado; undefined when it is not that.
EMBER_API Tensor pointwise_fast(const Op& op, const Value* args);
EMBER_API void pointwise_run(const Op& op, const Value* args, const Tensor& out);
// Partial `which` in one fused pass: shaped as g, in dtype `to`. What the partial does not read may be undefined.
EMBER_API Tensor pointwise_partial(const Op& op, int which, const Tensor& g, const Value* args, const Tensor& y,
                                   DType to);
// The dtype that type promotion gives some tensors (dimensioned, then 0-dim, then Python's numbers).
EMBER_API DType result_type(Span<Tensor> tensors);

}  // namespace ember
