#include <reset/io/checkpoint.hpp>

std::int64_t columns(const reset::Checkpoint& checkpoint) {
#if defined(RESET_TEST_BAD)
  const reset::Nvfp4MatrixView& view = checkpoint.nvfp4("layer").view();
  return view.cols;
#else
  const reset::Nvfp4Weight weight = checkpoint.nvfp4("layer");
  return weight.view().cols;
#endif
}
