// The C++ optimizers: five steps against numbers that PyTorch 2.13 printed, layouts, checkpoints, errors.
#include "optim/optim.h"

#include <unistd.h>

#include "check.h"
#include "op/ops.h"

using namespace ember;
using namespace ember::optim;

namespace {

Tensor vec(std::initializer_list<float> values) {
  Tensor t = empty_raw({static_cast<int64_t>(values.size())}, DType::kFloat32);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

// Steps [first, last] of a run whose gradients the expected numbers were made with.
void train(Optimizer& optimizer, const Tensor& p, int first = 1, int last = 5) {
  for (int t = first; t <= last; ++t) {
    const float u = static_cast<float>(t);
    p.set_grad(vec({0.1f * u, -0.3f, u * u * 0.05f}));
    optimizer.step();
  }
}
void check_values(const Tensor& p, std::array<double, 3> expected) {
  for (int i = 0; i < 3; ++i) CHECK_NEAR(p.data<float>()[i], expected[i], 1e-5);
}
template <class T, class Options>
void check_run(Options options, std::array<double, 3> expected) {
  Tensor p = vec({1, -2, 0.5});
  p.set_requires_grad(true);
  T optimizer({p}, options);
  train(optimizer, p);
  check_values(p, expected);
}

}  // namespace

TEST(optim_sgd) {
  check_run<SGD>(SGDOptions{.lr = 0.1}, {0.85, -1.8500001, 0.225});
  check_run<SGD>(SGDOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true},
                 {0.4149914, -1.1922038, -0.2819784});
  check_run<SGD>(SGDOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.5, .maximize = true},
                 {1.1789910, -2.2585881, 0.7543405});
}
TEST(optim_adam) {
  check_run<Adam>(AdamOptions{.lr = 0.1}, {0.5149169, -1.4999999, 0.0506624});
  check_run<Adam>(AdamOptions{.lr = 0.1, .weight_decay = 0.1, .amsgrad = true}, {0.5030729, -1.5009830, 0.0353811});
  check_run<AdamW>(AdamWOptions{.lr = 0.1, .weight_decay = 0.1}, {0.4755809, -1.4118805, 0.0353138});
}
TEST(optim_rmsprop) {
  check_run<RMSprop>(RMSpropOptions{.lr = 0.1}, {-3.1088293, 1.2446048, -4.0331059});
  check_run<RMSprop>(RMSpropOptions{.lr = 0.1, .alpha = 0.9, .momentum = 0.9, .centered = true},
                     {-3.0614457, 1.4547139, -3.7743723});
}
TEST(optim_adagrad) {
  check_run<Adagrad>(AdagradOptions{.lr = 0.1, .lr_decay = 0.1, .initial_accumulator_value = 0.5},
                     {0.8609762, -1.8525103, 0.3205184});
}

TEST(optim_many_and_large) {  // pieces that begin and end inside of tensors
  std::vector<Tensor> params;
  for (int64_t n : {1, 100000, 0, 7, 40000}) {
    Tensor p = empty_raw({n}, DType::kFloat32), g = empty_raw({n}, DType::kFloat32);
    for (int64_t i = 0; i < n; ++i) p.data<float>()[i] = 1, g.data<float>()[i] = static_cast<float>(i % 3);
    p.set_requires_grad(true);
    p.set_grad(g);
    params.push_back(p);
  }
  SGD(params, {.lr = 0.5}).step();
  for (const Tensor& p : params) {
    for (int64_t i = 0; i < p.numel(); ++i) CHECK_EQ(p.data<float>()[i], 1 - 0.5f * static_cast<float>(i % 3));
  }
}

TEST(optim_layouts) {  // a parameter with holes, a gradient that lies otherwise
  Tensor base = empty_raw({4, 3}, DType::kFloat32);
  for (int i = 0; i < 12; ++i) base.data<float>()[i] = 1;
  Tensor p = alias_raw(base, {3, 2}, {1, 6}, 0);  // rows 0 and 2, transposed
  Tensor g = empty_raw({3, 2}, DType::kFloat32);
  for (int i = 0; i < 6; ++i) g.data<float>()[i] = static_cast<float>(i);
  p.set_grad(g);
  SGD({p}, {.lr = 1.0}).step();
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 2; ++j) CHECK_EQ(base.data<float>()[i + 6 * j], 1 - static_cast<float>(2 * i + j));
    CHECK_EQ(base.data<float>()[i + 3], 1.0f);
  }
}

TEST(optim_checkpoint) {
  const std::string path = "/tmp/ember_optim_test_" + std::to_string(getpid()) + ".pt";
  Tensor p = vec({1, -2, 0.5});
  Adam whole({p}, {.lr = 0.1, .weight_decay = 0.1, .amsgrad = true});
  train(whole, p, 1, 3);
  whole.save(path);
  Tensor q = vec({p.data<float>()[0], p.data<float>()[1], p.data<float>()[2]});
  Adam resumed({q}, {.lr = 7, .amsgrad = true});
  resumed.load(path);
  unlink(path.c_str());
  CHECK(resumed.lr()[0] == 0.1);
  train(resumed, q, 4, 5);
  check_values(q, {0.5030729, -1.5009830, 0.0353811});
  SGD two({vec({1})});
  two.add_param_group({vec({1})}, {.lr = 1});
  whole.save(path);
  CHECK_THROWS(two.load(path), "different number of parameter groups");
  CHECK_THROWS(SGD({vec({1}), vec({2})}).load(path), "doesn't match the size of optimizer's group");
  unlink(path.c_str());
}

TEST(optim_groups_and_gradients) {
  Tensor a = vec({1}), b = vec({1});
  SGD optimizer({a}, {.lr = 0.5});
  optimizer.add_param_group({b}, {.lr = 0.25});
  a.set_grad(vec({1})), b.set_grad(vec({1}));
  CHECK_EQ(optimizer.step([] { return 3.0; }), 3.0);
  CHECK_EQ(a.data<float>()[0], 0.5f);
  CHECK_EQ(b.data<float>()[0], 0.75f);
  optimizer.zero_grad(false);
  CHECK_EQ(a.grad().data<float>()[0], 0.0f);
  optimizer.zero_grad();
  CHECK(!a.grad().defined());
  optimizer.set_lr(2);
  CHECK(optimizer.lr()[1] == 2.0);
}

TEST(optim_errors) {
  Tensor p = vec({1});
  CHECK_THROWS(SGD({}), "empty parameter list");
  CHECK_THROWS(SGD({p}, {.lr = -1}), "Invalid learning rate: -1");
  CHECK_THROWS(SGD({p}, {.lr = std::nan("")}), "Invalid learning rate: nan");
  CHECK_THROWS(SGD({p}, {.nesterov = true}), "Nesterov momentum requires");
  CHECK_THROWS(Adam({p}, {.betas = {0.9, 1.0}}), "Invalid beta parameter at index 1");
  CHECK_THROWS(RMSprop({p}, {.alpha = -1}), "Invalid alpha value");
  CHECK_THROWS(Adagrad({p}, {.lr_decay = -1}), "Invalid lr_decay value");
  SGD optimizer({p});
  CHECK_THROWS(optimizer.add_param_group({p}, {}), "more than one parameter group");
  p.set_grad(vec({1}));
  optimizer.options().lr = HUGE_VAL;
  CHECK_THROWS(optimizer.step(), "Invalid learning rate: inf");
  CHECK_EQ(p.data<float>()[0], 1.0f);
}
