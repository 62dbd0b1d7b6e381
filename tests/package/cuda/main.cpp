#include <reset/reset.hpp>

// Defined in device.cu: a type that crosses from a .cpp to a .cu file must mean the same in both, or this does not link.
bool is_ok(const reset::Status& status);

int main() { return is_ok(reset::Status()) ? 0 : 1; }
