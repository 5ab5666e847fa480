#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "convert/coreml/lowering.h"

namespace smelt::coreml_format {

/// The parameters of slice_by_index but x, masks included. An end of -1, before the first element, has no number in MIL: there the
/// end is left open.
[[nodiscard]] LowerContext::Inputs slice_parameters(LowerContext& cx, const std::vector<std::int64_t>& begin, std::vector<std::int64_t> end,
                                                    const std::vector<std::int64_t>& step);

/// The parameters of gather, or without an axis of gather_nd, but x and indices: as many as the target has.
[[nodiscard]] LowerContext::Inputs gather_parameters(LowerContext& cx, std::optional<std::int64_t> axis, std::int64_t batch_axes);

}  // namespace smelt::coreml_format
