/// @file
/// Everything that a plain C++17 compiler can read, except the file readers of `reset/io/`.
#pragma once

#include <reset/config.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/nvfp4/quantization_error.hpp>
#include <reset/nvfp4/quantize.hpp>
#include <reset/nvfp4/reference.hpp>
#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/boundary/entropy_shift.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/boundary/text_delimiters.hpp>
#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/sampler/calibrate.hpp>
#include <reset/sampler/entropy.hpp>
#include <reset/sampler/policy.hpp>
#include <reset/sampler/random.hpp>
#include <reset/sampler/reset_sampler.hpp>
#include <reset/status.hpp>
#include <reset/version.hpp>
