// Contractions that are named by their dims: einsum, tensordot, bilinear, products of several matrices, cross.
// All of them permute their operands so that what is summed over lies side by side, and end in bmm, which reads any
// strides. einsum parses its own equations and contracts pairs, the cheapest next result first.
#include <algorithm>
#include <limits>

#include "op/family/dense.h"

namespace ember {
namespace {

// ---- einsum ----

constexpr int kLetters = 52;  // labels beyond stand for the dims of `...`, counted from the last

int letter(char c) { return c >= 'a' && c <= 'z' ? 26 + c - 'a' : c >= 'A' && c <= 'Z' ? c - 'A' : -1; }

using Labels = SmallVector<int, 8>;
bool contains(const Labels& l, int label) { return std::find(l.begin(), l.end(), label) != l.end(); }

// One side of a term: "ij...k" for an operand with `ellipsis` dims under the dots.
Labels parse_term(std::string_view term, int64_t ellipsis, std::string_view where) {
  Labels labels;
  bool dots = false;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term[i] == '.') {
      EMBER_CHECK(term.substr(i, 3) == "..." && !dots, "einsum(): found '.' for ", where,
                  " that is not part of any ellipsis");
      for (int64_t d = ellipsis; d > 0; --d) labels.push_back(kLetters + static_cast<int>(d) - 1);
      dots = true, i += 2;
      continue;
    }
    EMBER_CHECK(letter(term[i]) >= 0,
                "einsum(): invalid subscript given in the equation string, subscripts must be in "
                "[a-zA-Z], but found ",
                std::string(1, term[i]), " for ", where);
    labels.push_back(letter(term[i]));
  }
  return labels;
}

// A tensor whose dims carry distinct labels.
struct Term {
  Tensor x;
  Labels labels;

  int64_t size(int label) const { return x.sizes()[static_cast<size_t>(at(label))]; }
  int64_t at(int label) const { return std::find(labels.begin(), labels.end(), label) - labels.begin(); }
  // The view with dims in the order of `order`; labels that are missing get size 1.
  Tensor ordered(const Labels& order) const {
    Dims dims;
    for (int l : order) {
      if (contains(labels, l)) dims.push_back(at(l));
    }
    Tensor y = permute(x, dims);
    for (size_t i = 0; i < order.size(); ++i) {
      if (!contains(labels, order[i])) y = unsqueeze(y, static_cast<int64_t>(i));
    }
    return y;
  }
  void drop(int label, bool summed) {  // a dim of size 1 that broadcasts is dropped, not summed
    int64_t d = at(label);
    x = summed ? sum(x, Dims{d}) : select(x, d, 0);
    labels.erase(labels.begin() + d);
  }
};

Term make_term(const Tensor& x, Labels labels, size_t operand) {
  EMBER_CHECK(labels.size() == x.sizes().size(), "einsum(): the number of subscripts in the equation (", labels.size(),
              ") does not match the number of dimensions (", x.dim(), ") for operand ", operand,
              " and no ellipsis was given");
  Term t{x, {}};
  for (int label : labels) {  // a label that comes again takes the diagonal
    if (!contains(t.labels, label)) {
      t.labels.push_back(label);
      continue;
    }
    int64_t first = t.at(label), again = static_cast<int64_t>(t.labels.size());
    EMBER_CHECK(t.x.size(first) == t.x.size(again), "einsum(): subscript is repeated for operand ", operand,
                " but the sizes don't match, ", t.x.size(again), " != ", t.x.size(first));
    t.x = diagonal(t.x, 0, first, again);
    Dims back;  // the diagonal comes last: put it where the label was
    for (int64_t i = 0; i + 1 < t.x.dim(); ++i) back.push_back(i);
    back.insert(back.begin() + first, t.x.dim() - 1);
    t.x = permute(t.x, back);
  }
  return t;
}

// Sums the product of two terms over the labels that `needed` does not hold.
Term contract(Term a, Term b, const Labels& needed) {
  for (auto [one, other] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
    for (int label : Labels(one->labels)) {
      bool shared = contains(other->labels, label);
      if (shared && one->size(label) == 1 && other->size(label) != 1) one->drop(label, false);
      else if (!shared && !contains(needed, label)) one->drop(label, true);
    }
  }
  Labels batch, left, right, summed;
  for (int l : a.labels) {
    if (!contains(b.labels, l)) left.push_back(l);
    else if (contains(needed, l)) batch.push_back(l);
    else summed.push_back(l);
  }
  for (int l : b.labels) {
    if (!contains(a.labels, l)) right.push_back(l);
  }
  Labels out = batch;
  out.append(Span<int>(left)), out.append(Span<int>(right));
  if (summed.empty()) return {mul(a.ordered(out), b.ordered(out)), out};
  auto block = [&](const Term& t, std::initializer_list<const Labels*> groups) {  // one dim a group
    Labels order;
    Dims shape;
    for (const Labels* g : groups) {
      order.append(Span<int>(*g));
      int64_t n = 1;
      for (int l : *g) n *= t.size(l);
      shape.push_back(n);
    }
    return reshape(t.ordered(order), shape);
  };
  Tensor y = bmm(block(a, {&batch, &left, &summed}), block(b, {&batch, &summed, &right}));
  Dims sizes;
  for (int l : out) sizes.push_back(contains(a.labels, l) ? a.size(l) : b.size(l));
  return {reshape(y, sizes), out};
}

// How many numbers the contraction of two terms would hold.
double result_size(const Term& a, const Term& b, const Labels& needed) {
  double n = 1;
  for (const Term* t : {&a, &b}) {
    for (int l : t->labels) {
      if (contains(needed, l) && !(t == &b && contains(a.labels, l))) n *= static_cast<double>(t->size(l));
    }
  }
  return n;
}

struct Einsum {
  static constexpr auto schema = "einsum(str equation, Tensor[] tensors) -> Tensor";
  static constexpr auto doc = R"(The sum of products that Einstein's notation names: "ij,jk->ik" is a matrix product.

A letter labels a dim of each operand; what `->` leaves out is summed. "..." stands for dims that broadcast. Without
`->` the result has the labels that occur once, in alphabetical order.)";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;

  static Tensor call(std::string_view equation, Span<Tensor> tensors) {
    EMBER_CHECK(!tensors.empty(), "einsum(): must provide at least one operand");
    size_t arrow = equation.find("->");
    std::string_view left = equation.substr(0, arrow);
    std::vector<std::string_view> parts;
    for (size_t at = 0; at <= left.size();) {
      size_t comma = std::min(left.find(',', at), left.size());
      parts.push_back(left.substr(at, comma - at));
      at = comma + 1;
    }
    EMBER_CHECK(parts.size() <= tensors.size(),
                "einsum(): fewer operands were provided than specified in the equation");
    EMBER_CHECK(parts.size() >= tensors.size(), "einsum(): more operands were provided than specified in the equation");

    std::vector<Term> terms;
    Labels seen;  // with repetitions, dots apart
    int64_t dots = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      int64_t named = std::count_if(parts[i].begin(), parts[i].end(), [](char c) { return letter(c) >= 0; });
      bool any = parts[i].find('.') != std::string_view::npos;
      int64_t under = any ? tensors[i].dim() - named : 0;
      EMBER_CHECK(under >= 0, "einsum(): the number of subscripts in the equation (", named,
                  ") is more than the number of dimensions (", tensors[i].dim(), ") for operand ", i);
      dots = std::max(dots, under);
      Labels labels = parse_term(parts[i], under, str("operand ", i));
      for (int l : labels) {
        if (l < kLetters) seen.push_back(l);
      }
      terms.push_back(make_term(tensors[i], labels, i));
    }
    check_sizes(terms);
    Labels out = arrow == std::string_view::npos ? implicit_output(seen, dots)
                                                 : explicit_output(equation.substr(arrow + 2), dots, terms);
    return reduce(std::move(terms), out);
  }

 private:
  static void check_sizes(const std::vector<Term>& terms) {
    for (size_t i = 0; i < terms.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        for (int l : terms[i].labels) {
          if (!contains(terms[k].labels, l)) continue;
          int64_t a = terms[k].size(l), b = terms[i].size(l);
          EMBER_CHECK(a == b || a == 1 || b == 1,
                      "einsum(): operands do not broadcast with remapped shapes "
                      "[original->remapped]: operand ",
                      k, " has size ", a, " and operand ", i, " has size ", b, " for the same subscript");
        }
      }
    }
  }
  static Labels implicit_output(Labels seen, int64_t dots) {
    Labels out;
    for (int64_t d = dots; d > 0; --d) out.push_back(kLetters + static_cast<int>(d) - 1);
    std::sort(seen.begin(), seen.end());
    for (int l : seen) {
      if (std::count(seen.begin(), seen.end(), l) == 1) out.push_back(l);
    }
    return out;
  }
  static Labels explicit_output(std::string_view right, int64_t dots, const std::vector<Term>& terms) {
    Labels out = parse_term(right, dots, "the output");
    for (int l : out) {
      EMBER_CHECK(std::count(out.begin(), out.end(), l) == 1, "einsum(): output subscript ", spell(l),
                  " appears more than once in the output");
      bool known = l >= kLetters ||
                   std::any_of(terms.begin(), terms.end(), [&](const Term& t) { return contains(t.labels, l); });
      EMBER_CHECK(known, "einsum(): output subscript ", spell(l),
                  " does not appear in the equation for any input operand");
    }
    return out;
  }
  static std::string spell(int l) { return std::string(1, static_cast<char>(l < 26 ? 'A' + l : 'a' + l - 26)); }

  static Tensor reduce(std::vector<Term> terms, const Labels& out) {
    while (terms.size() > 1) {
      size_t left = 0, right = 1;
      Labels needed;
      double best = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < terms.size(); ++i) {
        for (size_t k = i + 1; k < terms.size(); ++k) {
          Labels rest = needed_by_others(terms, out, i, k);
          double n = result_size(terms[i], terms[k], rest);
          if (n < best) best = n, left = i, right = k, needed = rest;
        }
      }
      Term t = contract(terms[left], terms[right], needed);
      terms.erase(terms.begin() + static_cast<int64_t>(right));
      terms[left] = std::move(t);
    }
    Term t = std::move(terms[0]);
    for (int l : Labels(t.labels)) {
      if (!contains(out, l)) t.drop(l, true);
    }
    return t.ordered(out);
  }
  static Labels needed_by_others(const std::vector<Term>& terms, const Labels& out, size_t i, size_t k) {
    Labels needed = out;
    for (size_t o = 0; o < terms.size(); ++o) {
      if (o != i && o != k) needed.append(Span<int>(terms[o].labels));
    }
    return needed;
  }
};

// ---- named contractions ----

struct Tensordot {
  static constexpr auto schema = "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor";
  static constexpr auto doc =
      "The sum of products over pairs of dims, one list an operand; a dim of one element broadcasts";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& self, const Tensor& other, DimsView dims_a, DimsView dims_b) {
    EMBER_CHECK(dims_a.size() == dims_b.size(), "tensordot: both dimension lists should have same length");
    EMBER_CHECK(self.dtype() == other.dtype(), "tensordot: both inputs should have same dtype");
    Tensor a = self, b = other;
    Dims order_a, order_b, sizes, summed_a, summed_b;
    int64_t inner = 1;
    for (size_t i = 0; i < dims_a.size(); ++i) {
      summed_a.push_back(wrap_dim(dims_a[i], a.dim())), summed_b.push_back(wrap_dim(dims_b[i], b.dim()));
      int64_t n = a.size(summed_a[i]), m = b.size(summed_b[i]);
      if (n == 1 && m != 1) b = sum(b, Dims{summed_b[i]}, true, b.dtype()), m = 1;
      if (m == 1 && n != 1) a = sum(a, Dims{summed_a[i]}, true, a.dtype()), n = 1;
      EMBER_CHECK(n == m, "tensordot: contracted dimensions need to match, but first has size ", n, " in dim ",
                  dims_a[i], " and second has size ", m, " in dim ", dims_b[i]);
      inner *= n;
    }
    auto rest = [&](const Tensor& x, const Dims& summed, Dims& order) {
      for (int64_t d = 0; d < x.dim(); ++d) {
        if (std::find(summed.begin(), summed.end(), d) == summed.end()) order.push_back(d), sizes.push_back(x.size(d));
      }
    };
    rest(a, summed_a, order_a);
    int64_t rows = count(sizes);
    order_a.append(DimsView(summed_a));
    order_b = summed_b;
    rest(b, summed_b, order_b);
    int64_t columns = rows == 0 ? 0 : count(sizes) / rows;
    if (rows == 0) columns = count(DimsView(sizes.data() + a.dim() - dims_a.size(), b.sizes().size() - dims_b.size()));
    return reshape(mm(reshape(permute(a, order_a), {rows, inner}), reshape(permute(b, order_b), {inner, columns})),
                   sizes);
  }
};

struct Inner {
  static constexpr auto schema = "inner(Tensor self, Tensor other) -> Tensor";
  static constexpr auto doc = "The sum of products along the last dim of both; a 0-dim operand multiplies";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& a, const Tensor& b) {
    if (a.dim() == 0 || b.dim() == 0) return mul(a, b);
    EMBER_CHECK(a.size(-1) == b.size(-1), "inner() the last dimension must match on both input tensors but got shapes ",
                a.sizes(), " and ", b.sizes());
    return Tensordot::call(a, b, {-1}, {-1});
  }
};

struct Trace {
  static constexpr auto schema = "trace(Tensor self) -> Tensor";
  static constexpr auto doc = "The sum of a matrix's diagonal";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kMethod;
  static Tensor call(const Tensor& x) {
    EMBER_CHECK(x.dim() == 2, "trace: expected a matrix, but got tensor with dim ", x.dim());
    return sum(diagonal(x));
  }
};

struct Bilinear {
  static constexpr auto schema = "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor";
  static constexpr auto doc = "y[..., o] = input1[..., i] weight[o, i, j] input2[..., j] + bias[o]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& x1, const Tensor& x2, const Tensor& weight, const OptTensor& bias) {
    EMBER_CHECK(x1.dim() == x2.dim(), "bilinear(): input dimensions do not match: got ", x1.dim(), " and ", x2.dim());
    for (int64_t d = 0; d + 1 < x1.dim(); ++d) {
      EMBER_CHECK(x1.size(d) == x2.size(d), "bilinear(): input batch dimensions do not match at dim ", d, ": got ",
                  x1.size(d), " and ", x2.size(d));
    }
    EMBER_CHECK(x1.size(-1) == weight.size(1), "bilinear(): input1 size does not match weight size: got ", x1.size(-1),
                " but expected ", weight.size(1));
    EMBER_CHECK(x2.size(-1) == weight.size(2), "bilinear(): input2 size does not match weight size: got ", x2.size(-1),
                " but expected ", weight.size(2));
    int64_t out = weight.size(0), n1 = weight.size(1), n2 = weight.size(2);
    int64_t rows = n1 == 0 ? 0 : x1.numel() / n1;
    Tensor half = mm(reshape(x1, {rows, n1}), reshape(permute(weight, {1, 0, 2}), {n1, out * n2}));
    Tensor y = bmm(reshape(half, {rows, out, n2}), reshape(x2, {rows, n2, 1}));
    Dims sizes = x1.sizes();
    sizes.back() = out;
    y = reshape(y, sizes);
    return bias.defined() ? y + bias : y;
  }
};

struct ChainMatmul {
  static constexpr auto schema = "chain_matmul(Tensor[] matrices) -> Tensor";
  static constexpr auto doc = "The product of several matrices in the order that takes the fewest products of numbers";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(Span<Tensor> m) {
    EMBER_CHECK(!m.empty(), "chain_matmul(): Expected one or more matrices");
    for (const Tensor& x : m) {
      EMBER_CHECK(x.dim() == 2, "chain_matmul(): Tensor dimension is ", x.dim(), ", expected 2 instead.");
    }
    size_t n = m.size();  // cost[i][j]: of the product of matrices i..j; split[i][j]: where it parts
    std::vector<std::vector<double>> cost(n, std::vector<double>(n));
    std::vector<std::vector<size_t>> split(n, std::vector<size_t>(n));
    for (size_t length = 1; length < n; ++length) {
      for (size_t i = 0, j = length; j < n; ++i, ++j) {
        cost[i][j] = std::numeric_limits<double>::infinity();
        for (size_t k = i; k < j; ++k) {
          double work =
              static_cast<double>(m[i].size(0)) * static_cast<double>(m[k].size(1)) * static_cast<double>(m[j].size(1));
          double total = cost[i][k] + cost[k + 1][j] + work;
          if (total < cost[i][j]) cost[i][j] = total, split[i][j] = k;
        }
      }
    }
    return product(m, split, 0, n - 1);
  }

 private:
  static Tensor product(Span<Tensor> m, const std::vector<std::vector<size_t>>& split, size_t i, size_t j) {
    if (i == j) return m[i];
    return mm(product(m, split, i, split[i][j]), product(m, split, split[i][j] + 1, j));
  }
};

// a x b along a dim of three: y[i] = a[i+1] b[i+2] - a[i+2] b[i+1], indices around the circle.
Tensor cross_product(const Tensor& a, const Tensor& b, int64_t dim) {
  EMBER_CHECK(a.dim() == b.dim(), "linalg.cross: inputs must have the same number of dimensions.");
  EMBER_CHECK(a.size(dim) == 3 && b.size(dim) == 3, "linalg.cross: inputs dimension ", dim, " must have length 3. Got ",
              a.size(dim), " and ", b.size(dim));
  auto turn = [&](const Tensor& x, int64_t by) { return roll(x, {-by}, {dim}); };
  return turn(a, 1) * turn(b, 2) - turn(a, 2) * turn(b, 1);
}

struct LinalgCross {
  static constexpr auto schema = "linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor";
  static constexpr auto doc = "The cross product of vectors of three along `dim`; the rest broadcasts";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction | form::kOut;
  static Tensor call(const Tensor& a, const Tensor& b, int64_t dim) { return cross_product(a, b, dim); }
};

struct Cross {
  static constexpr auto schema = "cross(Tensor self, Tensor other, int? dim=None) -> Tensor";
  static constexpr auto doc = "The cross product along `dim`, or along the first dim of size 3";
  static constexpr auto kind = Kind::kComposite;
  static Tensor call(const Tensor& a, const Tensor& b, OptInt dim) {
    if (dim) return cross_product(a, b, *dim);
    Dims sizes = broadcast_shapes(a.sizes(), b.sizes());
    auto three = std::find(sizes.begin(), sizes.end(), 3);
    EMBER_CHECK(three != sizes.end(), "cross: no dimension of size 3 in input");
    return cross_product(a, b, three - sizes.begin());
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> contract_ops() {
  return make_family<Einsum, Tensordot, Inner, Trace, Bilinear, ChainMatmul, LinalgCross, Cross>();
}

}  // namespace ember
