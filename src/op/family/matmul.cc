// Products of matrices: mm, bmm, matmul, linear and the forms that add. Every one is a GEMM over strided operands: a
// transposed, sliced or broadcast matrix goes to the kernel as it lies. einsum and its like are in contract.cc.
// Real dtypes, integers (which wrap) and complex numbers; bool has no product.
#include "kernel/cpu/gemm.h"
#include "op/family/dense.h"

namespace ember {
namespace {

void check_product(std::string_view op, const Tensor& a, const Tensor& b) {
  EMBER_CHECK(a.dtype() == b.dtype(), op, ": expected m1 and m2 to have the same dtype, but got: ", a.dtype(),
              " != ", b.dtype());
  EMBER_CHECK(a.device() == b.device(), op, ": Expected all tensors to be on the same device, but found ", a.device(),
              " and ", b.device());
  EMBER_CHECK_NOT_IMPLEMENTED(a.dtype() != DType::kBool, op, ": \"addmm_impl_cpu_\" not implemented for 'Bool'");
}

[[noreturn]] EMBER_COLD void shapes_fail(std::string_view op, int64_t m, int64_t k, int64_t k2, int64_t n) {
  EMBER_FAIL(op, ": mat1 and mat2 shapes cannot be multiplied (", m, "x", k, " and ", k2, "x", n, ")");
}

// The last two dims of a tensor as a matrix, and how far apart the rows and columns are.
struct Matrix {
  void* data;
  int64_t rows, columns, row, column;
  explicit Matrix(const Tensor& x) {
    size_t r = x.sizes().size();
    data = x.data();
    rows = x->sizes[r - 2], columns = x->sizes[r - 1], row = x->strides[r - 2], column = x->strides[r - 1];
  }
  Matrix(const Tensor& x, int64_t rows, int64_t columns, int64_t row, int64_t column)
      : data(x.data()), rows(rows), columns(columns), row(row), column(column) {}
};

cpu::Gemm product(const Matrix& c, const Matrix& a, const Matrix& b) {
  return {c.rows, c.columns, a.columns, a.data, a.row, a.column, b.data, b.row, b.column, c.data, c.row, c.column};
}

std::complex<double> number(const Scalar& s) { return s.to<std::complex<double>>(); }

// A batch of products whose operands' leading dims broadcast: dims of the batch that lie evenly in all three operands
// become one, the innermost goes to the kernel in one call.
class Batch {
 public:
  Batch(const Tensor& c, const Tensor& a, const Tensor& b) {
    size_t rank = c.sizes().size() - 2;
    for (size_t i = 0; i < rank; ++i) {
      Dim d{c->sizes[i], step(a, i, rank), step(b, i, rank), c->strides[i]};
      if (d.size == 1) continue;
      bool joins = !dims_.empty() && dims_.back().joins(d);
      if (joins) d.size *= dims_.back().size, dims_.back() = d;
      else dims_.push_back(d);
    }
  }
  void run(DType dtype, cpu::Gemm g) {
    if (dims_.empty()) return cpu::gemm(dtype, g);
    Dim inner = dims_.back();
    dims_.pop_back();
    if (inner.b == 0 && inner.a == g.m * g.a_row && inner.c == g.m * g.c_row) {  // one tall matrix
      g.m *= inner.size;
      inner.size = 1;
    }
    walk(0, dtype, g, inner);
  }

 private:
  struct Dim {
    int64_t size, a, b, c;
    bool joins(const Dim& inner) const {
      return a == inner.a * inner.size && b == inner.b * inner.size && c == inner.c * inner.size;
    }
  };
  static int64_t step(const Tensor& x, size_t i, size_t rank) {
    int64_t k = static_cast<int64_t>(i) - static_cast<int64_t>(rank + 2) + x.dim();
    return k < 0 || x->numel == 0 || x->sizes[static_cast<size_t>(k)] == 1 ? 0 : x->strides[static_cast<size_t>(k)];
  }
  void walk(size_t at, DType dtype, cpu::Gemm g, const Dim& inner) {
    if (at == dims_.size()) {
      if (inner.size == 1) return cpu::gemm(dtype, g);
      return cpu::gemm_batched(dtype, g, inner.size, inner.a, inner.b, inner.c);
    }
    const Dim& d = dims_[at];
    const int64_t bytes = item_size(dtype);
    for (int64_t i = 0; i < d.size; ++i) {
      walk(at + 1, dtype, g, inner);
      g.a = static_cast<const char*>(g.a) + d.a * bytes;
      g.b = static_cast<const char*>(g.b) + d.b * bytes;
      g.c = static_cast<char*>(g.c) + d.c * bytes;
    }
  }
  SmallVector<Dim, 4> dims_;
};

void batched_product(const Tensor& c, const Tensor& a, const Tensor& b, const Scalar& alpha = 1,
                     const Scalar& beta = 0) {
  if (c.numel() == 0) return;
  cpu::Gemm g = product(Matrix(c), Matrix(a), Matrix(b));
  g.alpha = number(alpha), g.beta = number(beta);
  Batch(c, a, b).run(c.dtype(), g);
}

// x itself, or a copy where the product would overwrite it while it is read.
Tensor apart(const Tensor& x, const Tensor& y) {
  if (x->storage != y->storage) return x;
  Tensor copy = empty_raw(x.sizes(), x.dtype(), x.device());
  cpu::copy(copy, x);
  return copy;
}

// y = beta * self + alpha * a b, where self broadcasts and may be y.
void add_product(const Tensor& y, const Tensor& self, const Tensor& mat1, const Tensor& mat2, const Scalar& beta,
                 const Scalar& alpha) {
  if (y.numel() == 0) return;
  Tensor a = apart(mat1, y), b = apart(mat2, y);
  bool keeps = !(beta == Scalar(0));  // with beta 0 not even nan comes through
  bool column = y.dim() == 2 && self.dim() == 1 && self.size(0) == y.size(1) && self.stride(0) == 1;
  if (column && beta == Scalar(1)) {
    cpu::Gemm g = product(Matrix(y), Matrix(a), Matrix(b));
    g.alpha = number(alpha), g.bias = self.data(), g.bias_kind = cpu::Bias::kColumn;
    return cpu::gemm(y.dtype(), g);
  }
  if (keeps && !y.is(self)) cpu::copy(y, self);
  batched_product(y, a, b, alpha, keeps ? beta : Scalar(0));
}

void check_addend(std::string_view op, const Tensor& self, const Tensor& mat, DimsView sizes) {
  EMBER_CHECK(self.dtype() == mat.dtype(), op, ": self and mat2 must have the same dtype, but got ",
              type_word(self.dtype()), " and ", type_word(mat.dtype()));
  size_t n = self.sizes().size();
  bool fits = n <= sizes.size();
  for (size_t i = 0; fits && i < n; ++i) {
    int64_t have = self.sizes()[i], want = sizes[sizes.size() - n + i];
    EMBER_CHECK(have == want || have == 1, op, ": The expanded size of the tensor (", want,
                ") must match the existing size (", have, ") at non-singleton dimension ", sizes.size() - n + i,
                ".  Target sizes: ", sizes, ".  Tensor sizes: ", self.sizes());
  }
  EMBER_CHECK(fits, op, ": expand(", type_word(self.dtype()), "Tensor{", self.sizes(), "}, size=", sizes,
              "): the number of sizes provided (", sizes.size(),
              ") must be greater or equal to the number of dimensions in the tensor (", n, ")");
}

Dims mm_sizes(std::string_view op, const Tensor& a, const Tensor& b) {
  EMBER_CHECK(a.dim() == 2, op, ": self must be a matrix");
  EMBER_CHECK(b.dim() == 2, op, ": mat2 must be a matrix");
  if (a->sizes[1] != b->sizes[0]) shapes_fail(op, a->sizes[0], a->sizes[1], b->sizes[0], b->sizes[1]);
  check_product(op, a, b);
  return {a->sizes[0], b->sizes[1]};
}

Dims bmm_sizes(std::string_view op, const Tensor& a, const Tensor& b) {
  EMBER_CHECK(a.dim() == 3, op, ": batch1 must be a 3D tensor");
  EMBER_CHECK(b.dim() == 3, op, ": batch2 must be a 3D tensor");
  Dims want{a->sizes[0], a->sizes[2]}, have{b->sizes[0], b->sizes[1]};
  EMBER_CHECK(want == have, op, ": Expected size for first two dimensions of batch2 tensor to be: ", want,
              " but got: ", have, ".");
  EMBER_CHECK(a.dtype() == b.dtype(), op, ": expected scalar type ", type_word(a.dtype()), " but found ",
              type_word(b.dtype()));
  check_product(op, a, b);
  return {a->sizes[0], a->sizes[1], b->sizes[2]};
}

struct Mm {
  static constexpr auto schema = "mm(Tensor self, Tensor mat2) -> Tensor";
  static constexpr auto doc =
      "The product of two matrices [m, k] and [k, n]: y[i, j] = sum over p of self[i, p] mat2[p, j]";
  static constexpr auto kind = Kind::kContract;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& self, const Tensor& mat2) { return {mm_sizes("mm", self, mat2), self}; }
  static void cpu(Out y, const Tensor& self, const Tensor& mat2) { batched_product(y, self, mat2); }
  static void vjp(Grads& d, const Tensor& self, const Tensor& mat2) {
    Tensor g = d.g();
    if (d.wants(0)) d.set(0, mm(g, adjoint_of(mat2)));
    if (d.wants(1)) d.set(1, mm(adjoint_of(self), g));
  }
};

struct Bmm {
  static constexpr auto schema = "bmm(Tensor self, Tensor mat2) -> Tensor";
  static constexpr auto doc = "The products of a batch of matrices: [b, m, k] and [b, k, n] give [b, m, n]";
  static constexpr auto kind = Kind::kContract;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& self, const Tensor& mat2) { return {bmm_sizes("bmm", self, mat2), self}; }
  static void cpu(Out y, const Tensor& self, const Tensor& mat2) { batched_product(y, self, mat2); }
  static void vjp(Grads& d, const Tensor& self, const Tensor& mat2) {
    Tensor g = d.g();
    if (d.wants(0)) d.set(0, bmm(g, adjoint_of(mat2)));
    if (d.wants(1)) d.set(1, bmm(adjoint_of(self), g));
  }
};

struct Mv {
  static constexpr auto schema = "mv(Tensor self, Tensor vec) -> Tensor";
  static constexpr auto doc = "A matrix [m, k] times a vector [k]";
  static constexpr auto kind = Kind::kContract;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& self, const Tensor& vec) {
    EMBER_CHECK(self.dim() == 2 && vec.dim() == 1, "mv: vector + matrix @ vector expected, got 1, ", self.dim(), ", ",
                vec.dim());
    EMBER_CHECK(self->sizes[1] == vec->sizes[0], "mv: size mismatch, got input (", self->sizes[0], "), mat (",
                self->sizes[0], "x", self->sizes[1], "), vec (", vec->sizes[0], ")");
    check_product("mv", self, vec);
    return {Dims{self->sizes[0]}, self};
  }
  static void cpu(Out y, const Tensor& self, const Tensor& vec) {
    if (y.numel() == 0) return;
    Matrix x(vec, vec->sizes[0], 1, vec->strides[0], 1), c(y, y->sizes[0], 1, y->strides[0], 1);
    cpu::gemm(y.dtype(), product(c, Matrix(self), x));
  }
  static void vjp(Grads& d, const Tensor& self, const Tensor& vec) {
    Tensor g = d.g();
    if (d.wants(0)) d.set(0, mul(unsqueeze(g, 1), unsqueeze(conj_of(vec), 0)));
    if (d.wants(1)) d.set(1, mv(adjoint_of(self), g));
  }
};

struct Dot {
  static constexpr auto schema = "dot(Tensor self, Tensor tensor) -> Tensor";
  static constexpr auto doc = "sum(self * tensor) of two vectors of one length; complex numbers are not conjugated";
  static constexpr auto kind = Kind::kContract;
  static constexpr Saves saves = {.inputs = 0b11};
  static Meta infer(const Tensor& self, const Tensor& tensor) {
    EMBER_CHECK(self.dim() == 1 && tensor.dim() == 1, "dot: 1D tensors expected, but got ", self.dim(), "D and ",
                tensor.dim(), "D tensors");
    EMBER_CHECK(self.dtype() == tensor.dtype(), "dot : expected both vectors to have same dtype, but found ",
                type_word(self.dtype()), " and ", type_word(tensor.dtype()));
    EMBER_CHECK(self.numel() == tensor.numel(), "dot: inconsistent tensor size, expected tensor ", self.sizes(),
                " and src ", tensor.sizes(), " to have the same number of elements, but got ", self.numel(), " and ",
                tensor.numel(), " elements respectively");
    check_product("dot", self, tensor);
    return {Dims{}, self};
  }
  static void cpu(Out y, const Tensor& self, const Tensor& tensor) {
    int64_t n = self.numel();
    Matrix a(self, 1, n, 1, self->strides[0]), b(tensor, n, 1, tensor->strides[0], 1);
    cpu::gemm(y.dtype(), product(Matrix(y, 1, 1, 1, 1), a, b));
  }
  static void vjp(Grads& d, const Tensor& self, const Tensor& tensor) {
    Tensor g = d.g();
    if (d.wants(0)) d.set(0, mul(g, conj_of(tensor)));
    if (d.wants(1)) d.set(1, mul(g, conj_of(self)));
  }
};

struct Vdot {
  static constexpr auto schema = "vdot(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "dot(conj(self), other)";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, const Tensor& other) { return dot(conj_of(self), other); }
};

Tensor outer_product(const Tensor& self, const Tensor& vec2) {
  EMBER_CHECK(self.dim() == 1, "outer: Expected 1-D argument self, but got ", self.dim(), "-D");
  EMBER_CHECK(vec2.dim() == 1, "outer: Expected 1-D argument vec2, but got ", vec2.dim(), "-D");
  return mul(unsqueeze(self, 1), unsqueeze(vec2, 0));
}

struct Outer {
  static constexpr auto schema = "outer(Tensor self, Tensor vec2) -> Tensor";
  static constexpr auto doc = "y[i, j] = self[i] * vec2[j]";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, const Tensor& vec2) { return outer_product(self, vec2); }
};
struct Ger {
  static constexpr auto schema = "ger(Tensor self, Tensor vec2) -> Tensor";
  static constexpr auto doc = "The old name of `outer`";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, const Tensor& vec2) { return outer_product(self, vec2); }
};

// The gradients of beta * self + alpha * a b for matrices or batches of them.
void add_product_vjp(Grads& d, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  Tensor g = d.g();
  if (d.wants(0)) d.set(0, scaled(g, conj_of(beta)));
  if (d.wants(1)) d.set(1, scaled(matmul(g, adjoint_of(b)), conj_of(alpha)));
  if (d.wants(2)) d.set(2, scaled(matmul(adjoint_of(a), g), conj_of(alpha)));
}

struct Addmm {
  static constexpr auto schema =
      "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "beta * self + alpha * (mat1 @ mat2); self broadcasts, and is not read where beta is 0";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves = {.inputs = 0b110};
  static Meta infer(const Tensor& self, const Tensor& mat1, const Tensor& mat2, Scalar, Scalar) {
    Meta m(mm_sizes("addmm", mat1, mat2), mat1);
    check_addend("addmm", self, mat2, m.sizes);
    return m;
  }
  static void cpu(Out y, const Tensor& self, const Tensor& mat1, const Tensor& mat2, Scalar beta, Scalar alpha) {
    add_product(y, self, mat1, mat2, beta, alpha);
  }
  static void vjp(Grads& d, const Tensor&, const Tensor& mat1, const Tensor& mat2, Scalar beta, Scalar alpha) {
    add_product_vjp(d, mat1, mat2, beta, alpha);
  }
};

struct Baddbmm {
  static constexpr auto schema =
      "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "beta * self + alpha * bmm(batch1, batch2); self broadcasts";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kAll;
  static constexpr Saves saves = {.inputs = 0b110};
  static Meta infer(const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar, Scalar) {
    Meta m(bmm_sizes("baddbmm", batch1, batch2), batch1);
    check_addend("baddbmm", self, batch2, m.sizes);
    return m;
  }
  static void cpu(Out y, const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar beta, Scalar alpha) {
    add_product(y, self, batch1, batch2, beta, alpha);
  }
  static void vjp(Grads& d, const Tensor&, const Tensor& batch1, const Tensor& batch2, Scalar beta, Scalar alpha) {
    add_product_vjp(d, batch1, batch2, beta, alpha);
  }
};

// beta * self + alpha * product, where with beta 0 self is not read.
Tensor blend(const Tensor& self, Tensor product, Scalar beta, Scalar alpha) {
  if (is_integral(product.dtype())) beta = Scalar(beta.to<int64_t>()), alpha = Scalar(alpha.to<int64_t>());
  product = scaled(product, alpha);
  return beta == Scalar(0) ? product : add(product, scaled(self, beta));
}

struct Addmv {
  static constexpr auto schema =
      "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "beta * self + alpha * (mat @ vec)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kAll;
  static Tensor call(const Tensor& self, const Tensor& mat, const Tensor& vec, Scalar beta, Scalar alpha) {
    EMBER_CHECK(mat.dim() == 2 && vec.dim() == 1 && self.dim() <= 1, "addmv: vector + matrix @ vector expected, got ",
                self.dim(), ", ", mat.dim(), ", ", vec.dim());
    bool fits = mat->sizes[1] == vec->sizes[0] && (self.numel() == 1 || self.numel() == mat->sizes[0]);
    EMBER_CHECK(fits, "addmv: size mismatch, got input (", self.numel(), "), mat (", mat->sizes[0], "x", mat->sizes[1],
                "), vec (", vec->sizes[0], ")");
    return blend(self, mv(mat, vec), beta, alpha);
  }
};

struct Addbmm {
  static constexpr auto schema =
      "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "beta * self + alpha * the sum over the batch of bmm(batch1, batch2)";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar beta, Scalar alpha) {
    Dims s = bmm_sizes("addbmm", batch1, batch2);
    int64_t k = batch1->sizes[2];  // the sum over the batch is a longer inner dimension
    Tensor wide = reshape(permute(batch1, {1, 0, 2}), {s[1], s[0] * k});
    return addmm(self, wide, reshape(batch2, {s[0] * k, s[2]}), beta, alpha);
  }
};

struct AddbmmInplace {
  static constexpr auto schema =
      "addbmm.inplace(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "addbmm into self, which takes the result's shape where it was broadcast, as in PyTorch";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kInplace;
  static Tensor call(const Tensor& self, const Tensor& batch1, const Tensor& batch2, Scalar beta, Scalar alpha) {
    Tensor y = Addbmm::call(self, batch1, batch2, beta, alpha);
    if (self.sizes() == y.sizes()) return y;
    EMBER_CHECK(!y.requires_grad(), "addbmm_: cannot resize variables that require grad");
    resize_raw(self, y.sizes());
    return copy_(self, y);
  }
};

struct Addr {
  static constexpr auto schema =
      "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
  static constexpr auto doc = "beta * self + alpha * outer(vec1, vec2)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kAll;
  static Tensor call(const Tensor& self, const Tensor& vec1, const Tensor& vec2, Scalar beta, Scalar alpha) {
    Tensor product = outer_product(vec1, vec2);
    check_addend("addr", self, self, product.sizes());
    if (self.dtype() == DType::kBool && product.dtype() == DType::kBool) {
      Tensor y = alpha.to<bool>() ? product : zeros_like(product);
      return beta.to<bool>() ? logical_or(self, y) : y;
    }
    return blend(self, product, beta, alpha);
  }
};

struct Matmul {
  static constexpr auto schema = "matmul(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = R"(The matrix product over the last two dims, with leading dims broadcast.

A vector on the left is a row, on the right a column, and its dim is left out of the result.)";
  static constexpr auto kind = Kind::kContract;
  static constexpr Saves saves = {.inputs = 0b11};

  static Meta infer(const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dim() >= 1 && b.dim() >= 1, "matmul: both arguments to matmul need to be at least 1D, but they are ",
                a.dim(), "D and ", b.dim(), "D");
    check_product("matmul", a, b);
    int64_t k = a->sizes.back(), k2 = b.dim() == 1 ? b->sizes[0] : b->sizes[b->sizes.size() - 2];
    if (k != k2) mismatch(a, b);
    Dims sizes;
    if (a.dim() > 2 || b.dim() > 2) {
      auto leading = [](const Tensor& x) { return DimsView(x->sizes.data(), x.dim() > 2 ? x->sizes.size() - 2 : 0); };
      sizes = broadcast_shapes(leading(a), leading(b));
    }
    if (a.dim() > 1) sizes.push_back(a->sizes[a->sizes.size() - 2]);
    if (b.dim() > 1) sizes.push_back(b->sizes.back());
    return {sizes, a};
  }

  static void cpu(Out y, const Tensor& self, const Tensor& other) {
    auto as_matrix = [](const Tensor& x, size_t at) {
      Dims sizes = x.sizes(), strides = x.strides();
      sizes.insert(sizes.begin() + at, 1), strides.insert(strides.begin() + at, 1);
      return alias_raw(x, sizes, strides, x.storage_offset());
    };
    bool row = self.dim() == 1, column = other.dim() == 1;
    Tensor c = y, a = row ? as_matrix(self, 0) : self, b = column ? as_matrix(other, 1) : other;
    if (column) c = as_matrix(c, c.sizes().size());
    if (row) c = as_matrix(c, c.sizes().size() - 1);
    batched_product(c, a, b);
  }

  static void vjp(Grads& d, const Tensor& self, const Tensor& other) {
    bool row = self.dim() == 1, column = other.dim() == 1;
    Tensor g = d.g(), a = row ? unsqueeze(self, 0) : self, b = column ? unsqueeze(other, 1) : other;
    if (column) g = unsqueeze(g, -1);
    if (row) g = unsqueeze(g, -2);
    if (d.wants(0)) {
      Tensor da = matmul(g, adjoint_of(b));
      if (da.dim() > a.dim()) da = sum_to_size(da, a.sizes());
      d.set(0, row ? squeeze(sum_to_size(da, a.sizes()), {0}) : da);
    }
    if (!d.wants(1)) return;
    Tensor db;
    if (b.dim() == 2 && g.dim() > 2) {  // the sum over the batch is a longer inner dimension
      int64_t n = count(DimsView(g->sizes.data(), g->sizes.size() - 1));
      Tensor tall = reshape(expand(a, batch_of(g, a)), {n, a->sizes.back()});
      db = mm(adjoint_of(tall), reshape(g, {n, g->sizes.back()}));
    } else {
      db = matmul(adjoint_of(a), g);
    }
    d.set(1, column ? squeeze(sum_to_size(db, b.sizes()), {-1}) : db);
  }

 private:
  static Dims batch_of(const Tensor& g, const Tensor& a) {
    Dims sizes = g.sizes();
    sizes.back() = a->sizes.back();
    return sizes;
  }
  [[noreturn]] EMBER_COLD static void mismatch(const Tensor& a, const Tensor& b) {
    int64_t k = a->sizes.back();
    EMBER_CHECK(a.dim() != 1 || b.dim() != 1, "matmul: inconsistent tensor size, expected tensor ", a.sizes(),
                " and src ", b.sizes(), " to have the same number of elements, but got ", a.numel(), " and ", b.numel(),
                " elements respectively");
    int64_t m = a.dim() == 1 ? 1 : a->sizes[a->sizes.size() - 2];
    if (b.dim() == 1) {
      EMBER_FAIL("matmul: size mismatch, got input (", m, "), mat (", m, "x", k, "), vec (", b->sizes[0], ")");
    }
    if (b.dim() == 2) shapes_fail("matmul", k == 0 ? m : a.numel() / k, k, b->sizes[0], b->sizes[1]);
    if (a.dim() <= 2) shapes_fail("matmul", m, k, b->sizes[b->sizes.size() - 2], b->sizes.back());
    Dims leading = broadcast_shapes(DimsView(a->sizes.data(), a->sizes.size() - 2),
                                    DimsView(b->sizes.data(), b->sizes.size() - 2));
    int64_t batch = count(leading);
    EMBER_FAIL("matmul: Expected size for first two dimensions of batch2 tensor to be: ", Dims{batch, k},
               " but got: ", Dims{batch, b->sizes[b->sizes.size() - 2]}, ".");
  }
};

struct Linear {
  static constexpr auto schema = "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor";
  static constexpr auto doc = "input @ weight^T + bias: input [*, in], weight [out, in], bias [out], result [*, out]";
  static constexpr auto kind = Kind::kContract;
  static constexpr auto forms = form::kFunction | form::kOut;
  static constexpr Saves saves = {.inputs = 0b11};

  static Meta infer(const Tensor& input, const Tensor& weight, const OptTensor& bias) {
    EMBER_CHECK(input.dim() >= 1, "linear: both arguments to linear need to be at least 1D, but they are ", input.dim(),
                "D and ", weight.dim(), "D");
    EMBER_CHECK(weight.dim() == 1 || weight.dim() == 2, "linear: weight must be 1D or 2D, but it is ", weight.dim(),
                "D");
    int64_t k = input->sizes.back();
    if (k != weight->sizes.back()) {
      shapes_fail("linear", k == 0 ? 0 : input.numel() / k, k, weight->sizes.back(),
                  weight.dim() == 2 ? weight->sizes[0] : 1);
    }
    check_product("linear", input, weight);
    Dims sizes = input.sizes();
    sizes.pop_back();
    if (weight.dim() == 2) sizes.push_back(weight->sizes[0]);
    if (bias.defined()) check_addend("linear", bias, weight, sizes);
    return {sizes, input};
  }

  static void cpu(Out y, const Tensor& input, const Tensor& weight, const OptTensor& bias) {
    if (y.numel() == 0) return;
    int64_t k = input->sizes.back(), n = weight.dim() == 2 ? weight->sizes[0] : 1, m = y.numel() / n;
    Matrix x(input, m, k, k, 1);
    Tensor copy;
    if (!input.is_contiguous()) {  // rows that lie evenly are read where they are
      if (auto rows = view_strides(input.sizes(), input.strides(), Dims{m, k})) {
        x.row = (*rows)[0], x.column = (*rows)[1];
      } else {
        copy = dense(input);
        x.data = copy.data();
      }
    }
    int64_t pitch = weight->strides[0];
    fill_dense(y, [&](const Tensor& out) {
      Matrix w(weight, k, n, weight->strides.back(), pitch);
      cpu::Gemm g = product(Matrix(out, m, n, n, 1), x, w);
      Tensor addend;
      if (bias.defined() && bias.dim() == 1 && bias->sizes[0] == n) {
        addend = dense(bias);
        g.bias = addend.data(), g.bias_kind = cpu::Bias::kColumn;
      } else if (bias.defined()) {
        cpu::copy(out, bias);
        g.beta = 1;
      }
      cpu::gemm(out.dtype(), g);
    });
  }

  static void vjp(Grads& d, const Tensor& input, const Tensor& weight, const OptTensor&) {
    Tensor g = d.g();
    if (weight.dim() == 1) {
      if (d.wants(0)) d.set(0, mul(unsqueeze(g, -1), conj_of(weight)));
      if (d.wants(1)) d.set(1, mul(unsqueeze(g, -1), conj_of(input)));
      if (d.wants(2)) d.set(2, g);
      return;
    }
    int64_t n = weight->sizes[0], k = weight->sizes[1];
    if (d.wants(0)) d.set(0, linear(g, adjoint_of(weight)));
    if (d.wants(1)) {
      Tensor rows = g.dim() == 2 ? g : reshape(g, {count(g.sizes()) / std::max<int64_t>(n, 1), n});
      Tensor x = input.dim() == 2 ? input : reshape(input, {rows->sizes[0], k});
      d.set(1, mm(transpose(rows, 0, 1), conj_of(x)));
    }
    if (d.wants(2)) d.set(2, g);  // summed to the bias's shape
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> matmul_ops() {
  return make_family<Mm, Bmm, Mv, Dot, Vdot, Outer, Ger, Addmm, Baddbmm, Addmv, Addbmm, AddbmmInplace, Addr, Matmul,
                     Linear>();
}

}  // namespace ember
