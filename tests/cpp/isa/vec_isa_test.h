// What vec_isa_test.cc, compiled once per instruction set, offers to vec_test.cc: rows in, rows out, so that the
// checking itself (and the standard library) is compiled for the plain machine only.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace ember::test {

template <class T>
using RowFunction = void (*)(const T* x, const T* y, T* out, int64_t n);

struct VecFunction {
  const char* name;
  RowFunction<float> f32;
  RowFunction<double> f64;
};
struct IntFunction {
  const char* name;
  RowFunction<int64_t> i64;
  RowFunction<uint64_t> u64;
};
struct VecTable {
  const char* isa;
  const VecFunction* real;
  int real_count;
  const VecFunction* complex;  // rows of re, im, re, im
  int complex_count;
  const IntFunction* integer;
  int integer_count;
  const char* (*basics)();  // null, or what is wrong
  void (*from_half)(const Half*, float*, int64_t);
  void (*to_half)(const float*, Half*, int64_t);
  void (*from_bfloat16)(const BFloat16*, float*, int64_t);
  void (*to_bfloat16)(const float*, BFloat16*, int64_t);
  void (*half_to_int)(const Half*, int64_t*, int64_t);
  void (*float_to_bool)(const float*, bool*, int64_t);
  void (*double_to_uint64)(const double*, uint64_t*, int64_t);
};

}  // namespace ember::test

namespace ember::cpu {
namespace baseline {
test::VecTable vec_test_table();
}
namespace avx2 {
test::VecTable vec_test_table();
}
namespace avx512 {
test::VecTable vec_test_table();
}
}  // namespace ember::cpu
