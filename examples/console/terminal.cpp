#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace console {
namespace {

const char* escape(Colour colour) {
  switch (colour) {
    case Colour::kLow:
      return "\x1b[38;5;32m";
    case Colour::kHigh:
      return "\x1b[1;38;5;166m";
    case Colour::kGood:
      return "\x1b[1;38;5;28m";
    case Colour::kBad:
      return "\x1b[1;38;5;160m";
    case Colour::kFaint:
      return "\x1b[38;5;244m";
    case Colour::kStrong:
      return "\x1b[1m";
  }
  return "";
}

}  // namespace

Terminal::Terminal(Use use) {
  const char* no_color = std::getenv("NO_COLOR");
  interactive_ = isatty(STDOUT_FILENO) != 0;
  const bool wanted = interactive_ && (no_color == nullptr || *no_color == '\0');
  colours_ = use == Use::kAlways || (use == Use::kAutomatic && wanted);
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) columns_ = std::clamp<int>(size.ws_col, 60, 120);
}

std::string Terminal::paint(Colour colour, std::string_view text, bool underlined) const {
  if (!colours_ || text.empty()) return std::string(text);
  return escape(colour) + std::string(underlined ? "\x1b[4m" : "") + std::string(text) + "\x1b[0m";
}

Bar make_bar(double share, int width) {
  const auto halves = std::clamp(static_cast<int>(std::lround(share * 2 * width)), 0, 2 * width);
  Bar bar;
  for (int i = 0; i < halves / 2; ++i) bar.filled += "━";
  if (halves % 2 != 0) bar.filled += "╸";
  for (int i = (halves + 1) / 2; i < width; ++i) bar.rest += "─";
  return bar;
}

}  // namespace console
