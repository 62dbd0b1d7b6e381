#include <cstdio>

#include <reset/reset.hpp>

int main() {
  const reset::Status status(reset::StatusCode::kInvalidArgument, "window", 129, "0..128");
  std::puts(status.message().c_str());
  return status.ok() ? 1 : 0;
}
