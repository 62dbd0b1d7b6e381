#include "interrupt.hpp"

#include <csignal>

#include <reset/status.hpp>

namespace quantize {
namespace {

volatile std::sig_atomic_t received = 0;

void remember(int signal) { received = signal; }

}  // namespace

void remember_interrupts() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;  // as nohup asks for
    action = {};
    action.sa_handler = remember;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
    sigaction(signal, &action, nullptr);
  }
}

int interrupt() { return received; }

void throw_if_interrupted() {
  if (received != 0) throw reset::Error("interrupted, nothing was written");
}

}  // namespace quantize
