// Random tensors, over the kernels of kernel/cpu/random.h, which draw PyTorch's numbers. In-place forms fill self; the
// functions fill a new tensor. A tensor that is not dense is filled through a dense one in the order of its strides.
// Filling has no gradient: what was there is forgotten.
#include "kernel/cpu/random.h"

#include <cmath>

#include "kernel/cpu/elementwise.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {
namespace {

struct InplaceOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kInplace;
};
struct FactoryOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
};
struct FunctionOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
};

Generator& generator_or_default(Generator* g) { return g ? *g : *default_generator(); }

// Calls fill(memory, elements) on y's memory: itself where it has no holes, else a dense block laid out in the order of
// y's strides and copied.
template <class F>
void fill_in_memory_order(const Tensor& y, F&& fill) {
  if (y.numel() == 0) return;
  if (is_non_overlapping_and_dense(y.sizes(), y.strides())) return fill(y.data(), y.numel());
  Tensor dense = empty_strided_raw(y.sizes(), dense_strides_like(y.sizes(), y.strides()), y.dtype(), y.device());
  fill(dense.data(), y.numel());
  cpu::copy(y, dense);
}

void check_floating(std::string_view op, const Tensor& self) {
  EMBER_CHECK_NOT_IMPLEMENTED(is_floating(self.dtype()), "\"", op, "\" not implemented for '", self.dtype(), "'");
}

Meta self_meta(const Tensor& self) {
  return Meta(self.sizes(), dense_strides_like(self.sizes(), self.strides()), self.dtype(), self.device());
}

void no_gradient(Grads& d) {
  if (d.wants(0)) d.set(0, zeros_like(d.g()));
}

// ---- filling self ----

void fill_uniform(const Tensor& y, double from, double to, Generator* g) {
  DType part = real_of(y.dtype());
  int64_t parts = is_complex(y.dtype()) ? 2 : 1;
  fill_in_memory_order(
      y, [&](void* out, int64_t n) { kernel::uniform(generator_or_default(g), part, out, n * parts, from, to); });
}

void fill_normal(const Tensor& y, double mean, double std, Generator* g) {
  DType part = real_of(y.dtype());
  int64_t parts = is_complex(y.dtype()) ? 2 : 1;
  if (parts == 2) std /= std::sqrt(2.0);  // the variance is the two parts' together
  bool serial = !y.is_contiguous();
  fill_in_memory_order(y, [&](void* out, int64_t n) {
    (serial ? kernel::normal_serial : kernel::normal)(generator_or_default(g), part, out, n * parts, mean, std);
  });
}

struct Uniform : InplaceOp {
  static constexpr auto schema =
      "uniform(Tensor self, float from=0.0, float to=1.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Uniform numbers of [from, to)";
  static Meta infer(const Tensor& self, double, double, Generator*) { return self_meta(self); }
  static void cpu(Out y, const Tensor&, double from, double to, Generator* g) { fill_uniform(y, from, to, g); }
  static void vjp(Grads& d, const Tensor&, double, double, Generator*) { no_gradient(d); }
};

struct NormalFill : InplaceOp {
  static constexpr auto schema =
      "normal(Tensor self, float mean=0.0, float std=1.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Normal numbers of the given mean and standard deviation";
  static Meta infer(const Tensor& self, double, double std, Generator*) {
    EMBER_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std);
    return self_meta(self);
  }
  static void cpu(Out y, const Tensor&, double mean, double std, Generator* g) { fill_normal(y, mean, std, g); }
  static void vjp(Grads& d, const Tensor&, double, double, Generator*) { no_gradient(d); }
};

struct LogNormal : InplaceOp {
  static constexpr auto schema =
      "log_normal(Tensor self, float mean=1.0, float std=2.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "exp of normal numbers of the given mean and standard deviation";
  static Meta infer(const Tensor& self, double, double std, Generator*) {
    EMBER_CHECK(std > 0, "log_normal_ expects std > 0.0, but found std=", std);
    check_floating("log_normal_", self);
    return self_meta(self);
  }
  static void cpu(Out y, const Tensor&, double mean, double std, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::log_normal(generator_or_default(g), y.dtype(), out, n, mean, std); });
  }
  static void vjp(Grads& d, const Tensor&, double, double, Generator*) { no_gradient(d); }
};
struct Cauchy : InplaceOp {
  static constexpr auto schema =
      "cauchy(Tensor self, float median=0.0, float sigma=1.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Numbers of the Cauchy distribution";
  static Meta infer(const Tensor& self, double, double sigma, Generator*) {
    EMBER_CHECK(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
    EMBER_CHECK(is_floating(self.dtype()),
                "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
                "specified ",
                self.dtype());
    return self_meta(self);
  }
  static void cpu(Out y, const Tensor&, double median, double sigma, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::cauchy(generator_or_default(g), y.dtype(), out, n, median, sigma); });
  }
  static void vjp(Grads& d, const Tensor&, double, double, Generator*) { no_gradient(d); }
};
struct Exponential : InplaceOp {
  static constexpr auto schema = "exponential(Tensor self, float lambd=1.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Numbers of the exponential distribution of rate lambd";
  static Meta infer(const Tensor& self, double lambd, Generator*) {
    EMBER_CHECK(lambd > 0, "exponential_ expects lambda > 0.0, but found lambda=", lambd);
    EMBER_CHECK(is_floating(self.dtype()),
                "Exponential distribution is a continuous probability distribution. dtype must be a floating point but "
                "you specified ",
                self.dtype());
    return self_meta(self);
  }
  static void cpu(Out y, const Tensor&, double lambd, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::exponential(generator_or_default(g), y.dtype(), out, n, lambd); });
  }
  static void vjp(Grads& d, const Tensor&, double, Generator*) { no_gradient(d); }
};
struct Geometric : InplaceOp {
  static constexpr auto schema = "geometric(Tensor self, float p, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "The number of trials until the first success of probability p";
  static Meta infer(const Tensor& self, double p, Generator*) {
    EMBER_CHECK(0 < p && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
    return self_meta(self);
  }
  static void cpu(Out y, const Tensor&, double p, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::geometric(generator_or_default(g), y.dtype(), out, n, p); });
  }
  static void vjp(Grads& d, const Tensor&, double, Generator*) { no_gradient(d); }
};

struct Random : InplaceOp {
  static constexpr auto schema = "random(Tensor self, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Integers from 0 to the dtype's largest (floats: to the largest without gaps below)";
  static Meta infer(const Tensor& self, Generator*) { return self_meta(self); }
  static void cpu(Out y, const Tensor&, Generator* g) {
    fill_in_memory_order(y, [&](void* out, int64_t n) { kernel::random(generator_or_default(g), y.dtype(), out, n); });
  }
  static void vjp(Grads& d, const Tensor&, Generator*) { no_gradient(d); }
};
struct RandomTo : InplaceOp {
  static constexpr auto schema = "random.to(Tensor self, int to, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Integers of [0, to)";
  static Meta infer(const Tensor& self, int64_t, Generator*) { return self_meta(self); }
  static void cpu(Out y, const Tensor&, int64_t to, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::randint(generator_or_default(g), y.dtype(), out, n, 0, to); });
  }
  static void vjp(Grads& d, const Tensor&, int64_t, Generator*) { no_gradient(d); }
};
struct RandomFrom : InplaceOp {
  static constexpr auto schema = "random.from(Tensor self, int from, int? to, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Integers of [from, to), without `to` up to the dtype's largest";
  static Meta infer(const Tensor& self, int64_t, OptInt, Generator*) { return self_meta(self); }
  static void cpu(Out y, const Tensor&, int64_t from, OptInt to, Generator* g) {
    fill_in_memory_order(
        y, [&](void* out, int64_t n) { kernel::randint(generator_or_default(g), y.dtype(), out, n, from, to); });
  }
  static void vjp(Grads& d, const Tensor&, int64_t, OptInt, Generator*) { no_gradient(d); }
};

// ---- new tensors ----

Meta drawn(Meta m) {  // numbers come in the order of the destination's memory
  m.any_strides = true;
  return m;
}
Meta factory_meta(std::string_view op, DimsView size, OptDType dtype, OptDevice device) {
  DType d = dtype.value_or(default_dtype());
  EMBER_CHECK_NOT_IMPLEMENTED(is_differentiable(d), "\"", op, "\" not implemented for '", d, "'");
  return drawn(Meta(size, d, device.value_or(kCpu)));
}

struct Rand : FactoryOp {
  static constexpr auto schema =
      "rand(SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Uniform numbers of [0, 1)";
  static Meta infer(DimsView size, Generator*, OptDType dtype, OptDevice device) {
    return factory_meta("check_uniform_bounds", size, dtype, device);
  }
  static void cpu(Out y, DimsView, Generator* g, OptDType, OptDevice) { fill_uniform(y, 0, 1, g); }
};
struct Randn : FactoryOp {
  static constexpr auto schema =
      "randn(SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Numbers of the standard normal distribution";
  static Meta infer(DimsView size, Generator*, OptDType dtype, OptDevice device) {
    return factory_meta("normal_kernel_cpu", size, dtype, device);
  }
  static void cpu(Out y, DimsView, Generator* g, OptDType, OptDevice) { fill_normal(y, 0, 1, g); }
};

void fill_integers(const Tensor& y, int64_t low, int64_t high, Generator* g) {
  fill_in_memory_order(
      y, [&](void* out, int64_t n) { kernel::randint(generator_or_default(g), y.dtype(), out, n, low, high); });
}
void check_bounds(int64_t low, int64_t high) {
  EMBER_CHECK(low < high, "random_ expects 'from' to be less than 'to', but got from=", low, " >= to=", high);
}
struct RandintLow : FactoryOp {
  static constexpr auto schema =
      "randint.low(SymInt low, SymInt high, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, "
      "Device? "
      "device=None) -> Tensor";
  static constexpr auto doc = "Integers of [low, high), int64 unless given";
  static Meta infer(int64_t low, int64_t high, DimsView size, Generator*, OptDType dtype, OptDevice device) {
    check_bounds(low, high);
    return drawn(Meta(size, dtype.value_or(DType::kInt64), device.value_or(kCpu)));
  }
  static void cpu(Out y, int64_t low, int64_t high, DimsView, Generator* g, OptDType, OptDevice) {
    fill_integers(y, low, high, g);
  }
};
struct Randint : FactoryOp {
  static constexpr auto schema =
      "randint(SymInt high, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None) "
      "-> "
      "Tensor";
  static constexpr auto doc = "Integers of [0, high), int64 unless given";
  static Meta infer(int64_t high, DimsView size, Generator* g, OptDType dtype, OptDevice device) {
    return RandintLow::infer(0, high, size, g, dtype, device);
  }
  static void cpu(Out y, int64_t high, DimsView, Generator* g, OptDType, OptDevice) { fill_integers(y, 0, high, g); }
};
struct Randperm : FactoryOp {
  static constexpr auto schema =
      "randperm(SymInt n, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "The numbers 0 to n - 1 in random order, int64 unless given";
  static Meta infer(int64_t n, Generator*, OptDType dtype, OptDevice device) {
    EMBER_CHECK(n >= 0, "n must be non-negative, got", n);
    return Meta({n}, dtype.value_or(DType::kInt64), device.value_or(kCpu));
  }
  static void cpu(Out y, int64_t n, Generator* g, OptDType, OptDevice) {
    fill_in_memory_order(y, [&](void* out, int64_t) { kernel::randperm(generator_or_default(g), y.dtype(), out, n); });
  }
};

// The _like forms: a new tensor in the order of self's strides, then the in-place op. PyTorch draws for such a tensor
// in the order of its memory, and takes the serial path of normal numbers where it is not contiguous; so does the fill.
struct LikeForm {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};
struct RandLike : LikeForm {
  static constexpr auto schema =
      "rand_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None, MemoryFormat? "
      "memory_format=None) -> Tensor";
  static constexpr auto doc = "Uniform numbers of [0, 1), shaped as self";
  static Tensor call(const Tensor& self, Generator* g, OptDType dtype, OptDevice device,
                     std::optional<MemoryFormat> format) {
    return uniform_(empty_like(self, dtype, device, format), 0, 1, g);
  }
};
struct RandnLike : LikeForm {
  static constexpr auto schema =
      "randn_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Device? device=None, "
      "MemoryFormat? "
      "memory_format=None) -> Tensor";
  static constexpr auto doc = "Numbers of the standard normal distribution, shaped as self";
  static Tensor call(const Tensor& self, Generator* g, OptDType dtype, OptDevice device,
                     std::optional<MemoryFormat> format) {
    return normal_(empty_like(self, dtype, device, format), 0, 1, g);
  }
};
Tensor integers_like(const Tensor& self, int64_t low, int64_t high, Generator* g, OptDType dtype, OptDevice device,
                     std::optional<MemoryFormat> format) {
  check_bounds(low, high);
  static const Op* const random = find_op("random.from");
  return call_op_inplace(random, empty_like(self, dtype, device, format), low, OptInt(high), g);
}
struct RandintLikeLow : LikeForm {
  static constexpr auto schema =
      "randint_like.low(Tensor self, SymInt low, SymInt high, *, Generator? generator=None, ScalarType? dtype=None, "
      "Device? device=None, MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc = "Integers of [low, high) in the shape and dtype of self";
  static Tensor call(const Tensor& self, int64_t low, int64_t high, Generator* g, OptDType dtype, OptDevice device,
                     std::optional<MemoryFormat> format) {
    return integers_like(self, low, high, g, dtype, device, format);
  }
};
struct RandintLike : LikeForm {
  static constexpr auto schema =
      "randint_like(Tensor self, SymInt high, *, Generator? generator=None, ScalarType? dtype=None, Device? "
      "device=None, "
      "MemoryFormat? memory_format=None) -> Tensor";
  static constexpr auto doc = "Integers of [0, high) in the shape and dtype of self";
  static Tensor call(const Tensor& self, int64_t high, Generator* g, OptDType dtype, OptDevice device,
                     std::optional<MemoryFormat> format) {
    return integers_like(self, 0, high, g, dtype, device, format);
  }
};

// torch.normal with tensors of means and deviations: standard normal numbers, scaled and shifted. A sample has no
// gradient, but it says so by zeros.
struct NormalOp {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kOut;
  static void draw(const Tensor& y, const Tensor& mean, const Tensor& std, Generator* g) {
    const Without kernels_only(~Keys{0});
    EMBER_CHECK(std.numel() == 0 || amin(std).item().to<double>() >= 0, "normal expects all elements of std >= 0.0");
    fill_normal(y, 0, 1, g);
    mul_(y, std), add_(y, mean);
  }
  static void check_std(const Tensor& std) {
    EMBER_CHECK(!is_complex(std.dtype()), "normal expects standard deviation to be non-complex");
  }
  static void no_gradients(Grads& d) {
    for (int i = 0; i < 2; ++i) {
      if (d.wants(i)) d.set(i, zeros_like(d.g()));
    }
  }
};
struct NormalTensors : NormalOp {
  static constexpr auto schema =
      "normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Normal numbers, each with its own mean and standard deviation";
  static Meta infer(const Tensor& mean, const Tensor& std, Generator*) {
    check_std(std);
    return drawn(Meta(broadcast_shapes(mean.sizes(), std.sizes()), mean));
  }
  static void cpu(Out y, const Tensor& mean, const Tensor& std, Generator* g) { draw(y, mean, std, g); }
  static void vjp(Grads& d, const Tensor&, const Tensor&, Generator*) { no_gradients(d); }
};
struct NormalTensorFloat : NormalOp {
  static constexpr auto schema =
      "normal.Tensor_float(Tensor mean, float std=1.0, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Normal numbers, each with its own mean";
  static Meta infer(const Tensor& mean, double std, Generator*) {
    EMBER_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std);
    return drawn(Meta(mean.sizes(), mean));
  }
  static void cpu(Out y, const Tensor& mean, double std, Generator* g) {
    fill_normal(y, 0, std, g);
    const Without kernels_only(~Keys{0});
    add_(y, mean);
  }
  static void vjp(Grads& d, const Tensor&, double, Generator*) { no_gradients(d); }
};
struct NormalFloatTensor : NormalOp {
  static constexpr auto schema = "normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Normal numbers, each with its own standard deviation";
  static Meta infer(double, const Tensor& std, Generator*) {
    check_std(std);
    return drawn(Meta(std.sizes(), std));
  }
  static void cpu(Out y, double mean, const Tensor& std, Generator* g) { draw(y, Tensor(mean), std, g); }
  static void vjp(Grads& d, double, const Tensor&, Generator*) { no_gradients(d); }
};
struct NormalFloats : FactoryOp {
  static constexpr auto schema =
      "normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, "
      "Device? device=None) -> Tensor";
  static constexpr auto doc = "Normal numbers of one mean and standard deviation, of a given shape";
  static Meta infer(double, double std, DimsView size, Generator*, OptDType dtype, OptDevice device) {
    EMBER_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std);
    return factory_meta("normal_kernel_cpu", size, dtype, device);
  }
  static void cpu(Out y, double mean, double std, DimsView, Generator* g, OptDType, OptDevice) {
    fill_normal(y, mean, std, g);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> random_ops() {
  return make_family<Uniform, NormalTensors, NormalTensorFloat, NormalFloatTensor, NormalFloats, NormalFill, LogNormal,
                     Cauchy, Exponential, Geometric, Random, RandomTo, RandomFrom, Rand, Randn, Randint, RandintLow,
                     Randperm, RandLike, RandnLike, RandintLike, RandintLikeLow>();
}

}  // namespace ember
