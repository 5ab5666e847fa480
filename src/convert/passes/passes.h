#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "ir/rewrite/patch.h"
#include "smelt/result.h"

/// The parts of `optimize`. Each whole-graph pass gives the number of its changes.
namespace smelt::passes {

/// Erases every node that no graph output needs. Exact.
[[nodiscard]] Result<std::uint64_t> remove_dead_code(ir::Graph& graph);

/// Replaces nodes whose operands are all constants by their results. Exact: what the reference interpreter gives.
[[nodiscard]] Result<std::uint64_t> fold_constants(ir::Graph& graph, std::uint64_t budget_bytes);

/// Merges equal constants, and equal ops on equal operands. Exact.
[[nodiscard]] Result<std::uint64_t> merge_common_subexpressions(ir::Graph& graph);

// The rules, by file.
[[nodiscard]] std::vector<ir::Rule> cleanup_rules();
[[nodiscard]] std::vector<ir::Rule> identity_operand_rules();
[[nodiscard]] std::vector<ir::Rule> constant_logic_rules();
[[nodiscard]] std::vector<ir::Rule> drop_expand_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_conv_rules();
[[nodiscard]] std::vector<ir::Rule> merge_branches_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_pad_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_linear_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_attention_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_layer_norm_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_gelu_rules();
[[nodiscard]] std::vector<ir::Rule> fuse_activation_rules();

}  // namespace smelt::passes
