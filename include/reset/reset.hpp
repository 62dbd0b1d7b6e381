/// @file
/// Everything that a plain C++17 compiler can read, except the file readers of `reset/io/`.
#pragma once

#include <reset/config.hpp>
#include <reset/status.hpp>
#include <reset/version.hpp>
