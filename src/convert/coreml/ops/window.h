#pragma once

#include <cstdint>
#include <vector>

#include "convert/coreml/lifting.h"

namespace smelt::coreml_format {

/// MIL's order of pads: [begin0, end0, begin1, end1, ...].
[[nodiscard]] std::vector<std::int64_t> interleaved(const std::vector<std::int64_t>& begin, const std::vector<std::int64_t>& end);

struct Pads {
  std::vector<std::int64_t> begin, end;
};
/// The explicit pads of a window operation: pad_type "custom" or "valid"; the "same" forms are refused.
[[nodiscard]] Result<Pads> read_pads(const LiftContext& cx, std::size_t axes);

}  // namespace smelt::coreml_format
