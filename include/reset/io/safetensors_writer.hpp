/// @file
/// Writes safetensors files as a stream: no tensor has to fit in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reset/io/detail/partial_file.hpp>
#include <reset/io/detail/safetensors_header.hpp>
#include <reset/io/tensor.hpp>

RESET_NAMESPACE_BEGIN

/// Writes one safetensors file: declare every tensor, append the bytes of each in as many pieces as is convenient,
/// finish.
///
/// Tensors of larger elements come first in the file (in the order declared among equals), so that a reader which maps
/// it finds every element aligned. The bytes of one tensor are appended front to back; pieces of different tensors may
/// alternate. The file appears under its name only in `finish()`; until then it has a temporary one beside it, which
/// is removed if the writer is destroyed unfinished.
class SafetensorsWriter {
 public:
  /// Creates the temporary file and writes the header. `metadata` becomes `__metadata__` (left out if empty).
  /// Throws `Error` for a name given twice, the reserved name `__metadata__`, names that are not UTF-8, shapes that are
  /// negative or make no whole number of bytes, more than 2^48 bytes in all, a header over 100 MB, or if the file
  /// cannot be written.
  SafetensorsWriter(const std::string& path, const std::vector<TensorSpec>& tensors,
                    const std::map<std::string, std::string>& metadata = {})
      : file_(path) {
    const std::string header = lay_out(tensors, metadata);
    const std::uint64_t length = header.size();
    file_.write_at(0, &length, sizeof length);
    file_.write_at(detail::kSafetensorsPrefix, header.data(), header.size());
  }

  /// Writes the next `bytes` bytes of the tensor `name`. Throws `Error` if it was not declared, if that is more than it
  /// holds (then nothing is written), or if the disk refuses.
  void append(std::string_view name, const void* data, std::size_t bytes) {
    const auto position = cursors_.find(name);
    if (position == cursors_.end()) {
      detail::fail(file_.path(), detail::tensor_named(name), "not declared", "a tensor given to the constructor");
    }
    Cursor& cursor = position->second;
    if (bytes > cursor.end - cursor.next) {
      detail::fail(file_.path(), detail::tensor_named(name) + " appended data", std::to_string(bytes) + " bytes",
                   "at most the " + std::to_string(cursor.end - cursor.next) + " that are missing");
    }
    file_.write_at(cursor.next, data, bytes);
    cursor.next += bytes;
  }

  /// Gives the file its name, replacing one that was there. Throws `Error` if a tensor is incomplete (then more may be
  /// appended) or if the disk refuses.
  void finish() {
    for (const auto& [name, cursor] : cursors_) {
      if (cursor.next != cursor.end) {
        detail::fail(file_.path(), detail::tensor_named(name),
                     std::to_string(cursor.end - cursor.next) + " bytes short", "complete before finish()");
      }
    }
    file_.commit();
  }

 private:
  struct Cursor {
    std::uint64_t next;  ///< Offset in the file of the byte that comes next.
    std::uint64_t end;
  };

  std::string lay_out(const std::vector<TensorSpec>& tensors, const std::map<std::string, std::string>& metadata) {
    std::string text = metadata.empty() ? "{" : "{\"__metadata__\":" + dump(metadata);
    std::uint64_t offset = 0;
    for (const TensorSpec* spec : by_element_size(tensors)) {
      const std::uint64_t begin = offset;
      offset += checked_bytes(*spec, offset);
      if (!cursors_.emplace(spec->name, Cursor{begin, offset}).second) {
        detail::fail(file_.path(), detail::tensor_named(spec->name), "declared twice", "one tensor a name");
      }
      text += (text.size() > 1 ? "," : "") + dump(spec->name) + ":" + entry_text(*spec, begin, offset);
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');
    if (text.size() > detail::kLongestSafetensorsHeader) {
      detail::fail(file_.path(), "header length", std::to_string(text.size()) + " bytes", "at most 100000000 bytes");
    }
    for (auto& [name, cursor] : cursors_) {
      cursor.next += detail::kSafetensorsPrefix + text.size();
      cursor.end += detail::kSafetensorsPrefix + text.size();
    }
    return text;
  }

  static std::vector<const TensorSpec*> by_element_size(const std::vector<TensorSpec>& tensors) {
    std::vector<const TensorSpec*> order;
    order.reserve(tensors.size());
    for (const TensorSpec& spec : tensors) order.push_back(&spec);
    std::stable_sort(order.begin(), order.end(), [](const TensorSpec* a, const TensorSpec* b) {
      return dtype_bits(a->dtype) > dtype_bits(b->dtype);
    });
    return order;
  }

  std::uint64_t checked_bytes(const TensorSpec& spec, std::uint64_t offset) const {
    const std::optional<std::uint64_t> bytes = detail::tensor_bytes(spec.dtype, spec.shape);
    // Far more than any disk; it holds for the sum, so offsets never wrap.
    constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
    if (!bytes || *bytes > kMost - offset) {
      detail::fail(file_.path(), detail::tensor_named(spec.name) + " shape", detail::shape_text(spec.shape),
                   "extents of at least 0 that make whole bytes, at most 2^48 in the file");
    }
    if (spec.name == "__metadata__") {
      detail::fail(file_.path(), "tensor name", "\"__metadata__\"", "a name that the format does not reserve");
    }
    return *bytes;
  }

  static std::string entry_text(const TensorSpec& spec, std::uint64_t begin, std::uint64_t end) {
    std::string extents;
    for (const std::int64_t extent : spec.shape) extents += (extents.empty() ? "" : ",") + std::to_string(extent);
    return "{\"dtype\":\"" + std::string(dtype_name(spec.dtype)) + "\",\"shape\":[" + extents + "],\"data_offsets\":[" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  }

  std::string dump(const nlohmann::json& value) const {
    try {
      return value.dump();
    } catch (const nlohmann::json::exception& error) {
      detail::fail(file_.path(), "tensor name or metadata", detail::printable(error.what(), 240), "UTF-8");
    }
  }

  detail::PartialFile file_;
  std::map<std::string, Cursor, std::less<>> cursors_;
};

RESET_NAMESPACE_END
