#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/rewrite/patch.h"
#include "smelt/result.h"

/// The passes between import and export: values stay the same within each rule's stated error.
namespace smelt::passes {

/// Every rule, in the order in which the driver tries them for a root.
[[nodiscard]] std::vector<ir::Rule> all_rules();

struct OptimizeOptions {
  std::uint64_t fold_budget_bytes = std::uint64_t{1} << 20;
};

struct OptimizeStats {
  std::map<std::string, std::uint64_t> applied;  ///< times by rule or pass
  std::uint64_t nodes_before = 0, nodes_after = 0;
};

/// Dead code, constant folding, common subexpressions and every rule, until nothing changes. The graph is verified at the end.
/// Same graph in, same graph out. `kInternal` naming the rules when they do not come to rest.
[[nodiscard]] Result<OptimizeStats> optimize(ir::Graph& graph, const OptimizeOptions& options);

}  // namespace smelt::passes
