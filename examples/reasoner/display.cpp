#include "display.hpp"

#include <cstdio>

namespace reasoner {
namespace {

constexpr std::int64_t kFirstSteps = 12;
constexpr std::size_t kLastSteps = 6;
constexpr const char* kUncertain = "▲";
constexpr const char* kBoundary = "↵";

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

long long number(std::int64_t value) { return value; }

}  // namespace

void Display::rule() const {
  std::string line;
  for (int i = 2; i < terminal_.columns(); ++i) line += "─";
  print("\n " + terminal_.paint(console::Colour::kFaint, line) + "\n");
}

void Display::fact(const std::string& name, const std::string& text) const {
  print("  " + terminal_.paint(console::Colour::kStrong, format("%-8s", name.c_str())) + text + "\n");
}

void Display::head(const std::vector<std::pair<std::string, std::string>>& facts) const {
  print("\n");
  for (const auto& [name, text] : facts) fact(name, text);
  if (!temperatures_.reset) return;
  if (terminal_.colours()) {
    fact("tokens", terminal_.paint(console::Colour::kLow, format("T_low %g", static_cast<double>(temperatures_.low))) +
                       "  where the entropy H of the next token is below tau");
    fact("", terminal_.paint(console::Colour::kHigh, format("T_high %g", static_cast<double>(temperatures_.high))) +
                 "  where it is not: the model has a choice");
  }
  fact("steps", terminal_.paint(console::Colour::kHigh, kUncertain) +
                    " mostly uncertain: mean H above that of the whole trace, and tau follows it");
}

void Display::begin(std::int64_t index, std::int64_t count, const Problem& problem) {
  steps_ = 0;
  step_ = {};
  held_.clear();
  std::string numbers;
  for (const std::int64_t value : problem.numbers) numbers += (numbers.empty() ? "" : "  ") + std::to_string(value);
  rule();
  print("  " + terminal_.paint(console::Colour::kFaint, format("%lld/%lld", number(index), number(count))) +
        "   reach " + terminal_.paint(console::Colour::kStrong, std::to_string(problem.target)) + " from " +
        terminal_.paint(console::Colour::kStrong, numbers) + "\n\n");
  const char* columns = temperatures_.reset ? "  step  mean H    tau    share at T_high" : "  step  mean H";
  print(terminal_.paint(console::Colour::kFaint, columns) + "\n");
}

void Display::flush_run() {
  text_ += terminal_.paint(colour_, run_);
  run_.clear();
}

void Display::token(const TokenRecord& record, std::string_view text) {
  step_.add(record);
  total_.add(record);
  const console::Colour colour = !temperatures_.reset ? console::Colour::kStrong
                                 : record.high        ? console::Colour::kHigh
                                                      : console::Colour::kLow;
  if (colour != colour_) flush_run();
  colour_ = colour;
  const bool boundary = text.find("\n\n") != std::string_view::npos;
  run_ += boundary ? kBoundary : text;
  if (boundary) end_step();
}

void Display::end_step() {
  flush_run();
  ++steps_;
  std::string line = format("  %4lld  %6.3f", number(steps_), step_.mean(step_.entropy));
  if (temperatures_.reset) {
    const bool uncertain = 2 * step_.uncertain > step_.tokens;
    line += format("  %5.3f ", step_.mean(step_.threshold));
    line += uncertain ? terminal_.paint(console::Colour::kHigh, kUncertain) : " ";
    line += "  " + share_bar(step_, step_.high, 10, console::Colour::kHigh);
    line += format(" %3.0f %%", 100 * step_.share(step_.high));
  }
  show(line + "   " + text_ + "\n");
  step_ = {};
  text_.clear();
}

void Display::show(const std::string& line) {
  if (!terminal_.interactive() || steps_ <= kFirstSteps) return print(line);
  held_.push_back(line);
  if (held_.size() > kLastSteps) held_.pop_front();
  print(terminal_.paint(console::Colour::kFaint, format("\r  %4lld  ...", number(steps_))));
}

void Display::end(const Solution& solution) {
  if (step_.tokens > 0) end_step();
  const std::int64_t left_out = steps_ - kFirstSteps - static_cast<std::int64_t>(held_.size());
  if (!held_.empty()) print("\r\x1b[K");
  if (!held_.empty() && left_out > 0) {
    print(terminal_.paint(console::Colour::kFaint, format("   ...  %lld more steps", number(left_out))) + "\n");
  }
  for (const std::string& line : held_) print(line);
  const Verdict& verdict = solution.verdict;
  print("\n  " + (verdict.correct ? terminal_.paint(console::Colour::kGood, "✔ solved      ")
                                  : terminal_.paint(console::Colour::kBad, "✘ not solved  ")));
  if (!verdict.answer.empty()) print(terminal_.paint(console::Colour::kStrong, verdict.answer) + "\n                ");
  print(terminal_.paint(console::Colour::kFaint, "checked: " + verdict.reason) + "\n");
}

std::string Display::share_bar(const Tally& tally, std::int64_t part, int width, console::Colour colour) const {
  const console::Bar bar = console::make_bar(tally.share(part), width);
  return terminal_.paint(colour, bar.filled) + terminal_.paint(console::Colour::kFaint, bar.rest);
}

void Display::summary(std::int64_t solved, std::int64_t count, double seconds) const {
  rule();
  print("  " +
        terminal_.paint(solved == count ? console::Colour::kGood : console::Colour::kStrong,
                        format("solved %lld of %lld", number(solved), number(count))) +
        format("   %lld tokens in %.1f s, %.0f tokens/s\n", number(total_.tokens), seconds,
               static_cast<double>(total_.tokens) / seconds));
  if (temperatures_.reset) {
    const auto line = [&](const char* name, float temperature, std::int64_t part, console::Colour colour) {
      print("  " + terminal_.paint(colour, format("%-6s %-4g ", name, static_cast<double>(temperature))) +
            share_bar(total_, part, 40, colour) + format(" %3.0f %% of the tokens\n", 100 * total_.share(part)));
    };
    line("T_low", temperatures_.low, total_.tokens - total_.high, console::Colour::kLow);
    line("T_high", temperatures_.high, total_.high, console::Colour::kHigh);
  }
  print("\n");
}

}  // namespace reasoner
