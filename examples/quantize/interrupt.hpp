// Ctrl-C and its kin end the tool as an error would: what was written so far is removed.
#pragma once

namespace quantize {

// From now on the first SIGINT, SIGTERM or SIGHUP is only remembered, unless it is ignored; a second one ends the
// program at once.
void remember_interrupts();

// The signal that came, or 0.
int interrupt();

// Throws reset::Error if a signal came.
void throw_if_interrupted();

}  // namespace quantize
