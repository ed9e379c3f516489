// Writing kernel texts from recorded expressions.
#include "op/gpu_source.h"

#include "op/gpu_expression.h"

namespace ember {
namespace {

using gpu::Dialect;

struct Traced {
  SymGraph graph;
  SymRoots roots;
  uint32_t reads = 0;
};

Traced trace(const Op& op, int which, Compute compute) {
  Traced t;
  const Pointwise& p = *op.pointwise;
  if (complex_compute(compute)) t.roots = p.trace_complex(t.graph, which);
  else t.roots.re = p.trace(t.graph, which);
  if (t.roots.re >= 0) t.reads = t.graph.reads(t.roots.re);
  if (t.roots.im >= 0) t.reads |= t.graph.reads(t.roots.im);
  return t;
}

// An operand's place in the text: in0 is g, in1 the first input, and so on.
std::string operand_name(int i) { return str("in", i); }

class Writer {
 public:
  Writer(const PointwiseKernel& kernel, Traced traced)
      : k_(kernel), t_(std::move(traced)), lane_(lane_name(kernel.compute)), index_(kernel.wide ? "i64" : "i32") {}

  KernelText write() {
    signature();
    position();
    loads();
    store();
    out_ += "}\n";
    return {std::move(out_), t_.reads};
  }

 private:
  template <class... P>
  void line(const P&... parts) {
    (append(out_, parts), ...);
    out_ += '\n';
  }

  DType stored(int i) const {
    if (!k_.dtypes.empty()) return k_.dtypes[static_cast<size_t>(i)];
    const bool mask = i > 0 && (k_.op->pointwise->mask_inputs >> (i - 1) & 1);
    return mask ? DType::kBool : storage_dtype(k_.compute);
  }
  int operands() const { return k_.op->pointwise->inputs + 2; }
  bool reads(int i) const { return t_.reads >> i & 1; }

  void geometry(std::string_view name) {
    append(out_, str(", const ", index_, " ", name, "_at"));
    for (int d = 0; d < k_.rank; ++d) append(out_, str(", const ", index_, " ", name, "_s", d));
    out_ += ",\n    ";
  }
  void signature() {
    append(out_, str("KERNEL ", k_.name(), "(\n    "));
    for (int i = 0; i < operands(); ++i) {
      if (!reads(i)) continue;
      append(out_, str("GLOBAL const ", stored_name(stored(i)), "* ", operand_name(i)));
      geometry(operand_name(i));
    }
    append(out_, str("GLOBAL ", stored_name(k_.out), "* out"));
    geometry("out");
    for (int d = 0; d < k_.rank; ++d) append(out_, str("const ", index_, " size", d, ", "));
    append(out_, str("const ", index_, " count"));
    for (int j = 0; j < k_.op->pointwise->attributes; ++j) {
      append(out_, str(", const ", lane_, " a", j));
      if (complex_compute(k_.compute)) append(out_, str(", const ", lane_, " a", j, "_im"));
    }
    out_ += ") {\n";
  }

  // The element's coordinates, and from them each operand's index.
  void position() {
    line("  const ", index_, " i = (", index_, ")ELEMENT;");
    line("  if (i >= count) return;");
    if (k_.rank > 0) line("  ", index_, " rest = i;");
    for (int d = k_.rank - 1; d > 0; --d)
      line("  const ", index_, " c", d, " = rest % size", d, "; rest /= size", d, ";");
    if (k_.rank > 0) line("  const ", index_, " c0 = rest;");
    for (int i = 0; i < operands(); ++i) {
      if (reads(i)) place(operand_name(i));
    }
    place("out");
  }
  void place(std::string_view name) {
    append(out_, str("  const ", index_, " ", name, "_i = ", name, "_at"));
    if (k_.rank == 0) out_ += " + i";
    for (int d = 0; d < k_.rank; ++d) append(out_, str(" + c", d, " * ", name, "_s", d));
    out_ += ";\n";
  }

  void loads() {
    for (int i = 0; i < operands(); ++i) {
      if (!reads(i)) continue;
      const std::string n = operand_name(i), index = n + "_i", at = str(n, "[", index, "]");
      const DType d = stored(i);
      if (i > 0 && i <= k_.op->pointwise->inputs && (k_.op->pointwise->mask_inputs >> (i - 1) & 1)) {
        line("  const bool x", i, " = ", at, " != 0;");
      } else if (complex_compute(k_.compute)) {
        const bool whole = is_complex(d);
        line("  const ", lane_, " x", i, " = (", lane_, ")", whole ? at + ".re" : load_text(d, n, index), ";");
        line("  const ", lane_, " x", i, "_im = ", whole ? str("(", lane_, ")", at, ".im") : std::string("0"), ";");
      } else {
        line("  const ", lane_, " x", i, " = (", lane_, ")", load_text(d, n, index), ";");
      }
    }
  }
  void store() {
    const Expression e(t_.graph, k_.compute);
    out_ += e.temporaries({t_.roots.re, t_.roots.im});
    const std::string v = e.use(t_.roots.re);
    if (!is_complex(k_.out)) {
      out_ += "  " + store_text(k_.out, "out", "out_i", v, e.mask(t_.roots.re));
      return;
    }
    const std::string_view part = k_.out == DType::kComplex64 ? "f32" : "f64";
    line("  out[out_i].re = (", part, ")", v, ";");
    line("  out[out_i].im = ", t_.roots.complex() ? str("(", part, ")", e.use(t_.roots.im)) : std::string("0"), ";");
  }

  const PointwiseKernel& k_;
  Traced t_;
  std::string_view lane_, index_;
  std::string out_;
};

}  // namespace

std::string PointwiseKernel::name() const {
  std::string n = str("k_", op->name());
  for (char& c : n) {
    if (c == '.') c = '_';
  }
  constexpr std::string_view computes[] = {"f32", "f64", "i64", "u64", "bool", "c64", "c128"};
  n += str("_", computes[static_cast<int>(compute)]);
  if (which >= 0) n += str("_d", which);
  if (rank > 0) n += str("_r", rank);
  if (wide) n += "_wide";
  for (DType d : dtypes) (n += '_') += ember::name(d);
  if (!dtypes.empty()) (n += "_to_") += ember::name(out);
  return n;
}

bool has_kernel(const Op& op, int which, Compute compute) {
  const Pointwise* p = op.pointwise;
  if (!p || !(p->types >> static_cast<int>(compute) & 1) || which >= p->partials) return false;
  if (which >= 0 && !float_compute(compute)) return false;
  return trace(op, which, compute).roots.re >= 0;
}

DType kernel_result(const Op& op, int which, Compute compute) {
  const Traced t = trace(op, which, compute);
  const DType d = storage_dtype(compute);
  if (t.graph.nodes[static_cast<size_t>(t.roots.re)].mask) return DType::kBool;
  return is_complex(d) && !t.roots.complex() ? real_of(d) : d;
}

KernelText write_kernel(const PointwiseKernel& kernel) {
  EMBER_CHECK(has_kernel(*kernel.op, kernel.which, kernel.compute), kernel.op->name(),
              ": has no such kernel: ", kernel.which < 0 ? std::string("forward") : str("partial ", kernel.which),
              " in ", storage_dtype(kernel.compute));
  return Writer(kernel, trace(*kernel.op, kernel.which, kernel.compute)).write();
}

std::string pointwise_source(const Op& op, int which, Compute compute, Dialect dialect) {
  PointwiseKernel k{&op, which, compute};
  const bool exists = has_kernel(op, which, compute);
  k.out = exists ? kernel_result(op, which, compute) : k.out;
  std::string text = gpu::prelude(dialect) + write_kernel(k).text;
  k.rank = 2;
  return text + write_kernel(k).text;
}

}  // namespace ember
