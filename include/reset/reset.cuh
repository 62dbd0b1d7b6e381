/// @file
/// Everything, for nvcc; the file readers of `reset/io/` stay separate.
#pragma once

#if !defined(__CUDACC__)
#error "reset/reset.cuh holds kernels: include it where nvcc compiles, and reset/reset.hpp elsewhere"
#else

#include <reset/gemv/launch.cuh>
#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>
#include <reset/reset.hpp>
#include <reset/sampler/reset_sampler.cuh>

#endif
