// The parser of schema lines: recursive descent over a handful of tokens.
#include "op/schema.h"

#include <cctype>
#include <charconv>
#include <cstring>

namespace ember {
namespace {

struct Parser {
  std::string_view text;
  size_t at = 0;

  [[noreturn]] void wrong(std::string_view expected) const {
    fail<ValueError>("schema: expected ", expected, " at column ", at, " of '", text, "'");
  }
  void space() {
    while (at < text.size() && text[at] == ' ') ++at;
  }
  bool accept(std::string_view token) {
    space();
    if (text.substr(at, token.size()) != token) return false;
    at += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) wrong(token);
  }
  bool peek(char c) {
    space();
    return at < text.size() && text[at] == c;
  }
  std::string_view word() {
    space();
    size_t start = at;
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_')) ++at;
    if (start == at) wrong("a name");
    return text.substr(start, at - start);
  }

  static Type list_of(Type t) {
    switch (t) {
      case Type::kTensor: return Type::kTensorList;
      case Type::kInt: return Type::kIntList;
      case Type::kFloat: return Type::kFloatList;
      case Type::kBool: return Type::kBoolList;
      case Type::kScalar: return Type::kScalarList;
      default: fail<ValueError>("schema: no lists of this type");
    }
  }

  void type(Arg& a) {
    static constexpr std::pair<std::string_view, Type> kTypes[] = {{"Tensor", Type::kTensor},
                                                                   {"int", Type::kInt},
                                                                   {"SymInt", Type::kInt},
                                                                   {"float", Type::kFloat},
                                                                   {"bool", Type::kBool},
                                                                   {"Scalar", Type::kScalar},
                                                                   {"str", Type::kString},
                                                                   {"ScalarType", Type::kDType},
                                                                   {"Device", Type::kDevice},
                                                                   {"Layout", Type::kLayout},
                                                                   {"MemoryFormat", Type::kMemoryFormat},
                                                                   {"Generator", Type::kGenerator}};
    space();
    size_t start = at;
    std::string_view w = word();
    bool found = false;
    for (auto [n, t] : kTypes) {
      if (n == w) a.type = t, found = true;
    }
    if (!found) wrong("a type");
    a.symbolic = w == "SymInt";
    if (accept("(")) {  // (a), (a!)
      word();
      a.written = accept("!");
      expect(")");
    }
    bool element = accept("?");
    if (accept("[")) {
      a.type = list_of(a.type);
      if (!peek(']')) a.repeat = std::stoi(std::string(word()));
      expect("]");
      a.optional_elements = element;
      element = accept("?");
    }
    a.optional = element;
    a.type_text = text.substr(start, at - start);
  }

  Value number(std::string_view digits) {
    int64_t i;
    auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), i);
    if (status == std::errc() && end == digits.data() + digits.size()) return Value(i);
    return Value(std::stod(std::string(digits)));
  }
  std::string_view literal() {
    space();
    size_t start = at;
    while (at < text.size() && !std::strchr(",)]", text[at])) ++at;
    return text.substr(start, at - start);
  }

  void fallback(Arg& a) {
    a.has_default = true;
    if (accept("None")) return;
    if (accept("True")) return void(a.fallback = Value(true));
    if (accept("False")) return void(a.fallback = Value(false));
    if (accept("\"")) {
      size_t end = text.find('"', at);
      if (end == std::string_view::npos) wrong("a closing quote");
      Value s(text.substr(at, end - at));
      a.fallback = Value(static_cast<const Value&>(s));  // a copy owns its text
      at = end + 1;
      return;
    }
    if (accept("[")) {
      Dims ints;
      while (!accept("]")) {
        ints.push_back(number(literal()).get<int64_t>());
        accept(",");
      }
      Value list{DimsView(ints)};
      a.fallback = Value(static_cast<const Value&>(list));
      return;
    }
    std::string_view w = literal();
    if (a.type == Type::kMemoryFormat) {
      a.fallback = Value(w == "contiguous_format" ? MemoryFormat::kContiguous : MemoryFormat::kPreserve);
      return;
    }
    if (a.type == Type::kDType) {
      for (int i = 0; i < kNumDTypes; ++i) {
        if (name(static_cast<DType>(i)) == w) a.fallback = Value(static_cast<DType>(i));
      }
      return;
    }
    Value v = number(w);
    if (a.type == Type::kFloat) v = Value(v.get<double>());
    if (a.type == Type::kIntList) {  // int[2] x=1: one number for all
      Dims ints(static_cast<size_t>(a.repeat ? a.repeat : 1), v.get<int64_t>());
      Value list{DimsView(ints)};
      v = Value(static_cast<const Value&>(list));
    }
    a.fallback = std::move(v);
  }
};

}  // namespace

Schema::Schema(std::string_view source) : text(source) {
  Parser p{source};
  name = p.word();
  if (p.accept(".")) overload = p.word();
  p.expect("(");
  bool keyword = false;
  while (!p.accept(")")) {
    if (p.accept("*")) {
      keyword = true;
    } else {
      Arg a;
      a.keyword_only = keyword;
      p.type(a);
      a.name = p.word();
      if (p.accept("=")) p.fallback(a);
      args.push_back(std::move(a));
      positional += !keyword;
    }
    if (!p.accept(",") && !p.peek(')')) p.wrong("',' or ')'");
  }
  p.expect("->");
  tuple = p.accept("(");
  while (!(tuple && p.accept(")"))) {
    Arg a;
    p.type(a);
    Result r;
    r.type = a.type;
    p.space();
    if (p.at < source.size() && std::isalpha(static_cast<unsigned char>(source[p.at]))) r.name = p.word();
    results.push_back(std::move(r));
    if (!tuple) break;
    p.accept(",");
  }
  p.space();
  if (p.at != source.size()) p.wrong("the end");
}

int Schema::find(std::string_view arg_name) const {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].name == arg_name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace ember
