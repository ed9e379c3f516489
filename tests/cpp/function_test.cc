// Custom functions in C++: gradients of first and second order, saved tensors, several outputs, in-place, errors.
#include "transform/function.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "check.h"

using namespace ember;

namespace {

struct Cube : autograd::Function<Cube> {
  static Tensor forward(autograd::Context& ctx, const Tensor& x) {
    ctx.save_for_backward({x});
    return x * x * x;
  }
  static Tensor backward(autograd::Context& ctx, const Tensors& grads) {
    return grads[0] * 3 * square(ctx.saved_tensors()[0]);
  }
};

// exp(x), whose result is saved, scaled by a plain number.
struct ScaledExp : autograd::Function<ScaledExp> {
  static Tensor forward(autograd::Context& ctx, const Tensor& x, double scale) {
    Tensor y = exp(x) * scale;
    ctx.save_for_backward({y});
    return y;
  }
  static Tensors backward(autograd::Context& ctx, const Tensors& grads) {
    return {grads[0] * ctx.saved_tensors()[0], {}};
  }
};

struct SumAndDifference : autograd::Function<SumAndDifference> {
  static Tensors forward(autograd::Context& ctx, const Tensors& pair, bool materialize) {
    ctx.set_materialize_grads(materialize);
    ctx.data = std::string("kept");
    return {pair[0] + pair[1], pair[0] - pair[1]};
  }
  static Tensors backward(autograd::Context& ctx, const Tensors& grads) {
    CHECK_EQ(std::any_cast<std::string>(ctx.data), "kept");
    CHECK(ctx.needs_input_grad(0) && !ctx.needs_input_grad(1));
    if (!grads[1].defined()) return {grads[0], grads[0], {}};
    return {grads[0] + grads[1], grads[0] - grads[1], {}};
  }
};

struct Double_ : autograd::Function<Double_> {
  static Tensor forward(autograd::Context& ctx, const Tensor& x) {
    mul_(x, 2);
    ctx.mark_dirty({x});
    return x;
  }
  static Tensor backward(autograd::Context&, const Tensors& grads) { return grads[0] * 2; }
};

struct Same : autograd::Function<Same> {
  static Tensor forward(autograd::Context&, const Tensor& x) { return x; }
  static Tensors backward(autograd::Context&, const Tensors& grads) { return {grads[0] * 5}; }
};

struct Wrong : autograd::Function<Wrong> {
  static Tensor forward(autograd::Context&, const Tensor& x, const Tensor& y) { return x + y; }
  static Tensors backward(autograd::Context&, const Tensors& grads) { return {grads[0]}; }
};

Tensor leaf(double value) {
  Tensor x = full({}, value, DType::kFloat64);
  x.set_requires_grad(true);
  return x;
}

}  // namespace

TEST(function_higher_derivatives) {
  Tensor x = leaf(2), y = Cube::apply(x);
  CHECK_EQ(grad_fn(y)->name(), "CubeBackward");
  Tensor first = grad({y}, {x}, {}, true, /*create_graph=*/true)[0];
  Tensor second = grad({first}, {x}, {}, true, true)[0];
  CHECK_EQ(first.item<double>(), 12);
  CHECK_EQ(second.item<double>(), 12);
  CHECK_EQ(grad({second}, {x})[0].item<double>(), 6);
}

TEST(function_saved_result) {
  Tensor x = leaf(1), y = ScaledExp::apply(x, 3.0);
  Tensor first = grad({y}, {x}, {}, true, true)[0];
  CHECK_NEAR(grad({first}, {x})[0].item<double>(), 3 * std::exp(1.0), 1e-12);
  ScaledExp::apply(x, 3.0).backward();
  CHECK_NEAR(x.grad().item<double>(), 3 * std::exp(1.0), 1e-12);
}

TEST(function_lists_and_missing_gradients) {
  for (bool materialize : {true, false}) {
    Tensor a = leaf(3), b = full({}, 4.0, DType::kFloat64);
    Tensors y = SumAndDifference::apply(Tensors{a, b}, materialize);
    y[0].backward();
    CHECK_EQ(a.grad().item<double>(), 1);
  }
}

TEST(function_in_place) {
  Tensor x = leaf(3), y = x * 1, z = Double_::apply(y);
  CHECK(z.is(y));
  z.backward();
  CHECK_EQ(x.grad().item<double>(), 2);
  CHECK_THROWS(Double_::apply(leaf(1)), "a leaf Variable that requires grad");
}

TEST(function_passes_its_input_on) {
  Tensor x = leaf(3), y = Same::apply(x);
  CHECK(!y.is(x) && is_leaf(x));
  y.backward();
  CHECK_EQ(x.grad().item<double>(), 5);
}

TEST(function_errors) {
  Tensor x = leaf(1), y = Wrong::apply(x, leaf(1));
  CHECK_THROWS(y.backward(), "function WrongBackward returned an incorrect number of gradients (expected 2, got 1)");
  Tensor z = Cube::apply(x);
  z.backward();
  CHECK_THROWS(z.backward(), "Trying to backward through the graph a second time");
  Tensor w = x * 1, u = Cube::apply(w);
  mul_(w, 2);
  CHECK_THROWS(u.backward(), "modified by an inplace operation");
  NoGrad off;
  CHECK(!Cube::apply(x).requires_grad());
}

TEST(function_inference_mode) {
  Tensor made, x = leaf(2);
  {
    InferenceMode guard;
    made = ones({});
    add_(made, 1);
    GradMode on(true);
    CHECK(!(x * 3).requires_grad());
    InferenceMode off(false);
    CHECK((x * 3).requires_grad() && !(x * 3)->inference);
  }
  CHECK(made->inference && !inference_mode && grad_enabled());
  CHECK_THROWS(add_(made, 1), "Inplace update to inference tensor outside InferenceMode");
  CHECK_THROWS(x * made, "Inference tensors cannot be saved for backward");
  (x * clone(made)).backward();
  CHECK_EQ(x.grad().item<double>(), 2);
}

// ---- threads ----

namespace {

void in_threads(int n, auto&& f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) threads.emplace_back(f);
  for (auto& t : threads) t.join();
}

}  // namespace

// Each thread makes and drops the leaf's accumulator while the others look it up.
TEST(autograd_threads_share_a_leaf) {
  const Tensor w = ones({4}).set_requires_grad(true);
  in_threads(4, [&] {
    for (int i = 0; i < 3000; ++i) sum(w * 2).backward();
  });
  CHECK_EQ(w.grad().contiguous()[0].item<float>(), 4 * 3000 * 2.0f);
}

TEST(autograd_threads_walk_one_graph) {
  const Tensor x = ones({4}).set_requires_grad(true);
  const Tensor y = sum(softmax(cumsum(x * x, 0), 0) * cumsum(x, 0));
  const Tensor want = grad(Span<Tensor>(&y, 1), Span<Tensor>(&x, 1), {}, true)[0];
  std::atomic<int> wrong{0};
  in_threads(4, [&] {
    for (int i = 0; i < 1000; ++i) {
      Tensor got = grad(Span<Tensor>(&y, 1), Span<Tensor>(&x, 1), {}, true)[0];
      wrong += !all(eq(got, want)).item<bool>();
    }
  });
  CHECK_EQ(wrong.load(), 0);
}

TEST(autograd_survives_fork) {
  const Tensor w = ones({4}).set_requires_grad(true);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) sum(w * 2).backward();
  });
  int failures = 0;
  for (int i = 0; i < 20; ++i) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      const Tensor x = ones({4}).set_requires_grad(true);
      sum(x * 2).backward();
      _exit(!x.grad().defined());
    }
    int status = -1;
    waitpid(child, &status, 0);
    failures += status != 0;
  }
  stop = true;
  busy.join();
  CHECK_EQ(failures, 0);
}
