// The table and the pointwise readers: registration, broadcasting, promotion, gradients of first and second order.
#include <cmath>

#include "check.h"
#include "op/ops.h"
#include "op/pointwise.h"
#include "transform/grad.h"

using namespace ember;

static Tensor values(DimsView sizes, std::vector<float> v) {
  Tensor x = empty_raw(sizes, DType::kFloat32);
  std::copy(v.begin(), v.end(), x.data<float>());
  return x;
}

TEST(op_table_is_whole) {
  CHECK(all_ops().size() > 90);
  for (auto& op : all_ops()) CHECK(!op->doc.empty());
}

TEST(pointwise_broadcasts_and_promotes) {
  Tensor a = values({2, 1}, {1, 2}), b = values({3}, {10, 20, 30});
  Tensor c = a + b;
  CHECK_EQ(c.sizes()[0], 2);
  CHECK_EQ(c.sizes()[1], 3);
  CHECK_EQ(c.data<float>()[5], 32.0f);
  Tensor d = a * 2;
  CHECK(d.dtype() == DType::kFloat32);
  CHECK_EQ(d.data<float>()[1], 4.0f);
  CHECK((a < b).dtype() == DType::kBool);
  CHECK_THROWS(a + values({2, 2, 2}, {0, 0, 0, 0, 0, 0, 0, 0}) + values({3}, {1, 2, 3}), "must match the size");
}

template <class F>
static std::string message(F call) {
  try {
    call();
  } catch (const Error& error) { return error.what(); }
  return "";
}

TEST(errors_open_with_the_op_that_was_called) {
  Tensor a = values({2}, {1, 2}), b = values({3}, {1, 2, 3});
  CHECK(message([&] { a + b; }).starts_with("add: The size of tensor a"));
  CHECK(message([&] { add_(a, b); }).starts_with("add_: "));
  CHECK(message([&] { vstack(std::vector<Tensor>{a, b}); }).starts_with("vstack: Sizes of tensors"));  // not cat
  CHECK(message([&] { vdot(a, b); }).starts_with("vdot: inconsistent"));                               // not dot
  Error error("from: here");
  error.name_op("from");
  CHECK_EQ(std::string(error.what()), "from: here");
  error.name_op("outer");
  CHECK_EQ(std::string(error.what()), "outer: here");
  Error other("expected all tensors of one size: eye(3) has two");
  other.name_op("all");  // a word of the message is no name
  CHECK_EQ(std::string(other.what()), "all: expected all tensors of one size: eye(3) has two");
  other.name_op("eye");  // but a call in it is one
  CHECK_EQ(std::string(other.what()), "expected all tensors of one size: eye(3) has two");
  Error variant("max_pool2d: too small");
  variant.name_op("max_pool2d_with_indices");
  CHECK_EQ(std::string(variant.what()), "max_pool2d: too small");
}

TEST(grad_first_and_second_order) {
  Tensor x = values({1}, {0.5f});
  x.set_requires_grad(true);
  Tensor y = sin(x * x);
  auto g = grad({y}, {x}, {values({1}, {1})}, true, true);
  CHECK_NEAR(g[0].item<double>(), 2 * 0.5 * std::cos(0.25), 1e-6);
  auto h = grad({g[0]}, {x}, {values({1}, {1})});
  CHECK_NEAR(h[0].item<double>(), 2 * std::cos(0.25) - 4 * 0.25 * std::sin(0.25), 1e-5);
}

TEST(grad_of_a_deep_chain) {
  Tensor x = values({1}, {1});
  x.set_requires_grad(true);
  Tensor y = x;
  for (int i = 0; i < 100000; ++i) y = y + 1;
  y.backward(values({1}, {1}));
  CHECK_EQ(x.grad().item<double>(), 1.0);
}

TEST(partials_read_what_they_need) {
  const Pointwise& p = *find_op("exp")->pointwise;
  CHECK_EQ(p.reads[0], 0b101u);  // the gradient and the result, not the input
}
