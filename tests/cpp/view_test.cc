// The C++ API of creation, views, copies, joins and random numbers; PyTorch comparisons are in tests/ops.
#include "check.h"
#include "op/ops.h"
#include "tensor/generator.h"

using namespace ember;

static std::vector<double> values(const Tensor& x) {
  std::vector<double> out;
  Tensor flat = reshape(x, {-1});
  for (int64_t i = 0; i < flat.numel(); ++i) out.push_back(flat[i].item<double>());
  return out;
}
using Numbers = std::vector<double>;

TEST(views_share_memory) {
  Tensor x = arange(0, 12).view({3, 4});
  Tensor column = select(transpose(x, 0, 1), 0, 1);
  CHECK((values(column) == Numbers{1, 5, 9}));
  fill_(column, 7);
  CHECK(x[2][1].item<int64_t>() == 7);
  CHECK(column.version() == x.version());
  CHECK((values(slice(x[0], 0, {}, {}, -2)) == Numbers{3, 7}));
  CHECK((split(x, 2, 1)[1].strides() == Dims{4, 1}));
  CHECK((expand(x[0], {2, 4}).strides() == Dims{0, 1}));
}

TEST(view_errors_name_what_is_allowed) {
  Tensor x = zeros({3, 4});
  CHECK_THROWS(view(transpose(x, 0, 1), {12}), "Use .reshape(...) instead.");
  CHECK_THROWS(view(x, {5, -1}), "shape '[5, -1]' is invalid for input of size 12");
  CHECK_THROWS(select(x, 0, 3), "index 3 out of range for tensor of size [3, 4] at dimension 0");
  CHECK_THROWS(as_strided(x, {13}, {1}), "are out of bounds for storage of size 48");
  CHECK_THROWS(permute(x, {0, 0}), "duplicate dims");
}

TEST(view_gradients_scatter) {
  Tensor x = arange(0, 6, 1, DType::kFloat32).set_requires_grad(true);
  sum(unfold(x, 0, 3, 1)).backward();
  CHECK((values(x.grad()) == Numbers{1, 2, 3, 3, 2, 1}));
  Tensor y = ones({4}).set_requires_grad(true);
  Tensor z = y * 2;
  mul_(slice(z, 0, 1, 3), 5);
  sum(z).backward();
  CHECK((values(y.grad()) == Numbers{2, 10, 10, 2}));
}

TEST(cat_and_stack) {
  Tensor a = arange(0, 4).view({2, 2}), b = full({2, 1}, 9);
  Tensor list[] = {a, b};
  CHECK((values(cat(List(list, 2), 1)) == Numbers{0, 1, 9, 2, 3, 9}));
  Tensor same[] = {a, transpose(a, 0, 1)};
  CHECK((values(stack(List(same, 2), -1)) == Numbers{0, 0, 1, 2, 2, 1, 3, 3}));
  CHECK((values(pad(a, {1, 0}, "constant", 5)) == Numbers{5, 0, 1, 5, 2, 3}));
  CHECK((values(roll(arange(0, 4), {1})) == Numbers{3, 0, 1, 2}));
}

TEST(copies_convert_and_broadcast) {
  Tensor x = zeros({2, 3}, DType::kInt32);
  copy_(x, full({3}, 2.9));
  CHECK((values(x) == Numbers{2, 2, 2, 2, 2, 2}));
  CHECK_THROWS(copy_(x, zeros({2})), "must match the size of tensor b (2)");
  CHECK_THROWS(fill_(x, Scalar(1e12)), "without overflow");
  CHECK((values(masked_fill(arange(0, 3), arange(0, 3) > 1, 8)) == Numbers{0, 1, 8}));
  CHECK(zeros({2}, {}, kMeta).is_meta());
}

TEST(random_ops_take_a_generator) {
  Generator g(3), h(3);
  CHECK((values(rand({5}, &g)) == values(rand({5}, &h))));
  CHECK((values(randperm(9, &g)) == values(randperm(9, &h))));
  Tensor x = zeros({4});
  uniform_(x, 2, 3, &g);
  for (double v : values(x)) CHECK(v >= 2 && v < 3);
  CHECK_THROWS(multinomial(ones({3}), 4), "without replacement");
}
