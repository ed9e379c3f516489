// Modules in C++: weights of a seed and printed trees against what PyTorch 2.13 gave, state dicts, casts, errors.
#include <ember/ember.h>
#include <unistd.h>

#include "check.h"

using namespace ember;

namespace {

Tensor vec(std::initializer_list<float> values, DimsView sizes) {
  Tensor t = empty_raw(sizes, DType::kFloat32);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}
void check_values(const Tensor& x, std::initializer_list<double> expected, double tolerance = 0) {
  CHECK_EQ(x.numel(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < x.numel(); ++i) CHECK_NEAR(x.data<float>()[i], expected.begin()[i], tolerance);
}

struct Net : nn::Module {
  nn::Child<nn::Sequential> features =
      register_module("features", nn::Sequential{nn::Conv2d(1, 2, 3, {.padding = 1}), nn::BatchNorm2d(2), nn::ReLU()});
  nn::Child<nn::Linear> head = register_module("head", nn::Linear(8, 3));
  Tensor scale = register_parameter("scale", full({}, 1.0));
  Tensor seen = register_buffer("seen", zeros({2}), /*persistent=*/false);
  Tensor forward(const Tensor& x) override { return head(flatten(features(x), 1)) * scale; }
};

std::string keys(const nn::NamedTensors& list) {
  std::string out;
  for (auto& [name, tensor] : list) out += name + " ";
  return out;
}

}  // namespace

TEST(nn_weights_are_pytorchs) {
  manual_seed(0);
  nn::Linear linear(3, 2);
  nn::Conv2d convolution(1, 2, 2);
  nn::Embedding table(3, 2, {.padding_idx = 1});
  check_values(linear.weight, {-0.004322517663240433, 0.3097158372402191, -0.4751853346824646, -0.4248946011066437,
                               -0.2223689705133438, 0.15482072532176971});
  check_values(linear.bias, {-0.011439144611358643, 0.45777493715286255});
  check_values(convolution.weight,
               {-0.04437202215194702, 0.1323062777519226, -0.15110653638839722, -0.09828269481658936,
                -0.4776742458343506, -0.33114105463027954, -0.20611155033111572, 0.018521785736083984});
  check_values(convolution.bias, {0.19766759872436523, 0.30001139640808105});
  check_values(table.weight, {-0.2613142132759094, 1.066699743270874, 0, 0, -0.8264687061309814, -0.7949366569519043},
               1e-6);
  check_values(linear(arange(0.0, 3.0)), {-0.6520939469337463, 0.545047402381897}, 1e-6);
}

TEST(nn_batch_norm) {
  nn::BatchNorm1d norm(2);
  Tensor x = vec({1, 2, 3, 5, 4, 4}, {3, 2});
  check_values(norm(x),
               {-1.3363018035888672, -1.3363019227981567, 0.2672603726387024, 1.0690414905548096, 1.0690414905548096,
                0.2672603130340576},
               1e-6);
  check_values(norm.running_mean, {0.2666666805744171, 0.36666667461395264}, 1e-7);
  check_values(norm.running_var, {1.1333333253860474, 1.1333333253860474}, 1e-7);
  CHECK_EQ(norm.num_batches_tracked.item<int64_t>(), 1);
  norm.eval();
  norm(x);
  CHECK_EQ(norm.num_batches_tracked.item<int64_t>(), 1);
  CHECK_THROWS(norm(zeros({2})), "expected 2D or 3D input (got 1D input)\nin BatchNorm1d");
}

TEST(nn_repr) {
  nn::ModuleList list;
  list.push_back(nn::Linear(2, 2)), list.push_back(nn::Linear(2, 2)), list.push_back(nn::ReLU());
  nn::Sequential net{
      nn::Conv2d(1, 32, 3, {.padding = 1, .bias = false}),
      nn::BatchNorm2d(32),
      nn::Sequential{nn::MaxPool2d(2), nn::Flatten()},
      nn::Dropout(0.1),
      nn::GELU(),
      nn::LayerNorm(10),
      nn::Conv1d(4, 8, 3, {.stride = 2, .padding = 1, .dilation = 2, .groups = 2, .padding_mode = "reflect"}),
      nn::Embedding(5, 3, {.padding_idx = 1}),
      nn::GroupNorm(2, 4),
      std::move(list),
      nn::ModuleList(),
      nn::Softplus(),
      nn::AdaptiveAvgPool2d(1)};
  CHECK_EQ(net.repr(), R"(Sequential(
  (0): Conv2d(1, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
  (1): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
  (2): Sequential(
    (0): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (1): Flatten(start_dim=1, end_dim=-1)
  )
  (3): Dropout(p=0.1, inplace=False)
  (4): GELU(approximate='none')
  (5): LayerNorm((10,), eps=1e-05, elementwise_affine=True, bias=True)
  (6): Conv1d(4, 8, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), groups=2, padding_mode=reflect)
  (7): Embedding(5, 3, padding_idx=1)
  (8): GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)
  (9): ModuleList(
    (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
    (2): ReLU()
  )
  (10): ModuleList()
  (11): Softplus(beta=1.0, threshold=20.0)
  (12): AdaptiveAvgPool2d(output_size=1)
))");
}

TEST(nn_names) {
  Net net;
  CHECK_EQ(keys(net.named_parameters()),
           "scale features.0.weight features.0.bias features.1.weight features.1.bias head.weight head.bias ");
  CHECK_EQ(keys(net.named_buffers()),
           "seen features.1.running_mean features.1.running_var features.1.num_batches_tracked ");
  CHECK_EQ(keys(net.state_dict()),
           "scale features.0.weight features.0.bias features.1.weight features.1.bias features.1.running_mean "
           "features.1.running_var features.1.num_batches_tracked head.weight head.bias ");
  CHECK_EQ(net.named_modules().size(), 6u);
  CHECK(net.get_parameter("features.0.weight").is(net.features->at<nn::Conv2d>(0).weight));
  CHECK_THROWS(net.get_submodule("features.7"), "Sequential has no attribute `7`");
  CHECK_THROWS(net.features->at<nn::Linear>(0), "Sequential.at(0): the module is a Conv2d");
  CHECK_THROWS(net.register_parameter("a.b", zeros({1})), "parameter name can't contain \".\"");
  CHECK_THROWS(net.register_buffer("head", zeros({1})), "attribute 'head' already exists");
  auto tied = std::make_shared<nn::Linear>(2, 2);
  nn::Sequential twice{tied, tied};
  CHECK_EQ(keys(twice.named_parameters()), "0.weight 0.bias ");
  CHECK_EQ(keys(twice.state_dict()), "0.weight 0.bias 1.weight 1.bias ");
}

TEST(nn_load_state_dict) {
  nn::Linear linear(2, 3);
  nn::NamedTensors wrong = {{"weight", zeros({3, 3})}, {"other", zeros({1})}};
  CHECK_THROWS(
      linear.load_state_dict(wrong),
      "Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: \"bias\". \n\tUnexpected "
      "key(s) in state_dict: \"other\". \n\tsize mismatch for weight: copying a param with shape torch.Size([3, "
      "3]) from checkpoint, the shape in current model is torch.Size([3, 2]).");
  nn::LoadResult result = linear.load_state_dict({{"bias", ones({3}, DType::kFloat64)}, {"other", zeros({1})}}, false);
  CHECK_EQ(result.missing_keys.at(0), "weight");
  CHECK_EQ(result.unexpected_keys.at(0), "other");
  check_values(linear.bias, {1, 1, 1});
}

TEST(nn_save_and_load) {
  const std::string path = "/tmp/ember_nn_test_" + std::to_string(getpid()) + ".pt";
  Net a, b;
  Tensor x = randn({4, 1, 2, 2});
  a(x);
  a.save(path);
  b.load(path);
  unlink(path.c_str());
  a.eval(), b.eval();
  CHECK(equal(a(x), b(x)));
  CHECK_EQ(b.features->at<nn::BatchNorm2d>(1).num_batches_tracked.item<int64_t>(), 1);
}

TEST(nn_modes_gradients_dtypes) {
  Net net;
  Tensor x = randn({4, 1, 2, 2});
  sum(net(x)).backward();
  CHECK(net.scale.grad().defined());
  net.to(DType::kFloat64);
  CHECK(net.scale.dtype() == DType::kFloat64 && net.scale.grad().dtype() == DType::kFloat64);
  CHECK(net(x.to(DType::kFloat64)).dtype() == DType::kFloat64);
  CHECK(net.features->at<nn::BatchNorm2d>(1).num_batches_tracked.dtype() == DType::kInt64);
  net.zero_grad(false);
  CHECK_EQ(net.scale.grad().item<double>(), 0);
  net.zero_grad();
  CHECK(!net.scale.grad().defined());
  net.eval();
  CHECK(!net.features->is_training() && !(*net.features)[2].is_training());
  net.requires_grad_(false);
  CHECK(!net(x.to(DType::kFloat64)).requires_grad());
  CHECK_THROWS(net.to(DType::kInt64), "nn.Module.to only accepts floating point or complex dtypes");
}

TEST(nn_errors_name_the_module) {
  Net net;
  CHECK_THROWS(net(zeros({4, 3, 2, 2})), "\nin features.0 (Conv2d)");
  CHECK_THROWS(net(zeros({4, 1, 3, 3})), "\nin head (Linear)");
  try {
    net(zeros({4, 1, 3, 3}));
  } catch (const Error& error) {
    std::string text = error.what();
    CHECK_EQ(text.find("\nin "), text.rfind("\nin "));  // once
  }
  CHECK_THROWS(nn::Module()(zeros({1})), "Module [Module] is missing the required \"forward\" function");
}

TEST(nn_multihead_attention) {
  manual_seed(0);
  nn::Child<nn::MultiheadAttention> attention = std::make_shared<nn::MultiheadAttention>(4, 2);
  Tensor x = arange(0.0, 24.0).view({3, 2, 4}) / 10, y = -x;
  Tensor mask = triu(ones({3, 3}, DType::kBool), 1);
  check_values(attention->in_proj_weight[0],
               {0.22242416441440582, 0.508506715297699, -0.12602636218070984, 0.45824551582336426}, 1e-7);
  check_values(attention->out_proj->weight[3],
               {-0.4776742458343506, -0.33114105463027954, -0.20611155033111572, 0.018521785736083984}, 1e-7);
  check_values(attention(x, y, x)[2],
               {-0.5907077193260193, 0.11776575446128845, -0.22312869131565094, 0.07343022525310516,
                -0.8293319940567017, 0.1216365247964859, -0.3212205171585083, 0.10543940216302872},
               1e-6);
  check_values(attention(x, x, x, mask)[1],
               {-0.30605798959732056, -0.0742952823638916, -0.13977782428264618, 0.15645819902420044,
                -0.5405861139297485, -0.11158731579780579, -0.2435658723115921, 0.2144930213689804},
               1e-6);
  check_values(attention(x, x, x, Tensor(), true)[1],
               {-0.30605798959732056, -0.0742952823638916, -0.13977782428264618, 0.15645819902420044,
                -0.5405861139297485, -0.11158731579780579, -0.2435658723115921, 0.2144930213689804},
               1e-6);
  CHECK_EQ(keys(attention->state_dict()), "in_proj_weight in_proj_bias out_proj.weight out_proj.bias ");
  CHECK_THROWS(attention(zeros({3, 4}), x, x), "but got shape [3, 4]\nin MultiheadAttention");
}
