#include <reset/sampler/boundary/token_set.hpp>

reset::TokenSetDetector detector(const reset::TokenSetTable& table) {
#if defined(RESET_TEST_BAD)
  return reset::TokenSetTable(32, {3}).detector();
#else
  return table.detector();
#endif
}
