// The derivatives of digamma.
#pragma once

#include <cstdint>

namespace ember::cpu {

// y[i] = the n-th derivative of digamma at x[i], n >= 1.
void polygamma(int64_t n, const double* x, double* y, int64_t count);

}  // namespace ember::cpu
