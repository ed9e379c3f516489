// What a user's program does with the installed library: a network, a custom function, optimizers, files, errors caught
// by type across the library's border.
//   consumer weights SEED OUT           saves the network's initial weights
//   consumer forward STATE INPUT OUT    loads a state, saves {"y": network(x)} for the tensor x of INPUT
//   consumer train STATE INPUT OUT      three steps of AdamW and of SGD on sum(square(y)), saves the state
//   consumer check                      the rest; prints "ok"
#include <ember/ember.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

using namespace ember;

struct Net : nn::Module {
  nn::Child<nn::Sequential> body = register_module(
      "body", nn::Sequential{nn::Conv2d(1, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::SiLU(), nn::MaxPool2d(2),
                             nn::Flatten(), nn::Linear(16, 8, {.bias = false}), nn::LayerNorm(8), nn::Dropout(0.5)});
  nn::Child<nn::Embedding> table = register_module("table", nn::Embedding(5, 8, {.padding_idx = 2}));
  Tensor gain = register_parameter("gain", ones({8}));
  Tensor forward(const Tensor& x) override { return matmul(body(x) * gain, t(table(arange(0, 5)))); }
};

struct Clip : autograd::Function<Clip> {
  static Tensor forward(autograd::Context& ctx, const Tensor& x, double limit) {
    ctx.save_for_backward({abs(x) <= limit});
    return clamp(x, -limit, limit);
  }
  static Tensors backward(autograd::Context& ctx, const Tensors& grads) {
    return {grads[0] * ctx.saved_tensors()[0], {}};
  }
};

template <class Optimizer>
static void steps(Optimizer optimizer, Net& net, const Tensor& x) {
  for (int i = 0; i < 3; ++i) {
    optimizer.zero_grad();
    sum(square(net(x))).backward();
    optimizer.step();
  }
}

static void check() {
  Tensor x = arange(-2.0, 3.0);
  x.set_requires_grad(true);
  sum(Clip::apply(x, 1.0) * x).backward();
  const float expected[] = {-1, -2, 0, 2, 1};
  for (int i = 0; i < 5; ++i) EMBER_CHECK(x.grad().data<float>()[i] == expected[i], "gradient of Clip");

  data::DataLoader loader(data::TensorDataset({arange(0, 10)}), {.batch_size = 4, .num_workers = 2});
  int64_t seen = 0;
  for (const data::Batch& batch : loader) seen += batch[0].numel();
  EMBER_CHECK(seen == 10, "the loader gave ", seen, " of 10 samples");

  Net net;
  try {
    net(zeros({2, 3, 4, 4}));
    EMBER_FAIL("three channels were let pass");
  } catch (const Error& error) {
    EMBER_CHECK(std::string_view(error.what()).ends_with("\nin body.0 (Conv2d)"), error.what());
  }
  try {
    x[7];
    EMBER_FAIL("an index out of range was let pass");
  } catch (const IndexError&) {}
}

int main(int argc, char** argv) try {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "weights") {
    manual_seed(std::strtoull(argv[2], nullptr, 10));
    Net().save(argv[3]);
  } else if (command == "forward" || command == "train") {
    Net net;
    net.load(argv[2]);
    net.eval();
    const Tensor x = io::load_state_dict(argv[3]).at(0).second;
    if (command == "forward") {
      NoGrad off;
      io::save_state_dict(argv[4], {{"y", net(x)}});
      return 0;
    }
    steps(optim::AdamW(net.parameters(), {.lr = 1e-2}), net, x);
    steps(optim::SGD(net.parameters(), {.lr = 1e-3, .momentum = 0.9}), net, x);
    net.save(argv[4]);
  } else if (command == "check") {
    check();
    std::puts("ok");
  } else {
    std::fprintf(stderr, "usage: consumer weights|forward|train|check ...\n");
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
