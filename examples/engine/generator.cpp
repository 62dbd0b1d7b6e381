#include "generator.hpp"

#include <string>

#include <reset/status.hpp>

#include "size_of.hpp"

namespace engine {

void check_slots(const std::vector<Prompt>& prompts, std::int32_t slots) {
  std::vector<bool> taken(size_of(slots), false);
  for (const Prompt& prompt : prompts) {
    const std::string found = "slot is " + std::to_string(prompt.slot) + ", expected ";
    if (prompt.slot < 0 || prompt.slot >= slots) throw reset::Error(found + "0.." + std::to_string(slots - 1));
    if (taken[size_of(prompt.slot)]) throw reset::Error(found + "once");
    taken[size_of(prompt.slot)] = true;
  }
}

GeneratedToken generated_token(std::int32_t slot, const reset::SampledToken& sampled, const ModelConfig& config,
                               bool full) {
  const bool ended = config.is_eos(sampled.token) || full;
  return {slot, sampled, ended || sampled.stop, sampled.stop && !ended};
}

}  // namespace engine
