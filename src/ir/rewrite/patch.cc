#include "ir/rewrite/patch.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

Error misfit(const Graph& graph, NodeId root, std::string what) {
  const Node& node = graph.node(root);
  return Error(ErrorCode::kInternal, fmt::format("a patch of node {} ({}) {}", root.index, node.op.name(), what))
      .at({.file = {}, .byte_offset = {}, .graph = graph.name(), .node = node.source});
}

/// Same dtype and rank, no extent known different.
bool is_compatible(const TensorType& a, const TensorType& b) {
  if (a.dtype != b.dtype || a.shape.size() != b.shape.size()) return false;
  for (std::size_t axis = 0; axis < a.shape.size(); ++axis) {
    if (compare(a.shape[axis], b.shape[axis]) == Comparison::kDifferent) return false;
  }
  return true;
}

/// Values that the graph does not have yet are not.
bool is_erased(const Graph& graph, ValueId id) {
  if (id.index >= graph.value_count()) return false;
  const NodeId producer = graph.value(id).producer;
  return producer.valid() && graph.node(producer).is_erased;
}

bool is_unused(const Graph& graph, NodeId id) {
  const std::vector<ValueId>& outputs = graph.node(id).outputs;
  return std::ranges::all_of(outputs, [&graph](ValueId output) { return graph.use_count(output) == 0; });
}

/// `to_type` is apart, since `to` may be a value of the patch.
Status check_replacement(const Graph& graph, ValueId from, ValueId to, const TensorType& to_type, NodeId root) {
  if (from == to) return misfit(graph, root, fmt::format("replaces value {} by itself", from.index));
  if (is_erased(graph, from) || is_erased(graph, to)) {
    return misfit(graph, root, fmt::format("replaces value {} by {}, one of which is erased", from.index, to.index));
  }
  const TensorType& from_type = graph.value(from).type;
  if (is_compatible(from_type, to_type)) return {};
  return misfit(graph, root, fmt::format("replaces {}{} by {}{}", name(from_type.dtype), graph.symbols().text(from_type.shape),
                                         name(to_type.dtype), graph.symbols().text(to_type.shape)));
}

Status check_operands(const Graph& graph, std::span<const ValueId> operands, const std::set<ValueId>& replaced, NodeId root) {
  for (const ValueId operand : operands) {
    if (!operand.valid()) continue;
    if (replaced.contains(operand)) return misfit(graph, root, fmt::format("reads value {}, which it replaces", operand.index));
    if (is_erased(graph, operand)) return misfit(graph, root, "reads an erased value");
  }
  return {};
}

/// Erases the nodes of `candidates` that nobody uses, and what only they used.
void erase_unused(Graph& graph, std::vector<NodeId> candidates) {
  while (!candidates.empty()) {
    const NodeId id = candidates.back();
    candidates.pop_back();
    if (graph.node(id).is_erased || !is_unused(graph, id)) continue;
    graph.erase_node(id);
    for (const ValueId input : graph.node(id).inputs) {
      if (input.valid() && graph.value(input).producer.valid()) candidates.push_back(graph.value(input).producer);
    }
  }
}

}  // namespace

ValueId Patch::constant(std::string name, ConstantRef constant) {
  SMELT_CHECK(constant != nullptr && constant->bytes != nullptr);
  const ValueId id{static_cast<std::uint32_t>(graph_->value_count() + values_.size())};
  TensorType type{.dtype = constant->dtype, .shape = to_shape(constant->shape)};
  values_.push_back({.name = std::move(name), .type = std::move(type), .constant = std::move(constant)});
  return id;
}

Result<ValueId> Patch::add(Op op, std::vector<ValueId> inputs) {
  const ValueId id{static_cast<std::uint32_t>(graph_->value_count() + values_.size())};
  std::vector<const TensorType*> operands;
  for (const ValueId input : inputs) {
    SMELT_CHECK(!input.valid() || input.index < id.index);
    operands.push_back(input.valid() ? &type(input) : nullptr);
  }
  SMELT_ASSIGN_OR_RETURN(std::vector<TensorType> types, infer_types(op, operands, graph_->symbols()));
  if (types.size() != 1) {
    return Error(ErrorCode::kInternal, fmt::format("a patch adds {} with {} results, 1 allowed", op.name(), types.size()));
  }
  values_.push_back({.name = {}, .type = std::move(types[0]), .constant = nullptr});
  nodes_.push_back({.op = std::move(op), .inputs = std::move(inputs)});
  return id;
}

const TensorType& Patch::type(ValueId id) const {
  const std::size_t existing = graph_->value_count();
  return id.index < existing ? graph_->value(id).type : values_.at(id.index - existing).type;
}

// Cycles: what a rule finds by walking operands lies before its root, so only a new node that reads a replaced value can close
// one, and that is refused here. A rule that walks to users could close another; `verify` after the rules finds it.
Status apply(Graph& graph, Patch patch, NodeId root) {
  if (patch.graph_ != &graph) return misfit(graph, root, "is of another graph");
  const std::size_t existing = graph.value_count();
  std::set<ValueId> replaced;
  for (const auto& [from, to] : patch.replacements_) {
    if (from.index >= existing || to.index >= existing + patch.values_.size()) {
      return misfit(graph, root, fmt::format("replaces value {} by {}, one of which does not exist", from.index, to.index));
    }
    SMELT_RETURN_IF_ERROR(check_replacement(graph, from, to, patch.type(to), root));
    replaced.insert(from);
  }
  for (const Patch::NewNode& node : patch.nodes_) SMELT_RETURN_IF_ERROR(check_operands(graph, node.inputs, replaced, root));

  const std::string source = graph.node(root).source;
  std::vector<NodeId> candidates;
  std::size_t next_node = 0;
  for (Patch::NewValue& value : patch.values_) {
    if (value.constant != nullptr) {
      graph.add_constant(std::move(value.name), std::move(value.constant));
      continue;
    }
    Patch::NewNode& node = patch.nodes_[next_node++];
    const Result<NodeId> id = graph.add_node(std::move(node.op), std::move(node.inputs), source);
    SMELT_CHECK(id.ok());  // `Patch::add` inferred the same types from the same operands
    candidates.push_back(*id);
  }
  for (const auto& [from, to] : patch.replacements_) {
    if (graph.value(to).name.empty()) graph.set_value_name(to, graph.value(from).name);
    graph.replace_uses(from, to);
    if (graph.value(from).producer.valid()) candidates.push_back(graph.value(from).producer);
  }
  erase_unused(graph, std::move(candidates));
  return {};
}

}  // namespace smelt::ir
