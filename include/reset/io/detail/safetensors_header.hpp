/// @file
/// The header of a safetensors file, validated to the last byte.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reset/io/detail/json.hpp>
#include <reset/io/tensor.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors on disk are little-endian and are read in place");

inline constexpr std::size_t kSafetensorsPrefix = 8;                   // The length of the header, as a u64.
inline constexpr std::uint64_t kLongestSafetensorsHeader = 100000000;  // The limit of the format itself.

/// Bytes of a tensor, or nothing if its bits cannot be counted in 64 bits or make no whole number of bytes.
inline std::optional<std::uint64_t> tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape) {
  constexpr std::uint64_t kLimit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t bits = dtype_bits(dtype);
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent == 0) {
      empty = true;
      continue;
    }
    if (extent < 0 || bits > kLimit / static_cast<std::uint64_t>(extent)) return std::nullopt;
    bits *= static_cast<std::uint64_t>(extent);
  }
  if (empty) return 0;
  return bits % 8 == 0 ? std::optional<std::uint64_t>(bits / 8) : std::nullopt;
}

/// Parses one file that lies in memory.
class SafetensorsHeaderParser {
 public:
  SafetensorsHeaderParser(const char* data, std::size_t size, std::string_view file)
      : data_(data), size_(size), file_(file) {}

  void parse(TensorMap& tensors, std::map<std::string, std::string>& metadata) {
    const nlohmann::json header = parse_json(header_text(), file_);
    if (!header.is_object()) fail(file_, "header", describe(header), "a JSON object");
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        metadata = parse_metadata(entry);
      } else {
        tensors.emplace(name, parse_tensor(name, entry));
      }
    }
    check_coverage(tensors);
  }

 private:
  std::string_view header_text() {
    if (size_ < kSafetensorsPrefix)
      fail(file_, "size", bytes_text(size_), "at least the 8 bytes of the header's length");
    std::uint64_t length = 0;
    std::memcpy(&length, data_, sizeof length);
    if (length > kLongestSafetensorsHeader)
      fail(file_, "header length", bytes_text(length), "at most 100000000 bytes in a safetensors file");
    if (length > size_ - kSafetensorsPrefix) {
      fail(file_, "header length", bytes_text(length),
           "at most the " + bytes_text(size_ - kSafetensorsPrefix) +
               " that follow it in the file, which may be cut off");
    }
    payload_ = data_ + kSafetensorsPrefix + length;
    payload_size_ = size_ - kSafetensorsPrefix - length;
    const std::string_view text(data_ + kSafetensorsPrefix, length);
    if (text.empty() || text.front() != '{')
      fail(file_, "first byte of the header", in_quotes(text.substr(0, 1)), "\"{\"");
    return text;
  }

  std::map<std::string, std::string> parse_metadata(const nlohmann::json& entry) const {
    if (!entry.is_object()) fail(file_, "__metadata__", describe(entry), "an object of strings");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail(file_, "__metadata__ " + in_quotes(key), describe(value), "a string");
      metadata.emplace(key, value.get<std::string>());
    }
    return metadata;
  }

  TensorView parse_tensor(const std::string& name, const nlohmann::json& entry) const {
    const std::string what = tensor_named(name);
    TensorView tensor;
    tensor.name = name;
    tensor.file = file_;
    tensor.dtype = parse_dtype(what, member(what, entry, "dtype"));
    tensor.shape = parse_shape(what, member(what, entry, "shape"));
    const auto [begin, end] = parse_offsets(what, member(what, entry, "data_offsets"));
    const std::optional<std::uint64_t> bytes = tensor_bytes(tensor.dtype, tensor.shape);
    if (!bytes) fail(file_, what + " shape", shape_text(tensor.shape), "a whole number of bytes below 2^61");
    if (*bytes != end - begin) {
      fail(file_, what + " data", bytes_text(end - begin),
           bytes_text(*bytes) + " for " + std::string(dtype_name(tensor.dtype)) + " " + shape_text(tensor.shape));
    }
    tensor.data = reinterpret_cast<const std::uint8_t*>(payload_) + begin;
    tensor.bytes = static_cast<std::size_t>(*bytes);
    return tensor;
  }

  const nlohmann::json& member(const std::string& what, const nlohmann::json& entry, const char* key) const {
    const nlohmann::json* value = find_member(entry, key);
    if (value == nullptr) fail(file_, what, describe(entry), "an object with " + in_quotes(key));
    return *value;
  }

  DType parse_dtype(const std::string& what, const nlohmann::json& value) const {
    const std::optional<DType> dtype =
        value.is_string() ? find_dtype(value.get_ref<const std::string&>()) : std::nullopt;
    if (!dtype) {
      std::string known;
      for (const DTypeInfo& info : kDTypes) known.append(known.empty() ? "one of " : ", ").append(info.name);
      fail(file_, what + " dtype", describe(value), known);
    }
    return *dtype;
  }

  std::vector<std::int64_t> parse_shape(const std::string& what, const nlohmann::json& value) const {
    if (!value.is_array()) fail(file_, what + " shape", describe(value), "an array of extents");
    std::vector<std::int64_t> shape;
    shape.reserve(value.size());
    for (const nlohmann::json& extent : value) {
      constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > kLargest) {
        fail(file_, what + " extent", describe(extent), "an integer in 0..9223372036854775807");
      }
      shape.push_back(extent.get<std::int64_t>());
    }
    return shape;
  }

  std::pair<std::uint64_t, std::uint64_t> parse_offsets(const std::string& what, const nlohmann::json& value) const {
    const bool is_pair = value.is_array() && value.size() == 2;
    if (!is_pair || !value[0].is_number_unsigned() || !value[1].is_number_unsigned()) {
      fail(file_, what + " data_offsets", value.is_array() && value.size() == 2 ? value.dump() : describe(value),
           "two integers of at least 0");
    }
    const auto begin = value[0].get<std::uint64_t>();
    const auto end = value[1].get<std::uint64_t>();
    if (begin > end || end > payload_size_) {
      fail(
          file_, what + " data_offsets", value.dump(),
          "begin <= end <= " + std::to_string(payload_size_) + ", the bytes of data in the file, which may be cut off");
    }
    return {begin, end};
  }

  // The format leaves no byte of the data to chance: each belongs to one tensor.
  void check_coverage(const TensorMap& tensors) const {
    std::vector<const TensorView*> order;
    order.reserve(tensors.size());
    for (const auto& [name, tensor] : tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
      return a->data != b->data ? a->data < b->data : a->bytes < b->bytes;
    });
    std::uint64_t covered = 0;
    for (const TensorView* tensor : order) {
      const std::uint64_t begin = offset_of(*tensor);
      if (begin != covered) {
        fail(file_, tensor_named(tensor->name) + " begin of data_offsets", std::to_string(begin),
             std::to_string(covered) + ", where the tensors before it end");
      }
      covered += tensor->bytes;
    }
    if (covered != payload_size_) {
      fail(file_, "data", bytes_text(payload_size_), bytes_text(covered) + ", where the last tensor ends");
    }
  }

  std::uint64_t offset_of(const TensorView& tensor) const {
    return static_cast<std::uint64_t>(tensor.data - reinterpret_cast<const std::uint8_t*>(payload_));
  }

  static std::string bytes_text(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

  const char* data_;
  std::size_t size_;
  std::string_view file_;
  const char* payload_ = nullptr;
  std::uint64_t payload_size_ = 0;
};

}  // namespace detail
RESET_NAMESPACE_END
