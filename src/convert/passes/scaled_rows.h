#pragma once

#include <vector>

#include "smelt/result.h"
#include "tensor/byte_source.h"

namespace smelt::passes {

/// f32 elements read as [scales.size(), inner], each row times its scale: computed in double, rounded once. A function of the source,
/// which stays where it is. `kInvalidArgument` when `source` is null or not whole rows.
[[nodiscard]] Result<BytesRef> scaled_rows(BytesRef source, std::vector<double> scales);

}  // namespace smelt::passes
