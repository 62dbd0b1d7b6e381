/// @file
/// Reads safetensors files: in place, memory mapped, and with nothing taken on trust.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <reset/io/detail/mapped_file.hpp>
#include <reset/io/detail/safetensors_header.hpp>
#include <reset/io/tensor.hpp>

RESET_NAMESPACE_BEGIN

/// The tensors of a safetensors file that lies in memory. Owns the index, not the bytes.
class SafetensorsView {
 public:
  /// Reads and checks the header of the `size` bytes at `data`, which messages call `file`.
  ///
  /// Throws `Error` unless the file is whole: a header of at most 100 MB that ends within it, a JSON object without
  /// duplicate keys; known element types; extents that make a whole number of bytes, below 2^61, which is
  /// that of the data; offsets in order that cover the data without overlap, hole or rest. Tensors without elements are
  /// legal.
  SafetensorsView(const void* data, std::size_t size, std::string file)
      : file_(std::make_shared<const std::string>(std::move(file))) {
    detail::SafetensorsHeaderParser(static_cast<const char*>(data), size, *file_).parse(tensors_, metadata_);
  }

  /// What the messages call the file: its path.
  const std::string& file() const noexcept { return *file_; }

  /// Every tensor, by name.
  const TensorMap& tensors() const noexcept { return tensors_; }

  /// The strings of `__metadata__`.
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

  /// Whether there is a tensor of that name.
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  /// The tensor of that name; throws `Error` if there is none.
  const TensorView& tensor(std::string_view name) const {
    const auto position = tensors_.find(name);
    if (position == tensors_.end())
      detail::fail(file(), detail::tensor_named(name), "missing", "a tensor of that name");
    return position->second;
  }

 private:
  std::shared_ptr<const std::string> file_;
  TensorMap tensors_;
  std::map<std::string, std::string> metadata_;
};

namespace detail {

/// Holds the mapping where it is initialised before the view over it.
struct MappingHolder {
  MappedFile mapping;
};

}  // namespace detail

/// A safetensors file, mapped read-only; its tensors are read where they lie, page by page as they are touched.
/// Movable; moving keeps every `TensorView` valid. The file must not be shortened by another process while it is
/// mapped.
class SafetensorsFile : private detail::MappingHolder, public SafetensorsView {
 public:
  /// Maps and checks the file at `path`. Throws `Error` as `SafetensorsView` does, and if it is no readable regular
  /// file.
  explicit SafetensorsFile(const std::string& path)
      : MappingHolder{detail::MappedFile(path)}, SafetensorsView(mapping.data(), mapping.size(), path) {}
};

RESET_NAMESPACE_END
