#include "answer.hpp"

#include <charconv>
#include <tuple>

#include <nlohmann/json.hpp>
#include <reset/detail/rounding.hpp>

namespace traces {
namespace {

using Json = nlohmann::ordered_json;

// As a double whose shortest decimal form is that of the float.
Json number(float value) { return Json::parse(shortest(value)); }

Json policy(const reset::ReSETParams& params) {
  const bool excludes = params.history == reset::HistoryMode::kExcludeCurrent;
  return {{"tau0", number(params.tau0)},
          {"t_low", number(params.t_low)},
          {"t_high", number(params.t_high)},
          {"window", params.window},
          {"history", excludes ? "exclude_current" : "include_current"}};
}

auto key(const Settings& s) {
  return std::tie(s.reset_enabled, s.reset.tau0, s.reset.t_low, s.reset.t_high, s.reset.window, s.reset.history,
                  s.sampling.temperature, s.sampling.top_k, s.sampling.top_p, s.sampling.min_p);
}

}  // namespace

bool operator==(const Settings& a, const Settings& b) { return key(a) == key(b); }
bool operator<(const Settings& a, const Settings& b) { return key(a) < key(b); }

std::string shortest(float value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string Settings::text() const {
  std::string text = "T = " + shortest(sampling.temperature);
  if (reset_enabled) {
    text = "ReSET tau_0 " + shortest(reset.tau0) + ", T_low " + shortest(reset.t_low) + ", T_high " +
           shortest(reset.t_high) + ", w " + std::to_string(reset.window);
    if (reset.history == reset::HistoryMode::kIncludeCurrent) text += ", current token included";
    if (sampling.temperature != 1.0F) text += ", elsewhere T = " + shortest(sampling.temperature);
  }
  if (sampling.top_k != 0) text += ", top-k " + std::to_string(sampling.top_k);
  if (sampling.top_p != 1.0F) text += ", top-p " + shortest(sampling.top_p);
  if (sampling.min_p != 0.0F) text += ", min-p " + shortest(sampling.min_p);
  return text;
}

void Answer::add(float entropy, bool boundary) {
  if (!reset::detail::is_finite(entropy)) return;
  if (boundary) boundaries.push_back(static_cast<std::int64_t>(entropies.size()));
  entropies.push_back(entropy);
}

std::string to_json(const reset::ReSETParams& params) { return policy(params).dump(); }

std::string to_line(const Answer& answer) {
  const Settings& settings = answer.settings;
  Json entropies = Json::array();
  for (const float entropy : answer.entropies) entropies.push_back(number(entropy));
  Json line = {{"model", answer.model},
               {"task", answer.task},
               {"problem", answer.problem},
               {"seed", answer.seed},
               {"correct", answer.graded ? Json(answer.correct) : Json()},
               {"settings",
                {{"reset", settings.reset_enabled ? policy(settings.reset) : Json()},
                 {"temperature", number(settings.sampling.temperature)},
                 {"top_k", settings.sampling.top_k},
                 {"top_p", number(settings.sampling.top_p)},
                 {"min_p", number(settings.sampling.min_p)}}},
               {"entropies", entropies},
               {"boundaries", answer.boundaries}};
  if (!answer.text.empty()) line["text"] = answer.text;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace traces
