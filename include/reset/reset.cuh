/// @file
/// Everything, for nvcc; the file readers of `reset/io/` stay separate.
#pragma once

#include <reset/gemv/launch.cuh>
#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>
#include <reset/reset.hpp>
#include <reset/sampler/reset_sampler.cuh>
