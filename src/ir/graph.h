#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/ids.h"
#include "ir/op.h"
#include "smelt/result.h"
#include "tensor/constant.h"
#include "tensor/type.h"

namespace smelt::ir {

/// One operand slot of one node.
struct Use {
  NodeId node;
  std::uint32_t operand = 0;
  bool operator==(const Use&) const = default;
};

/// An edge: computed by a node, a graph input, or a constant.
struct Value {
  std::string name;  ///< of the source where it had one; for people, may repeat
  TensorType type;
  NodeId producer;       ///< invalid for inputs and constants
  ConstantRef constant;  ///< null unless a constant
  std::vector<Use> uses;  ///< operands of live nodes; graph outputs are not among them
};

struct Node {
  Op op;
  std::vector<ValueId> inputs;   ///< an invalid id is an absent operand
  std::vector<ValueId> outputs;  ///< at least one
  std::string source;            ///< name of the source node it came from
  bool is_erased = false;
};

/// A result of the graph under its name at the model's border. The name is the graph's, not the value's: it survives rewrites.
struct GraphOutput {
  std::string name;
  ValueId value;
};

/// A dataflow graph in arenas. Slots are not reused; a reference into it holds until something is added.
class Graph {
 public:
  explicit Graph(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Value& value(ValueId id) const { return values_.at(id.index); }
  [[nodiscard]] const Node& node(NodeId id) const { return nodes_.at(id.index); }
  [[nodiscard]] std::size_t value_count() const { return values_.size(); }
  [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }  ///< erased ones included
  [[nodiscard]] const std::vector<ValueId>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<GraphOutput>& outputs() const { return outputs_; }
  [[nodiscard]] SymbolTable& symbols() const { return *symbols_; }

  ValueId add_input(std::string name, TensorType type);
  ValueId add_constant(std::string name, ConstantRef constant);
  /// Adds a node whose result types the op's rule infers. Checks operand count, presence of the required ones.
  [[nodiscard]] Result<NodeId> add_node(Op op, std::vector<ValueId> inputs, std::string source);
  void set_value_name(ValueId id, std::string name) { values_.at(id.index).name = std::move(name); }
  void add_output(std::string name, ValueId value);

  /// Every use of `from`, graph outputs included, becomes one of `to`. The caller has checked the types.
  void replace_uses(ValueId from, ValueId to);
  /// Removes a node none of whose results is used.
  void erase_node(NodeId id);

  [[nodiscard]] bool is_output(ValueId id) const;
  /// Operand uses and graph outputs together.
  [[nodiscard]] std::size_t use_count(ValueId id) const;
  [[nodiscard]] bool is_input(ValueId id) const;

  /// Live nodes, producers before users; among ready nodes the lowest id first, so the order is the same everywhere.
  [[nodiscard]] std::vector<NodeId> topological_order() const;

 private:
  std::string name_;
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<ValueId> inputs_;
  std::vector<GraphOutput> outputs_;
  std::shared_ptr<SymbolTable> symbols_ = std::make_shared<SymbolTable>();
};

/// The types that an op's results have on these operands. Errors say which rule the operands break.
[[nodiscard]] Result<std::vector<TensorType>> infer_types(const Op& op, std::span<const TensorType* const> inputs,
                                                          SymbolTable& symbols);

/// Structure, uses, types inferred anew, cycles. `kInternal` naming the node: a graph is wrong only through a bug.
[[nodiscard]] Status verify(const Graph& graph);

/// The graph as text: inputs, constants (type and digest-free), a line a node, outputs. For people and dumps.
[[nodiscard]] std::string to_text(const Graph& graph);

}  // namespace smelt::ir
