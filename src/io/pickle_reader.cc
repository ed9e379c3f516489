// The reader: a stack of nodes, marks into it, and a memo. Each instruction takes at least one byte and makes at most
// one node, and what calls copy is charged against a budget, so memory is bounded by the file; every length is checked
// against what is left before it is used.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <unordered_map>

#include "io/pickle.h"
#include "io/pickle_names.h"

namespace ember::io {
namespace {

// clang-format off
enum Op : unsigned char {
  kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kDup = '2', kFloat = 'F', kBinInt = 'J', kBinInt1 = 'K',
  kBinInt2 = 'M', kNone = 'N', kBinPersId = 'Q', kReduce = 'R', kBinString = 'T', kShortBinString = 'U',
  kBinUnicode = 'X', kAppend = 'a', kBuild = 'b', kGlobal = 'c', kEmptyDict = '}', kAppends = 'e', kBinGet = 'h',
  kLongBinGet = 'j', kEmptyList = ']', kBinPut = 'q', kLongBinPut = 'r', kSetItem = 's', kTuple = 't',
  kEmptyTuple = ')', kSetItems = 'u', kBinFloat = 'G', kBinBytes = 'B', kShortBinBytes = 'C', kProto = 0x80,
  kNewObj = 0x81, kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87, kNewTrue = 0x88, kNewFalse = 0x89, kLong1 = 0x8a,
  kLong4 = 0x8b, kShortBinUnicode = 0x8c, kBinUnicode8 = 0x8d, kBinBytes8 = 0x8e, kEmptySet = 0x8f, kAddItems = 0x90,
  kStackGlobal = 0x93, kMemoize = 0x94, kFrame = 0x95, kByteArray8 = 0x96,
};
// clang-format on

template <class... Parts>
[[noreturn]] EMBER_COLD void refuse(const Parts&... parts) {
  fail<UnpicklingError>(parts...);
}

const char* kind_name(Kind kind) {
  constexpr const char* names[] = {"NoneType",  "bool",      "int",   "int",    "float",  "complex", "str",
                                   "bytes",     "bytearray", "list",  "tuple",  "set",    "dict",    "OrderedDict",
                                   "Counter",   "Size",      "dtype", "device", "layout", "storage", "Tensor",
                                   "Parameter", "global",    "call",  "object"};
  return names[static_cast<int>(kind)];
}

class Reader {
 public:
  Reader(std::string_view in, const PickleOptions& options)
      : in_(in), options_(options), budget_(16 * in.size() + (1 << 20)) {}

  Tree read(size_t* consumed) {
    while (step()) {}
    if (stack_.size() != 1 || !marks_.empty()) refuse("pickle: the stack holds ", stack_.size(), " objects at its end");
    tree_.root = stack_.back();
    try {
      tree_.check_depth(options_.max_depth);
    } catch (const ValueError& e) { refuse(e.what()); }
    if (consumed) *consumed = at_;
    return std::move(tree_);
  }

 private:
  // --- Bytes ---
  std::string_view take(uint64_t n) {
    if (n > in_.size() - at_) refuse("pickle data was truncated");
    at_ += n;
    return in_.substr(at_ - n, n);
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    size_t end = in_.find('\n', at_);
    if (end == std::string_view::npos) refuse("pickle data was truncated");
    std::string_view out = in_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }

  // --- Stack ---
  Node* make(Kind kind) {
    if (tree_.size() >= options_.max_nodes) refuse("pickle: more than ", options_.max_nodes, " objects");
    return tree_.add(kind);
  }
  Node* make(Kind kind, std::string_view text) {
    charge(text.size());
    Node* node = make(kind);
    node->text = text;
    return node;
  }
  // Copies are cheap to ask for (a recalled string, encoded again), so together they may be a few times the file.
  void charge(size_t bytes) {
    if (bytes > budget_) refuse("pickle: the objects are far larger than the file");
    budget_ -= bytes;
  }
  std::vector<Node*> copy(const std::vector<Node*>& items) {
    charge(items.size() * sizeof(Node*));
    return items;
  }
  void push(Node* node) { stack_.push_back(node); }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Node* top() {
    if (stack_.size() <= floor()) refuse("pickle: unexpected MARK or an empty stack");
    return stack_.back();
  }
  Node* pop() {
    Node* node = top();
    stack_.pop_back();
    return node;
  }
  std::vector<Node*> pop_mark() {
    if (marks_.empty()) refuse("pickle: could not find MARK");
    std::vector<Node*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  Node* pop_kind(Kind kind, const char* what) {
    Node* node = pop();
    if (node->kind != kind)
      refuse("pickle: ", what, " must be a ", kind_name(kind), ", but got ", kind_name(node->kind));
    return node;
  }

  // --- Instructions ---
  bool step() {
    auto op = number<unsigned char>();
    switch (op) {
      case kProto: {
        int version = number<unsigned char>();
        if (version < 2 || version > 5) refuse("unsupported pickle protocol: ", version, "; 2 to 5 are supported");
        break;
      }
      case kFrame:
        if (number<uint64_t>() > in_.size() - at_) refuse("pickle data was truncated");
        break;
      case kStop: return false;
      case kMark: marks_.push_back(stack_.size()); break;
      case kPop: stack_.size() > floor() ? void(pop()) : void(pop_mark()); break;
      case kPopMark: pop_mark(); break;
      case kDup: push(top()); break;
      case kNone: push(make(Kind::kNone)); break;
      case kNewTrue:
      case kNewFalse: make_int(op == kNewTrue, Kind::kBool); break;
      case kBinInt: make_int(number<int32_t>()); break;
      case kBinInt1: make_int(number<uint8_t>()); break;
      case kBinInt2: make_int(number<uint16_t>()); break;
      case kLong1: make_long(take(number<uint8_t>())); break;
      case kLong4: make_long(take(number<uint32_t>())); break;
      case kBinFloat: make_float(); break;
      case kBinUnicode: make_string(take(number<uint32_t>())); break;
      case kShortBinUnicode: make_string(take(number<uint8_t>())); break;
      case kBinUnicode8: make_string(take(number<uint64_t>())); break;
      case kBinString: make_old_string(take(number<uint32_t>())); break;
      case kShortBinString: make_old_string(take(number<uint8_t>())); break;
      case kBinBytes: push(make(Kind::kBytes, take(number<uint32_t>()))); break;
      case kShortBinBytes: push(make(Kind::kBytes, take(number<uint8_t>()))); break;
      case kBinBytes8: push(make(Kind::kBytes, take(number<uint64_t>()))); break;
      case kByteArray8: push(make(Kind::kByteArray, take(number<uint64_t>()))); break;
      case kEmptyList: push(make(Kind::kList)); break;
      case kEmptyDict: push(make(Kind::kDict)); break;
      case kEmptySet: push(make(Kind::kSet)); break;
      case kEmptyTuple: push(make(Kind::kTuple)); break;
      case kTuple: make_tuple(pop_mark()); break;
      case kTuple1:
      case kTuple2:
      case kTuple3: {
        std::vector<Node*> items(op - kTuple1 + 1);
        for (size_t i = items.size(); i > 0; --i) items[i - 1] = pop();
        make_tuple(std::move(items));
        break;
      }
      case kAppend: {
        Node* item = pop();
        extend(Kind::kList, {item});
        break;
      }
      case kAppends: extend(Kind::kList, pop_mark()); break;
      case kAddItems: {
        auto items = pop_mark();
        for (Node* n : items) check_hashable(n);
        extend(Kind::kSet, items);
        break;
      }
      case kSetItem: {
        Node *value = pop(), *key = pop();
        set_items({key, value});
        break;
      }
      case kSetItems: set_items(pop_mark()); break;
      case kBinGet: push(recall(number<uint8_t>())); break;
      case kLongBinGet: push(recall(number<uint32_t>())); break;
      case kBinPut: remember(number<uint8_t>()); break;
      case kLongBinPut: remember(number<uint32_t>()); break;
      case kMemoize: remember(memo_.size()); break;
      case kGlobal: {
        auto module = line(), name = line();
        push(global(module, name));
        break;
      }
      case kStackGlobal: {
        Node *name = pop_kind(Kind::kString, "a global's name"), *module = pop_kind(Kind::kString, "a global's module");
        push(global(module->text, name->text));
        break;
      }
      case kReduce: {
        Node* args = pop_kind(Kind::kTuple, "arguments");
        push(call(pop(), args));
        break;
      }
      case kNewObj: {
        Node* args = pop_kind(Kind::kTuple, "arguments");
        push(new_object(pop(), args));
        break;
      }
      case kBuild: {
        Node* state = pop();
        build(top(), state);
        break;
      }
      case kBinPersId: push(persistent(pop())); break;
      default: refuse("Unsupported operand ", int{op});
    }
    return true;
  }

  void make_int(int64_t value, Kind kind = Kind::kInt) {
    push(make(kind));
    stack_.back()->integer = value;
  }
  void make_long(std::string_view bytes) {
    if (bytes.size() > 8) return push(make(Kind::kBigInt, bytes));
    uint64_t value = !bytes.empty() && (bytes.back() & 0x80) ? ~uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    make_int(static_cast<int64_t>(value));
  }
  void make_float() {
    push(make(Kind::kFloat));
    stack_.back()->real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
  }
  void make_string(std::string_view text) {
    if (!valid_utf8(text, true)) refuse("pickle: a string is not valid UTF-8");
    push(make(Kind::kString, text));
  }
  // Python 2's str: text where it is text.
  void make_old_string(std::string_view text) {
    push(make(valid_utf8(text, false) ? Kind::kString : Kind::kBytes, text));
  }
  void make_tuple(std::vector<Node*> items) {
    push(make(Kind::kTuple));
    stack_.back()->items = std::move(items);
  }

  void extend(Kind kind, const std::vector<Node*>& items) {
    Node* target = top();
    if (target->kind != kind) refuse("Can only extend ", kind_name(kind), "s, but got ", kind_name(target->kind));
    target->items.insert(target->items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Node*>& items) {
    Node* target = top();
    if (!target->is_dict()) {
      refuse("Can only SETITEMS for dict, collections.OrderedDict, collections.Counter, but got ",
             kind_name(target->kind));
    }
    if (items.size() % 2) refuse("pickle: a dict got a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) check_hashable(items[i]);
    target->items.insert(target->items.end(), items.begin(), items.end());
  }
  void check_hashable(const Node* key) {
    if (key->is_dict() || key->kind == Kind::kList || key->kind == Kind::kSet || key->kind == Kind::kByteArray)
      refuse("unhashable type: '", kind_name(key->kind), "'");
  }

  // Honest writers number the memo in order and spend two bytes on each entry, so a slot past the bytes read is a lie.
  void remember(size_t slot) {
    if (slot > at_) refuse("pickle: memo index ", slot, " is out of range");
    if (slot >= memo_.size()) memo_.resize(slot + 1);
    memo_[slot] = top();
  }
  Node* recall(size_t slot) {
    if (slot >= memo_.size() || !memo_[slot]) refuse("Memo value not found at index ", slot);
    return memo_[slot];
  }

  Node* global(std::string_view module, std::string_view name) {
    if (module == "__builtin__") module = "builtins";
    if (module == "torch.tensor") module = "torch._tensor";
    std::string full = str(module, ".", name);
    for (std::string_view blocked : {"sys", "os", "posix", "nt"}) {
      if (module == blocked)
        refuse("Trying to load unsupported GLOBAL ", full, " whose module ", module, " is blocked.");
    }
    bool known = known_name(full) || full == kUntypedStorage || full == "torch.storage.TypedStorage" ||
                 full == "torch.UntypedStorage" || storage_dtype(full) || (module == "torch" && is_dtype_name(name));
    if (module == "torch" && is_dtype_name(name)) return make(Kind::kDType, name);
    if (!valid_utf8(full, false)) refuse("pickle: a global's name is not valid UTF-8");
    if (known || (options_.allow && options_.allow(full))) return make(Kind::kGlobal, full);
    std::string_view shown = full;
    if (module == "builtins") shown = name;
    refuse("Unsupported global: GLOBAL ", shown,
           " was not an allowed global by default. Please use "
           "`torch.serialization.add_safe_globals([",
           shown, "])` or the `torch.serialization.safe_globals([", shown,
           "])` context manager to allowlist this global if you trust this class/function.");
  }

  // ('storage', class, key, location, numel[, view metadata of the old format])
  Node* persistent(Node* id) {
    auto& items = id->items;
    if (id->kind != Kind::kTuple || items.size() < 5 || items[0]->text != "storage")
      refuse("Only persistent_load of storage is allowed, but got ", kind_name(id->kind));
    if (items[1]->kind != Kind::kGlobal || items[4]->kind != Kind::kInt || items[4]->integer < 0 ||
        items[2]->kind != Kind::kString || items[3]->kind != Kind::kString)
      refuse("pickle: a storage's description is damaged");
    if (items.size() > 5 && items[5]->kind != Kind::kNone)
      refuse("pickle: storages that are views of others (files of PyTorch 0.1) are not supported");
    charge(items[2]->text.size() + items[3]->text.size());
    StorageRef ref{items[2]->text, items[3]->text, DType::kUInt8, false, items[4]->integer};
    if (auto dtype = storage_dtype(items[1]->text)) {
      ref.dtype = *dtype;
      if (__builtin_mul_overflow(ref.bytes, item_size(*dtype), &ref.bytes)) refuse("pickle: a storage is too large");
    } else if (items[1]->text == kUntypedStorage || items[1]->text == "torch.UntypedStorage") {
      ref.untyped = true;
    } else {
      refuse("pickle: ", items[1]->text, " is not a storage class");
    }
    // A key names one storage however often it occurs, and is what it was said to be the first time.
    auto [slot, fresh] = storage_of_key_.try_emplace(ref.key, tree_.storages.size());
    if (fresh) tree_.storages.push_back(std::move(ref));
    Node* node = make(Kind::kStorage);
    node->integer = static_cast<int64_t>(slot->second);
    return node;
  }

  // --- Calls of known names ---
  Node* call(Node* function, Node* args) {
    if (function->kind != Kind::kGlobal)
      refuse("Trying to call reduce for unrecognized function ", kind_name(function->kind));
    auto& a = args->items;
    auto known = known_name(function->text);
    if (!known) return generic(Kind::kCall, function, args);
    switch (*known) {
      case Known::kOrderedDict: return dict_from(Kind::kOrderedDict, args);
      case Known::kCounter: return dict_from(Kind::kCounter, args);
      case Known::kSet: return set_from(args);
      case Known::kSize: return size_from(args);
      case Known::kDevice: return device_from(args);
      case Known::kLayout: return make(Kind::kLayout, arg(args, 0, Kind::kString)->text);
      case Known::kEncode: return bytes_from(Kind::kBytes, args);
      case Known::kByteArray: return bytes_from(Kind::kByteArray, args);
      case Known::kBytes:
        if (!a.empty()) refuse("pickle: bytes() is known without arguments only");
        return make(Kind::kBytes);
      case Known::kComplex: {
        Node* node = make(Kind::kComplex);
        node->real = arg(args, 0, Kind::kFloat)->real, node->imag = arg(args, 1, Kind::kFloat)->real;
        return node;
      }
      case Known::kTensorV1:
      case Known::kTensorV2:
      case Known::kTensorV3: return tensor_from(*known, args);
      case Known::kParameter:
      case Known::kParameterWithState: {
        Node* node = make(Kind::kParameter);
        node->items = {arg(args, 0, Kind::kTensor)};
        node->integer = arg(args, 1, Kind::kBool)->integer;
        if (known == Known::kParameterWithState) node->state = a.size() > 3 ? a[3] : nullptr;
        return node;
      }
      case Known::kFromType: return from_type(args);
      case Known::kCall: return generic(Kind::kCall, function, args);
      case Known::kTensorClass:
      case Known::kParameterClass: break;
    }
    refuse("pickle: ", function->text, " cannot be called here");
  }

  Node* arg(Node* args, size_t i, Kind kind) {
    if (i >= args->items.size()) refuse("pickle: a call has only ", args->items.size(), " arguments");
    Node* node = args->items[i];
    if (node->kind != kind)
      refuse("pickle: argument ", i, " of a call must be a ", kind_name(kind), ", but got ", kind_name(node->kind));
    return node;
  }

  Node* generic(Kind kind, Node* function, Node* args) {
    Node* node = make(kind);
    node->items = copy(args->items);
    node->items.insert(node->items.begin(), function);
    return node;
  }

  Node* new_object(Node* type, Node* args) {
    auto known = type->kind == Kind::kGlobal ? known_name(type->text) : std::nullopt;
    if (known == Known::kOrderedDict) return dict_from(Kind::kOrderedDict, args);
    if (known == Known::kParameterClass) {
      Node* node = make(Kind::kParameter);
      node->items = {arg(args, 0, Kind::kTensor)};
      node->integer = args->items.size() < 2 || arg(args, 1, Kind::kBool)->integer;
      return node;
    }
    if (type->kind == Kind::kGlobal && options_.allow && options_.allow(type->text))
      return generic(Kind::kObject, type, args);
    refuse("Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got ",
           type->kind == Kind::kGlobal ? type->text : std::string(kind_name(type->kind)));
  }

  void build(Node* object, Node* state) {
    if (object->kind != Kind::kOrderedDict && object->kind != Kind::kCall && object->kind != Kind::kObject) {
      refuse("Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got ",
             kind_name(object->kind));
    }
    object->state = state;
  }

  // A dict, or a list of pairs as Python 2 wrote an OrderedDict.
  Node* dict_from(Kind kind, Node* args) {
    Node* node = make(kind);
    if (args->items.empty()) return node;
    Node* from = args->items[0];
    if (from->is_dict()) {
      node->items = copy(from->items);
    } else if (from->kind == Kind::kList) {
      for (Node* pair : from->items) {
        if (pair->items.size() != 2 || (pair->kind != Kind::kList && pair->kind != Kind::kTuple))
          refuse("pickle: a dict is made from pairs, but got ", kind_name(pair->kind));
        check_hashable(pair->items[0]);
        charge(2 * sizeof(Node*));
        node->items.insert(node->items.end(), pair->items.begin(), pair->items.end());
      }
    } else {
      refuse("pickle: a dict cannot be made from ", kind_name(from->kind));
    }
    return node;
  }

  Node* set_from(Node* args) {
    Node* node = make(Kind::kSet);
    if (args->items.empty()) return node;
    for (Node* item : arg(args, 0, Kind::kList)->items) check_hashable(item);
    node->items = copy(args->items[0]->items);
    return node;
  }

  Node* size_from(Node* args) {
    Node* node = make(Kind::kSize);
    node->items = copy(arg(args, 0, Kind::kTuple)->items);
    for (Node* item : node->items)
      if (item->kind != Kind::kInt) refuse("pickle: torch.Size takes ints, but got ", kind_name(item->kind));
    return node;
  }

  Node* device_from(Node* args) {
    const Node* type = arg(args, 0, Kind::kString);
    charge(type->text.size());
    std::string text = type->text;
    if (args->items.size() > 1) text += str(":", arg(args, 1, Kind::kInt)->integer);
    return make(Kind::kDevice, text);
  }

  // encode(text, 'latin1') is how protocol 2 spells bytes; bytearray takes the same, bytes, or nothing.
  Node* bytes_from(Kind kind, Node* args) {
    if (args->items.empty() && kind == Kind::kByteArray) return make(kind);
    if (kind == Kind::kByteArray && args->items.size() == 1) return make(kind, arg(args, 0, Kind::kBytes)->text);
    const std::string& text = arg(args, 0, Kind::kString)->text;
    const std::string& coding = arg(args, 1, Kind::kString)->text;
    if (coding != "latin1" && coding != "latin-1") refuse("pickle: bytes are encoded as latin1, not as ", coding);
    charge(text.size());
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      auto c = static_cast<unsigned char>(text[i]);
      if (c >= 0xc4) refuse("pickle: bytes hold a character that latin1 lacks");
      out += c < 0x80 ? text[i] : static_cast<char>((c & 3) << 6 | (text[++i] & 0x3f));
    }
    return make(kind, out);
  }

  // --- Tensors ---
  SmallVector<int64_t, 5> dims(Node* args, size_t i) {
    SmallVector<int64_t, 5> out;
    Node* list =
        i < args->items.size() && args->items[i]->kind == Kind::kSize ? args->items[i] : arg(args, i, Kind::kTuple);
    for (Node* item : list->items) {
      if (item->kind != Kind::kInt || item->integer < 0)
        refuse("pickle: a tensor's size or stride is not a natural number");
      out.push_back(item->integer);
    }
    return out;
  }

  // (storage, offset, size, stride[, requires_grad, hooks[, dtype][, metadata]])
  Node* tensor_from(Known form, Node* args) {
    TensorRef t;
    auto& a = args->items;
    t.storage = arg(args, 0, Kind::kStorage)->integer;
    t.offset = arg(args, 1, Kind::kInt)->integer;
    t.sizes = dims(args, 2), t.strides = dims(args, 3);
    const StorageRef& storage = tree_.storages[static_cast<size_t>(t.storage)];
    t.dtype = storage.dtype;
    if (form != Known::kTensorV1) t.requires_grad = arg(args, 4, Kind::kBool)->integer;
    size_t metadata = form == Known::kTensorV3 ? 7 : 6;
    if (form == Known::kTensorV3) {
      const std::string& name = arg(args, 6, Kind::kDType)->text;
      if (!dtype_named(name, &t.dtype)) refuse("pickle: a tensor's dtype ", name, " is not supported");
    }
    if (form != Known::kTensorV1 && a.size() > metadata && a[metadata]->is_dict()) {
      auto flag = [&](const char* key) {
        auto* n = a[metadata]->find(key);
        return n && n->integer != 0;
      };
      t.conj = flag("conj"), t.neg = flag("neg");
    }
    check_bounds(t, storage);
    Node* node = make(Kind::kTensor);
    node->tensor = std::make_unique<TensorRef>(std::move(t));
    return node;
  }

  static void check_bounds(const TensorRef& t, const StorageRef& storage) {
    bool bad = t.sizes.size() != t.strides.size() || t.sizes.size() > 64 || t.offset < 0;
    bool empty = std::find(t.sizes.begin(), t.sizes.end(), 0) != t.sizes.end();
    int64_t last = t.offset, numel = 1, bytes = 0;
    for (size_t d = 0; d < t.sizes.size() && !bad; ++d) {
      int64_t span;
      bad = __builtin_mul_overflow(std::max<int64_t>(t.sizes[d], 1), numel, &numel) ||
            __builtin_mul_overflow(std::max<int64_t>(t.sizes[d] - 1, 0), t.strides[d], &span) ||
            __builtin_add_overflow(last, span, &last);
    }
    bad = bad || __builtin_add_overflow(last, empty ? 0 : 1, &last) ||
          __builtin_mul_overflow(last, item_size(t.dtype), &bytes) || (!empty && bytes > storage.bytes);
    if (bad) {
      refuse("pickle: a tensor of offset ", t.offset, " reaches outside its storage '", storage.key, "' of ",
             storage.bytes, " bytes");
    }
  }

  // (function, type, args, state): a tensor with attributes.
  Node* from_type(Node* args) {
    Node* type = arg(args, 1, Kind::kGlobal);
    Node* out = call(arg(args, 0, Kind::kGlobal), arg(args, 2, Kind::kTuple));
    auto known = known_name(type->text);
    bool plain = known == Known::kTensorClass && out->kind == Kind::kTensor;
    bool parameter = known == Known::kParameterClass && out->kind == Kind::kParameter;
    if (!plain && !parameter)
      return generic(Kind::kCall, make(Kind::kGlobal, "torch._tensor._rebuild_from_type_v2"), args);
    if (args->items.size() > 3) out->state = args->items[3];
    return out;
  }

  std::string_view in_;
  size_t at_ = 0;
  const PickleOptions& options_;
  size_t budget_;  // of bytes that calls may still copy
  Tree tree_;
  std::vector<Node*> stack_, memo_;
  std::vector<size_t> marks_;
  std::unordered_map<std::string, size_t> storage_of_key_;
};

}  // namespace

Tree read_pickle(std::string_view bytes, const PickleOptions& options, size_t* consumed) {
  return Reader(bytes, options).read(consumed);
}

}  // namespace ember::io
