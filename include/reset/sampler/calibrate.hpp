/// @file
/// Where tau_0 comes from: an entropy trace of one's own model, or the figures published for five.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <reset/sampler/policy.hpp>

RESET_NAMESPACE_BEGIN

/// tau_0 as the authors choose it: the 80th percentile of token entropies (in nats, of the quantised model, over a few
/// reasoning traces).
///
/// Between two ranks the percentile is interpolated linearly: with the entropies sorted, rank r = quantile (n - 1) and
/// h = r - floor(r), it is (1 - h) e[floor(r)] + h e[floor(r) + 1] (NumPy's default). Throws `Error` if there are no
/// entropies, if one is negative or not finite, or if `quantile` is outside 0..1.
inline float tau0_from_entropies(std::vector<float> entropies, double quantile = 0.8) {
  if (entropies.empty()) {
    throw Error(Status(StatusCode::kInvalidArgument, "entropies.size()", 0, "at least 1"));
  }
  if (!detail::is_finite(quantile) || quantile < 0.0 || quantile > 1.0) {
    throw Error(Status(StatusCode::kInvalidArgument, "quantile", quantile, "0..1"));
  }
  for (std::size_t i = 0; i < entropies.size(); ++i) {
    if (!detail::is_finite(entropies[i]) || entropies[i] < 0.0f) {
      const std::string name = "entropies[" + std::to_string(i) + "]";
      const double value = static_cast<double>(entropies[i]);
      throw Error(Status(StatusCode::kInvalidArgument, name.c_str(), value, "finite and at least 0"));
    }
  }
  const double rank = quantile * static_cast<double>(entropies.size() - 1);
  const std::size_t below = static_cast<std::size_t>(rank);
  const auto nth = entropies.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(entropies.begin(), nth, entropies.end());
  const double low = static_cast<double>(*nth);
  if (below + 1 == entropies.size()) return static_cast<float>(low);
  const double high = static_cast<double>(*std::min_element(nth + 1, entropies.end()));
  return static_cast<float>(low + (rank - static_cast<double>(below)) * (high - low));
}

/// The hyper-parameters published for one model.
struct PublishedPreset {
  const char* model;   ///< The model's name on its hub, without the organisation.
  ReSETParams params;  ///< tau_0 and T_low of that model; T_high 1.0 and a window of 32 for all.
};

/// The five published models (arXiv 2606.13233). tau_0 is the 80th percentile of NVFP4 token entropies over five
/// NuminaMath-1.5 problems; T_low was picked per model on the benchmark itself, so measure before relying on it.
inline constexpr std::array<PublishedPreset, 5> kPublishedPresets{{
    {"DeepSeek-R1-Distill-Qwen-7B", {0.6446f, 0.4f, 1.0f, 32, HistoryMode::kExcludeCurrent}},
    {"DeepSeek-R1-Distill-Qwen-14B", {0.6488f, 0.3f, 1.0f, 32, HistoryMode::kExcludeCurrent}},
    {"Qwen3-8B", {0.5505f, 0.1f, 1.0f, 32, HistoryMode::kExcludeCurrent}},
    {"Qwen3-14B", {0.4863f, 0.3f, 1.0f, 32, HistoryMode::kExcludeCurrent}},
    {"Qwen3-32B", {0.5363f, 0.1f, 1.0f, 32, HistoryMode::kExcludeCurrent}},
}};

namespace detail {

/// Whether `name` begins with `word`, capitals or not.
constexpr bool begins_with(std::string_view name, std::string_view word) noexcept {
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  if (name.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (small(name[i]) != small(word[i])) return false;
  }
  return true;
}

}  // namespace detail

/// The preset of the model that `name`, behind its last slash, begins with, as "nvidia/Qwen3-8B-NVFP4" does, capitals
/// or not; null where nothing is published for it, and for a base model, "Qwen3-8B-Base", which is another.
constexpr const PublishedPreset* find_published_preset(std::string_view name) noexcept {
  const std::size_t slash = name.rfind('/');
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  for (const PublishedPreset& preset : kPublishedPresets) {
    const std::string_view model = preset.model;
    if (!detail::begins_with(name, model)) continue;
    return detail::begins_with(name.substr(model.size()), "-Base") ? nullptr : &preset;
  }
  return nullptr;
}

RESET_NAMESPACE_END
