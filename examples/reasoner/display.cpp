#include "display.hpp"

#include <algorithm>
#include <cstdio>

namespace reasoner {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[128];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::string repeat(const char* text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

constexpr const char* kUncertain = "▲";

}  // namespace

void Display::rule() const {
  print(" " + terminal_.paint(Colour::kFaint, repeat("─", terminal_.columns() - 2)) + "\n");
}

void Display::head(const std::vector<std::pair<std::string, std::string>>& facts) const {
  print("\n");
  for (const auto& [name, what] : facts) {
    print("  " + terminal_.paint(Colour::kStrong, format("%-8s", name.c_str())) + what + "\n");
  }
  if (policy_.reset) {
    print("  " + terminal_.paint(Colour::kStrong, format("%-8s", "tokens")) +
          terminal_.paint(Colour::kLow, format("at T_low %g", static_cast<double>(policy_.t_low))) +
          ", where the entropy H is below the threshold tau;  " +
          terminal_.paint(Colour::kHigh, format("at T_high %g", static_cast<double>(policy_.t_high))) +
          ", where the model chooses\n");
    print("  " + terminal_.paint(Colour::kStrong, format("%-8s", "steps")) +
          terminal_.paint(Colour::kHigh, kUncertain) +
          " uncertain: more entropy than the trace so far, which sets tau to the step's own mean\n");
  }
}

void Display::begin(std::int64_t number, std::int64_t count, const Problem& problem) {
  steps_ = 0;
  step_ = {};
  std::string numbers;
  for (const std::int64_t value : problem.numbers) numbers += (numbers.empty() ? "" : "  ") + std::to_string(value);
  print("\n");
  rule();
  print("  " +
        terminal_.paint(Colour::kFaint,
                        format("%lld/%lld", static_cast<long long>(number), static_cast<long long>(count))) +
        "   reach " + terminal_.paint(Colour::kStrong, std::to_string(problem.target)) + "  from  " +
        terminal_.paint(Colour::kStrong, numbers) + "\n\n");
  const char* columns = policy_.reset ? "  step   mean H     tau       share at T_high" : "  step   mean H";
  print(terminal_.paint(Colour::kFaint, columns) + "\n");
}

void Display::flush_run() {
  text_ += terminal_.paint(colour_, run_);
  run_.clear();
}

void Display::token(const TokenRecord& record, std::string_view text) {
  step_.add(record);
  total_.add(record);
  const Colour colour = !policy_.reset ? Colour::kStrong : record.high ? Colour::kHigh : Colour::kLow;
  if (colour != colour_) flush_run();
  colour_ = colour;
  // The boundary itself is where the line breaks: a mark keeps its colour visible.
  const bool boundary = text.find("\n\n") != std::string_view::npos;
  run_ += boundary ? std::string_view("¶") : text;
  if (boundary) step();
}

void Display::step() {
  flush_run();
  ++steps_;
  std::string line = format("  %4lld   %6.3f", static_cast<long long>(steps_), step_.mean(step_.entropy));
  if (policy_.reset) {
    line += format("   %6.3f ", step_.mean(step_.threshold));
    line += step_.uncertain > 0 ? terminal_.paint(Colour::kHigh, kUncertain) : " ";
    line += "  " + share_bar(step_, step_.high, 10, Colour::kHigh) + format(" %3.0f %%", 100 * step_.share(step_.high));
  }
  print(line + "   " + text_ + "\n");
  step_ = {};
  text_.clear();
}

void Display::end(const Solution& solution) {
  if (step_.tokens > 0) step();
  const Verdict& verdict = solution.verdict;
  const std::string mark =
      verdict.correct ? terminal_.paint(Colour::kGood, "✔ solved") : terminal_.paint(Colour::kBad, "✘ not solved");
  const std::string answer = verdict.answer.empty() ? "" : "   " + terminal_.paint(Colour::kStrong, verdict.answer);
  print("\n  " + mark + answer + "   " + terminal_.paint(Colour::kFaint, "checked: " + verdict.reason) + "\n");
}

std::string Display::share_bar(const Tally& tally, std::int64_t part, int width, Colour colour) const {
  const Bar bar = make_bar(tally.share(part), width);
  return terminal_.paint(colour, bar.filled) + terminal_.paint(Colour::kFaint, bar.rest);
}

void Display::summary(std::int64_t solved, std::int64_t count, double seconds) const {
  print("\n");
  rule();
  const auto tokens = static_cast<long long>(total_.tokens);
  print("  " +
        terminal_.paint(solved == count ? Colour::kGood : Colour::kStrong,
                        format("solved %lld of %lld", static_cast<long long>(solved), static_cast<long long>(count))) +
        format("   %lld tokens in %.1f s, %.0f tokens/s\n", tokens, seconds, static_cast<double>(tokens) / seconds));
  if (!policy_.reset) return;
  const auto line = [&](const char* name, float temperature, std::int64_t part, Colour colour) {
    print("  " + format("%-6s %-4g ", name, static_cast<double>(temperature)) + share_bar(total_, part, 40, colour) +
          format(" %3.0f %% of the tokens\n", 100 * total_.share(part)));
  };
  line("T_low", policy_.t_low, total_.tokens - total_.high, Colour::kLow);
  line("T_high", policy_.t_high, total_.high, Colour::kHigh);
  print("\n");
}

}  // namespace reasoner
