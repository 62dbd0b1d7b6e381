#include "study_policy.hpp"

#include <algorithm>
#include <sstream>
#include <vector>

#include <reset/status.hpp>

#include "arguments.hpp"

namespace reasoner {
namespace {

struct Field {
  std::string name, value;
};

std::vector<Field> split(const std::string& text) {
  std::vector<Field> fields;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    const std::size_t equals = part.find('=');
    fields.push_back({part.substr(0, equals), equals == std::string::npos ? "" : part.substr(equals + 1)});
  }
  return fields;
}

std::int32_t token_of(const std::string& text, const reset::Vocabulary& vocabulary) {
  const auto found = std::find(vocabulary.bytes.begin(), vocabulary.bytes.end(), text);
  if (found == vocabulary.bytes.end()) throw reset::Error("boundary is \"" + text + "\", expected the text of a token");
  return static_cast<std::int32_t>(found - vocabulary.bytes.begin());
}

void set(Policy& policy, const Field& field, const reset::Vocabulary& vocabulary) {
  constexpr float kHottest = 100;
  if (field.name == "tau0") {
    policy.params.tau0 = console::to_real("tau0", field.value, 0, kHottest);
  } else if (field.name == "t_low") {
    policy.params.t_low = console::to_real("t_low", field.value, 0, kHottest);
  } else if (field.name == "t_high") {
    policy.params.t_high = console::to_real("t_high", field.value, 0, kHottest);
  } else if (field.name == "window") {
    policy.params.window = static_cast<std::int32_t>(console::to_integer("window", field.value, 0, reset::kMaxWindow));
  } else if (field.name == "history") {
    policy.params.history = console::choose<reset::HistoryMode>(
        "history", field.value,
        {{"exclude", reset::HistoryMode::kExcludeCurrent}, {"include", reset::HistoryMode::kIncludeCurrent}});
  } else if (field.name == "top_p") {
    policy.top_p = console::to_real("top_p", field.value, 0, 1);
  } else if (field.name == "boundary") {
    policy.boundaries = {token_of(field.value, vocabulary)};
  } else {
    throw reset::Error("policy has \"" + field.name +
                       "\", expected tau0, t_low, t_high, window, history, top_p or boundary");
  }
}

}  // namespace

Policy parse_policy(const std::string& text, const reset::Vocabulary& vocabulary) {
  const std::vector<Field> fields = split(text);
  const std::string kind = fields.empty() ? "" : fields[0].name;
  Policy policy;
  if (kind == "greedy" || kind == "temperature") {
    policy.reset = false;
    policy.temperature = kind == "greedy" ? 0 : console::to_real(kind, fields[0].value, 0, 100);
  } else if (kind != "threshold" && kind != "reset") {
    throw reset::Error("policy is \"" + text + "\", expected greedy, temperature=T, threshold,... or reset,...");
  }
  for (std::size_t i = 1; i < fields.size(); ++i) set(policy, fields[i], vocabulary);
  // Without a boundary no step is ever uncertain.
  if (kind == "threshold") policy.boundaries = std::vector<std::int32_t>();
  return policy;
}

}  // namespace reasoner
