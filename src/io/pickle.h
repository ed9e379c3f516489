// Pickle, without a pickle machine. The reader knows the instructions that build data (protocols 2 to 5) and a closed
// list of names, each of which becomes a Tree node of its own kind; any other name is refused in PyTorch's words. No
// name is ever looked up, nothing is imported or called. The writer gives protocol 2 as PyTorch does, so PyTorch reads
// it with weights_only=True.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/export.h"
#include "io/tree.h"

namespace ember::io {

struct EMBER_API UnpicklingError : Error {
  using Error::Error;
};  // pickle.UnpicklingError

struct PickleOptions {
  // Names beyond the closed list ("module.name") that may appear, as kGlobal, kCall and kObject nodes.
  std::function<bool(std::string_view name)> allow = {};
  size_t max_nodes = size_t{1} << 24;
  int max_depth = kMaxDepth;
};

// Reads one pickle from the front of `bytes`; `*consumed` is how long it was. UnpicklingError on anything else than a
// whole pickle of what the reader knows. The tree may share nodes, and is free of cycles.
EMBER_API Tree read_pickle(std::string_view bytes, const PickleOptions& options = {}, size_t* consumed = nullptr);

// The tree's root as a pickle. Storages are written by their keys. (Sets depths, hence not const.)
EMBER_API std::string write_pickle(Tree& tree);

// "torch.FloatStorage" for float32; empty for dtypes that have no such class (uint16, uint32, uint64).
EMBER_API std::string_view storage_class(DType dtype);
// The dtype named "float32" or "half"; false when there is none of that name here.
EMBER_API bool dtype_named(std::string_view name, DType* dtype);

}  // namespace ember::io
