// Counts of the engine are signed, those of the standard library are not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace engine {

inline std::size_t size_of(std::int64_t count) { return static_cast<std::size_t>(count); }

}  // namespace engine
