// Zip archives as checkpoints use them: records stored without compression, each aligned so that it can be used in
// place from a mapped file. The reader trusts nothing that the file says: every offset and length is checked before it
// is followed. The writer streams, and goes over to zip64 where 32 bits do not hold a size or an offset.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/intrusive.h"
#include "io/stream.h"

namespace ember::io {

struct ZipRecord {
  uint64_t offset = 0;  // of the record's first byte in the file
  uint64_t bytes = 0;
  uint32_t crc = 0;
};

class EMBER_API ZipReader {
 public:
  // FileError when the file is no zip archive, or a damaged one.
  explicit ZipReader(Ptr<Source> source);

  const Source& source() const { return *source_; }
  const Ptr<Source>& source_ptr() const { return source_; }
  std::vector<std::string> names() const;
  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  // Where a record lies. FileError when there is none of this name, or it is compressed, encrypted or cut off.
  ZipRecord find(std::string_view name) const;
  std::string read(std::string_view name) const;
  // Whether the record's bytes have the checksum that the archive gives. (Checkpoints may be written without.)
  bool verify(std::string_view name) const;

 private:
  struct Entry {
    uint64_t header, bytes, packed;
    uint32_t crc;
    uint16_t method, flags;
  };
  void read_directory(uint64_t offset, uint64_t bytes, uint64_t count);

  Ptr<Source> source_;
  uint64_t directory_ = 0;  // records end before it
  std::map<std::string, Entry, std::less<>> entries_;
};

class EMBER_API ZipWriter {
 public:
  explicit ZipWriter(Sink& sink) : sink_(sink) {}
  // Writes one record whose bytes start at a multiple of 64. ValueError when the name was written before.
  void add(std::string_view name, const void* data, uint64_t bytes);
  void add(std::string_view name, std::string_view data) { add(name, data.data(), data.size()); }
  void finish();  // writes the directory

 private:
  struct Entry {
    uint64_t header, bytes;
    uint32_t crc;
  };
  void put(std::string_view bytes);

  Sink& sink_;
  uint64_t at_ = 0;
  std::vector<std::pair<std::string, Entry>> entries_;
  std::map<std::string, bool, std::less<>> seen_;
};

}  // namespace ember::io
