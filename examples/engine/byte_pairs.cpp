#include "byte_pairs.hpp"

#include <cstddef>

#include <reset/status.hpp>

namespace engine {
namespace {

// The character that stands for a byte in the files: itself where it prints, else U+0100 and those after it, in order.
std::string text_of_byte(int byte, int& next) {
  const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const int code = printable ? byte : next++;
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

BytePairs::BytePairs(const nlohmann::json& model, const std::string& file) : file_(file) {
  for (const auto& [token, id] : model.at("vocab").items()) ids_.emplace(token, id.get<std::int32_t>());
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = ids_.find(text_of_byte(byte, next));
    bytes_[static_cast<std::size_t>(byte)] = found == ids_.end() ? -1 : found->second;
  }
  std::int32_t rank = 0;
  for (const nlohmann::json& merge : model.at("merges")) add_merge(merge, rank++);
}

// "a b" in older files, ["a", "b"] in newer ones.
void BytePairs::add_merge(const nlohmann::json& merge, std::int32_t rank) {
  std::string left;
  std::string right;
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    left = text.substr(0, space);
    right = space == std::string::npos ? "" : text.substr(space + 1);
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    left = merge[0].get<std::string>();
    right = merge[1].get<std::string>();
  }
  const std::uint64_t pair = pair_of(id_of(left, merge, rank), id_of(right, merge, rank));
  merges_.emplace(pair, Merge{rank, id_of(left + right, merge, rank)});
}

std::int32_t BytePairs::id_of(const std::string& token, const nlohmann::json& merge, std::int32_t rank) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) {
    throw reset::Error(file_ + ": merges[" + std::to_string(rank) + "] is " + merge.dump() +
                       ", expected two tokens whose join is a token");
  }
  return found->second;
}

const BytePairs::Merge* BytePairs::find(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(pair_of(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairs::encode(std::string_view word, std::vector<std::int32_t>& tokens) const {
  std::vector<std::int32_t> parts;
  for (const char c : word) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (bytes_[byte] < 0) {
      throw reset::Error(file_ + ": byte " + std::to_string(byte) + " of the text is no token, expected all 256");
    }
    parts.push_back(bytes_[byte]);
  }
  for (;;) {
    const Merge* first = nullptr;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const Merge* merge = find(parts[i], parts[i + 1]);
      if (merge != nullptr && (first == nullptr || merge->rank < first->rank)) first = merge;
    }
    if (first == nullptr) break;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < parts.size(); ++i, ++kept) {
      const bool merged = i + 1 < parts.size() && find(parts[i], parts[i + 1]) == first;
      parts[kept] = merged ? first->token : parts[i];
      if (merged) ++i;
    }
    parts.resize(kept);
  }
  tokens.insert(tokens.end(), parts.begin(), parts.end());
}

}  // namespace engine
