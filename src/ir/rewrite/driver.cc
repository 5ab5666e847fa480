#include "ir/rewrite/driver.h"

#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace smelt::ir {
namespace {

class Driver {
 public:
  Driver(Graph& graph, std::span<const Rule> rules, const DriverOptions& options)
      : graph_(graph), options_(options), rules_(all_op_kinds().size()), history_(graph.node_count(), 0) {
    for (const Rule& rule : rules) rules_.at(static_cast<std::size_t>(rule.root)).push_back(&rule);
  }

  Result<RuleCounts> run() {
    for (std::uint32_t k = 0; k < graph_.node_count(); ++k) visit_later({k});
    while (!waiting_.empty()) {
      const NodeId id = *waiting_.begin();
      waiting_.erase(waiting_.begin());
      SMELT_RETURN_IF_ERROR(visit(id));
    }
    return std::move(counts_);
  }

 private:
  /// One rewrite, and the one that made its root: a chain to tell rules that undo each other.
  struct Step {
    std::size_t before = 0;
    const Rule* rule = nullptr;
    std::uint32_t depth = 0;
  };

  /// What to visit again, as it was before the rewrite.
  struct Neighbours {
    std::vector<NodeId> users;
    std::vector<ValueId> operands;
  };

  void visit_later(NodeId id) {
    const Node& node = graph_.node(id);
    if (!node.is_erased && !rules_[static_cast<std::size_t>(node.op.kind())].empty()) waiting_.insert(id);
  }

  Status visit(NodeId id) {
    if (graph_.node(id).is_erased) return {};
    for (const Rule* rule : rules_[static_cast<std::size_t>(graph_.node(id).op.kind())]) {
      SMELT_ASSIGN_OR_RETURN(Rewrite rewrite, rule->apply(graph_, id));
      Patch* patch = std::get_if<Patch>(&rewrite);
      if (patch == nullptr) continue;
      return rewrite_with(*rule, std::move(*patch), id);
    }
    return {};
  }

  Status rewrite_with(const Rule& rule, Patch patch, NodeId root) {
    if (patch.empty()) {
      return Error(ErrorCode::kInternal, fmt::format("rule {} gives a patch that replaces nothing", rule.name));
    }
    const Step step{.before = history_[root.index], .rule = &rule, .depth = steps_[history_[root.index]].depth + 1};
    if (step.depth > options_.max_depth) return endless(step, root);
    const Neighbours neighbours = neighbours_of(root);
    const std::size_t first_new = graph_.node_count();
    SMELT_RETURN_IF_ERROR(apply(graph_, std::move(patch), root));
    steps_.push_back(step);
    history_[root.index] = steps_.size() - 1;
    history_.resize(graph_.node_count(), steps_.size() - 1);
    ++counts_[std::string(rule.name)];
    revisit(root, neighbours, first_new);
    return {};
  }

  [[nodiscard]] Neighbours neighbours_of(NodeId root) const {
    Neighbours neighbours;
    for (const ValueId output : graph_.node(root).outputs) {
      for (const Use& use : graph_.value(output).uses) neighbours.users.push_back(use.node);
    }
    for (const ValueId input : graph_.node(root).inputs) {
      if (input.valid()) neighbours.operands.push_back(input);
    }
    return neighbours;
  }

  void revisit(NodeId root, const Neighbours& neighbours, std::size_t first_new) {
    visit_later(root);
    for (const NodeId user : neighbours.users) visit_later(user);
    for (const ValueId operand : neighbours.operands) revisit_operand(operand);
    for (std::size_t k = first_new; k < graph_.node_count(); ++k) {
      const NodeId id{static_cast<std::uint32_t>(k)};
      if (graph_.node(id).is_erased) continue;
      visit_later(id);
      for (const ValueId input : graph_.node(id).inputs) {
        if (input.valid()) revisit_operand(input);
      }
    }
  }

  /// The producer; and the user when one is left, since rules ask for a single use.
  void revisit_operand(ValueId id) {
    const Value& value = graph_.value(id);
    if (value.producer.valid()) visit_later(value.producer);
    if (value.constant == nullptr && value.uses.size() == 1) visit_later(value.uses[0].node);
  }

  [[nodiscard]] Error endless(const Step& step, NodeId root) const {
    std::set<std::string_view> names{step.rule->name};
    for (std::size_t k = step.before; k != 0; k = steps_[k].before) names.insert(steps_[k].rule->name);
    return Error(ErrorCode::kInternal, fmt::format("{} rewrites in a row by {} do not come to rest", options_.max_depth,
                                                   fmt::join(names, ", ")))
        .at({.file = {}, .byte_offset = {}, .graph = graph_.name(), .node = graph_.node(root).source});
  }

  Graph& graph_;
  const DriverOptions& options_;
  std::vector<std::vector<const Rule*>> rules_;  ///< by root
  std::set<NodeId> waiting_;
  std::vector<Step> steps_ = {Step{}};  ///< 0 is "none"
  std::vector<std::size_t> history_;    ///< by node: the step that made it
  RuleCounts counts_;
};

}  // namespace

Result<RuleCounts> apply_rules(Graph& graph, std::span<const Rule> rules, const DriverOptions& options) {
  return Driver(graph, rules, options).run();
}

}  // namespace smelt::ir
