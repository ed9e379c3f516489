// What a checkpoint holds, as data: a graph of plain nodes (numbers, strings, containers, tensors by reference to a
// storage). Nothing in it can run. Pickle files are read into a Tree and written from one; Python turns nodes into
// objects. A node that occurs in several places is one object there too (tied weights, `a is b`): whoever converts a
// Tree keeps one result a node, which also keeps files with heavily shared nodes small.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/export.h"
#include "base/small_vector.h"
#include "tensor/dtype.h"

namespace ember::io {

enum class Kind : uint8_t {
  kNone,
  kBool,         // integer
  kInt,          // integer
  kBigInt,       // text: little-endian two's complement
  kFloat,        // real
  kComplex,      // real, imag
  kString,       // text, UTF-8 (lone surrogates pass)
  kBytes,        // text
  kByteArray,    // text
  kList,         // items
  kTuple,        // items
  kSet,          // items
  kDict,         // items: key, value, key, value ...
  kOrderedDict,  // the same; state: its attributes, such as a state dict's _metadata
  kCounter,      // the same as a dict
  kSize,         // items: ints (torch.Size)
  kDType,        // text: "float32"
  kDevice,       // text: "cuda:0"
  kLayout,       // text: "torch.strided"
  kStorage,      // integer: index into Tree::storages
  kTensor,       // tensor; state: a dict of attributes, if it had any
  kParameter,    // items: its tensor; integer: requires_grad; state as for a tensor
  kGlobal,       // text: "module.name", one that the reader was told to allow
  kCall,         // items: function (kGlobal), arguments; state, if it had any
  kObject,       // items: class (kGlobal), arguments of __new__; state, if it had any
};

struct TensorRef {
  int64_t storage = 0;  // index into Tree::storages
  DType dtype = DType::kFloat32;
  int64_t offset = 0;  // in elements
  SmallVector<int64_t, 5> sizes, strides;
  bool requires_grad = false, conj = false, neg = false;
};

struct StorageRef {
  std::string key;       // names its bytes in the file
  std::string location;  // "cpu", "cuda:0": where it was when it was saved
  DType dtype = DType::kUInt8;
  bool untyped = false;  // an UntypedStorage, whose size is in bytes
  int64_t bytes = 0;
};

struct Node {
  explicit Node(Kind k) : kind(k) {}
  Kind kind;
  int32_t depth = 0;  // of the graph below; set by check_depth
  int64_t integer = 0;
  double real = 0, imag = 0;
  std::string text;
  std::vector<Node*> items;
  Node* state = nullptr;
  std::unique_ptr<TensorRef> tensor;

  bool is_dict() const { return kind == Kind::kDict || kind == Kind::kOrderedDict || kind == Kind::kCounter; }
  // A dict's value for a string key, or nullptr.
  EMBER_API const Node* find(std::string_view key) const;
};

class EMBER_API Tree {
 public:
  Tree() = default;
  Tree(Tree&&) = default;
  Tree& operator=(Tree&&) = default;

  Node* root = nullptr;
  std::vector<StorageRef> storages;

  // Nodes live as long as the tree.
  Node* add(Kind kind) { return &nodes_.emplace_back(kind); }
  Node* add(Kind kind, std::string text);
  Node* add(Kind kind, std::vector<Node*> items);
  Node* add_int(int64_t value, Kind kind = Kind::kInt);
  Node* add_float(double real, double imag = 0, Kind kind = Kind::kFloat);
  Node* add_string(std::string_view text) { return add(Kind::kString, std::string(text)); }
  Node* add_tensor(TensorRef tensor);
  size_t size() const { return nodes_.size(); }

  // ValueError when a container holds itself, or nodes nest deeper than `limit`. Sets every reachable node's depth,
  // so that recursion over a checked tree is safe.
  void check_depth(int limit);

 private:
  std::deque<Node> nodes_;
};

inline constexpr int kMaxDepth = 1000;

}  // namespace ember::io
