// safetensors: eight bytes of header length, a JSON header that names each tensor's dtype, shape and place, then the
// tensors' bytes without gaps. The header is checked in full before anything is handed out, so a file either names
// bytes that exist, once each, or is refused. Tensors look at the file's mapped pages; nothing is copied.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/export.h"
#include "io/checkpoint.h"
#include "io/stream.h"

namespace ember::io {

struct SafeTensorInfo {
  std::string name;
  std::string dtype_name;  // "F32", "BF16", "F8_E4M3"
  Dims sizes;
  uint64_t begin = 0, bytes = 0;  // begin: from the start of the file
};

class EMBER_API SafeTensors {
 public:
  // FileError for a damaged file, naming what is wrong in safetensors' own terms.
  explicit SafeTensors(Ptr<Source> source);
  explicit SafeTensors(const std::string& path) : SafeTensors(map_file(path)) {}

  const std::vector<SafeTensorInfo>& tensors() const { return tensors_; }  // in the order of their bytes
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const SafeTensorInfo& find(std::string_view name) const;  // IndexError when there is none
  // Over the source's memory where it has any and the bytes are aligned for the dtype, else a copy.
  Tensor tensor(const SafeTensorInfo& info) const;

 private:
  void check_layout(uint64_t data_begin, uint64_t data_bytes);

  Ptr<Source> source_;
  std::vector<SafeTensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Tensors must be contiguous and on the CPU. They are laid out widest dtype first, then by name, so that each is
// aligned.
EMBER_API void write_safetensors(Sink& sink, const NamedTensors& tensors,
                                 const std::map<std::string, std::string>& metadata = {});
EMBER_API void save_safetensors(const std::string& path, const NamedTensors& tensors,
                                const std::map<std::string, std::string>& metadata = {});

}  // namespace ember::io
