// Padding, and the patches of images (im2col, col2im) that nn.Unfold and nn.Fold are. A constant border is a kernel;
// the other modes are joins of views: reversed, repeated or wrapped ends before and behind the input.
#include <algorithm>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "op/family/checks.h"
#include "op/family/geometry.h"

namespace ember {
namespace {

// The part of x that a pad keeps (negative pads crop), and where it lies in the result.
struct Placement {
  Dims out;         // sizes of the result
  View from, to;    // the kept part within x and within a result with strides `to.strides`
  bool any = true;  // does something remain?
};
Placement place(const View& x, DimsView pad, DimsView out_strides, int64_t out_offset) {
  EMBER_CHECK(pad.size() % 2 == 0, "Length of pad must be even but instead it equals ",
              static_cast<int64_t>(pad.size()));
  EMBER_CHECK(pad.size() <= 2 * x.sizes.size(),
              "Length of pad should be no more than twice the number of dimensions of the "
              "input. Pad length is ",
              static_cast<int64_t>(pad.size()), " while the input has ", static_cast<int64_t>(x.sizes.size()),
              " dimensions.");
  Placement p{x.sizes, x, {x.sizes, Dims(out_strides), out_offset}};
  for (size_t i = 0; i < pad.size() / 2; ++i) {
    size_t d = x.sizes.size() - 1 - i;
    int64_t before = pad[2 * i], behind = pad[2 * i + 1], n = x.sizes[d], total;
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    EMBER_CHECK(before >= -kMost && behind >= -kMost && !__builtin_add_overflow(before, behind, &total) &&
                    !__builtin_add_overflow(n, total, &total),
                "pad: the size ", n, " with padding ", before, " and ", behind, " overflows");
    EMBER_CHECK(total >= 0, "The input size ", n, ", plus negative padding ", before, " and ", behind,
                ", resulted in a negative output size, which is invalid. Check dimension ", static_cast<int64_t>(d),
                " of your input.");
    p.out[d] = total;
    int64_t first = std::max<int64_t>(-before, 0), last = n - std::max<int64_t>(-behind, 0);
    p.from.sizes[d] = p.to.sizes[d] = std::max<int64_t>(last - first, 0);
    p.any &= last > first;
    p.from.offset += first * p.from.strides[d];
    if (!out_strides.empty()) p.to.offset += std::max<int64_t>(before, 0) * p.to.strides[d];
  }
  return p;
}

struct ConstantPad {
  static constexpr auto schema = "constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor";
  static constexpr auto doc =
      "A border of one value; `pad` counts elements before and behind, the last dim first; negative crops";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, DimsView pad, Scalar) {
    Meta m(place(geometry_of(self), pad, {}, 0).out, self);
    for (MemoryFormat f : {MemoryFormat::kChannelsLast, MemoryFormat::kChannelsLast3d}) {
      if (self.is_contiguous(f) && !self.is_contiguous()) m.strides = strides_of(f, m.sizes);
    }
    return m;
  }
  static void cpu(Out y, const Tensor& self, DimsView pad, Scalar value) {
    Placement p = place(geometry_of(self), pad, y.strides(), y.storage_offset());
    if (!p.any || p.from.sizes != p.out) cpu::fill(y, value);
    if (p.any && self.numel() > 0)
      cpu::copy(alias_raw(y, p.to.sizes, p.to.strides, p.to.offset),
                alias_raw(self, p.from.sizes, p.from.strides, p.from.offset));
  }
  static void vjp(Grads& d, const Tensor&, DimsView pad, Scalar) {
    static const Op* const op = find_op("constant_pad_nd");
    Dims back;
    for (int64_t n : pad) back.push_back(-n);
    d.set(0, call_op(op, d.g(), DimsView(back), Scalar(0)));
  }
};

enum class Mode { kReflect, kReplicate, kCircular };

// One dim padded by joining its ends' elements to it. Negative pads crop: before circular ends are taken, after others.
Tensor pad_dim(const Tensor& self, int64_t d, int64_t before, int64_t behind, Mode mode) {
  Tensor kept = slice(self, d, std::max<int64_t>(-before, 0), self.size(d) - std::max<int64_t>(-behind, 0));
  Tensor x = mode == Mode::kCircular ? kept : self;
  int64_t n = x.size(d);
  Tensors parts;
  auto ends = [&](int64_t count, bool front) {
    if (count <= 0) return;
    if (mode == Mode::kReflect) {
      EMBER_CHECK(count < n,
                  "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                  "padding (",
                  before, ", ", behind, ") at dimension ", d, " of input ", x.sizes());
      OptInt stop;
      if (n - 2 - count >= 0) stop = n - 2 - count;
      parts.push_back(front ? slice(x, d, count, 0, -1) : slice(x, d, n - 2, stop, -1));
    } else if (mode == Mode::kReplicate) {
      EMBER_CHECK(n > 0, "Expected a non-empty dimension ", d, " to replicate, but got input ", x.sizes());
      Dims sizes = x.sizes();
      sizes[d] = count;
      parts.push_back(expand(slice(x, d, front ? 0 : n - 1, front ? 1 : n), sizes));
    } else {
      EMBER_CHECK(count <= n, "Padding value causes wrapping around more than once.");
      parts.push_back(front ? slice(x, d, n - count, n) : slice(x, d, 0, count));
    }
  };
  ends(before, true);
  parts.push_back(kept);
  ends(behind, false);
  return parts.size() == 1 ? parts[0] : cat(parts, d);
}

Tensor pad_ends(const Tensor& self, DimsView pad, Mode mode) {
  Tensor y = self;
  for (size_t i = 0; i < pad.size() / 2; ++i) {
    if (pad[2 * i] || pad[2 * i + 1])
      y = pad_dim(y, self.dim() - 1 - static_cast<int64_t>(i), pad[2 * i], pad[2 * i + 1], mode);
  }
  return y.is(self) ? clone(self) : contiguous(y);
}

struct Pad {
  static constexpr auto schema = "pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor";
  static constexpr auto doc =
      "A border around the last dims: constant, or of the input's own elements (reflect, replicate, circular)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, DimsView pad, std::string_view mode, std::optional<double> value) {
    static const Op* const constant = find_op("constant_pad_nd");
    EMBER_CHECK(pad.size() % 2 == 0, "Padding length must be divisible by 2");
    EMBER_CHECK(static_cast<int64_t>(pad.size()) <= self.dim() * 2,
                "Padding length should be less than or equal to two times the input dimension but got padding length ",
                static_cast<int64_t>(pad.size()), " and input of dimension ", self.dim());
    if (mode == "constant") {
      Scalar v = value ? Scalar(*value) : Scalar(0);
      return call_op(constant, self, pad, v);
    }
    EMBER_CHECK(!value || *value == 0, "Padding mode \"", mode, "\" doesn't take in value argument");
    int64_t padded = static_cast<int64_t>(pad.size()) / 2;
    EMBER_CHECK_NOT_IMPLEMENTED(padded >= 1 && padded <= 3 && (self.dim() == padded + 1 || self.dim() == padded + 2),
                                "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now");
    if (mode == "reflect") return pad_ends(self, pad, Mode::kReflect);
    if (mode == "replicate") return pad_ends(self, pad, Mode::kReplicate);
    if (mode == "circular") return pad_ends(self, pad, Mode::kCircular);
    fail<NotImplementedError>("Unrecognised padding mode ", mode);
  }
};

// ---- patches ----

struct Patches {
  int64_t n, c, h, w, rows, columns;  // images; positions of the window
  int64_t kh, kw, sh, sw, ph, pw, dh, dw;
};
Patches patches(std::string_view op, DimsView image, DimsView kernel, DimsView dilation, DimsView padding,
                DimsView stride) {
  check_length(op, "kernel_size", kernel.size(), 2), check_length(op, "dilation", dilation.size(), 2);
  check_length(op, "padding", padding.size(), 2), check_length(op, "stride", stride.size(), 2);
  Patches p{};
  p.n = image[0], p.c = image[1], p.h = image[2], p.w = image[3];
  p.kh = kernel[0], p.kw = kernel[1], p.sh = stride[0], p.sw = stride[1];
  p.ph = padding[0], p.pw = padding[1], p.dh = dilation[0], p.dw = dilation[1];
  EMBER_CHECK(p.kh > 0 && p.kw > 0, op, ": kernel size should be greater than zero, but got ", kernel);
  EMBER_CHECK(p.dh > 0 && p.dw > 0, op, ": dilation should be greater than zero, but got ", dilation);
  EMBER_CHECK(p.ph >= 0 && p.pw >= 0, op, ": padding should be non-negative, but got ", padding);
  EMBER_CHECK(p.sh > 0 && p.sw > 0, op, ": stride should be greater than zero, but got ", stride);
  for (DimsView list : {kernel, dilation, padding, stride}) check_numbers(op, "numbers", list, 0);
  auto positions = [](int64_t n, int64_t k, int64_t s, int64_t pad, int64_t d) {
    int64_t room = n + 2 * pad - (d * (k - 1) + 1);
    return room < 0 ? 0 : room / s + 1;
  };
  p.rows = positions(p.h, p.kh, p.sh, p.ph, p.dh), p.columns = positions(p.w, p.kw, p.sw, p.pw, p.dw);
  EMBER_CHECK(p.rows > 0 && p.columns > 0, "Given input with spatial size (", p.h, ", ", p.w, "), kernel_size=", kernel,
              ", dilation=", dilation, ", padding=", padding, ", stride=", stride,
              ", calculated shape of the array of sliding blocks as (", p.rows, ", ", p.columns,
              "), but its components must be at least one.");
  return p;
}

// Calls f(index in the columns, index in the image) for all pairs that lie inside, and g(index) for those in the
// border.
template <class F, class G>
void walk_patches(const Patches& p, int64_t plane, F&& f, G&& border) {
  int64_t image = plane * p.h * p.w, at = plane * p.kh * p.kw * p.rows * p.columns;
  for (int64_t i = 0; i < p.kh; ++i) {
    for (int64_t j = 0; j < p.kw; ++j) {
      for (int64_t r = 0; r < p.rows; ++r) {
        int64_t y = r * p.sh - p.ph + i * p.dh;
        for (int64_t c = 0; c < p.columns; ++c, ++at) {
          int64_t x = c * p.sw - p.pw + j * p.dw;
          if (y >= 0 && y < p.h && x >= 0 && x < p.w) f(at, image + y * p.w + x);
          else border(at);
        }
      }
    }
  }
}

struct Im2col {
  static constexpr auto schema =
      "im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor";
  static constexpr auto doc = "The windows of images as columns: [N, C, H, W] -> [N, C kh kw, positions]";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, DimsView kernel, DimsView dilation, DimsView padding, DimsView stride) {
    EMBER_CHECK(self.dim() == 4,
                "im2col: expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other "
                "non-zero dimensions for input, but got: ",
                self.sizes());
    Patches p = patches("im2col", self.sizes(), kernel, dilation, padding, stride);
    return Meta({p.n, ember::count(Dims{p.c, p.kh, p.kw}), ember::count(Dims{p.rows, p.columns})}, self);
  }
  static void cpu(Out y, const Tensor& self, DimsView kernel, DimsView dilation, DimsView padding, DimsView stride) {
    Patches p = patches("im2col", self.sizes(), kernel, dilation, padding, stride);
    Tensor x = self, out = y;
    if (!x.is_contiguous()) x = empty_raw(x.sizes(), x.dtype()), cpu::copy(x, self);
    if (!y.is_contiguous()) out = empty_raw(y.sizes(), y.dtype());
    visit(y.dtype(), [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = out.data<T>();
      parallel_for(0, p.n * p.c, 1, [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; ++plane)
          walk_patches(
              p, plane, [&](int64_t at, int64_t image) { to[at] = from[image]; }, [&](int64_t at) { to[at] = T{}; });
      });
    });
    if (!out.is(y)) cpu::copy(y, out);
  }
  static void vjp(Grads& d, const Tensor& self, DimsView kernel, DimsView dilation, DimsView padding, DimsView stride) {
    static const Op* const op = find_op("col2im");
    DimsView image(self.sizes().data() + 2, 2);
    d.set(0, call_op(op, d.g(), image, kernel, dilation, padding, stride));
  }
};

struct Col2im {
  static constexpr auto schema =
      "col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) "
      "-> "
      "Tensor";
  static constexpr auto doc =
      "Columns summed back into images at their windows: [N, C kh kw, positions] -> [N, C, H, W]";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Patches read(const Tensor& self, DimsView size, DimsView kernel, DimsView dilation, DimsView padding,
                      DimsView stride) {
    EMBER_CHECK(self.dim() == 3,
                "col2im: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
                "non-zero dimensions for input, but got: ",
                self.sizes());
    check_length("col2im", "output_size", size.size(), 2), check_length("col2im", "kernel_size", kernel.size(), 2);
    check_numbers("col2im", "kernel_size", kernel, 1);
    int64_t window = kernel[0] * kernel[1], positions;
    EMBER_CHECK(self.size(1) % window == 0,
                "Expected size of input's dimension 1 to be divisible by the "
                "product of kernel_size, but got input.size(1)=",
                self.size(1), " and kernel_size=", kernel, ".");
    Patches p =
        patches("col2im", {self.size(0), self.size(1) / window, size[0], size[1]}, kernel, dilation, padding, stride);
    bool overflow = __builtin_mul_overflow(p.rows, p.columns, &positions);
    EMBER_CHECK(!overflow && self.size(2) == positions, "Given output_size=", size, ", kernel_size=", kernel,
                ", dilation=", dilation, ", padding=", padding, ", stride=", stride,
                ", expected size of input's dimension 2 to match the "
                "calculated number of sliding blocks ",
                p.rows, " * ", p.columns, " = ", positions, ", but got input.size(2)=", self.size(2), ".");
    return p;
  }
  static Meta infer(const Tensor& self, DimsView size, DimsView kernel, DimsView dilation, DimsView padding,
                    DimsView stride) {
    Patches p = read(self, size, kernel, dilation, padding, stride);
    return Meta({p.n, p.c, p.h, p.w}, self);
  }
  static void cpu(Out y, const Tensor& self, DimsView size, DimsView kernel, DimsView dilation, DimsView padding,
                  DimsView stride) {
    Patches p = read(self, size, kernel, dilation, padding, stride);
    // Narrow floats are summed as floats.
    DType t = is_reduced_float(y.dtype()) ? DType::kFloat32 : y.dtype();
    Tensor x = self, out = y;
    if (!x.is_contiguous() || t != x.dtype()) x = empty_raw(x.sizes(), t), cpu::copy(x, self);
    if (!y.is_contiguous() || t != y.dtype()) out = empty_raw(y.sizes(), t);
    cpu::fill(out, 0);
    visit(t, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, Half> && !std::is_same_v<T, BFloat16> && !std::is_same_v<T, bool>) {
        const T* from = x.data<T>();
        T* to = out.data<T>();
        parallel_for(0, p.n * p.c, 1, [&](int64_t begin, int64_t end) {
          for (int64_t plane = begin; plane < end; ++plane)
            walk_patches(
                p, plane, [&](int64_t at, int64_t image) { to[image] = static_cast<T>(to[image] + from[at]); },
                [](int64_t) {});
        });
      }
    });
    if (!out.is(y)) cpu::copy(y, out);
  }
  static void vjp(Grads& d, const Tensor&, DimsView, DimsView kernel, DimsView dilation, DimsView padding,
                  DimsView stride) {
    static const Op* const op = find_op("im2col");
    d.set(0, call_op(op, d.g(), kernel, dilation, padding, stride));
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> pad_ops() { return make_family<ConstantPad, Pad, Im2col, Col2im>(); }

}  // namespace ember
