// Checkpoints and safetensors: what PyTorch wrote is read, what is written comes back, damaged files are refused.
// The two pickles were recorded from torch.save (PyTorch 2.13) of one OrderedDict, in the new layout and in the old.
#include "io/checkpoint.h"

#include <unistd.h>

#include <cstring>
#include <numeric>

#include "check.h"
#include "io/safetensors.h"
#include "io/zip.h"

using namespace ember;
using namespace ember::io;

namespace {

template <size_t N>
std::string_view literal(const char (&text)[N]) {
  return {text, N - 1};
}

// w=Parameter([1., 2.]), t=arange(6).reshape(2, 3).t(), same=w, n=[None, True, -1, 2**40, 1.5, 'e', b'\xff', (1,),
// {2}], d=bfloat16, s=Size([4]), c=1j; _metadata={'v': 1}
const std::string_view kPickle = literal(
    "\200\002ccollections\012OrderedDict\012q\000)Rq\001(X\001\000\000\000wq\002ctorch._utils\012_rebuild"
    "_parameter\012q\003ctorch._utils\012_rebuild_tensor_v2\012q\004((X\007\000\000\000storageq\005ctorch"
    "\012FloatStorage\012q\006X\001\000\000\0000q\007X\003\000\000\000cpuq\010K\002tq\011QK\000K\002\205q"
    "\012K\001\205q\013\211h\000)Rq\014tq\015Rq\016\210h\000)Rq\017\207q\020Rq\021X\001\000\000\000tq\022"
    "h\004((h\005ctorch\012LongStorage\012q\023X\001\000\000\0001q\024h\010K\006tq\025QK\000K\003K\002"
    "\206q\026K\001K\003\206q\027\211h\000)Rq\030tq\031Rq\032X\004\000\000\000sameq\033h\021X\001\000\000"
    "\000nq\034]q\035(N\210J\377\377\377\377\212\006\000\000\000\000\000\001G?\370\000\000\000\000\000"
    "\000X\002\000\000\000\303\251q\036c_codecs\012encode\012q\037X\002\000\000\000\303\277q X\006\000"
    "\000\000latin1q!\206q\"Rq#K\001\205q$c__builtin__\012set\012q%]q&K\002a\205q'Rq(eX\001\000\000\000dq"
    ")ctorch\012bfloat16\012q*X\001\000\000\000sq+ctorch\012Size\012q,K\004\205q-\205q.Rq/X\001\000\000"
    "\000cq0c__builtin__\012complex\012q1G\000\000\000\000\000\000\000\000G?\360\000\000\000\000\000\000"
    "\206q2Rq3u}q4X\011\000\000\000_metadataq5}q6X\001\000\000\000vq7K\001ssb.");
const std::string_view kOldFile = literal(
    "\200\002\212\012l\374\234F\371 j\250P\031.\200\002M\351\003.\200\002}q\000(X\020\000\000\000protocol"
    "_versionq\001M\351\003X\015\000\000\000little_endianq\002\210X\012\000\000\000type_sizesq\003}q\004("
    "X\005\000\000\000shortq\005K\002X\003\000\000\000intq\006K\004X\004\000\000\000longq\007K\004uu.\200"
    "\002ccollections\012OrderedDict\012q\000)Rq\001(X\001\000\000\000wq\002ctorch._utils\012_rebuild_par"
    "ameter\012q\003ctorch._utils\012_rebuild_tensor_v2\012q\004((X\007\000\000\000storageq\005ctorch\012"
    "FloatStorage\012q\006X\016\000\000\00094458368827696q\007X\003\000\000\000cpuq\010K\002Ntq\011QK\000"
    "K\002\205q\012K\001\205q\013\211h\000)Rq\014tq\015Rq\016\210h\000)Rq\017\207q\020Rq\021X\001\000\000"
    "\000tq\022h\004((h\005ctorch\012LongStorage\012q\023X\016\000\000\00094458368791568q\024h\010K\006Nt"
    "q\025QK\000K\003K\002\206q\026K\001K\003\206q\027\211h\000)Rq\030tq\031Rq\032X\004\000\000\000sameq"
    "\033h\021X\001\000\000\000nq\034]q\035(N\210J\377\377\377\377\212\006\000\000\000\000\000\001G?\370"
    "\000\000\000\000\000\000X\002\000\000\000\303\251q\036c_codecs\012encode\012q\037X\002\000\000\000"
    "\303\277q X\006\000\000\000latin1q!\206q\"Rq#K\001\205q$c__builtin__\012set\012q%]q&K\002a\205q'Rq(e"
    "X\001\000\000\000dq)ctorch\012bfloat16\012q*X\001\000\000\000sq+ctorch\012Size\012q,K\004\205q-\205q"
    ".Rq/X\001\000\000\000cq0c__builtin__\012complex\012q1G\000\000\000\000\000\000\000\000G?\360\000\000"
    "\000\000\000\000\206q2Rq3u}q4X\011\000\000\000_metadataq5}q6X\001\000\000\000vq7K\001ssb.\200\002]q"
    "\000(X\016\000\000\00094458368791568q\001X\016\000\000\00094458368827696q\002e.\006\000\000\000\000"
    "\000\000\000\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\002\000\000\000\000\000"
    "\000\000\003\000\000\000\000\000\000\000\004\000\000\000\000\000\000\000\005\000\000\000\000\000\000"
    "\000\002\000\000\000\000\000\000\000\000\000\200?\000\000\000@");

constexpr float kFloats[] = {1, 2};
constexpr int64_t kInts[] = {0, 1, 2, 3, 4, 5};

std::string archive() {
  MemorySink sink;
  write_archive(sink, kPickle, {{kFloats, sizeof kFloats}, {kInts, sizeof kInts}});
  return sink.bytes();
}

Tensor arange(DType dtype, DimsView sizes) {
  Tensor x = empty_raw(sizes, dtype);
  auto* bytes = x.data<unsigned char>();
  std::iota(bytes, bytes + x.numel() * item_size(dtype), static_cast<unsigned char>(1));
  return x;
}
bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.sizes() == b.sizes() && a.strides() == b.strides() &&
         (a.numel() == 0 ||
          std::memcmp(a.data(), b.data(), static_cast<size_t>(a.numel() * item_size(a.dtype()))) == 0);
}

void check_recorded(const Checkpoint& c) {
  const Node* root = c.tree.root;
  CHECK(root->kind == Kind::kOrderedDict && root->state->find("_metadata")->find("v")->integer == 1);
  const Node* w = root->find("w");
  CHECK(w->kind == Kind::kParameter && w->integer == 1 && w == root->find("same"));
  Tensor values = make_tensor(c, *w->items[0]->tensor);
  CHECK(values.dtype() == DType::kFloat32 && std::memcmp(values.data(), kFloats, sizeof kFloats) == 0);
  Tensor t = make_tensor(c, *root->find("t")->tensor);
  CHECK((t.sizes() == Dims{3, 2}) && (t.strides() == Dims{1, 3}) && t.dtype() == DType::kInt64);
  CHECK_EQ(std::memcmp(t.data(), kInts, sizeof kInts), 0);
  auto& n = root->find("n")->items;
  CHECK(n[0]->kind == Kind::kNone && n[2]->integer == -1 && n[3]->integer == int64_t{1} << 40 && n[4]->real == 1.5);
  CHECK(n[5]->text == "\xc3\xa9" && n[6]->kind == Kind::kBytes && n[6]->text == "\xff" && n[8]->kind == Kind::kSet);
  CHECK_EQ(root->find("d")->text, "bfloat16");
  CHECK(root->find("s")->kind == Kind::kSize && root->find("c")->imag == 1);
}

// Reads every truncation and many single-bit errors of a good file. Any answer will do but a crash, a hang, an error
// of another kind or more memory than the file is worth.
template <class Read>
void fuzz(const std::string& good, Read read) {
  auto attempt = [&](const std::string& bytes) {
    try {
      read(memory_source(bytes));
    } catch (const Error&) {}
  };
  for (size_t n = 0; n < good.size(); ++n) attempt(good.substr(0, n));
  uint32_t seed = 7;
  for (int round = 0; round < 4000; ++round) {
    std::string bad = good;
    for (int flips = 1 + round % 3; flips > 0; --flips) {
      seed = seed * 1664525 + 1013904223;
      bad[(seed >> 4) % bad.size()] ^= static_cast<char>(1 << (seed & 7));
    }
    attempt(bad);
  }
}

// Touches all that was read, so that a tensor outside its storage shows under ASAN.
void touch(const Tensor& x) {
  if (x.numel() == 0) return;
  auto* p = x.data<volatile unsigned char>();
  (void)p[0];
  int64_t last = 0;
  for (int64_t d = 0; d < x.dim(); ++d) last += (x.size(d) - 1) * x.stride(d);
  (void)p[(last + 1) * item_size(x.dtype()) - 1];
}
void load_and_touch(const Ptr<Source>& source, bool mmap) {
  LoadOptions options;
  options.mmap = mmap;
  Checkpoint c = load_checkpoint(source, options);
  std::vector<const Node*> todo{c.tree.root};
  while (!todo.empty()) {
    const Node* n = todo.back();
    todo.pop_back();
    if (n->tensor) touch(make_tensor(c, *n->tensor));
    todo.insert(todo.end(), n->items.begin(), n->items.end());
  }
}

}  // namespace

TEST(checkpoint_reads_what_pytorch_wrote) {
  std::string file = archive();
  for (bool mmap : {false, true}) {
    LoadOptions options;
    options.mmap = mmap;
    check_recorded(load_checkpoint(memory_view(file), options));
  }
  check_recorded(load_checkpoint(memory_view(kOldFile)));
}

TEST(checkpoint_writes_the_same_object_again) {
  Checkpoint c = load_checkpoint(memory_source(archive()));
  std::vector<StorageBytes> bytes;
  for (auto& s : c.storages) bytes.push_back({s->data(), static_cast<uint64_t>(s->nbytes())});
  MemorySink sink;
  write_archive(sink, write_pickle(c.tree), bytes);
  check_recorded(load_checkpoint(memory_view(sink.bytes())));
}

TEST(checkpoint_state_dict_round_trips) {
  std::string path = "/tmp/ember-checkpoint-" + std::to_string(getpid()) + ".pt";
  Tensor base = arange(DType::kFloat32, {4, 6}), view = alias_raw(base, {2, 3}, {1, 6}, 5);
  NamedTensors tensors = {{"base", base}, {"view", view}, {"empty", empty_raw({0, 3}, DType::kInt8)}};
  for (int i = 0; i < kNumDTypes; ++i) {
    auto dtype = static_cast<DType>(i);
    tensors.emplace_back(str("x.", dtype), arange(dtype, {2, 2}));
  }
  save_state_dict(path, tensors);
  for (bool mmap : {false, true}) {
    LoadOptions options;
    options.mmap = mmap;
    NamedTensors again = load_state_dict(path, options);
    CHECK_EQ(again.size(), tensors.size());
    CHECK(again[0].second->storage == again[1].second->storage);
    CHECK((again[1].second.strides() == Dims{1, 6}) && again[1].second.storage_offset() == 5);
    for (size_t i = 0; i < tensors.size(); ++i) {
      CHECK_EQ(again[i].first, tensors[i].first);
      CHECK(i == 1 || same(again[i].second, tensors[i].second));
    }
    *again[0].second.data<float>() = 0;  // a mapped file is private
  }
  CHECK(same(load_state_dict(path)[0].second, base));
  unlink(path.c_str());
}

TEST(checkpoint_refuses_other_files) {
  auto load = [](std::string_view bytes) { return load_checkpoint(memory_view(bytes)).storages.size(); };
  CHECK_THROWS(load(""), "the file is empty");
  CHECK_THROWS(load("hello world"), "Weights only load failed.");
  CHECK_THROWS(load(std::string(257, '\0') + "ustar\0" + std::string(300, '\0')), "legacy .tar format");
  MemorySink sink;
  ZipWriter zip(sink);
  zip.add("archive/other", "x");
  zip.finish();
  CHECK_THROWS(load(sink.bytes()), "is a zip archive without data.pkl");
  MemorySink short_storage;
  write_archive(short_storage, kPickle, {{kFloats, 4}, {kInts, sizeof kInts}});
  CHECK_THROWS(load(short_storage.bytes()), "storage '0' has 4 bytes, but 8 are wanted");
  MemorySink outside;
  std::string pickle(kPickle);
  pickle[pickle.find("QK") + 2] = 1;  // the first tensor's offset
  write_archive(outside, pickle, {{kFloats, sizeof kFloats}, {kInts, sizeof kInts}});
  CHECK_THROWS(load(outside.bytes()), "reaches outside its storage '0' of 8 bytes");
}

TEST(checkpoint_survives_damaged_files) {
  fuzz(archive(), [](const Ptr<Source>& s) { load_and_touch(s, false), load_and_touch(s, true); });
  fuzz(std::string(kOldFile), [](const Ptr<Source>& s) { load_and_touch(s, false); });
}

TEST(safetensors_round_trips) {
  NamedTensors tensors;
  for (int i = 0; i < kNumDTypes - 1; ++i) {  // the format has no complex128
    auto dtype = static_cast<DType>(i);
    tensors.emplace_back(str("x \"", dtype, "\"\n"), arange(dtype, {3, 2}));
  }
  tensors.emplace_back("none", empty_raw({0, 2}, DType::kFloat32));
  tensors.emplace_back("number", arange(DType::kFloat64, {}));
  MemorySink sink;
  write_safetensors(sink, tensors, {{"format", "pt"}, {"k\\", "\x01\xc3\xa9"}});
  SafeTensors file(memory_view(sink.bytes()));
  CHECK_EQ(file.tensors().size(), tensors.size());
  for (auto& [name, x] : tensors) CHECK(same(file.tensor(file.find(name)), x));
  CHECK_EQ(file.metadata().at("k\\"), "\x01\xc3\xa9");
  CHECK_THROWS(file.find("y"), "does not contain tensor y");
  CHECK_THROWS(write_safetensors(sink, {{"a", arange(DType::kComplex128, {1})}}), "which the format lacks");
  Tensor x = arange(DType::kInt8, {2, 3});
  CHECK_THROWS(write_safetensors(sink, {{"t", alias_raw(x, {3, 2}, {1, 3}, 0)}}), "must be contiguous");
}

TEST(safetensors_refuses_bad_headers) {
  auto open = [](std::string header, size_t data) {
    uint64_t bytes = header.size();
    std::string file(reinterpret_cast<char*>(&bytes), 8);
    return SafeTensors(memory_source(file + header + std::string(data, 'x'))).tensors().size();
  };
  std::string a = R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  CHECK_EQ(open("{" + a + "}", 2), 1u);
  CHECK_EQ(
      open(R"({"\u0041\ud83d\ude00":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"more":[1.5e3,{"x":null}]}}  )", 2),
      1u);
  CHECK_THROWS(open("{" + a + "}", 3), "file not fully covered");
  CHECK_THROWS(open("{" + a + "}", 1), "is cut off");
  CHECK_THROWS(open("{" + a + "," + a + "}", 2), "duplicate key 'a'");
  CHECK_THROWS(open("{" + a + ",}", 2), "expected '\"'");
  CHECK_THROWS(open("{" + a + "} x", 2), "the end of the header");
  CHECK_THROWS(open(" {" + a + "}", 2), "invalid header start");
  CHECK_THROWS(open(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}})", 2), "which its shape does not take");
  CHECK_THROWS(open(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", 2), "invalid offset");
  CHECK_THROWS(open(R"({"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}})", 2), "unsigned integer");
  CHECK_THROWS(open(R"({"a":{"dtype":"U8","shape":[9223372036854775807,4],"data_offsets":[0,2]}})", 2),
               "does not take");
  CHECK_THROWS(open(R"({"a":{"shape":[2],"data_offsets":[0,2]}})", 2), "lacks a dtype");
  CHECK_THROWS(open("{" + a + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2), "invalid offset");
  CHECK_THROWS(open(R"({"__metadata__":{"a":1}})", 0), "expected '\"'");
  CHECK_THROWS(open("{\"a\":" + std::string(100, '[') + "}", 0), "expected");
  std::string huge(8, '\377');
  CHECK_THROWS(SafeTensors(memory_source(huge)), "header too large");
}

TEST(safetensors_survives_damaged_files) {
  MemorySink sink;
  write_safetensors(sink, {{"a", arange(DType::kFloat32, {2, 2})}, {"b", arange(DType::kInt8, {3})}}, {{"k", "v"}});
  fuzz(sink.bytes(), [](const Ptr<Source>& s) {
    SafeTensors file(s);
    for (auto& t : file.tensors()) touch(file.tensor(t));
  });
}
