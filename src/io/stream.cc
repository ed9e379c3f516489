// Plain POSIX calls; each is retried when a signal interrupts it, and its error becomes a FileError.
#include "io/stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace ember::io {
namespace {

[[noreturn]] EMBER_COLD void system_error(const char* what, const std::string& path) {
  int code = errno;
  fail<FileError>("[Errno ", code, "] ", std::strerror(code), ": '", path, "' (", what, ")");
}

template <class Call>
auto retry(Call call) {
  decltype(call()) result;
  do result = call();
  while (result == -1 && errno == EINTR);
  return result;
}

struct Descriptor {
  explicit Descriptor(const std::string& path)
      : file(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })) {
    if (file < 0) system_error("open", path);
  }
  ~Descriptor() { ::close(file); }
  uint64_t regular_size(const std::string& path) const {
    struct stat info;
    if (::fstat(file, &info) != 0) system_error("stat", path);
    if (S_ISDIR(info.st_mode)) errno = EISDIR, system_error("open", path);
    return static_cast<uint64_t>(info.st_size);
  }
  int file;
};

class File final : public Source {
 public:
  explicit File(const std::string& path) : Source(path), descriptor_(path), size_(descriptor_.regular_size(path)) {}
  uint64_t size() const override { return size_; }
  void read(uint64_t offset, void* to, size_t bytes) const override {
    check_range(offset, bytes);
    for (size_t done = 0; done < bytes;) {
      size_t want = std::min(bytes - done, size_t{1} << 30);
      ssize_t got = retry([&] {
        return ::pread(descriptor_.file, static_cast<char*>(to) + done, want, static_cast<off_t>(offset + done));
      });
      if (got < 0) system_error("read", name());
      EMBER_CHECK_AS(FileError, got > 0, "read: '", name(), "' became shorter while it was read");
      done += static_cast<size_t>(got);
    }
  }

 private:
  Descriptor descriptor_;
  uint64_t size_;
};

class Mapping final : public Source {
 public:
  explicit Mapping(const std::string& path) : Source(path) {
    Descriptor descriptor(path);
    size_ = descriptor.regular_size(path);
    if (size_ == 0) return;  // an empty mapping is an error to the kernel
    void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor.file, 0);
    if (at == MAP_FAILED) system_error("mmap", path);
    data_ = static_cast<char*>(at);
  }
  ~Mapping() override {
    if (data_) ::munmap(data_, size_);
  }
  uint64_t size() const override { return size_; }
  const char* data() const override { return data_; }
  void read(uint64_t offset, void* to, size_t bytes) const override {
    check_range(offset, bytes);
    if (bytes) std::memcpy(to, data_ + offset, bytes);
  }

 private:
  char* data_ = nullptr;
  uint64_t size_ = 0;
};

class Memory final : public Source {
 public:
  Memory(std::string owned, std::string name) : Source(std::move(name)), owned_(std::move(owned)), view_(owned_) {}
  Memory(std::string_view view, std::string name) : Source(std::move(name)), view_(view) {}
  uint64_t size() const override { return view_.size(); }
  const char* data() const override { return view_.data(); }
  void read(uint64_t offset, void* to, size_t bytes) const override {
    check_range(offset, bytes);
    if (bytes) std::memcpy(to, view_.data() + offset, bytes);
  }

 private:
  std::string owned_;
  std::string_view view_;
};

}  // namespace

void Source::check_range(uint64_t offset, size_t bytes) const {
  EMBER_CHECK_AS(FileError, offset <= size() && bytes <= size() - offset, "read: '", name_, "' ends at byte ", size(),
                 ", but bytes ", offset, " to ", offset + bytes, " were wanted: the file is truncated or corrupt");
}

Ptr<Source> open_file(const std::string& path) { return make_ptr<File>(path); }
Ptr<Source> map_file(const std::string& path) { return make_ptr<Mapping>(path); }
Ptr<Source> memory_source(std::string bytes, std::string name) {
  return make_ptr<Memory>(std::move(bytes), std::move(name));
}
Ptr<Source> memory_view(std::string_view bytes, std::string name) { return make_ptr<Memory>(bytes, std::move(name)); }

constexpr size_t kBuffer = 1 << 20;

FileSink::FileSink(std::string path) : path_(std::move(path)) {
  // Two threads of one process may save the same name: the number keeps their temporaries apart.
  static std::atomic<int> number{0};
  target_ = path_;
  if (char* real = ::realpath(path_.c_str(), nullptr)) {
    target_ = real;
    std::free(real);
  }
  struct stat old;
  const bool special = ::stat(target_.c_str(), &old) == 0 && !S_ISREG(old.st_mode) && !S_ISDIR(old.st_mode);
  if (!special) {
    temporary_ = str(target_, ".tmp-", static_cast<int>(::getpid()));
    if (int n = number.fetch_add(1)) temporary_ += str("-", n);
  }
  const std::string& opened = special ? target_ : temporary_;
  const int how = O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_TRUNC);
  file_ = retry([&] { return ::open(opened.c_str(), how, 0666); });
  if (file_ < 0) system_error("open for writing", path_);
}

FileSink::~FileSink() {
  if (file_ < 0) return;
  ::close(file_);
  discard();
}

void FileSink::discard() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void FileSink::write(const void* from, size_t bytes) {
  if (buffer_.size() + bytes <= kBuffer) {
    buffer_.append(static_cast<const char*>(from), bytes);
    return;
  }
  flush();
  for (const char* at = static_cast<const char*>(from); bytes > 0;) {
    ssize_t done = retry([&] { return ::write(file_, at, std::min(bytes, size_t{1} << 30)); });
    if (done < 0) system_error("write", path_);
    at += done;
    bytes -= static_cast<size_t>(done);
  }
}

void FileSink::flush() {
  std::string pending;
  pending.swap(buffer_);
  for (size_t at = 0; at < pending.size();) {
    ssize_t done = retry([&] { return ::write(file_, pending.data() + at, pending.size() - at); });
    if (done < 0) system_error("write", path_);
    at += static_cast<size_t>(done);
  }
}

void FileSink::commit() {
  flush();
  // A new file takes the permissions of the one that it replaces.
  struct stat old;
  if (!temporary_.empty() && ::stat(target_.c_str(), &old) == 0) (void)!::fchmod(file_, old.st_mode & 07777);
  if (::fsync(file_) != 0 && errno != EINVAL) system_error("fsync", path_);
  if (::close(std::exchange(file_, -1)) != 0) {
    int code = errno;
    discard();
    errno = code, system_error("close", path_);
  }
  if (!temporary_.empty() && ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    int code = errno;
    discard();
    errno = code, system_error("rename", path_);
  }
}

}  // namespace ember::io
