// Kernels that look at whole rows or channels: softmax, layer/rms/group/batch norm, forward and backward.
// Plain functions over contiguous memory for f16, bf16, f32 and f64; narrow floats compute in f32. "Stat" is the
// compute type: double for f64, float for the rest; mean, rstd and the like are arrays of it. Weights and biases have
// the data's dtype and may be null (1 and 0). Sums run in trees that depend on the reduced extent only, so bits depend
// neither on the thread count nor on a row's position.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

// x, y: [outer, dim, inner]; over dim. y = softmax(x), or log_softmax(x) with `log`. In place (y == x) is allowed.
void softmax(DType dtype, const void* x, void* y, int64_t outer, int64_t dim, int64_t inner, bool log);
// From the result y and its gradient g: dx. dx may be g.
void softmax_backward(DType dtype, const void* y, const void* g, void* dx, int64_t outer, int64_t dim, int64_t inner,
                      bool log);

// x, y: [rows, dim]; weight, bias: [dim]; mean, rstd: Stat[rows], may be null.
void layer_norm(DType dtype, const void* x, const void* weight, const void* bias, double eps, void* y, void* mean,
                void* rstd, int64_t rows, int64_t dim);
// dx: [rows, dim]; dweight, dbias: [dim] in the data's dtype. Each of the three may be null.
void layer_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* mean,
                         const void* rstd, void* dx, void* dweight, void* dbias, int64_t rows, int64_t dim);

// y = x / sqrt(mean(x^2) + eps) * weight; rstd: Stat[rows], may be null.
void rms_norm(DType dtype, const void* x, const void* weight, double eps, void* y, void* rstd, int64_t rows,
              int64_t dim);
void rms_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* rstd, void* dx,
                       void* dweight, int64_t rows, int64_t dim);

// x, y: [n, channels, inner], normalised over each of `groups` groups of channels; mean, rstd: Stat[n * groups];
// weight, bias: [channels].
void group_norm(DType dtype, const void* x, const void* weight, const void* bias, double eps, void* y, void* mean,
                void* rstd, int64_t n, int64_t channels, int64_t inner, int64_t groups);
void group_norm_backward(DType dtype, const void* g, const void* x, const void* weight, const void* mean,
                         const void* rstd, void* dx, void* dweight, void* dbias, int64_t n, int64_t channels,
                         int64_t inner, int64_t groups);

// Batch norm over [n, channels, inner]; channels_last memory is [n * height * width, channels, 1].
// Statistics: mean and biased variance, Stat[channels].
void batch_norm_stats(DType dtype, const void* x, void* mean, void* var, int64_t n, int64_t channels, int64_t inner);
// y = (x - mean) * rstd * weight + bias, with Stat[channels] mean and rstd.
void batch_norm_apply(DType dtype, const void* x, const void* mean, const void* rstd, const void* weight,
                      const void* bias, void* y, int64_t n, int64_t channels, int64_t inner);
// `training`: mean and rstd are the batch's own, and dx flows through them; else they are constants.
// dx, dweight, dbias: any may be null.
void batch_norm_backward(DType dtype, const void* g, const void* x, const void* mean, const void* rstd,
                         const void* weight, bool training, void* dx, void* dweight, void* dbias, int64_t n,
                         int64_t channels, int64_t inner);

}  // namespace ember::cpu
