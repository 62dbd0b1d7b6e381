/// @file
/// How a mat-vec call is launched.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/prefetch.hpp>

RESET_NAMESPACE_BEGIN

/// What runs ahead of a dependent launch, as far as the cut of the launch depends on it.
enum class GemvAhead : std::uint8_t {
  /// Whatever it is. Some multiprocessors may be free before others: no two CTAs that belong on two crowd there, but
  /// where whole decode steps were faster with room for the next launch.
  kAny,
  /// A kernel that has as many CTAs on any multiprocessor as on the others: a mat-vec of like size, for one. A call
  /// whose weights find room in half the shared memory leaves the other half to the launch behind it, which brings its
  /// weights there while this one computes (GemvPolicy::exclusive).
  kAlike,
};

/// How a call is launched.
struct LaunchOptions {
  /// Programmatic dependent launch: the kernel may begin while the one before it in the stream still runs, requests
  /// its weights, and waits for that kernel's end before it reads anything else or writes. It begins as early as the
  /// kernel ahead lets it: one of the engine's has to say so (`griddepcontrol.launch_dependents`). In return no kernel
  /// before it in the chain of dependent launches may write the weights, their block scales or global scales;
  /// activations, their scales and alpha may come from it. The kernel lets a dependent behind it begin early: one of
  /// the engine's has to wait in its turn (`griddepcontrol.wait`) before it reads or writes, and in any case before it
  /// ends. Needs compute capability 9.0 and code for it: a file compiled for less gets kUnsupported.
  bool dependent_launch = false;
  Prefetch prefetch;                  ///< What kernels further on will read, to be brought into the second-level cache.
  GemvAhead ahead = GemvAhead::kAny;  ///< Of a dependent launch whose policy is selected: what it follows.
};

RESET_NAMESPACE_END
