/// @file
/// Everything, for nvcc; the file readers of `reset/io/` stay separate.
#pragma once

#include <reset/reset.hpp>
