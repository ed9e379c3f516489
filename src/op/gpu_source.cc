// Writing kernel texts from recorded expressions.
#include "op/gpu_source.h"

#include <cmath>
#include <cstdio>

namespace ember {
namespace {

using gpu::Dialect;

constexpr bool complex_compute(Compute c) { return c == Compute::kC64 || c == Compute::kC128; }
constexpr bool float_compute(Compute c) { return c != Compute::kI64 && c != Compute::kU64 && c != Compute::kBool; }

// The type that the text's temporaries have, which is also the suffix of the prelude's functions.
std::string_view lane_name(Compute c) {
  constexpr std::string_view names[] = {"f32", "f64", "i64", "u64", "u8", "f32", "f64"};
  return names[static_cast<int>(c)];
}
// How a dtype is stored.
std::string_view stored_name(DType d) {
  switch (d) {
    case DType::kBool:
    case DType::kUInt8: return "u8";
    case DType::kInt8: return "i8";
    case DType::kUInt16:
    case DType::kFloat16:
    case DType::kBFloat16: return "u16";
    case DType::kInt16: return "i16";
    case DType::kUInt32: return "u32";
    case DType::kInt32: return "i32";
    case DType::kUInt64: return "u64";
    case DType::kInt64: return "i64";
    case DType::kFloat32: return "f32";
    case DType::kFloat64: return "f64";
    case DType::kComplex64: return "c64";
    case DType::kComplex128: return "c128";
  }
  __builtin_unreachable();
}

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
    body();
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
      const std::string n = operand_name(i), at = str(n, "[", n, "_i]");
      const DType d = stored(i);
      if (i > 0 && i <= k_.op->pointwise->inputs && (k_.op->pointwise->mask_inputs >> (i - 1) & 1)) {
        line("  const bool x", i, " = ", at, " != 0;");
      } else if (complex_compute(k_.compute)) {
        const bool whole = is_complex(d);
        line("  const ", lane_, " x", i, " = (", lane_, ")", whole ? at + ".re" : loaded(d, n, at), ";");
        line("  const ", lane_, " x", i, "_im = ", whole ? str("(", lane_, ")", at, ".im") : std::string("0"), ";");
      } else {
        line("  const ", lane_, " x", i, " = (", lane_, ")", loaded(d, n, at), ";");
      }
    }
  }
  std::string loaded(DType d, std::string_view name, const std::string& at) const {
    if (d == DType::kFloat16) return str("load_f16(", name, " + ", name, "_i)");
    if (d == DType::kBFloat16) return str("load_bf16(", name, " + ", name, "_i)");
    if (d == DType::kBool) return str("(", at, " != 0)");
    return at;
  }

  void body() {
    std::vector<bool> live(t_.graph.nodes.size());
    for (int root : {t_.roots.re, t_.roots.im}) {
      if (root >= 0) live[static_cast<size_t>(root)] = true;
    }
    for (size_t i = live.size(); i-- > 0;) {
      if (!live[i]) continue;
      for (int a : t_.graph.nodes[i].args) {
        if (a >= 0) live[static_cast<size_t>(a)] = true;
      }
    }
    for (size_t i = 0; i < live.size(); ++i) {
      const SymNode& n = t_.graph.nodes[i];
      if (!live[i] || n.kind != SymNode::kCall) continue;
      line("  const ", n.mask ? std::string_view("bool") : lane_, " t", static_cast<int>(i), " = ", call(n), ";");
    }
  }

  std::string use(int id) const {
    const SymNode& n = t_.graph.nodes[static_cast<size_t>(id)];
    switch (n.kind) {
      case SymNode::kInput: return str("x", n.index, n.imaginary ? "_im" : "");
      case SymNode::kAttribute: return str("a", n.index, n.imaginary ? "_im" : "");
      case SymNode::kLiteral: return literal(n.literal);
      default: return str("t", id);
    }
  }
  std::string literal(double value) const {
    if (std::isnan(value)) return str("(", lane_, ")NAN");
    if (std::isinf(value)) return str(value < 0 ? "-(" : "(", lane_, ")INFINITY");
    char digits[40];
    if (!float_compute(k_.compute)) {
      std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(value));
      return str("(", lane_, ")", value < 0 ? "(" : "", digits, value < 0 ? ")" : "");
    }
    const bool single = lane_ == "f32";
    std::snprintf(digits, sizeof digits, single ? "%.9g" : "%.17g", single ? static_cast<float>(value) : value);
    std::string s = digits;
    if (s.find_first_of(".e") == s.npos) s += ".0";
    if (single) s += 'f';
    return value < 0 || std::signbit(value) ? str("(", s, ")") : s;
  }

  std::string call(const SymNode& n) const {
    const std::string a = use(n.args[0]), b = n.args[1] < 0 ? "" : use(n.args[1]);
    const bool on_masks = t_.graph.nodes[static_cast<size_t>(n.args[0])].mask;
    const std::string_view w = n.call;
    if (w == "select") return str(a, " ? ", b, " : ", use(n.args[2]));
    if (w == "!") return str("!", a);
    if (w == "~") return str(on_masks ? "!" : "~", a);
    if (on_masks && w == "^") return str(a, " != ", b);
    if (on_masks && (w == "&" || w == "|")) return str(a, " ", w, w, " ", b);
    if (n.mask && (w == "<" || w == "<=" || w == ">" || w == ">=" || w == "==" || w == "!="))
      return str(a, " ", w, " ", b);
    if (w == "&" || w == "|" || w == "^") return str("(", lane_, ")(", a, " ", w, " ", b, ")");
    return float_compute(k_.compute) ? float_call(n, a, b) : integer_call(w, a, b);
  }

  std::string float_call(const SymNode& n, const std::string& a, const std::string& b) const {
    const std::string_view w = n.call;
    if (w == "+" || w == "-" || w == "*" || w == "/") return str(a, " ", w, " ", b);
    if (w == "neg") return str("-", a);
    if (w == "conj" || w == "real") return a;
    if (w == "imag") return literal(0);
    if (w == "rsqrt") return str(literal(1), " / sqrt(", a, ")");
    if (w == "abs") return str("fabs(", a, ")");
    if (w == "round") return str("rint(", a, ")");
    if (w == "fma") return str("fma(", a, ", ", b, ", ", use(n.args[2]), ")");
    if (w == "sgn") return str("sign_", lane_, "(", a, ")");
    std::string name(w);
    for (std::string_view own : {"min", "max", "sign", "isnan", "isinf", "isfinite", "signbit", "sigmoid", "remainder",
                                 "floor_div", "erfinv", "digamma", "tanh"}) {
      if (w == own) ((name += '_') += lane_);
    }
    return str(name, "(", a, b.empty() ? "" : ", ", b, ")");
  }

  std::string integer_call(std::string_view w, const std::string& a, const std::string& b) const {
    for (std::string_view nothing : {"floor", "ceil", "trunc", "round", "conj", "real"}) {
      if (w == nothing) return a;
    }
    if (w == "imag") return literal(0);
    constexpr std::string_view names[][2] = {{"+", "add"},    {"-", "sub"},   {"*", "mul"},  {"/", "div"},
                                             {"%", "fmod"},   {"<<", "shl"},  {">>", "shr"}, {"sgn", "sign"},
                                             {"fmin", "min"}, {"fmax", "max"}};
    for (auto& [from, to] : names) {
      if (w == from) w = to;
    }
    return str(w, "_", lane_, "(", a, b.empty() ? "" : ", ", b, ")");
  }

  void store() {
    const bool mask = t_.graph.nodes[static_cast<size_t>(t_.roots.re)].mask;
    const std::string v = use(t_.roots.re);
    if (is_complex(k_.out)) {
      const std::string_view part = k_.out == DType::kComplex64 ? "f32" : "f64";
      line("  out[out_i].re = (", part, ")", v, ";");
      line("  out[out_i].im = ", t_.roots.complex() ? str("(", part, ")", use(t_.roots.im)) : std::string("0"), ";");
    } else if (k_.out == DType::kBool) {
      line("  out[out_i] = ", mask ? v : str(v, " != 0"), " ? 1 : 0;");
    } else if (is_reduced_float(k_.out)) {
      line("  store_", k_.out == DType::kFloat16 ? "f16" : "bf16", "(", v, ", out + out_i);");
    } else {
      line("  out[out_i] = (", stored_name(k_.out), ")", v, ";");
    }
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
