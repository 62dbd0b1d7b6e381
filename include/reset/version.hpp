/// @file
/// The version of the library, written once: CMake, pkg-config and the inline namespace read it from here.
#pragma once

#define RESET_VERSION_MAJOR 0
#define RESET_VERSION_MINOR 1
#define RESET_VERSION_PATCH 0
