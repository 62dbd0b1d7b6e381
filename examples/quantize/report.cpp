#include "report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>

namespace quantize {
namespace {

std::string decibel_text(const Energy& energy) {
  const double decibels = energy.decibels();
  if (decibels == std::numeric_limits<double>::max()) return "exact";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", decibels);
  return text;
}

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

ProgressBar::ProgressBar(std::uint64_t total)
    : total_(std::max<std::uint64_t>(total, 1)), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (terminal_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::advance(std::uint64_t bytes) {
  constexpr auto kRedraw = std::chrono::milliseconds(50);
  done_ += bytes;
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  if (!terminal_) {
    const int tenths = static_cast<int>(share * 10 + 1e-9);
    for (; tenths_ < tenths; ++tenths_) std::fprintf(stderr, "quantising: %d %%\n", (tenths_ + 1) * 10);
    return;
  }
  const Clock::time_point now = Clock::now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  draw(share);
}

void ProgressBar::draw(double share) const {
  constexpr int kWidth = 32;
  const int filled = static_cast<int>(share * kWidth);
  std::string bar;
  for (int i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "·";
  const double seconds = std::chrono::duration<double>(drawn_ - start_).count();
  std::fprintf(stderr, "\r  %s %3.0f %%  %.0f MB/s  %.60s\x1b[K", bar.c_str(), 100 * share,
               megabytes(done_) / std::max(seconds, 1e-3), name_.c_str());
  std::fflush(stderr);
}

void print_table(const std::vector<Outcome>& outcomes, std::uint64_t bytes_before, std::uint64_t bytes_after) {
  int name_width = 6;
  for (const Outcome& outcome : outcomes) {
    name_width = std::max(name_width, static_cast<int>(outcome.planned->tensor->name.size()));
  }
  const auto line = [&](const std::string& name, const std::string& shape, const std::string& what) {
    std::printf("  %-*s  %14s  %s\n", name_width, name.c_str(), shape.c_str(), what.c_str());
  };
  line("tensor", "shape", "signal to noise, dB");
  Energy total;
  std::int64_t quantised = 0;
  for (const Outcome& outcome : outcomes) {
    const PlannedTensor& planned = *outcome.planned;
    if (!planned.quantised()) continue;
    line(planned.tensor->name, shape_text(*planned.tensor), decibel_text(outcome.energy));
    total.add(outcome.energy);
    ++quantised;
  }
  line("total", std::to_string(quantised) + " tensors", decibel_text(total));
  std::printf("\n");
  for (const Outcome& outcome : outcomes) {
    const PlannedTensor& planned = *outcome.planned;
    if (!planned.quantised()) line(planned.tensor->name, shape_text(*planned.tensor), "kept: " + planned.kept);
  }
  std::printf("\n  %.1f MB -> %.1f MB\n", megabytes(bytes_before), megabytes(bytes_after));
}

}  // namespace quantize
