// Copies: into a tensor, of a tensor, to another dtype or device. The loops and the conversions are
// kernel/cpu/elementwise.h's; here stand shapes, checks and gradients, which flow back through the same conversions.
#include <cmath>
#include <limits>

#include "kernel/cpu/elementwise.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {

// Does a number of the host language fit dtype d? PyTorch lets -255..-1 wrap around in uint8, and so on.
static bool fits(const Scalar& s, DType d) {
  if (s.is_complex() && !is_complex(d)) return s.to<std::complex<double>>().imag() == 0;
  if (d == DType::kBool || is_complex(d)) return true;
  if (is_floating(d)) {
    double most = d == DType::kFloat16   ? 65504
                  : d == DType::kFloat64 ? std::numeric_limits<double>::max()
                                         : std::numeric_limits<float>::max();
    double v = s.to<double>();
    return !std::isfinite(v) || std::abs(v) <= most;
  }
  return visit(d, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      // Integers by an integer that holds them all; doubles as PyTorch does, to whom 2^63 fits int64.
      using Limits = std::numeric_limits<T>;
      const __int128 most = Limits::max(), least = is_unsigned(d) ? -most : __int128{Limits::min()};
      if (s.is_integral()) {
        const __int128 i = s.kind() == Scalar::Kind::kUInt ? __int128{s.to<uint64_t>()} : __int128{s.to<int64_t>()};
        return i <= most && i >= least;
      }
      const double v = std::trunc(s.to<double>());
      return v <= static_cast<double>(most) && v >= static_cast<double>(least);
    } else {
      return true;
    }
  });
}

static void check_fits(const Scalar& value, DType d, std::string_view op) {
  EMBER_CHECK(fits(value, d), op, ": value cannot be converted to type ", d, " without overflow");
}

void fill_checked(const Tensor& y, const Scalar& value, std::string_view op) {
  check_fits(value, y.dtype(), op);
  cpu::fill(y, value);
}

namespace {

Dims preserved_strides(const Tensor& x, std::optional<MemoryFormat> format) {
  switch (format.value_or(MemoryFormat::kPreserve)) {
    case MemoryFormat::kContiguous: return contiguous_strides(x.sizes());
    case MemoryFormat::kPreserve:
      return is_non_overlapping_and_dense(x.sizes(), x.strides()) ? x.strides()
                                                                  : dense_strides_like(x.sizes(), x.strides());
    default: return strides_of(*format, x.sizes());
  }
}

void check_has_data(const Tensor& src) {
  EMBER_CHECK_NOT_IMPLEMENTED(!src.is_meta(), "Cannot copy out of meta tensor; no data!");
}

Tensor zeros_for(const Tensor& g) { return zeros_like(g); }

struct Copy {
  static constexpr auto schema = "copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor";
  static constexpr auto doc = "src, broadcast and converted to the shape and dtype of self; copy_ writes it into self";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kInplace;
  static Meta infer(const Tensor& self, const Tensor& src, bool) {
    return Meta(broadcast_shapes(self.sizes(), src.sizes()), self);
  }
  static void cpu(Out y, const Tensor&, const Tensor& src, bool) {
    check_has_data(src);
    cpu::copy(y, src);
  }
  static void vjp(Grads& d, const Tensor&, const Tensor& src, bool) {
    if (d.wants(0)) d.set(0, zeros_for(d.g()));
    if (d.wants(1)) d.set(1, to_dtype(sum_to_size(d.g(), src.sizes()), src.dtype()));
  }
};

struct Fill {
  static constexpr auto schema = "fill(Tensor self, Tensor value) -> Tensor";
  static constexpr auto doc = "One value in the shape and dtype of self; `value` is a number or a 0-dim tensor";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kInplace;
  static Meta infer(const Tensor& self, const Tensor& value) {
    EMBER_CHECK(value.dim() == 0, "fill_ only supports 0-dimension value tensor but got tensor with ", value.dim(),
                " dimensions.");
    if (value->wrapped_number) check_fits(value.item(), self.dtype(), "fill_");
    return Meta(self.sizes(), preserved_strides(self, {}), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor&, const Tensor& value) { cpu::copy(y, value); }
  static void vjp(Grads& d, const Tensor&, const Tensor& value) {
    if (d.wants(0)) d.set(0, zeros_for(d.g()));
    if (d.wants(1)) d.set(1, to_dtype(sum(d.g()), value.dtype()));
  }
};

struct Zero {
  static constexpr auto schema = "zero(Tensor self) -> Tensor";
  static constexpr auto doc = "Zeros in the shape and dtype of self";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kInplace;
  static Meta infer(const Tensor& self) {
    return Meta(self.sizes(), preserved_strides(self, {}), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor&) { cpu::fill(y, 0); }
  static void vjp(Grads& d, const Tensor&) { d.set(0, zeros_for(d.g())); }
};

struct Clone {
  static constexpr auto schema = "clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc =
      "A copy with memory of its own, in self's order of strides unless memory_format says else";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Meta infer(const Tensor& self, std::optional<MemoryFormat> format) {
    return Meta(self.sizes(), preserved_strides(self, format), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor& self, std::optional<MemoryFormat>) { cpu::copy(y, self); }
  static void vjp(Grads& d, const Tensor&, std::optional<MemoryFormat>) { d.set(0, d.g()); }
};

struct Contiguous {
  static constexpr auto schema = "contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format) -> Tensor";
  static constexpr auto doc = "self if it is dense in that order of memory, else a copy that is";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kMethod;
  static Tensor call(const Tensor& self, MemoryFormat format) {
    EMBER_CHECK(format != MemoryFormat::kPreserve, "preserve memory format is unsupported by the contiguous operator");
    return self.is_contiguous(format) ? self : clone(self, format);
  }
};

struct ToCopy {
  static constexpr auto schema =
      "_to_copy(Tensor self, *, ScalarType? dtype=None, Device? device=None, MemoryFormat? memory_format=None) -> "
      "Tensor";
  static constexpr auto doc = "A copy of another dtype or on another device";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, OptDType dtype, OptDevice device, std::optional<MemoryFormat> format) {
    return Meta(self.sizes(), preserved_strides(self, format), dtype.value_or(self.dtype()),
                device.value_or(self.device()));
  }
  static void cpu(Out y, const Tensor& self, OptDType, OptDevice, std::optional<MemoryFormat>) {
    check_has_data(self);
    cpu::copy(y, self);
  }
  static void vjp(Grads& d, const Tensor& self, OptDType, OptDevice, std::optional<MemoryFormat>) {
    d.set(0, to_dtype(d.g(), self.dtype()));
  }
};

Tensor convert(const Tensor& self, OptDType dtype, OptDevice device, bool copy, std::optional<MemoryFormat> format) {
  static const Op* const op = find_op("_to_copy");
  bool same = (!dtype || *dtype == self.dtype()) && (!device || *device == self.device()) &&
              (!format || *format == MemoryFormat::kPreserve || self.is_contiguous(*format));
  return same && !copy ? self : Tensor(call_op(op, self, dtype, device, format));
}

struct Method {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kMethod;
};

struct ToDType : Method {
  static constexpr auto schema =
      "to.dtype(Tensor self, ScalarType dtype, bool non_blocking=False, bool copy=False, *, MemoryFormat? "
      "memory_format=None) -> Tensor";
  static constexpr auto doc = "self if it has this dtype, else a copy that has";
  static Tensor call(const Tensor& self, DType dtype, bool, bool copy, std::optional<MemoryFormat> format) {
    return convert(self, dtype, {}, copy, format);
  }
};
struct ToDevice : Method {
  static constexpr auto schema =
      "to.device(Tensor self, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, bool copy=False, "
      "*, "
      "MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc = "self if it is on this device and has this dtype, else a copy that is";
  static Tensor call(const Tensor& self, OptDevice device, OptDType dtype, bool, bool copy,
                     std::optional<MemoryFormat> format) {
    return convert(self, dtype, device, copy, format);
  }
};
struct ToOther : Method {
  static constexpr auto schema =
      "to.other(Tensor self, Tensor other, bool non_blocking=False, bool copy=False, *, MemoryFormat? "
      "memory_format=None) -> Tensor";
  static constexpr auto doc = "self with the dtype and on the device of other";
  static Tensor call(const Tensor& self, const Tensor& other, bool, bool copy, std::optional<MemoryFormat> format) {
    return convert(self, other.dtype(), other.device(), copy, format);
  }
};
struct TypeAs : Method {
  static constexpr auto schema = "type_as(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "self with the dtype of other";
  static Tensor call(const Tensor& self, const Tensor& other) {
    return convert(self, other.dtype(), other.device(), false, {});
  }
};

#define EMBER_CAST(Name, word, to_type) \
  struct Name : Method { \
    static constexpr auto schema = word "(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor"; \
    static constexpr auto doc = "self as " #to_type; \
    static Tensor call(const Tensor& self, std::optional<MemoryFormat> format) { \
      return convert(self, DType::to_type, {}, false, format); \
    } \
  };
// clang-format off
EMBER_CAST(ToFloat, "float", kFloat32)
EMBER_CAST(ToDouble, "double", kFloat64)
EMBER_CAST(ToHalf, "half", kFloat16)
EMBER_CAST(ToBFloat16, "bfloat16", kBFloat16)
EMBER_CAST(ToInt, "int", kInt32)
EMBER_CAST(ToLong, "long", kInt64)
EMBER_CAST(ToShort, "short", kInt16)
EMBER_CAST(ToChar, "char", kInt8)
EMBER_CAST(ToByte, "byte", kUInt8)
EMBER_CAST(ToBool, "bool", kBool)
EMBER_CAST(ToCFloat, "cfloat", kComplex64)
EMBER_CAST(ToCDouble, "cdouble", kComplex128)
// clang-format on
#undef EMBER_CAST

// Not a view op, so that no interpreter sees one: the result shares memory and version but no history.
struct Detach {
  static constexpr auto schema = "detach(Tensor(a) self) -> Tensor(a)";
  static constexpr auto doc = "The same memory without the history: no gradient flows through";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& self) {
    return alias_raw(self, self.sizes(), self.strides(), self.storage_offset());
  }
};

// ---- changing what a tensor is ----

struct Resize {
  static constexpr auto schema = "resize(Tensor self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc =
      "Gives self another shape over its own memory, which grows where needed; new elements are undefined";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self, DimsView size, std::optional<MemoryFormat> format) {
    EMBER_CHECK(!self.requires_grad(), "cannot resize variables that require grad");
    if (!(DimsView(self.sizes()) == size)) resize_raw(self, size);
    if (format && *format != MemoryFormat::kContiguous && *format != MemoryFormat::kPreserve)
      self->set_sizes(size, strides_of(*format, size));
    self.bump_version();
    return self;
  }
};
struct ResizeAs {
  static constexpr auto schema =
      "resize_as(Tensor self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc = "resize to another tensor's shape";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self, const Tensor& other, std::optional<MemoryFormat> format) {
    return Resize::call(self, other.sizes(), format);
  }
};
struct SetSource {
  static constexpr auto schema = "set.source_Tensor(Tensor self, Tensor source) -> Tensor";
  static constexpr auto doc = "Makes self another handle on source's memory and geometry";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self, const Tensor& source) {
    EMBER_CHECK(self.dtype() == source.dtype(), "set_: Could not set tensor of type ", source.dtype(),
                " to a tensor of type ", self.dtype());
    EMBER_CHECK(self.device() == source.device(), "set_: Could not set tensor on ", source.device(), " to a tensor on ",
                self.device());
    self->storage = source->storage;
    self->offset = source->offset;
    self->set_sizes(source.sizes(), source.strides());
    return self;
  }
};
struct SetEmpty {
  static constexpr auto schema = "set(Tensor self) -> Tensor";
  static constexpr auto doc = "Makes self an empty tensor of no memory";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self) { return SetSource::call(self, empty_raw({0}, self.dtype(), self.device())); }
};

// ---- masked_fill ----

struct MaskedFill {
  static constexpr auto schema = "masked_fill(Tensor self, Tensor mask, Tensor value) -> Tensor";
  static constexpr auto doc = "self, but `value` (a number or a 0-dim tensor) where mask is true; mask broadcasts";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kInplace;
  static constexpr auto saves = Saves{.inputs = 2};
  static Meta infer(const Tensor& self, const Tensor& mask, const Tensor& value) {
    EMBER_CHECK(mask.dtype() == DType::kBool, "masked_fill_ only supports boolean masks, but got mask with dtype ",
                mask.dtype());
    EMBER_CHECK(value.dim() == 0, "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
                value.dim(), " dimension(s).");
    if (!value.is_meta()) check_fits(value.item(), self.dtype(), "masked_fill");
    Meta m(broadcast_shapes(self.sizes(), mask.sizes()), self);
    if (m.sizes == self.sizes() && !self.is_contiguous()) m.strides = dense_strides_like(m.sizes, self.strides());
    return m;
  }
  static void cpu(Out y, const Tensor& self, const Tensor& mask, const Tensor& value) {
    Dims a, b, c, strides;
    DType t = y.dtype();
    cpu::Operand in[] = {cpu::operand(mask, y.sizes(), DType::kBool, a), cpu::operand(value, y.sizes(), t, b),
                         cpu::operand(self, y.sizes(), t, c)};
    cpu::elementwise(cpu::select_tile(item_size(t)), y.sizes(), cpu::operand(y, y.sizes(), t, strides),
                     Span<cpu::Operand>(in, 3), nullptr);
  }
  static void vjp(Grads& d, const Tensor& self, const Tensor& mask, const Tensor& value) {
    if (d.wants(0)) d.set(0, sum_to_size(masked_fill(d.g(), mask, 0), self.sizes()));
    if (d.wants(2)) d.set(2, to_dtype(sum(masked_fill(d.g(), logical_not(mask), 0)), value.dtype()));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> copy_ops() {
  return make_family<Copy, Fill, Zero, Clone, Contiguous, ToCopy, ToDevice, ToDType, ToOther, TypeAs, ToFloat, ToDouble,
                     ToHalf, ToBFloat16, ToInt, ToLong, ToShort, ToChar, ToByte, ToBool, ToCFloat, ToCDouble, Detach,
                     Resize, ResizeAs, SetSource, SetEmpty, MaskedFill>();
}

}  // namespace ember
