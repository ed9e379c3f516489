// The table of row conversions between all element types, for one instruction set.
#include "kernel/cpu/convert.h"

#include "kernel/cpu/converters.h"

namespace ember::cpu::EMBER_ISA {
namespace {

// Complex numbers in memory: two numbers in a row, which keeps std::complex's functions out of these objects.
template <class R>
struct Pair {
  R re, im;
};
template <class T>
inline constexpr bool kIsPair = false;
template <class R>
inline constexpr bool kIsPair<Pair<R>> = true;

template <class S, class D>
void rows(const void* from, void* to, int64_t n) {
  const S* src = static_cast<const S*>(from);
  D* dst = static_cast<D*>(to);
  if constexpr (kIsPair<S> && kIsPair<D>) {
    convert(&src->re, &dst->re, 2 * n);
  } else if constexpr (kIsPair<D>) {
    for (int64_t i = 0; i < n; ++i) dst[i] = {convert_one<decltype(dst->re)>(src[i]), 0};
  } else if constexpr (kIsPair<S>) {
    if constexpr (std::is_same_v<D, bool>) {
      for (int64_t i = 0; i < n; ++i) dst[i] = src[i].re != 0 || src[i].im != 0;
    } else {
      for (int64_t i = 0; i < n; ++i) dst[i] = convert_one<D>(src[i].re);
    }
  } else {
    convert(src, dst, n);
  }
}

template <class S>
constexpr void fill_row(ConvertRows* row) {
  int i = 0;
  ((row[i++] = rows<S, bool>), (row[i++] = rows<S, uint8_t>), (row[i++] = rows<S, int8_t>),
   (row[i++] = rows<S, uint16_t>), (row[i++] = rows<S, int16_t>), (row[i++] = rows<S, uint32_t>),
   (row[i++] = rows<S, int32_t>), (row[i++] = rows<S, uint64_t>), (row[i++] = rows<S, int64_t>),
   (row[i++] = rows<S, Half>), (row[i++] = rows<S, BFloat16>), (row[i++] = rows<S, float>),
   (row[i++] = rows<S, double>), (row[i++] = rows<S, Pair<float>>), (row[i++] = rows<S, Pair<double>>));
}

struct Table {
  ConvertRows at[15][15];
};

constexpr Table make_table() {
  Table t{};
  int i = 0;
  fill_row<bool>(t.at[i++]), fill_row<uint8_t>(t.at[i++]), fill_row<int8_t>(t.at[i++]), fill_row<uint16_t>(t.at[i++]);
  fill_row<int16_t>(t.at[i++]), fill_row<uint32_t>(t.at[i++]), fill_row<int32_t>(t.at[i++]),
      fill_row<uint64_t>(t.at[i++]);
  fill_row<int64_t>(t.at[i++]), fill_row<Half>(t.at[i++]), fill_row<BFloat16>(t.at[i++]), fill_row<float>(t.at[i++]);
  fill_row<double>(t.at[i++]), fill_row<Pair<float>>(t.at[i++]), fill_row<Pair<double>>(t.at[i++]);
  return t;
}

constexpr Table kTable = make_table();

}  // namespace

ConvertRows convert_rows(int from, int to) { return kTable.at[from][to]; }

}  // namespace ember::cpu::EMBER_ISA
