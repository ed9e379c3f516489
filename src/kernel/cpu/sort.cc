// Sorting by radix: keys travel with their indices in one word (or two, for 64-bit elements), byte by byte from the
// lowest; bytes that all keys share are skipped, short rows are sorted by comparison. Rows are shared out to threads.
#include "kernel/cpu/sort.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/parallel.h"
#include "kernel/cpu/axes.h"
#include "kernel/cpu/elementwise.h"
#include "kernel/cpu/scratch.h"
#include "kernel/cpu/sort_keys.h"

namespace ember::cpu {
namespace {

int64_t grain_for(int64_t n) { return std::max<int64_t>(1, 2048 / std::max<int64_t>(1, n)); }

// Rows of tensors of one shape apart from `dim`.
struct Rows {
  Axes axes;
  int64_t n, stride, count;
  Rows(const Tensor& x, int64_t dim) {
    n = x.dim() ? x.sizes()[dim] : 1, stride = x.dim() ? x.strides()[dim] : 1;
    for (int64_t d = 0; d < x.dim(); ++d) {
      if (d != dim) axes.add(x.sizes()[d], x.strides()[d], 0);
    }
    count = axes.count();
  }
  int64_t offset(int64_t row) const { return Cursor(axes, row).offset; }
};
// A result of a row each: it may lack `dim`, or have it as 1.
struct Places {
  Axes axes;
  int64_t stride = 1;
  Places(const Tensor& y, const Tensor& x, int64_t dim) {
    const bool kept = y.dim() == x.dim();
    if (kept && x.dim()) stride = y.strides()[dim];
    for (int64_t d = 0; d < x.dim(); ++d) {
      const int64_t k = kept || d < dim ? d : d - 1;
      if (d != dim) axes.add(x.sizes()[d], y.strides()[k], 0);
    }
  }
  int64_t offset(int64_t row) const { return Cursor(axes, row).offset; }
};

template <class F>
void with_sortable(std::string_view op, DType dtype, F&& f) {
  visit(dtype, [&]<class T>(T t) {
    if constexpr (kSortable<T>) f(t);
    else EMBER_FAIL(op, ": complex numbers have no order, got ", dtype);
  });
}

template <class T>
bool fill_entries(const T* x, int64_t stride, int64_t n, bool descending, Entry<T>* out) {
  bool exact = true;
  for (int64_t i = 0; i < n; ++i) out[i] = entry<T>(encode(x[i * stride], descending, exact), i);
  return exact;
}

// Sorts a[0, n) by key, stably; b is room for as much. Returns where the result lies.
template <class T>
Entry<T>* radix_sort(Entry<T>* a, Entry<T>* b, int64_t n) {
  constexpr int kBytes = sizeof(T);
  if (n < 400) {
    std::sort(a, a + n);
    return a;
  }
  uint32_t histogram[kBytes][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    const auto k = key_of<T>(a[i]);
#pragma GCC unroll 8
    for (int d = 0; d < kBytes; ++d) ++histogram[d][k >> (8 * d) & 255];
  }
  for (int d = 0; d < kBytes; ++d) {
    uint32_t* h = histogram[d];
    if (h[key_of<T>(a[0]) >> (8 * d) & 255] == static_cast<uint32_t>(n)) continue;
    uint32_t sum = 0;
    for (int i = 0; i < 256; ++i) {
      const uint32_t count = h[i];
      h[i] = sum, sum += count;
    }
    for (int64_t i = 0; i < n; ++i) b[h[key_of<T>(a[i]) >> (8 * d) & 255]++] = a[i];
    std::swap(a, b);
  }
  return a;
}

// The entry of rank `nth`: a histogram of the keys' top bits finds its bucket, whose few entries are then partitioned.
template <class T>
Entry<T> nth_entry(Entry<T>* a, int64_t n, int64_t nth) {
  constexpr int kTop = kKeyBits<T> < 11 ? kKeyBits<T> : 11, kShift = kKeyBits<T> - kTop;
  int64_t held = n;
  if (n >= 256) {
    uint32_t count[1 << kTop] = {};
    for (int64_t i = 0; i < n; ++i) ++count[key_of<T>(a[i]) >> kShift];
    uint32_t bucket = 0;
    while (nth >= count[bucket]) nth -= count[bucket++];
    held = 0;
    for (int64_t i = 0; i < n; ++i) {
      a[held] = a[i];
      held += (key_of<T>(a[i]) >> kShift) == bucket;
    }
  }
  std::nth_element(a, a + nth, a + held);
  return a[nth];
}

void check_length(int64_t n) {
  EMBER_CHECK(n < int64_t{1} << 32, "sort: rows of up to 2^32 - 1 elements can be sorted, got ", n);
}

template <class T>
void sort_rows(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, bool descending) {
  const Rows rows(x, dim);
  check_length(rows.n);
  const Tensor& shape = values.defined() ? values : indices;
  const Rows v(values.defined() ? values : shape, dim), p(indices.defined() ? indices : shape, dim);
  T* const out = values.defined() ? static_cast<T*>(values.data()) : nullptr;
  int64_t* const places = indices.defined() ? indices.data<int64_t>() : nullptr;
  parallel_for(0, rows.count, grain_for(rows.n), [&](int64_t begin, int64_t end) {
    const Scratch memory(static_cast<size_t>(2 * rows.n) * sizeof(Entry<T>));
    Entry<T>* room = memory.as<Entry<T>>();
    for (int64_t r = begin; r < end; ++r) {
      const T* row = static_cast<const T*>(x.data()) + rows.offset(r);
      const bool exact = fill_entries(row, rows.stride, rows.n, descending, room);
      const Entry<T>* sorted = radix_sort<T>(room, room + rows.n, rows.n);
      if (out) {
        T* to = out + v.offset(r);
        for (int64_t i = 0; i < rows.n; ++i)
          to[i * v.stride] =
              exact ? decode<T>(key_of<T>(sorted[i]), descending) : row[index_of<T>(sorted[i]) * rows.stride];
      }
      if (places) {
        int64_t* to = places + p.offset(r);
        for (int64_t i = 0; i < rows.n; ++i) to[i * p.stride] = index_of<T>(sorted[i]);
      }
    }
  });
}

// The k smallest entries of a row, in room[0, k). Entries above the k-th of those seen so far are passed over.
template <class T>
void smallest(const T* x, int64_t stride, int64_t n, int64_t k, bool descending, Entry<T>* room, int64_t capacity) {
  bool exact;
  int64_t held = 0;
  auto bound = static_cast<KeyOf<T>>(~KeyOf<T>{0});
  for (int64_t i = 0; i < n; ++i) {
    const KeyOf<T> key = encode(x[i * stride], descending, exact);
    if (key > bound) continue;
    room[held++] = entry<T>(key, i);
    if (held == capacity) {
      std::nth_element(room, room + k - 1, room + held);
      held = k, bound = key_of<T>(room[k - 1]);
    }
  }
  if (held > k) std::nth_element(room, room + k - 1, room + held);
}

}  // namespace

void sort(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, bool descending) {
  if (x.numel() == 0) return;
  with_sortable("sort", x.dtype(), [&]<class T>(T) { sort_rows<T>(values, indices, x, dim, descending); });
}

void topk(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t k, int64_t dim, bool largest,
          bool sorted) {
  if (k == 0 || x.numel() == 0) return;
  const Rows rows(x, dim), v(values, dim), p(indices, dim);
  check_length(rows.n);
  const int64_t capacity = std::min(rows.n + 1, 4 * k + 64);
  with_sortable("topk", x.dtype(), [&]<class T>(T) {
    parallel_for(0, rows.count, grain_for(rows.n), [&](int64_t begin, int64_t end) {
      const Scratch memory(static_cast<size_t>(capacity) * sizeof(Entry<T>));
      Entry<T>* room = memory.as<Entry<T>>();
      for (int64_t r = begin; r < end; ++r) {
        const T* row = static_cast<const T*>(x.data()) + rows.offset(r);
        smallest(row, rows.stride, rows.n, k, largest, room, capacity);
        if (sorted) std::sort(room, room + k);
        else
          std::sort(room, room + k,
                    [](const Entry<T>& a, const Entry<T>& b) { return index_of<T>(a) < index_of<T>(b); });
        T* to = static_cast<T*>(values.data()) + v.offset(r);
        int64_t* at = indices.data<int64_t>() + p.offset(r);
        for (int64_t i = 0; i < k; ++i) {
          const int64_t j = index_of<T>(room[i]);
          to[i * v.stride] = row[j * rows.stride], at[i * p.stride] = j;
        }
      }
    });
  });
}

void select_in_rows(const Tensor& values, const Tensor& indices, const Tensor& x, int64_t dim, Select what, int64_t k) {
  const Rows rows(x, dim);
  check_length(rows.n);
  if (rows.count == 0 || rows.n == 0) return;
  const Places v(values, x, dim), p(indices, x, dim);
  with_sortable("select", x.dtype(), [&]<class T>(T) {
    parallel_for(0, rows.count, grain_for(rows.n), [&](int64_t begin, int64_t end) {
      const Scratch memory(static_cast<size_t>(2 * rows.n) * sizeof(Entry<T>));
      Entry<T>* room = memory.as<Entry<T>>();
      for (int64_t r = begin; r < end; ++r) {
        const T* row = static_cast<const T*>(x.data()) + rows.offset(r);
        const bool exact = fill_entries(row, rows.stride, rows.n, false, room);
        int64_t nans = 0, found = 0;
        if (!exact) {
          for (int64_t i = 0; i < rows.n; ++i) nans += is_nan(row[i * rows.stride]);
        }
        if (what == Select::kMode) {
          const Entry<T>* s = radix_sort<T>(room, room + rows.n, rows.n);
          int64_t best = 0;
          for (int64_t i = 0, start = 0; i < rows.n; ++i) {
            if (key_of<T>(s[i]) != key_of<T>(s[start])) start = i;
            if (i - start + 1 > best) best = i - start + 1, found = index_of<T>(s[i]);
          }
        } else {
          int64_t nth = k - 1;
          if (what == Select::kMedian) nth = nans ? rows.n - nans : (rows.n - 1) / 2;
          if (what == Select::kNanMedian) nth = nans == rows.n ? 0 : (rows.n - nans - 1) / 2;
          found = index_of<T>(nth_entry<T>(room, rows.n, nth));
        }
        static_cast<T*>(values.data())[v.offset(r)] = row[found * rows.stride];
        indices.data<int64_t>()[p.offset(r)] = found;
      }
    });
  });
}

void search_sorted(const Tensor& out, const Tensor& sorted, const Tensor& values, bool right, const Tensor& sorter) {
  const int64_t n = sorted.dim() ? sorted.sizes().back() : 1, total = values.numel();
  const bool one_row = sorted.dim() <= 1;
  const int64_t width = one_row || values.dim() == 0 ? std::max<int64_t>(total, 1) : values.sizes().back();
  visit(sorted.dtype(), [&]<class T>(T) {
    if constexpr (!kSortable<T>) {
      EMBER_FAIL("searchsorted: complex numbers have no order, got ", sorted.dtype());
    } else {
      const T* rows = static_cast<const T*>(sorted.data());
      const T* v = static_cast<const T*>(values.data());
      const int64_t* order = sorter.defined() ? sorter.data<int64_t>() : nullptr;
      parallel_for(0, total, 4096, [&](int64_t begin, int64_t end) {
        bool exact;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t base = one_row ? 0 : i / width * n;
          const auto key = encode(v[i], false, exact);
          int64_t low = 0, high = n;
          while (low < high) {
            const int64_t mid = (low + high) / 2;
            const auto at = encode(rows[base + (order ? order[base + mid] : mid)], false, exact);
            if (right ? at <= key : at < key) low = mid + 1;
            else high = mid;
          }
          if (out.dtype() == DType::kInt64) out.data<int64_t>()[i] = low;
          else out.data<int32_t>()[i] = static_cast<int32_t>(low);
        }
      });
    }
  });
}

Unique unique(const Tensor& x, bool want_inverse, bool want_counts) {
  const int64_t n = x.numel();
  check_length(n);
  Tensor from = x;
  if (!x.is_contiguous()) from = empty_raw(x.sizes(), x.dtype()), copy(from, x);
  Unique u;
  if (want_inverse) u.inverse = empty_raw(x.sizes(), DType::kInt64);
  with_sortable("unique", x.dtype(), [&]<class T>(T) {
    const Scratch memory(static_cast<size_t>(2 * n) * sizeof(Entry<T>));
    Entry<T>* room = memory.as<Entry<T>>();
    const T* in = n ? static_cast<const T*>(from.data()) : nullptr;
    fill_entries(in, 1, n, false, room);
    const Entry<T>* s = n ? radix_sort<T>(room, room + n, n) : room;
    std::vector<int64_t> starts;  // of runs of equals; every nan is a run of its own
    for (int64_t i = 0; i < n; ++i) {
      const bool fresh = i == 0 || key_of<T>(s[i]) != key_of<T>(s[i - 1]) || is_nan(in[index_of<T>(s[i])]);
      if (fresh) starts.push_back(i);
      if (want_inverse) u.inverse.data<int64_t>()[index_of<T>(s[i])] = static_cast<int64_t>(starts.size()) - 1;
    }
    const int64_t m = static_cast<int64_t>(starts.size());
    u.values = empty_raw({m}, x.dtype());
    if (want_counts) u.counts = empty_raw({m}, DType::kInt64);
    for (int64_t i = 0; i < m; ++i) {
      static_cast<T*>(u.values.data())[i] = in[index_of<T>(s[starts[i]])];
      if (want_counts) u.counts.data<int64_t>()[i] = (i + 1 < m ? starts[i + 1] : n) - starts[i];
    }
  });
  return u;
}

UniqueSlices unique_slices(const Tensor& x, int64_t dim, bool consecutive) {
  // Slices as rows of a dense tensor.
  Dims sizes(x.sizes()), strides(x.strides());
  const int64_t n = sizes[dim], stride = strides[dim];
  sizes.erase(sizes.begin() + dim), strides.erase(strides.begin() + dim);
  sizes.insert(sizes.begin(), n), strides.insert(strides.begin(), stride);
  const Tensor rows = empty_raw(sizes, x.dtype());
  copy(rows, alias_raw(x, sizes, strides, x.storage_offset()));
  const int64_t width = n ? rows.numel() / n : 0;
  std::vector<int64_t> order(static_cast<size_t>(n)), first, count;
  std::iota(order.begin(), order.end(), 0);
  UniqueSlices u{{}, empty_raw({n}, DType::kInt64), {}};
  with_sortable("unique", x.dtype(), [&]<class T>(T) {
    const T* in = rows.numel() ? static_cast<const T*>(rows.data()) : nullptr;
    auto compare = [&](int64_t a, int64_t b) {
      bool exact;
      for (int64_t i = 0; i < width; ++i) {
        const auto p = encode(in[a * width + i], false, exact), q = encode(in[b * width + i], false, exact);
        if (p != q) return p < q ? -1 : 1;
      }
      return 0;
    };
    auto has_nan = [&](int64_t a) {
      return std::any_of(in + a * width, in + (a + 1) * width, [](T v) { return is_nan(v); });
    };
    if (!consecutive)
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
    for (int64_t i = 0; i < n; ++i) {
      if (i == 0 || compare(order[i - 1], order[i]) != 0 || has_nan(order[i]))
        first.push_back(order[i]), count.push_back(0);
      ++count.back();
      u.inverse.data<int64_t>()[order[i]] = static_cast<int64_t>(first.size()) - 1;
    }
  });
  const int64_t m = static_cast<int64_t>(first.size());
  u.first = empty_raw({m}, DType::kInt64), u.counts = empty_raw({m}, DType::kInt64);
  std::copy(first.begin(), first.end(), m ? u.first.data<int64_t>() : nullptr);
  std::copy(count.begin(), count.end(), m ? u.counts.data<int64_t>() : nullptr);
  return u;
}

}  // namespace ember::cpu
