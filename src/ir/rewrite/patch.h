#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::ir {

/// A change to a graph that happens whole or not at all: constants and nodes to add, and values whose every use moves to another.
/// New values have the ids that the graph will give them, so a patch can refer to its own results.
class Patch {
 public:
  explicit Patch(const Graph& graph) : graph_(&graph) {}

  ValueId constant(std::string name, ConstantRef constant);
  /// Adds a node; its result types are inferred now, so a patch that breaks a rule is never built. One result.
  [[nodiscard]] Result<ValueId> add(Op op, std::vector<ValueId> inputs);
  /// Every use of `from`, the graph's outputs included, becomes one of `to`.
  void replace(ValueId from, ValueId to) { replacements_.emplace_back(from, to); }

  [[nodiscard]] const TensorType& type(ValueId id) const;
  [[nodiscard]] bool empty() const { return replacements_.empty(); }

 private:
  friend Status apply(Graph& graph, Patch patch, NodeId root);

  struct NewNode {
    Op op;
    std::vector<ValueId> inputs;
  };
  struct NewValue {
    std::string name;
    TensorType type;
    ConstantRef constant;  ///< null: the result of the next node in order
  };

  const Graph* graph_;
  std::vector<NewValue> values_;
  std::vector<NewNode> nodes_;
  std::vector<std::pair<ValueId, ValueId>> replacements_;
};

/// Checks that every replacement keeps its type (dtype equal, extents not known different), then applies: adds, moves uses, passes
/// names on, erases what nobody uses any more. New nodes inherit the root's source name. `kInternal` if the patch does not fit, with
/// the graph unchanged.
[[nodiscard]] Status apply(Graph& graph, Patch patch, NodeId root);

struct NoMatch {
  std::string_view reason{};
};
using Rewrite = std::variant<Patch, NoMatch>;

/// A local rewrite: looks at a graph from one node of the root kind and gives a patch, or why not.
struct Rule {
  std::string_view name;
  OpKind root;
  Result<Rewrite> (*apply)(const Graph& graph, NodeId id);
};

}  // namespace smelt::ir
