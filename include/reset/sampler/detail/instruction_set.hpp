/// @file
/// A name for the instruction set that a translation unit is compiled for. What the CPU path of the sampler consists of
/// stands in an inline namespace of that name, so that objects compiled for different ones share none of its code.
///
/// Public types and the scalar functions of both sides do not carry the name: a program for several instruction sets
/// instantiates `ReSETSampler` for one of them, or once in each shared library with hidden symbols.
#pragma once

#include <reset/config.hpp>

/// @cond
#if defined(__AVX512VBMI__)
#define RESET_INSTRUCTION_SET x86_avx512_vbmi
#elif defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define RESET_INSTRUCTION_SET x86_avx512
#elif defined(__AVX512F__)
#define RESET_INSTRUCTION_SET x86_avx512f
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__)
#define RESET_INSTRUCTION_SET x86_avx2_bmi2
#elif defined(__AVX2__) && defined(__FMA__)
#define RESET_INSTRUCTION_SET x86_avx2_fma
#elif defined(__AVX2__)
#define RESET_INSTRUCTION_SET x86_avx2
#elif defined(__AVX__)
#define RESET_INSTRUCTION_SET x86_avx
#elif defined(__SSE4_1__)
#define RESET_INSTRUCTION_SET x86_sse4
#elif defined(__ARM_FEATURE_SVE)
#define RESET_INSTRUCTION_SET arm_sve
#else
#define RESET_INSTRUCTION_SET baseline
#endif
/// @endcond

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// The default template argument that gives a public function of the CPU path the name too.
struct HostCode {};

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
