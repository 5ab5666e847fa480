#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"
#include "smelt/result.h"
#include "tensor/host_tensor.h"

/// The reference interpreter: slow, scalar, obvious. Constant folding and the tests use it.
namespace smelt::eval {

/// One op on tensors in memory; nullptr is an absent operand. Float arithmetic is in double and rounded once, to the op's own
/// dtype; integers are 64-bit and wrap to their width. Any op and dtype of the IR; `kInvalidArgument` when the shape rule
/// refuses the operands, an index is out of range, or an integer is divided by zero.
[[nodiscard]] Result<std::vector<HostTensor>> evaluate(const ir::Op& op, std::span<const HostTensor* const> inputs);

/// A whole graph on static inputs, in `graph.inputs()` order; gives `graph.outputs()` in order.
[[nodiscard]] Result<std::vector<HostTensor>> evaluate(const ir::Graph& graph, std::span<const HostTensor> inputs);

}  // namespace smelt::eval
