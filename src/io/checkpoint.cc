// Reading the two layouts into storages, and writing the archive.
#include "io/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "io/crc32.h"
#include "io/zip.h"

namespace ember::io {
namespace {

constexpr const char* kUntrusted =
    "Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary "
    "code execution. Do it only if you got the file from a trusted source.";

[[noreturn]] EMBER_COLD void weights_only_failed(const std::string& what) {
  if (what.find("was not an allowed global by default") != std::string::npos) {
    fail<UnpicklingError>(
        "Weights only load failed. This file can still be loaded, to do so you have two options, do "
        "those steps only if you trust the source of the checkpoint.\n\t(1) ",
        kUntrusted,
        "\n\t(2) Alternatively, to load with `weights_only=True` please check the recommended steps "
        "in the following error message.\n\tWeightsUnpickler error: ",
        what);
  }
  fail<UnpicklingError>("Weights only load failed. ", kUntrusted, "\n\nWeightsUnpickler error: ", what);
}

Tree read_tree(std::string_view pickle, const PickleOptions& options, size_t* consumed = nullptr) {
  try {
    return read_pickle(pickle, options, consumed);
  } catch (const UnpicklingError& e) { weights_only_failed(e.what()); }
}

void swap_bytes(Storage& storage, DType dtype) {
  auto* p = static_cast<char*>(storage.data());
  int64_t width = is_complex(dtype) ? item_size(dtype) / 2 : item_size(dtype);
  for (int64_t at = 0; width > 1 && at + width <= storage.nbytes(); at += width) std::reverse(p + at, p + at + width);
}

// --- The archive ---
// All records lie in one folder, "archive/" or the file's name; the reader takes the folder of data.pkl.
Checkpoint load_archive(const Ptr<Source>& source, const LoadOptions& options) {
  ZipReader zip(source);
  std::string folder;
  bool found = false, script = false;
  for (const std::string& name : zip.names()) {
    size_t slash = name.find('/');
    if (slash == name.npos) continue;
    std::string_view rest = std::string_view(name).substr(slash + 1);
    if (rest == "data.pkl" && !found) folder = name.substr(0, slash + 1), found = true;
    script = script || rest == "constants.pkl";
  }
  EMBER_CHECK_AS(FileError, found, "load: '", source->name(), "' is a zip archive without data.pkl: not a checkpoint");
  EMBER_CHECK(!script, "load: '", source->name(),
              "' is a TorchScript archive, not a checkpoint; Cannot use "
              "``weights_only=True`` with TorchScript archives passed to ``torch.load``.");
  std::string order = zip.contains(folder + "byteorder") ? zip.read(folder + "byteorder") : "little";
  EMBER_CHECK_VALUE(order == "little" || order == "big", "Unknown endianness type: ", order);

  Checkpoint out{read_tree(zip.read(folder + "data.pkl"), options.pickle), {}};
  uint64_t total = 0;  // records that overlap could ask for far more memory than the file has bytes
  for (const StorageRef& ref : out.tree.storages) {
    ZipRecord record = zip.find(folder + "data/" + ref.key);
    EMBER_CHECK_AS(FileError, record.bytes >= static_cast<uint64_t>(ref.bytes), "load: '", source->name(),
                   "': storage '", ref.key, "' has ", record.bytes, " bytes, but ", ref.bytes, " are wanted");
    total += record.bytes;
    EMBER_CHECK_AS(FileError, total <= source->size(), "load: '", source->name(), "': records overlap");
    bool swap = order == "big" && !ref.untyped;
    out.storages.push_back(read_storage(source, record.offset, ref.bytes, ref.dtype, options.mmap && !swap));
    if (swap) swap_bytes(*out.storages.back(), ref.dtype);
  }
  return out;
}

// --- The old layout: pickles of a magic number, a version, system facts, the object, the storages' keys; then for each
// key its length and bytes ---
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

Checkpoint load_old(const Ptr<Source>& source, const LoadOptions& options) {
  EMBER_CHECK(!options.mmap,
              "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization="
              "True), please torch.save your checkpoint with this option in order to use mmap.");
  std::string owned;
  if (!source->data()) {
    owned.resize(source->size());
    source->read(0, owned.data(), owned.size());
  }
  std::string_view bytes = source->data() ? std::string_view(source->data(), source->size()) : owned;
  size_t at = 0;
  auto next = [&](const PickleOptions& how) {
    size_t consumed = 0;
    Tree tree = read_tree(bytes.substr(at), how, &consumed);
    at += consumed;
    return tree;
  };
  Tree magic = next({});
  EMBER_CHECK(magic.root->kind == Kind::kBigInt && magic.root->text == kMagic, "Invalid magic number; corrupt file?");
  Tree version = next({});
  EMBER_CHECK(version.root->kind == Kind::kInt && version.root->integer == 1001,
              "Invalid protocol version: ", version.root->integer);
  Tree system = next({});
  const Node* little = system.root->find("little_endian");
  bool swap = little && little->integer == 0;
  Checkpoint out{next(options.pickle), {}};
  Tree keys = next({});
  out.storages.resize(out.tree.storages.size());
  for (const Node* key : keys.root->items) {
    auto ref = std::find_if(out.tree.storages.begin(), out.tree.storages.end(),
                            [&](const StorageRef& s) { return s.key == key->text; });
    EMBER_CHECK_AS(FileError, ref != out.tree.storages.end() && bytes.size() - at >= 8, "load: '", source->name(),
                   "': the list of storages is damaged");
    uint64_t numel = 0;
    std::memcpy(&numel, bytes.data() + at, 8);
    if (swap) numel = __builtin_bswap64(numel);
    at += 8;
    auto width = static_cast<uint64_t>(item_size(ref->dtype));
    EMBER_CHECK_AS(FileError,
                   numel <= (bytes.size() - at) / width && numel * width >= static_cast<uint64_t>(ref->bytes),
                   "load: '", source->name(), "': storage '", ref->key, "' is cut off");
    Ptr<Storage> storage = Storage::allocate(ref->bytes);
    if (ref->bytes) std::memcpy(storage->data(), bytes.data() + at, static_cast<size_t>(ref->bytes));
    if (swap) swap_bytes(*storage, ref->dtype);
    at += numel * width;
    out.storages[static_cast<size_t>(ref - out.tree.storages.begin())] = std::move(storage);
  }
  for (size_t i = 0; i < out.storages.size(); ++i) {
    EMBER_CHECK_AS(FileError, out.storages[i], "load: '", source->name(), "': storage '", out.tree.storages[i].key,
                   "' is missing");
  }
  return out;
}

}  // namespace

Ptr<Storage> read_storage(const Ptr<Source>& source, uint64_t offset, int64_t bytes, DType dtype, bool in_place) {
  EMBER_CHECK_AS(FileError, offset <= source->size() && static_cast<uint64_t>(bytes) <= source->size() - offset,
                 "load: '", source->name(), "': a storage of ", bytes, " bytes is cut off");
  if (in_place && bytes > 0 && source->data() && offset % static_cast<uint64_t>(item_size(dtype)) == 0) {
    Source* keep = Ptr<Source>(source).unsafe_release();
    return Storage::adopt(
        const_cast<char*>(source->data() + offset), bytes, kCpu,
        [](void*, void* context) { static_cast<Source*>(context)->release(); }, keep);
  }
  Ptr<Storage> storage = Storage::allocate(bytes);
  source->read(offset, storage->data(), static_cast<size_t>(bytes));
  return storage;
}

Checkpoint load_checkpoint(const Ptr<Source>& source, const LoadOptions& options) {
  char start[4] = {};
  EMBER_CHECK_AS(FileError, source->size() > 0, "load: '", source->name(), "': Ran out of input: the file is empty");
  source->read(0, start, std::min<uint64_t>(source->size(), 4));
  if (std::memcmp(start, "PK\3\4", 4) == 0) return load_archive(source, options);
  char tar[5] = {};
  if (source->size() > 262) source->read(257, tar, 5);
  EMBER_CHECK(std::memcmp(tar, "ustar", 5) != 0,
              "Cannot use ``weights_only=True`` with files saved in the legacy "
              ".tar format. ",
              kUntrusted);
  return load_old(source, options);
}

Checkpoint load_checkpoint(const std::string& path, const LoadOptions& options) {
  return load_checkpoint(options.mmap ? map_file(path) : open_file(path), options);
}

void write_archive(Sink& sink, std::string_view pickle, const std::vector<StorageBytes>& storages) {
  const std::string folder = "archive/";
  ZipWriter zip(sink);
  zip.add(folder + "data.pkl", pickle);
  zip.add(folder + "byteorder", "little");
  uint32_t hash = crc32(0, pickle.data(), pickle.size());
  for (size_t i = 0; i < storages.size(); ++i) zip.add(folder + str("data/", i), storages[i].data, storages[i].bytes);
  zip.add(folder + "version", "3\n");
  std::string id = str(uint64_t{hash});  // forty digits that tell two files apart
  zip.add(folder + ".data/serialization_id", std::string(40 - id.size(), '0') + id);
  zip.finish();
}

int64_t CheckpointBuilder::add_storage(const Ptr<Storage>& storage, DType dtype) {
  auto index = static_cast<int64_t>(storages_.size());
  auto [seen, fresh] = index_.try_emplace(storage.get(), index);
  if (!fresh) return seen->second;
  EMBER_CHECK(storage->device() == kCpu || storage->nbytes() == 0, "save: a storage on ", storage->device(),
              " must be moved to the cpu first");
  storages_.push_back(storage);
  tree.storages.push_back({str(index), "cpu", dtype, false, storage->nbytes()});
  return index;
}

Node* CheckpointBuilder::add(const Tensor& tensor) {
  EMBER_CHECK_NOT_IMPLEMENTED(tensor.defined() && tensor->storage && tensor.layout() == Layout::kStrided,
                              "save: only strided tensors with data can be saved");
  TensorRef ref{add_storage(tensor->storage, tensor.dtype()),
                tensor.dtype(),
                tensor.storage_offset(),
                tensor.sizes(),
                tensor.strides(),
                tensor.requires_grad()};
  return tree.add_tensor(std::move(ref));
}

void CheckpointBuilder::save(Sink& sink) {
  std::vector<StorageBytes> bytes;
  for (auto& storage : storages_) bytes.push_back({storage->data(), static_cast<uint64_t>(storage->nbytes())});
  write_archive(sink, write_pickle(tree), bytes);
}

void CheckpointBuilder::save(const std::string& path) {
  FileSink sink(path);
  save(sink);
  sink.commit();
}

Tensor make_tensor(const Checkpoint& checkpoint, const TensorRef& ref) {
  const Ptr<Storage>& storage = checkpoint.storages.at(static_cast<size_t>(ref.storage));
  auto impl = make_ptr<TensorImpl>(storage, ref.dtype, storage->device());
  impl->set_sizes(ref.sizes, ref.strides);
  impl->offset = ref.offset;
  EMBER_CHECK_NOT_IMPLEMENTED(!ref.conj && !ref.neg, "load: tensors saved as lazy conjugates are not supported");
  return Tensor(std::move(impl));
}

NamedTensors load_state_dict(const std::string& path, const LoadOptions& options) {
  Checkpoint checkpoint = load_checkpoint(path, options);
  const Node* root = checkpoint.tree.root;
  EMBER_CHECK_TYPE(root->is_dict(), "load_state_dict: '", path, "' holds no dict at its top");
  NamedTensors out;
  for (size_t i = 0; i + 1 < root->items.size(); i += 2) {
    const Node *key = root->items[i], *value = root->items[i + 1];
    if (value->kind == Kind::kParameter) value = value->items[0];
    EMBER_CHECK_TYPE(key->kind == Kind::kString && value->kind == Kind::kTensor, "load_state_dict: '", path,
                     "': entry '", key->text, "' is no tensor");
    out.emplace_back(key->text, make_tensor(checkpoint, *value->tensor));
  }
  return out;
}

void save_state_dict(const std::string& path, const NamedTensors& tensors) {
  CheckpointBuilder builder;
  Node* root = builder.tree.root = builder.tree.add(Kind::kOrderedDict);
  for (auto& [name, tensor] : tensors) {
    root->items.push_back(builder.tree.add_string(name));
    root->items.push_back(builder.add(tensor));
  }
  builder.save(path);
}

}  // namespace ember::io
