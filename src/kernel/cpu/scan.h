// Running reductions along one dim. Sums and products are carried in f64 (f32 and narrower), i64 or complex f64, in
// steps of eight elements, so that rows and columns give the same bits; results may overwrite x.
#pragma once

#include "tensor/tensor.h"

namespace ember::cpu {

void running_sum(const Tensor& y, const Tensor& x, int64_t dim);
void running_product(const Tensor& y, const Tensor& x, int64_t dim);
void running_logsumexp(const Tensor& y, const Tensor& x, int64_t dim);
// The most extreme element so far and the index of its last occurrence; nan stays.
void running_extreme(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, bool largest);

}  // namespace ember::cpu
