#include "convert/passes/optimize.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "convert/passes/passes.h"
#include "ir/rewrite/driver.h"

namespace smelt::passes {
namespace {

/// Rounds over the whole graph; models need two to five, the last of which finds nothing.
constexpr int kMaxRounds = 256;

std::uint64_t live_nodes(const ir::Graph& graph) {
  std::uint64_t live = 0;
  for (std::uint32_t k = 0; k < graph.node_count(); ++k) live += graph.node({k}).is_erased ? 0U : 1U;
  return live;
}

/// What one round applied, by rule or pass; empty when the graph is at rest.
Result<ir::RuleCounts> run_round(ir::Graph& graph, std::span<const ir::Rule> rules, const OptimizeOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t dead, remove_dead_code(graph));
  SMELT_ASSIGN_OR_RETURN(ir::RuleCounts counts, ir::apply_rules(graph, rules, ir::DriverOptions{}));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t folded, fold_constants(graph, options.fold_budget_bytes));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t merged, merge_common_subexpressions(graph));
  if (dead != 0) counts["remove-dead-code"] += dead;
  if (folded != 0) counts["fold-constants"] += folded;
  if (merged != 0) counts["merge-common-subexpressions"] += merged;
  return counts;
}

}  // namespace

std::vector<ir::Rule> all_rules() {
  std::vector<ir::Rule> rules;
  for (const auto& family : {cleanup_rules(), identity_operand_rules(), constant_logic_rules(), drop_expand_rules(),
                             fuse_layer_norm_rules(), fuse_gelu_rules(), fuse_activation_rules(), fuse_conv_rules(),
                             fuse_linear_rules(), fuse_attention_rules(), fuse_pad_rules(), merge_branches_rules()}) {
    rules.insert(rules.end(), family.begin(), family.end());
  }
  return rules;
}

Result<OptimizeStats> optimize(ir::Graph& graph, const OptimizeOptions& options) {
  OptimizeStats stats;
  stats.nodes_before = live_nodes(graph);
  const std::vector<ir::Rule> rules = all_rules();
  ir::RuleCounts counts;
  for (int round = 0; round < kMaxRounds; ++round) {
    SMELT_ASSIGN_OR_RETURN(counts, run_round(graph, rules, options));
    for (const auto& [name, count] : counts) stats.applied[name] += count;
    if (counts.empty()) break;
  }
  if (!counts.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, count] : counts) names.push_back(name);
    return Error(ErrorCode::kInternal,
                 fmt::format("{} rounds of {} do not come to rest", kMaxRounds, fmt::join(names, ", ")));
  }
  SMELT_RETURN_IF_ERROR(ir::verify(graph));
  stats.nodes_after = live_nodes(graph);
  return stats;
}

}  // namespace smelt::passes
