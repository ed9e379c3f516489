// Where bytes come from and where they go. A Source is random access: a file read with pread, a mapped file, or memory.
// A Sink takes bytes in order: memory, or a file that appears under its name only once it is complete and on disk, so
// a crash or a full disk leaves the old file as it was. Failures are FileError and name the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/export.h"
#include "base/intrusive.h"

namespace ember::io {

class EMBER_API Source : public RefCounted {
 public:
  virtual uint64_t size() const = 0;
  virtual void read(uint64_t offset, void* to, size_t bytes) const = 0;  // FileError when it ends before
  virtual const char* data() const { return nullptr; }                   // the first byte, if it lies in memory
  const std::string& name() const { return name_; }

 protected:
  explicit Source(std::string name) : name_(std::move(name)) {}
  void check_range(uint64_t offset, size_t bytes) const;

 private:
  std::string name_;
};

EMBER_API Ptr<Source> open_file(const std::string& path);
// The whole file as memory, private to this process: pages may be written and the file never changes. A file that is
// shortened while mapped ends the process when the lost part is touched, as with every mapping.
EMBER_API Ptr<Source> map_file(const std::string& path);
EMBER_API Ptr<Source> memory_source(std::string bytes, std::string name = "<bytes>");
// Does not copy: `bytes` must outlive the source.
EMBER_API Ptr<Source> memory_view(std::string_view bytes, std::string name = "<bytes>");

class EMBER_API Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(const void* from, size_t bytes) = 0;
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
};

class EMBER_API MemorySink : public Sink {
 public:
  void write(const void* from, size_t bytes) override { bytes_.append(static_cast<const char*>(from), bytes); }
  using Sink::write;
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Writes beside the file, `path.tmp-<pid>`; commit() puts it in place. Without commit() the destructor removes it. What
// a link names is replaced, not the link; devices and pipes are written to as they are.
class EMBER_API FileSink : public Sink {
 public:
  explicit FileSink(std::string path);
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  void write(const void* from, size_t bytes) override;
  using Sink::write;
  void commit();

 private:
  void flush();
  void discard();

  std::string path_, target_, temporary_, buffer_;  // no temporary: the target itself is open
  int file_ = -1;
};

}  // namespace ember::io
