// Repeating elements and regrouping dims: tiles, pixels and channels, matrices made of matrices. Compositions of views
// and a copy, but for repeats along one dim, which are a kernel.
#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernel/cpu/elementwise.h"
#include "op/family/checks.h"
#include "op/make.h"
#include "op/ops.h"
#include "op/pointwise.h"

namespace ember {
namespace {

struct Native {
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction | form::kMethod;
};
struct Composite {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
};

// ---- repeating ----

struct Repeat : Composite {
  static constexpr auto schema = "repeat(Tensor self, SymInt[] repeats) -> Tensor";
  static constexpr auto doc =
      "A copy with the whole of self repeated along each dim; more repeats than dims add dims in front";
  static constexpr auto forms = form::kMethod;
  static Tensor call(const Tensor& self, DimsView repeats) {
    EMBER_CHECK(static_cast<int64_t>(repeats.size()) >= self.dim(),
                "Number of dimensions of repeat dims can not be smaller "
                "than number of dimensions of tensor");
    size_t shift = repeats.size() - self.sizes().size();
    Dims split, wide, out;
    for (size_t d = 0; d < repeats.size(); ++d) {
      int64_t n = d < shift ? 1 : self.sizes()[d - shift];
      EMBER_CHECK(repeats[d] >= 0, "Trying to create tensor with negative dimension ", repeats[d], ": ", repeats);
      split.push_back(1), split.push_back(n);
      wide.push_back(repeats[d]), wide.push_back(n);
      out.push_back(count(Dims{repeats[d], n}));
    }
    return view(clone(expand(reshape(self, split), wide), MemoryFormat::kContiguous), out);
  }
};
struct Tile : Composite {
  static constexpr auto schema = "tile(Tensor self, SymInt[] dims) -> Tensor";
  static constexpr auto doc = "repeat by NumPy's rule: fewer repeats than dims count for the last dims";
  static Tensor call(const Tensor& self, DimsView dims) {
    Dims repeats(std::max<size_t>(dims.size(), self.sizes().size()) - dims.size(), 1);
    repeats.append(dims);
    return repeat(self, repeats);
  }
};

struct RepeatInterleave {
  static constexpr auto schema = "repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor";
  static constexpr auto doc = "The number i repeats[i] times, for each i: indices for index_select";
  static constexpr auto kind = Kind::kOpaque;
  static constexpr auto forms = form::kFunction;
  static Tensor cpu(const Tensor& repeats, OptInt output_size) {
    EMBER_CHECK(repeats.dim() == 1, "repeat_interleave only accept 1D vector as repeat");
    EMBER_CHECK(repeats.dtype() == DType::kInt64 || repeats.dtype() == DType::kInt32,
                "repeats has to be Long or Int tensor");
    Tensor counts = empty_raw(repeats.sizes(), DType::kInt64);
    cpu::copy(counts, repeats);
    const int64_t* count = counts.data<int64_t>();
    int64_t n = counts.numel(), total = 0;
    for (int64_t i = 0; i < n; ++i) {
      EMBER_CHECK(count[i] >= 0, "repeats can not be negative");
      total += count[i];
    }
    EMBER_CHECK(!output_size || *output_size == total, "allocated size does not match required size");
    Tensor y = empty_raw({total}, repeats.dtype());
    visit(y.dtype(), [&]<class T>(T) {
      if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, int32_t>) {
        T* out = y.data<T>();
        for (int64_t i = 0; i < n; ++i) out = std::fill_n(out, count[i], static_cast<T>(i));
      }
    });
    return y;
  }
};
struct RepeatInterleaveTensor : Composite {
  static constexpr auto schema =
      "repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> "
      "Tensor";
  static constexpr auto doc = "Element i along `dim` repeats[i] times; without dim self is flattened";
  static Tensor call(const Tensor& self, const Tensor& repeats, OptInt dim, OptInt output_size) {
    static const Op* const op = find_op("repeat_interleave.Tensor");
    Tensor x = dim ? self : flatten(self);
    int64_t d = wrap_dim(dim.value_or(0), x.dim()), n = x.dim() ? x.size(d) : 1;
    Tensor counts = repeats.dim() == 0 ? reshape(repeats, {1}) : repeats;
    if (counts.dim() == 1 && counts.numel() == 1 && n != 1) counts = contiguous(expand(counts, {n}));
    EMBER_CHECK(counts.dim() != 1 || counts.numel() == n,
                "repeats must have the same size as input along dim, but got "
                "repeats.size(0) = ",
                counts.numel(), " and input.size(", d, ") = ", n);
    return index_select(x, d, call_op(op, counts, output_size));
  }
};
// Each block of `inner` bytes `times` times in a row.
template <class E>
void repeat_elements(const E* in, E* out, int64_t n, int64_t times) {
  parallel_for(0, n, std::max<int64_t>(65536 / std::max<int64_t>(times, 1), 1), [&](int64_t begin, int64_t end) {
    E* to = out + begin * times;
    for (int64_t i = begin; i < end; ++i) to = std::fill_n(to, times, in[i]);
  });
}
void repeat_blocks(const char* in, char* out, int64_t blocks, int64_t inner, int64_t times) {
  parallel_for(0, blocks * times, std::max<int64_t>((int64_t{1} << 18) / inner, 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(out + i * inner, in + i / times * inner, static_cast<size_t>(inner));
  });
}

struct RepeatElements : Native {
  static constexpr auto schema = "_repeat_elements(Tensor self, SymInt repeats, int dim) -> Tensor";
  static constexpr auto doc = "Each element along `dim` `repeats` times";
  static constexpr auto forms = form::kFunction;
  static Meta infer(const Tensor& self, int64_t repeats, int64_t dim) {
    EMBER_CHECK(repeats >= 0, "Repeats must be non-negative");
    EMBER_CHECK(self.dim() > 0, "_repeat_elements: a tensor without dims has none to repeat along");
    Meta m(self.sizes(), self);
    int64_t& n = m.sizes[wrap_dim(dim, self.dim())];
    n = count(Dims{n, repeats});
    return m;
  }
  static void cpu(Out y, const Tensor& self, int64_t repeats, int64_t dim) {
    if (y.numel() == 0) return;
    Tensor x = self, out = y.is_contiguous() ? Tensor(y) : empty_raw(y.sizes(), y.dtype());
    if (!x.is_contiguous()) x = empty_raw(self.sizes(), self.dtype()), cpu::copy(x, self);
    int64_t inner = item_size(y.dtype());
    for (int64_t d = wrap_dim(dim, self.dim()) + 1; d < self.dim(); ++d) inner *= self.sizes()[d];
    int64_t blocks = x.numel() * item_size(y.dtype()) / inner;
    switch (inner) {
      case 1:
        repeat_elements(static_cast<uint8_t*>(x.data()), static_cast<uint8_t*>(out.data()), blocks, repeats);
        break;
      case 2:
        repeat_elements(static_cast<uint16_t*>(x.data()), static_cast<uint16_t*>(out.data()), blocks, repeats);
        break;
      case 4:
        repeat_elements(static_cast<uint32_t*>(x.data()), static_cast<uint32_t*>(out.data()), blocks, repeats);
        break;
      case 8:
        repeat_elements(static_cast<uint64_t*>(x.data()), static_cast<uint64_t*>(out.data()), blocks, repeats);
        break;
      default: repeat_blocks(static_cast<char*>(x.data()), static_cast<char*>(out.data()), blocks, inner, repeats);
    }
    if (!out.is(y)) cpu::copy(y, out);
  }
  static void vjp(Grads& d, const Tensor& self, int64_t repeats, int64_t dim) {
    int64_t at = wrap_dim(dim, self.dim());
    Dims sizes = self.sizes();
    sizes.insert(sizes.begin() + at + 1, repeats);
    d.set(0, sum(reshape(d.g(), sizes), DimsView({at + 1})));
  }
};
struct RepeatInterleaveInt : Composite {
  static constexpr auto schema =
      "repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor";
  static constexpr auto doc = "Each element along `dim` `repeats` times; without dim self is flattened";
  static Tensor call(const Tensor& self, int64_t repeats, OptInt dim, OptInt) {
    static const Op* const op = find_op("_repeat_elements");
    Tensor x = dim && self.dim() ? self : reshape(self, {-1});
    return call_op(op, x, repeats, dim.value_or(0));
  }
};

// ---- pixels and channels ----

struct PixelShuffle : Composite {
  static constexpr auto schema = "pixel_shuffle(Tensor self, int upscale_factor) -> Tensor";
  static constexpr auto doc = "[*, C r^2, H, W] -> [*, C, H r, W r]";
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, int64_t r) {
    EMBER_CHECK(self.dim() >= 3, "pixel_shuffle expects input to have at least 3 dimensions, but got input with ",
                self.dim(), " dimension(s)");
    EMBER_CHECK(r > 0, "pixel_shuffle expects a positive upscale_factor, but got ", r);
    check_numbers("pixel_shuffle", "upscale_factor", DimsView({r}), 1);
    int64_t c = self.size(-3), h = self.size(-2), w = self.size(-1);
    EMBER_CHECK(c % (r * r) == 0,
                "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
                "upscale_factor, but input.size(-3)=",
                c, " is not divisible by ", r * r);
    Dims lead(DimsView(self.sizes().data(), self.sizes().size() - 3)), split = lead, out = lead, order;
    int64_t k = static_cast<int64_t>(lead.size());
    split.append({c / (r * r), r, r, h, w});
    out.append({c / (r * r), h * r, w * r});
    for (int64_t i = 0; i < k; ++i) order.push_back(i);
    order.append({k, k + 3, k + 1, k + 4, k + 2});
    return reshape(permute(reshape(self, split), order), out);
  }
};
struct PixelUnshuffle : Composite {
  static constexpr auto schema = "pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor";
  static constexpr auto doc = "[*, C, H r, W r] -> [*, C r^2, H, W]";
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, int64_t r) {
    EMBER_CHECK(self.dim() >= 3, "pixel_unshuffle expects input to have at least 3 dimensions, but got input with ",
                self.dim(), " dimension(s)");
    EMBER_CHECK(r > 0, "pixel_unshuffle expects a positive downscale_factor, but got ", r);
    check_numbers("pixel_unshuffle", "downscale_factor", DimsView({r}), 1);
    int64_t c = self.size(-3), h = self.size(-2), w = self.size(-1);
    EMBER_CHECK(h % r == 0,
                "pixel_unshuffle expects height to be divisible by downscale_factor, but input.size(-2)=", h,
                " is not divisible by ", r);
    EMBER_CHECK(w % r == 0, "pixel_unshuffle expects width to be divisible by downscale_factor, but input.size(-1)=", w,
                " is not divisible by ", r);
    Dims lead(DimsView(self.sizes().data(), self.sizes().size() - 3)), split = lead, out = lead, order;
    int64_t k = static_cast<int64_t>(lead.size());
    split.append({c, h / r, r, w / r, r});
    out.append({c * r * r, h / r, w / r});
    for (int64_t i = 0; i < k; ++i) order.push_back(i);
    order.append({k, k + 2, k + 4, k + 1, k + 3});
    return reshape(permute(reshape(self, split), order), out);
  }
};
struct ChannelShuffle : Composite {
  static constexpr auto schema = "channel_shuffle(Tensor self, int groups) -> Tensor";
  static constexpr auto doc = "Channels of `groups` groups, interleaved";
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& self, int64_t groups) {
    EMBER_CHECK(self.dim() > 2, "channel_shuffle expects input with > 2 dims, but got input with sizes ", self.sizes());
    int64_t c = self.sizes()[1];
    EMBER_CHECK(groups > 0, "Number of groups to divide channels in must be positive. Value of groups:", groups);
    EMBER_CHECK(c % groups == 0, "Number of channels must be divisible by groups. Got ", c, " channels and ", groups,
                " groups.");
    Dims split{self.sizes()[0], groups, c / groups};
    split.append(DimsView(self.sizes().data() + 2, self.sizes().size() - 2));
    return reshape(contiguous(transpose(reshape(self, split), 1, 2)), self.sizes());
  }
};

// ---- matrices of matrices ----

struct BlockDiag : Composite {
  static constexpr auto schema = "block_diag(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "A matrix with the given matrices along its diagonal; vectors are rows";
  static constexpr auto forms = form::kFunction;
  static Tensor call(List tensors) {
    if (tensors.empty()) return empty({1, 0});
    Tensors blocks, rows;
    for (const Tensor& x : tensors) blocks.push_back(x.dim() >= 2 ? x : reshape(x, {1, x.numel()}));
    int64_t width = 0, left = 0;
    for (const Tensor& x : blocks) {
      EMBER_CHECK(x.dim() == 2, "block_diag: Input tensors must have 2 or fewer dimensions. Input has ", x.dim(),
                  " dimensions");
      width += x.size(1);
    }
    DType dtype = result_type(tensors);
    for (const Tensor& x : blocks) {
      rows.push_back(pad(to_dtype(x, dtype), {left, width - left - x.size(1)}));
      left += x.size(1);
    }
    return cat(rows, 0);
  }
};

struct Kron : Composite {
  static constexpr auto schema = "kron(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "Kronecker's product: each element of self times all of other";
  static constexpr auto forms = form::kFunction | form::kMethod | form::kOut;
  static Tensor call(const Tensor& self, const Tensor& other) {
    int64_t rank = std::max(self.dim(), other.dim());
    Dims a, b, out;
    for (int64_t d = 0; d < rank; ++d) {
      int64_t i = d - (rank - self.dim()), j = d - (rank - other.dim());
      int64_t n = i < 0 ? 1 : self.sizes()[i], m = j < 0 ? 1 : other.sizes()[j];
      a.push_back(n), a.push_back(1);
      b.push_back(1), b.push_back(m);
      out.push_back(n * m);
    }
    return reshape(mul(reshape(self, a), reshape(other, b)), out);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> repeat_ops() {
  return make_family<Repeat, Tile, RepeatInterleave, RepeatElements, RepeatInterleaveInt, RepeatInterleaveTensor,
                     PixelShuffle, PixelUnshuffle, ChannelShuffle, BlockDiag, Kron>();
}

}  // namespace ember
