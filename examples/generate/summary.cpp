#include "summary.hpp"

#include <algorithm>
#include <cstdio>

namespace generate {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[200];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

long long number(std::int64_t value) { return value; }

double share(std::int64_t part, std::int64_t of) {
  return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
}

}  // namespace

void print_facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::fflush(stdout);
  for (const auto& [name, text] : facts) std::fprintf(stderr, "  %-8s %s\n", name.c_str(), text.c_str());
}

void Summary::add(const reset::SampledToken& sampled) {
  ++tokens_;
  steps_ += sampled.boundary ? 1 : 0;
  ruled_ += sampled.active ? 1 : 0;
  high_ += sampled.active && sampled.policy.high ? 1 : 0;
  uncertain_ += sampled.active && sampled.policy.uncertain ? 1 : 0;
}

void Summary::advanced() {
  last_ = Clock::now();
  if (first_tokens_ > 0) return;
  first_tokens_ = tokens_;
  first_ = last_;
}

void Summary::ended(Ending how) { ++ended_[static_cast<std::size_t>(how)]; }

void Summary::print(const console::Terminal& terminal) const {
  const auto seconds = [](Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  };
  const std::int64_t rest = tokens_ - first_tokens_;
  const double rate = static_cast<double>(rest) / std::max(seconds(first_, last_), 1e-9);
  std::vector<std::pair<std::string, std::string>> facts;
  facts.emplace_back("tokens", format("%lld in %.2f s, %.1f tokens/s after the first", number(tokens_),
                                      seconds(start_, last_), rest > 0 ? rate : 0.0));
  facts.emplace_back("first",
                     format("after %.3f s, prompt of %lld tokens", seconds(start_, first_), number(prompt_tokens_)));
  const auto [by_themselves, early, out_of_room] = ended_;
  std::string ended = format("%lld by themselves, ", number(by_themselves));
  if (early > 0) ended += format("%lld early, ", number(early));
  facts.emplace_back("ended", ended + format("%lld out of room", number(out_of_room)));
  facts.emplace_back("steps", format("%lld", number(steps_ + by_themselves + early + out_of_room)));
  if (ruled_ > 0) {
    const console::Bar bar = console::make_bar(share(high_, ruled_), 30);
    facts.emplace_back("T_high", terminal.paint(console::Colour::kHigh, bar.filled) +
                                     terminal.paint(console::Colour::kFaint, bar.rest) +
                                     format(" %.1f %% of the tokens, %.1f %% in uncertain steps",
                                            100 * share(high_, ruled_), 100 * share(uncertain_, ruled_)));
  }
  std::fputs("\n", stderr);
  print_facts(facts);
}

}  // namespace generate
