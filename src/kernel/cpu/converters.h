// Row conversions by element type, and rows of plain bytes, as each instruction set publishes them (isa/convert.cc,
// isa/bytes.cc).
#pragma once

#include <cstdint>

namespace ember::cpu {

using ConvertRows = void (*)(const void* from, void* to, int64_t n);

struct ByteRows {
  // By the width of an element, 1 to 16 bytes: n copies of a value; out = in[0] ? in[1] : in[2], a TileFn.
  void (*fill[5])(const void* value, void* to, int64_t n);
  void (*select[5])(void* out, const void* const* in, const void* params, int64_t n);
};

namespace baseline {
ConvertRows convert_rows(int from, int to);
extern const ByteRows byte_rows;
}  // namespace baseline
namespace avx2 {
ConvertRows convert_rows(int from, int to);
extern const ByteRows byte_rows;
}  // namespace avx2
namespace avx512 {
ConvertRows convert_rows(int from, int to);
extern const ByteRows byte_rows;
}  // namespace avx512

const ByteRows& byte_rows();  // of the instruction set in use

}  // namespace ember::cpu
