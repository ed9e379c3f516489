// Modules as trees: walking, state dicts, casts in place, printing, and where in a model an error arose.
#include "nn/module.h"

#include <algorithm>
#include <unordered_map>

#include "base/class_name.h"

namespace ember::nn {

namespace {

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

std::string quoted(const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) out += (out.empty() ? "\"" : ", \"") + key + "\"";
  return out;
}

// Gives x the memory and dtype of `value`; x stays the tensor that optimizers and members refer to.
void set_data(const Tensor& x, const Tensor& value) {
  x->storage = value->storage, x->offset = value->offset, x->dtype = value->dtype;
  x->set_sizes(value->sizes, value->strides);
}

}  // namespace

Tensor Module::forward(const Tensor&) {
  fail<NotImplementedError>("Module [", name(), "] is missing the required \"forward\" function");
}

std::string Module::name() const { return class_name(typeid(*this)); }

// ---- what it holds ----

void Module::check_name(std::string_view kind, std::string_view name) const {
  EMBER_CHECK_VALUE(!name.empty(), kind, " name can't be empty string \"\"");
  EMBER_CHECK_VALUE(name.find('.') == name.npos, kind, " name can't contain \".\", got: ", name);
  auto taken = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) {
      if constexpr (requires { entry.name; }) return entry.name == name;
      else return entry.first == name;
    });
  };
  EMBER_CHECK_VALUE(!taken(parameters_) && !taken(buffers_) && !taken(children_), "attribute '", name,
                    "' already exists");
}

Tensor Module::register_parameter(std::string name, Tensor tensor, bool requires_grad) {
  check_name("parameter", name);
  if (tensor.defined()) {
    EMBER_CHECK_VALUE(is_leaf(tensor), "Cannot assign non-leaf Tensor to parameter '", name,
                      "'. Model parameters must be created explicitly. To express '", name,
                      "' as a function of another Tensor, compute the value in the forward() method.");
    tensor.set_requires_grad(requires_grad);
  }
  parameters_.push_back({std::move(name), tensor});
  return tensor;
}

Tensor Module::register_buffer(std::string name, Tensor tensor, bool persistent) {
  check_name("buffer", name);
  buffers_.push_back({std::move(name), tensor, persistent});
  return tensor;
}

void Module::add_child(std::string name, std::shared_ptr<Module> module) {
  check_name("module", name);
  EMBER_CHECK_VALUE(module, "register_module(): module '", name, "' is null");
  children_.emplace_back(std::move(name), std::move(module));
}

// f(module, path) for each module once, parents first. M is Module or const Module.
template <class M, class F>
void Module::walk(M& module, const std::string& prefix, std::vector<const Module*>& seen, F&& f) {
  if (std::find(seen.begin(), seen.end(), &module) != seen.end()) return;
  seen.push_back(&module);
  f(module, prefix);
  for (auto& [name, child] : module.children_) walk<M>(*child, join(prefix, name), seen, f);
}

NamedTensors Module::named(std::vector<Slot> Module::*slots, bool recurse) const {
  NamedTensors out;
  auto take = [&](const Module& module, const std::string& prefix) {
    for (const Slot& slot : module.*slots) {
      bool known = std::any_of(out.begin(), out.end(), [&](const auto& entry) { return entry.second.is(slot.tensor); });
      if (slot.tensor.defined() && !known) out.emplace_back(join(prefix, slot.name), slot.tensor);
    }
  };
  std::vector<const Module*> seen;
  if (recurse) walk(*this, "", seen, take);
  else take(*this, "");
  return out;
}
NamedTensors Module::named_parameters(bool recurse) const { return named(&Module::parameters_, recurse); }
NamedTensors Module::named_buffers(bool recurse) const { return named(&Module::buffers_, recurse); }

std::vector<Tensor> Module::parameters(bool recurse) const {
  std::vector<Tensor> out;
  for (auto& [name, tensor] : named_parameters(recurse)) out.push_back(tensor);
  return out;
}
std::vector<Tensor> Module::buffers(bool recurse) const {
  std::vector<Tensor> out;
  for (auto& [name, tensor] : named_buffers(recurse)) out.push_back(tensor);
  return out;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> out;
  std::vector<const Module*> seen;
  walk(*this, "", seen, [&](Module& module, const std::string& path) { out.emplace_back(path, &module); });
  return out;
}

Module& Module::get_submodule(std::string_view path) {
  Module* module = this;
  while (!path.empty()) {
    std::string_view step = path.substr(0, path.find('.'));
    auto found = std::find_if(module->children_.begin(), module->children_.end(),
                              [&](const auto& child) { return child.first == step; });
    EMBER_CHECK(found != module->children_.end(), module->name(), " has no attribute `", step, "`");
    module = found->second.get();
    path.remove_prefix(std::min(path.size(), step.size() + 1));
  }
  return *module;
}

Tensor Module::get_parameter(std::string_view path) {
  size_t dot = path.rfind('.');
  Module& module = get_submodule(dot == path.npos ? "" : path.substr(0, dot));
  std::string_view name = dot == path.npos ? path : path.substr(dot + 1);
  for (const Slot& slot : module.parameters_)
    if (slot.name == name && slot.tensor.defined()) return slot.tensor;
  EMBER_FAIL(module.name(), " has no attribute `", name, "`");
}

// ---- state ----

NamedTensors Module::state_dict(const std::string& prefix) const {
  NamedTensors out;
  for (const auto* slots : {&parameters_, &buffers_})
    for (const Slot& slot : *slots)
      if (slot.tensor.defined() && slot.persistent) out.emplace_back(prefix + slot.name, detach(slot.tensor));
  for (auto& [name, child] : children_) {
    NamedTensors below = child->state_dict(prefix + name + ".");
    std::move(below.begin(), below.end(), std::back_inserter(out));
  }
  return out;
}

void Module::load_one(const std::string& key, const Tensor& into, Tensor value, std::string& errors) {
  if (into.dim() == 0 && value.dim() == 1 && value.numel() == 1) value = value[0];  // files from before 0-dim tensors
  if (value.sizes() == into.sizes()) {
    copy_(into, value);
    return;
  }
  errors += str("\n\tsize mismatch for ", key, ": copying a param with shape torch.Size(", DimsView(value.sizes()),
                ") from checkpoint, the shape in current model is torch.Size(", DimsView(into.sizes()), ").");
}

LoadResult Module::load_state_dict(const NamedTensors& state, bool strict) {
  NoGrad off;
  NamedTensors own = state_dict();
  std::unordered_map<std::string_view, const Tensor*> given, known;
  for (auto& [key, tensor] : state) given.emplace(key, &tensor);
  LoadResult result;
  std::string errors;
  for (auto& [key, tensor] : own) {
    known.emplace(key, &tensor);
    auto found = given.find(key);
    if (found == given.end()) result.missing_keys.push_back(key);
    else load_one(key, tensor, *found->second, errors);
  }
  for (auto& [key, tensor] : state)
    if (!known.contains(key)) result.unexpected_keys.push_back(key);
  if (strict && !result.unexpected_keys.empty())
    errors = "\n\tUnexpected key(s) in state_dict: " + quoted(result.unexpected_keys) + ". " + errors;
  if (strict && !result.missing_keys.empty())
    errors = "\n\tMissing key(s) in state_dict: " + quoted(result.missing_keys) + ". " + errors;
  EMBER_CHECK(errors.empty(), "Error(s) in loading state_dict for ", name(), ":", errors);
  return result;
}

void Module::train(bool on) {
  apply([&](Module& module) { module.training_ = on; });
}

void Module::zero_grad(bool set_to_none) {
  for (const Tensor& p : parameters()) {
    Tensor g = p.grad();
    if (!g.defined()) continue;
    if (set_to_none) {
      p.set_grad({});
    } else {
      detach_(g);
      zero_(g);
    }
  }
}

void Module::requires_grad_(bool on) {
  for (const Tensor& p : parameters()) p.set_requires_grad(on);
}

void Module::to(DType dtype) {
  EMBER_CHECK_TYPE(is_differentiable(dtype),
                   "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=", dtype);
  NoGrad off;
  auto cast = [&](const Tensor& x) {
    if (is_differentiable(x.dtype()) && x.dtype() != dtype) set_data(x, to_dtype(x, dtype));
  };
  for (const Tensor& p : parameters()) {
    cast(p);
    if (Tensor g = p.grad(); g.defined()) cast(g);
  }
  for (const Tensor& b : buffers()) cast(b);
}

void Module::apply(const std::function<void(Module&)>& f) {
  for (auto& [name, child] : children_) child->apply(f);
  f(*this);
}

// ---- printing ----

std::string indent(const std::string& text) {
  std::string out;
  for (char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string Module::repr() const {
  std::string extra = extra_repr();
  if (children_.empty()) return name() + "(" + extra + ")";
  std::string out = name() + "(";
  if (!extra.empty()) out += "\n  " + indent(extra);
  for (auto& [name, child] : children_) out += "\n  (" + name + "): " + indent(child->repr());
  return out + "\n)";
}

// ---- errors ----

namespace {
thread_local void* running = nullptr;  // the innermost Frame
thread_local std::string last_note;    // an error that ends with it was noted further in
}  // namespace

Module::Frame::Frame(Module& module) : module_(module), outer_(static_cast<Frame*>(running)) { running = this; }
Module::Frame::~Frame() { running = outer_; }

void Module::Frame::note(Error& error) const {
  if (!last_note.empty() && std::string_view(error.what()).ends_with(last_note)) return;
  std::string path;
  for (const Frame* frame = this; frame->outer_; frame = frame->outer_) {
    std::string step;
    for (auto& [name, module] : frame->outer_->module_.named_modules())
      if (module == &frame->module_) step = name;
    if (step.empty()) break;  // called from a module that it is no part of
    path = path.empty() ? step : step + "." + path;
  }
  last_note = path.empty() ? "in " + module_.name() : "in " + path + " (" + module_.name() + ")";
  error.add_context(last_note);
}

}  // namespace ember::nn
