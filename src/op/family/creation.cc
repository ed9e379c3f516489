// Tensors out of nothing: constants, ranges, triangles. Factories take a dtype and a device; `_like` forms take them,
// and the order of the strides, from a tensor. On the meta device only shapes are made.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {

void fill_checked(const Tensor& y, const Scalar& value, std::string_view op);  // copy.cc

namespace {

struct Factory {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
};
struct LikeOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
};
struct NewOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kMethod;
};

Meta factory_meta(std::string_view op, DimsView size, OptDType dtype, OptDevice device) {
  for (int64_t s : size) { EMBER_CHECK(s >= 0, op, ": Dimension size must be non-negative, but got size ", size); }
  return Meta(size, dtype.value_or(default_dtype()), device.value_or(kCpu));
}

Meta like_meta(const Tensor& self, OptDType dtype, OptDevice device, std::optional<MemoryFormat> format) {
  Meta m(self.sizes(), dtype.value_or(self.dtype()), device.value_or(self.device()));
  switch (format.value_or(MemoryFormat::kPreserve)) {
    case MemoryFormat::kContiguous: break;
    case MemoryFormat::kPreserve:
      m.strides = is_non_overlapping_and_dense(self.sizes(), self.strides())
                      ? self.strides()
                      : dense_strides_like(self.sizes(), self.strides());
      break;
    default: m.strides = strides_of(*format, self.sizes());
  }
  return m;
}

Meta new_meta(const Tensor& self, DimsView size, OptDType dtype, OptDevice device) {
  return factory_meta("new_tensor", size, dtype.value_or(self.dtype()), device.value_or(self.device()));
}

// `full` infers its dtype from the value as Python's numbers do.
DType value_dtype(const Scalar& value, OptDType dtype) { return dtype.value_or(value.dtype()); }

struct Empty : Factory {
  static constexpr auto schema = "empty(SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "A tensor whose elements are whatever the memory held";
  static Meta infer(DimsView size, OptDType dtype, OptDevice device) {
    return factory_meta("empty", size, dtype, device);
  }
  static void cpu(Out, DimsView, OptDType, OptDevice) {}
};

struct EmptyStrided : LikeOp {
  static constexpr auto schema =
      "empty_strided(SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Uninitialised memory with the given strides, in elements";
  static Meta infer(DimsView size, DimsView stride, OptDType dtype, OptDevice device) {
    EMBER_CHECK(size.size() == stride.size(), "empty_strided: dimensionality of sizes (",
                static_cast<int64_t>(size.size()), ") must match dimensionality of strides (",
                static_cast<int64_t>(stride.size()), ")");
    Meta m = factory_meta("empty_strided", size, dtype, device);
    m.strides = Dims(stride);
    return m;
  }
  static void cpu(Out, DimsView, DimsView, OptDType, OptDevice) {}
};

struct Zeros : Factory {
  static constexpr auto schema = "zeros(SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "A tensor of zeros";
  static Meta infer(DimsView size, OptDType dtype, OptDevice device) {
    return factory_meta("zeros", size, dtype, device);
  }
  static void cpu(Out y, DimsView, OptDType, OptDevice) { cpu::fill(y, 0); }
};

struct Ones : Factory {
  static constexpr auto schema = "ones(SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "A tensor of ones";
  static Meta infer(DimsView size, OptDType dtype, OptDevice device) {
    return factory_meta("ones", size, dtype, device);
  }
  static void cpu(Out y, DimsView, OptDType, OptDevice) { cpu::fill(y, 1); }
};

struct Full : Factory {
  static constexpr auto schema =
      "full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "A tensor of one value; without dtype that of the value (bool, int64, float, complex)";
  static Meta infer(DimsView size, Scalar value, OptDType dtype, OptDevice device) {
    return factory_meta("full", size, value_dtype(value, dtype), device);
  }
  static void cpu(Out y, DimsView, Scalar value, OptDType, OptDevice) { fill_checked(y, value, "full"); }
};

struct ScalarTensor : LikeOp {
  static constexpr auto schema = "scalar_tensor(Scalar s, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "A 0-dim tensor of one number, of the default dtype unless given";
  static Meta infer(Scalar, OptDType dtype, OptDevice device) {
    return factory_meta("scalar_tensor", {}, dtype, device);
  }
  static void cpu(Out y, Scalar value, OptDType, OptDevice) { fill_checked(y, value, "scalar_tensor"); }
};

struct EmptyLike : LikeOp {
  static constexpr auto schema =
      "empty_like(Tensor self, *, ScalarType? dtype=None, Device? device=None, MemoryFormat? memory_format=None) -> "
      "Tensor";
  static constexpr auto doc =
      "Uninitialised memory shaped as self, with its order of strides unless memory_format says else";
  static Meta infer(const Tensor& self, OptDType dtype, OptDevice device, std::optional<MemoryFormat> format) {
    return like_meta(self, dtype, device, format);
  }
  static void cpu(Out, const Tensor&, OptDType, OptDevice, std::optional<MemoryFormat>) {}
};
struct ZerosLike : EmptyLike {
  static constexpr auto schema =
      "zeros_like(Tensor self, *, ScalarType? dtype=None, Device? device=None, MemoryFormat? memory_format=None) -> "
      "Tensor";
  static constexpr auto doc = "Zeros shaped as self";
  static void cpu(Out y, const Tensor&, OptDType, OptDevice, std::optional<MemoryFormat>) { cpu::fill(y, 0); }
};
struct OnesLike : EmptyLike {
  static constexpr auto schema =
      "ones_like(Tensor self, *, ScalarType? dtype=None, Device? device=None, MemoryFormat? memory_format=None) -> "
      "Tensor";
  static constexpr auto doc = "Ones shaped as self";
  static void cpu(Out y, const Tensor&, OptDType, OptDevice, std::optional<MemoryFormat>) { cpu::fill(y, 1); }
};
struct FullLike : LikeOp {
  static constexpr auto schema =
      "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Device? device=None, "
      "MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc = "One value in the shape and dtype of self";
  static Meta infer(const Tensor& self, Scalar, OptDType dtype, OptDevice device, std::optional<MemoryFormat> format) {
    return like_meta(self, dtype, device, format);
  }
  static void cpu(Out y, const Tensor&, Scalar value, OptDType, OptDevice, std::optional<MemoryFormat>) {
    fill_checked(y, value, "full_like");
  }
};

struct NewEmpty : NewOp {
  static constexpr auto schema =
      "new_empty(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Uninitialised memory of another shape, with self's dtype and device";
  static Meta infer(const Tensor& self, DimsView size, OptDType dtype, OptDevice device) {
    return new_meta(self, size, dtype, device);
  }
  static void cpu(Out, const Tensor&, DimsView, OptDType, OptDevice) {}
};
struct NewZeros : NewEmpty {
  static constexpr auto schema =
      "new_zeros(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Zeros of another shape, with self's dtype and device";
  static void cpu(Out y, const Tensor&, DimsView, OptDType, OptDevice) { cpu::fill(y, 0); }
};
struct NewOnes : NewEmpty {
  static constexpr auto schema =
      "new_ones(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Ones of another shape, with self's dtype and device";
  static void cpu(Out y, const Tensor&, DimsView, OptDType, OptDevice) { cpu::fill(y, 1); }
};
struct NewFull : NewOp {
  static constexpr auto schema =
      "new_full(Tensor self, SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Device? device=None) -> "
      "Tensor";
  static constexpr auto doc = "One value in another shape, with self's dtype and device";
  static Meta infer(const Tensor& self, DimsView size, Scalar, OptDType dtype, OptDevice device) {
    return new_meta(self, size, dtype, device);
  }
  static void cpu(Out y, const Tensor&, DimsView, Scalar value, OptDType, OptDevice) {
    fill_checked(y, value, "new_full");
  }
};
struct NewEmptyStrided : NewOp {
  static constexpr auto schema =
      "new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Device? device=None) "
      "-> "
      "Tensor";
  static constexpr auto doc = "Uninitialised memory with the given strides, with self's dtype and device";
  static Meta infer(const Tensor& self, DimsView size, DimsView stride, OptDType dtype, OptDevice device) {
    return EmptyStrided::infer(size, stride, dtype.value_or(self.dtype()), device.value_or(self.device()));
  }
  static void cpu(Out, const Tensor&, DimsView, DimsView, OptDType, OptDevice) {}
};

// ---- ranges ----

int64_t arange_length(Scalar start, Scalar end, Scalar step) {
  double a = start.to<double>(), b = end.to<double>(), s = step.to<double>();
  EMBER_CHECK(!start.is_complex() && !end.is_complex() && !step.is_complex(),
              "value cannot be converted to type double without overflow");
  EMBER_CHECK(s != 0, "step must be nonzero");
  EMBER_CHECK(std::isfinite(a) && std::isfinite(b), "unsupported range: ", start, " -> ", end);
  EMBER_CHECK((s > 0) == (b >= a) || a == b, "upper bound and lower bound inconsistent with step sign");
  if (!start.is_floating() && !end.is_floating() && !step.is_floating()) {
    int64_t i = start.to<int64_t>(), j = end.to<int64_t>(), k = step.to<int64_t>();
    auto distance = static_cast<uint64_t>(k > 0 ? j : i) - static_cast<uint64_t>(k > 0 ? i : j);
    auto by = k > 0 ? static_cast<uint64_t>(k) : -static_cast<uint64_t>(k);
    uint64_t n = distance ? (distance - 1) / by + 1 : 0;
    EMBER_CHECK(n <= INT64_MAX, "invalid size, possible overflow?");
    return static_cast<int64_t>(n);
  }
  double n = std::ceil((b - a) / s);
  EMBER_CHECK(n >= 0 && n < 0x1p63, "invalid size, possible overflow?");
  return static_cast<int64_t>(n);
}

DType arange_dtype(Scalar start, Scalar end, Scalar step, OptDType dtype) {
  DType d = dtype                                                            ? *dtype
            : start.is_floating() || end.is_floating() || step.is_floating() ? default_dtype()
                                                                             : DType::kInt64;
  EMBER_CHECK_NOT_IMPLEMENTED(d != DType::kBool && !is_complex(d), "\"arange_cpu\" not implemented for '", d, "'");
  return d;
}

// A number made in wide arithmetic as an element; plain casts where they exist, so that loops vectorize.
template <class T, class V>
T element(V v) {
  if constexpr (std::is_floating_point_v<T> && std::is_arithmetic_v<V>) return static_cast<T>(v);
  else if constexpr (std::is_same_v<V, int64_t> && std::is_integral_v<T>) return static_cast<T>(v);
  else return Scalar(v).template to<T>();
}

// y[i] = f(i), converted to y's dtype.
template <class F>
void generate(const Tensor& y, F f) {
  Tensor dense = y.is_contiguous() ? y : empty_raw(y.sizes(), y.dtype());
  visit(y.dtype(), [&]<class T>(T) {
    T* out = dense.data<T>();
    parallel_for(0, y.numel(), 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = element<T>(f(i));
    });
  });
  if (!dense.is(y)) cpu::copy(y, dense);
}

struct ArangeStep : Factory {
  static constexpr auto schema =
      "arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Device? device=None) -> "
      "Tensor";
  static constexpr auto doc = "start, start + step, ... below end: int64 for integers, else the default float";
  static Meta infer(Scalar start, Scalar end, Scalar step, OptDType dtype, OptDevice device) {
    DType d = arange_dtype(start, end, step, dtype);
    auto whole = [](Scalar s) { return Scalar(s.to<int64_t>()); };  // int64 counts in whole steps
    if (d == DType::kInt64 && std::isfinite(start.to<double>()) && std::isfinite(end.to<double>()))
      return Meta({arange_length(whole(start), whole(end), whole(step))}, d, device.value_or(kCpu));
    return Meta({arange_length(start, end, step)}, d, device.value_or(kCpu));
  }
  static void cpu(Out y, Scalar start, Scalar end, Scalar step, OptDType dtype, OptDevice) {
    if (is_floating(arange_dtype(start, end, step, dtype))) {
      double a = start.to<double>(), s = step.to<double>();
      generate(y, [=](int64_t i) { return a + s * static_cast<double>(i); });
    } else {
      uint64_t a = static_cast<uint64_t>(start.to<int64_t>()), s = static_cast<uint64_t>(step.to<int64_t>());
      generate(y, [=](int64_t i) { return static_cast<int64_t>(a + s * static_cast<uint64_t>(i)); });
    }
  }
};
struct ArangeStart : Factory {
  static constexpr auto schema =
      "arange.start(Scalar start, Scalar end, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = ArangeStep::doc;
  static Meta infer(Scalar start, Scalar end, OptDType dtype, OptDevice device) {
    return ArangeStep::infer(start, end, 1, dtype, device);
  }
  static void cpu(Out y, Scalar start, Scalar end, OptDType dtype, OptDevice device) {
    ArangeStep::cpu(y, start, end, 1, dtype, device);
  }
};
struct Arange : Factory {
  static constexpr auto schema = "arange(Scalar end, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = ArangeStep::doc;
  static Meta infer(Scalar end, OptDType dtype, OptDevice device) {
    return ArangeStep::infer(0, end, 1, dtype, device);
  }
  static void cpu(Out y, Scalar end, OptDType dtype, OptDevice device) { ArangeStep::cpu(y, 0, end, 1, dtype, device); }
};

// The deprecated torch.range, whose end belongs to it.
struct Range : Factory {
  static constexpr auto schema =
      "range(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "start, start + step, ... up to and with end; arange is what you want";
  static Meta infer(Scalar start, Scalar end, Scalar step, OptDType dtype, OptDevice device) {
    double n = (end.to<double>() - start.to<double>()) / step.to<double>();
    arange_length(start, end, step);
    return Meta({static_cast<int64_t>(n) + 1}, dtype.value_or(default_dtype()), device.value_or(kCpu));
  }
  static void cpu(Out y, Scalar start, Scalar, Scalar step, OptDType, OptDevice) {
    double a = start.to<double>(), s = step.to<double>();
    generate(y, [=](int64_t i) { return a + s * static_cast<double>(i); });
  }
};

// steps points from start to end. From both ends inwards, so that the ends are exact.
DType linspace_dtype(std::string_view op, Scalar start, Scalar end, OptDType dtype) {
  bool complex = start.is_complex() || end.is_complex();
  DType d = dtype.value_or(complex ? complex_of(default_dtype()) : default_dtype());
  EMBER_CHECK(!complex || is_complex(d), op, "(): inferred dtype ", complex_of(default_dtype()),
              " can't be safely cast to passed dtype ", d);
  return d;
}

// Points in the arithmetic of T, through `shape` (identity, or a power).
template <class T, class F>
void spaced(const Tensor& y, Scalar start, Scalar end, int64_t steps, F shape) {
  if (steps == 1) return generate(y, [=](int64_t) { return shape(start.to<T>()); });
  T a = start.to<T>(), b = end.to<T>(), step = (b - a) / static_cast<T>(static_cast<double>(steps - 1));
  generate(y, [=](int64_t i) {
    if (i < steps / 2) return shape(a + step * static_cast<T>(static_cast<double>(i)));
    return shape(b - step * static_cast<T>(static_cast<double>(steps - i - 1)));
  });
}
template <class F>
void spaced(const Tensor& y, DType d, Scalar start, Scalar end, int64_t steps, F shape) {
  if (d == DType::kComplex64) return spaced<std::complex<float>>(y, start, end, steps, shape);
  if (is_complex(d)) return spaced<std::complex<double>>(y, start, end, steps, shape);
  if (is_floating(d) && d != DType::kFloat64) return spaced<float>(y, start, end, steps, shape);
  if (!is_floating(d))
    start = Scalar(start.to<int64_t>()), end = Scalar(end.to<int64_t>());  // of integers, the ends too
  return spaced<double>(y, start, end, steps, shape);
}

struct Linspace : Factory {
  static constexpr auto schema =
      "linspace(Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "`steps` evenly spaced numbers from start to end, both with";
  static Meta infer(Scalar start, Scalar end, int64_t steps, OptDType dtype, OptDevice device) {
    EMBER_CHECK(steps >= 0, "number of steps must be non-negative");
    return Meta({steps}, linspace_dtype("linspace", start, end, dtype), device.value_or(kCpu));
  }
  static void cpu(Out y, Scalar start, Scalar end, int64_t steps, OptDType dtype, OptDevice) {
    spaced(y, linspace_dtype("linspace", start, end, dtype), start, end, steps, [](auto v) { return v; });
  }
};

struct Logspace : Factory {
  static constexpr auto schema =
      "logspace(Scalar start, Scalar end, int steps, float base=10.0, *, ScalarType? dtype=None, Device? device=None) "
      "-> "
      "Tensor";
  static constexpr auto doc = "base to the power of `steps` evenly spaced exponents from start to end";
  static Meta infer(Scalar start, Scalar end, int64_t steps, double, OptDType dtype, OptDevice device) {
    EMBER_CHECK(steps >= 0, "number of steps must be non-negative");
    return Meta({steps}, linspace_dtype("logspace", start, end, dtype), device.value_or(kCpu));
  }
  static void cpu(Out y, Scalar start, Scalar end, int64_t steps, double base, OptDType dtype, OptDevice) {
    spaced(y, linspace_dtype("logspace", start, end, dtype), start, end, steps,
           [=](auto v) { return std::pow(static_cast<decltype(v)>(base), v); });
  }
};

// The same between ends that are tensors without dims, one or both.
Scalar end_of(std::string_view, std::string_view, const Scalar& s) { return s; }
Scalar end_of(std::string_view op, std::string_view which, const Tensor& t) {
  EMBER_CHECK(t.dim() == 0, op, " only supports 0-dimensional start and end tensors, but got ", which, " with ",
              t.dim(), " dimension(s).");
  if (!t.is_meta()) return t.item();
  return is_complex(t.dtype()) ? Scalar(std::complex<double>(0)) : Scalar(0);
}
bool on_meta(const Scalar&) { return false; }
bool on_meta(const Tensor& t) { return t.is_meta(); }

template <class A, class B>
struct LinspaceEnds : Factory {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto doc = "linspace between ends of which a tensor without dims gives one or both";
  static Tensor call(A start, B end, int64_t steps, OptDType dtype, OptDevice device) {
    const Scalar a = end_of("linspace", "start", start), b = end_of("linspace", "end", end);
    return linspace(a, b, steps, dtype, on_meta(start) || on_meta(end) ? OptDevice(kMeta) : device);
  }
};
template <class A, class B>
struct LogspaceEnds : Factory {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto doc = "logspace between ends of which a tensor without dims gives one or both";
  static Tensor call(A start, B end, int64_t steps, double base, OptDType dtype, OptDevice device) {
    const Scalar a = end_of("logspace", "start", start), b = end_of("logspace", "end", end);
    static const Op* const op = find_op("logspace");
    return call_op(op, a, b, steps, base, dtype, on_meta(start) || on_meta(end) ? OptDevice(kMeta) : device);
  }
};
#define EMBER_ENDS(Which, A, B, overload, a, b) \
  struct Linspace##Which : LinspaceEnds<A, B> { \
    static constexpr auto schema = "linspace." overload "(" a " start, " b \
                                   " end, int steps, *, ScalarType? dtype=None, Device? device=None) -> Tensor"; \
  }; \
  struct Logspace##Which : LogspaceEnds<A, B> { \
    static constexpr auto schema = \
        "logspace." overload "(" a " start, " b \
        " end, int steps, float base=10.0, *, ScalarType? dtype=None, Device? device=None) -> Tensor"; \
  };
EMBER_ENDS(Both, const Tensor&, const Tensor&, "Tensor_Tensor", "Tensor", "Tensor")
EMBER_ENDS(Start, const Tensor&, Scalar, "Tensor_Scalar", "Tensor", "Scalar")
EMBER_ENDS(End, Scalar, const Tensor&, "Scalar_Tensor", "Scalar", "Tensor")
#undef EMBER_ENDS

// ---- matrices ----

struct Eye : Factory {
  static constexpr auto schema =
      "eye(SymInt n, SymInt? m=None, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "The identity matrix, n by m (n by n)";
  static Meta infer(int64_t n, OptInt m, OptDType dtype, OptDevice device) {
    EMBER_CHECK(n >= 0, "n must be greater or equal to 0, got ", n);
    EMBER_CHECK(!m || *m >= 0, "m must be greater or equal to 0, got ", *m);
    return factory_meta("eye", {n, m.value_or(n)}, dtype, device);
  }
  static void cpu(Out y, int64_t n, OptInt m, OptDType, OptDevice) {
    cpu::fill(y, 0);
    int64_t ones = std::min(n, m.value_or(n));
    cpu::fill(alias_raw(y, {ones}, {y.strides()[0] + y.strides()[1]}, y.storage_offset()), 1);
  }
};

// Zeros on one side of a diagonal; what remains is self. In place only the zeros are written.
struct Triangle {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kAll;
  static Meta check(std::string_view op, const Tensor& self) {
    EMBER_CHECK(self.dim() >= 2, op, ": input tensor must have at least 2 dimensions");
    return Meta(self.sizes(), self);
  }
  static void keep(const Tensor& y, const Tensor& self, int64_t diagonal, bool upper) {
    if (!y.is(self)) cpu::copy(y, self);
    if (y.numel() == 0) return;
    int64_t rank = y.dim(), rows = y.size(-2), columns = y.size(-1), matrices = y.numel() / (rows * columns);
    int64_t size = item_size(y.dtype()), row_step = y.stride(-2) * size, step = y.stride(-1) * size;
    int64_t grain = std::max<int64_t>(32768 / columns, 1);
    diagonal = std::clamp(diagonal, -rows, columns);  // beyond, nothing changes
    parallel_for(0, matrices * rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        int64_t row = at % rows, rest = at / rows;
        char* line = static_cast<char*>(y.data()) + row * row_step;
        for (int64_t d = rank - 3; d >= 0; --d) {
          line += rest % y.sizes()[d] * y.strides()[d] * size;
          rest /= y.sizes()[d];
        }
        int64_t cut = std::clamp<int64_t>(row + diagonal + (upper ? 0 : 1), 0, columns);
        int64_t first = upper ? 0 : cut, last = upper ? cut : columns;
        if (step == size) std::memset(line + first * size, 0, static_cast<size_t>((last - first) * size));
        else
          for (int64_t c = first; c < last; ++c) std::memset(line + c * step, 0, static_cast<size_t>(size));
      }
    });
  }
};
struct Tril : Triangle {
  static constexpr auto schema = "tril(Tensor self, int diagonal=0) -> Tensor";
  static constexpr auto doc =
      "The lower triangle of matrices, with `diagonal` diagonals above the main one; zeros elsewhere";
  static Meta infer(const Tensor& self, int64_t) { return check("tril", self); }
  static void cpu(Out y, const Tensor& self, int64_t diagonal) { keep(y, self, diagonal, false); }
  static void vjp(Grads& d, const Tensor&, int64_t diagonal) { d.set(0, tril(d.g(), diagonal)); }
};
struct Triu : Triangle {
  static constexpr auto schema = "triu(Tensor self, int diagonal=0) -> Tensor";
  static constexpr auto doc =
      "The upper triangle of matrices from `diagonal` diagonals above the main one; zeros elsewhere";
  static Meta infer(const Tensor& self, int64_t) { return check("triu", self); }
  static void cpu(Out y, const Tensor& self, int64_t diagonal) { keep(y, self, diagonal, true); }
  static void vjp(Grads& d, const Tensor&, int64_t diagonal) { d.set(0, triu(d.g(), diagonal)); }
};

// Row and column numbers of a triangle's elements, row by row: [2, n].
struct TriangleIndices : LikeOp {
  static int64_t first(int64_t col, int64_t offset, int64_t r, bool upper) {
    return upper ? std::clamp<int64_t>(r + offset, 0, col) : 0;
  }
  static int64_t last(int64_t col, int64_t offset, int64_t r, bool upper) {
    return upper ? col : std::clamp<int64_t>(r + offset + 1, 0, col);
  }
  static Meta measure(int64_t row, int64_t col, int64_t offset, bool upper, OptDType dtype, OptDevice device) {
    EMBER_CHECK(row >= 0, "row must be non-negative, got", row);
    EMBER_CHECK(col >= 0, "col must be non-negative, got", col);
    // Rows of the lower triangle grow by one from `begin` until they are whole at `whole`.
    int64_t all = ember::count(Dims{row, col});
    int64_t diagonal = std::clamp(upper ? std::max(offset, -row) - 1 : offset, -row - 1, col);
    int64_t begin = std::min(row, std::max<int64_t>(0, -diagonal - 1));
    int64_t whole = std::clamp(col - diagonal - 1, begin, row), growing = whole - begin;
    int64_t n = growing * (begin + diagonal + 1) + growing * (growing - 1) / 2 + (row - whole) * col;
    if (upper) n = all - n;
    return Meta({2, n}, dtype.value_or(DType::kInt64), device.value_or(kCpu));
  }
  static void list(const Tensor& y, int64_t row, int64_t col, int64_t offset, bool upper) {
    offset = std::clamp(offset, -row - 1, col + 1);
    if (col == 0) return;
    visit(y.dtype(), [&]<class T>(T) {
      T *rows = y.data<T>(), *columns = rows + y.size(1);
      for (int64_t r = 0; r < row; ++r) {
        for (int64_t c = first(col, offset, r, upper); c < last(col, offset, r, upper); ++c)
          *rows++ = Scalar(r).to<T>(), *columns++ = Scalar(c).to<T>();
      }
    });
  }
};
struct TrilIndices : TriangleIndices {
  static constexpr auto schema =
      "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Rows and columns of the lower triangle's elements, int64 of shape [2, n]";
  static Meta infer(int64_t row, int64_t col, int64_t offset, OptDType dtype, OptDevice device) {
    return measure(row, col, offset, false, dtype, device);
  }
  static void cpu(Out y, int64_t row, int64_t col, int64_t offset, OptDType, OptDevice) {
    list(y, row, col, offset, false);
  }
};
struct TriuIndices : TriangleIndices {
  static constexpr auto schema =
      "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Rows and columns of the upper triangle's elements, int64 of shape [2, n]";
  static Meta infer(int64_t row, int64_t col, int64_t offset, OptDType dtype, OptDevice device) {
    return measure(row, col, offset, true, dtype, device);
  }
  static void cpu(Out y, int64_t row, int64_t col, int64_t offset, OptDType, OptDevice) {
    list(y, row, col, offset, true);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> creation_ops() {
  return make_family<Empty, EmptyStrided, Zeros, Ones, Full, ScalarTensor, EmptyLike, ZerosLike, OnesLike, FullLike,
                     NewEmpty, NewZeros, NewOnes, NewFull, NewEmptyStrided, Arange, ArangeStart, ArangeStep, Range,
                     LinspaceBoth, LinspaceStart, LinspaceEnd, Linspace, LogspaceBoth, LogspaceStart, LogspaceEnd,
                     Logspace, Eye, Tril, Triu, TrilIndices, TriuIndices>();
}

}  // namespace ember
