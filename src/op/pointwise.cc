// Running pointwise ops: promotion, broadcasting, strides of results, tiles.
#include "op/pointwise.h"

#include <algorithm>

#include "base/cpu_features.h"
#include "kernel/cpu/elementwise.h"
#include "op/ops.h"

namespace ember {

constexpr int64_t kPiece = 32768;  // elements that one thread takes at a time

static DType in_category(DType state, DType t) { return promote_types(state, t); }

// Dimensioned tensors decide; 0-dim tensors, then Python's numbers, only lift the category.
DType result_type(Span<Tensor> tensors) {
  std::optional<DType> dims, zero, wrapped;
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    DType d = t.dtype();
    auto& slot = t.dim() > 0 ? dims : t->wrapped_number ? wrapped : zero;
    if (&slot == &wrapped) d = is_complex(d) ? complex_of(default_dtype()) : is_floating(d) ? default_dtype() : d;
    slot = slot ? in_category(*slot, d) : d;
  }
  auto combine = [](std::optional<DType> higher, std::optional<DType> lower) {
    if (!higher) return lower;
    if (!lower || category(*higher) > category(*lower)) return higher;
    // A number of the same category does not widen; of a higher one it lifts, a complex one keeping the precision.
    if (category(*higher) == category(*lower)) return higher;
    if (is_complex(*lower) && is_floating(*higher))
      return std::optional(*higher == DType::kFloat64 || *lower == DType::kComplex128
                               ? complex_of(*higher == DType::kFloat64 ? *higher : real_of(*lower))
                               : complex_of(*higher));
    return lower;
  };
  auto r = combine(dims, combine(zero, wrapped));
  return r ? *r : default_dtype();
}

static Compute compute_of(DType d, uint32_t supported) {
  switch (d) {
    case DType::kBool: return supported & types::kBool ? Compute::kBool : Compute::kI64;
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kFloat32: return Compute::kF32;
    case DType::kFloat64: return Compute::kF64;
    case DType::kComplex64: return Compute::kC64;
    case DType::kComplex128: return Compute::kC128;
    case DType::kUInt64: return Compute::kU64;
    default: return Compute::kI64;
  }
}

static const PointwiseTiles& tiles_of(const Pointwise& p) {
  static const int isa = static_cast<int>(cpu_isa());
  return *p.tiles[isa];
}

[[noreturn]] EMBER_COLD static void unsupported(const Op& op, DType d) {
  fail<NotImplementedError>(op.name(), ": \"", op.name(), "\" not implemented for '", name(d), "'");
}

[[noreturn]] EMBER_COLD static void refuse_bool(const Op& op) {
  EMBER_FAIL(op.name(), ": the `-` operator on a bool tensor is not supported. To invert a mask use `~` or ",
             "logical_not(), between two masks `^` or logical_xor().");
}

static DType lift(Promote promote, DType d) {
  if (promote == Promote::kToFloat && category(d) < 2) return default_dtype();
  return promote == Promote::kToInt && d == DType::kBool ? DType::kInt64 : d;
}

void prepare(Pointwise& p) {
  for (int i = 0; i < kNumDTypes; ++i) {
    DType d = static_cast<DType>(i);
    Compute c = compute_of(d, p.types);
    int k = static_cast<int>(c);
    bool lifted = lift(p.promote, d) != d;
    if (lifted || !(p.types >> k & 1) || storage_dtype(c) != d || p.mask_inputs) continue;
    ResultType r = tiles_of(p).result[k];
    p.direct[i] = {tiles_of(p).forward[k], r == ResultType::kBool   ? DType::kBool
                                           : r == ResultType::kReal ? real_of(d)
                                                                    : d};
  }
}

PointwiseTypes pointwise_types(const Op& op, const Value* args) {
  const Pointwise& p = *op.pointwise;
  SmallVector<DType, 4> seen;
  DType common = DType::kBool;
  bool same = true, first = true;
  for (int i = 0; i < p.inputs; ++i) {
    if (p.mask_inputs >> i & 1) continue;
    const Tensor& t = args[i].tensor();
    if (p.promote == Promote::kNoBool && t.dtype() == DType::kBool) refuse_bool(op);
    if (first) common = t.dtype(), first = false;
    else same &= t.dtype() == common;
    same &= !t->wrapped_number;
  }
  if (!same || (p.inputs == 1 && args[0].tensor()->wrapped_number)) {
    Tensor list[4];
    int n = 0;
    for (int i = 0; i < p.inputs; ++i) {
      if (!(p.mask_inputs >> i & 1)) list[n++] = args[i].tensor();
    }
    common = result_type(Span<Tensor>(list, static_cast<size_t>(n)));
  }
  // A float attribute lifts integers (add with alpha=0.5 raises there; where it is allowed the op says kToFloat).
  common = lift(p.promote, common);
  Compute c = compute_of(common, p.types);
  if (!(p.types >> static_cast<int>(c) & 1)) unsupported(op, common);
  DType result = common;
  switch (tiles_of(p).result[static_cast<int>(c)]) {
    case ResultType::kBool: result = DType::kBool; break;
    case ResultType::kReal: result = real_of(common); break;
    case ResultType::kSame: break;
  }
  return {common, c, result};
}

// Strides of a result: those of the inputs where they agree on an order, dense.
static std::optional<Dims> result_strides(const Op& op, const Value* args, DimsView sizes) {
  const Pointwise& p = *op.pointwise;
  for (int i = 0; i < p.inputs; ++i) {
    const Tensor& t = args[i].tensor();
    if (t.dim() != static_cast<int64_t>(sizes.size()) || !(DimsView(t.sizes()) == sizes)) continue;
    if (t->contiguous) return std::nullopt;
    return dense_strides_like(sizes, t.strides());
  }
  return std::nullopt;
}

static Device device_of(const Op& op, const Value* args) {
  Device device = kCpu;
  bool found = false;
  for (int i = 0; i < op.pointwise->inputs; ++i) {
    const Tensor& t = args[i].tensor();
    if (t.dim() == 0 && t.device() == kCpu) continue;
    EMBER_CHECK(!found || t.device() == device, op.name(),
                ": Expected all tensors to be on the same device, but found at least two devices, ", device, " and ",
                t.device(), "!");
    device = t.device(), found = true;
  }
  return device;
}

static Dims broadcast_sizes(const Op& op, const Value* args) {
  Dims sizes = args[0].tensor().sizes();
  for (int i = 1; i < op.pointwise->inputs; ++i) {
    const Dims& other = args[i].tensor().sizes();
    if (!(DimsView(sizes) == DimsView(other))) sizes = broadcast_shapes(sizes, other);
  }
  return sizes;
}

Meta pointwise_infer(const Op& op, const Value* args) {
  Meta m;
  m.sizes = broadcast_sizes(op, args);
  m.dtype = pointwise_types(op, args).result;
  m.device = device_of(op, args);
  m.strides = result_strides(op, args, m.sizes);
  return m;
}

// The attributes converted to the compute type, in a row.
struct Params {
  alignas(16) char bytes[16 * 8];
  Params(const Op& op, const Value* args, Compute c) {
    const Pointwise& p = *op.pointwise;
    int64_t size = item_size(storage_dtype(c));
    for (int j = 0; j < p.attributes; ++j) {
      Scalar s = args[p.inputs + j].scalar();
      visit(storage_dtype(c), [&]<class T>(T) {
        T v = s.to<T>();
        std::memcpy(bytes + j * size, &v, sizeof v);
      });
    }
  }
};

// Integers have neither infinity nor NaN to give.
static void check_divisor(const Tensor& divisor, DType common) {
  if (!is_integral(common) || divisor.numel() == 0) return;
  const bool any_zero = !(divisor.numel() == 1 ? divisor : all(divisor)).item().to<bool>();
  EMBER_CHECK(!any_zero, "ZeroDivisionError: a divisor of integers is 0");
}

Tensor pointwise_fast(const Op& op, const Value* args) {
  constexpr int64_t kMost = 512;  // bytes of a number spread out
  const Pointwise& p = *op.pointwise;
  const Tensor& x = args[0].tensor();
  const Pointwise::Direct& direct = p.direct[static_cast<int>(x->dtype)];
  if (!direct.tile || !x->contiguous || x->wrapped_number || x->device.type != DeviceType::kCPU) return {};
  const int64_t size = item_size(x->dtype);
  const void* in[4] = {x.data()};
  alignas(64) char spread[kMost];
  bool spread_used = false;
  for (int i = 1; i < p.inputs; ++i) {
    const Tensor& t = args[i].tensor();
    if (t->wrapped_number && category(t->dtype) <= category(x->dtype) && x->numel * size <= kMost && !spread_used &&
        x.dim() > 0 && (t->dtype != DType::kBool || x->dtype == DType::kBool)) {
      visit(x->dtype, [&]<class T>(T) {
        T v = t.item().to<T>();
        for (int64_t k = 0; k < x->numel; ++k) std::memcpy(spread + k * sizeof(T), &v, sizeof v);
      });
      in[i] = spread, spread_used = true;
    } else if (t->dtype == x->dtype && t->contiguous && !t->wrapped_number && t->device == x->device &&
               t->sizes == x->sizes) {
      in[i] = t.data();
    } else {
      return {};
    }
  }
  if (p.divides && x->numel) check_divisor(args[1].tensor(), x->dtype);
  Params params(op, args, compute_of(x->dtype, p.types));
  Tensor out = empty_as_raw(x, direct.result);
  if (x->numel <= kPiece) {
    direct.tile(out.data(), in, params.bytes, x->numel);
    return out;
  }
  const int64_t sizes[4] = {size, size, size, size};
  cpu::elementwise_dense(direct.tile, out.data(), item_size(direct.result),
                         Span<const void*>(in, static_cast<size_t>(p.inputs)), sizes, params.bytes, x->numel);
  return out;
}

void pointwise_run(const Op& op, const Value* args, const Tensor& out) {
  const Pointwise& p = *op.pointwise;
  PointwiseTypes t = pointwise_types(op, args);
  if (p.divides && out.numel()) check_divisor(args[1].tensor(), t.common);
  Params params(op, args, t.compute);
  TileFunction tile = tiles_of(p).forward[static_cast<int>(t.compute)];
  // What the tile writes; a bool operand that is computed as an integer gives integers, converted at the store.
  ResultType r = tiles_of(p).result[static_cast<int>(t.compute)];
  DType compute = storage_dtype(t.compute);
  DType result = r == ResultType::kBool ? DType::kBool : r == ResultType::kReal ? real_of(compute) : compute;
  // The common case runs on the operands as they are.
  bool direct = out->contiguous && out.dtype() == result;
  const void* in[4];
  int64_t in_sizes[4];
  for (int i = 0; i < p.inputs && direct; ++i) {
    const Tensor& x = args[i].tensor();
    direct =
        x->contiguous && x.dtype() == (p.mask_inputs >> i & 1 ? DType::kBool : compute) && x.sizes() == out.sizes();
    in[i] = direct ? x.data() : nullptr, in_sizes[i] = item_size(x.dtype());
  }
  if (direct && out.numel() <= kPiece) return tile(out.data(), in, params.bytes, out.numel());
  if (direct)
    return cpu::elementwise_dense(tile, out.data(), item_size(result),
                                  Span<const void*>(in, static_cast<size_t>(p.inputs)), in_sizes, params.bytes,
                                  out.numel());
  Dims strides[5];
  cpu::Operand ops[4];
  for (int i = 0; i < p.inputs; ++i) {
    ops[i] = cpu::operand(args[i].tensor(), out.sizes(), p.mask_inputs >> i & 1 ? DType::kBool : compute, strides[i]);
  }
  cpu::elementwise(tile, out.sizes(), cpu::operand(out, out.sizes(), result, strides[4]),
                   Span<cpu::Operand>(ops, p.inputs), params.bytes);
}

Tensor pointwise_partial(const Op& op, int which, const Tensor& g, const Value* args, const Tensor& y, DType to) {
  const Pointwise& p = *op.pointwise;
  Compute c = compute_of(pointwise_types(op, args).common, p.types);
  Params params(op, args, c);
  TileFunction tile = tiles_of(p).partial[which][static_cast<int>(c)];
  DType compute = storage_dtype(c);
  Tensor out = empty(
      Meta(g.sizes(), g.is_contiguous() ? g.strides() : dense_strides_like(g.sizes(), g.strides()), to, g.device()));
  Dims strides[7];
  cpu::Operand ops[6];
  int n = 0;
  for (int i = 0; i < p.inputs + 2; ++i) {
    const Tensor& x = i == 0 ? g : i <= p.inputs ? args[i - 1].tensor() : y;
    bool mask = i > 0 && i <= p.inputs && (p.mask_inputs >> (i - 1) & 1);
    // What is not read still needs an address: g's.
    bool read = p.reads[which] >> i & 1;
    ops[n] = read && i > 0 ? cpu::operand(x, g.sizes(), mask ? DType::kBool : compute, strides[n])
                           : cpu::operand(g, g.sizes(), compute, strides[n]);
    ++n;
  }
  cpu::elementwise(tile, g.sizes(), cpu::operand(out, out.sizes(), compute, strides[6]),
                   Span<cpu::Operand>(ops, static_cast<size_t>(n)), params.bytes);
  return out;
}

}  // namespace ember
