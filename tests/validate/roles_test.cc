#include "validate/roles.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace smelt::parity {
namespace {

using ir::ValueId;

struct Source {
  ir::Graph graph{"main"};

  ValueId input(Shape shape, DType dtype) { return graph.add_input("x" + std::to_string(graph.inputs().size()), {.dtype = dtype, .shape = std::move(shape)}); }
  ValueId table(std::int64_t rows) {
    return graph.add_constant("t", make_constant(f32_tensor({rows, 2}, std::vector<float>(static_cast<std::size_t>(rows) * 2))));
  }
  ValueId node(ir::Op op, std::vector<ValueId> inputs) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return graph.node(id.value()).outputs[0];
  }
  void output(ValueId id) { graph.add_output("y", id); }

  /// "values", "mask" or "index below 10" for each input.
  [[nodiscard]] std::vector<std::string> roles() const {
    const Result<std::vector<InputSpec>> specs = input_specs(graph);
    EXPECT_TRUE(specs.ok()) << (specs.ok() ? "" : specs.error().to_string());
    std::vector<std::string> out;
    for (const InputSpec& spec : *specs) {
      EXPECT_EQ(spec.index_bound > 0, spec.role == InputRole::kIndex);
      out.push_back(spec.role == InputRole::kValues ? "values" : spec.role == InputRole::kMask ? "mask" : "index below " + std::to_string(spec.index_bound));
    }
    return out;
  }
};
using Roles = std::vector<std::string>;

TEST(Roles, SpecsSayWhatTheInputsAre) {
  Source s;
  s.output(s.node(ir::Neg{}, {s.input({2, 3}, DType::kF16)}));
  const Result<std::vector<InputSpec>> specs = input_specs(s.graph);
  ASSERT_TRUE(specs.ok());
  ASSERT_EQ(specs->size(), 1U);
  EXPECT_EQ(specs->front().name, "x0");
  EXPECT_EQ(specs->front().dtype, DType::kF16);
  EXPECT_EQ(specs->front().shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(s.roles(), (Roles{"values"}));
}

TEST(Roles, AnIndexIsBoundedByItsTable) {
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    Source s;
    s.output(s.node(ir::Gather{.axis = 0}, {s.table(10), s.input({3}, dtype)}));
    EXPECT_EQ(s.roles(), (Roles{"index below 10"}));
  }
}

TEST(Roles, TheSmallestTableBounds) {
  Source s;
  const ValueId ids = s.input({3}, DType::kI64);
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(10), ids}));
  s.output(s.node(ir::Gather{.axis = 1}, {s.table(10), ids}));
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(7), ids}));
  EXPECT_EQ(s.roles(), (Roles{"index below 2"}));
}

TEST(Roles, TheBoundGoesThroughCastsAndChangesOfShape) {
  Source s;
  const ValueId ids = s.input({2, 3}, DType::kI64);
  ValueId v = s.node(ir::Cast{.to = DType::kI32}, {ids});
  v = s.node(ir::Reshape{.shape = {3, 2}}, {v});
  v = s.node(ir::Transpose{.perm = {1, 0}}, {v});
  v = s.node(ir::ExpandDims{.axes = {0}}, {v});
  v = s.node(ir::Squeeze{.axes = {0}}, {v});
  v = s.node(ir::Expand{.shape = {4, 2, 3}}, {v});
  v = s.node(ir::Slice{.begin = {0, 0, 0}, .end = {1, 2, 3}, .step = {1, 1, 1}}, {v});
  v = s.node(ir::Concat{.axis = 0}, {v, v});
  v = s.node(ir::Identity{}, {v});
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(10), v}));
  EXPECT_EQ(s.roles(), (Roles{"index below 10"}));
}

TEST(Roles, EveryPieceOfASplitIsFollowed) {
  Source s;
  const Result<ir::NodeId> split = s.graph.add_node(ir::Split{.axis = 0, .sizes = {1, 2}}, {s.input({3}, DType::kI32)}, "source");
  ASSERT_TRUE(split.ok());
  const std::vector<ValueId> pieces = s.graph.node(*split).outputs;
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(10), pieces[0]}));
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(6), pieces[1]}));
  EXPECT_EQ(s.roles(), (Roles{"index below 6"}));
}

TEST(Roles, AnIntegerThatIndexesNothingIsAMask) {
  Source s;
  const ValueId mask = s.input({1, 4}, DType::kI64), ids = s.input({1, 4}, DType::kI64), unused = s.input({2}, DType::kI32);
  const ValueId rows = s.node(ir::Gather{.axis = 0}, {s.table(10), ids});
  const ValueId weights = s.node(ir::ExpandDims{.axes = {2}}, {s.node(ir::Cast{.to = DType::kF32}, {mask})});
  s.output(s.node(ir::Mul{}, {rows, weights}));
  EXPECT_TRUE(unused.valid());
  EXPECT_EQ(s.roles(), (Roles{"mask", "index below 10", "mask"}));
}

TEST(Roles, ATableOfIntegersIsNoIndex) {
  Source s;
  const ValueId table = s.input({5}, DType::kI32), ids = s.input({2}, DType::kI32);
  s.output(s.node(ir::Gather{.axis = 0}, {table, ids}));
  EXPECT_EQ(s.roles(), (Roles{"mask", "index below 5"}));
}

TEST(Roles, IndicesThatIndexThroughATableOfIndices) {
  Source s;  // ids pick indices, which pick rows: the rows do not bound ids
  const ValueId inner = s.graph.add_constant("i", make_constant(i64_tensor({8}, std::vector<std::int64_t>(8))));
  const ValueId picked = s.node(ir::Gather{.axis = 0}, {inner, s.input({2}, DType::kI64)});
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(3), picked}));
  EXPECT_EQ(s.roles(), (Roles{"index below 8"}));
}

TEST(Roles, TuplesAreBoundedByTheSmallestAxisTheyIndex) {
  Source s;
  s.output(s.node(ir::GatherNd{}, {s.input({6, 4, 9}, DType::kF32), s.input({3, 2}, DType::kI64)}));
  s.output(s.node(ir::GatherNd{.batch_axes = 1}, {s.input({3, 4, 9}, DType::kF32), s.input({3, 1}, DType::kI64)}));
  EXPECT_EQ(s.roles(), (Roles{"values", "index below 4", "values", "index below 4"}));
}

TEST(Roles, FloatsAndBoolAreValues) {
  Source s;
  const ValueId floats = s.input({2}, DType::kF32);
  s.output(s.node(ir::Gather{.axis = 0}, {s.table(10), s.node(ir::Cast{.to = DType::kI32}, {floats})}));
  s.output(s.node(ir::Not{}, {s.input({2}, DType::kBool)}));
  EXPECT_EQ(s.roles(), (Roles{"values", "values"}));
}

TEST(Roles, OpenExtentsAreRefused) {
  Source s;
  s.output(s.input({s.graph.symbols().symbol("n"), 2}, DType::kF32));
  const Result<std::vector<InputSpec>> specs = input_specs(s.graph);
  ASSERT_FALSE(specs.ok());
  EXPECT_EQ(specs.error().code(), ErrorCode::kOpenShape);
}

}  // namespace
}  // namespace smelt::parity
