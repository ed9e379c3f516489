// The table's reader: entries of a pointwise family, their symbolic and their differentiable forms.
#pragma once

#include "kernel/cpu/complex.h"
#include "op/make.h"
#include "op/pointwise.h"
#include "op/tensor_words.h"

namespace ember::pointwise {

template <int i>
using At = std::integral_constant<int, i>;  // an index whose value a reader may take a type from

template <class T, class X, int... I, int... J>
auto evaluate(X&& x, detail::Ints<I...>, detail::Ints<J...>) {
  return T::eval(x.input(At<I>{})..., x.attribute(J)...);
}

template <class T, int which, class X, int... I, int... J>
auto differentiate(X&& x, detail::Ints<I...>, detail::Ints<J...>) {
  auto g = x.g();
  if constexpr (detail::takes<T, which, decltype(g), decltype(x.input(At<I>{}))..., decltype(g),
                              decltype(x.attribute(J))...>)
    return detail::partial<T, which>(g, x.input(At<I>{})..., x.result(), x.attribute(J)...);
  else return detail::partial<T, which>(g, x.input(At<I>{})..., x.attribute(J)...);
}

template <class T, int which, int... I, int... J>
consteval bool has_partial(detail::Ints<I...>, detail::Ints<J...>) {
  return detail::takes<T, which, Sym, decltype((void(I), Sym(0)))..., decltype((void(J), Sym(0)))...> ||
         detail::takes<T, which, Sym, decltype((void(I), Sym(0)))..., Sym, decltype((void(J), Sym(0)))...>;
}

template <class T>
struct SymReader {
  Sym g() const { return Sym::input(0); }
  Sym input(int i) const { return Sym::input(1 + i, detail::mask_inputs<T>() >> i & 1); }
  Sym result() const { return Sym::input(1 + detail::kInputs<T>); }
  Sym attribute(int j) const { return Sym::attribute(j); }
};

// Complex numbers as pairs of symbols, through the complex functions that vectors take too. Partials read the inputs
// conjugated, as vjp wants them.
template <class T>
struct ComplexSymReader {
  bool conjugated;
  static Cx<Sym> whole(int index) { return {Sym::input(index), Sym::input(index, false, true)}; }
  Cx<Sym> g() const { return whole(0); }
  auto input(auto i) const {
    if constexpr (detail::mask_inputs<T>() >> i.value & 1) return Sym::input(1 + i.value, true);
    else return conjugated ? conj(whole(1 + i.value)) : whole(1 + i.value);
  }
  Cx<Sym> result() const { return conj(whole(1 + detail::kInputs<T>)); }
  Cx<Sym> attribute(int j) const { return {Sym::attribute(j), Sym::attribute(j, true)}; }
};

// Arguments by schema position: the tensors stand before the numbers. Conjugated as vjp wants it.
struct TensorReader {
  const Tensor& gradient;
  const Value* args;
  const Tensor& y;
  int inputs;
  Tensor g() const { return gradient; }
  Tensor input(int i) const { return conjugate(args[i].tensor()); }
  Tensor result() const { return conjugate(y); }
  Tensor attribute(int j) const { return Tensor(args[inputs + j].scalar()); }
  static Tensor conjugate(const Tensor& x) { return x.defined() && is_complex(x.dtype()) ? conj(x) : x; }
};

template <class T>
int trace(SymGraph& graph, int which) {
  using Inputs = detail::Up<detail::kInputs<T>>;
  using Attributes = detail::Up<detail::kAttributes<T>>;
  SymScope scope(graph);
  SymReader<T> x;
  if (which < 0) return evaluate<T>(x, Inputs{}, Attributes{}).id;
  if constexpr (has_partial<T, 0>(Inputs{}, Attributes{})) {
    if (which == 0) return Sym(differentiate<T, 0>(x, Inputs{}, Attributes{})).id;
  }
  if constexpr (has_partial<T, 1>(Inputs{}, Attributes{})) {
    if (which == 1) return Sym(differentiate<T, 1>(x, Inputs{}, Attributes{})).id;
  }
  if constexpr (has_partial<T, 2>(Inputs{}, Attributes{})) {
    if (which == 2) return Sym(differentiate<T, 2>(x, Inputs{}, Attributes{})).id;
  }
  return -1;
}

inline SymRoots roots(Sym s) { return {s.id}; }
inline SymRoots roots(Cx<Sym> z) { return {z.re.id, z.im.id}; }

template <class T>
SymRoots trace_complex(SymGraph& graph, int which) {
  using Inputs = detail::Up<detail::kInputs<T>>;
  using Attributes = detail::Up<detail::kAttributes<T>>;
  SymScope scope(graph);
  ComplexSymReader<T> x{which >= 0};
  if (which < 0) return roots(evaluate<T>(x, Inputs{}, Attributes{}));
  if constexpr (std::is_same_v<decltype(evaluate<T>(x, Inputs{}, Attributes{})), Cx<Sym>>) {
    if constexpr (has_partial<T, 0>(Inputs{}, Attributes{})) {
      if (which == 0) return roots(Cx<Sym>(differentiate<T, 0>(x, Inputs{}, Attributes{})));
    }
    if constexpr (has_partial<T, 1>(Inputs{}, Attributes{})) {
      if (which == 1) return roots(Cx<Sym>(differentiate<T, 1>(x, Inputs{}, Attributes{})));
    }
    if constexpr (has_partial<T, 2>(Inputs{}, Attributes{})) {
      if (which == 2) return roots(Cx<Sym>(differentiate<T, 2>(x, Inputs{}, Attributes{})));
    }
  }
  return {};
}

template <class T>
Tensor tensor_partial(int which, const Tensor& g, const Value* args, const Tensor& y) {
  using Inputs = detail::Up<detail::kInputs<T>>;
  using Attributes = detail::Up<detail::kAttributes<T>>;
  TensorReader x{g, args, y, detail::kInputs<T>};
  if constexpr (has_partial<T, 0>(Inputs{}, Attributes{})) {
    if (which == 0) return differentiate<T, 0>(x, Inputs{}, Attributes{});
  }
  if constexpr (has_partial<T, 1>(Inputs{}, Attributes{})) {
    if (which == 1) return differentiate<T, 1>(x, Inputs{}, Attributes{});
  }
  if constexpr (has_partial<T, 2>(Inputs{}, Attributes{})) {
    if (which == 2) return differentiate<T, 2>(x, Inputs{}, Attributes{});
  }
  return {};
}

template <class T>
std::unique_ptr<Op> make_pointwise(const PointwiseTiles* baseline, const PointwiseTiles* avx2,
                                   const PointwiseTiles* avx512) {
  using Inputs = detail::Up<detail::kInputs<T>>;
  using Attributes = detail::Up<detail::kAttributes<T>>;
  auto op = std::unique_ptr<Op>(new Op{Schema(T::schema)});
  op->doc = T::doc;
  op->kind = Kind::kPointwise;
  if constexpr (requires { T::forms; }) op->forms = T::forms;
  else op->forms = form::kAll;
  auto p = std::make_unique<Pointwise>();
  p->inputs = detail::kInputs<T>;
  p->attributes = detail::kAttributes<T>;
  p->mask_inputs = detail::mask_inputs<T>();
  p->types = T::types;
  if constexpr (requires { T::divides; }) p->divides = T::divides;
  p->promote = detail::promotion<T>();
  if constexpr ((T::types & types::kFloat) != 0) {
    p->partials = has_partial<T, 2>(Inputs{}, Attributes{})   ? 3
                  : has_partial<T, 1>(Inputs{}, Attributes{}) ? 2
                                                              : has_partial<T, 0>(Inputs{}, Attributes{});
  }
  p->tiles[0] = baseline, p->tiles[1] = avx2, p->tiles[2] = avx512;
  prepare(*p);
  p->trace = trace<T>;
  if constexpr ((T::types & types::kComplex) != 0) p->trace_complex = trace_complex<T>;
  for (int k = 0; k < p->partials; ++k) {
    SymGraph graph;
    p->reads[k] = graph.reads(p->trace(graph, k));
  }
  p->tensor_partial = tensor_partial<T>;
  if constexpr (requires { &T::vjp; }) {  // for types whose partials are not enough: complex and not holomorphic
    detail::Vjp<&T::vjp>::check(op->schema, "vjp");
    op->vjp = detail::Vjp<&T::vjp>::run;
    op->saves.inputs = (1u << detail::kInputs<T>)-1;
  }
  op->pointwise = p.release();  // lives as long as the table
  return op;
}

template <class... T>
std::vector<std::unique_ptr<Op>> make_family(const PointwiseTiles* baseline, const PointwiseTiles* avx2,
                                             const PointwiseTiles* avx512) {
  std::vector<std::unique_ptr<Op>> family;
  int i = 0;
  auto at = [&](const PointwiseTiles* tiles) { return tiles ? tiles + i : nullptr; };
  (void)((family.push_back(make_pointwise<T>(at(baseline), at(avx2), at(avx512))), ++i), ...);
  return family;
}

}  // namespace ember::pointwise
