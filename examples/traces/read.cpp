#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <string_view>

#include <nlohmann/json.hpp>
#include <reset/status.hpp>

#include "answer.hpp"

namespace traces {
namespace {

using Json = nlohmann::json;

std::string describe(const Json& value) {
  if (value.is_structured()) return std::string(value.type_name()) + " of " + std::to_string(value.size());
  constexpr std::size_t kLongest = 80;
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

// JSON has neither NaN nor infinities, so comparing tells under -ffast-math too.
bool is_float(const Json& value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return value.is_number() && value.get<double>() >= -kMost && value.get<double>() <= kMost;
}

// An object, and where it stands, so that every complaint can name both.
struct Section {
  const Json& object;
  std::string where;  // "trace.jsonl:3: settings."

  [[noreturn]] void refuse(const std::string& key, const std::string& found, const std::string& expected) const {
    throw reset::Error(where + key + " is " + found + ", expected " + expected);
  }

  const Json& at(const std::string& key, const std::string& expected) const {
    const auto member = object.find(key);
    if (member == object.end()) refuse(key, "missing", expected);
    return *member;
  }

  Section section(const std::string& key) const {
    const Json& member = at(key, "an object");
    if (!member.is_object()) refuse(key, describe(member), "an object");
    return {member, where + key + "."};
  }

  std::string text(const std::string& key) const {
    constexpr const char* kExpected = "a string that is not empty";
    const Json& value = at(key, kExpected);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) refuse(key, describe(value), kExpected);
    return value.get<std::string>();
  }

  float real(const std::string& key) const {
    const Json& value = at(key, "a number");
    if (!is_float(value)) refuse(key, describe(value), "a number that a float can hold");
    return value.get<float>();
  }

  std::int32_t integer(const std::string& key) const {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    const Json& value = at(key, "an integer");
    const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= std::uint64_t{kMost}
                                                 : value.is_number_integer() && value.get<std::int64_t>() >= -kMost;
    if (!fits) refuse(key, describe(value), "an integer of 32 bits");
    return value.get<std::int32_t>();
  }

  void allow(std::initializer_list<std::string_view> keys) const {
    for (const auto& member : object.items()) {
      if (std::find(keys.begin(), keys.end(), member.key()) == keys.end()) {
        refuse(member.key(), describe(member.value()), "only what the format knows");
      }
    }
  }

  // The library names its parameters as the format does.
  void require(const reset::Status& status) const {
    if (!status.ok()) refuse(status.argument(), describe(object.at(status.argument())), status.expectation());
  }
};

reset::ReSETParams parse_policy(const Section& json) {
  json.allow({"tau0", "t_low", "t_high", "window", "history"});
  reset::ReSETParams params;
  params.tau0 = json.real("tau0");
  params.t_low = json.real("t_low");
  params.t_high = json.real("t_high");
  params.window = json.integer("window");
  if (json.object.contains("history")) {
    const std::string history = json.text("history");
    if (history != "exclude_current" && history != "include_current") {
      json.refuse("history", '"' + history + '"', "\"exclude_current\" or \"include_current\"");
    }
    if (history == "include_current") params.history = reset::HistoryMode::kIncludeCurrent;
  }
  json.require(params.validate());
  return params;
}

Settings parse_settings(const Section& json) {
  json.allow({"reset", "temperature", "top_k", "top_p", "min_p"});
  Settings settings;
  settings.reset_enabled = !json.at("reset", "an object, or null where ReSET was off").is_null();
  if (settings.reset_enabled) settings.reset = parse_policy(json.section("reset"));
  reset::SamplingParams& sampling = settings.sampling;
  if (!settings.reset_enabled || json.object.contains("temperature")) sampling.temperature = json.real("temperature");
  if (json.object.contains("top_k")) sampling.top_k = json.integer("top_k");
  if (json.object.contains("top_p")) sampling.top_p = json.real("top_p");
  if (json.object.contains("min_p")) sampling.min_p = json.real("min_p");
  json.require(sampling.validate(1));
  return settings;
}

const Json& array(const Section& json, const std::string& key) {
  const Json& value = json.at(key, "an array");
  if (!value.is_array()) json.refuse(key, describe(value), "an array");
  return value;
}

std::string element(const std::string& key, std::size_t index) { return key + '[' + std::to_string(index) + ']'; }

std::vector<float> parse_entropies(const Section& json) {
  std::vector<float> entropies;
  for (const Json& value : array(json, "entropies")) {
    if (!is_float(value) || value.get<double>() < 0.0) {
      json.refuse(element("entropies", entropies.size()), describe(value), "a number of at least 0");
    }
    entropies.push_back(value.get<float>());
  }
  if (entropies.empty()) json.refuse("entropies", "array of 0", "one number a token, and at least one token");
  return entropies;
}

std::vector<std::int64_t> parse_boundaries(const Section& json, std::size_t tokens) {
  std::vector<std::int64_t> boundaries;
  for (const Json& value : array(json, "boundaries")) {
    const std::uint64_t least = boundaries.empty() ? 0 : static_cast<std::uint64_t>(boundaries.back()) + 1;
    const bool good = value.is_number_unsigned() && value.get<std::uint64_t>() >= least;
    if (!good || value.get<std::uint64_t>() >= tokens) {
      json.refuse(element("boundaries", boundaries.size()), describe(value),
                  "ascending indices of the " + std::to_string(tokens) + " entropies");
    }
    boundaries.push_back(value.get<std::int64_t>());
  }
  return boundaries;
}

}  // namespace

Answer parse_line(const std::string& line, const std::string& where) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw reset::Error(where + ": the line is no JSON object, expected one answer a line");
  const Section section{json, where + ": "};
  Answer answer;
  answer.model = section.text("model");
  answer.task = section.text("task");
  answer.problem = section.text("problem");
  const Json& seed = section.at("seed", "an integer of at least 0");
  if (!seed.is_number_unsigned()) section.refuse("seed", describe(seed), "an integer of at least 0");
  answer.seed = seed.get<std::uint64_t>();
  const Json& correct = section.at("correct", "true or false");
  if (!correct.is_boolean()) section.refuse("correct", describe(correct), "true or false");
  answer.correct = correct.get<bool>();
  answer.settings = parse_settings(section.section("settings"));
  answer.entropies = parse_entropies(section);
  answer.boundaries = parse_boundaries(section, answer.entropies.size());
  return answer;
}

std::vector<Answer> read_traces(const std::vector<std::string>& paths) {
  std::vector<Answer> answers;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    if (!file) throw reset::Error(path + ": cannot be opened, expected a trace");
    std::string line;
    for (std::int64_t number = 1; std::getline(file, line); ++number) {
      if (line.empty()) continue;
      answers.push_back(parse_line(line, path + ':' + std::to_string(number)));
    }
    if (file.bad() || !file.eof()) throw reset::Error(path + ": cannot be read, expected a trace");
  }
  return answers;
}

}  // namespace traces
