// How a call runs: composites open, the highest live interpreter takes the call, else the backend's kernel.
#include <bit>
#include <vector>

#include "kernel/cpu/elementwise.h"
#include "op/ops.h"
#include "op/pointwise.h"

namespace ember {

constinit thread_local DispatchState dispatch_state;
Interpreter interpreters[64] = {};

Tensor empty(const Meta& m) {
  if (m.undefined) return {};
  return m.strides ? empty_strided_raw(m.sizes, *m.strides, m.dtype, m.device) : empty_raw(m.sizes, m.dtype, m.device);
}

static Keys keys_of(const Op& op, const Value* args) {
  Keys keys = 0;
  for (size_t i = 0; i < op.schema.args.size(); ++i) {
    const Value& v = args[i];
    if (v.tag() == Tag::kTensor) {
      keys |= v.tensor()->keys;
    } else if (v.tag() == Tag::kTensorList) {
      for (const Tensor& t : v.tensors()) keys |= t.defined() ? t->keys : 0;
    }
  }
  return keys;
}

// Is `out` itself an argument?
static bool is_argument(const Op& op, const Value* args, const Tensor& out) {
  bool is = false;
  for (size_t i = 0; i < op.schema.args.size(); ++i) {
    is |= args[i].tensor().is(out);
    for (const Tensor& t : args[i].tensors()) is |= t.is(out);
  }
  return is;
}

// A kernel reads plain memory: what has none, or has it elsewhere, was mixed in by the caller, unless the op is told
// where its result goes.
static void check_devices(const Op& op, const Value* args, Device device) {
  for (const auto& a : op.schema.args)
    if (a.type == Type::kDevice) return;
  auto check = [&](const Tensor& t) {
    EMBER_CHECK(!t.defined() || t.device() == device, op.name(),
                ": Expected all tensors to be on the same device, but found at least two devices, ", device, " and ",
                t.device(), "!");
  };
  for (size_t i = 0; i < op.schema.args.size(); ++i) {
    if (args[i].is_tensor()) check(args[i].tensor());
    else
      for (const Tensor& t : args[i].tensors()) check(t);
  }
}

// Has each element memory of its own? Else what is written to one would be read from another.
static void check_apart(const Op& op, std::string_view form, const Tensor& x) {
  for (size_t d = 0; d < x.sizes().size(); ++d) {
    EMBER_CHECK(x.strides()[d] != 0 || x.sizes()[d] <= 1, op.name(), form,
                ": unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location. Please clone() the tensor before performing the operation.");
  }
}

// `out=`: the destination takes the result's shape, keeping its own memory where that fits.
static void fit_out(const Op& op, const Tensor& out, const Meta& m, bool resize = true) {
  check_writable(op, out);
  EMBER_CHECK(category(m.dtype) <= category(out.dtype()), op.name(), ": result type ", m.dtype,
              " can't be cast to the desired output type ", out.dtype());
  EMBER_CHECK(out.device() == m.device, op.name(), ": Expected out tensor to be on ", m.device, ", but got ",
              out.device(), " instead");
  if (!(DimsView(out.sizes()) == DimsView(m.sizes))) {
    if (resize) resize_raw(out, m.sizes);
    return;
  }
  check_apart(op, "", out);
}

void check_view_tracked(const Tensor& x) {
  bool untracked = x->view_base && (x->view_base->keys & ~x->keys & ~dispatch_state.off & key::kGrad);
  EMBER_CHECK(!untracked || inference_mode,
              "A view was created in no_grad mode or in inference mode and is being modified inplace with grad mode "
              "enabled. Its base requires grad, but would not know of it: make the view with grad mode enabled, or "
              "modify it with grad mode off.");
}

void check_writable(const Op& op, const Tensor& x) {
  EMBER_CHECK(
      !x->inference || inference_mode, op.name(),
      ": Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
      "normal tensor before doing inplace update.");
}

static void check_inplace(const Op& op, const Tensor& self, const Meta& m) {
  if (EMBER_UNLIKELY(self->inference)) check_writable(op, self);
  if (EMBER_UNLIKELY(self->view_base)) check_view_tracked(self);
  EMBER_CHECK(DimsView(self.sizes()) == DimsView(m.sizes), op.name(), "_: output with shape ", self.sizes(),
              " doesn't match the broadcast shape ", m.sizes);
  EMBER_CHECK(category(m.dtype) <= category(self.dtype()), op.name(), "_: result type ", m.dtype,
              " can't be cast to the desired output type ", self.dtype());
  check_apart(op, "_", self);
}

// Do the elements of a and b share memory without being the same elements in the same order?
static bool partly_overlaps(const Tensor& a, const Tensor& b) {
  return a->storage == b->storage && a->storage &&
         !(a->offset == b->offset && a.strides() == b.strides() && a.sizes() == b.sizes());
}

static void write_result(const Tensor& to, const Tensor& from) {
  if (to.is(from)) return;
  if (!to.is_meta()) cpu::copy(to, from);
}

static void run_pointwise(Call& c) {
  if (c.form == form::kFunction) {
    if (Tensor out = pointwise_fast(c.op, c.args); out.defined()) {
      c.results[0] = Value(std::move(out));
      return;
    }
  }
  Meta m = pointwise_infer(c.op, c.args);
  if (c.form == form::kFunction) {
    Tensor out = empty(m);
    if (!out.is_meta()) pointwise_run(c.op, c.args, out);
    c.results[0] = Value(std::move(out));
    return;
  }
  const Tensor& out = *c.out;
  if (c.form == form::kInplace) {
    check_inplace(c.op, out, m);
  } else {
    EMBER_CHECK(DimsView(out.sizes()) == DimsView(m.sizes) || !is_argument(c.op, c.args, out), c.op.name(),
                ": output with shape ", out.sizes(), " doesn't match the broadcast shape ", m.sizes);
    fit_out(c.op, out, m);
  }
  if (!out.is_meta()) {
    bool overlaps = false;
    for (int i = 0; i < c.op.pointwise->inputs; ++i) overlaps |= partly_overlaps(out, c.args[i].tensor());
    if (overlaps) {
      m.strides.reset();
      Tensor apart = empty(m);
      pointwise_run(c.op, c.args, apart);
      cpu::copy(out, apart);
    } else {
      pointwise_run(c.op, c.args, out);
    }
  }
  out.bump_version();
  c.results[0] = Value(out);
}

static Tensor make_view(const Tensor& x, const View& v) {
  Tensor out = alias_raw(x, v.sizes, v.strides, v.offset);
  if (v.dtype) out->dtype = *v.dtype;
  out->view_base = x->view_base ? x->view_base : x.ptr();
  return out;
}

static void run_view(Call& c) {
  const Tensor& x = c.args[0].tensor();
  if (c.op.view) {
    View v;
    c.op.view(c.args, v);
    if (c.form == form::kInplace) {  // unsqueeze_ and its like: another geometry for the same tensor
      check_writable(c.op, x);
      x->set_sizes(v.sizes, v.strides);
      x->offset = v.offset;
      x.bump_version();
      c.results[0] = Value(x);
    } else {
      c.results[0] = Value(make_view(x, v));
    }
    return;
  }
  std::vector<View> views;
  c.op.views(c.args, views);
  std::vector<Tensor> list;
  for (const View& v : views) list.push_back(make_view(x, v));
  Value borrowed(list);
  c.results[0] = static_cast<const Value&>(borrowed);
}

static void run_kernel(Call& c) {
  std::vector<Meta> metas;
  c.op.infer(c.args, metas);
  SmallVector<TensorImpl*, 4> raw;
  std::vector<Tensor> out(metas.size());
  bool meta = false;
  for (size_t i = 0; i < metas.size(); ++i) {
    if (c.form == form::kFunction) {
      out[i] = empty(metas[i]);
    } else {
      out[i] = c.out[i];
      // An argument keeps its shape until it has been read.
      const bool wait = c.form == form::kOut && is_argument(c.op, c.args, out[i]);
      if (c.form == form::kInplace) check_inplace(c.op, out[i], metas[i]);
      else fit_out(c.op, out[i], metas[i], !wait);
      // A kernel writes the strides and the type that infer promised, and reads nothing that it writes in another
      // order: else it writes beside.
      bool promised =
          metas[i].any_strides ||
          (metas[i].strides ? DimsView(*metas[i].strides) == DimsView(out[i].strides()) : out[i].is_contiguous());
      bool apart = out[i].dtype() != metas[i].dtype || (c.form == form::kOut && !promised);
      for (size_t k = 0; !apart && k < c.op.schema.args.size(); ++k) {
        const Tensor& a = c.args[k].tensor();
        if (a.defined()) apart = a->storage == out[i]->storage && !(c.form == form::kInplace && k == 0 && a.is(out[i]));
        for (const Tensor& t : c.args[k].tensors()) apart |= t.defined() && t->storage == out[i]->storage;
      }
      if (apart) {
        out[i] = empty(metas[i]);
        if (c.form == form::kInplace && !out[i].is_meta()) cpu::copy(out[i], c.out[i]);
      }
    }
    meta |= out[i].defined() && out[i].is_meta();
  }
  if (!meta) {
    if (!out.empty() && out[0].defined()) check_devices(c.op, c.args, out[0].device());
    c.op.cpu(c.args, out.data());
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (c.form != form::kFunction) {
      if (c.form == form::kOut) fit_out(c.op, c.out[i], metas[i]);
      write_result(c.out[i], out[i]);
      c.out[i].bump_version();
      out[i] = c.out[i];
    }
  }
  if (c.op.schema.results.size() == 1 && c.op.schema.results[0].type == Type::kTensorList) {
    Value borrowed(out);
    c.results[0] = static_cast<const Value&>(borrowed);
  } else {
    for (size_t i = 0; i < out.size(); ++i) c.results[i] = Value(std::move(out[i]));
  }
}

// Results computed apart, then written to the destinations: composites and kernels whose shapes depend on data.
static void deliver(Call& c, size_t destinations) {
  for (size_t i = 0; i < destinations; ++i) {
    const Tensor& r = c.results[i].tensor();
    const Tensor& out = c.out[i];
    if (r.is(out)) continue;
    Meta m(r.sizes(), r);
    if (c.form == form::kInplace) check_inplace(c.op, out, m);
    else fit_out(c.op, out, m);
    write_result(out, r);
    out.bump_version();
    c.results[i] = Value(out);
  }
}

void run_backend(Call& c) {
  if (c.op.pointwise) return run_pointwise(c);
  if (c.op.cpu) return run_kernel(c);
  if (c.op.view || c.op.views) {
    run_view(c);
    if (c.form == form::kOut) deliver(c, 1);
    return;
  }
  for (size_t i = 0; i < c.op.schema.args.size(); ++i) {
    EMBER_CHECK_NOT_IMPLEMENTED(!c.args[i].is_tensor() || !c.args[i].tensor().is_meta(), c.op.name(),
                                ": its result's shape depends on data, which tensors on the meta device do not have");
  }
  c.op.dynamic(c.args, c.results);
  if (c.form != form::kFunction) deliver(c, c.op.schema.results.size());
}

static void run_composite(Call& c) {
  // What its parts keep of self for backward must outlive the write into self.
  if (c.form == form::kInplace && keys_of(c.op, c.args) & ~dispatch_state.off & key::kGrad) {
    std::vector<Value> args(c.args, c.args + c.op.schema.args.size());
    args[0] = Value(clone(*c.out));
    c.op.compose(args.data(), c.results);
  } else {
    c.op.compose(c.args, c.results);
  }
  if (c.form == form::kFunction) return;
  if (c.form == form::kOut) {
    for (size_t i = 0; i < c.op.schema.results.size(); ++i) {
      EMBER_CHECK(!((c.out[i]->keys | c.results[i].tensor()->keys) & ~dispatch_state.off & key::kGrad), c.op.name(),
                  "(): functions with out=... arguments don't support automatic differentiation, but one of the "
                  "arguments requires grad.");
    }
    return deliver(c, c.op.schema.results.size());
  }
  // In place: a copy_ that every interpreter sees.
  static const Op* const copy_op = find_op("copy");
  const Tensor& r = c.results[0].tensor();
  if (!r.is(*c.out)) {
    check_inplace(c.op, *c.out, Meta(r.sizes(), r));
    call_op_inplace(copy_op, *c.out, r, false);
    c.results[0] = Value(*c.out);
  }
}

static void run(Call& c) {
  if (c.op.compose) return run_composite(c);
  Keys keys = (keys_of(c.op, c.args) | dispatch_state.on) & ~dispatch_state.off;
  if (c.form == form::kOut) {
    for (size_t i = 0; i < c.op.schema.results.size(); ++i) keys |= c.out[i]->keys & ~dispatch_state.off;
  }
  keys &= ~key::kFake;  // shapes without data run through the same backend, which stops short of the kernel
  if (EMBER_UNLIKELY(keys)) return interpreters[63 - std::countl_zero(keys)](c);
  run_backend(c);
}

void invoke(Call& c) {
  try {
    run(c);
  } catch (Error& error) {
    error.name_op(c.form == form::kInplace ? c.op.name() + "_" : c.op.name());
    throw;
  }
}

}  // namespace ember
