#include <vector>

#include "convert/passes/passes.h"

// %a = exp(%x)          %b = neg(%x)
// %b = neg(%x)      ->  return y = %b
// return y = %b

namespace smelt::passes {
namespace {

bool is_unused(const ir::Graph& graph, const ir::Node& node) {
  for (const ir::ValueId output : node.outputs) {
    if (graph.use_count(output) != 0) return false;
  }
  return true;
}

}  // namespace

Result<std::uint64_t> remove_dead_code(ir::Graph& graph) {
  std::uint64_t erased = 0;
  const std::vector<ir::NodeId> order = graph.topological_order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {  // users first
    if (!is_unused(graph, graph.node(*id))) continue;
    graph.erase_node(*id);
    ++erased;
  }
  return erased;
}

}  // namespace smelt::passes
