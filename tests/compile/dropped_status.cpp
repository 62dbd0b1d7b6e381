#include <reset/nvfp4/matrix.hpp>

void check(const reset::Nvfp4MatrixView& view) {
#if defined(RESET_TEST_BAD)
  reset::validate(view);
#else
  reset::throw_if_failed(reset::validate(view));
#endif
}
