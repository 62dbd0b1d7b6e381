/// @file
/// The index of a checkpoint in several files: which tensor lies in which.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <reset/io/detail/json.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A shard is a file beside the index; its name must not lead anywhere else.
inline bool is_plain_file_name(std::string_view name) {
  using namespace std::string_view_literals;
  return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\\0"sv) == std::string_view::npos;
}

/// The `weight_map` in the text of a model.safetensors.index.json: file name by tensor name.
inline std::map<std::string, std::string> parse_weight_map(std::string_view text, std::string_view file) {
  const nlohmann::json root = parse_json(text, file);
  const nlohmann::json* entries = find_member(root, "weight_map");
  if (entries == nullptr || !entries->is_object()) {
    fail(file, "weight_map", entries == nullptr ? "missing" : describe(*entries), "an object of file names");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, shard] : entries->items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      fail(file, "weight_map " + in_quotes(tensor), describe(shard), "the name of a file in the same folder");
    }
    weight_map.emplace(tensor, shard.get<std::string>());
  }
  return weight_map;
}

}  // namespace detail
RESET_NAMESPACE_END
