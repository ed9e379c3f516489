// Tensors made of other tensors' numbers: diagonals, grids, windows. All compositions.
#include <cmath>
#include <numbers>

#include "op/family/geometry.h"

namespace ember {
namespace {

struct Function {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
};
struct FunctionMethod {
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod | form::kOut;
};

struct DiagEmbed : Function {
  static constexpr auto schema = "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor";
  static constexpr auto doc = "Zeros with the last dim of self on a diagonal of two new dims";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
    int64_t rank = self.dim() + 1, a = wrap_dim(dim1, rank), b = wrap_dim(dim2, rank);
    EMBER_CHECK(a != b, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
    constexpr int64_t kMost = int64_t{1} << 58;
    EMBER_CHECK(offset >= -kMost && offset <= kMost, "diag_embed: offset ", offset, " is out of any tensor's range");
    int64_t n = self.size(-1) + std::abs(offset);
    Dims sizes(DimsView(self.sizes().data(), self.sizes().size() - 1));
    sizes.insert(sizes.begin() + std::min(a, b), n);
    sizes.insert(sizes.begin() + std::max(a, b), n);
    return view_backward(self, sizes, diagonal_geometry(dense_geometry(sizes), offset, a, b));
  }
};
struct Diag : FunctionMethod {
  static constexpr auto schema = "diag(Tensor self, int diagonal=0) -> Tensor";
  static constexpr auto doc = "A vector as a diagonal matrix; of a matrix, a copy of its diagonal";
  static Tensor call(const Tensor& self, int64_t diagonal) {
    EMBER_CHECK(self.dim() == 1 || self.dim() == 2, "diag(): Supports 1D or 2D tensors. Got ", self.dim(), "D");
    return self.dim() == 1 ? DiagEmbed::call(self, diagonal, 0, 1)
                           : clone(ember::diagonal(self, diagonal, 0, 1), MemoryFormat::kContiguous);
  }
};
struct Diagflat : FunctionMethod {
  static constexpr auto schema = "diagflat(Tensor self, int offset=0) -> Tensor";
  static constexpr auto doc = "All elements of self on a diagonal of a matrix";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& self, int64_t offset) { return DiagEmbed::call(reshape(self, {-1}), offset, 0, 1); }
};

struct Meshgrid : Function {
  static constexpr auto schema = "meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]";
  static constexpr auto doc =
      "Coordinates of the grid that vectors span, one tensor a vector; indexing is \"ij\" or \"xy\"";
  static Tensors call(List tensors, std::optional<std::string_view> indexing) {
    EMBER_CHECK(!tensors.empty(), "meshgrid expects a non-empty TensorList");
    std::string_view how = indexing.value_or("ij");
    EMBER_CHECK(how == "ij" || how == "xy",
                "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: ", how);
    Dims sizes;
    for (const Tensor& x : tensors) {
      EMBER_CHECK(x.dim() <= 1, "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: ", x.sizes());
      EMBER_CHECK(x.dtype() == tensors[0].dtype(), "meshgrid expects all tensors to have the same dtype");
      EMBER_CHECK(x.device() == tensors[0].device(), "meshgrid expects all tensors to have the same device");
      sizes.push_back(x.numel());
    }
    bool swap = how == "xy" && tensors.size() >= 2;
    if (swap) std::swap(sizes[0], sizes[1]);
    Tensors out;
    for (size_t i = 0; i < tensors.size(); ++i) {
      Dims shape(sizes.size(), 1);
      shape[swap && i < 2 ? 1 - i : i] = tensors[i].numel();
      out.push_back(expand(view(contiguous(tensors[i]), shape), sizes));
    }
    return out;
  }
};

struct CartesianProd : Function {
  static constexpr auto schema = "cartesian_prod(Tensor[] tensors) -> Tensor";
  static constexpr auto doc = "All combinations of one element of each vector, as rows";
  static Tensor call(List tensors) {
    for (const Tensor& x : tensors) EMBER_CHECK(x.dim() == 1, "Expect a 1D vector, but got shape ", x.sizes());
    if (tensors.size() == 1) return tensors[0];
    Tensors grids = Meshgrid::call(tensors, std::nullopt), columns;
    for (const Tensor& g : grids) columns.push_back(flatten(g));
    return stack(columns, 1);
  }
};

struct Combinations : FunctionMethod {
  static constexpr auto schema = "combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor";
  static constexpr auto doc = "All ways to take r elements of a vector, as rows";
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& self, int64_t r, bool with_replacement) {
    EMBER_CHECK(self.dim() == 1, "Expect a 1D vector, but got shape ", self.sizes());
    EMBER_CHECK(r >= 0, "Expect a non-negative number, but got ", r);
    if (r == 0) return empty({0}, self.dtype(), self.device());
    // Indices in lexical order: increasing, or not decreasing with replacement.
    int64_t n = self.numel(), gap = with_replacement ? 0 : 1, rows = 0;
    std::vector<int64_t> list, at(static_cast<size_t>(r));
    for (int64_t i = 0; i < r; ++i) at[i] = i * gap;
    while (n > 0 && at[r - 1] < n) {
      list.insert(list.end(), at.begin(), at.end());
      ++rows;
      int64_t i = r - 1;
      while (i >= 0 && at[i] == n - 1 - (r - 1 - i) * gap) --i;
      if (i < 0) break;
      ++at[i];
      for (int64_t k = i + 1; k < r; ++k) at[k] = at[k - 1] + gap;
    }
    if (rows == 0) return empty({0, r}, self.dtype(), self.device());
    Tensor index = empty_raw({rows * r}, DType::kInt64);
    std::copy(list.begin(), list.end(), index.data<int64_t>());
    return view(index_select(self, 0, index), {rows, r});
  }
};

struct Vander : Function {
  static constexpr auto schema = "vander(Tensor x, int? N=None, bool increasing=False) -> Tensor";
  static constexpr auto doc = "Rows of powers of the elements of a vector, the highest first unless increasing";
  static Tensor call(const Tensor& x, OptInt N, bool increasing) {
    EMBER_CHECK(x.dim() == 1, "x must be a one-dimensional tensor.");
    int64_t n = N.value_or(x.numel());
    EMBER_CHECK(n >= 0, "N must be non-negative.");
    DType dtype = is_integral(x.dtype()) || x.dtype() == DType::kBool ? DType::kInt64 : x.dtype();
    Tensor column = unsqueeze(to_dtype(x, dtype), 1), one = ones({x.numel(), 1}, dtype, x.device());
    if (n == 0) return empty({x.numel(), 0}, dtype, x.device());
    Tensor powers = n == 1 ? one : [&] {
      Tensor rest[] = {one, cumprod(expand(column, {x.numel(), n - 1}), 1)};
      return cat(List(rest, 2), 1);
    }();
    return increasing ? powers : flip(powers, {1});
  }
};

// ---- windows: a sum of cosines over n points, the first of n + 1 where periodic ----

Tensor cosines(std::string_view op, int64_t n, bool periodic, double a, double b, double c, OptDType dtype,
               OptDevice device) {
  DType d = dtype.value_or(default_dtype());
  EMBER_CHECK(is_floating(d), op, " expects floating point dtypes, got: ", d);
  EMBER_CHECK(n >= 0, op, " requires non-negative window_length, got window_length=", n);
  if (n <= 1) return ones({n}, d, device);
  int64_t points = periodic ? n + 1 : n;
  Tensor i = arange(0, points, 1, is_reduced_float(d) ? DType::kFloat32 : d, device);
  Tensor phase = i * (std::numbers::pi * 2 / static_cast<double>(points - 1));
  Tensor w = cos(phase) * -b + a;
  if (c != 0) w = w + cos(phase * 2.0) * c;
  return to_dtype(periodic ? slice(w, 0, 0, n) : w, d);
}
struct HannWindow : Function {
  static constexpr auto schema =
      "hann_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Device? device=None) -> Tensor";
  static constexpr auto doc = "Hann's window, 0.5 - 0.5 cos";
  static Tensor call(int64_t n, bool periodic, OptDType dtype, OptDevice device) {
    return cosines("hann_window", n, periodic, 0.5, 0.5, 0, dtype, device);
  }
};
struct HammingWindow : Function {
  static constexpr auto schema =
      "hamming_window(int window_length, bool periodic=True, float alpha=0.54, float beta=0.46, *, ScalarType? "
      "dtype=None, "
      "Device? device=None) -> Tensor";
  static constexpr auto doc = "Hamming's window, alpha - beta cos";
  static Tensor call(int64_t n, bool periodic, double alpha, double beta, OptDType dtype, OptDevice device) {
    return cosines("hamming_window", n, periodic, alpha, beta, 0, dtype, device);
  }
};
struct BlackmanWindow : Function {
  static constexpr auto schema =
      "blackman_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Device? device=None) -> "
      "Tensor";
  static constexpr auto doc = "Blackman's window, 0.42 - 0.5 cos + 0.08 cos of twice";
  static Tensor call(int64_t n, bool periodic, OptDType dtype, OptDevice device) {
    return cosines("blackman_window", n, periodic, 0.42, 0.5, 0.08, dtype, device);
  }
};
struct BartlettWindow : Function {
  static constexpr auto schema =
      "bartlett_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Device? device=None) -> "
      "Tensor";
  static constexpr auto doc = "Bartlett's window, a triangle";
  static Tensor call(int64_t n, bool periodic, OptDType dtype, OptDevice device) {
    DType d = dtype.value_or(default_dtype());
    EMBER_CHECK(n >= 0, "bartlett_window requires non-negative window_length, got window_length=", n);
    if (n <= 1) return ones({n}, d, device);
    int64_t points = periodic ? n + 1 : n;
    Tensor ramp = arange(0, points, 1, d, device) * (2.0 / static_cast<double>(points - 1));
    Tensor w = minimum(ramp, 2.0 - ramp);
    return periodic ? slice(w, 0, 0, n) : w;
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> creation_composite_ops() {
  return make_family<DiagEmbed, Diag, Diagflat, Meshgrid, CartesianProd, Combinations, Vander, HannWindow,
                     HammingWindow, BlackmanWindow, BartlettWindow>();
}

}  // namespace ember
