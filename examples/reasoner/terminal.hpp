// Colour and width of the terminal. The colours are mid-tones of the 256-colour palette that keep a contrast of about 4
// on black and on white, blue against orange because nearly everybody can tell those two apart.
#pragma once

#include <string>
#include <string_view>

namespace reasoner {

enum class Colour { kLow, kHigh, kGood, kBad, kFaint, kStrong };

class Terminal {
 public:
  // Colours if standard output is a terminal and the environment does not set NO_COLOR (no-color.org), unless forced.
  enum class Use { kAutomatic, kAlways, kNever };
  explicit Terminal(Use use);

  bool colours() const { return colours_; }
  int columns() const { return columns_; }

  // `text` in that colour, or as it is.
  std::string paint(Colour colour, std::string_view text) const;

 private:
  bool colours_ = false;
  int columns_ = 100;
};

// A bar of `width` characters, filled to `share` (0..1) in eighths of a character: first the filled part, then the
// rest.
struct Bar {
  std::string filled;
  std::string rest;
};
Bar make_bar(double share, int width);

// Characters on the screen of UTF-8 `text` (without escape sequences).
int display_width(std::string_view text);

}  // namespace reasoner
