// What crosses from link.cpp to the translation units of run_time_entry.cu.
#pragma once

#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/device_sampler.hpp>

struct CUstream_st;

using EntrySampler = reset::ReSETSampler<reset::TokenSetDetector, reset::DeviceBackend>;
