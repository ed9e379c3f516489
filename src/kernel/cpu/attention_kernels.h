// What isa/attention.cc gives to attention.cc: the pointwise steps on one row of scores, in the compute type.
#pragma once

#include <cstdint>

namespace ember::cpu {

template <class T>
struct AttentionTable {
  // Scores of the first `valid` keys become exp(s - top) with the new running maximum *top, the rest up to n become 0;
  // *sum is rescaled and added to. Returns the factor by which what was accumulated before must be multiplied.
  T (*running_softmax)(T* s, int64_t valid, int64_t n, T* top, T* sum);
  void (*probabilities)(T* s, int64_t valid, int64_t n, T lse);            // exp(s - lse), 0 from `valid` to n
  void (*score_gradient)(const T* p, T* dp, int64_t n, T delta, T scale);  // dp = p * (dp - delta) * scale
  void (*scale)(T* x, int64_t n, T factor);
};

}  // namespace ember::cpu
