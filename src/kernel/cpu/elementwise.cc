// The loop nest: dims are ordered and merged, cut into pieces for the pool, and walked tile by tile.
#include "kernel/cpu/elementwise.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/parallel.h"
#include "kernel/cpu/converters.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/stream.h"

namespace ember::cpu {
namespace {

constexpr int kMaxOperands = 8;
constexpr int64_t kTile = 1024;    // elements a tile through buffers
constexpr int64_t kGrain = 32768;  // elements a piece of the pool

struct Loop {
  int count = 0;                                // operands, the output first
  Dims sizes;                                   // innermost first
  SmallVector<int64_t, 5> steps[kMaxOperands];  // bytes, innermost first
  bool linear[kMaxOperands];                    // dense in loop order: element i lies at i * item size
  bool constant[kMaxOperands];                  // one value for all
};

// Outermost-to-innermost order of dims: by the first operand whose strides decide.
Dims loop_order(DimsView sizes, Span<Operand> operands) {
  Dims order;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] != 1) order.push_back(static_cast<int64_t>(i));
  }
  auto inside = [&](int64_t a, int64_t b) {  // 1: b belongs inside of a
    for (const Operand& o : operands) {
      int64_t x = std::abs(o.strides[a]), y = std::abs(o.strides[b]);
      if (x == 0 || y == 0 || x == y) continue;
      return x > y ? 1 : -1;
    }
    return 0;
  };
  for (size_t i = 1; i < order.size(); ++i) {
    size_t at = i;
    for (size_t j = i; j-- > 0;) {
      int c = inside(order[j], order[at]);
      if (c > 0) std::swap(order[j], order[at]), at = j;
      else if (c < 0) break;
    }
  }
  return order;
}

Loop make_loop(DimsView sizes, Span<Operand> operands) {
  Loop loop;
  loop.count = static_cast<int>(operands.size());
  for (int64_t d : loop_order(sizes, operands)) {
    bool merge = !loop.sizes.empty();
    for (int k = 0; merge && k < loop.count; ++k) {
      int64_t step = operands[k].strides[d] * item_size(operands[k].dtype);
      merge = step == loop.steps[k].back() * loop.sizes.back();
    }
    if (merge) {
      loop.sizes.back() *= sizes[d];
      continue;
    }
    loop.sizes.push_back(sizes[d]);
    for (int k = 0; k < loop.count; ++k) loop.steps[k].push_back(operands[k].strides[d] * item_size(operands[k].dtype));
  }
  if (loop.sizes.empty()) {
    loop.sizes.push_back(1);
    for (int k = 0; k < loop.count; ++k) loop.steps[k].push_back(item_size(operands[k].dtype));
  }
  for (int k = 0; k < loop.count; ++k) {
    loop.constant[k] = std::all_of(loop.steps[k].begin(), loop.steps[k].end(), [](int64_t step) { return step == 0; });
    loop.linear[k] = loop.sizes.size() == 1 && loop.steps[k][0] == item_size(operands[k].dtype);
    if (loop.sizes.size() > 1) {
      int64_t step = item_size(operands[k].dtype);
      loop.linear[k] = true;
      for (size_t d = 0; d < loop.sizes.size(); ++d) {
        loop.linear[k] &= loop.steps[k][d] == step;
        step *= loop.sizes[d];
      }
    }
  }
  return loop;
}

template <class T>
void gather(const char* from, int64_t step, char* to, int64_t n) {
  T* out = reinterpret_cast<T*>(to);
  if (step == 0) {
    T v;
    std::memcpy(&v, from, sizeof v);
    std::fill_n(out, n, v);
  } else {
    for (int64_t i = 0; i < n; ++i) std::memcpy(out + i, from + i * step, sizeof(T));
  }
}
template <class T>
void scatter(const char* from, char* to, int64_t step, int64_t n) {
  const T* in = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * step, in + i, sizeof(T));
}
struct Wide {
  uint64_t a, b;
};

void gather_row(const char* from, int64_t step, int64_t size, char* to, int64_t n) {
  if (step == size) return void(std::memcpy(to, from, static_cast<size_t>(n * size)));
  switch (size) {
    case 1: return gather<uint8_t>(from, step, to, n);
    case 2: return gather<uint16_t>(from, step, to, n);
    case 4: return gather<uint32_t>(from, step, to, n);
    case 8: return gather<uint64_t>(from, step, to, n);
    default: return gather<Wide>(from, step, to, n);
  }
}
void scatter_row(const char* from, char* to, int64_t step, int64_t size, int64_t n) {
  if (step == size) return void(std::memcpy(to, from, static_cast<size_t>(n * size)));
  switch (size) {
    case 1: return scatter<uint8_t>(from, to, step, n);
    case 2: return scatter<uint16_t>(from, to, step, n);
    case 4: return scatter<uint32_t>(from, to, step, n);
    case 8: return scatter<uint64_t>(from, to, step, n);
    default: return scatter<Wide>(from, to, step, n);
  }
}

// Calls f(row part's byte offset, elements done before it, its length) for the n elements from linear index `at`.
template <class F>
void for_rows(const Loop& loop, int k, int64_t at, int64_t n, F&& f) {
  const auto& steps = loop.steps[k];
  size_t rank = loop.sizes.size();
  SmallVector<int64_t, 8> index(rank);
  int64_t rest = at, offset = 0;
  for (size_t d = 0; d < rank; ++d) {
    index[d] = rest % loop.sizes[d];
    rest /= loop.sizes[d];
    offset += index[d] * steps[d];
  }
  for (int64_t done = 0; done < n;) {
    int64_t len = std::min(loop.sizes[0] - index[0], n - done);
    f(offset, done, len);
    done += len;
    offset += len * steps[0], index[0] += len;
    for (size_t d = 0; d + 1 < rank && index[d] == loop.sizes[d]; ++d) {
      offset += steps[d + 1] - index[d] * steps[d];
      index[d] = 0, ++index[d + 1];
    }
  }
}

struct Buffers {
  alignas(64) char raw[kTile * 16];                 // as stored, gathered
  alignas(64) char tile[kMaxOperands][kTile * 16];  // as computed
  bool filled[kMaxOperands] = {};                   // tile[k] holds its operand's one value already
};

// Elements [at, at + n) of operand k in its compute type: in place where it can be, else in its tile.
const void* load(const Loop& loop, const Operand& o, int k, int64_t at, int64_t n, int64_t most, Buffers& b) {
  int64_t size = item_size(o.dtype);
  bool converts = o.dtype != o.compute;
  if (loop.linear[k]) {
    if (!converts) return o.data + at * size;
    converter(o.dtype, o.compute)(o.data + at * size, b.tile[k], n);
    return b.tile[k];
  }
  const bool constant = loop.constant[k];
  if (constant && b.filled[k]) return b.tile[k];
  if (constant) n = most, b.filled[k] = true;
  char* to = converts ? b.raw : b.tile[k];
  for_rows(loop, k, constant ? 0 : at, constant ? 1 : n, [&](int64_t offset, int64_t done, int64_t len) {
    gather_row(o.data + offset, constant ? 0 : loop.steps[k][0], size, to + done * size, constant ? n : len);
  });
  if (converts) converter(o.dtype, o.compute)(b.raw, b.tile[k], n);
  return b.tile[k];
}

// Every operand is in place or one value: only pointers move from tile to tile. A tile is short, so that the values
// repeated for it leave L1 to what streams through.
void run_steady(TileFn tile, const Loop& loop, const Operand* ops, const void* params, int64_t begin, int64_t end,
                Buffers& b) {
  constexpr int64_t kSteady = 512;
  const int64_t most = std::min(kSteady, end - begin);
  int64_t step[kMaxOperands];
  const void* in[kMaxOperands];
  for (int k = 0; k < loop.count; ++k) {
    step[k] = loop.linear[k] ? kSteady * item_size(ops[k].dtype) : 0;
    if (k > 0) in[k - 1] = load(loop, ops[k], k, begin, most, most, b);
  }
  char* out = ops[0].data + begin * item_size(ops[0].dtype);
  for (int64_t at = begin; at < end; at += kSteady, out += step[0]) {
    tile(out, in, params, std::min(kSteady, end - at));
    for (int k = 1; k < loop.count; ++k) in[k - 1] = static_cast<const char*>(in[k - 1]) + step[k];
  }
}

void run_piece(TileFn tile, const Loop& loop, const Operand* ops, const void* params, int64_t begin, int64_t end) {
  bool direct = true, steady = true;  // all in place; all in place or one value
  for (int k = 0; k < loop.count; ++k) {
    const bool in_place = loop.linear[k] && ops[k].dtype == ops[k].compute;
    direct &= in_place, steady &= in_place || (k > 0 && loop.constant[k]);
  }
  const void* in[kMaxOperands];
  if (direct) {
    for (int k = 1; k < loop.count; ++k) in[k - 1] = ops[k].data + begin * item_size(ops[k].dtype);
    return tile(ops[0].data + begin * item_size(ops[0].dtype), in, params, end - begin);
  }
  Buffers b;
  if (steady) return run_steady(tile, loop, ops, params, begin, end, b);
  const Operand& out = ops[0];
  int64_t size = item_size(out.dtype);
  bool converts = out.dtype != out.compute;
  const int64_t most = std::min(kTile, end - begin);
  for (int64_t at = begin; at < end; at += kTile) {
    int64_t n = std::min(kTile, end - at);
    for (int k = 1; k < loop.count; ++k) in[k - 1] = load(loop, ops[k], k, at, n, most, b);
    char* place = out.data + at * size;
    if (loop.linear[0] && !converts) {
      tile(place, in, params, n);
      continue;
    }
    tile(b.tile[0], in, params, n);
    char* from = b.tile[0];
    if (converts) {
      char* to = loop.linear[0] ? place : b.raw;
      converter(out.compute, out.dtype)(from, to, n);
      if (loop.linear[0]) continue;
      from = b.raw;
    }
    for_rows(loop, 0, at, n, [&](int64_t offset, int64_t done, int64_t len) {
      scatter_row(from + done * size, out.data + offset, loop.steps[0][0], size, len);
    });
  }
}

// ---- transposed operands ----
// Where one operand runs along another dim than the output does, rows would touch a cache line for each element. Such
// loops go block by block over both dims, and a transposed block is read along its own lines.

// A block is side x side: as many elements as a tile's buffer holds of this width.
int64_t block_side(const Operand* ops, int count) {
  int64_t widest = 1;
  for (int k = 0; k < count; ++k) widest = std::max({widest, item_size(ops[k].dtype), item_size(ops[k].compute)});
  return widest <= 4 ? 64 : 32;
}

// The dim that a transposed operand runs along, or 0.
size_t transposed_dim(const Loop& loop, const Operand* ops) {
  for (size_t d = 1; d < loop.sizes.size(); ++d) {
    for (int k = 0; k < loop.count; ++k) {
      int64_t size = item_size(ops[k].dtype), inner = std::abs(loop.steps[k][0]);
      if (loop.steps[k][d] == size && inner > size && loop.sizes[0] >= 8 && loop.sizes[d] >= 8) return d;
    }
  }
  return 0;
}

struct Block {
  int64_t offset[kMaxOperands];  // bytes, to its first element
  int64_t rows, columns;         // along the transposed dim and along the innermost
};

// Four lines of four elements, transposed in registers.
void transpose_4x4(const char* from, int64_t from_step, uint32_t* to, int64_t to_step) {
  typedef uint32_t V __attribute__((vector_size(16)));
  V a, b, c, d;
  std::memcpy(&a, from, 16), std::memcpy(&b, from + from_step, 16);
  std::memcpy(&c, from + 2 * from_step, 16), std::memcpy(&d, from + 3 * from_step, 16);
  V ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  V cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  V out[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
              __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * to_step, &out[i], 16);
}

// Elements stand side by side along rows' direction in memory.
template <class T>
void gather_block(const char* from, int64_t column_step, const Block& b, char* to) {
  T* out = reinterpret_cast<T*>(to);
  int64_t whole = 0;
  if constexpr (sizeof(T) == 4) {
    whole = b.columns & ~int64_t{3};
    for (int64_t c = 0; c < whole; c += 4) {
      const char* lines = from + c * column_step;
      int64_t r = 0;
      for (; r + 4 <= b.rows; r += 4) transpose_4x4(lines + r * 4, column_step, out + r * b.columns + c, b.columns);
      for (; r < b.rows; ++r) {
        for (int64_t i = 0; i < 4; ++i) std::memcpy(out + r * b.columns + c + i, lines + i * column_step + r * 4, 4);
      }
    }
  }
  for (int64_t c = whole; c < b.columns; ++c) {
    const T* line = reinterpret_cast<const T*>(from + c * column_step);
    for (int64_t r = 0; r < b.rows; ++r) std::memcpy(out + r * b.columns + c, line + r, sizeof(T));
  }
}
template <class T>
void scatter_block(const char* from, char* to, int64_t row_step, int64_t column_step, const Block& b) {
  const T* in = reinterpret_cast<const T*>(from);
  for (int64_t c = 0; c < b.columns; ++c) {
    char* line = to + c * column_step;
    for (int64_t r = 0; r < b.rows; ++r) std::memcpy(line + r * row_step, in + r * b.columns + c, sizeof(T));
  }
}
template <class F>
void with_width(int64_t size, F&& f) {
  switch (size) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    case 8: return f(uint64_t{});
    default: return f(Wide{});
  }
}

const void* load_block(const Loop& loop, const Operand& o, int k, size_t d, const Block& b, Buffers& buffers) {
  int64_t size = item_size(o.dtype), row = loop.steps[k][d], column = loop.steps[k][0];
  bool converts = o.dtype != o.compute;
  char* to = converts ? buffers.raw : buffers.tile[k];
  const char* from = o.data + b.offset[k];
  if (row == size && column != size) with_width(size, [&]<class T>(T) { gather_block<T>(from, column, b, to); });
  else
    for (int64_t r = 0; r < b.rows; ++r) gather_row(from + r * row, column, size, to + r * b.columns * size, b.columns);
  if (converts) converter(o.dtype, o.compute)(buffers.raw, buffers.tile[k], b.rows * b.columns);
  return buffers.tile[k];
}

void store_block(const Loop& loop, const Operand& o, size_t d, const Block& b, Buffers& buffers) {
  int64_t size = item_size(o.dtype), row = loop.steps[0][d], column = loop.steps[0][0];
  const char* from = buffers.tile[0];
  if (o.dtype != o.compute) {
    converter(o.compute, o.dtype)(from, buffers.raw, b.rows * b.columns);
    from = buffers.raw;
  }
  char* to = o.data + b.offset[0];
  if (row == size && column != size) with_width(size, [&]<class T>(T) { scatter_block<T>(from, to, row, column, b); });
  else
    for (int64_t r = 0; r < b.rows; ++r)
      scatter_row(from + r * b.columns * size, to + r * row, column, size, b.columns);
}

void run_blocks(TileFn tile, const Loop& loop, const Operand* ops, const void* params, size_t d) {
  const int64_t side = block_side(ops, loop.count);
  const int64_t across = (loop.sizes[0] + side - 1) / side, down = (loop.sizes[d] + side - 1) / side;
  int64_t outer = 1;
  for (size_t i = 1; i < loop.sizes.size(); ++i) outer *= i == d ? 1 : loop.sizes[i];
  parallel_for(0, outer * down * across, std::max<int64_t>(1, kGrain / (side * side)), [&](int64_t begin, int64_t end) {
    Buffers buffers;
    for (int64_t at = begin; at < end; ++at) {
      int64_t column = at % across * side, rest = at / across, row = rest % down * side;
      rest /= down;
      Block b;
      b.rows = std::min(side, loop.sizes[d] - row), b.columns = std::min(side, loop.sizes[0] - column);
      for (int k = 0; k < loop.count; ++k) b.offset[k] = column * loop.steps[k][0] + row * loop.steps[k][d];
      for (size_t i = 1; i < loop.sizes.size(); ++i) {
        if (i == d) continue;
        for (int k = 0; k < loop.count; ++k) b.offset[k] += rest % loop.sizes[i] * loop.steps[k][i];
        rest /= loop.sizes[i];
      }
      const void* in[kMaxOperands];
      for (int k = 1; k < loop.count; ++k) in[k - 1] = load_block(loop, ops[k], k, d, b, buffers);
      tile(buffers.tile[0], in, params, b.rows * b.columns);
      store_block(loop, ops[0], d, b, buffers);
    }
  });
}

}  // namespace

Operand operand(const Tensor& x, DimsView sizes, DType compute, Dims& strides) {
  size_t shift = sizes.size() - x.sizes().size();
  strides.assign(sizes.size(), 0);
  for (size_t i = shift; i < sizes.size(); ++i) {
    if (x.sizes()[i - shift] != 1) strides[i] = x.strides()[i - shift];
  }
  return {static_cast<char*>(x.data()), strides.data(), x.dtype(), compute};
}

void elementwise(TileFn tile, DimsView sizes, const Operand& out, Span<Operand> in, const void* params) {
  int64_t n = count(sizes);
  if (n == 0) return;
  Operand ops[kMaxOperands];
  ops[0] = out;
  std::copy(in.begin(), in.end(), ops + 1);
  Loop loop = make_loop(sizes, Span<Operand>(ops, in.size() + 1));
  if (size_t d = transposed_dim(loop, ops); d && n >= kTile) return run_blocks(tile, loop, ops, params, d);
  parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) { run_piece(tile, loop, ops, params, begin, end); });
}

TileFn select_tile(int64_t size) { return byte_rows().select[std::countr_zero(static_cast<uint64_t>(size))]; }

void elementwise_dense(TileFn tile, void* out, int64_t out_size, Span<const void*> in, const int64_t* in_sizes,
                       const void* params, int64_t n) {
  // Small enough for the loads of the next tile to go on behind the stores of this one.
  constexpr int64_t kStreamTile = 512;  // bytes
  const StreamFn stream = EMBER_PICK(stream);
  const int64_t step = kStreamTile / std::max<int64_t>(1, out_size);
  // Ops of one operand are mostly functions, which are bound by arithmetic and load their constants for each tile.
  bool streams = in.size() > 1 && n * out_size >= kPastCaches;
  for (const void* x : in) streams &= x != out;
  parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    const void* at[kMaxOperands];
    alignas(64) char buffer[kStreamTile];
    for (int64_t i = begin, m; i < end; i += m) {
      m = streams ? std::min(step, end - i) : end - i;
      for (size_t k = 0; k < in.size(); ++k) at[k] = static_cast<const char*>(in[k]) + i * in_sizes[k];
      char* place = static_cast<char*>(out) + i * out_size;
      tile(streams ? buffer : place, at, params, m);
      if (!streams) continue;
      for (size_t k = 0; k < in.size(); ++k) {  // the next tile comes while this one leaves
        for (int64_t o = m * in_sizes[k]; o < 2 * m * in_sizes[k]; o += 64)
          __builtin_prefetch(static_cast<const char*>(at[k]) + o);
      }
      stream(buffer, place, m * out_size);
    }
    if (streams) stream_fence();
  });
}

static void copy_tile(void* out, const void* const* in, const void* params, int64_t n) {
  if (out != in[0]) std::memcpy(out, in[0], static_cast<size_t>(n * *static_cast<const int64_t*>(params)));
}

// Dense memory of one order: no tiles, rows are converted where they belong.
static void copy_dense(const Tensor& dst, const Tensor& src) {
  const ConvertFn convert = converter(src.dtype(), dst.dtype());
  const int64_t from_size = item_size(src.dtype()), size = item_size(dst.dtype());
  const char* from = static_cast<const char*>(src.data());
  char* to = static_cast<char*>(dst.data());
  if (from == to && src.dtype() == dst.dtype()) return;
  parallel_for(0, dst.numel(), kGrain,
               [&](int64_t begin, int64_t end) { convert(from + begin * from_size, to + begin * size, end - begin); });
}

static void fill_dense(const Tensor& dst, const void* value) {
  const int64_t size = item_size(dst.dtype());
  const auto fill = byte_rows().fill[std::countr_zero(static_cast<uint64_t>(size))];
  char* to = static_cast<char*>(dst.data());
  parallel_for(0, dst.numel(), kGrain,
               [&](int64_t begin, int64_t end) { fill(value, to + begin * size, end - begin); });
}

void copy(const Tensor& dst, const Tensor& src) {
  if (is_non_overlapping_and_dense(dst.sizes(), dst.strides())) {
    if (src.numel() == 1) {
      alignas(16) char value[16];
      converter(src.dtype(), dst.dtype())(src.data(), value, 1);
      return fill_dense(dst, value);
    }
    if (src.sizes() == dst.sizes() && src.strides() == dst.strides()) return copy_dense(dst, src);
  }
  Dims a, b;
  // The conversion happens in the load stage, so the tile itself moves bytes.
  Operand out = operand(dst, dst.sizes(), dst.dtype(), a);
  Operand in = operand(src, dst.sizes(), dst.dtype(), b);
  int64_t size = item_size(dst.dtype());
  elementwise(copy_tile, dst.sizes(), out, Span<Operand>(&in, 1), &size);
}

void fill(const Tensor& dst, const Scalar& value) {
  Tensor v = empty_raw({}, dst.dtype());
  visit(dst.dtype(), [&]<class T>(T) { *v.data<T>() = value.to<T>(); });
  copy(dst, v);
}

}  // namespace ember::cpu
