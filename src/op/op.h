// Op: what an operation IS, and how one is called.
// A family's file writes one plain struct an op; make<T>() (op/make.h) reads its members into an Op, which is all that
// the dispatcher, the interpreters, Python, the tests and the documentation ever see.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <tuple>
#include <vector>

#include "op/pointwise_traits.h"
#include "op/schema.h"
#include "op/value.h"

namespace ember {

struct Op;
struct Pointwise;  // op/pointwise.h: tiles, partials and symbolic forms of a pointwise op
struct Reduces;    // op/gpu_reduce.h: the rule of a reduction
class Grads;       // op/grads.h: what a vjp reads and writes

// What infer says of a result: everything but the data. No strides: contiguous.
struct Meta {
  Dims sizes;
  DType dtype = DType::kFloat32;
  Device device = kCpu;
  std::optional<Dims> strides;
  bool undefined = false;    // no tensor at all
  bool any_strides = false;  // the kernel fills a destination of any strides: random numbers, in the memory's order
  Meta() = default;
  Meta(DimsView sizes, DType dtype, Device device) : sizes(sizes), dtype(dtype), device(device) {}
  Meta(DimsView sizes, const Tensor& like) : Meta(sizes, like.dtype(), like.device()) {}
  Meta(DimsView sizes, DimsView strides, DType dtype, Device device) : Meta(sizes, dtype, device) {
    this->strides = Dims(strides);
  }
};
EMBER_API Tensor empty(const Meta& meta);

// The geometry that a view op gives its input's storage.
struct View {
  Dims sizes, strides;
  int64_t offset = 0;            // in elements of the view's dtype
  std::optional<DType> dtype{};  // other than the input's: view_as_real, view(dtype)
};

// Which tensors vjp needs with their data: bit i is argument i (for `inputs`) or result i (for `outputs`). The others
// reach vjp as shapes without data.
struct Saves {
  uint32_t inputs = 0, outputs = 0;
  bool geometry = false;  // argument 0's strides and offset too, where its data is not kept
};

// A destination that a kernel fills: made from infer, or the user's `out=`, or self of an in-place call.
struct Out : Tensor {
  explicit Out(Tensor t) : Tensor(std::move(t)) {}
};

struct Op {
  Schema schema;
  std::string_view doc;
  Kind kind = Kind::kOpaque;
  Forms forms = 0;
  Saves saves;
  const Pointwise* pointwise = nullptr;
  const Reduces* reduces = nullptr;  // of a reduction that is one rule over one tensor

  // Null where an op has no such rule. Arguments are boxed in schema order.
  void (*compose)(const Value* args, Value* results) = nullptr;        // composite: a function of other ops
  void (*infer)(const Value* args, std::vector<Meta>& out) = nullptr;  // checks, then one Meta a result
  void (*cpu)(const Value* args, const Tensor* out) = nullptr;         // fills what infer described
  void (*dynamic)(const Value* args, Value* results) = nullptr;        // a kernel whose result's shape depends on data
  void (*view)(const Value* args, View& out) = nullptr;
  void (*views)(const Value* args, std::vector<View>& out) = nullptr;  // several views: split, unbind
  void (*vjp)(Grads& d, const Value* args) = nullptr;

  const std::string& name() const { return schema.name; }
  bool differentiable() const { return vjp || pointwise || view || views; }
};

// One call on its way through the interpreters. An interpreter may change args for others of its own.
struct Call {
  const Op& op;
  const Value* args;
  Value* results;                // op.schema.results.size() of them
  Forms form = form::kFunction;  // kFunction, kInplace or kOut
  const Tensor* out = nullptr;   // kOut: the destinations; kInplace: self, once
};

// ---- dispatch ----

struct DispatchState {
  Keys on = 0;   // interpreters that are live whatever the arguments
  Keys off = 0;  // interpreters that are out of the way: grad under no_grad, or each one's own inside itself
};
extern EMBER_API constinit thread_local DispatchState dispatch_state EMBER_FAST_TLS;

using Interpreter = void (*)(Call&);
extern EMBER_API Interpreter interpreters[64];  // filled by transform/ at start-up; index: the key's bit
EMBER_API void invoke(Call& call);  // composites open up here, then the highest live interpreter, else run_backend
EMBER_API void run_backend(Call& call);
// RuntimeError where x may not be written to: of inference mode's tensors outside of it, and of views that gradients
// know nothing of though they go to their base.
EMBER_API void check_writable(const Op& op, const Tensor& x);
EMBER_API void check_view_tracked(const Tensor& x);

// Keys set aside while it lives.
class Without {
 public:
  explicit Without(Keys keys) : before_(dispatch_state.off) { dispatch_state.off |= keys; }
  ~Without() { dispatch_state.off = before_; }
  Without(const Without&) = delete;

 private:
  Keys before_;
};

// ---- calling from C++ ----

// The results of a call, converted to what the caller names.
class EMBER_API Results {
 public:
  Value values[6];
  operator Tensor() && { return take(0); }
  operator bool() && { return values[0].get<bool>(); }
  operator Scalar() && { return values[0].scalar(); }
  operator std::vector<Tensor>() && {
    auto list = values[0].tensors();
    return {list.begin(), list.end()};
  }
  template <class... T>
  operator std::tuple<T...>() && {
    return [&]<size_t... I>(std::index_sequence<I...>) { return std::tuple<T...>(take(I)...); }
    (std::index_sequence_for<T...>());
  }

 private:
  Tensor take(size_t i) { return values[i].tensor(); }
};

template <class... A>
Results call_op(const Op* op, const A&... a) {
  Value args[sizeof...(A) + 1] = {box(a)...};
  Results r;
  Call c{*op, args, r.values};
  invoke(c);
  return r;
}
// The in-place form: the result is written into `self`, which is also the first argument.
template <class... A>
const Tensor& call_op_inplace(const Op* op, const Tensor& self, const A&... a) {
  Value args[sizeof...(A) + 2] = {box(self), box(a)...};
  Results r;
  Call c{*op, args, r.values, form::kInplace, &self};
  invoke(c);
  return self;
}

// ---- the registry ----

EMBER_API const std::vector<std::unique_ptr<Op>>& all_ops();
EMBER_API const Op* find_op(std::string_view full_name);               // "max.dim"; Error when there is none
EMBER_API void register_ops(std::vector<std::unique_ptr<Op>> family);  // also for ops of user extensions

}  // namespace ember
