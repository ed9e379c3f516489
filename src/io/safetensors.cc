// The header's grammar and the layout's rules, as the format's specification has them.
#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "io/json.h"

namespace ember::io {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;

struct SafeDType {
  std::string_view name;
  DType dtype;
};
constexpr SafeDType kDTypes[] = {
    {"BOOL", DType::kBool},   {"U8", DType::kUInt8},      {"I8", DType::kInt8},       {"U16", DType::kUInt16},
    {"I16", DType::kInt16},   {"U32", DType::kUInt32},    {"I32", DType::kInt32},     {"U64", DType::kUInt64},
    {"I64", DType::kInt64},   {"F16", DType::kFloat16},   {"BF16", DType::kBFloat16}, {"F32", DType::kFloat32},
    {"F64", DType::kFloat64}, {"C64", DType::kComplex64},
};

std::optional<DType> dtype_of_name(std::string_view name) {
  for (auto& d : kDTypes)
    if (d.name == name) return d.dtype;
  return std::nullopt;
}

template <class... Parts>
[[noreturn]] EMBER_COLD void damaged(const Source& s, const Parts&... parts) {
  fail<FileError>("safetensors: '", s.name(), "': ", parts...);
}

SafeTensorInfo read_info(JsonCursor& json, const std::string& name, const Source& s) {
  SafeTensorInfo info{name, {}, {}, 0, 0};
  bool has_dtype = false, has_shape = false;
  std::vector<uint64_t> offsets;
  json.object([&](const std::string& key) {
    if (key == "dtype") {
      info.dtype_name = json.string(), has_dtype = true;
    } else if (key == "shape") {
      has_shape = true;
      json.array([&] {
        uint64_t n = json.natural();
        if (n > INT64_MAX) damaged(s, "tensor '", name, "' has a size over 63 bits");
        info.sizes.push_back(static_cast<int64_t>(n));
      });
    } else if (key == "data_offsets") {
      json.array([&] { offsets.push_back(json.natural()); });
    } else {
      json.skip();
    }
  });
  if (!has_dtype || !has_shape || offsets.size() != 2 || info.sizes.size() > 64)
    damaged(s, "tensor '", name, "' lacks a dtype, a shape of at most 64 sizes, or two data_offsets");
  if (offsets[0] > offsets[1]) damaged(s, "invalid offset for tensor '", name, "'");
  info.begin = offsets[0], info.bytes = offsets[1] - offsets[0];
  return info;
}

void write_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr const char* hex = "0123456789abcdef";
      ((out += "\\u00") += hex[c >> 4 & 15]) += hex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

SafeTensors::SafeTensors(Ptr<Source> source) : source_(std::move(source)) {
  const Source& s = *source_;
  if (s.size() < 8) damaged(s, "header too small: the file has ", s.size(), " bytes");
  uint64_t header_bytes = 0;
  s.read(0, &header_bytes, 8);
  if (header_bytes > kMaxHeader) damaged(s, "header too large: ", header_bytes, " bytes, at most ", kMaxHeader);
  if (header_bytes > s.size() - 8) damaged(s, "invalid header length: ", header_bytes, " bytes, the file ends before");
  std::string header(header_bytes, '\0');
  s.read(8, header.data(), header_bytes);
  if (header.empty() || header[0] != '{') damaged(s, "invalid header start: it must begin with '{'");
  JsonCursor json(header, s.name());
  json.object([&](const std::string& key) {
    if (key == "__metadata__") json.object([&](const std::string& name) { metadata_[name] = json.string(); });
    else tensors_.push_back(read_info(json, key, s));
  });
  json.end();
  check_layout(8 + header_bytes, s.size() - 8 - header_bytes);
}

// Each byte of the data belongs to exactly one tensor, and each tensor has the bytes that its shape takes.
void SafeTensors::check_layout(uint64_t data_begin, uint64_t data_bytes) {
  std::stable_sort(tensors_.begin(), tensors_.end(),
                   [](auto& a, auto& b) { return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes); });
  uint64_t at = 0;
  for (SafeTensorInfo& t : tensors_) {
    if (t.begin != at) damaged(*source_, "invalid offset for tensor '", t.name, "'");
    if (t.bytes > data_bytes - at) damaged(*source_, "tensor '", t.name, "' is cut off");
    at += t.bytes;
    t.begin += data_begin;
    auto dtype = dtype_of_name(t.dtype_name);
    int64_t bytes = dtype ? item_size(*dtype) : 0;
    bool overflow = false;
    for (int64_t size : t.sizes) overflow = overflow || __builtin_mul_overflow(bytes, size, &bytes);
    if (overflow || (dtype && static_cast<uint64_t>(bytes) != t.bytes))
      damaged(*source_, "tensor '", t.name, "' has ", t.bytes, " bytes, which its shape does not take");
  }
  if (at != data_bytes) damaged(*source_, "incomplete metadata, file not fully covered");
}

const SafeTensorInfo& SafeTensors::find(std::string_view name) const {
  for (auto& t : tensors_)
    if (t.name == name) return t;
  fail<IndexError>("safetensors: '", source_->name(), "' does not contain tensor ", name);
}

Tensor SafeTensors::tensor(const SafeTensorInfo& info) const {
  auto dtype = dtype_of_name(info.dtype_name);
  EMBER_CHECK_NOT_IMPLEMENTED(dtype, "safetensors: tensor '", info.name, "' has dtype ", info.dtype_name,
                              ", which is not supported");
  auto bytes = static_cast<int64_t>(info.bytes);
  Ptr<Storage> storage = read_storage(source_, info.begin, bytes, *dtype, /*in_place=*/true);
  auto impl = make_ptr<TensorImpl>(std::move(storage), *dtype, kCpu);
  impl->set_sizes_contiguous(info.sizes);
  return Tensor(std::move(impl));
}

void write_safetensors(Sink& sink, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  for (auto& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) {
    int64_t wide = item_size(a->second.dtype()), narrow = item_size(b->second.dtype());
    return wide != narrow ? wide > narrow : a->first < b->first;
  });
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (auto& [key, value] : metadata) {
      write_json_string(header, key), header += ':', write_json_string(header, value), header += ',';
    }
    header.back() = '}', header += ',';
  }
  uint64_t at = 0;
  std::map<std::string_view, bool> seen;
  for (auto* entry : order) {
    auto& [name, x] = *entry;
    EMBER_CHECK_VALUE(seen.try_emplace(name, true).second, "save_safetensors: two tensors are named '", name, "'");
    EMBER_CHECK_VALUE(x.is_contiguous() && x.device() == kCpu, "save_safetensors: tensor '", name,
                      "' must be contiguous and on the cpu; call .contiguous() or .cpu() first");
    const SafeDType* d =
        std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](auto& s) { return s.dtype == entry->second.dtype(); });
    EMBER_CHECK_TYPE(d != std::end(kDTypes), "save_safetensors: tensor '", name, "' has dtype ", x.dtype(),
                     ", which the format lacks");
    write_json_string(header, name);
    ((header += ":{\"dtype\":\"") += d->name) += "\",\"shape\":[";
    for (size_t i = 0; i < x.sizes().size(); ++i) header += str(i ? "," : "", x.sizes()[i]);
    uint64_t bytes = static_cast<uint64_t>(x.numel() * item_size(x.dtype()));
    header += str("],\"data_offsets\":[", at, ",", at + bytes, "]},");
    at += bytes;
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.append(-header.size() % 8, ' ');  // so that the data starts aligned
  EMBER_CHECK_VALUE(header.size() <= kMaxHeader, "save_safetensors: the header would have ", header.size(), " bytes");
  uint64_t header_bytes = header.size();
  sink.write(&header_bytes, 8);
  sink.write(header);
  for (auto* entry : order) {
    const Tensor& x = entry->second;
    if (x.numel()) sink.write(x.data(), static_cast<size_t>(x.numel() * item_size(x.dtype())));
  }
}

void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  FileSink sink(path);
  write_safetensors(sink, tensors, metadata);
  sink.commit();
}

}  // namespace ember::io
