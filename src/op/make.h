// make<T>(): from an op's struct to an Op.
// Boxing is instantiated per C++ signature: a rule's parameters are read off its function type and taken from the
// boxed arguments by position. What a kind requires and what does not fit the schema fails here, at start-up.
#pragma once

#include "op/grads.h"
#include "op/op.h"

namespace ember {
namespace detail {

// Parameter types against schema types, so that a slip in either is found at start-up.
template <class A>
constexpr bool fits(Type t, bool optional) {
  using U = std::remove_cvref_t<A>;
  if constexpr (is_optional<U>::value) return optional && fits<typename U::value_type>(t, false);
  else if constexpr (std::is_same_v<U, Tensor>) return t == Type::kTensor;
  else if constexpr (std::is_same_v<U, Span<Tensor>>) return t == Type::kTensorList;
  else if constexpr (std::is_same_v<U, int64_t>) return t == Type::kInt;
  else if constexpr (std::is_same_v<U, double>) return t == Type::kFloat;
  else if constexpr (std::is_same_v<U, bool>) return t == Type::kBool;
  else if constexpr (std::is_same_v<U, Scalar>) return t == Type::kScalar;
  else if constexpr (std::is_same_v<U, DimsView>) return t == Type::kIntList;
  else if constexpr (std::is_same_v<U, Span<double>>) return t == Type::kFloatList;
  else if constexpr (std::is_same_v<U, Span<bool>>) return t == Type::kBoolList;
  else if constexpr (std::is_same_v<U, Span<Scalar>>) return t == Type::kScalarList;
  else if constexpr (std::is_same_v<U, std::string_view>) return t == Type::kString;
  else if constexpr (std::is_same_v<U, DType>) return t == Type::kDType;
  else if constexpr (std::is_same_v<U, Device>) return t == Type::kDevice;
  else if constexpr (std::is_same_v<U, Layout>) return t == Type::kLayout;
  else if constexpr (std::is_same_v<U, MemoryFormat>) return t == Type::kMemoryFormat;
  else if constexpr (std::is_same_v<U, Generator*>) return t == Type::kGenerator;
  else return false;
}

EMBER_API void signature_mismatch(const Schema& schema, std::string_view rule, int position);

template <class... A>
void check_signature(const Schema& s, std::string_view rule) {
  if (sizeof...(A) != s.args.size()) signature_mismatch(s, rule, -1);
  [&]<size_t... I>(std::index_sequence<I...>) {
    ((fits<A>(s.args[I].type, s.args[I].optional) ? void() : signature_mismatch(s, rule, I)), ...);
  }
  (std::index_sequence_for<A...>());
}

inline void put(Value* results, Tensor t) { results[0] = Value(std::move(t)); }
inline void put(Value* results, const std::vector<Tensor>& list) {
  Value borrowed(list);
  results[0] = static_cast<const Value&>(borrowed);
}
template <class... T>
void put(Value* results, std::tuple<T...> t) {
  [&]<size_t... I>(std::index_sequence<I...>) { (put(results + I, std::move(std::get<I>(t))), ...); }
  (std::index_sequence_for<T...>());
}
template <class T>
requires(std::is_same_v<T, bool> || std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
         std::is_same_v<T, Scalar> || std::is_same_v<T, DType>) void put(Value* results, T v) {
  results[0] = Value(v);
}

inline void put(std::vector<Meta>& out, Meta m) { out.push_back(std::move(m)); }
inline void put(std::vector<Meta>& out, std::vector<Meta> m) { out = std::move(m); }
template <size_t N>
void put(std::vector<Meta>& out, std::array<Meta, N> m) {
  out.assign(m.begin(), m.end());
}

// Rule<F>: how to call the function pointer F with boxed arguments.
template <auto F>
struct Rule;

template <class R, class... A, R (*F)(A...)>
struct Rule<F> {
  static void check(const Schema& s, std::string_view rule) { check_signature<A...>(s, rule); }
  static R apply(const Value* args) {
    return [&]<size_t... I>(std::index_sequence<I...>)->R { return F(args[I].template get<A>()...); }
    (std::index_sequence_for<A...>());
  }
  static void results(const Value* args, [[maybe_unused]] Value* out) {
    if constexpr (std::is_void_v<R>) apply(args);
    else put(out, apply(args));
  }
  static void metas(const Value* args, std::vector<Meta>& out) { put(out, apply(args)); }
  static void one_view(const Value* args, View& out) { out = apply(args); }
  static void many_views(const Value* args, std::vector<View>& out) { out = apply(args); }
};

// A kernel: destinations first, as many as there are parameters of type Out.
template <auto F>
struct Kernel;
template <class... P, void (*F)(P...)>
struct Kernel<F> {
  static constexpr size_t kOuts = (size_t{std::is_same_v<P, Out>} + ... + 0);
  using Args = std::make_index_sequence<sizeof...(P) - kOuts>;
  template <size_t I>
  using Parameter = std::tuple_element_t<kOuts + I, std::tuple<P...>>;

  static void check(const Schema& s, std::string_view rule) {
    [&]<size_t... I>(std::index_sequence<I...>) { check_signature<Parameter<I>...>(s, rule); }
    (Args());
  }
  static void run(const Value* args, const Tensor* out) {
    [&]<size_t... O, size_t... I>(std::index_sequence<O...>, std::index_sequence<I...>) {
      F(Out(out[O])..., args[I].template get<Parameter<I>>()...);
    }
    (std::make_index_sequence<kOuts>(), Args());
  }
};

template <auto F>
struct Vjp;
template <class... A, void (*F)(Grads&, A...)>
struct Vjp<F> {
  static void check(const Schema& s, std::string_view rule) { check_signature<A...>(s, rule); }
  static void run(Grads& d, const Value* args) {
    [&]<size_t... I>(std::index_sequence<I...>) { F(d, args[I].template get<A>()...); }
    (std::index_sequence_for<A...>());
  }
};

}  // namespace detail

template <class T>
std::unique_ptr<Op> make() {
  auto op = std::unique_ptr<Op>(new Op{Schema(T::schema)});
  const Schema& s = op->schema;
  op->doc = T::doc;
  op->kind = T::kind;
  if constexpr (requires { T::forms; }) op->forms = T::forms;
  else op->forms = form::kPlain;
  if constexpr (requires { T::saves; }) op->saves = T::saves;
  if constexpr (requires { T::reduces; }) op->reduces = &T::reduces;
  if constexpr (requires { &T::call; }) {
    static_assert(T::kind == Kind::kComposite, "`call` is a composite's rule");
    detail::Rule<&T::call>::check(s, "call");
    op->compose = detail::Rule<&T::call>::results;
  }
  if constexpr (requires { &T::infer; }) {
    detail::Rule<&T::infer>::check(s, "infer");
    op->infer = detail::Rule<&T::infer>::metas;
    static_assert(
        requires { &T::cpu; }, "an op with `infer` needs a kernel `cpu`");
    detail::Kernel<&T::cpu>::check(s, "cpu");
    op->cpu = detail::Kernel<&T::cpu>::run;
  } else if constexpr (requires { &T::cpu; }) {
    detail::Rule<&T::cpu>::check(s, "cpu");
    op->dynamic = detail::Rule<&T::cpu>::results;
  }
  if constexpr (requires { &T::view; }) {
    detail::Rule<&T::view>::check(s, "view");
    op->view = detail::Rule<&T::view>::one_view;
  }
  if constexpr (requires { &T::views; }) {
    detail::Rule<&T::views>::check(s, "views");
    op->views = detail::Rule<&T::views>::many_views;
  }
  if constexpr (requires { &T::vjp; }) {
    detail::Vjp<&T::vjp>::check(s, "vjp");
    op->vjp = detail::Vjp<&T::vjp>::run;
  }
  static_assert(
      requires { &T::call; } || requires { &T::cpu; } || requires { &T::view; } || requires { &T::views; },
      "an op needs one of call, cpu, view, views");
  return op;
}

// A family: a type list, read once by registry.cc.
template <class... T>
std::vector<std::unique_ptr<Op>> make_family() {
  std::vector<std::unique_ptr<Op>> family;
  (family.push_back(make<T>()), ...);
  return family;
}

}  // namespace ember
