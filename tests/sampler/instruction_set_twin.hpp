// What the two twins of instruction_set_twin.cpp offer; nothing that either would share with the other.
#pragma once

#include <cstddef>
#include <cstdint>

#include <reset/sampler/entropy.hpp>

constexpr int kTwinAddresses = 12;

struct Addresses {
  std::uintptr_t of[kTwinAddresses];
};

namespace twin_baseline {
double row_entropy(const float* row, std::size_t columns, reset::EntropyPartial* scratch);
Addresses addresses();
}  // namespace twin_baseline

namespace twin_wide {
double row_entropy(const float* row, std::size_t columns, reset::EntropyPartial* scratch);
Addresses addresses();
}  // namespace twin_wide
