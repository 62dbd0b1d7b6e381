#include <reset/reset.cuh>

bool is_ok(const reset::Status& status) { return status.ok(); }
