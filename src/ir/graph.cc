#include "ir/graph.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <queue>
#include <utility>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

std::vector<const TensorType*> operand_types(const Graph& graph, std::span<const ValueId> inputs) {
  std::vector<const TensorType*> types;
  types.reserve(inputs.size());
  for (const ValueId id : inputs) types.push_back(id.valid() ? &graph.value(id).type : nullptr);
  return types;
}

Error wrong(const Graph& graph, NodeId id, std::string what) {
  const Node& node = graph.node(id);
  return Error(ErrorCode::kInternal, fmt::format("{} of node {} ({})", what, id.index, node.op.name()))
      .at({.file = {}, .byte_offset = {}, .graph = graph.name(), .node = node.source});
}

Status verify_node(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  for (const ValueId input : node.inputs) {
    if (!input.valid()) continue;
    if (input.index >= graph.value_count()) return wrong(graph, id, "an operand that does not exist");
    const Value& value = graph.value(input);
    if (value.producer.valid() && graph.node(value.producer).is_erased) return wrong(graph, id, "an erased operand");
  }
  for (const ValueId output : node.outputs) {
    if (graph.value(output).producer != id) return wrong(graph, id, "a result of another producer");
  }
  const Result<std::vector<TensorType>> types = infer_types(node.op, operand_types(graph, node.inputs), graph.symbols());
  if (!types.ok()) return wrong(graph, id, fmt::format("operands that break a rule ({})", types.error().message()));
  if (types->size() != node.outputs.size()) return wrong(graph, id, "the wrong number of results");
  for (std::size_t k = 0; k < types->size(); ++k) {
    if ((*types)[k].dtype != graph.value(node.outputs[k]).type.dtype || (*types)[k].shape.size() != graph.value(node.outputs[k]).type.shape.size()) {
      return wrong(graph, id, "a result whose type is not the inferred one");
    }
    for (std::size_t axis = 0; axis < (*types)[k].shape.size(); ++axis) {
      if (compare((*types)[k].shape[axis], graph.value(node.outputs[k]).type.shape[axis]) == Comparison::kDifferent) {
        return wrong(graph, id, "a result whose shape is not the inferred one");
      }
    }
  }
  return {};
}

/// Every operand is in its value's use list once, and nothing else is. In time of the operands: one value may have a million uses.
Status verify_uses(const Graph& graph) {
  std::vector<std::size_t> first(graph.node_count());  // of a node's operands among those of all
  std::size_t operands = 0, present = 0;
  for (std::uint32_t k = 0; k < graph.node_count(); ++k) {
    first[k] = operands;
    if (graph.node({k}).is_erased) continue;
    operands += graph.node({k}).inputs.size();
    for (const ValueId input : graph.node({k}).inputs) present += input.valid() ? 1U : 0U;
  }
  std::vector<bool> seen(operands);
  for (std::uint32_t k = 0; k < graph.value_count(); ++k) {
    for (const Use& use : graph.value({k}).uses) {
      const Node& node = graph.node(use.node);
      if (node.is_erased || use.operand >= node.inputs.size() || node.inputs[use.operand] != ValueId{k}) {
        return wrong(graph, use.node, "a use list with what is no operand");
      }
      const std::size_t at = first[use.node.index] + use.operand;
      if (seen[at]) return wrong(graph, use.node, "a use list with an operand twice");
      seen[at] = true;
      --present;
    }
  }
  if (present == 0) return {};
  return Error(ErrorCode::kInternal, fmt::format("{} operands are in no use list of graph {}", present, graph.name()));
}

std::string value_text(const Graph& graph, ValueId id) {
  if (!id.valid()) return "none";
  const Value& value = graph.value(id);
  return value.name.empty() ? fmt::format("%{}", id.index) : fmt::format("%{}:{}", id.index, value.name);
}

std::string typed_text(const Graph& graph, ValueId id) {
  const TensorType& type = graph.value(id).type;
  return fmt::format("{}{}", name(type.dtype), graph.symbols().text(type.shape));
}

}  // namespace

ValueId Graph::add_input(std::string name, TensorType type) {
  const ValueId id{static_cast<std::uint32_t>(values_.size())};
  values_.push_back({.name = std::move(name), .type = std::move(type), .producer = {}, .constant = nullptr, .uses = {}});
  inputs_.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, ConstantRef constant) {
  SMELT_CHECK(constant != nullptr && constant->bytes != nullptr);
  const ValueId id{static_cast<std::uint32_t>(values_.size())};
  TensorType type{.dtype = constant->dtype, .shape = to_shape(constant->shape)};
  values_.push_back({.name = std::move(name), .type = std::move(type), .producer = {}, .constant = std::move(constant), .uses = {}});
  return id;
}

Result<NodeId> Graph::add_node(Op op, std::vector<ValueId> inputs, std::string source) {
  SMELT_ASSIGN_OR_RETURN(std::vector<TensorType> types, infer_types(op, operand_types(*this, inputs), *symbols_));
  const NodeId id{static_cast<std::uint32_t>(nodes_.size())};
  Node node{.op = std::move(op), .inputs = std::move(inputs), .outputs = {}, .source = std::move(source)};
  for (std::uint32_t k = 0; k < node.inputs.size(); ++k) {
    if (node.inputs[k].valid()) values_.at(node.inputs[k].index).uses.push_back({.node = id, .operand = k});
  }
  for (TensorType& type : types) {
    node.outputs.push_back({static_cast<std::uint32_t>(values_.size())});
    values_.push_back({.name = {}, .type = std::move(type), .producer = id, .constant = nullptr, .uses = {}});
  }
  nodes_.push_back(std::move(node));
  return id;
}

void Graph::add_output(std::string name, ValueId value) {
  SMELT_CHECK(value.index < values_.size());
  outputs_.push_back({.name = std::move(name), .value = value});
}

void Graph::replace_uses(ValueId from, ValueId to) {
  SMELT_CHECK(from != to);
  std::vector<Use> moved = std::exchange(values_.at(from.index).uses, {});
  for (const Use& use : moved) nodes_[use.node.index].inputs[use.operand] = to;
  std::vector<Use>& uses = values_.at(to.index).uses;
  uses.insert(uses.end(), moved.begin(), moved.end());
  for (GraphOutput& output : outputs_) {
    if (output.value == from) output.value = to;
  }
}

void Graph::erase_node(NodeId id) {
  Node& node = nodes_.at(id.index);
  SMELT_CHECK(!node.is_erased);
  for (const ValueId output : node.outputs) SMELT_CHECK(use_count(output) == 0);
  for (std::uint32_t k = 0; k < node.inputs.size(); ++k) {
    if (!node.inputs[k].valid()) continue;
    std::vector<Use>& uses = values_[node.inputs[k].index].uses;
    // From the end: dead code goes users first, and one value may have a million uses.
    const auto use = std::find(uses.rbegin(), uses.rend(), Use{.node = id, .operand = k});
    SMELT_CHECK(use != uses.rend());
    uses.erase(std::prev(use.base()));
  }
  node.is_erased = true;
}

bool Graph::is_output(ValueId id) const {
  return std::any_of(outputs_.begin(), outputs_.end(), [id](const GraphOutput& output) { return output.value == id; });
}

bool Graph::is_input(ValueId id) const { return std::find(inputs_.begin(), inputs_.end(), id) != inputs_.end(); }

std::size_t Graph::use_count(ValueId id) const {
  const auto outputs = std::count_if(outputs_.begin(), outputs_.end(), [id](const GraphOutput& output) { return output.value == id; });
  return value(id).uses.size() + static_cast<std::size_t>(outputs);
}

std::vector<NodeId> Graph::topological_order() const {
  std::vector<std::uint32_t> waiting(nodes_.size(), 0);
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  for (std::uint32_t k = 0; k < nodes_.size(); ++k) {
    if (nodes_[k].is_erased) continue;
    for (const ValueId input : nodes_[k].inputs) {
      if (input.valid() && values_[input.index].producer.valid()) ++waiting[k];
    }
    if (waiting[k] == 0) ready.push({k});
  }
  std::vector<NodeId> order;
  while (!ready.empty()) {
    const NodeId id = ready.top();
    ready.pop();
    order.push_back(id);
    for (const ValueId output : nodes_[id.index].outputs) {
      for (const Use& use : values_[output.index].uses) {
        if (--waiting[use.node.index] == 0) ready.push(use.node);
      }
    }
  }
  return order;
}

Result<std::vector<TensorType>> infer_types(const Op& op, std::span<const TensorType* const> inputs, SymbolTable& symbols) {
  const OpDefinition& definition = op.definition();
  if (inputs.size() < definition.min_inputs || inputs.size() > definition.max_inputs) {
    return Error(ErrorCode::kMalformedInput, fmt::format("{} takes {} to {} operands, got {}", op.name(), definition.min_inputs,
                                                         definition.max_inputs, inputs.size()));
  }
  for (std::size_t k = 0; k < definition.min_inputs; ++k) {
    if (inputs[k] == nullptr) return Error(ErrorCode::kMalformedInput, fmt::format("operand {} of {} is absent", k, op.name()));
  }
  std::vector<TensorType> outputs;
  InferContext cx{.inputs = inputs, .symbols = symbols, .outputs = outputs};
  SMELT_RETURN_IF_ERROR(definition.infer(op.attributes(), cx));
  SMELT_CHECK(!outputs.empty());
  return outputs;
}

Status verify(const Graph& graph) {
  std::size_t live = 0;
  for (std::uint32_t k = 0; k < graph.node_count(); ++k) {
    if (graph.node({k}).is_erased) continue;
    ++live;
    SMELT_RETURN_IF_ERROR(verify_node(graph, {k}));
  }
  SMELT_RETURN_IF_ERROR(verify_uses(graph));
  if (graph.topological_order().size() != live) {
    return Error(ErrorCode::kInternal, fmt::format("graph {} has a cycle", graph.name()));
  }
  for (const GraphOutput& output : graph.outputs()) {
    const NodeId producer = graph.value(output.value).producer;
    if (producer.valid() && graph.node(producer).is_erased) {
      return Error(ErrorCode::kInternal, fmt::format("output \"{}\" of graph {} comes from an erased node", output.name, graph.name()));
    }
  }
  return {};
}

std::string to_text(const Graph& graph) {
  std::string out = fmt::format("graph {}(", graph.name());
  for (std::size_t k = 0; k < graph.inputs().size(); ++k) {
    const ValueId id = graph.inputs()[k];
    out += fmt::format("{}{}: {}", k == 0 ? "" : ", ", value_text(graph, id), typed_text(graph, id));
  }
  out += ") {\n";
  for (std::uint32_t k = 0; k < graph.value_count(); ++k) {
    const Value& value = graph.value({k});
    if (value.constant != nullptr && graph.use_count({k}) != 0) {
      out += fmt::format("  {} = const {}\n", value_text(graph, {k}), typed_text(graph, {k}));
    }
  }
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    std::string results, operands;
    for (const ValueId output : node.outputs) {
      results += fmt::format("{}{}: {}", results.empty() ? "" : ", ", value_text(graph, output), typed_text(graph, output));
    }
    for (const ValueId input : node.inputs) operands += (operands.empty() ? "" : ", ") + value_text(graph, input);
    const std::string attributes = attributes_text(node.op);
    out += fmt::format("  {} = {}({}){}\n", results, node.op.name(), operands, attributes.empty() ? "" : " {" + attributes + "}");
  }
  out += "  return";
  for (const GraphOutput& output : graph.outputs()) out += fmt::format(" {} = {}", output.name, value_text(graph, output.value));
  return out + "\n}\n";
}

}  // namespace smelt::ir
