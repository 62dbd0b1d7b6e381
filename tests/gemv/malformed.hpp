// Every way in which a mat-vec call can be malformed, told by a change of a good one.
#pragma once

#include <cstdint>

#include <reset/gemv/problem.hpp>

// Of 4 tokens, 300 rows of 512 and 16-bit results without gaps, with a bias, a residual apart and alpha in memory.
struct Malformed {
  const char* argument;  // that is refused
  void (*change)(reset::GemvProblem&);
  reset::ActivationType activation = reset::ActivationType::kNvfp4;
};

namespace malformed {

inline void* behind(const void* begin, std::int64_t bytes) {
  return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(begin) + bytes);
}

using Problem = reset::GemvProblem;

inline constexpr Malformed kShapes[] = {
    {"tokens", [](Problem& p) { p.tokens = 0; }},
    {"tokens", [](Problem& p) { p.tokens = 17; }},
    {"activations.nvfp4.rows", [](Problem& p) { p.tokens = 5; }},
    {"weights.cols", [](Problem& p) { p.weights.cols = 520; }},
    {"activations.nvfp4.cols", [](Problem& p) { p.weights.cols = 256; }},
    {"weights.rows", [](Problem& p) { p.weights.rows = 0; }},
    {"weights.rows", [](Problem& p) { p.weights.rows = p.output.row_stride = reset::kMaxGemvRows + 1; }},
    {"weights.rows", [](Problem& p) { p.weights.rows = p.output.row_stride = 301, p.gate = reset::GemvGate::kGateUp; }},
    {"gate", [](Problem& p) { p.gate = static_cast<reset::GemvGate>(7); }},
    {"activations.type", [](Problem& p) { p.activations.type = static_cast<reset::ActivationType>(7); }},
    {"output.type", [](Problem& p) { p.output.type = static_cast<reset::OutputType>(7); }},
};

inline constexpr Malformed kViews[] = {
    {"weights.packed", [](Problem& p) { p.weights.packed = nullptr; }},
    {"weights.row_stride", [](Problem& p) { p.weights.row_stride = 255; }},
    {"weights.block_scale.data", [](Problem& p) { p.weights.block_scale.data = nullptr; }},
    {"weights.block_scale.stride", [](Problem& p) { p.weights.block_scale.stride = 31; }},
    {"weights.block_scale.layout",
     [](Problem& p) { p.weights.block_scale.layout = static_cast<reset::ScaleLayout>(9); }},
    {"weights.global.count", [](Problem& p) { p.weights.global.count = 5; }},
    {"weights.global.parts[0].scale", [](Problem& p) { p.weights.global.parts[0].scale = {0.0f}; }},
    {"weights.global.parts[1].scale",
     [](Problem& p) {
       p.weights.global.count = 2;
       p.weights.global.parts[1] = {2, {0.0f}};
     }},
    {"weights.global.parts[3].first_row",
     [](Problem& p) {
       p.weights.global = reset::FusedGlobalScales::fused({{0, {1.0f}}, {1, {1.0f}}, {2, {1.0f}}, {2, {1.0f}}});
     }},
    {"activations.nvfp4.packed", [](Problem& p) { p.activations.nvfp4.packed = nullptr; }},
    {"activations.nvfp4.block_scale.stride", [](Problem& p) { p.activations.nvfp4.block_scale.stride = 3; }},
    {"activations.nvfp4.global.parts[0].scale",
     [](Problem& p) { p.activations.nvfp4.global.parts[0].scale = {-1.5f}; }},
    {"activations.nvfp4.global.count",
     [](Problem& p) {
       p.activations.nvfp4.global.count = 2;
       p.activations.nvfp4.global.parts[1] = {2, {1.0f}};
     }},
};

inline constexpr auto kBf16 = reset::ActivationType::kBf16;
inline constexpr Malformed kDense[] = {
    {"activations.dense", [](Problem& p) { p.activations.dense = nullptr; }, kBf16},
    {"activations.dense", [](Problem& p) { p.activations.dense = behind(p.activations.dense, 1); }, kBf16},
    {"activations.row_stride", [](Problem& p) { p.activations.row_stride = 511; }, kBf16},
    {"activations.row_stride", [](Problem& p) { p.activations.row_stride = -512; }, kBf16},
    {"activations.row_stride", [](Problem& p) { p.activations.row_stride = std::int64_t{1} << 62; }, kBf16},
};

inline constexpr Malformed kOutputs[] = {
    {"output.data", [](Problem& p) { p.output.data = nullptr; }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.output.data, 1); }},
    {"output.data",
     [](Problem& p) { p.output.data = behind(p.output.data, 2), p.output.type = reset::OutputType::kFp32; }},
    {"output.row_stride", [](Problem& p) { p.output.row_stride = 299; }},
    {"bias", [](Problem& p) { p.bias = behind(p.bias, 1); }},
    {"residual", [](Problem& p) { p.residual = behind(p.residual, 1); }},
    {"alpha.device", [](Problem& p) { p.alpha.device = reinterpret_cast<const float*>(behind(p.alpha.device, 2)); }},
};

// An output in the last bytes of each operand, and one that ends in its first.
inline constexpr Malformed kOverlaps[] = {
    {"output.data", [](Problem& p) { p.output.data = behind(p.weights.packed, 300 * 256 - 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.weights.packed, -4 * 600 + 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.weights.block_scale.data, 300 * 32 - 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.activations.nvfp4.packed, 4 * 256 - 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.activations.nvfp4.block_scale.data, 4 * 32 - 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.bias, 598); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.alpha.device, 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.residual, 2); }},
    {"output.data", [](Problem& p) { p.output.data = behind(p.activations.dense, 1024); },
     reset::ActivationType::kFp16},
};

// `visit` each of them.
template <class Visit>
void for_each(Visit visit) {
  for (const Malformed& call : kShapes) visit(call);
  for (const Malformed& call : kViews) visit(call);
  for (const Malformed& call : kDense) visit(call);
  for (const Malformed& call : kOutputs) visit(call);
  for (const Malformed& call : kOverlaps) visit(call);
}

}  // namespace malformed
