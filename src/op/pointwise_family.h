// What a pointwise family's file includes and closes with. The file is compiled once for the table and once per
// instruction set (-DEMBER_ISA=...); EMBER_READER is the namespace that its structs live in, so that wider
// instructions never leak into baseline code.
//   namespace ember::EMBER_READER { struct Exp { ... }; ... EMBER_POINTWISE_FAMILY(math, Exp, ...) }
#pragma once

#ifdef EMBER_ISA
#include "op/pointwise_tiles.h"
#define EMBER_READER cpu::EMBER_ISA
#define EMBER_POINTWISE_FAMILY(family, ...) \
  template <class... T> \
  struct family##_list { \
    static constexpr PointwiseTiles tiles[] = {make_tiles<T>()...}; \
  }; \
  const PointwiseTiles* pointwise_##family() { return family##_list<__VA_ARGS__>::tiles; }
#else
#include "op/pointwise_table.h"
#define EMBER_READER pointwise
#ifdef EMBER_X86
#define EMBER_WIDE_TILES(family) avx2::pointwise_##family(), avx512::pointwise_##family()
#else
#define EMBER_WIDE_TILES(family) nullptr, nullptr
#endif
#define EMBER_POINTWISE_FAMILY(family, ...) \
  } \
  namespace ember::cpu { \
  namespace baseline { \
  const PointwiseTiles* pointwise_##family(); \
  } \
  namespace avx2 { \
  const PointwiseTiles* pointwise_##family(); \
  } \
  namespace avx512 { \
  const PointwiseTiles* pointwise_##family(); \
  } \
  static std::vector<std::unique_ptr<Op>> make_##family() { \
    using namespace ember::pointwise; \
    return ember::pointwise::make_family<__VA_ARGS__>(baseline::pointwise_##family(), EMBER_WIDE_TILES(family)); \
  } \
  } \
  namespace ember { \
  std::vector<std::unique_ptr<Op>> pointwise_##family() { return cpu::make_##family(); }
#endif
