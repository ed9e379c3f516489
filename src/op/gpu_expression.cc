// Expressions as text.
#include "op/gpu_expression.h"

#include <cmath>
#include <cstdio>

namespace ember {

std::string_view lane_name(Compute c) {
  constexpr std::string_view names[] = {"f32", "f64", "i64", "u64", "u8", "f32", "f64"};
  return names[static_cast<int>(c)];
}
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

std::string Expression::temporaries(std::initializer_list<int> roots) const {
  std::vector<bool> live(graph_.nodes.size());
  for (int root : roots) {
    if (root >= 0) live[static_cast<size_t>(root)] = true;
  }
  for (size_t i = live.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (int a : graph_.nodes[i].args) {
      if (a >= 0) live[static_cast<size_t>(a)] = true;
    }
  }
  std::string out;
  for (size_t i = 0; i < live.size(); ++i) {
    const SymNode& n = graph_.nodes[i];
    if (!live[i] || n.kind != SymNode::kCall) continue;
    out += str("  const ", n.mask ? std::string_view("bool") : lane_, " t", static_cast<int>(i), " = ", call(n), ";\n");
  }
  return out;
}

std::string Expression::use(int id) const {
  const SymNode& n = graph_.nodes[static_cast<size_t>(id)];
  switch (n.kind) {
    case SymNode::kInput: return str("x", n.index, n.imaginary ? "_im" : "");
    case SymNode::kAttribute: return str("a", n.index, n.imaginary ? "_im" : "");
    case SymNode::kLiteral: return literal(n.literal);
    default: return str("t", id);
  }
}
std::string Expression::literal(double value) const {
  if (std::isnan(value)) return str("(", lane_, ")NAN");
  if (std::isinf(value)) return str(value < 0 ? "-(" : "(", lane_, ")INFINITY");
  char digits[40];
  if (!float_compute(compute_)) {
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

std::string Expression::call(const SymNode& n) const {
  const std::string a = use(n.args[0]), b = n.args[1] < 0 ? "" : use(n.args[1]);
  const bool on_masks = graph_.nodes[static_cast<size_t>(n.args[0])].mask;
  const std::string_view w = n.call;
  if (w == "select") return str(a, " ? ", b, " : ", use(n.args[2]));
  if (w == "!") return str("!", a);
  if (w == "~") return str(on_masks ? "!" : "~", a);
  if (on_masks && w == "^") return str(a, " != ", b);
  if (on_masks && (w == "&" || w == "|")) return str(a, " ", w, w, " ", b);
  if (n.mask && (w == "<" || w == "<=" || w == ">" || w == ">=" || w == "==" || w == "!="))
    return str(a, " ", w, " ", b);
  if (w == "&" || w == "|" || w == "^") return str("(", lane_, ")(", a, " ", w, " ", b, ")");
  return float_compute(compute_) ? float_call(n, a, b) : integer_call(w, a, b);
}

std::string Expression::float_call(const SymNode& n, const std::string& a, const std::string& b) const {
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

std::string Expression::integer_call(std::string_view w, const std::string& a, const std::string& b) const {
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

std::string load_text(DType d, std::string_view name, std::string_view at) {
  if (d == DType::kFloat16) return str("load_f16(", name, " + ", at, ")");
  if (d == DType::kBFloat16) return str("load_bf16(", name, " + ", at, ")");
  if (d == DType::kBool) return str("(", name, "[", at, "] != 0)");
  return str(name, "[", at, "]");
}

std::string store_text(DType d, std::string_view name, std::string_view at, const std::string& value, bool mask) {
  if (d == DType::kBool) return str(name, "[", at, "] = ", mask ? value : str(value, " != 0"), " ? 1 : 0;\n");
  if (d == DType::kFloat16) return str("store_f16(", value, ", ", name, " + ", at, ");\n");
  if (d == DType::kBFloat16) return str("store_bf16(", value, ", ", name, " + ", at, ");\n");
  return str(name, "[", at, "] = (", stored_name(d), ")", value, ";\n");
}

}  // namespace ember
