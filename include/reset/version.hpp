/// @file
/// The version of the library, written once: CMake, pkg-config and the inline namespace read it from here.
#pragma once

#define RESET_VERSION_MAJOR 0  ///< Rises with a change that breaks callers (from 1.0 on).
#define RESET_VERSION_MINOR 1  ///< Rises with what is new; before 1.0 also with what breaks.
#define RESET_VERSION_PATCH 0  ///< Rises with what is mended.
