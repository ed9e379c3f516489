// Reductions whose partial result is more than one number: variance with mean, and extremes with their index.
// Variance takes two passes over each chunk of 512 elements while it is in cache, and joins the chunks' means and
// squared deviations in f64: one pass over memory, with the accuracy of two.
#include <bit>
#include <cmath>

#include "base/parallel.h"
#include "kernel/cpu/reduce_walk.h"

namespace ember::cpu {
namespace {

constexpr int64_t kPiece = 32768;
int64_t grain_for(int64_t elements) { return std::max<int64_t>(1, kPiece / std::max<int64_t>(1, elements)); }
int64_t cut(int64_t n, int64_t size) { return (n + size - 1) / size; }

template <class T>
void store(const Tensor& y, const T* values) {
  if (!y.defined()) return;
  Tensor dense = empty_raw(y.sizes(), dtype_of<T>);
  std::copy(values, values + y.numel(), dense.data<T>());
  copy(y, dense);
}

// ---- variance ------------------------------------------------------------------------------------------------------

template <class T>
class Moments {
 public:
  Moments(const Tensor& x, DimMask mask)
      : w_(x, mask, dtype_of<T>),
        chunks_(std::max<int64_t>(1, cut(w_.n, kMomentChunk))),
        stats_(static_cast<size_t>(2 * w_.outputs * chunks_) * sizeof(double)) {}

  void run(const Tensor& var, const Tensor& mean, double correction, bool root) {
    if (w_.n > 0) {
      if (w_.columns) columns();
      else inner();
    }
    const Scratch results(static_cast<size_t>(2 * w_.outputs) * sizeof(T));
    T *variances = results.as<T>(), *means = variances + w_.outputs;
    parallel_for(0, w_.outputs, grain_for(chunks_ * 4), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto [m, squares] = join(i);
        const double v = squares / std::max(0.0, static_cast<double>(w_.n) - correction);
        variances[i] = static_cast<T>(root ? std::sqrt(v) : v), means[i] = static_cast<T>(m);
      }
    });
    store(var, variances), store(mean, means);
  }

 private:
  double& mean(int64_t output, int64_t chunk) { return stats_.as<double>()[2 * (output * chunks_ + chunk)]; }
  double& squares(int64_t output, int64_t chunk) { return stats_.as<double>()[2 * (output * chunks_ + chunk) + 1]; }
  int64_t length(int64_t chunk) const { return std::min(kMomentChunk, w_.n - chunk * kMomentChunk); }

  std::pair<double, double> join(int64_t i) {
    if (w_.n == 0) return {std::nan(""), std::nan("")};
    if (chunks_ == 1) return {mean(i, 0), squares(i, 0)};
    double sum = 0, deviations = 0;
    for (int64_t c = 0; c < chunks_; ++c) sum += mean(i, c) * static_cast<double>(length(c));
    const double m = sum / static_cast<double>(w_.n);
    for (int64_t c = 0; c < chunks_; ++c) {
      const double d = mean(i, c) - m;
      deviations += squares(i, c) + d * d * static_cast<double>(length(c));
    }
    return {m, deviations};
  }

  void inner() {
    const auto kernel = table().moments;
    parallel_for(0, w_.outputs * chunks_, grain_for(std::min(w_.n, kMomentChunk)), [&](int64_t begin, int64_t end) {
      T buffer[kMomentChunk];
      char raw[kMomentChunk * 16];
      Cursor c(w_.kept, begin / chunks_);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t chunk = i % chunks_, n = length(chunk);
        const T* x = w_.sequence(c.offset, chunk * kMomentChunk, n, raw, buffer);
        kernel(x, n, &mean(i / chunks_, chunk), &squares(i / chunks_, chunk));
        if (chunk + 1 == chunks_) c.advance(1);
      }
    });
  }

  // The tree of kernel/cpu/isa/reduce.cc's moments, many outputs at a time.
  template <class Step>
  void tree(int64_t base, int64_t at, int64_t n, int64_t width, T* out, char* raw, T* buffer, Step step) const {
    constexpr int64_t kLanes = kReduceLanes<T>, kBlock = kLanes * kReduceRows;
    const auto& k = sums();
    Cursor c(w_.reduced, at);
    T* total = nullptr;
    T *first = out, *second = out + kLanes * width;
    for (int64_t done = 0; done < n; done += kBlock) {
      T* acc = total ? second : first;
      std::fill_n(acc, kLanes * width, T(0));
      for (int64_t i = done; i < std::min(n, done + kBlock); ++i, c.advance(1))
        step(acc + i % kLanes * width, w_.row(base + c.offset, width, raw, buffer));
      if (total) k.merge(total, acc, kLanes * width);
      else total = acc;
    }
    for (int64_t h = kLanes / 2; h; h /= 2) k.merge(out, out + h * width, h * width);
  }

  void columns() {
    static_assert(kMomentChunk == 2 * kReduceLanes<T> * kReduceRows);  // two blocks, as tree() takes them
    const auto square = table().squares;
    const auto accumulate = sums().accumulate;
    w_.width = std::min<int64_t>(w_.width, 64), w_.tiles = cut(w_.axis, w_.width);
    parallel_for(0, w_.tasks() * chunks_, grain_for(kMomentChunk * w_.width), [&](int64_t begin, int64_t end) {
      const Scratch lanes(2 * kReduceLanes<T> * w_.width * sizeof(T)), buffer(w_.width * sizeof(T)), raw(w_.width * 16);
      T means[64];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t chunk = i % chunks_, n = length(chunk), at = chunk * kMomentChunk;
        w_.tile(i / chunks_, [&](int64_t base, int64_t place, int64_t width) {
          T* out = lanes.as<T>();
          tree(base, at, n, width, out, raw.as<char>(), buffer.as<T>(),
               [&](T* acc, const T* row) { accumulate(acc, row, width, 1, 0, T(0)); });
          for (int64_t j = 0; j < width; ++j) means[j] = out[j] / static_cast<T>(n);
          tree(base, at, n, width, out, raw.as<char>(), buffer.as<T>(),
               [&](T* acc, const T* row) { square(acc, row, means, width); });
          for (int64_t j = 0; j < width; ++j) {
            const int64_t o = place + j * w_.axis_out;
            mean(o, chunk) = static_cast<double>(means[j]), squares(o, chunk) = static_cast<double>(out[j]);
          }
        });
      }
    });
  }

  static const MomentTable<T>& table() {
    if constexpr (std::is_same_v<T, float>) return reduce_tables().moment_f32;
    else return reduce_tables().moment_f64;
  }
  static const ReduceTable<T>& sums() {
    if constexpr (std::is_same_v<T, float>) return reduce_tables().f32[static_cast<int>(Reduction::kSum)];
    else return reduce_tables().f64[static_cast<int>(Reduction::kSum)];
  }

  Walk<T> w_;
  int64_t chunks_;
  Scratch stats_;
};

// ---- extremes with index -------------------------------------------------------------------------------------------

template <class T>
struct Tables {
  static const SearchTable<T>& search() {
    const ReduceTables& all = reduce_tables();
    if constexpr (std::is_same_v<T, float>) return all.search_f32;
    else if constexpr (std::is_same_v<T, double>) return all.search_f64;
    else if constexpr (std::is_same_v<T, int64_t>) return all.search_i64;
    else return all.search_u64;
  }
  static const ReduceTable<T>& reduction(Reduction r) {
    const ReduceTables& all = reduce_tables();
    const int i = static_cast<int>(r);
    if constexpr (std::is_same_v<T, float>) return all.f32[i];
    else if constexpr (std::is_same_v<T, double>) return all.f64[i];
    else if constexpr (std::is_same_v<T, int64_t>) return all.i64[i];
    else return all.u64[i];
  }
};

// Chunks' extremes by vectors first; only the chunk that holds the result is searched for its place.
template <class T>
void extreme_inner(const Walk<T>& w, bool largest, T* values, int64_t* indices) {
  constexpr int64_t kChunk = kReduceChunk<T>;
  const auto& k = Tables<T>::reduction(largest ? Reduction::kMax : Reduction::kMin);
  const SearchTable<T>& search = Tables<T>::search();
  const int64_t chunks = cut(w.n, kChunk);
  if (chunks == 1) {
    return parallel_for(0, w.outputs, grain_for(w.n), [&](int64_t begin, int64_t end) {
      const bool direct = !w.convert && w.reduced.sizes.size() == 1 && w.reduced.strides[0] == 1;
      const Scratch buffer(direct ? 0 : kChunk * sizeof(T)), raw(direct ? 0 : kChunk * 16);
      Cursor c(w.kept, begin);
      for (int64_t i = begin; i < end;) {
        const int64_t len = direct ? std::min(c.left(), end - i) : 1;
        const T* x = w.sequence(c.offset, 0, w.n, raw.as<char>(), buffer.as<T>());
        search.rows(x, w.n, c.stride(), len, largest, values ? values + i : nullptr, indices ? indices + i : nullptr);
        c.advance(len), i += len;
      }
    });
  }
  const Scratch best(static_cast<size_t>(w.outputs * chunks) * sizeof(T));
  parallel_for(0, w.outputs * chunks, cut(kPiece, kChunk), [&](int64_t begin, int64_t end) {
    const Scratch buffer(kChunk * sizeof(T)), raw(kChunk * 16);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i % chunks * kChunk, n = std::min(kChunk, w.n - at);
      const T* x = w.sequence(Cursor(w.kept, i / chunks).offset, at, n, raw.as<char>(), buffer.as<T>());
      k.rows(x, n, n, 1, T(0), best.as<T>() + i);
    }
  });
  auto better = [&](T a, T b) { return b == b && (a != a || (largest ? a > b : a < b)); };
  parallel_for(0, w.outputs, grain_for(kChunk + chunks), [&](int64_t begin, int64_t end) {
    const Scratch buffer(kChunk * sizeof(T)), raw(kChunk * 16);
    Cursor c(w.kept, begin);
    for (int64_t i = begin; i < end; ++i, c.advance(1)) {
      int64_t chunk = 0;
      const T* of = best.as<T>() + i * chunks;
      for (int64_t j = 1; j < chunks; ++j) chunk = better(of[j], of[chunk]) ? j : chunk;
      const int64_t at = chunk * kChunk, n = std::min(kChunk, w.n - at);
      const T* x = w.sequence(c.offset, at, n, raw.as<char>(), buffer.as<T>());
      const int64_t found = search.find(x, n, of[chunk]);
      if (values) values[i] = x[found];
      if (indices) indices[i] = at + found;
    }
  });
}

template <class T>
void extreme_columns(const Walk<T>& w, bool largest, T* values, int64_t* indices) {
  constexpr int64_t kRows = 2048;  // a piece of a long column
  const auto better = Tables<T>::search().better;
  const int64_t chunks = cut(w.n, kRows), size = w.width;
  const Scratch partial_values(static_cast<size_t>(w.tasks() * chunks * size) * sizeof(T));
  const Scratch partial_at(static_cast<size_t>(w.tasks() * chunks * size) * sizeof(int64_t));
  parallel_for(0, w.tasks() * chunks, grain_for(size * std::min(w.n, kRows)), [&](int64_t begin, int64_t end) {
    const Scratch buffer(size * sizeof(T)), raw(size * 16);
    for (int64_t i = begin; i < end; ++i) {
      w.tile(i / chunks, [&](int64_t base, int64_t, int64_t width) {
        const int64_t first = i % chunks * kRows, last = std::min(w.n, first + kRows);
        T* best = partial_values.as<T>() + i * size;
        int64_t* at = partial_at.as<int64_t>() + i * size;
        Cursor c(w.reduced, first);
        for (int64_t r = first; r < last; ++r, c.advance(1)) {
          const T* x = w.row(base + c.offset, width, raw.as<char>(), buffer.as<T>());
          if (r == first) std::copy(x, x + width, best), std::fill_n(at, width, r);
          else better(x, width, r, largest, best, at);
        }
      });
    }
  });
  parallel_for(0, w.tasks(), grain_for(chunks * size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      w.tile(i, [&](int64_t, int64_t place, int64_t width) {
        T* best = partial_values.as<T>() + i * chunks * size;
        int64_t* at = partial_at.as<int64_t>() + i * chunks * size;
        for (int64_t j = 0; j < width; ++j) {
          int64_t winner = j;
          for (int64_t k = 1; k < chunks; ++k) {
            const T a = best[k * size + j], b = best[winner];
            if (b == b && (a != a || (largest ? a > b : a < b))) winner = k * size + j;
          }
          if (values) values[place + j * w.axis_out] = best[winner];
          if (indices) indices[place + j * w.axis_out] = at[winner];
        }
      });
    }
  });
}

template <class T>
void extreme_as(const Tensor& values, const Tensor& indices, const Tensor& x, DimMask mask, bool largest) {
  const Walk<T> w(x, mask, dtype_of<T>);
  if (w.outputs == 0 || w.n == 0) return;
  const Scratch room(static_cast<size_t>(w.outputs) * 16);
  T* v = values.defined() ? room.as<T>() : nullptr;
  int64_t* at = indices.defined() ? room.as<int64_t>() + w.outputs : nullptr;
  if (w.columns) extreme_columns(w, largest, v, at);
  else extreme_inner(w, largest, v, at);
  if (v) store(values, v);
  if (at) store(indices, at);
}

}  // namespace

void var_mean(const Tensor& var, const Tensor& mean, const Tensor& x, DimMask mask, double correction, bool root) {
  if (x.dtype() == DType::kFloat64) Moments<double>(x, mask).run(var, mean, correction, root);
  else Moments<float>(x, mask).run(var, mean, correction, root);
}

void extreme(const Tensor& values, const Tensor& indices, const Tensor& x, DimMask mask, bool largest) {
  switch (x.dtype()) {
    case DType::kFloat64: return extreme_as<double>(values, indices, x, mask, largest);
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBFloat16: return extreme_as<float>(values, indices, x, mask, largest);
    case DType::kUInt64: return extreme_as<uint64_t>(values, indices, x, mask, largest);
    default: return extreme_as<int64_t>(values, indices, x, mask, largest);
  }
}

}  // namespace ember::cpu
