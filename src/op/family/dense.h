// What the families over whole matrices, images and rows share: memory in row-major order for kernels, the question
// whether a backward pass must itself be differentiable, and checks in PyTorch's words.
// Nothing here is an op: it is called below the interpreters, or composes ops that are declared in op/ops.h.
#pragma once

#include "kernel/cpu/elementwise.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {

// x in row-major order (and in `dtype`): x itself where it is so already.
inline Tensor dense(const Tensor& x, DType dtype) {
  if (!x.defined() || (x.is_contiguous() && x.dtype() == dtype)) return x;
  Tensor copy = empty_raw(x.sizes(), dtype, x.device());
  cpu::copy(copy, x);
  return copy;
}
inline Tensor dense(const Tensor& x) { return x.defined() ? dense(x, x.dtype()) : x; }
inline const void* data_or_null(const Tensor& x) { return x.defined() ? x.data() : nullptr; }

// Calls fill(destination) with y, or with row-major memory that is copied to y afterwards.
template <class F>
void fill_dense(const Tensor& y, F fill) {
  if (y.is_contiguous()) return fill(y);
  Tensor beside = empty_raw(y.sizes(), y.dtype(), y.device());
  fill(beside);
  cpu::copy(y, beside);
}

// Must the gradients that a vjp makes carry a graph of their own (create_graph, an outer transform, no data)? Then it
// composes them of ordinary ops from its inputs; else it may call a fused kernel.
inline bool needs_graph(const Tensor& g) {
  return !(dispatch_state.off & key::kGrad) || dispatch_state.on || g.is_meta();
}

// Conjugate where that says anything.
inline Tensor conj_of(const Tensor& x) { return is_complex(x.dtype()) ? conj(x) : x; }
inline Scalar conj_of(const Scalar& s) { return s.is_complex() ? Scalar(std::conj(s.to<std::complex<double>>())) : s; }
inline Tensor adjoint_of(const Tensor& x) { return conj_of(transpose(x, -2, -1)); }
inline Tensor scaled(const Tensor& x, const Scalar& s) { return s == Scalar(1) ? x : mul(x, Tensor(s)); }

// A list argument that gives one number a dim, or one for all.
inline Dims per_dim(DimsView given, size_t n, std::string_view op, std::string_view what) {
  if (given.size() == 1 && n != 1) return Dims(n, given[0]);
  EMBER_CHECK(given.size() == n, op, ": expected ", what, " to be a single integer value or a list of ", n,
              " values to match the convolution dimensions, but got ", what, "=", given);
  return Dims(given);
}

// Types as PyTorch's messages spell them: Float, Long.
std::string_view type_word(DType d);
void check_floating(const Tensor& x, std::string_view op, std::string_view kernel);

}  // namespace ember
