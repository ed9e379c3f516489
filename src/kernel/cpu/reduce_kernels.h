// What isa/reduce.cc and isa/scan.cc give for each reduction and compute type; reduce.cc drives it.
// The tree of a reduction over n elements, whatever their layout: element i goes to virtual lane i % kReduceLanes; a
// block of 16 rows of lanes is summed row by row; blocks, and chunks of 16 blocks, are joined as a binary counter joins
// them; at the end the lanes are halved. So the error grows with log n and bits depend on n alone.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::cpu {

// The types that a reduction is computed in: bit i is the i-th of f32, f64, i64, u64, u8 (any and all).
inline constexpr int kReduceFloats = 0b00011, kReduceI64 = 0b00100, kReduceAll = 0b11111;
inline constexpr int kReduceSigned = kReduceFloats | kReduceI64;

// Every reduction: its rule in kernel/reduce_rules.h is called nameRule; its word in names of kernels; its types.
// clang-format off
#define EMBER_REDUCTIONS(M, ...) \
  M(Sum, "sum", cpu::kReduceSigned, __VA_ARGS__) \
  M(NanSum, "nansum", cpu::kReduceFloats, __VA_ARGS__) \
  M(Prod, "prod", cpu::kReduceSigned, __VA_ARGS__) \
  M(Max, "max", cpu::kReduceAll, __VA_ARGS__) \
  M(Min, "min", cpu::kReduceAll, __VA_ARGS__) \
  M(AbsSum, "abs_sum", cpu::kReduceFloats, __VA_ARGS__) \
  M(SquareSum, "square_sum", cpu::kReduceFloats, __VA_ARGS__) \
  M(PowSum, "pow_sum", cpu::kReduceFloats, __VA_ARGS__) \
  M(AbsMax, "abs_max", cpu::kReduceFloats, __VA_ARGS__) \
  M(AbsMin, "abs_min", cpu::kReduceFloats, __VA_ARGS__) \
  M(ExpSum, "exp_sum", cpu::kReduceFloats, __VA_ARGS__) \
  M(Xor, "xor", cpu::kReduceI64, __VA_ARGS__)
// clang-format on

#define EMBER_REDUCTION(name, ...) k##name,
enum class Reduction : uint8_t { EMBER_REDUCTIONS(EMBER_REDUCTION) kCount };
#undef EMBER_REDUCTION
inline constexpr int kNumReductions = static_cast<int>(Reduction::kCount);

template <class T>
inline constexpr int kReduceLanes = sizeof(T) == 1 ? 64 : 16;
inline constexpr int kReduceRows = 16;    // rows of lanes in a block
inline constexpr int kReduceBlocks = 16;  // blocks in a chunk
template <class T>
inline constexpr int64_t kReduceChunk = int64_t{kReduceLanes<T>} * kReduceRows* kReduceBlocks;
// What a thread reduces at a time where memory holds it as it is: joining its blocks, or its chunks, is the same tree.
template <class T>
inline constexpr int64_t kReduceRun = 8 * kReduceChunk<T>;

template <class T>
struct ReduceTable {
  T identity;
  // The lanes of at most one run of contiguous elements.
  void (*lanes)(const T* x, int64_t n, T p, T* out);
  // out[r] = x[r * stride, ... + n) reduced, for rows of at most one chunk.
  void (*rows)(const T* x, int64_t n, int64_t stride, int64_t rows, T p, T* out);
  // acc[i] = combine(acc[i], map(x[i])) for each of `rows` rows x.
  void (*accumulate)(T* acc, const T* x, int64_t n, int64_t rows, int64_t stride, T p);
  void (*merge)(T* acc, const T* x, int64_t n);  // acc[i] = combine(acc[i], x[i])
};

// First extreme element (nan is the most extreme) and mean with squared deviations, by contiguous runs.
template <class T>
struct SearchTable {
  int64_t (*find)(const T* x, int64_t n, T value);  // the first i with x[i] == value, or nan if value is; n if none
  // For rows of at most one chunk: the extreme element of each, and the first place where it stands.
  void (*rows)(const T* x, int64_t n, int64_t stride, int64_t rows, bool largest, T* values, int64_t* at);
  // best[j], at[j] become x[j], row wherever x[j] is more extreme than best[j].
  void (*better)(const T* x, int64_t n, int64_t row, bool largest, T* best, int64_t* at);
};
inline constexpr int64_t kMomentChunk = 512;
template <class T>
struct MomentTable {
  // Mean and sum of squared deviations from it, of at most kMomentChunk contiguous elements.
  void (*moments)(const T* x, int64_t n, double* mean, double* squares);
  void (*squares)(T* acc, const T* x, const T* mean, int64_t n);  // acc[i] += (x[i] - mean[i])^2
};
// Running sums and products in the type A; `carry` goes in and out.
template <class T, class A>
struct ScanTable {
  void (*run)(const T* x, T* y, int64_t n, bool product, A* carry);
  // 8 rows (or fewer) of `width` columns, rows `stride` apart.
  void (*columns)(const T* x, T* y, int64_t rows, int64_t stride_x, int64_t stride_y, int64_t width, bool product,
                  A* carry);
};

struct ReduceTables {
  ReduceTable<float> f32[kNumReductions];
  ReduceTable<double> f64[kNumReductions];
  ReduceTable<int64_t> i64[kNumReductions];
  ReduceTable<uint64_t> u64[kNumReductions];
  ReduceTable<uint8_t> u8[kNumReductions];
  SearchTable<float> search_f32;
  SearchTable<double> search_f64;
  SearchTable<int64_t> search_i64;
  SearchTable<uint64_t> search_u64;
  MomentTable<float> moment_f32;
  MomentTable<double> moment_f64;
  ScanTable<float, double> scan_f32;
  ScanTable<double, double> scan_f64;
  ScanTable<int64_t, int64_t> scan_i64;
};
const ReduceTables& reduce_tables();

}  // namespace ember::cpu
