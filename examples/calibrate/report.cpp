#include "report.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace calibrate {
namespace {

using Json = nlohmann::ordered_json;

// Below this many problems percentile intervals are markedly too narrow.
constexpr std::size_t kFewProblems = 30;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string accuracy(const Estimate& e) {
  std::string text = format("%5.1f %%  ", 100 * e.mean);
  return text + (e.interval ? format("[%5.1f, %5.1f]", 100 * e.interval->low, 100 * e.interval->high)
                            : format("%-14s", "  all equal"));
}

std::string difference(const Estimate& e) {
  std::string text = format("%+6.1f  ", 100 * e.mean);
  return text + (e.interval ? format("[%+6.1f, %+6.1f]", 100 * e.interval->low, 100 * e.interval->high)
                            : format("%-16s", "   all equal"));
}

std::string accuracy_table(const Study& study, const Choice& choice) {
  std::string text =
      format("  %-25s%-27s%-25s%-27s%s\n", "  selection", "chosen minus it", "held out", "chosen minus it", "setting");
  for (std::size_t i = 0; i < study.runs.size(); ++i) {
    const Comparison& row = choice.comparisons[i];
    const bool chosen = i == choice.chosen;
    const std::string gains[] = {chosen ? "     -" : difference(row.selection_gain),
                                 chosen ? "     -" : difference(row.held_out_gain)};
    text += format("%c %s  %-25s  %s  %-25s  ", chosen ? '*' : ' ', accuracy(row.selection).c_str(), gains[0].c_str(),
                   accuracy(row.held_out).c_str(), gains[1].c_str());
    text += study.runs[i].settings.text() + "\n";
  }
  return text;
}

std::string entropy_table(const Study& study, const Choice& choice) {
  std::string text =
      format("  %9s  %-24s  %7s  %10s  %s\n", "tokens", "tau_0 at 70, 80, 90 %", "T_high", "at 80 %", "setting");
  for (std::size_t i = 0; i < study.runs.size(); ++i) {
    const Entropies& row = choice.comparisons[i].entropies;
    const auto quantile = [&](std::size_t q) { return static_cast<double>(row.quantiles[q]); };
    const std::string high =
        study.runs[i].settings.reset_enabled ? format("%5.1f %%", 100 * row.high) : std::string("-");
    text += format("  %9lld  %.4f  %.4f  %.4f    %7s  %8.1f %%  ", static_cast<long long>(row.tokens), quantile(0),
                   quantile(1), quantile(2), high.c_str(), 100 * row.high_replayed);
    text += study.runs[i].settings.text() + "\n";
  }
  return text;
}

// How the chosen run stands against the others on the held-out split.
std::string standing(const Choice& choice) {
  int better = 0;
  int worse = 0;
  for (const Comparison& row : choice.comparisons) {
    const auto& interval = row.held_out_gain.interval;
    better += interval && interval->low > 0 ? 1 : 0;
    worse += interval && interval->high < 0 ? 1 : 0;
  }
  const int others = static_cast<int>(choice.comparisons.size()) - 1;
  return format("  held out it is better than %d of the %d others, worse than %d, not told apart from %d\n", better,
                others, worse, others - better - worse);
}

std::string verdict(const Study& study, const Choice& choice) {
  if (choice.measured) return "* chosen: " + study.runs[choice.chosen].settings.text() + "\n" + standing(choice);
  return "  no answer was sampled with ReSET, so no accuracy speaks for a threshold: tau_0 = " +
         traces::shortest(choice.params.tau0) +
         " is the 80 %\n  quantile of the entropies of *, the other parameters are defaults. Record answers with a "
         "few " +
         "thresholds, and\n  calibrate again.\n";
}

Json interval(const Estimate& e) { return e.interval ? Json{e.interval->low, e.interval->high} : Json(); }

Json result(const Study& study, const Choice& choice) {
  const Estimate& held_out = choice.comparisons[choice.chosen].held_out;
  return {{"model", study.model},
          {"task", study.task},
          {"params", Json::parse(traces::to_json(choice.params))},
          {"basis", choice.measured ? "answers" : "entropies"},
          {"problems", {{"selection", study.runs[0].selection.size()}, {"held_out", study.runs[0].held_out.size()}}},
          {"held_out", choice.measured ? Json{{"accuracy", held_out.mean}, {"interval", interval(held_out)}} : Json()}};
}

}  // namespace

std::string report(const Study& study, const Choice& choice) {
  const Run& first = study.runs[0];
  std::string text = "\n" + study.name() + ": " + std::to_string(first.selection.size()) + " problems to choose by, " +
                     std::to_string(first.held_out.size()) + " held out";
  if (study.left_out > 0) text += ", " + std::to_string(study.left_out) + " left out, which not every setting answered";
  text += "\n95 % intervals: percentile bootstrap over problems, paired by problem, each for itself\n";
  if (first.selection.size() < kFewProblems || first.held_out.size() < kFewProblems) {
    text += "fewer than " + std::to_string(kFewProblems) + " problems in a split: the intervals are too narrow\n";
  }
  text += "\n" + accuracy_table(study, choice) + "\n" + verdict(study, choice) + "\n";
  text += entropy_table(study, choice);
  return text +
         "  of the tokens recorded to choose by; \"at 80 %\": the share at T_high with that tau_0, had the tokens "
         "been\n"
         "  the same. What a threshold that nobody ran does to accuracy, no record can say.\n";
}

std::string to_json(const std::vector<Study>& studies, const std::vector<Choice>& choices) {
  Json json = Json::array();
  for (std::size_t i = 0; i < studies.size(); ++i) json.push_back(result(studies[i], choices[i]));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace calibrate
