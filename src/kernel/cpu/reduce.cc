// Drivers of the reductions: chunks of outputs' sequences become partial results, in parallel, and a binary counter
// joins the partial results of each output. Partials cost 1/256 of the input's memory and make the cut into pieces
// independent of who computes them.
#include "kernel/cpu/reduce.h"

#include <atomic>
#include <bit>
#include <cmath>

#include "base/parallel.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/reduce_walk.h"

namespace ember::cpu {

EMBER_PER_ISA(extern const ReduceTables reduce_tables;)
const ReduceTables& reduce_tables() { return EMBER_PICK(reduce_tables); }

void gather_strided(const char* from, int64_t step, int64_t size, char* to, int64_t n) {
  auto run = [&]<class U>(U) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * sizeof(U), from + i * step, sizeof(U));
  };
  struct Wide {
    uint64_t a, b;
  };
  if (step == size) return void(std::memcpy(to, from, static_cast<size_t>(n * size)));
  switch (size) {
    case 1: return run(uint8_t{});
    case 2: return run(uint16_t{});
    case 4: return run(uint32_t{});
    case 8: return run(uint64_t{});
    default: return run(Wide{});
  }
}

namespace {

constexpr int64_t kPiece = 32768;  // elements worth a piece of their own
int64_t grain_for(int64_t elements) { return std::max<int64_t>(1, kPiece / std::max<int64_t>(1, elements)); }

template <class T>
const ReduceTable<T>& table(Reduction r) {
  const ReduceTables& all = reduce_tables();
  const int i = static_cast<int>(r);
  if constexpr (std::is_same_v<T, float>) return all.f32[i];
  else if constexpr (std::is_same_v<T, double>) return all.f64[i];
  else if constexpr (std::is_same_v<T, int64_t>) return all.i64[i];
  else if constexpr (std::is_same_v<T, uint64_t>) return all.u64[i];
  else return all.u8[i];
}

// Joins items of `size` numbers in the order in which they come.
template <class T>
class Counter {
 public:
  Counter(const ReduceTable<T>& k, int64_t size, int64_t items)
      : k_(k), size_(size), memory_(static_cast<size_t>((std::bit_width(uint64_t(items)) + 1) * size) * sizeof(T)) {}
  T* fresh() { return memory_.template as<T>(); }  // to be filled, then push()ed
  void push() { push(fresh()); }
  void push(const T* item) {
    int k = 0;
    for (; count_ >> k & 1; ++k) k_.merge(slot(k), item, size_), item = slot(k);
    std::memcpy(slot(k), item, static_cast<size_t>(size_) * sizeof(T));
    ++count_;
  }
  T* finish() {
    int k = 0;
    while (!(count_ >> k & 1)) ++k;
    T* joined = slot(k);
    for (++k; count_ >> k; ++k) {
      if (count_ >> k & 1) k_.merge(slot(k), joined, size_), joined = slot(k);
    }
    count_ = 0;
    return joined;
  }

 private:
  T* slot(int k) { return fresh() + (k + 1) * size_; }
  const ReduceTable<T>& k_;
  int64_t size_, count_ = 0;
  Scratch memory_;
};

// Halves `lanes` rows of `w` numbers into the first.
template <class T>
void fold(const ReduceTable<T>& k, T* acc, int64_t lanes, int64_t w) {
  for (int64_t h = lanes / 2; h; h /= 2) k.merge(acc, acc + h * w, h * w);
}
template <class T>
void spread(T* to, int64_t stride, const T* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i];
}

// out[i] = the joined result of output i; every path takes the tree of reduce_kernels.h.
template <class T>
class Reducer {
 public:
  // `each`: a parameter for every output instead of one for all.
  Reducer(const Walk<T>& walk, Reduction r, double p, const T* each = nullptr)
      : w_(walk), k_(table<T>(r)), p_(static_cast<T>(p)), each_(each) {
    chunks_ = ceil_div(w_.n, kChunk);
  }
  void run(T* out) {
    if (w_.n == 0) return void(std::fill_n(out, w_.outputs, k_.identity));
    if (w_.columns) columns(out);
    else if (chunks_ == 1) rows(out);
    else inner(out);
  }

 private:
  static constexpr int64_t kChunk = kReduceChunk<T>, kLanes = kReduceLanes<T>, kBlock = kLanes * kReduceRows;
  static constexpr int64_t kUnit = kChunk / 4;              // rows of columns that are reduced at a time
  static constexpr int64_t kLaneBytes = int64_t{64} << 10;  // of one block of columns

  void rows(T* out) {
    parallel_for(0, w_.outputs, grain_for(w_.n), [&](int64_t begin, int64_t end) {
      const Scratch buffer(kChunk * sizeof(T)), raw(kChunk * 16);
      Cursor c(w_.kept, begin);
      for (int64_t i = begin; i < end;) {
        const int64_t len = w_.direct() && !each_ ? std::min(c.left(), end - i) : 1;
        const T* x = w_.sequence(c.offset, 0, w_.n, raw.as<char>(), buffer.as<T>());
        k_.rows(x, w_.n, c.stride(), len, each_ ? each_[i] : p_, out + i);  // `kept` is in the order of the result
        c.advance(len), i += len;
      }
    });
  }

  void inner(T* out) {
    const int64_t runs = ceil_div(w_.n, kReduceRun<T>);
    const Scratch partials(static_cast<size_t>(w_.outputs * runs * kLanes) * sizeof(T));
    std::atomic<bool> done{false};  // any and all of everything may stop early
    parallel_for(0, w_.outputs * runs, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* lanes = partials.as<T>() + i * kLanes;
        if (std::is_same_v<T, uint8_t> && done.load(std::memory_order_relaxed)) {
          std::fill_n(lanes, kLanes, k_.identity);
          continue;
        }
        run_lanes(Cursor(w_.kept, i / runs).offset, i % runs * kReduceRun<T>, each_ ? each_[i / runs] : p_, lanes);
        if (std::is_same_v<T, uint8_t> && w_.outputs == 1) {
          if (std::any_of(lanes, lanes + kLanes, [&](T v) { return v == T(k_.identity == T(0)); })) done = true;
        }
      }
    });
    parallel_for(0, w_.outputs, grain_for(runs * kLanes), [&](int64_t begin, int64_t end) {
      Counter<T> joined(k_, kLanes, runs);
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t r = 0; r < runs; ++r) joined.push(partials.as<T>() + (i * runs + r) * kLanes);
        T* lanes = joined.finish();
        fold(k_, lanes, kLanes, 1);
        out[i] = lanes[0];
      }
    });
  }

  // The lanes of the run that starts at element `at` of a sequence, by chunks where they must be brought together.
  void run_lanes(int64_t base, int64_t at, T p, T* lanes) const {
    const int64_t n = std::min(kReduceRun<T>, w_.n - at);
    if (w_.direct()) return k_.lanes(w_.sequence(base, at, n, nullptr, nullptr), n, p, lanes);
    const Scratch buffer(kChunk * sizeof(T)), raw(kChunk * 16);
    Counter<T> joined(k_, kLanes, ceil_div(n, kChunk));
    for (int64_t done = 0; done < n; done += kChunk) {
      const int64_t m = std::min(kChunk, n - done);
      k_.lanes(w_.sequence(base, at + done, m, raw.as<char>(), buffer.as<T>()), m, p, joined.fresh());
      joined.push();
    }
    std::copy_n(joined.finish(), kLanes, lanes);
  }

  // Lanes that no element reaches would only join the identity.
  int64_t lanes_used() const { return std::min(kLanes, int64_t(std::bit_ceil(uint64_t(w_.n)))); }

  void columns(T* out) {
    const int64_t lanes = lanes_used(), units = ceil_div(w_.n, kUnit);
    w_.narrow(kLaneBytes / (kLanes * sizeof(T)), units);
    const int64_t size = lanes * w_.width;
    const Scratch partials(units == 1 ? 0 : static_cast<size_t>(w_.tasks() * units * size) * sizeof(T));
    parallel_for(0, w_.tasks() * units, grain_for(w_.width * std::min(w_.n, kUnit)), [&](int64_t begin, int64_t end) {
      const Scratch buffer(size * sizeof(T)), raw(size * 16);
      for (int64_t i = begin; i < end; ++i) {
        w_.tile(i / units, [&](int64_t base, int64_t place, int64_t width) {
          Counter<T> blocks(k_, lanes * width, kUnit / kBlock);
          const int64_t at = i % units * kUnit, n = std::min(kUnit, w_.n - at);
          unit(base, place, at, n, width, lanes, blocks, raw.as<char>(), buffer.as<T>());
          T* joined = blocks.finish();
          if (units > 1) return void(std::copy_n(joined, lanes * width, partials.as<T>() + i * size));
          fold(k_, joined, lanes, width);
          spread(out + place, w_.axis_out, joined, width);
        });
      }
    });
    if (units == 1) return;
    parallel_for(0, w_.tasks(), grain_for(units * size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        w_.tile(i, [&](int64_t, int64_t place, int64_t width) {
          Counter<T> all(k_, lanes * width, units);
          for (int64_t u = 0; u < units; ++u) all.push(partials.as<T>() + (i * units + u) * size);
          T* joined = all.finish();
          fold(k_, joined, lanes, width);
          spread(out + place, w_.axis_out, joined, width);
        });
      }
    });
  }

  // The blocks of one unit of rows.
  void unit(int64_t base, int64_t place, int64_t at, int64_t n, int64_t width, int64_t lanes, Counter<T>& blocks,
            char* raw, T* buffer) const {
    const bool flat = w_.flat() && !each_, direct = w_.rows_direct() && !each_;
    Cursor c(w_.reduced, at);
    for (int64_t done = 0; done < n;) {
      T* acc = blocks.fresh();
      std::fill_n(acc, lanes * width, k_.identity);
      const int64_t block_end = std::min(n, done + kBlock);
      if (direct) {
        const T* x = w_.row(base + (at + done) * w_.row_stride(), width, nullptr, nullptr);
        block(x, block_end - done, width, lanes, flat ? lanes : 1, acc);
        done = block_end;
      }
      while (done < block_end) {
        const int64_t rows = std::min(lanes, block_end - done);
        if (flat) {
          k_.accumulate(acc, w_.row(base + (at + done) * width, rows * width, raw, buffer), rows * width, 1, 0, p_);
        } else {
          for (int64_t r = 0; r < rows; ++r, c.advance(1))
            k_.accumulate(acc + r * width, shifted(w_.row(base + c.offset, width, raw, buffer), place, width, buffer),
                          width, 1, 0, p_);
        }
        done += rows;
      }
      blocks.push();
    }
  }

  // n rows that memory holds as they are, `together` of them without a gap. Rows of one lane are taken four at a time,
  // so that each lane is read and written a quarter as often and memory is read as four streams.
  void block(const T* x, int64_t n, int64_t width, int64_t lanes, int64_t together, T* acc) const {
    constexpr int64_t kGroup = 4;
    const int64_t stride = w_.row_stride();
    for (int64_t group = 0; group < n; group += kGroup * lanes) {
      for (int64_t r = 0; r < lanes && group + r < n; r += together) {
        const T* from = x + (group + r) * stride;
        const int64_t left = n - group - r, whole = std::min(kGroup, (left - together + lanes) / lanes);
        T* to = acc + r * width;
        if (whole > 0) k_.accumulate(to, from, together * width, whole, lanes * stride, p_);
        if (const int64_t rest = left - whole * lanes; whole < kGroup && together > 1 && rest > 0)
          k_.accumulate(to, from + whole * lanes * stride, rest * width, 1, 0, p_);
      }
    }
  }

  // A column's own parameter is taken off its elements first, which is all that kExpSum does with it.
  const T* shifted(const T* row, int64_t place, int64_t width, T* buffer) const {
    if (!each_) return row;
    for (int64_t j = 0; j < width; ++j) buffer[j] = row[j] - each_[place + j * w_.axis_out];
    return buffer;
  }

  Walk<T> w_;
  const ReduceTable<T>& k_;
  T p_;
  const T* each_;
  int64_t chunks_;
};

// Calls f with dense memory of `compute` for y's elements and stores what it wrote there.
template <class T, class F>
void with_result(const Tensor& y, DType compute, F&& f) {
  if (!y.defined()) return;
  if (y.dtype() == compute && y.is_contiguous()) return f(y.data<T>());
  const Tensor dense = empty_raw(y.sizes(), compute);
  f(dense.data<T>());
  copy(y, dense);
}

template <class T>
void apply_finish(T* out, int64_t count, Finish finish, int64_t n, double p) {
  for (int64_t i = 0; i < count; ++i) {
    switch (finish) {
      case Finish::kMean: out[i] = out[i] / static_cast<T>(n); break;
      case Finish::kSqrt: out[i] = std::sqrt(out[i]); break;
      case Finish::kRoot: out[i] = std::pow(out[i], static_cast<T>(1 / p)); break;
      default: return;
    }
  }
}

// x as real numbers: one more dim of size 2.
Tensor real_parts(const Tensor& x) {
  Dims sizes(x.sizes()), strides(x.strides());
  for (int64_t& s : strides) s *= 2;
  sizes.push_back(2), strides.push_back(1);
  Tensor parts = alias_raw(x, sizes, strides, 0);
  parts->dtype = real_of(x.dtype());
  parts->offset = 2 * x.storage_offset();
  return parts;
}

template <class C>
void complex_product(const Tensor& y, const Tensor& x, DimMask mask) {
  const Walk<C> w(x, mask, dtype_of<C>);
  with_result<C>(y, dtype_of<C>, [&](C* out) {
    parallel_for(0, w.outputs, grain_for(w.n), [&](int64_t begin, int64_t end) {
      const Axes& kept = w.kept;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t j = w.columns ? i % w.axis : 0;
        Cursor c(kept, w.columns ? i / w.axis : i);
        C product(1), buffer[64];
        char raw[64 * 16];
        for (int64_t at = 0; at < w.n; at += 64) {
          const int64_t n = std::min<int64_t>(64, w.n - at);
          const C* v = w.sequence(c.offset + j * w.axis_stride, at, n, raw, buffer);
          for (int64_t k = 0; k < n; ++k) product *= v[k];
        }
        out[c.out + j * w.axis_out] = product;
      }
    });
  });
}

template <class T>
void reduce_as(const Tensor& y, const Tensor& x, DimMask mask, Reduction r, DType compute, Finish finish, double p) {
  const Walk<T> walk(x, mask, compute);
  with_result<T>(y, compute, [&](T* out) {
    Reducer<T>(walk, r, p).run(out);
    if constexpr (std::is_floating_point_v<T>) apply_finish(out, walk.outputs, finish, walk.n, p);
  });
}

template <class T>
void log_sum_exp_as(const Tensor& y, const Tensor& x, DimMask mask) {
  const Walk<T> walk(x, mask, dtype_of<T>);
  const Scratch memory(static_cast<size_t>(walk.outputs) * sizeof(T));
  T* top = memory.as<T>();
  Reducer<T>(walk, Reduction::kMax, 0).run(top);
  for (int64_t i = 0; i < walk.outputs; ++i) top[i] = std::isinf(top[i]) ? 0 : top[i];
  with_result<T>(y, dtype_of<T>, [&](T* out) {
    Reducer<T>(walk, Reduction::kExpSum, 0, top).run(out);
    for (int64_t i = 0; i < walk.outputs; ++i) out[i] = std::log(out[i]) + top[i];
  });
}

}  // namespace

void log_sum_exp(const Tensor& y, const Tensor& x, DimMask mask) {
  if (x.dtype() == DType::kFloat64) log_sum_exp_as<double>(y, x, mask);
  else log_sum_exp_as<float>(y, x, mask);
}

void reduce(const Tensor& y, const Tensor& x, DimMask mask, Reduction r, DType compute, Finish finish, double p) {
  switch (compute) {
    case DType::kFloat64: return reduce_as<double>(y, x, mask, r, compute, finish, p);
    case DType::kInt64: return reduce_as<int64_t>(y, x, mask, r, compute, finish, p);
    case DType::kUInt64: return reduce_as<uint64_t>(y, x, mask, r, compute, finish, p);
    case DType::kComplex64:
    case DType::kComplex128: {
      if (r == Reduction::kProd && compute == DType::kComplex64)
        return complex_product<std::complex<float>>(y, x, mask);
      if (r == Reduction::kProd) return complex_product<std::complex<double>>(y, x, mask);
      Tensor as = x, to = y;
      if (x.dtype() != compute) as = empty_raw(x.sizes(), compute), copy(as, x);
      if (y.dtype() != compute) to = empty_raw(y.sizes(), compute);
      reduce(real_parts(to), real_parts(as), mask, r, real_of(compute), finish, p);
      if (!to.is(y)) copy(y, to);
      return;
    }
    default: return reduce_as<float>(y, x, mask, r, DType::kFloat32, finish, p);
  }
}

void any_all(const Tensor& y, const Tensor& x, DimMask mask, bool all) {
  const Walk<uint8_t> walk(x, mask, DType::kBool);
  const Reduction r = all ? Reduction::kMin : Reduction::kMax;
  const auto run = [&](uint8_t* out) {
    Reducer<uint8_t>(walk, r, 0).run(out);
    for (int64_t i = 0; i < walk.outputs; ++i) out[i] = out[i] != 0;  // the identity of `all` is 255
  };
  with_result<uint8_t>(y, y.dtype() == DType::kUInt8 ? DType::kUInt8 : DType::kBool, run);
}

}  // namespace ember::cpu
