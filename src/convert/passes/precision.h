#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::passes {

struct PrecisionResult {
  ir::Graph graph;
  std::uint64_t f16_nodes = 0, f32_nodes = 0;  ///< nodes with float operands
  std::vector<std::string> notes;              ///< what stayed float32 or was bounded, and why
};

/// Rebuilds a float32 graph so that it computes in float16; inputs and outputs keep their dtypes, with casts behind and before them.
///
/// - Constants round half to even. A finite value of 1e38 or more in magnitude stands for "minus infinity" in a mask: it becomes
///   +-40000, which leaves room for a sum, and is noted; so does minus infinity where it can reach nothing but softmaxes. In a constant of fewer than 400 elements, what would round to 0 becomes +-2^-24.
/// - An op with a constant operand that has any other finite value outside float16's range stays float32, noted.
/// - An epsilon that float16 changes by more than 1 % is noted.
/// Values computed at run time are not looked at here: parity shows them.
[[nodiscard]] Result<PrecisionResult> to_f16(const ir::Graph& graph);

}  // namespace smelt::passes
