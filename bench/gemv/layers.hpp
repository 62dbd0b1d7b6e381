// The linear layers that are measured, and their weights and activations in device memory.
#pragma once

#include <cstdint>

struct Layer {
  const char* model;
  const char* name;
  std::int64_t n;
  std::int64_t k;
};

inline constexpr Layer kLayers[] = {
    {"Qwen3-8B", "qkv", 6144, 4096},      {"Qwen3-8B", "o", 4096, 4096},      {"Qwen3-8B", "gate", 12288, 4096},
    {"Qwen3-8B", "gate_up", 24576, 4096}, {"Qwen3-8B", "down", 4096, 12288},  {"Qwen3-32B", "qkv", 10240, 5120},
    {"Qwen3-32B", "o", 5120, 8192},       {"Qwen3-32B", "gate", 25600, 5120}, {"Qwen3-32B", "down", 5120, 25600},
    {"odd", "1000x4112", 1000, 4112},     {"odd", "5119x1856", 5119, 1856}};
