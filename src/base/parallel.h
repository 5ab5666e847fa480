#pragma once

#include <cstddef>
#include <functional>

#include "smelt/result.h"

namespace smelt {

/// Calls `work(k)` once for each k below `count`, lowest first, on up to `jobs` threads, the calling one among them (0 is 1). After an
/// error no further k is begun, and the error of the lowest k that failed is returned: the same for any `jobs` and any timing.
[[nodiscard]] Status parallel_for(std::size_t count, unsigned jobs, const std::function<Status(std::size_t)>& work);

}  // namespace smelt
