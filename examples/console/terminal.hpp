// Colour and width of the terminal. The colours are mid-tones of the 256-colour palette that keep a contrast of about 4
// on black and on white, blue against orange because nearly everybody can tell those two apart.
#pragma once

#include <string>
#include <string_view>

namespace console {

enum class Colour { kLow, kHigh, kGood, kBad, kFaint, kStrong };

class Terminal {
 public:
  // Colours if standard output is a terminal and the environment does not set NO_COLOR (no-color.org), unless forced.
  enum class Use { kAutomatic, kAlways, kNever };
  explicit Terminal(Use use);

  bool colours() const { return colours_; }
  // Whether lines can be written over.
  bool interactive() const { return interactive_; }
  int columns() const { return columns_; }

  // `text` in that colour, underlined or not; or as it is.
  std::string paint(Colour colour, std::string_view text, bool underlined = false) const;

 private:
  bool colours_ = false;
  bool interactive_ = false;
  int columns_ = 100;
};

// A line of `width` characters of which the share (0..1) is drawn heavy, to half a character.
struct Bar {
  std::string filled;
  std::string rest;
};
Bar make_bar(double share, int width);

}  // namespace console
