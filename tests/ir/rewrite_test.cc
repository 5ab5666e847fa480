#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "ir/ops/all.h"
#include "ir/rewrite/driver.h"
#include "ir/rewrite/patch.h"

namespace smelt::ir {
namespace {

TensorType f32(Shape shape) { return {.dtype = DType::kF32, .shape = std::move(shape)}; }

class RewriteTest : public testing::Test {
 protected:
  ValueId add(Op op, std::vector<ValueId> inputs, std::string source = "source") {
    const Result<NodeId> id = graph_.add_node(std::move(op), std::move(inputs), std::move(source));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return id.ok() ? graph_.node(*id).outputs[0] : ValueId{};
  }
  NodeId producer(ValueId id) { return graph_.value(id).producer; }

  /// Expects that the patch does not fit, with a message that has `part`, and that the graph stays.
  void refuses(Patch patch, NodeId root, const std::string& part) {
    const std::string before = to_text(graph_);
    const std::size_t values = graph_.value_count(), nodes = graph_.node_count();
    const Status status = apply(graph_, std::move(patch), root);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kInternal);
    EXPECT_NE(status.error().message().find(part), std::string::npos) << status.error().message();
    EXPECT_EQ(to_text(graph_), before);
    EXPECT_EQ(graph_.value_count(), values);
    EXPECT_EQ(graph_.node_count(), nodes);
  }

  std::string ops() {
    std::string out;
    for (const NodeId id : graph_.topological_order()) out += (out.empty() ? "" : ", ") + std::string(graph_.node(id).op.name());
    return out;
  }

  Graph graph_{"main"};
  ValueId x_ = graph_.add_input("x", f32({2, 3}));
};

TEST_F(RewriteTest, PatchAddsAndMovesUsesAndErasesWhatNobodyUses) {
  const ValueId a = add(Exp{}, {x_});
  const ValueId b = add(Neg{}, {a}, "the root");
  graph_.set_value_name(b, "b");
  const ValueId c = add(Relu{}, {b});
  graph_.add_output("y", c);
  graph_.add_output("z", b);
  Patch patch(graph_);
  EXPECT_TRUE(patch.empty());
  const ValueId one = patch.constant("one", make_constant(f32_tensor({1}, std::vector<float>{1.0F})));
  const ValueId sum = patch.add(Add{}, {x_, one}).value();
  const ValueId abs = patch.add(Abs{}, {sum}).value();
  EXPECT_EQ(patch.type(abs), f32({2, 3}));
  EXPECT_EQ(patch.type(x_), f32({2, 3}));
  patch.replace(b, abs);
  EXPECT_FALSE(patch.empty());
  ASSERT_TRUE(apply(graph_, std::move(patch), producer(b)).ok());
  EXPECT_EQ(ops(), "add, abs, relu");  // exp and neg went with their last use
  EXPECT_EQ(graph_.value(abs).name, "b");
  EXPECT_EQ(graph_.node(producer(abs)).source, "the root");
  EXPECT_EQ(graph_.node(producer(sum)).source, "the root");
  EXPECT_EQ(graph_.outputs()[1].name, "z");
  EXPECT_EQ(graph_.outputs()[1].value, abs);
  EXPECT_TRUE(verify(graph_).ok());
}

TEST_F(RewriteTest, PatchKeepsWhatOthersUse) {
  const ValueId a = add(Exp{}, {x_});
  const ValueId b = add(Neg{}, {a});
  graph_.add_output("y", b);
  graph_.add_output("a", a);
  Patch patch(graph_);
  patch.replace(b, x_);
  ASSERT_TRUE(apply(graph_, std::move(patch), producer(b)).ok());
  EXPECT_EQ(ops(), "exp");
  EXPECT_EQ(graph_.value(x_).name, "x");  // a name that is there stays
}

TEST_F(RewriteTest, PatchKeepsTypes) {
  const ValueId a = add(Exp{}, {x_});
  graph_.add_output("y", a);
  const ValueId other = add(Transpose{.perm = {1, 0}}, {x_});
  const ValueId less = add(Less{}, {x_, x_});
  const ValueId flat = add(Reshape{.shape = {6}}, {x_});
  for (const auto& [to, part] : {std::pair(other, "f32[2, 3] by f32[3, 2]"), std::pair(less, "by bool[2, 3]"), std::pair(flat, "by f32[6]")}) {
    Patch patch(graph_);
    patch.replace(a, to);
    refuses(std::move(patch), producer(a), part);
  }
}

TEST_F(RewriteTest, PatchTakesAnExtentThatMayBeEqual) {
  const ValueId n = graph_.add_input("n", f32({graph_.symbols().symbol("n"), 3}));
  const ValueId a = add(Exp{}, {x_});
  graph_.add_output("y", a);
  Patch patch(graph_);
  patch.replace(a, n);
  EXPECT_TRUE(apply(graph_, std::move(patch), producer(a)).ok());
}

TEST_F(RewriteTest, PatchIsWholeOrNot) {
  const ValueId a = add(Exp{}, {x_});
  const ValueId b = add(Neg{}, {a});
  graph_.add_output("y", b);
  const ValueId other = add(Transpose{.perm = {1, 0}}, {x_});
  Patch patch(graph_);
  patch.replace(a, patch.add(Abs{}, {x_}).value());
  patch.replace(b, other);  // the first would fit
  refuses(std::move(patch), producer(b), "replaces");
}

TEST_F(RewriteTest, PatchRefusesWhatIsNotThere) {
  const ValueId a = add(Exp{}, {x_});
  graph_.add_output("y", a);
  Patch to_nothing(graph_);
  to_nothing.replace(a, ValueId{});
  refuses(std::move(to_nothing), producer(a), "does not exist");
  Patch to_itself(graph_);
  to_itself.replace(a, a);
  refuses(std::move(to_itself), producer(a), "by itself");
  const Graph another("another");
  refuses(Patch(another), producer(a), "another graph");
  const ValueId erased = add(Neg{}, {x_});
  graph_.erase_node(producer(erased));
  Patch to_erased(graph_);
  to_erased.replace(a, erased);
  refuses(std::move(to_erased), producer(a), "erased");
  Patch from_erased(graph_);
  from_erased.replace(a, from_erased.add(Abs{}, {erased}).value());
  refuses(std::move(from_erased), producer(a), "erased");
}

TEST_F(RewriteTest, PatchRefusesACycle) {
  const ValueId a = add(Exp{}, {x_});
  graph_.add_output("y", a);
  Patch patch(graph_);
  const ValueId again = patch.add(Neg{}, {patch.add(Abs{}, {a}).value()}).value();
  patch.replace(a, again);
  refuses(std::move(patch), producer(a), "which it replaces");
}

TEST_F(RewriteTest, PatchBreaksNoRule) {
  Patch patch(graph_);
  const Result<ValueId> wrong = patch.add(Transpose{.perm = {0}}, {x_});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kMalformedInput);
  const Result<ValueId> several = patch.add(Split{.axis = 0, .sizes = {1, 1}}, {x_});
  ASSERT_FALSE(several.ok());
  EXPECT_EQ(several.error().code(), ErrorCode::kInternal);
}

// Rules for the driver. They keep nothing, so the order is seen in the ids of the nodes that they add.

Result<Rewrite> drop(const Graph& graph, NodeId id) {
  Patch patch(graph);
  patch.replace(graph.node(id).outputs[0], graph.node(id).inputs[0]);
  return Rewrite{std::move(patch)};
}

template <typename To>
Result<Rewrite> turn_into(const Graph& graph, NodeId id) {
  Patch patch(graph);
  SMELT_ASSIGN_OR_RETURN(const ValueId value, patch.add(To{}, {graph.node(id).inputs[0]}));
  patch.replace(graph.node(id).outputs[0], value);
  return Rewrite{std::move(patch)};
}

template <typename Before>
Result<Rewrite> drop_after(const Graph& graph, NodeId id) {
  const NodeId before = graph.value(graph.node(id).inputs[0]).producer;
  if (!before.valid() || graph.node(before).op.as<Before>() == nullptr) return Rewrite{NoMatch{"another op before"}};
  return drop(graph, id);
}

/// The operand must be used once.
Result<Rewrite> drop_with_single_use(const Graph& graph, NodeId id) {
  if (graph.use_count(graph.node(id).inputs[0]) != 1) return Rewrite{NoMatch{"used elsewhere"}};
  return drop(graph, id);
}

Result<Rewrite> replace_nothing(const Graph& graph, NodeId) { return Rewrite{Patch(graph)}; }

Result<Rewrite> fail(const Graph&, NodeId) { return Error(ErrorCode::kReadFailed, "the file is gone"); }

TEST_F(RewriteTest, DriverCountsByRule) {
  const ValueId a = add(Identity{}, {x_});
  const ValueId b = add(Identity{}, {a});
  graph_.add_output("y", add(Relu{}, {b}));
  const std::vector<Rule> rules = {{.name = "drop-identity", .root = OpKind::kIdentity, .apply = drop},
                                   {.name = "never", .root = OpKind::kRelu, .apply = drop_after<Exp>}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(*counts, (RuleCounts{{"drop-identity", 2}}));
  EXPECT_EQ(ops(), "relu");
  EXPECT_TRUE(verify(graph_).ok());
}

TEST_F(RewriteTest, DriverTakesTheFirstRuleThatMatches) {
  graph_.add_output("y", add(Neg{}, {x_}));
  const std::vector<Rule> rules = {{.name = "no", .root = OpKind::kNeg, .apply = drop_after<Exp>},
                                   {.name = "first", .root = OpKind::kNeg, .apply = turn_into<Abs>},
                                   {.name = "second", .root = OpKind::kNeg, .apply = drop}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(*counts, (RuleCounts{{"first", 1}}));
}

TEST_F(RewriteTest, DriverVisitsUsersAgain) {
  const ValueId placeholder = graph_.add_input("p", f32({2, 3}));
  graph_.add_output("y", add(Neg{}, {placeholder}));  // has the lowest id, so it is visited when the identity is still there
  graph_.replace_uses(placeholder, add(Identity{}, {add(Exp{}, {x_})}));
  const std::vector<Rule> rules = {{.name = "drop-identity", .root = OpKind::kIdentity, .apply = drop},
                                   {.name = "drop-neg-of-exp", .root = OpKind::kNeg, .apply = drop_after<Exp>}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(*counts, (RuleCounts{{"drop-identity", 1}, {"drop-neg-of-exp", 1}}));
  EXPECT_EQ(ops(), "exp");
}

TEST_F(RewriteTest, DriverVisitsTheLastUserOfAnOperandAgain) {
  const ValueId shared = add(Exp{}, {x_});
  const ValueId abs = add(Abs{}, {shared});  // visited first, when exp has two users
  const ValueId identity = add(Identity{}, {shared});
  graph_.add_output("y", add(Add{}, {abs, abs}));
  graph_.add_output("z", add(Neg{}, {identity}));
  const std::vector<Rule> rules = {{.name = "single", .root = OpKind::kAbs, .apply = drop_with_single_use},
                                   {.name = "to-constant", .root = OpKind::kIdentity, .apply = [](const Graph& graph, NodeId id) -> Result<Rewrite> {
                                      Patch patch(graph);
                                      patch.replace(graph.node(id).outputs[0], graph.inputs()[0]);
                                      return Rewrite{std::move(patch)};
                                    }}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(*counts, (RuleCounts{{"single", 1}, {"to-constant", 1}}));
}

TEST_F(RewriteTest, DriverIsDeterministic) {
  std::vector<ValueId> values = {x_};
  for (int k = 0; k < 50; ++k) values.push_back(add(Neg{}, {values[static_cast<std::size_t>(k * 7 % (k + 1))]}));
  for (const ValueId value : values) graph_.add_output("y", value);
  Graph copy = graph_;
  const std::vector<Rule> rules = {{.name = "abs", .root = OpKind::kNeg, .apply = turn_into<Abs>},
                                   {.name = "drop", .root = OpKind::kAbs, .apply = drop_after<Abs>}};
  ASSERT_TRUE(apply_rules(graph_, rules, {}).ok());
  ASSERT_TRUE(apply_rules(copy, rules, {}).ok());
  EXPECT_EQ(to_text(graph_), to_text(copy));
  EXPECT_TRUE(verify(graph_).ok());
}

TEST_F(RewriteTest, DriverEndsRulesThatUndoEachOther) {
  graph_.add_output("y", add(Neg{}, {add(Exp{}, {x_})}));
  const std::vector<Rule> rules = {{.name = "neg-to-abs", .root = OpKind::kNeg, .apply = turn_into<Abs>},
                                   {.name = "abs-to-neg", .root = OpKind::kAbs, .apply = turn_into<Neg>},
                                   {.name = "innocent", .root = OpKind::kExp, .apply = turn_into<Sin>}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {.max_depth = 10});
  ASSERT_FALSE(counts.ok());
  EXPECT_EQ(counts.error().code(), ErrorCode::kInternal);
  EXPECT_EQ(counts.error().message(), "10 rewrites in a row by abs-to-neg, neg-to-abs do not come to rest");
  EXPECT_EQ(counts.error().location().node, "source");
  EXPECT_TRUE(verify(graph_).ok());
}

TEST_F(RewriteTest, DriverEndsARuleThatRepeatsItself) {
  graph_.add_output("y", add(Neg{}, {x_}));
  const std::vector<Rule> rules = {{.name = "again", .root = OpKind::kNeg, .apply = turn_into<Neg>}};
  EXPECT_EQ(apply_rules(graph_, rules, {}).error().message(), "256 rewrites in a row by again do not come to rest");
}

TEST_F(RewriteTest, DriverPassesErrorsOn) {
  graph_.add_output("y", add(Neg{}, {x_}));
  const std::vector<Rule> failing = {{.name = "fails", .root = OpKind::kNeg, .apply = fail}};
  EXPECT_EQ(apply_rules(graph_, failing, {}).error().code(), ErrorCode::kReadFailed);
  const std::vector<Rule> idle = {{.name = "idle", .root = OpKind::kNeg, .apply = replace_nothing}};
  EXPECT_EQ(apply_rules(graph_, idle, {}).error().message(), "rule idle gives a patch that replaces nothing");
}

TEST_F(RewriteTest, DriverTakesALongChain) {
  ValueId value = x_;
  for (int k = 0; k < 20000; ++k) value = add(Neg{}, {value});
  graph_.add_output("y", value);
  const std::vector<Rule> rules = {{.name = "abs", .root = OpKind::kNeg, .apply = turn_into<Abs>},
                                   {.name = "repeated", .root = OpKind::kAbs, .apply = drop_after<Abs>}};
  const Result<RuleCounts> counts = apply_rules(graph_, rules, {});
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(*counts, (RuleCounts{{"abs", 20000}, {"repeated", 19999}}));
  EXPECT_EQ(ops(), "abs");
}

}  // namespace
}  // namespace smelt::ir
