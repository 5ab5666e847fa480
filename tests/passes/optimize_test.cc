#include <random>

#include "convert/passes/passes.h"
#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

TEST(DeadCodeTest, ErasesWhatNoOutputNeeds) {
  GraphBuilder b;
  const ValueId x = b.input({2});
  b.node(ir::Neg{}, {b.node(ir::Exp{}, {x})});
  const ValueId split = b.node(ir::Split{.axis = 0, .sizes = {1, 1}}, {x});  // one result is enough to stay
  b.output(split);
  EXPECT_EQ(remove_dead_code(b.graph).value(), 2U);
  EXPECT_EQ(op_list(b.graph), "split");
  EXPECT_EQ(remove_dead_code(b.graph).value(), 0U);
}

TEST(FoldConstantsTest, FoldsWhatIsKnown) {
  GraphBuilder b;
  const ValueId sum = b.node(ir::Add{}, {b.random({2, 3}), b.random({3})});
  const ValueId pieces = b.node(ir::Split{.axis = 0, .sizes = {1, 1}}, {sum});
  b.output(b.node(ir::Mul{}, {b.input({1, 3}), pieces}));
  b.output(b.node(ir::Exp{}, {b.random({4})}));
  EXPECT_EQ(expect_optimized(b.graph, "mul").at("fold-constants"), 3U);
  EXPECT_NE(b.graph.value(b.graph.outputs()[1].value).constant, nullptr);
}

TEST(FoldConstantsTest, HasABudget) {
  for (const std::uint64_t budget : {399U, 400U}) {
    GraphBuilder b;
    b.output(b.node(ir::Expand{.shape = {10, 10}}, {b.random({10})}));
    EXPECT_EQ(fold_constants(b.graph, budget).value(), budget == 400 ? 1U : 0U);
  }
  GraphBuilder b;  // no larger than its operands
  b.output(b.node(ir::Neg{}, {b.random({100})}));
  EXPECT_EQ(fold_constants(b.graph, 0).value(), 1U);
}

TEST(FoldConstantsTest, LeavesLargeProducts) {
  GraphBuilder b;
  b.output(b.node(ir::MatMul{}, {b.full({1024, 1024}, 1), b.full({1024, 1024}, 1)}));
  EXPECT_EQ(fold_constants(b.graph, 1 << 20).value(), 0U);
}

TEST(FoldConstantsTest, SharesTheBytesOfAnotherShape) {
  GraphBuilder b;
  const ValueId w = b.random({2, 6});
  b.output(b.node(ir::Reshape{.shape = {3, 4}}, {w}));
  EXPECT_EQ(fold_constants(b.graph, 0).value(), 1U);
  EXPECT_EQ(b.graph.value(b.graph.outputs()[0].value).constant->bytes, b.graph.value(w).constant->bytes);
}

TEST(FoldConstantsTest, TransposesWithoutReading) {
  GraphBuilder b;
  const ValueId w = b.random({2, 3});
  b.output(b.node(ir::Transpose{.perm = {1, 0}}, {w}));
  b.output(b.node(ir::Transpose{.perm = {2, 1, 0}}, {b.random({2, 3, 4})}));
  expect_optimized(b.graph, "");
}

TEST(FoldConstantsTest, KeepsDequantize) {
  GraphBuilder b;
  b.output(b.node(ir::Dequantize{.axis = 0}, {b.random({2, 3}, DType::kI8), b.random({2})}));
  expect_optimized(b.graph, "dequantize");
}

TEST(FoldConstantsTest, KeepsWhatCannotBeComputed) {
  GraphBuilder b;
  b.output(b.node(ir::Gather{.axis = 0}, {b.random({2}), b.constant(i64_tensor({1}, std::vector<std::int64_t>{5}))}));
  EXPECT_EQ(fold_constants(b.graph, 1 << 20).value(), 0U);
  EXPECT_EQ(op_list(b.graph), "gather");
}

TEST(CommonSubexpressionsTest, MergesEqualNodes) {
  GraphBuilder b;
  const ValueId x = b.input({2, 3});
  b.output(b.node(ir::Add{}, {b.node(ir::Exp{}, {b.node(ir::Neg{}, {x})}), b.node(ir::Exp{}, {b.node(ir::Neg{}, {x})})}));
  EXPECT_EQ(expect_optimized(b.graph, "neg, exp, add").at("merge-common-subexpressions"), 2U);
}

TEST(CommonSubexpressionsTest, MergesAllResults) {
  GraphBuilder b;
  const ValueId x = b.input({2});
  for (int k = 0; k < 2; ++k) {
    const ir::NodeId split = b.graph.add_node(ir::Split{.axis = 0, .sizes = {1, 1}}, {x}, "").value();
    for (const ValueId piece : b.graph.node(split).outputs) b.output(piece);
  }
  expect_optimized(b.graph, "split");
}

TEST(CommonSubexpressionsTest, KeepsWhatDiffers) {
  GraphBuilder b;
  const ValueId x = b.input({2, 3}), y = b.input({2, 3});
  b.output(b.node(ir::Softmax{.axis = 0}, {x}));
  b.output(b.node(ir::Softmax{.axis = 1}, {x}));
  b.output(b.node(ir::Softmax{.axis = 1}, {y}));
  b.output(b.node(ir::Sub{}, {x, y}));
  b.output(b.node(ir::Sub{}, {y, x}));
  b.output(b.node(ir::Clip{.max = 1}, {x}));
  b.output(b.node(ir::Clip{.max = 1.0000001F}, {x}));
  expect_optimized(b.graph, "softmax, softmax, sub, sub, clip, clip, softmax");
}

TEST(CommonSubexpressionsTest, MergesEqualConstants) {
  GraphBuilder b;
  const HostTensor tensor = random_tensor(DType::kF32, {2, 3}, 5);
  HostTensor other_shape = tensor;
  other_shape.shape = {1, 2, 3};
  const ValueId x = b.input({2, 3});
  const ValueId a = b.node(ir::Mul{}, {x, b.constant(tensor)}), c = b.node(ir::Mul{}, {x, b.constant(tensor)});
  b.output(b.node(ir::Div{}, {a, c}));
  b.output(b.node(ir::Mul{}, {x, b.constant(other_shape)}));
  b.output(b.node(ir::Mul{}, {x, b.random({2, 3})}));
  expect_optimized(b.graph, "mul, div, mul, mul");
}

TEST(CommonSubexpressionsTest, MergesLargeConstantsThatShareTheirBytesOnly) {
  for (const bool shares : {false, true}) {
    GraphBuilder b;
    const HostTensor tensor = random_tensor(DType::kF32, {(1 << 18) + 1}, 5);
    const ConstantRef first = make_constant(tensor);
    const ConstantRef second = shares ? std::make_shared<const Constant>(*first) : make_constant(tensor);
    const ValueId x = b.input({1});
    b.output(b.node(ir::Div{}, {b.node(ir::Mul{}, {x, b.graph.add_constant("a", first)}),
                                b.node(ir::Mul{}, {x, b.graph.add_constant("b", second)})}));
    EXPECT_EQ(merge_common_subexpressions(b.graph).value(), shares ? 2U : 0U);
  }
}

TEST(OptimizeTest, CountsAndRests) {
  GraphBuilder b;
  const ValueId x = b.input({2, 3});
  b.node(ir::Exp{}, {x});
  b.output(b.node(ir::Identity{}, {b.node(ir::Relu{}, {x})}));
  const Result<OptimizeStats> stats = optimize(b.graph, {});
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->nodes_before, 3U);
  EXPECT_EQ(stats->nodes_after, 1U);
  EXPECT_EQ(stats->applied, (std::map<std::string, std::uint64_t>{{"drop-identity", 1}, {"remove-dead-code", 1}}));
}

TEST(OptimizeTest, EmptyGraph) {
  GraphBuilder b;
  expect_optimized(b.graph, "");
  b.output(b.input({2}));
  expect_optimized(b.graph, "");
}

TEST(OptimizeTest, TakesALongChain) {
  GraphBuilder b;
  ValueId value = b.input({2});
  for (int k = 0; k < 20000; ++k) value = b.node(k % 3 == 0 ? ir::Op(ir::Neg{}) : ir::Op(ir::Relu{}), {value});
  b.output(value);
  const Result<OptimizeStats> stats = optimize(b.graph, {});
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->nodes_after, 13334U);
}

/// Ops on values of one shape, chosen by a generator: what the rules look for is frequent among them.
void add_random_node(GraphBuilder& b, std::vector<ValueId>& values, std::mt19937& engine) {
  const auto pick = [&] { return values[engine() % values.size()]; };
  const ValueId a = pick();
  const std::vector<float> constants = {0, 1, 0.5F, 2, 3, 1.41421356F, 1.0F / 6};
  const ValueId c = b.scalar(constants[engine() % constants.size()]);
  switch (engine() % 16) {
    case 0: values.push_back(b.node(ir::Add{}, {a, c})); break;
    case 1: values.push_back(b.node(ir::Mul{}, {c, a})); break;
    case 2: values.push_back(b.node(ir::Add{}, {a, pick()})); break;
    case 3: values.push_back(b.node(ir::Mul{}, {a, b.node(ir::Sigmoid{}, {a})})); break;
    case 4: values.push_back(b.node(ir::Relu{}, {a})); break;
    case 5: values.push_back(b.node(ir::Clip{.min = 0, .max = 6}, {a})); break;
    case 6: values.push_back(b.node(ir::Reshape{.shape = {2, 4, 4}}, {b.node(ir::Reshape{.shape = {32}}, {a})})); break;
    case 7: values.push_back(b.node(ir::Transpose{.perm = {0, 2, 1}}, {a})); break;
    case 8: values.push_back(b.node(ir::Neg{}, {a})); break;
    case 9: values.push_back(b.node(ir::MatMul{}, {a, b.random({4, 4})})); break;
    case 10: values.push_back(b.node(ir::Softmax{.axis = 2}, {b.node(ir::MatMul{}, {a, pick()})})); break;
    case 11: values.push_back(b.node(ir::Add{}, {a, b.random({4})})); break;
    case 12: values.push_back(b.node(ir::Mul{}, {a, b.random({4})})); break;
    case 13: values.push_back(b.node(ir::LayerNorm{.axis = 2}, {a})); break;
    case 14: {
      const ValueId e = b.node(ir::Add{}, {b.node(ir::Erf{}, {b.node(ir::Div{}, {a, b.scalar(1.41421356F)})}), b.scalar(1)});
      values.push_back(b.node(ir::Mul{}, {b.node(ir::Mul{}, {a, e}), c}));
      break;
    }
    default: values.push_back(b.node(ir::Tanh{}, {b.node(ir::Identity{}, {a})})); break;
  }
}

TEST(OptimizeTest, KeepsTypesAndValuesOfRandomGraphs) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 engine(seed);
    GraphBuilder b;
    std::vector<ValueId> values = {b.input({2, 4, 4}), b.input({2, 4, 4})};
    for (int k = 0; k < 25; ++k) add_random_node(b, values, engine);
    for (int k = 0; k < 3; ++k) b.output(b.node(ir::Tanh{}, {values[values.size() - 1 - engine() % 8]}));
    const ir::Graph original = b.graph;
    Result<OptimizeStats> stats = optimize(b.graph, {});
    ASSERT_TRUE(stats.ok());
    const std::vector<HostTensor> inputs = random_inputs(original);
    const auto before = eval::evaluate(original, inputs), after = eval::evaluate(b.graph, inputs);
    ASSERT_TRUE(before.ok() && after.ok());
    for (std::size_t k = 0; k < before->size(); ++k) expect_near((*before)[k], (*after)[k], 1e-3);  // deep graphs amplify
    stats = optimize(b.graph, {});
    EXPECT_TRUE(stats.ok() && stats->applied.empty());
  }
}

}  // namespace
}  // namespace smelt::passes
