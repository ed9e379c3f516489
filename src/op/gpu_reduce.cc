// Writing reduction kernels.
#include "op/gpu_reduce.h"

#include <cmath>

#include "kernel/reduce_rules.h"
#include "op/gpu_expression.h"

namespace ember {
namespace {

using cpu::Finish;
using cpu::Reduction;

// Calls f with the rule itself.
template <class F>
auto with_rule(Reduction r, F&& f) {
#define EMBER_CASE(name, ...) \
  case Reduction::k##name: return f(rules::name##Rule{});
  switch (r) {
    EMBER_REDUCTIONS(EMBER_CASE)
    case Reduction::kCount: break;
  }
#undef EMBER_CASE
  __builtin_unreachable();
}

template <class T>
std::string number_text(T value, std::string_view lane) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isinf(value)) return str(value < 0 ? "-(" : "(", lane, ")INFINITY");
    return str("(", lane, ")", static_cast<int64_t>(value));  // 0 or 1
  } else {
    return str("(", lane, ")", static_cast<uint64_t>(value), "u");  // a negative number wraps to itself
  }
}
std::string identity_text(Reduction r, Compute c) {
  const std::string_view lane = lane_name(c);
  return with_rule(r, [&]<class R>(R) {
    switch (c) {
      case Compute::kF32: return number_text(R::template identity<float>, lane);
      case Compute::kF64: return number_text(R::template identity<double>, lane);
      case Compute::kI64: return number_text(R::template identity<int64_t>, lane);
      case Compute::kU64: return number_text(R::template identity<uint64_t>, lane);
      default: return number_text(R::template identity<uint8_t>, lane);
    }
  });
}

// A device function of one expression over x0 and x1.
template <class F>
std::string function_text(const std::string& name, Compute c, std::string_view parameters, F&& expression) {
  SymGraph graph;
  int root = -1;
  {
    SymScope scope(graph);
    root = expression().id;
  }
  const Expression e(graph, c);
  return str("DEVICE ", lane_name(c), " ", name, parameters, " {\n", e.temporaries({root}), "  return ", e.use(root),
             ";\n}\n");
}

std::string finish_text(Finish f, std::string_view lane) {
  switch (f) {
    case Finish::kMean: return str("part[0] / (", lane, ")count");
    case Finish::kSqrt: return "sqrt(part[0])";
    case Finish::kRoot: return str("pow(part[0], (", lane, ")1 / a0)");
    default: return "part[0]";
  }
}

// Lines that split the number `from` into coordinates over `dims` sizes and step `places` by their strides.
struct Walk {
  std::string_view index, from, coordinate;
  int dims, first_size;
};
void write_walk(std::string& out, const Walk& w, std::initializer_list<std::pair<std::string_view, int>> places) {
  for (int d = w.dims - 1; d >= 0; --d) {
    const std::string c = str(w.coordinate, d);
    if (d > 0)
      out += str("    const ", w.index, " ", c, " = ", w.from, " % size", w.first_size + d, "; ", w.from, " /= size",
                 w.first_size + d, ";\n");
    else out += str("    const ", w.index, " ", c, " = ", w.from, ";\n");
    for (auto& [place, first] : places) out += str("    ", place, "_i += ", c, " * ", place, "_s", first + d, ";\n");
  }
}

}  // namespace

std::string ReduceKernel::name() const {
#define EMBER_WORD(name, word, ...) word,
  constexpr std::string_view rules[] = {EMBER_REDUCTIONS(EMBER_WORD)};
#undef EMBER_WORD
  constexpr std::string_view finishes[] = {"", "_mean", "_sqrt", "_root"};
  return str("r_", rules[static_cast<int>(rule)], finishes[static_cast<int>(finish)], "_", lane_name(compute), "_",
             ember::name(in), "_to_", ember::name(out), "_", kept, "_", reduced, wide ? "_wide" : "");
}

bool has_reduce_kernel(Reduction rule, Compute compute) {
#define EMBER_TYPES(name, word, types, ...) types,
  constexpr int types[] = {EMBER_REDUCTIONS(EMBER_TYPES)};
#undef EMBER_TYPES
  return types[static_cast<int>(rule)] >> static_cast<int>(compute) & 1;  // Compute opens with the same five types
}

std::string write_kernel(const ReduceKernel& k) {
  EMBER_CHECK(has_reduce_kernel(k.rule, k.compute), k.name(), ": has no such kernel");
  const std::string_view lane = lane_name(k.compute), index = k.wide ? "i64" : "i32";
  const std::string name = k.name(), map = name + "_map", join = name + "_join";
  std::string out = with_rule(k.rule, [&]<class R>(R) {
    return function_text(map, k.compute, str("(const ", lane, " x0, const ", lane, " a0)"),
                         [] { return Sym(R::map(Sym::input(0), Sym::attribute(0))); }) +
           function_text(join, k.compute, str("(const ", lane, " x0, const ", lane, " x1)"),
                         [] { return Sym(R::combine(Sym::input(0), Sym::input(1))); });
  });
  out += str("KERNEL ", name, "(\n    GLOBAL const ", stored_name(k.in), "* in, const ", index, " in_at");
  for (int d = 0; d < k.kept + k.reduced; ++d) out += str(", const ", index, " in_s", d);
  out += str(",\n    GLOBAL ", stored_name(k.out), "* out, const ", index, " out_at");
  for (int d = 0; d < k.kept; ++d) out += str(", const ", index, " out_s", d);
  out += ",\n    ";
  for (int d = 0; d < k.kept + k.reduced; ++d) out += str("const ", index, " size", d, ", ");
  out += str("const ", index, " count, const ", lane, " a0) {\n  LOCAL ", lane, " part[", kReduceGroup, "];\n");
  out += str("  ", index, " in_base = in_at, out_i = out_at;\n  {\n    ", index, " in_i = in_at, rest = (", index,
             ")GROUP;\n");
  write_walk(out, {index, "rest", "k", k.kept, 0}, {{"in", 0}, {"out", 0}});
  out += str("    in_base = in_i;\n  }\n  ", lane, " sum = ", identity_text(k.rule, k.compute), ";\n");
  out += str("  for (", index, " i = (", index, ")LANE; i < count; i += (", index, ")LANES) {\n    ", index,
             " in_i = in_base, rest = i;\n");
  write_walk(out, {index, "rest", "c", k.reduced, k.kept}, {{"in", k.kept}});
  out += str("    sum = ", join, "(sum, ", map, "((", lane, ")", load_text(k.in, "in", "in_i"), ", a0));\n  }\n");
  out += str("  part[LANE] = sum;\n  BARRIER;\n  for (int step = ", kReduceGroup / 2,
             "; step > 0; step /= 2) {\n    if ((int)LANE < step) part[LANE] = ", join,
             "(part[LANE], part[LANE + step]);\n    BARRIER;\n  }\n  if (LANE == 0) {\n    ");
  out += store_text(k.out, "out", "out_i", str("(", finish_text(k.finish, lane), ")"), false) + "  }\n}\n";
  return out;
}

}  // namespace ember
