// Compiled once for each instruction set, into one program.
#include <reset/sampler/detail/host_row.hpp>

#include "instruction_set_twin.hpp"

namespace RESET_TEST_TWIN {

using namespace reset;

double row_entropy(const float* row, std::size_t columns, EntropyPartial* scratch) {
  return entropy(row_statistics(row, columns, scratch).partial);
}

Addresses addresses() {
  const auto address = [](auto* function) { return reinterpret_cast<std::uintptr_t>(function); };
  return {{address(&row_statistics<float>), address(&chunk_statistics<>), address(&merge_tree<>),
           address(&detail::chunk_range), address(&detail::chunk_sums<true>), address(&detail::row_weight<float>),
           address(&detail::gather<float>), address(&detail::truncate_row<float>), address(&detail::race_row<float>),
           address(&detail::race_kept<float>), address(&detail::race_tokens<float>), address(&detail::exact_log)}};
}

}  // namespace RESET_TEST_TWIN
