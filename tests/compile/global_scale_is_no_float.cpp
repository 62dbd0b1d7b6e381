#include <reset/nvfp4/quantize.hpp>

reset::Nvfp4Block quantize(const float* block) {
  const float global = 0.5f;
#if defined(RESET_TEST_BAD)
  return reset::RoundToNearest{}(block, global, nullptr);
#else
  return reset::RoundToNearest{}(block, reset::GlobalScale{global}, nullptr);
#endif
}
