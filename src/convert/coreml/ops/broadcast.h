#pragma once

#include <string>

#include "convert/coreml/lowering.h"

namespace smelt::coreml_format {

/// The name of `x`, of `type`, repeated to a larger shape: reshape to its rank, then tile. MIL has no broadcast_to.
[[nodiscard]] std::string repeated(LowerContext& cx, std::string x, const TensorType& type, const Shape& shape);

/// The name of `x`, of `type`, with leading axes of 1 up to `rank`.
[[nodiscard]] std::string with_rank(LowerContext& cx, std::string x, const TensorType& type, std::size_t rank);

/// What `repeated` multiplies: one factor for each axis of `shape`.
[[nodiscard]] std::vector<std::int64_t> repeats(const Shape& from, const Shape& shape);

}  // namespace smelt::coreml_format
