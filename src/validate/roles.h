#pragma once

#include <vector>

#include "ir/graph.h"
#include "ir/ops/all.h"
#include "smelt/result.h"
#include "validate/samples.h"

namespace smelt::parity {

/// What the generators need to know of a model's inputs, from how the graph uses them: an integer that indexes a table (through
/// casts and changes of shape) is bounded by the smallest of them; an integer that indexes nothing is a mask; the rest are values.
/// The graph's inputs must be static.
[[nodiscard]] Result<std::vector<InputSpec>> input_specs(const ir::Graph& graph);

}  // namespace smelt::parity
