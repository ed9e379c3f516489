// From the items between the brackets to view ops and one index or index_put_.
#include "op/indexing.h"

#include "op/ops.h"

namespace ember {
namespace {

// `place` is the dimension of the tensor being indexed, which the message names; views before may have removed some.
Tensor select_checked(const Tensor& x, int64_t dim, int64_t place, int64_t index) {
  EMBER_CHECK_INDEX(x.dim() > 0,
                    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
                    "convert a 0-dim tensor to a number");
  int64_t size = x.sizes()[dim];
  EMBER_CHECK_INDEX(index >= -size && index < size, "index ", index, " is out of bounds for dimension ", place,
                    " with size ", size);
  return select(x, dim, index);
}
Tensor take_slice(const Tensor& x, int64_t dim, const Slice& s) {
  EMBER_CHECK_VALUE(s.step != 0, "slice step cannot be zero");
  return slice(x, dim, s.start, s.stop, s.step);
}
// The same elements under a new handle: `x[...]` is a view of x, not x.
Tensor alias(const Tensor& x) { return expand(x, x.sizes()); }

bool is_mask(const Tensor& t) { return t.dtype() == DType::kBool || t.dtype() == DType::kUInt8; }
bool indexes_as_int(const Tensor& t) { return t.dim() == 0 && is_integral(t.dtype()) && t.dtype() != DType::kUInt8; }

// How many dimensions of x an item uses up.
int64_t uses(const IndexItem& item) {
  switch (item.kind) {
    case IndexItem::Kind::kInt:
    case IndexItem::Kind::kSlice: return 1;
    case IndexItem::Kind::kTensor: return is_mask(item.tensor) ? item.tensor.dim() : 1;
    default: return 0;
  }
}

Tensor bool_index(bool b) {  // True keeps the new axis of size 1, False empties it
  Tensor t = empty_raw({b ? 1 : 0}, DType::kInt64);
  if (b) *t.data<int64_t>() = 0;
  return t;
}

// What is left after the views: a view of x and the tensors that index it (undefined: the whole dimension).
struct Prepared {
  Tensor view;
  std::vector<Tensor> indices;
};

Prepared prepare(const Tensor& x, Span<IndexItem> items) {
  int64_t used = 0;
  for (const IndexItem& item : items) used += uses(item);
  EMBER_CHECK_INDEX(used <= x.dim(), "too many indices for tensor of dimension ", x.dim());
  Prepared p{x, {}};
  int64_t dim = 0, covered = 0, place = 0;  // place: of x
  auto record = [&](const Tensor& index, int64_t dims) {
    for (; covered < dim; ++covered) p.indices.emplace_back();
    p.indices.push_back(index);
    dim += dims, covered = dim;
  };
  bool rested = false;
  for (const IndexItem& item : items) {
    switch (item.kind) {
      case IndexItem::Kind::kInt: p.view = select_checked(p.view, dim, place, item.integer); break;
      case IndexItem::Kind::kSlice: {
        const Slice& s = item.slice;
        bool whole = !s.start && !s.stop && s.step == 1;
        if (!whole) p.view = take_slice(p.view, dim, s);
        ++dim;
        break;
      }
      case IndexItem::Kind::kNewAxis: p.view = unsqueeze(p.view, dim++); break;
      case IndexItem::Kind::kRest:
        EMBER_CHECK_INDEX(!rested, "an index can only have a single ellipsis ('...')");
        rested = true, dim += x.dim() - used, place += x.dim() - used;
        break;
      case IndexItem::Kind::kBool:
        p.view = unsqueeze(p.view, dim);
        record(bool_index(item.integer != 0), 1);
        break;
      case IndexItem::Kind::kTensor: {
        const Tensor& t = item.tensor;
        EMBER_CHECK_INDEX(category(t.dtype()) <= 1, "tensors used as indices must be long, int, byte or bool tensors");
        if (indexes_as_int(t)) {
          p.view = select_checked(p.view, dim, place, t.item<int64_t>());
        } else if (is_mask(t) && t.dim() == 0) {
          p.view = unsqueeze(p.view, dim);
          record(bool_index(t.item<bool>()), 1);
        } else {
          record(t, is_mask(t) ? t.dim() : 1);
        }
      }
    }
    place += uses(item);
  }
  return p;
}

// Leading axes of size 1 that the destination does not have are dropped: x[0] = ones(1, 1, 3).
Tensor without_leading_ones(const Tensor& value, int64_t rank) {
  size_t drop = 0, dims = value.sizes().size();
  while (dims - drop > static_cast<size_t>(rank) && value.sizes()[drop] == 1) ++drop;
  if (drop == 0) return value;
  return value.reshape(DimsView(value.sizes().data() + drop, dims - drop));
}

}  // namespace

Tensor index_get(const Tensor& x, Span<IndexItem> items) {
  if (items.size() == 1 && items[0].kind == IndexItem::Kind::kInt) return select_checked(x, 0, 0, items[0].integer);
  Prepared p = prepare(x, items);
  if (p.indices.empty()) return p.view.is(x) ? alias(x) : p.view;
  return index(p.view, p.indices);
}

void index_set(const Tensor& x, Span<IndexItem> items, const Tensor& value) {
  Prepared p = prepare(x, items);
  if (p.indices.empty()) {
    Tensor v = without_leading_ones(value, p.view.dim());
    copy_(p.view, v.sizes() == p.view.sizes() ? v : expand(v, p.view.sizes()));
    return;
  }
  Tensor v = value.dtype() == x.dtype() ? value : value.to(x.dtype());
  index_put_(p.view, p.indices, v);
}

}  // namespace ember
