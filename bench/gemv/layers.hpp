// The linear layers that are measured, and the calls of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <reset/gemv/problem.hpp>

namespace bench {

struct Layer {
  const char* model;
  const char* name;
  std::int64_t n;
  std::int64_t k;
};

inline constexpr Layer kLayers[] = {
    {"Qwen3-8B", "qkv", 6144, 4096},
    {"Qwen3-8B", "o", 4096, 4096},
    {"Qwen3-8B", "gate", 12288, 4096},
    {"Qwen3-8B", "gate_up", 24576, 4096},
    {"Qwen3-8B", "down", 4096, 12288},
    {"Qwen3-32B", "qkv", 10240, 5120},
    {"Qwen3-32B", "o", 5120, 8192},
    {"Qwen3-32B", "gate", 25600, 5120},
    {"Qwen3-32B", "down", 5120, 25600},
    {"Qwen3-14B", "qkv", 7168, 5120},
    {"Qwen3-14B", "o", 5120, 5120},
    {"Qwen3-14B", "gate", 17408, 5120},
    {"Qwen3-14B", "gate_up", 34816, 5120},
    {"Qwen3-14B", "down", 5120, 17408},
    {"R1-Distill-Qwen-7B", "qkv", 4608, 3584},
    {"R1-Distill-Qwen-7B", "o", 3584, 3584},
    {"R1-Distill-Qwen-7B", "gate", 18944, 3584},
    {"R1-Distill-Qwen-7B", "gate_up", 37888, 3584},
    {"R1-Distill-Qwen-7B", "down", 3584, 18944},
    {"R1-Distill-Qwen-14B", "qkv", 7168, 5120},
    {"R1-Distill-Qwen-14B", "o", 5120, 5120},
    {"R1-Distill-Qwen-14B", "gate", 13824, 5120},
    {"R1-Distill-Qwen-14B", "gate_up", 27648, 5120},
    {"R1-Distill-Qwen-14B", "down", 5120, 13824},
    {"odd", "1000x4112", 1000, 4112},
    {"odd", "5119x1856", 5119, 1856},
};

// The widest layer of each model as its MLP calls it: SwiGLU of its two halves in the epilogue.
inline constexpr Layer kGatedLayers[] = {
    {"Qwen3-8B", "gate_up", 24576, 4096},
    {"Qwen3-32B", "gate_up", 51200, 5120},
    {"Qwen3-14B", "gate_up", 34816, 5120},
    {"R1-Distill-Qwen-7B", "gate_up", 37888, 3584},
    {"R1-Distill-Qwen-14B", "gate_up", 27648, 5120},
};

// Bytes of a layer's weights: packed codes, and with block scales, without padding.
constexpr std::int64_t packed_bytes(const Layer& layer) { return layer.n * layer.k / 2; }
constexpr std::int64_t weight_bytes(const Layer& layer) { return packed_bytes(layer) + layer.n * layer.k / 16; }

// One measured call of a layer.
struct Case {
  Layer layer;
  std::int64_t m;
  reset::ActivationType activation;
  reset::ScaleLayout layout;
  bool pdl;
  reset::GemvGate gate = reset::GemvGate::kNone;
};

inline const char* name_of(reset::ActivationType type) {
  switch (type) {
    case reset::ActivationType::kNvfp4:
      return "nvfp4";
    case reset::ActivationType::kFp16:
      return "fp16";
    case reset::ActivationType::kBf16:
      return "bf16";
  }
  return "?";
}

inline const char* name_of(reset::ScaleLayout layout) {
  return layout == reset::ScaleLayout::kLinear ? "linear" : "swizzled128x4";
}

// What --benchmark_filter sees: gemv/Qwen3-8B/qkv/m:1/nvfp4/linear/pdl; behind it /swiglu with a gate.
inline std::string name_of(const Case& c) {
  return std::string("gemv/") + c.layer.model + "/" + c.layer.name + "/m:" + std::to_string(c.m) + "/" +
         name_of(c.activation) + "/" + name_of(c.layout) + (c.pdl ? "/pdl" : "/plain") +
         (c.gate == reset::GemvGate::kNone ? "" : "/swiglu");
}

// Both activations at every M, with swizzled scales and with a gate at M = 1; more with swizzled scales, without
// dependent launch and with fp16 a part of it.
inline std::vector<Case> all_cases() {
  using reset::ActivationType;
  using reset::ScaleLayout;
  std::vector<Case> cases;
  for (const Layer& layer : kLayers) {
    const bool main = std::string(layer.model) == "Qwen3-8B";
    for (const ActivationType type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
      for (const std::int64_t m : {1, 2, 3, 4, 6, 8, 12, 16}) {
        cases.push_back({layer, m, type, ScaleLayout::kLinear, true});
        if (m == 1) cases.push_back({layer, m, type, ScaleLayout::kLinear, false});
        if (m == 1 || (main && m == 8)) cases.push_back({layer, m, type, ScaleLayout::kSwizzled128x4, true});
        if (main && m == 1) cases.push_back({layer, m, type, ScaleLayout::kSwizzled128x4, false});
      }
    }
    if (main) cases.push_back({layer, 1, ActivationType::kFp16, ScaleLayout::kLinear, true});
  }
  for (const Layer& layer : kGatedLayers) {
    for (const ActivationType type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
      cases.push_back({layer, 1, type, ScaleLayout::kLinear, true, reset::GemvGate::kGateUp});
    }
  }
  return cases;
}

}  // namespace bench
