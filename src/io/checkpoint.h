// `.pt` files. PyTorch's archive is a zip file: a pickle of the object with its tensors left out, and one record of
// raw bytes for each storage, written once however many tensors share it. Older files are a row of pickles followed by
// the storages. Both are read, the archive is written, and PyTorch reads it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/export.h"
#include "io/pickle.h"
#include "io/stream.h"
#include "io/tree.h"
#include "tensor/tensor.h"

namespace ember::io {

struct LoadOptions {
  PickleOptions pickle;
  bool mmap = false;  // tensors look at the file's own pages, read as they are touched, written privately
};

struct Checkpoint {
  Tree tree;
  std::vector<Ptr<Storage>> storages;  // for each of tree.storages
};

// Errors: UnpicklingError ("Weights only load failed. ...") for anything in the file that is not data, FileError for a
// file that is damaged or of another kind.
EMBER_API Checkpoint load_checkpoint(const std::string& path, const LoadOptions& options = {});
EMBER_API Checkpoint load_checkpoint(const Ptr<Source>& source, const LoadOptions& options = {});

// A storage over `bytes` bytes of the source: its own memory where that is asked for, there is any and it is aligned
// for the dtype, else a copy.
EMBER_API Ptr<Storage> read_storage(const Ptr<Source>& source, uint64_t offset, int64_t bytes, DType dtype,
                                    bool in_place);

struct StorageBytes {
  const void* data = nullptr;
  uint64_t bytes = 0;
};
// Writes `pickle` and, under the keys "0", "1", ..., the storages that it refers to.
EMBER_API void write_archive(Sink& sink, std::string_view pickle, const std::vector<StorageBytes>& storages);

// Collects an object for saving: nodes in `tree`, tensors through add(), which keeps each storage once.
class EMBER_API CheckpointBuilder {
 public:
  Tree tree;

  Node* add(const Tensor& tensor);
  int64_t add_storage(const Ptr<Storage>& storage, DType dtype);
  // Writes tree.root.
  void save(Sink& sink);
  void save(const std::string& path);  // in place of an older file only once it is complete

 private:
  std::vector<Ptr<Storage>> storages_;
  std::unordered_map<const Storage*, int64_t> index_;
};

// The tensor that a kTensor node describes, over its storage.
EMBER_API Tensor make_tensor(const Checkpoint& checkpoint, const TensorRef& ref);

// The C++ face: a state dict is a list of named tensors.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
EMBER_API NamedTensors load_state_dict(const std::string& path, const LoadOptions& options = {});
EMBER_API void save_state_dict(const std::string& path, const NamedTensors& tensors);

}  // namespace ember::io
