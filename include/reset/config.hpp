/// @file
/// What every header needs from the compiler: the versioned namespace and the host/device mark.
#pragma once

#include <reset/version.hpp>

#if __cplusplus < 201703L
#error "reset needs C++17 or later"
#endif

/// @cond
#define RESET_NAMESPACE_JOIN_(a, b, c) v##a##_##b##_##c
#define RESET_NAMESPACE_EXPAND_(a, b, c) RESET_NAMESPACE_JOIN_(a, b, c)
/// @endcond

/// Opens `reset` and the inline namespace that carries the version. Two versions of the library can live in one
/// process; a type means the same in a `.cpp` and in a `.cu` file, whatever the architecture list of the latter.
#define RESET_NAMESPACE_BEGIN \
  namespace reset {           \
  inline namespace RESET_NAMESPACE_EXPAND_(RESET_VERSION_MAJOR, RESET_VERSION_MINOR, RESET_VERSION_PATCH) {

/// Closes what `RESET_NAMESPACE_BEGIN` opened.
#define RESET_NAMESPACE_END \
  }                         \
  }

#if defined(__CUDACC__)
/// Marks a function that is compiled for the device too when nvcc reads the header, and is an ordinary function
/// otherwise.
#define RESET_HOST_DEVICE __host__ __device__
#else
#define RESET_HOST_DEVICE
#endif
