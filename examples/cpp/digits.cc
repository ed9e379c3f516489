// Reads handwritten digits: the C++ twin of ember/demo/digits.py. The same network under the same names, the same bent
// digits, the same schedule and, from one seed, the same losses; each reads the other's checkpoints.
//   ember demo --export-digits digits-data.pt       scikit-learn's 1,797 scans, split
//   digits digits-data.pt digits.pt [epochs] [seed]
#include <ember/ember.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>

using namespace ember;

// (N, 1, 8, 8) pixels -> (N, 10) scores. In braces, modules are made from left to right, as in Python.
struct Digits : nn::Module {
  static constexpr int64_t kWidth = 32;
  static nn::Sequential block(int64_t inputs, int64_t outputs) {
    return nn::Sequential{nn::Conv2d(inputs, outputs, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(outputs),
                          nn::ReLU()};
  }
  nn::Child<nn::Sequential> features =
      register_module("features", nn::Sequential{block(1, kWidth), block(kWidth, kWidth), nn::MaxPool2d(2),
                                                 block(kWidth, 2 * kWidth), nn::MaxPool2d(2)});
  nn::Child<nn::Linear> classify = register_module("classify", nn::Linear(2 * kWidth * 2 * 2, 10));
  Tensor forward(const Tensor& x) override { return classify(flatten(features(x), 1)); }
};

// Each image under a random affine map of its own: a pixel is a sum over source pixels weighted by a tent,
// max(0, 1 - distance), down and across.
static Tensor bend(const Tensor& images) {
  const int64_t n = images.size(0), size = images.size(2);
  auto draw = [&](double limit) { return (rand({n, 1}) * 2 - 1) * limit; };
  const Tensor axis = arange(0, size) - static_cast<double>(size - 1) / 2;
  const Tensor down = flatten(expand(unsqueeze(axis, 1), {size, size})), across = repeat(axis, {size});
  const Tensor theta = draw(0.22), zoom = draw(0.12) + 1, slant = draw(0.15);
  const Tensor source_y = (cos(theta) * down + sin(theta) * across) * zoom + draw(0.7);
  const Tensor source_x = (cos(theta) * across - sin(theta) * down) * zoom + slant * down + draw(0.7);
  auto tent = [&](const Tensor& source) { return relu(1 - abs(unsqueeze(source, -1) - axis)); };
  return sum(matmul(tent(source_y), select(images, 1, 0)) * tent(source_x), {{-1}}).reshape(images.sizes());
}

// One cycle of learning rate and momentum, as OneCycleLR(max_lr=1e-2): up for 30 % of the steps, then down to nothing.
static void schedule(optim::AdamOptions& options, int64_t step, int64_t total) {
  const double max_lr = 1e-2, top = 0.3 * static_cast<double>(total) - 1, end = static_cast<double>(total) - 1;
  auto anneal = [](double from, double to, double part) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part));
  };
  const double at = static_cast<double>(step);
  const bool rising = at <= top;
  const double part = rising ? at / top : (at - top) / (end - top);
  options.lr = rising ? anneal(max_lr / 25, max_lr, part) : anneal(max_lr, max_lr / 25 / 1e4, part);
  options.betas[0] = rising ? anneal(0.95, 0.85, part) : anneal(0.85, 0.95, part);
}

static double accuracy(Digits& model, const Tensor& images, const Tensor& labels) {
  NoGrad off;
  model.eval();
  return mean(argmax(model(images), 1) == labels, {}, false, DType::kFloat64).item<double>();
}

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s DATA CHECKPOINT [EPOCHS] [SEED]\n", argv[0]);
    return 2;
  }
  const int64_t epochs = argc > 3 ? std::atoll(argv[3]) : 40;
  manual_seed(argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0);
  Tensor train_x, train_y, test_x, test_y;
  for (auto& [name, tensor] : io::load_state_dict(argv[1]))
    (name == "train_x" ? train_x : name == "train_y" ? train_y : name == "test_x" ? test_x : test_y) = tensor;

  Digits model;
  std::printf("%s\n", model.repr().c_str());
  data::DataLoader loader(data::TensorDataset({train_x, train_y}),
                          {.batch_size = 64, .shuffle = true, .drop_last = true});
  optim::AdamW optimizer(model.parameters(), {.weight_decay = 0.05});
  const auto start = std::chrono::steady_clock::now();
  const int64_t total = epochs * loader.size();
  for (int64_t step = 0; step < total;) {
    double last = 0;
    for (const data::Batch& batch : loader) {
      schedule(optimizer.options(), step++, total);
      Tensor loss =
          cross_entropy(model(bend(batch[0])), batch[1], {}, reduction::kMean, -100, /*label_smoothing=*/0.05);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      last = loss.item<double>();
    }
    std::printf("step %5lld of %lld, loss %.6f\n", static_cast<long long>(step), static_cast<long long>(total), last);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const double right = accuracy(model, test_x, test_y);
  std::printf("accuracy on held-out digits: %.2f%% after %.1f s\n", 100 * right, took.count());

  model.save(argv[2]);
  Digits again;
  again.load(argv[2]);
  EMBER_CHECK(accuracy(again, test_x, test_y) == right, "the network read back from disk predicts otherwise");
  std::printf("saved %s (read back: same accuracy)\n", argv[2]);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
