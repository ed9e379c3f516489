// The generator against std::mt19937 and against numbers recorded from PyTorch 2.13.0 (seed 20; floats that pass
// through log, sin or cos to 2 ulp, all else bit for bit), and against itself across instruction sets and threads.
#include "kernel/cpu/random.h"

#include <bit>
#include <complex>
#include <cstring>
#include <random>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/parallel.h"
#include "check.h"
#include "kernel/cpu/random_isa.h"

using namespace ember;
using kernel::bernoulli, kernel::randint, kernel::randperm, kernel::uniform;

namespace {

template <class T>
using Bits = std::conditional_t<
    sizeof(T) == 1, int8_t,
    std::conditional_t<sizeof(T) == 2, int16_t, std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>>;

// What `draw(generator, buffer, n)` writes from seed 20, held against `wanted` to so many units in the last place.
template <class T, class F>
void expect(const std::vector<T>& wanted, int64_t ulp, F&& draw) {
  Generator g(20);
  std::vector<T> got(wanted.size());
  draw(g, got.data(), static_cast<int64_t>(got.size()));
  for (size_t i = 0; i < got.size(); ++i) {
    int64_t a = std::bit_cast<Bits<T>>(got[i]), b = std::bit_cast<Bits<T>>(wanted[i]);
    if (std::abs(a - b) > ulp) test::fail(__FILE__, __LINE__, "element ", i, " has bits ", a, ", PyTorch's ", b);
  }
}

using F32 = std::vector<float>;
using F64 = std::vector<double>;
using I64 = std::vector<int64_t>;
std::vector<BFloat16> bf16(std::initializer_list<uint16_t> bits) {
  std::vector<BFloat16> out;
  for (uint16_t b : bits) out.push_back({b});
  return out;
}
std::vector<Half> f16(std::initializer_list<uint16_t> bits) {
  std::vector<Half> out;
  for (uint16_t b : bits) out.push_back({b});
  return out;
}

}  // namespace

TEST(generator_draws_what_std_mt19937_draws) {
  for (uint64_t seed : {uint64_t{0}, uint64_t{5489}, uint64_t{0xffffffff}, uint64_t{0x123456789abcdef0}}) {
    Generator g(seed);
    std::mt19937 reference(static_cast<uint32_t>(seed));
    CHECK_EQ(g.initial_seed(), seed);
    for (int i = 0; i < 2000; ++i) CHECK_EQ(g.random(), reference());
    uint64_t high = reference();
    CHECK_EQ(g.random64(), high << 32 | reference());
  }
}

TEST(bulk_draws_continue_single_ones) {
  for (int before : {0, 1, 5, 623, 624, 625}) {
    Generator g(3);
    std::mt19937 reference(3);
    for (int i = 0; i < before; ++i) CHECK_EQ(g.random(), reference());
    std::vector<int32_t> got(1500);
    kernel::random(g, DType::kInt32, got.data(), 1500);
    for (int32_t x : got) CHECK_EQ(static_cast<uint32_t>(x), reference() & 0x7fffffff);
    CHECK_EQ(g.random(), reference());
  }
}

TEST(generator_state_has_pytorchs_layout) {
  Generator g(5);
  for (int i = 0; i < 5; ++i) g.random();
  float normals[3];
  kernel::normal(g, DType::kFloat32, normals, 3, 0, 1);  // two pairs of doubles, eight words; one normal waits
  std::vector<char> bytes(Generator::kStateBytes);
  g.get_state(bytes.data());
  auto read = [&]<class T>(size_t at, T value) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  CHECK_EQ(read(0, uint64_t{}), 5u);
  CHECK_EQ(read(8, int32_t{}), 625 - 13);
  CHECK_EQ(read(12, int32_t{}), 1);
  CHECK_EQ(read(16, uint64_t{}), 13u);
  CHECK_EQ(read(24 + 624 * 8 + 8, double{}), *g.next_normal());
  CHECK_EQ(read(24 + 624 * 8 + 24, int32_t{}), 1);

  Generator other(99);
  other.set_state(bytes.data(), bytes.size());
  auto copy = g.clone();
  std::vector<float> a(40), b(40), c(40);
  for (auto [from, to] : {std::pair{&g, &a}, {&other, &b}, {copy.get(), &c}}) {
    kernel::normal(*from, DType::kFloat32, to->data(), 3, 0, 1);
    kernel::normal(*from, DType::kFloat32, to->data() + 3, 37, 0, 1);
  }
  CHECK(a == b);
  CHECK(a == c);
  CHECK_EQ(other.initial_seed(), 5u);
}

TEST(forged_generator_states_are_refused) {
  Generator g(1);
  std::vector<char> good(Generator::kStateBytes);
  g.get_state(good.data());
  CHECK_THROWS(g.set_state(good.data(), 5055), "Expected a CPUGeneratorImplState of size 5056");
  auto forged = [&](size_t at, int32_t value) {
    auto bytes = good;
    std::memcpy(bytes.data() + at, &value, 4);
    g.set_state(bytes.data(), bytes.size());
  };
  CHECK_THROWS(forged(8, 0), "Invalid mt19937 state");
  CHECK_THROWS(forged(8, 625), "Invalid mt19937 state");
  CHECK_THROWS(forged(12, 0), "Invalid mt19937 state");
  CHECK_THROWS(forged(16, 625), "Invalid mt19937 state");
  good[16] = 100;  // with 624 words left, the 525th draw would read past the words
  CHECK_THROWS(forged(8, 624), "Invalid mt19937 state");
}

TEST(uniform_is_pytorchs) {
  auto unit = [](DType d) { return [d](Generator& g, void* out, int64_t n) { uniform(g, d, out, n, 0, 1); }; };
  expect(F32{0x1.1f7ac6p-1f, 0x1.6b4edp-3f, 0x1.a1221ep-1f, 0x1.51737cp-2f}, 0, unit(DType::kFloat32));
  expect(F64{0x1.f7ac7c65ad3b4p-2, 0x1.0910ff4545cdfp-1, 0x1.b5b9cf3c87cdap-1, 0x1.ab9899f19e594p-1}, 0,
         unit(DType::kFloat64));
  expect(bf16({0x3f10, 0x3e36, 0x3f51, 0x3ea9}), 0, unit(DType::kBFloat16));
  expect(f16({0x387e, 0x31ad, 0x3a85, 0x3546}), 0, unit(DType::kFloat16));
  expect(F32{0x1.0ee838p+0f, -0x1.1c2072p-1f, 0x1.0f9704p+1f, 0x1.5860ecp-4f}, 0,
         [](Generator& g, void* out, int64_t n) { uniform(g, DType::kFloat32, out, n, -1.3, 2.9); });
  CHECK_THROWS(unit(DType::kInt64)(*default_generator(), nullptr, 0), "not implemented for int64");
}

TEST(normal_is_pytorchs) {
  auto standard = [](DType d) {
    return [d](Generator& g, void* out, int64_t n) { kernel::normal(g, d, out, n, 0, 1); };
  };
  expect(F32{-0x1.34c11p+0f, 0x1.f934e4p-5f, 0x1.29c48cp+0f, -0x1.80366ap+0f, -0x1.982b08p+0f}, 2,
         standard(DType::kFloat32));
  expect(F32{0x1.f562c2p-2f, 0x1.2262a2p-1f, 0x1.8cfda4p+0f, -0x1.f91c96p-9f, -0x1.896dcap+0f, 0x1.11f13ep-3f,
             -0x1.f03994p+0f, 0x1.4af126p-1f, 0x1.87bb04p-1f, -0x1.a21fd2p-2f, -0x1.6d24bap-1f, -0x1.1ca05ap-2f,
             0x1.77cd18p-2f, -0x1.bef38p-1f, 0x1.afa0aep+0f, 0x1.453d54p-2f, -0x1.8eb35ap-1f, 0x1.1c188ap-1f,
             0x1.56f24ap+0f},
         2, standard(DType::kFloat32));
  expect(F64{-0x1.287eea1b57264p+0, -0x1.1c5c96820d139p+0, 0x1.8d730d7a4501ep-1, -0x1.feb6e92efe11bp-2,
             0x1.1111d6e8a45cep-2, 0x1.c3a204dddb693p-4, -0x1.a70095a4dc9c2p-1, 0x1.9f17202ed8fa9p-3,
             -0x1.22b7495d10753p+0, 0x1.b16244ea12159p-1, -0x1.0d293491965c6p+1, 0x1.db8adf07b2690p+0,
             0x1.01105dc50ae79p+0, -0x1.1b9f20d5dc011p-1, 0x1.74a003fbfb770p-2, -0x1.08448c047df1fp-1,
             0x1.ae009e16c4865p-5},
         2, standard(DType::kFloat64));
  expect(bf16({0x3efb, 0xbf82, 0x3e86, 0xbf11, 0xbb7d, 0xbfc5, 0x3e09, 0xbff8, 0x3f25, 0x3ead, 0x3f86, 0xbfa4, 0xbe8e,
               0x3ebc, 0xbf5f, 0x3fd8, 0x3ea3}),
         1, standard(DType::kBFloat16));
  expect(F32{0x1.a15bb6p+0f, 0x1.c710e6p+0f, 0x1.d2bdc2p+1f, 0x1.39f64cp-6f, 0x1.fd8c2ap+0f, 0x1.3fd7cap-1f,
             0x1.c04deap-2f, -0x1.320384p-3f, 0x1.7a4768p+1f, 0x1.9c42bcp-3f, 0x1.48bd7cp+1f, 0x1.20d7fap+1f,
             0x1.af8eccp-3f, 0x1.015bf8p+2f, -0x1.82a402p+1f, 0x1.eb4d5p-2f},
         2, [](Generator& g, void* out, int64_t n) { kernel::normal(g, DType::kFloat32, out, n, 0.7, 1.9); });
  expect(F32{-0x1.b4a4fp-1f, 0x1.653c2ap-5f, 0x1.a51b72p-1f, -0x1.0fade8p+0f}, 2,
         [](Generator& g, void* out, int64_t n) { kernel::normal(g, DType::kComplex64, out, n / 2, 0, 1); });
  CHECK_THROWS(kernel::normal(*default_generator(), DType::kFloat32, nullptr, 0, 0, -1), "normal expects std >= 0.0");
}

TEST(continuous_distributions_are_pytorchs) {
  expect(F32{0x1.0cd43p-1f, 0x1.467910p+0f, 0x1.60eb4ep+1f}, 2,
         [](Generator& g, void* out, int64_t n) { kernel::log_normal(g, DType::kFloat32, out, n, 0.2, 0.7); });
  expect(F32{0x1.97cd7p-2f, 0x1.b73d26p-2f, 0x1.22b846p+0f}, 2,
         [](Generator& g, void* out, int64_t n) { kernel::exponential(g, DType::kFloat32, out, n, 1.7); });
  expect(F64{0x1.06b8ee18ccd36p-2, 0x1.9424571c2107cp-2, 0x1.e25756786c18fp+1}, 2,
         [](Generator& g, void* out, int64_t n) { kernel::cauchy(g, DType::kFloat64, out, n, 0.3, 1.7); });
  expect(I64{2, 2, 1, 1, 2, 1}, 0,
         [](Generator& g, void* out, int64_t n) { kernel::geometric(g, DType::kInt64, out, n, 0.3); });
}

TEST(integers_are_pytorchs) {
  auto any = [](DType d) { return [d](Generator& g, void* out, int64_t n) { kernel::random(g, d, out, n); }; };
  expect(std::vector<uint8_t>{1, 0, 1, 1}, 0, any(DType::kBool));
  expect(std::vector<uint8_t>{99, 218, 15, 223}, 0, any(DType::kUInt8));
  expect(std::vector<int16_t>{15715, 27098, 4367, 23775}, 0, any(DType::kInt16));
  expect(std::vector<int32_t>{378518883, 1663920602, 1708167439, 1951685855}, 0, any(DType::kInt32));
  expect(I64{1625726227214854618, 7336523290696244447, 7222467157081750746, 5826173068688090516}, 0,
         any(DType::kInt64));
  expect(f16({0x65c6, 0x67ba, 0x6128, 0x6625}), 0, any(DType::kFloat16));
  expect(F32{0x1.1f799ap+23f, 0x1.6b47b8p+21f, 0x1.a12054p+23f, 0x1.516facp+22f}, 0, any(DType::kFloat32));
  expect(F64{0x1.f7ac7c65aca4cp+51, 0x1.0910ff45455b1p+52, 0x1.b5b9cf3c875b9p+52, 0x1.ab9899f19df0ep+52}, 0,
         any(DType::kFloat64));
  auto range = [](DType d, int64_t from, std::optional<int64_t> to) {
    return [=](Generator& g, void* out, int64_t n) { randint(g, d, out, n, from, to); };
  };
  expect(I64{1, 0, 7, 3, 4, 0, 3, 6, 7, 0, 7, 4}, 0, range(DType::kInt64, 0, 10));
  expect(I64{1031523, 879066, 37135, 285919}, 0, range(DType::kInt64, 0, 1 << 20));
  expect(I64{105007444, 52895312, 20705811}, 0, range(DType::kInt64, -5, 1 << 28));
  expect(I64{428983564963, 68478495532, 674060028617}, 0, range(DType::kInt64, 0, (int64_t{1} << 40) + 3));
  expect(I64{-7597645809639921190, -1886848746158531361, -2000904879773025062}, 0,
         range(DType::kInt64, INT64_MIN, std::nullopt));
  expect(std::vector<int8_t>{103, 110, 115, 123, 112, 106}, 0, range(DType::kInt8, 100, std::nullopt));
  expect(f16({0x76aa, 0x7436, 0x6ce4, 0x7809}), 0, range(DType::kFloat16, 0, 65504));
  int64_t none;
  CHECK_THROWS(randint(*default_generator(), DType::kInt64, &none, 1, 3, 3),
               "random_ expects 'from' to be less than 'to', but got from=3 >= to=3");
  CHECK_THROWS(randint(*default_generator(), DType::kInt8, &none, 1, 0, 1000), "to - 1 is out of bounds for int8");
}

TEST(randperm_is_pytorchs) {
  expect(I64{11, 6, 9, 4, 8, 0, 7, 3, 5, 2, 1, 10}, 0,
         [](Generator& g, void* out, int64_t n) { randperm(g, DType::kInt64, out, n); });
  Generator g(20);
  std::vector<int64_t> all(1000);
  randperm(g, DType::kInt64, all.data(), 1000);
  CHECK_EQ(g.random() & 0x7fffffff, 1441416733u);  // 999 words were drawn, the last element takes none
  CHECK_THROWS(randperm(g, DType::kUInt8, all.data(), 1000), "too large");
}

TEST(masks_are_pytorchs) {
  expect(std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}, 0,
         [](Generator& g, void* out, int64_t n) { bernoulli(g, DType::kBool, out, n, 0.3); });
  float p[12];
  double wide[12];
  for (int i = 0; i < 12; ++i) p[i] = static_cast<float>(wide[i] = i / 11.0);
  expect(F32{0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1}, 0,
         [&](Generator& g, void* out, int64_t n) { bernoulli(g, DType::kFloat32, out, n, DType::kFloat32, p); });
  expect(F64{0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1}, 0,
         [&](Generator& g, void* out, int64_t n) { bernoulli(g, DType::kFloat64, out, n, DType::kFloat64, wide); });
  float x[10];
  bool mask[10];
  for (int i = 0; i < 10; ++i) x[i] = static_cast<float>(i + 1);
  F32 kept = {0x1.aaaaaap+0f, 0x1.aaaaaap+1f, 0, 0, 0x1.0aaaaap+3f, 0, 0x1.755554p+3f, 0, 0x1.ep+3f, 0x1.0aaaaap+4f};
  expect(kept, 0,
         [&](Generator& g, void* out, int64_t n) { kernel::dropout(g, DType::kFloat32, x, out, mask, n, 0.4); });
  for (int i = 0; i < 10; ++i) CHECK_EQ(mask[i], kept[static_cast<size_t>(i)] != 0);
  CHECK_THROWS(bernoulli(*default_generator(), DType::kBool, mask, 1, 1.5), "bernoulli_ expects p to be in [0, 1]");
}

TEST(samplers_are_pytorchs) {
  const float weights[2][5] = {{1, 0, 3, 2, 4}, {5, 1, 1, 1, 0}};
  auto sample = [&](int64_t samples, bool replacement) {
    return [&, samples, replacement](Generator& g, int64_t* out, int64_t) {
      kernel::multinomial(g, DType::kFloat32, weights, 2, 5, samples, replacement, out);
    };
  };
  expect(I64{3, 3, 4, 4, 3, 4, 0, 3, 0, 0, 1, 1}, 0, sample(6, true));
  expect(I64{4, 2, 0, 0, 3, 1}, 0, sample(3, false));
  expect(I64{4, 0}, 0, sample(1, false));
  CHECK_THROWS(sample(6, false)(*default_generator(), nullptr, 0), "cannot sample n_sample > prob_dist.size(-1)");

  const float rate[] = {0, 0.5f, 3, 9, 10, 40, 1000};
  expect(F32{0, 0, 7, 6, 15, 38, 985}, 0,
         [&](Generator& g, void* out, int64_t n) { kernel::poisson(g, DType::kFloat32, rate, out, n); });
  const float shape[] = {0.3f, 1, 4.5f}, concentration[] = {0.5f, 1, 2};
  expect(F32{0x1.ffe75ep-9f, 0x1.020238p-1f, 0x1.d9d5b8p+1f}, 2,
         [&](Generator& g, void* out, int64_t n) { kernel::standard_gamma(g, DType::kFloat32, shape, out, n); });
  expect(F32{0x1.458b58p-7f, 0x1.0f484ep-2f, 0x1.7345acp-1f}, 2,
         [&](Generator& g, void* out, int64_t n) { kernel::dirichlet(g, DType::kFloat32, concentration, out, 1, n); });
  const float count[] = {10, 100, 7, 50}, p[] = {0.3f, 0.4f, 0.9f, 0.75f};
  expect(F32{6, 48, 7, 37}, 0,
         [&](Generator& g, void* out, int64_t n) { kernel::binomial(g, DType::kFloat32, count, p, out, n); });
}

TEST(random_kernels_agree_across_instruction_sets) {
  constexpr int64_t n = 1008 + 5;
  std::vector<uint32_t> words(2 * n);
  std::mt19937 reference(11);
  for (auto& w : words) w = static_cast<uint32_t>(reference());
  words[3] = 0xffffffff, words[4] = 0;
  struct Out {
    std::vector<uint32_t> state = std::vector<uint32_t>(624), tempered = state,
                          quotients = std::vector<uint32_t>(2 * n);
    std::vector<float> uniform = std::vector<float>(n), normal = uniform, exponential = uniform;
    std::vector<double> wide = std::vector<double>(n);
    std::vector<uint8_t> mask = std::vector<uint8_t>(n);
    bool operator==(const Out&) const = default;
  };
  auto run = [&](const cpu::RandomKernels& k) {
    Out o;
    std::memcpy(o.state.data(), words.data(), 624 * 4);
    k.renew(o.state.data());
    k.temper(o.state.data(), o.tempered.data(), 624);
    k.uniform_f32(words.data(), o.uniform.data(), n, -1.5f, 2.25f);
    k.uniform_f64(words.data(), o.wide.data(), n, -1.5, 2.25);
    k.normal_f32(words.data(), o.normal.data(), n / 16, 0, 1);
    k.exponential_f32(words.data(), o.exponential.data(), n, -0.5);
    k.below(words.data(), reinterpret_cast<bool*>(o.mask.data()), n, int64_t{1} << 51);
    k.remainder(words.data(), o.quotients.data(), n, 1000);
    k.remainder_down(words.data(), o.quotients.data() + n, n, n + 2);
    return o;
  };
  Out base = run(cpu::baseline::kRandomKernels);
  for (int64_t i = 0; i < n; ++i) {
    CHECK_EQ(base.quotients[static_cast<size_t>(i)], words[static_cast<size_t>(i)] % 1000);
    CHECK_EQ(base.quotients[static_cast<size_t>(n + i)], words[static_cast<size_t>(i)] % (n + 2 - i));
  }
#if defined(__x86_64__)
  if (cpu_supports(Isa::avx2)) CHECK(run(cpu::avx2::kRandomKernels) == base);
  if (cpu_supports(Isa::avx512)) CHECK(run(cpu::avx512::kRandomKernels) == base);
#endif
}

TEST(random_fills_do_not_depend_on_threads) {
  constexpr int64_t n = 300007;
  std::vector<double> a(n), b(n);
  int before = num_threads();
  for (auto fill : {+[](Generator&g, double*out) { kernel::normal(g, DType::kFloat64, out, n, 0, 1); },
                    +[](Generator&g, double*out) { kernel::exponential(g, DType::kFloat64, out, n, 1); }}) {
    Generator one(4), many(4);
    set_num_threads(1);
    fill(one, a.data());
    set_num_threads(4);
    fill(many, b.data());
    set_num_threads(before);
    CHECK(a == b);
    CHECK_EQ(one.random(), many.random());
  }
}
