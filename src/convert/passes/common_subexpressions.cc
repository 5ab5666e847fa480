#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "convert/passes/passes.h"

// %a = exp(%x)              %a = exp(%x)
// %b = exp(%x)          ->  %c = add(%a, %a)
// %c = add(%a, %b)
//
// Constants are equal by digest. Those over 1 MiB are only merged when they share their bytes, so that a pass does not read
// every weight.

namespace smelt::passes {
namespace {

constexpr std::uint64_t kMaxDigestBytes = std::uint64_t{1} << 20;

void merge_value(ir::Graph& graph, ir::ValueId from, ir::ValueId to) {
  if (graph.value(to).name.empty()) graph.set_value_name(to, graph.value(from).name);
  graph.replace_uses(from, to);
}

/// Constants in use, by dtype and shape.
std::map<std::string, std::vector<ir::ValueId>> constants_by_type(const ir::Graph& graph) {
  std::map<std::string, std::vector<ir::ValueId>> groups;
  for (std::uint32_t k = 0; k < graph.value_count(); ++k) {
    const Constant* constant = graph.value({k}).constant.get();
    if (constant != nullptr && graph.use_count({k}) != 0) groups[type_text(constant->dtype, constant->shape)].push_back({k});
  }
  return groups;
}

Result<std::uint64_t> merge_constants(ir::Graph& graph) {
  std::uint64_t merged = 0;
  for (const auto& [type, group] : constants_by_type(graph)) {
    if (group.size() < 2) continue;
    std::unordered_map<const ByteSource*, ir::ValueId> by_bytes;
    std::unordered_map<std::string, ir::ValueId> by_digest;
    for (const ir::ValueId id : group) {
      const ConstantRef constant = graph.value(id).constant;
      ir::ValueId first = by_bytes.emplace(constant->bytes.get(), id).first->second;
      if (first == id && byte_count(*constant) <= kMaxDigestBytes) {
        SMELT_ASSIGN_OR_RETURN(std::string key, digest(*constant));
        first = by_digest.emplace(std::move(key), id).first->second;
      }
      if (first == id) continue;
      merge_value(graph, id, first);
      ++merged;
    }
  }
  return merged;
}

std::string key_of(const ir::Node& node) {
  std::string key = fmt::format("{} {}", static_cast<int>(node.op.kind()), ir::attributes_text(node.op));
  for (const ir::ValueId input : node.inputs) key += fmt::format(" {}", input.index);
  return key;
}

bool is_equal(const ir::Node& a, const ir::Node& b) {
  return a.op == b.op && a.inputs == b.inputs && a.outputs.size() == b.outputs.size();
}

std::uint64_t merge_nodes(ir::Graph& graph) {
  std::uint64_t merged = 0;
  std::unordered_map<std::string, ir::NodeId> first_of;
  for (const ir::NodeId id : graph.topological_order()) {  // operands are merged before their users are compared
    const ir::NodeId first = first_of.emplace(key_of(graph.node(id)), id).first->second;
    if (first == id || !is_equal(graph.node(first), graph.node(id))) continue;
    for (std::size_t k = 0; k < graph.node(id).outputs.size(); ++k) {
      merge_value(graph, graph.node(id).outputs[k], graph.node(first).outputs[k]);
    }
    graph.erase_node(id);
    ++merged;
  }
  return merged;
}

}  // namespace

Result<std::uint64_t> merge_common_subexpressions(ir::Graph& graph) {
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t constants, merge_constants(graph));
  return constants + merge_nodes(graph);
}

}  // namespace smelt::passes
