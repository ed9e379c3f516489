// Module: what networks are made of. Named parameters, buffers and submodules, and a forward that uses them.
//   struct Net : nn::Module {
//     nn::Child<nn::Linear> hidden = register_module("hidden", nn::Linear(784, 128));
//     nn::Child<nn::Linear> scores = register_module("scores", nn::Linear(128, 10));
//     Tensor forward(const Tensor& x) override { return scores(relu(hidden(x))); }
//   };
//   Net net;
//   Tensor y = net(x);
// Names, their order, initial values and checkpoints are Python's. A module owns its submodules and may be moved, which
// is how one is handed to register_module; it may not be copied. Tensors are handles: what a member and the registry
// hold is the same parameter, so loading and casting change it in place.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "op/ops.h"
#include "transform/grad.h"

namespace ember::nn {

using io::NamedTensors;

class Module;

// A submodule where it is used: a typed owner that is called like a function, `features(x)`.
template <class T>
class Child {
 public:
  Child() = default;
  Child(std::shared_ptr<T> module) : module_(std::move(module)) {}
  template <class... Args>
  decltype(auto) operator()(Args&&... args) const {
    return module_->call([&]() -> decltype(auto) { return module_->forward(std::forward<Args>(args)...); });
  }
  T* operator->() const { return module_.get(); }
  T& operator*() const { return *module_; }
  explicit operator bool() const { return static_cast<bool>(module_); }
  const std::shared_ptr<T>& ptr() const { return module_; }

 private:
  std::shared_ptr<T> module_;
};

struct LoadResult {  // keys that did not match, when they need not
  std::vector<std::string> missing_keys, unexpected_keys;
};

class EMBER_API Module {
 public:
  Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  // Modules of other arguments declare a forward of their own beside this one; a Child calls whichever fits.
  virtual Tensor forward(const Tensor& input);
  Tensor operator()(const Tensor& input) {
    return call([&] { return forward(input); });
  }
  // Runs f as this module's forward: an Error that leaves it says where in the model it arose.
  template <class F>
  std::invoke_result_t<F> call(F&& f) {
    Frame frame(*this);
    try {
      return std::forward<F>(f)();
    } catch (Error& error) {
      frame.note(error);
      throw;
    }
  }

  // ---- what it holds; ValueError for a name that is empty, dotted or taken ----
  // An undefined tensor registers none: a layer without bias.
  Tensor register_parameter(std::string name, Tensor tensor, bool requires_grad = true);
  Tensor register_buffer(std::string name, Tensor tensor, bool persistent = true);
  template <std::derived_from<Module> T>
  Child<T> register_module(std::string name, std::shared_ptr<T> module) {
    add_child(std::move(name), module);
    return module;
  }
  template <std::derived_from<Module> T>
  Child<T> register_module(std::string name, T module) {
    return register_module(std::move(name), std::make_shared<T>(std::move(module)));
  }
  template <std::derived_from<Module> T>
  Child<T> register_module(std::string name, const Child<T>& module) {
    return register_module(std::move(name), module.ptr());
  }

  // Each object once, in order of registration, a module's own before its submodules'.
  NamedTensors named_parameters(bool recurse = true) const;
  NamedTensors named_buffers(bool recurse = true) const;
  std::vector<Tensor> parameters(bool recurse = true) const;
  std::vector<Tensor> buffers(bool recurse = true) const;
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& named_children() const { return children_; }
  std::vector<std::pair<std::string, Module*>> named_modules();  // ("", this) first
  // By dotted path; Error when there is none.
  Module& get_submodule(std::string_view path);
  Tensor get_parameter(std::string_view path);

  // ---- state ----
  // Detached parameters and persistent buffers by dotted name; they share memory with the module.
  NamedTensors state_dict(const std::string& prefix = "") const;
  // Copies values in; Error that names every missing and unexpected key (where strict) and every shape that differs.
  LoadResult load_state_dict(const NamedTensors& state, bool strict = true);
  // A state dict as a .pt file, which Python and PyTorch load, and back.
  void save(const std::string& path) const { io::save_state_dict(path, state_dict()); }
  LoadResult load(const std::string& path, bool strict = true) {
    return load_state_dict(io::load_state_dict(path), strict);
  }

  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }
  void zero_grad(bool set_to_none = true);
  void requires_grad_(bool on = true);
  void to(DType dtype);  // floating-point parameters and buffers; TypeError unless dtype is floating or complex
  void apply(const std::function<void(Module&)>& f);  // submodules first, then itself

  std::string name() const;          // of its class
  virtual std::string repr() const;  // the tree, as Python prints it

 protected:
  virtual std::string extra_repr() const { return ""; }

 private:
  struct Slot {
    std::string name;
    Tensor tensor;  // undefined: none
    bool persistent = true;
  };
  // One running call: the innermost notes the path from the outermost in an error that passes.
  class EMBER_API Frame {
   public:
    explicit Frame(Module& module);
    ~Frame();
    Frame(const Frame&) = delete;
    void note(Error& error) const;

   private:
    Module& module_;
    Frame* outer_;
  };

  void check_name(std::string_view kind, std::string_view name) const;
  void add_child(std::string name, std::shared_ptr<Module> module);
  template <class M, class F>
  static void walk(M& module, const std::string& prefix, std::vector<const Module*>& seen, F&& f);
  NamedTensors named(std::vector<Slot> Module::*slots, bool recurse) const;
  static void load_one(const std::string& key, const Tensor& into, Tensor value, std::string& errors);

  std::vector<Slot> parameters_, buffers_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  bool training_ = true;
};

// Further lines of a text pushed in by two spaces, as a tree of modules is printed.
EMBER_API std::string indent(const std::string& text);

}  // namespace ember::nn
