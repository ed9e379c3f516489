// The format in brief: for each record a local header and its bytes; then the directory, which repeats the headers with
// offsets; then the end record, found from the file's end. Zip64 puts what does not fit 32 bits into extra fields.
#include "io/zip.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/crc32.h"

static_assert(std::endian::native == std::endian::little, "file formats are read and written in little-endian order");

namespace ember::io {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint64_t k32 = 0xffffffff;
constexpr uint16_t kUtf8 = 1 << 11, kEncrypted = 1, kZip64Id = 1, kPaddingId = 0x4246;
constexpr uint64_t kAlign = 64;

template <class T>
T field(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
uint16_t u16(std::string_view b, size_t at) { return field<uint16_t>(b, at); }
uint32_t u32(std::string_view b, size_t at) { return field<uint32_t>(b, at); }
uint64_t u64(std::string_view b, size_t at) { return field<uint64_t>(b, at); }

template <class... Parts>
[[noreturn]] EMBER_COLD void corrupt(const Source& s, const Parts&... parts) {
  fail<FileError>("zip: '", s.name(), "': ", parts..., ": the file is truncated or corrupt");
}

std::string slice(const Source& s, uint64_t offset, uint64_t bytes) {
  if (offset > s.size() || bytes > s.size() - offset) corrupt(s, "a header lies outside the file");
  std::string out(bytes, '\0');
  s.read(offset, out.data(), bytes);
  return out;
}

}  // namespace

ZipReader::ZipReader(Ptr<Source> source) : source_(std::move(source)) {
  const Source& s = *source_;
  if (s.size() < kEndBytes) corrupt(s, "too short for a zip archive");
  // The end record is the last thing in the file, but for a comment of at most 64 KB.
  uint64_t tail_bytes = std::min<uint64_t>(s.size(), kEndBytes + 0xffff), tail_at = s.size() - tail_bytes;
  std::string tail = slice(s, tail_at, tail_bytes);
  size_t end = tail.rfind(std::string_view("PK\5\6", 4), tail.size() - kEndBytes);
  if (end == std::string::npos) corrupt(s, "no end record");
  uint64_t count = u16(tail, end + 10), bytes = u32(tail, end + 12), offset = u32(tail, end + 16);
  uint64_t end_at = tail_at + end;
  bool needs64 = count == 0xffff || bytes == k32 || offset == k32;
  if (needs64 && end_at >= kLocatorBytes) {
    std::string locator = slice(s, end_at - kLocatorBytes, kLocatorBytes);
    if (u32(locator, 0) == kLocator64) {
      std::string end64 = slice(s, u64(locator, 8), kEnd64Bytes);
      if (u32(end64, 0) != kEnd64) corrupt(s, "no zip64 end record");
      count = u64(end64, 32), bytes = u64(end64, 40), offset = u64(end64, 48);
    }
  }
  read_directory(offset, bytes, count);
}

void ZipReader::read_directory(uint64_t offset, uint64_t bytes, uint64_t count) {
  const Source& s = *source_;
  if (count > bytes / kCentralBytes) corrupt(s, "the directory is too short for its ", count, " records");
  std::string directory = slice(s, offset, bytes);
  directory_ = offset;
  std::string_view rest = directory;
  for (; count > 0; --count) {
    if (rest.size() < kCentralBytes || u32(rest, 0) != kCentral) corrupt(s, "a damaged directory");
    Entry e{u32(rest, 42), u32(rest, 24), u32(rest, 20), u32(rest, 16), u16(rest, 10), u16(rest, 8)};
    size_t name_bytes = u16(rest, 28), extra_bytes = u16(rest, 30), comment_bytes = u16(rest, 32);
    if (rest.size() - kCentralBytes < name_bytes + extra_bytes + comment_bytes) corrupt(s, "a damaged directory");
    std::string name(rest.substr(kCentralBytes, name_bytes));
    std::string_view extra = rest.substr(kCentralBytes + name_bytes, extra_bytes);
    rest.remove_prefix(kCentralBytes + name_bytes + extra_bytes + comment_bytes);
    while (extra.size() >= 4) {
      size_t id = u16(extra, 0), length = u16(extra, 2);
      if (length > extra.size() - 4) break;
      std::string_view body = extra.substr(4, length);
      extra.remove_prefix(4 + length);
      if (id != kZip64Id) continue;
      for (uint64_t* value : {&e.bytes, &e.packed, &e.header}) {  // only those that did not fit, in this order
        if (*value != k32) continue;
        if (body.size() < 8) corrupt(s, "a damaged zip64 field of record '", name, "'");
        *value = u64(body, 0);
        body.remove_prefix(8);
      }
    }
    if (!entries_.try_emplace(name, e).second) corrupt(s, "two records are named '", name, "'");
  }
}

std::vector<std::string> ZipReader::names() const {
  std::vector<std::string> out;
  for (auto& [name, entry] : entries_) out.push_back(name);
  return out;
}

ZipRecord ZipReader::find(std::string_view name) const {
  const Source& s = *source_;
  auto found = entries_.find(name);
  EMBER_CHECK_AS(FileError, found != entries_.end(), "zip: '", s.name(), "': no record is named '", name, "'");
  const Entry& e = found->second;
  EMBER_CHECK_AS(FileError, !(e.flags & kEncrypted), "zip: '", s.name(), "': record '", name, "' is encrypted");
  EMBER_CHECK_AS(FileError, e.method == 0, "zip: '", s.name(), "': record '", name, "' is compressed (method ",
                 int{e.method}, "); only stored records are supported");
  std::string local = slice(s, e.header, kLocalBytes);
  if (u32(local, 0) != kLocal || e.packed != e.bytes) corrupt(s, "a damaged header of record '", name, "'");
  uint64_t start = e.header + kLocalBytes + u16(local, 26) + u16(local, 28);
  if (start > directory_ || e.bytes > directory_ - start) corrupt(s, "record '", name, "' is cut off");
  return {start, e.bytes, e.crc};
}

std::string ZipReader::read(std::string_view name) const {
  ZipRecord record = find(name);
  return slice(*source_, record.offset, record.bytes);
}

bool ZipReader::verify(std::string_view name) const {
  ZipRecord record = find(name);
  uint32_t crc = 0;
  std::string piece;
  for (uint64_t at = 0; at < record.bytes; at += piece.size()) {
    piece = slice(*source_, record.offset + at, std::min<uint64_t>(record.bytes - at, 1 << 20));
    crc = crc32(crc, piece.data(), piece.size());
  }
  return crc == record.crc;
}

namespace {

struct Bytes : std::string {
  Bytes& w16(uint64_t v) { return raw(static_cast<uint16_t>(v)); }
  Bytes& w32(uint64_t v) { return raw(static_cast<uint32_t>(v)); }
  Bytes& w64(uint64_t v) { return raw(v); }
  template <class T>
  Bytes& raw(T value) {
    append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
};

// Date and time are 1980-01-01: equal contents give equal files.
constexpr uint32_t kTime = 0x00210000;

}  // namespace

void ZipWriter::put(std::string_view bytes) {
  sink_.write(bytes);
  at_ += bytes.size();
}

void ZipWriter::add(std::string_view name, const void* data, uint64_t bytes) {
  EMBER_CHECK_VALUE(name.size() <= 0xffff, "zip: a record's name has ", name.size(), " bytes; at most 65535 fit");
  EMBER_CHECK_VALUE(seen_.try_emplace(std::string(name), true).second, "zip: two records are named '", name, "'");
  Entry e{at_, bytes, crc32(0, data, bytes)};
  bool big = bytes >= k32;
  Bytes extra;
  if (big) extra.w16(kZip64Id).w16(16).w64(bytes).w64(bytes);
  // Padding is an extra field of its own, so it takes four bytes or none.
  uint64_t start = at_ + kLocalBytes + name.size() + extra.size(), pad = -start % kAlign;
  if (pad != 0 && pad < 4) pad += kAlign;
  if (pad) {
    extra.w16(kPaddingId).w16(pad - 4);
    extra.append(pad - 4, 'Z');
  }
  Bytes header;
  header.w32(kLocal).w16(big ? 45 : 20).w16(kUtf8).w16(0).w32(kTime).w32(e.crc);
  header.w32(big ? k32 : bytes).w32(big ? k32 : bytes).w16(name.size()).w16(extra.size());
  put(header), put(name), put(extra);
  sink_.write(data, bytes);
  at_ += bytes;
  entries_.push_back({std::string(name), e});
}

void ZipWriter::finish() {
  uint64_t start = at_;
  for (auto& [name, e] : entries_) {
    Bytes extra;
    bool big = e.bytes >= k32, far = e.header >= k32;
    if (big || far) {
      extra.w16(kZip64Id).w16((big ? 16 : 0) + (far ? 8 : 0));
      if (big) extra.w64(e.bytes).w64(e.bytes);
      if (far) extra.w64(e.header);
    }
    int version = big || far ? 45 : 20;
    Bytes entry;
    entry.w32(kCentral).w16(version).w16(version).w16(kUtf8).w16(0).w32(kTime).w32(e.crc);
    entry.w32(big ? k32 : e.bytes).w32(big ? k32 : e.bytes).w16(name.size()).w16(extra.size()).w16(0).w16(0).w16(0);
    entry.w32(0).w32(far ? k32 : e.header);
    put(entry), put(name), put(extra);
  }
  uint64_t bytes = at_ - start, count = entries_.size();
  Bytes end;
  if (count >= 0xffff || bytes >= k32 || start >= k32) {
    end.w32(kEnd64).w64(kEnd64Bytes - 12).w16(45).w16(45).w32(0).w32(0).w64(count).w64(count).w64(bytes).w64(start);
    end.w32(kLocator64).w32(0).w64(at_).w32(1);
  }
  uint64_t count16 = std::min<uint64_t>(count, 0xffff);
  end.w32(kEnd).w16(0).w16(0).w16(count16).w16(count16).w32(std::min(bytes, k32)).w32(std::min(start, k32)).w16(0);
  put(end);
}

}  // namespace ember::io
