// Sampling from given probabilities, and the random masks of training: bernoulli, multinomial, dropout and its kin.
// Dropout keeps its mask, one byte an element, for the backward pass. The draws are kernel/cpu/random.h's.
#include <array>
#include <cmath>
#include <mutex>

#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/random.h"
#include "op/family/checks.h"
#include "op/make.h"
#include "op/ops.h"

namespace ember {
namespace {

struct Function {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
};
struct FunctionMethod {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct Inplace {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kInplace;
};
struct CompositeInplace {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kInplace;
};

Generator& generator_or_default(Generator* g) { return g ? *g : *default_generator(); }

// x itself if it is laid out by `strides` and has the dtype, else a copy that is.
Tensor laid_out(const Tensor& x, DimsView strides, DType dtype) {
  if (DimsView(x.strides()) == strides && x.dtype() == dtype) return x;
  Tensor dense = empty_strided_raw(x.sizes(), strides, dtype, x.device());
  cpu::copy(dense, x);
  return dense;
}
Dims dense_strides(const Tensor& x) { return dense_strides_like(x.sizes(), x.strides()); }

void zero_gradient(Grads& d) {
  if (d.wants(0)) d.set(0, zeros_like(d.g()));
}

// ---- bernoulli ----

void fill_bernoulli(const Tensor& y, double p, Generator* g) {
  Tensor dense = laid_out(y, dense_strides(y), y.dtype());
  kernel::bernoulli(generator_or_default(g), y.dtype(), dense.data(), y.numel(), p);
  if (!dense.is(y)) cpu::copy(y, dense);
}
// Each element of y with its own probability; p broadcasts.
void fill_bernoulli(const Tensor& y, const Tensor& p, Generator* g) {
  Tensor chances = empty_strided_raw(y.sizes(), dense_strides(y), p.dtype(), y.device());
  cpu::copy(chances, p);
  Tensor dense = laid_out(y, chances.strides(), y.dtype());
  kernel::bernoulli(generator_or_default(g), y.dtype(), dense.data(), y.numel(), p.dtype(), chances.data());
  if (!dense.is(y)) cpu::copy(y, dense);
}

struct Bernoulli : FunctionMethod {
  static constexpr auto schema = "bernoulli(Tensor self, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Zeros and ones, each one with the probability that stands in self";
  static constexpr auto forms = form::kFunction | form::kMethod | form::kOut;
  static Meta infer(const Tensor& self, Generator*) {
    Meta m(self.sizes(), self);
    m.any_strides = true;  // the draws go in the order of the destination's memory
    return m;
  }
  static void cpu(Out y, const Tensor& self, Generator* g) { fill_bernoulli(y, self, g); }
  static void vjp(Grads& d, const Tensor&, Generator*) { zero_gradient(d); }
};
struct BernoulliP : FunctionMethod {
  static constexpr auto schema = "bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Zeros and ones shaped as self, ones with probability p";
  static Meta infer(const Tensor& self, double, Generator*) {
    return Meta(self.sizes(), dense_strides(self), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor&, double p, Generator* g) { fill_bernoulli(y, p, g); }
  static void vjp(Grads& d, const Tensor&, double, Generator*) { zero_gradient(d); }
};
struct BernoulliFloat : Inplace {
  static constexpr auto schema = "bernoulli.float(Tensor self, float p=0.5, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Zeros and ones, ones with probability p";
  static Meta infer(const Tensor& self, double p, Generator* g) { return BernoulliP::infer(self, p, g); }
  static void cpu(Out y, const Tensor&, double p, Generator* g) { fill_bernoulli(y, p, g); }
  static void vjp(Grads& d, const Tensor&, double, Generator*) { zero_gradient(d); }
};
struct BernoulliTensor : Inplace {
  static constexpr auto schema = "bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Zeros and ones, each one with the probability that stands in p, which broadcasts";
  static Meta infer(const Tensor& self, const Tensor& p, Generator*) {
    EMBER_CHECK(is_floating(p.dtype()), "bernoulli_: expected floating point probabilities, got ", p.dtype());
    return Meta(broadcast_shapes(self.sizes(), p.sizes()), self);
  }
  static void cpu(Out y, const Tensor&, const Tensor& p, Generator* g) { fill_bernoulli(y, p, g); }
  static void vjp(Grads& d, const Tensor&, const Tensor&, Generator*) {
    zero_gradient(d);
    if (d.wants(1)) d.set(1, zeros_like(d.g()));
  }
};

struct Multinomial : FunctionMethod {
  static constexpr auto schema =
      "multinomial(Tensor self, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Indices drawn by the weights in each row of self: int64, [*, num_samples]";
  static constexpr auto forms = form::kFunction | form::kMethod | form::kOut;
  static Meta infer(const Tensor& self, int64_t n, bool replacement, Generator*) {
    EMBER_CHECK(self.dim() == 1 || self.dim() == 2, "prob_dist must be 1 or 2 dim");
    EMBER_CHECK(is_floating(self.dtype()),
                "multinomial only supports floating-point dtypes for input, got: ", self.dtype());
    EMBER_CHECK(n > 0, "cannot sample n_sample <= 0 samples");
    EMBER_CHECK(replacement || n <= self.size(-1),
                "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
    Dims sizes = self.sizes();
    sizes.back() = n;
    return Meta(sizes, DType::kInt64, self.device());
  }
  static void cpu(Out y, const Tensor& self, int64_t n, bool replacement, Generator* g) {
    Tensor weights = laid_out(self, contiguous_strides(self.sizes()), self.dtype());
    Tensor out = y.is_contiguous() ? y : empty_raw(y.sizes(), y.dtype());
    int64_t columns = self.size(-1), rows = self.dim() == 2 ? self.size(0) : 1;
    kernel::multinomial(generator_or_default(g), self.dtype(), weights.data(), rows, columns, n, replacement,
                        out.data<int64_t>());
    if (!out.is(y)) cpu::copy(y, out);
  }
};

// ---- counts and waiting times with a tensor of parameters ----

struct Poisson : Function {
  static constexpr auto schema = "poisson(Tensor self, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Poisson numbers, each of the rate that stands in self";
  static Meta infer(const Tensor& self, Generator*) { return Meta(self.sizes(), self); }
  static void cpu(Out y, const Tensor& self, Generator* g) {
    Tensor rate = laid_out(self, y.strides(), self.dtype());
    kernel::poisson(generator_or_default(g), y.dtype(), rate.data(), y.data(), y.numel());
  }
  static void vjp(Grads& d, const Tensor&, Generator*) { zero_gradient(d); }
};
struct Binomial : Function {
  static constexpr auto schema = "binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "How many of `count` trials of probability `prob` succeed";
  static Meta infer(const Tensor& count, const Tensor& prob, Generator*) {
    return Meta(broadcast_shapes(count.sizes(), prob.sizes()), count);
  }
  static void cpu(Out y, const Tensor& count, const Tensor& prob, Generator* g) {
    Tensor n = empty_raw(y.sizes(), y.dtype()), p = empty_raw(y.sizes(), y.dtype());
    cpu::copy(n, count), cpu::copy(p, prob);
    kernel::binomial(generator_or_default(g), y.dtype(), n.data(), p.data(), y.data(), y.numel());
  }
  static void vjp(Grads& d, const Tensor&, const Tensor&, Generator*) {
    for (int i = 0; i < 2; ++i) {
      if (d.wants(i)) d.set(i, zeros_like(d.g()));
    }
  }
};
struct StandardGamma : Function {
  static constexpr auto schema = "_standard_gamma(Tensor self, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Gamma numbers of rate one, each of the shape that stands in self";
  static Meta infer(const Tensor& self, Generator*) { return Meta(self.sizes(), self); }
  static void cpu(Out y, const Tensor& self, Generator* g) {
    Tensor shape = laid_out(self, y.strides(), self.dtype());
    kernel::standard_gamma(generator_or_default(g), y.dtype(), shape.data(), y.data(), y.numel());
  }
};
struct SampleDirichlet : Function {
  static constexpr auto schema = "_sample_dirichlet(Tensor self, Generator? generator=None) -> Tensor";
  static constexpr auto doc = "Rows that sum to one, drawn by the concentrations in self's rows";
  static Meta infer(const Tensor& self, Generator*) { return Meta(self.sizes(), self); }
  static void cpu(Out y, const Tensor& self, Generator* g) {
    Tensor c = laid_out(self, y.strides(), self.dtype());
    int64_t columns = std::max<int64_t>(y.size(-1), 1);
    kernel::dirichlet(generator_or_default(g), y.dtype(), c.data(), y.data(), y.numel() / columns, columns);
  }
};

// ---- dropout ----

template <class T>
void scale_tile(void* out, const void* const* in, const void* params, int64_t n) {
  auto* y = static_cast<T*>(out);
  auto* g = static_cast<const T*>(in[0]);
  auto* mask = static_cast<const uint8_t*>(in[1]);
  T scale = *static_cast<const T*>(params);
  for (int64_t i = 0; i < n; ++i) y[i] = g[i] * (mask[i] ? scale : T(0));
}

struct MaskedScale : Function {
  static constexpr auto schema = "_masked_scale(Tensor self, Tensor mask, float scale) -> Tensor";
  static constexpr auto doc = "self * mask * scale in one pass; mask is bool, of self's shape";
  static constexpr auto saves = Saves{.inputs = 2};
  static Meta infer(const Tensor& self, const Tensor& mask, double) {
    EMBER_CHECK(is_floating(self.dtype()), "_masked_scale: expected a floating point input, but got ", self.dtype());
    check_made("_masked_scale", "mask", mask, Meta(self.sizes(), DType::kBool, self.device()));
    return Meta(self.sizes(), dense_strides(mask), self.dtype(), self.device());
  }
  static void cpu(Out y, const Tensor& self, const Tensor& mask, double scale) {
    DType t = is_reduced_float(y.dtype()) ? DType::kFloat32 : y.dtype();
    Dims a, b, c;
    cpu::Operand in[] = {cpu::operand(self, y.sizes(), t, a), cpu::operand(mask, y.sizes(), DType::kBool, b)};
    cpu::Operand out = cpu::operand(y, y.sizes(), t, c);
    float narrow = static_cast<float>(scale);
    if (t == DType::kFloat32) cpu::elementwise(scale_tile<float>, y.sizes(), out, Span<cpu::Operand>(in, 2), &narrow);
    else cpu::elementwise(scale_tile<double>, y.sizes(), out, Span<cpu::Operand>(in, 2), &scale);
  }
  static void vjp(Grads& d, const Tensor&, const Tensor& mask, double scale) {
    static const Op* const op = find_op("_masked_scale");
    d.set(0, call_op(op, d.g(), mask, scale));
  }
};

struct NativeDropout : Function {
  static constexpr auto schema = "_dropout(Tensor self, float p) -> (Tensor output, Tensor mask)";
  static constexpr auto doc =
      "Elements of self dropped with probability p, the others scaled by 1 / (1 - p), and the mask";
  static constexpr auto saves = Saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& self, double) {
    EMBER_CHECK(is_floating(self.dtype()), "dropout: expected a floating point input, but got ", self.dtype());
    Dims strides = dense_strides(self);
    return {Meta(self.sizes(), strides, self.dtype(), self.device()),
            Meta(self.sizes(), strides, DType::kBool, self.device())};
  }
  static void cpu(Out y, Out mask, const Tensor& self, double p) {
    Tensor x = laid_out(self, y.strides(), self.dtype());
    kernel::dropout(*default_generator(), y.dtype(), x.data(), y.data(), mask.data<bool>(), y.numel(), p);
  }
  static void vjp(Grads& d, const Tensor&, double p) {
    static const Op* const op = find_op("_masked_scale");
    d.set(0, call_op(op, d.g(), d.y(1), p == 1 ? 0.0 : 1 / (1 - p)));
  }
};

void check_probability(double p) {
  EMBER_CHECK(0 <= p && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
}

struct Dropout : CompositeInplace {
  static constexpr auto schema = "dropout(Tensor self, float p, bool train) -> Tensor";
  static constexpr auto doc = "In training, elements dropped with probability p and the others scaled by 1 / (1 - p)";
  static Tensor call(const Tensor& self, double p, bool train) {
    static const Op* const op = find_op("_dropout");
    check_probability(p);
    if (p == 0 || !train || self.numel() == 0) return self;
    if (p == 1) return mul(self, zeros({}, self.dtype(), self.device()));
    return call_op(op, self, p);
  }
};

// noise of shape [N, C, 1, ...]: whole channels are dropped.
Tensor channel_noise(const Tensor& self) {
  EMBER_CHECK(self.dim() >= 2, "Feature dropout requires at least 2 dimensions in the input");
  Dims sizes(self.sizes().size(), 1);
  sizes[0] = self.sizes()[0], sizes[1] = self.sizes()[1];
  return empty(sizes, self.dtype(), self.device());
}
const Tensor& draw_kept(const Tensor& noise, double p) {
  static const Op* const op = find_op("bernoulli.float");
  return call_op_inplace(op, noise, 1 - p, static_cast<Generator*>(nullptr));
}

struct FeatureDropout : CompositeInplace {
  static constexpr auto schema = "feature_dropout(Tensor self, float p, bool train) -> Tensor";
  static constexpr auto doc = "dropout of whole channels, the second dim";
  static Tensor call(const Tensor& self, double p, bool train) {
    check_probability(p);
    if (p == 0 || !train || self.numel() == 0) return self;
    if (p == 1) return mul(self, zeros({}, self.dtype(), self.device()));
    Tensor noise = channel_noise(self);
    return mul(self, div_(draw_kept(noise, p), Tensor(1 - p)));
  }
};

// What is dropped takes the saturation value of SELU, and an affine map restores mean and variance.
Tensor alpha_dropped(const Tensor& self, const Tensor& noise, double p) {
  constexpr double kAlpha = 1.7580993408473766;
  double a = 1 / std::sqrt((kAlpha * kAlpha * p + 1) * (1 - p));
  draw_kept(noise, p);
  Tensor shift = (noise + -1.0) * (kAlpha * a) + kAlpha * a * p;
  return add(mul(self, noise * a), shift);
}
struct AlphaDropout : CompositeInplace {
  static constexpr auto schema = "alpha_dropout(Tensor self, float p, bool train) -> Tensor";
  static constexpr auto doc = "dropout that keeps mean and variance of what went through SELU";
  static Tensor call(const Tensor& self, double p, bool train) {
    check_probability(p);
    if (p == 0 || !train || self.numel() == 0) return self;
    if (p == 1) return mul(self, zeros({}, self.dtype(), self.device()));
    return alpha_dropped(self, empty_like(self), p);
  }
};
struct FeatureAlphaDropout : CompositeInplace {
  static constexpr auto schema = "feature_alpha_dropout(Tensor self, float p, bool train) -> Tensor";
  static constexpr auto doc = "alpha_dropout of whole channels, the second dim";
  static Tensor call(const Tensor& self, double p, bool train) {
    check_probability(p);
    if (p == 0 || !train || self.numel() == 0) return self;
    if (p == 1) return mul(self, zeros({}, self.dtype(), self.device()));
    return alpha_dropped(self, channel_noise(self), p);
  }
};

// ---- rrelu ----

struct RreluNoise : Function {
  static constexpr auto schema =
      "_rrelu(Tensor self, float lower, float upper, Generator? generator=None) -> (Tensor output, Tensor noise)";
  static constexpr auto doc = "Negative elements scaled by uniform numbers of [lower, upper), and the scales";
  static constexpr auto saves = Saves{.outputs = 2};
  static std::array<Meta, 2> infer(const Tensor& self, double lower, double upper, Generator*) {
    EMBER_CHECK(is_floating(self.dtype()), "rrelu: expected a floating point input, but got ", self.dtype());
    EMBER_CHECK(lower <= upper, "Lower bound should be less than or equal to the upper bound");
    return {Meta(self.sizes(), self), Meta(self.sizes(), self)};
  }
  static void cpu(Out y, Out noise, const Tensor& self, double lower, double upper, Generator* generator) {
    DType t = self.dtype() == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    Tensor x = laid_out(self, y.strides(), t);
    Tensor out = laid_out(y, y.strides(), t), scales = laid_out(noise, y.strides(), t);
    Generator& g = generator_or_default(generator);
    std::lock_guard<std::mutex> lock(g.mutex());
    visit(t, [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        const T* from = x.data<T>();
        T *to = out.data<T>(), *scale = scales.data<T>();
        for (int64_t i = 0; i < y.numel(); ++i) {
          scale[i] = T(1);
          if (from[i] <= 0) {
            double u = static_cast<double>(g.random64() & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
            scale[i] = static_cast<T>(u * (upper - lower) + lower);
          }
          to[i] = from[i] * scale[i];
        }
      }
    });
    if (!out.is(y)) cpu::copy(y, out), cpu::copy(noise, scales);
  }
  static void vjp(Grads& d, const Tensor&, double, double, Generator*) { d.set(0, d.g() * d.y(1)); }
};
struct Rrelu : CompositeInplace {
  static constexpr auto schema =
      "rrelu(Tensor self, float lower=0.125, float upper=0.3333333333333333, bool training=False, Generator? "
      "generator=None) -> Tensor";
  static constexpr auto doc =
      "leaky_relu whose slope is drawn from [lower, upper) in training, and its middle otherwise";
  static Tensor call(const Tensor& self, double lower, double upper, bool training, Generator* generator) {
    static const Op* const op = find_op("_rrelu");
    EMBER_CHECK(lower <= upper, "Lower bound should be less than or equal to the upper bound");
    if (!training) return leaky_relu(self, (lower + upper) / 2);
    return call_op(op, self, lower, upper, generator);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> dropout_ops() {
  return make_family<Bernoulli, BernoulliP, BernoulliFloat, BernoulliTensor, Multinomial, Poisson, Binomial,
                     StandardGamma, SampleDirichlet, MaskedScale, NativeDropout, Dropout, FeatureDropout, AlphaDropout,
                     FeatureAlphaDropout, RreluNoise, Rrelu>();
}

}  // namespace ember
