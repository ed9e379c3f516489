// Streams, checksums, zip archives, pickles and trees. Pickles here were recorded from Python's pickle.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "check.h"
#include "io/crc32.h"
#include "io/pickle.h"
#include "io/stream.h"
#include "io/zip.h"

using namespace ember;
using namespace ember::io;

namespace {

std::string temporary_folder() {
  char name[] = "/tmp/ember-io-XXXXXX";
  return mkdtemp(name);
}
std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}
template <size_t N>
std::string_view literal(const char (&text)[N]) {
  return {text, N - 1};
}

}  // namespace

TEST(io_file_sink_replaces_only_on_commit) {
  std::string folder = temporary_folder(), path = folder + "/x";
  {
    FileSink sink(path);
    sink.write("old");
    sink.commit();
  }
  CHECK_EQ(contents(path), "old");
  { FileSink(path).write("never finished"); }
  CHECK_EQ(contents(path), "old");
  {
    FileSink sink(path);
    std::string big(3 << 20, 'b');
    sink.write("a"), sink.write(big), sink.write("c");
    sink.commit();
  }
  CHECK_EQ(contents(path), "a" + std::string(3 << 20, 'b') + "c");
  std::remove(path.c_str());
  CHECK_EQ(rmdir(folder.c_str()), 0);  // no temporary is left
  CHECK_THROWS(FileSink(folder + "/no/such"), "No such file or directory");
  CHECK_THROWS(open_file(folder + "/none"), "No such file or directory: '" + folder + "/none'");
  CHECK_THROWS(map_file("/tmp"), "Is a directory");
}

// A limit on file size stands in for a full disk.
TEST(io_full_disk_leaves_the_old_file) {
  std::string folder = temporary_folder(), path = folder + "/x";
  std::ofstream(path) << "old";
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 1 << 16;
  setrlimit(RLIMIT_FSIZE, &small);
  std::string what;
  try {
    FileSink sink(path);
    sink.write(std::string(1 << 22, 'x'));
    sink.commit();
  } catch (const FileError& e) { what = e.what(); }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(what.find("File too large: '" + path) != what.npos);
  CHECK_EQ(contents(path), "old");
  std::remove(path.c_str());
  CHECK_EQ(rmdir(folder.c_str()), 0);
}

TEST(io_sources_agree_and_check_ranges) {
  std::string folder = temporary_folder(), path = folder + "/x";
  std::ofstream(path) << "0123456789";
  for (auto& source : {open_file(path), map_file(path), memory_source("0123456789"), memory_view("0123456789")}) {
    char out[4] = {};
    CHECK_EQ(source->size(), 10u);
    source->read(6, out, 4);
    CHECK_EQ(std::string(out, 4), "6789");
    CHECK_THROWS(source->read(7, out, 4), "ends at byte 10");
    CHECK_THROWS(source->read(~uint64_t{0}, out, 2), "ends at byte 10");
  }
  std::remove(path.c_str()), rmdir(folder.c_str());
}

// The check value of the CRC-32 catalogue; then every length and alignment against the bytewise definition.
TEST(io_crc32) {
  CHECK_EQ(crc32(0, "123456789", 9), 0xCBF43926u);
  std::string data;
  for (uint32_t i = 0; i < 700; ++i) data += static_cast<char>(i * 2654435761u >> 24);
  for (size_t start : {0, 1, 7})
    for (size_t n = 0; start + n <= data.size(); ++n) {
      uint32_t plain = ~0u;
      for (size_t i = 0; i < n; ++i) {
        plain ^= static_cast<unsigned char>(data[start + i]);
        for (int bit = 0; bit < 8; ++bit) plain = plain >> 1 ^ (plain & 1 ? 0xEDB88320u : 0);
      }
      CHECK_EQ(crc32(0, data.data() + start, n), ~plain);
    }
}

TEST(io_zip_round_trip) {
  MemorySink sink;
  ZipWriter writer(sink);
  std::vector<std::pair<std::string, std::string>> records = {
      {"a", ""}, {"dir/b", "hello"}, {"c", std::string(100000, 'z')}};
  for (int i = 0; i < 70; ++i) records.push_back({std::string(static_cast<size_t>(i), 'n') + "x", std::to_string(i)});
  for (auto& [name, data] : records) writer.add(name, data);
  CHECK_THROWS(writer.add("a", ""), "two records are named 'a'");
  writer.finish();
  ZipReader reader(memory_view(sink.bytes()));
  CHECK_EQ(reader.names().size(), records.size());
  for (auto& [name, data] : records) {
    CHECK(reader.read(name) == data && reader.verify(name));
    CHECK_EQ(reader.find(name).offset % 64, 0u);
  }
  CHECK_THROWS(reader.read("nothing"), "no record is named 'nothing'");
  CHECK_THROWS(ZipReader(memory_view("short")), "too short for a zip archive");
}

TEST(io_zip_counts_records_past_16_bits) {
  MemorySink sink;
  ZipWriter writer(sink);
  for (int i = 0; i < 70000; ++i) writer.add(std::to_string(i), "");
  writer.finish();
  ZipReader reader(memory_view(sink.bytes()));
  CHECK_EQ(reader.names().size(), 70000u);
  CHECK(reader.contains("69999"));
}

TEST(io_zip_refuses_what_it_does_not_know) {
  MemorySink sink;
  ZipWriter writer(sink);
  writer.add("a", "data");
  writer.finish();
  std::string deflated = sink.bytes(), encrypted = deflated, lying = deflated;
  size_t directory = deflated.find(literal("PK\1\2"));
  deflated[directory + 10] = 8, encrypted[directory + 8] |= 1, lying[directory + 24] = lying[directory + 20] = 127;
  CHECK_THROWS(ZipReader(memory_view(deflated)).read("a"), "is compressed (method 8)");
  CHECK_THROWS(ZipReader(memory_view(encrypted)).read("a"), "is encrypted");
  CHECK_THROWS(ZipReader(memory_view(lying)).read("a"), "record 'a' is cut off");
}

TEST(io_pickle_reads_protocol_5) {
  // {'a': [1, 2.5, {'k': (True, None)}], 'c': b'abc', 'd': {1, 2}, 'e': 2**70, 'f': -2**70}
  Tree tree = read_pickle(
      literal("\200\005\225W\000\000\000\000\000\000\000}\224(\214\001a\224]\224(K\001G@\004\000\000\000\000\000"
              "\000}\224\214\001k\224\210N\206\224se\214\001c\224C\003abc\224\214\001d\224\217\224(K\001K\002\220"
              "\214\001e\224\212\011\000\000\000\000\000\000\000\000@\214\001f\224\212\011\000\000\000\000\000\000"
              "\000\000\300u."));
  const Node* a = tree.root->find("a");
  CHECK(a->kind == Kind::kList && a->items[0]->integer == 1 && a->items[1]->real == 2.5);
  const Node* k = a->items[2]->find("k");
  CHECK(k->kind == Kind::kTuple && k->items[0]->kind == Kind::kBool && k->items[1]->kind == Kind::kNone);
  CHECK_EQ(tree.root->find("c")->text, "abc");
  CHECK_EQ(tree.root->find("d")->items.size(), 2u);
  CHECK_EQ(tree.root->find("e")->text, std::string(8, '\0') + "@");
  CHECK_EQ(tree.root->find("f")->text, std::string(8, '\0') + "\xc0");
}

TEST(io_pickle_keeps_identity) {
  Tree tree;
  Node* shared = tree.add(Kind::kList, std::vector<Node*>{tree.add_int(1)});
  tree.root = tree.add(Kind::kTuple, std::vector<Node*>{shared, shared, tree.add(Kind::kList)});
  Tree again = read_pickle(write_pickle(tree));
  CHECK(again.root->items[0] == again.root->items[1] && again.root->items[0] != again.root->items[2]);
}

TEST(io_pickle_round_trips_numbers_and_text) {
  Tree tree;
  Node* list = tree.root = tree.add(Kind::kList);
  std::vector<int64_t> ints = {0, 255, 256, 65535, 65536, -1, INT32_MIN, INT64_C(1) << 31, INT64_MIN, INT64_MAX};
  for (int64_t i : ints) list->items.push_back(tree.add_int(i));
  list->items.push_back(tree.add_float(-1.5));
  list->items.push_back(tree.add_float(1, 2, Kind::kComplex));
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  for (Kind kind : {Kind::kBytes, Kind::kByteArray}) list->items.push_back(tree.add(kind, every));
  list->items.push_back(tree.add_string("h\xc3\xa9"));
  Tree again = read_pickle(write_pickle(tree));
  for (size_t i = 0; i < ints.size(); ++i) CHECK_EQ(again.root->items[i]->integer, ints[i]);
  CHECK_EQ(again.root->items[10]->real, -1.5);
  CHECK(again.root->items[11]->real == 1 && again.root->items[11]->imag == 2);
  CHECK(again.root->items[12]->text == every && again.root->items[13]->kind == Kind::kByteArray);
  CHECK_EQ(again.root->items[14]->text, "h\xc3\xa9");
}

TEST(io_pickle_refuses_code_and_nonsense) {
  auto read = [](std::string_view text) { return read_pickle(text).root->depth; };
  CHECK_THROWS(read(literal("\200\002cposix\nsystem\n.")), "GLOBAL posix.system whose module posix is blocked.");
  CHECK_THROWS(read(literal("\200\002csubprocess\nPopen\n.")),
               "Unsupported global: GLOBAL subprocess.Popen was not an allowed global by default.");
  CHECK_THROWS(read(literal("\200\002c__builtin__\neval\n.")), "GLOBAL eval was not an allowed global by default.");
  CHECK_THROWS(read(literal("\200\004\214\007builtin\214\004eval\223.")), "Unsupported global: GLOBAL builtin.eval");
  CHECK_THROWS(read(literal("\200\002i")), "Unsupported operand 105");
  CHECK_THROWS(read(literal("\200\001.")), "unsupported pickle protocol: 1");
  CHECK_THROWS(read(literal("\200\002]q\000h\000a.")), "a container holds itself");
  CHECK_THROWS(read(literal("\200\002X\377\377\377\377a")), "pickle data was truncated");
  CHECK_THROWS(read(literal("\200\002r\377\377\377\377.")), "memo index");
  CHECK_THROWS(read(literal("\200\002}]Ns.")), "unhashable type: 'list'");
  CHECK_THROWS(read(literal("\200\002ctorch\nSize\nN\205R.")), "must be a tuple");
  CHECK_THROWS(read("\200\002" + std::string(1001, ']') + std::string(1000, 'a') + "."), "nested deeper than 1000");
  CHECK_EQ(read("\200\002" + std::string(1000, ']') + std::string(999, 'a') + "."), 1000);
  // One long string, encoded again and again.
  std::string bomb =
      std::string(literal("\200\002c_codecs\nencode\nq\000X\000\000\020\000")) + std::string(1 << 20, 'x') + "q\001";
  bomb += literal("X\006\000\000\000latin1q\002");
  for (int i = 0; i < 1000; ++i) bomb += literal("h\000h\001h\002\206R");
  CHECK_THROWS(read(bomb + "."), "far larger than the file");
  PickleOptions options;
  options.max_nodes = 10;
  CHECK_THROWS(read_pickle("\200\002" + std::string(11, 'N') + ".", options), "more than 10 objects");
}

TEST(io_pickle_allows_names_it_was_told) {
  PickleOptions options;
  options.allow = [](std::string_view name) { return name == "argparse.Namespace"; };
  // A Namespace with x = 1: an object whose state is a dict.
  Tree tree = read_pickle(literal("\200\002cargparse\nNamespace\n)\201}X\001\000\000\000xK\001sb."), options);
  CHECK(tree.root->kind == Kind::kObject && tree.root->items[0]->text == "argparse.Namespace");
  CHECK_EQ(tree.root->state->find("x")->integer, 1);
  Tree again = read_pickle(write_pickle(tree), options);
  CHECK(again.root->kind == Kind::kObject && again.root->state->find("x")->integer == 1);
}
