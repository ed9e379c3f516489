// Random filling on the CPU: contiguous buffers of n elements of any dtype, one function a distribution. A call holds
// the generator's lock, draws its words in order, and turns them into numbers; that second half may run on several
// threads and with any instruction set without changing a bit. Arguments are checked here, in PyTorch's words.
//
// What each call draws, so that a program's stream stays PyTorch's (w = one 32-bit word, 2w = two, high word first):
//   uniform            f16 bf16 f32: w an element; f64: 2w                rand, rand_like, uniform_, nn.init.*uniform_
//   normal, n >= 16    a word (f64: two) an element in blocks of 16; where n % 16 != 0 the last 16 elements are drawn
//                      once more (f32 and f64 have drawn the loose n % 16 in vain before, f16 and bf16 have not)
//   normal, n < 16     4w a pair of elements, the second waits in the generator    randn, normal_, nn.init.*normal_
//   normal_serial      the same at any n: PyTorch takes it for a tensor that is not contiguous, and log_normal_
//   random, randint    w below a range of 2^28, else 2w; without bounds w, for int64, uint64 and f64 2w
//   randperm           w for each element but the last (n >= 2^32 / 20: 2w an element)
//   bernoulli(p)       2w             bernoulli_(0.3); dropout and its variants with 1 - p, one an element of the mask
//   bernoulli(tensor)  w, for p of f64 2w                                 torch.bernoulli(p), Tensor.bernoulli_(p)
//   exponential, geometric, cauchy   2w, of any dtype
//   multinomial        with replacement 2w a sample; without, 2w a category (exponential)
//   poisson, gamma, binomial         as many as rejection takes, element by element
// Complex tensors are filled as twice as many reals. A tensor that is not contiguous is filled in the order of its
// strides, largest first: in memory order where it has no gaps.
// Drawn from these by Python: a DataLoader's base seed is one `random` of int64; RandomSampler's seed another, its
// order a randperm of a generator with that seed; nn.init.trunc_normal_ is normal_ until all lie inside (uniform_ where
// few would); rrelu draws 2w for each element <= 0; gumbel_softmax is exponential; attention's dropout is bernoulli(1 -
// p) over the weights. PyTorch 2.13 gives these bits on every x86 CPU with AVX2 or more, Intel's included: it draws
// nothing from MKL's generator. Its builds without AVX2 make the same words, integers, masks and shuffles; floats end
// in other digits.
#pragma once

#include <cstdint>
#include <optional>

#include "base/export.h"
#include "tensor/dtype.h"
#include "tensor/generator.h"

namespace ember::kernel {

EMBER_API void uniform(Generator&, DType, void* out, int64_t n, double from, double to);
EMBER_API void normal(Generator&, DType, void* out, int64_t n, double mean, double std);
EMBER_API void normal_serial(Generator&, DType, void* out, int64_t n, double mean, double std);
EMBER_API void log_normal(Generator&, DType, void* out, int64_t n, double mean, double std);

// Integers of [from, to), for every dtype but complex; without `to` up to the dtype's largest (floats: the largest
// below which every integer exists). `random` is random_() without bounds: from 0.
EMBER_API void random(Generator&, DType, void* out, int64_t n);
EMBER_API void randint(Generator&, DType, void* out, int64_t n, int64_t from, std::optional<int64_t> to);
EMBER_API void randperm(Generator&, DType, void* out, int64_t n);

EMBER_API void bernoulli(Generator&, DType, void* out, int64_t n, double p);
EMBER_API void bernoulli(Generator&, DType, void* out, int64_t n, DType p_dtype, const void* p);
// out = x * mask / (1 - p) in x's dtype, mask (true: kept) drawn as bernoulli(1 - p); `mask` may be null.
EMBER_API void dropout(Generator&, DType, const void* x, void* out, bool* mask, int64_t n, double p);

EMBER_API void exponential(Generator&, DType, void* out, int64_t n, double rate);
EMBER_API void geometric(Generator&, DType, void* out, int64_t n, double p);
EMBER_API void cauchy(Generator&, DType, void* out, int64_t n, double median, double sigma);

// weights [rows, columns] -> out [rows, samples], indices of columns. Rows need not sum to one.
EMBER_API void multinomial(Generator&, DType, const void* weights, int64_t rows, int64_t columns, int64_t samples,
                           bool replacement, int64_t* out);
EMBER_API void poisson(Generator&, DType, const void* rate, void* out, int64_t n);
EMBER_API void binomial(Generator&, DType, const void* count, const void* p, void* out, int64_t n);
EMBER_API void standard_gamma(Generator&, DType, const void* shape, void* out, int64_t n);
EMBER_API void dirichlet(Generator&, DType, const void* concentration, void* out, int64_t rows, int64_t columns);

}  // namespace ember::kernel
