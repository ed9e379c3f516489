// The writer: protocol 2, the instructions and names that PyTorch's own files have. A node, a string or a name that
// occurs again is written once and recalled from the memo after that.
#include <bit>
#include <cstring>
#include <unordered_map>

#include "io/pickle.h"

namespace ember::io {
namespace {

class Writer {
 public:
  explicit Writer(const Tree& tree) : tree_(tree) { count(tree.root); }

  std::string run() {
    out_ = "\x80\x02";
    node(tree_.root);
    out_ += '.';
    return std::move(out_);
  }

 private:
  // How often each node is reached, so that only those that come again take a place in the memo.
  void count(const Node* n) {
    if (++uses_[n] > 1) return;
    for (const Node* item : n->items) count(item);
    if (n->state) count(n->state);
  }

  template <class T>
  void raw(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void get(uint32_t slot) {
    if (slot < 256) out_ += 'h', raw(static_cast<uint8_t>(slot));
    else out_ += 'j', raw(slot);
  }
  uint32_t put() {
    uint32_t slot = next_slot_++;
    if (slot < 256) out_ += 'q', raw(static_cast<uint8_t>(slot));
    else out_ += 'r', raw(slot);
    return slot;
  }

  void integer(int64_t v) {
    if (v >= 0 && v < 256) out_ += 'K', raw(static_cast<uint8_t>(v));
    else if (v >= 0 && v < 65536) out_ += 'M', raw(static_cast<uint16_t>(v));
    else if (v == static_cast<int32_t>(v)) out_ += 'J', raw(static_cast<int32_t>(v));
    else out_ += "\x8a\x08", raw(v);
  }
  void floating(double v) { out_ += 'G', raw(__builtin_bswap64(std::bit_cast<uint64_t>(v))); }
  void string(const std::string& s) {
    auto [slot, fresh] = strings_.try_emplace(s, 0);
    if (!fresh) return get(slot->second);
    EMBER_CHECK_VALUE(s.size() <= 0xffffffff, "pickle: a string of ", s.size(), " bytes does not fit");
    out_ += 'X', raw(static_cast<uint32_t>(s.size()));
    out_ += s;
    slot->second = put();
  }
  void global(std::string_view full) {
    auto [slot, fresh] = globals_.try_emplace(std::string(full), 0);
    if (!fresh) return get(slot->second);
    size_t dot = full.rfind('.');
    EMBER_CHECK_VALUE(dot != full.npos && full.find('\n') == full.npos, "pickle: '", full, "' is not module.name");
    std::string_view module = full.substr(0, dot);
    (out_ += 'c') += module == "builtins" ? "__builtin__" : module;
    ((out_ += '\n') += full.substr(dot + 1)) += '\n';
    slot->second = put();
  }

  // Opens a tuple of n items; close with tuple_end(n).
  void tuple_begin(size_t n) {
    if (n > 3) out_ += '(';
  }
  void tuple_end(size_t n) {
    constexpr const char* close[] = {")", "\x85", "\x86", "\x87"};
    out_ += n > 3 ? "t" : close[n];
  }
  void items(const std::vector<Node*>& all, size_t from = 0) {
    for (size_t i = from; i < all.size(); ++i) node(all[i]);
  }
  void dims(Span<int64_t> values) {
    tuple_begin(values.size());
    for (int64_t v : values) integer(v);
    tuple_end(values.size());
  }

  void storage(int64_t index) {
    const StorageRef& s = tree_.storages.at(static_cast<size_t>(index));
    std::string_view type = s.untyped ? std::string_view() : storage_class(s.dtype);
    out_ += '(';
    string("storage"), global(type.empty() ? "torch.storage.UntypedStorage" : type), string(s.key), string(s.location);
    integer(type.empty() ? s.bytes : s.bytes / item_size(s.dtype));
    out_ += "tQ";
  }

  // A storage class says the dtype; where there is none, or bytes are looked at as another type, the tensor says it.
  bool typed(const TensorRef& t) const {
    const StorageRef& s = tree_.storages.at(static_cast<size_t>(t.storage));
    bool has_class = !s.untyped && !storage_class(s.dtype).empty();
    EMBER_CHECK(!has_class || s.dtype == t.dtype,
                "Cannot save multiple tensors or storages that view the same data as different types");
    return has_class;
  }
  void tensor_function(const TensorRef& t) {
    global(typed(t) ? "torch._utils._rebuild_tensor_v2" : "torch._utils._rebuild_tensor_v3");
  }
  void tensor_arguments(const TensorRef& t) {
    out_ += '(';
    storage(t.storage);
    integer(t.offset), dims(t.sizes), dims(t.strides), boolean(t.requires_grad), hooks();
    if (!typed(t)) global(str("torch.", name(t.dtype)));
    if (t.conj || t.neg) {
      out_ += "}(";
      if (t.conj) string("conj"), boolean(true);
      if (t.neg) string("neg"), boolean(true);
      out_ += 'u';
    }
    out_ += 't';
  }
  void boolean(bool b) { out_ += b ? '\x88' : '\x89'; }
  void hooks() { global("collections.OrderedDict"), out_ += ")R"; }

  // A tensor with attributes goes through the function that PyTorch has for it.
  void tensor(const Node* n) {
    if (n->state) {
      global("torch._tensor._rebuild_from_type_v2");
      out_ += '(';
      tensor_function(*n->tensor), global("torch.Tensor"), tensor_arguments(*n->tensor), node(n->state);
      out_ += 't';
    } else {
      tensor_function(*n->tensor), tensor_arguments(*n->tensor);
    }
    out_ += 'R';
  }

  void parameter(const Node* n) {
    global(n->state ? "torch._utils._rebuild_parameter_with_state" : "torch._utils._rebuild_parameter");
    out_ += '(';
    node(n->items.at(0)), boolean(n->integer != 0), hooks();
    if (n->state) node(n->state);
    out_ += "tR";
  }

  // Protocol 2 has no bytes: they are written as text, each byte the character of its number.
  void latin1(const std::string& bytes) {
    std::string text;
    for (unsigned char c : bytes) {
      if (c >= 0x80) text += static_cast<char>(0xc0 | c >> 6), c = 0x80 | (c & 0x3f);
      text += static_cast<char>(c);
    }
    string(text), string("latin1");
  }

  void call(std::string_view function, const Node* n, const char* open, const char* close) {
    global(function);
    out_ += open;
    items(n->items);
    (out_ += close) += 'R';
  }

  // A call of one of the tree's own globals: R makes a result, NEWOBJ an object.
  void invoke(const Node* n, char op) {
    node(n->items.at(0));
    out_ += '(';
    items(n->items, 1);
    (out_ += 't') += op;
  }

  void node(const Node* n) {
    auto slot = slots_.find(n);
    if (slot != slots_.end()) return get(slot->second);
    switch (n->kind) {
      case Kind::kNone: out_ += 'N'; return;
      case Kind::kBool: return boolean(n->integer != 0);
      case Kind::kInt: return integer(n->integer);
      case Kind::kFloat: return floating(n->real);
      case Kind::kString: return string(n->text);
      case Kind::kGlobal: return global(n->text);
      case Kind::kDType: return global("torch." + n->text);
      case Kind::kStorage: return storage(n->integer);
      case Kind::kBigInt:
        if (n->text.size() < 256) out_ += '\x8a', raw(static_cast<uint8_t>(n->text.size()));
        else out_ += '\x8b', raw(static_cast<int32_t>(n->text.size()));
        out_ += n->text;
        return;
      case Kind::kComplex: global("builtins.complex"), floating(n->real), floating(n->imag), out_ += "\x86R"; break;
      case Kind::kBytes: global("_codecs.encode"), latin1(n->text), out_ += "\x86R"; break;
      case Kind::kByteArray: global("builtins.bytearray"), latin1(n->text), out_ += "\x86R"; break;
      case Kind::kDevice: global("torch.device"), string(n->text), out_ += "\x85R"; break;
      case Kind::kLayout: global("torch.serialization._get_layout"), string(n->text), out_ += "\x85R"; break;
      case Kind::kTuple: tuple_begin(n->items.size()), items(n->items), tuple_end(n->items.size()); break;
      case Kind::kList: out_ += "](", items(n->items), out_ += 'e'; break;
      case Kind::kDict: out_ += "}(", items(n->items), out_ += 'u'; break;
      case Kind::kOrderedDict: global("collections.OrderedDict"), out_ += ")R(", items(n->items), out_ += 'u'; break;
      case Kind::kCounter: call("collections.Counter", n, "}(", "u\x85"); break;
      case Kind::kSet: call("builtins.set", n, "](", "e\x85"); break;
      case Kind::kSize: call("torch.Size", n, "(", "t\x85"); break;
      case Kind::kTensor: tensor(n); break;
      case Kind::kParameter: parameter(n); break;
      case Kind::kCall: invoke(n, 'R'); break;
      case Kind::kObject: invoke(n, '\x81'); break;
    }
    bool built = n->kind == Kind::kOrderedDict || n->kind == Kind::kCall || n->kind == Kind::kObject;
    if (built && n->state) node(n->state), out_ += 'b';
    if (uses_.at(n) > 1) slots_[n] = put();
  }

  const Tree& tree_;
  std::string out_;
  uint32_t next_slot_ = 0;
  std::unordered_map<const Node*, uint32_t> uses_, slots_;
  std::unordered_map<std::string, uint32_t> strings_, globals_;
};

}  // namespace

std::string write_pickle(Tree& tree) {
  tree.check_depth(kMaxDepth);
  return Writer(tree).run();
}

}  // namespace ember::io
