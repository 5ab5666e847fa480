#include <limits>

#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

class CleanupTest : public testing::Test {
 protected:
  /// x, `op` on it, relu (so that the op is not at the border); what is left.
  void one_op(Shape shape, ir::Op op, const std::string& ops, DType dtype = DType::kF32) {
    GraphBuilder b;
    b.output(b.node(ir::Abs{}, {b.node(std::move(op), {b.input(std::move(shape), dtype)})}));
    expect_optimized(b.graph, ops);
  }
  /// The same with two ops.
  void two_ops(Shape shape, ir::Op first, ir::Op second, const std::string& ops) {
    GraphBuilder b;
    b.output(b.node(ir::Abs{}, {b.node(std::move(second), {b.node(std::move(first), {b.input(std::move(shape))})})}));
    expect_optimized(b.graph, ops);
  }
};

TEST_F(CleanupTest, DropsIdentity) {
  one_op({2, 3}, ir::Identity{}, "abs");
  GraphBuilder b;  // between an input and an output
  b.output(b.node(ir::Identity{}, {b.input({2})}));
  expect_optimized(b.graph, "");
  EXPECT_EQ(b.graph.outputs()[0].name, "y0");
}

TEST_F(CleanupTest, DropsReshapesThatKeepTheShape) {
  one_op({2, 3}, ir::Reshape{.shape = {2, -1}}, "abs");
  one_op({2, 3}, ir::Reshape{.shape = {3, 2}}, "reshape, abs");
  one_op({2, 3}, ir::Squeeze{.axes = {}}, "abs");
  one_op({2, 1}, ir::Squeeze{.axes = {1}}, "squeeze, abs");
  one_op({2, 3}, ir::ExpandDims{.axes = {}}, "abs");
  one_op({2, 3}, ir::ExpandDims{.axes = {0}}, "expand_dims, abs");
  one_op({2, 3}, ir::Expand{.shape = {1, 3}}, "abs");
  one_op({1, 3}, ir::Expand{.shape = {2, 3}}, "expand, abs");
}

TEST_F(CleanupTest, DropsReshapesOfOpenExtentsOnlyWhenKnownEqual) {
  GraphBuilder b;
  const Dim n = b.graph.symbols().symbol("n");
  b.output(b.node(ir::Abs{}, {b.node(ir::Reshape{.shape = {-1, 3}}, {b.input({n, 3})})}));
  b.output(b.node(ir::Neg{}, {b.node(ir::Reshape{.shape = {2, 3}}, {b.input({n, 3})})}));
  expect_optimized(b.graph, "abs, reshape, neg");  // 2 may be n
  GraphBuilder c;
  const Dim m = c.graph.symbols().symbol("m");
  c.output(c.node(ir::Abs{}, {c.node(ir::Reshape{.shape = {-1, 1}}, {c.input({m, 1})})}));
  expect_optimized(c.graph, "abs");
}

TEST_F(CleanupTest, DropsCastToTheSameDtype) {
  one_op({2}, ir::Cast{.to = DType::kF32}, "abs");
  one_op({2}, ir::Cast{.to = DType::kF16}, "cast, abs");
  one_op({2}, ir::Cast{.to = DType::kI32}, "cast, abs", DType::kI64);
}

TEST_F(CleanupTest, DropsSliceOfEverything) {
  one_op({2, 3}, ir::Slice{.begin = {0, 0}, .end = {2, kEnd}, .step = {1, 1}}, "abs");
  one_op({2, 3}, ir::Slice{.begin = {0, 0}, .end = {2, 2}, .step = {1, 1}}, "slice, abs");
  one_op({2, 3}, ir::Slice{.begin = {0, 2}, .end = {2, -1}, .step = {1, -1}}, "slice, abs");  // all of it, backwards
  one_op({2, 1}, ir::Slice{.begin = {0, 0}, .end = {2, 1}, .step = {1, 2}}, "slice, abs");
}

TEST_F(CleanupTest, DropsConcatAndSplitOfOne) {
  one_op({2, 3}, ir::Concat{.axis = 1}, "abs");
  one_op({2, 3}, ir::Split{.axis = 1, .sizes = {3}}, "abs");
  GraphBuilder b;
  const ValueId x = b.input({2});
  b.output(b.node(ir::Concat{.axis = 0}, {x, x}));
  b.output(b.node(ir::Split{.axis = 0, .sizes = {1, 1}}, {x}));
  expect_optimized(b.graph, "concat, split");
}

TEST_F(CleanupTest, MergesReshapes) {
  two_ops({2, 3, 4}, ir::Reshape{.shape = {6, 4}}, ir::Reshape{.shape = {4, 6}}, "reshape, abs");
  two_ops({2, 3, 4}, ir::Reshape{.shape = {24}}, ir::Reshape{.shape = {2, 3, 4}}, "abs");
  two_ops({2, 1, 4}, ir::Squeeze{.axes = {1}}, ir::ExpandDims{.axes = {0}}, "reshape, abs");
  two_ops({2, 1, 4}, ir::Squeeze{.axes = {1}}, ir::ExpandDims{.axes = {1}}, "abs");
  two_ops({2, 3}, ir::Reshape{.shape = {3, 2}}, ir::Transpose{.perm = {1, 0}}, "reshape, transpose, abs");
}

TEST_F(CleanupTest, MergesReshapesWhoseMiddleIsUsed) {
  GraphBuilder b;
  const ValueId middle = b.node(ir::Reshape{.shape = {6}}, {b.input({2, 3})});
  b.output(middle);
  b.output(b.node(ir::Reshape{.shape = {3, 2}}, {middle}));
  expect_optimized(b.graph, "reshape, reshape");
}

TEST_F(CleanupTest, MergesTransposes) {
  two_ops({2, 3, 4}, ir::Transpose{.perm = {1, 2, 0}}, ir::Transpose{.perm = {1, 2, 0}}, "transpose, abs");
  two_ops({2, 3, 4}, ir::Transpose{.perm = {1, 2, 0}}, ir::Transpose{.perm = {2, 0, 1}}, "abs");
  one_op({2, 3}, ir::Transpose{.perm = {0, 1}}, "abs");
  one_op({2, 3}, ir::Transpose{.perm = {1, 0}}, "transpose, abs");
  GraphBuilder b;  // composed in the right order: perm of perm
  b.output(b.node(ir::Transpose{.perm = {0, 2, 1}}, {b.node(ir::Transpose{.perm = {1, 2, 0}}, {b.input({2, 3, 4})})}));
  expect_optimized(b.graph, "transpose");
  EXPECT_NE(ir::to_text(b.graph).find("perm = [1, 0, 2]"), std::string::npos) << ir::to_text(b.graph);
}

TEST_F(CleanupTest, ReshapesForATransposeOfExtentsOfOne) {
  one_op({1, 8, 1, 4}, ir::Transpose{.perm = {0, 2, 1, 3}}, "reshape, abs");
  one_op({1, 8, 2, 4}, ir::Transpose{.perm = {0, 2, 1, 3}}, "transpose, abs");
  one_op({1, 8, 1, 4}, ir::Transpose{.perm = {0, 2, 3, 1}}, "transpose, abs");
  GraphBuilder b;
  const Dim n = b.graph.symbols().symbol("n"), m = b.graph.symbols().symbol("m");
  b.output(b.node(ir::Transpose{.perm = {1, 0}}, {b.input({n, 1})}));
  b.output(b.node(ir::Transpose{.perm = {1, 0, 2}}, {b.input({n, 1, m})}));  // two open extents: no shape says it
  expect_optimized(b.graph, "reshape, transpose");
}

TEST_F(CleanupTest, DropsDoubles) {
  two_ops({4}, ir::Neg{}, ir::Neg{}, "abs");
  two_ops({4}, ir::Neg{}, ir::Exp{}, "neg, exp, abs");
  two_ops({4}, ir::Relu{}, ir::Relu{}, "relu, abs");
  two_ops({4}, ir::Sigmoid{}, ir::Relu{}, "sigmoid, relu, abs");
  two_ops({4}, ir::Exp{}, ir::Exp{}, "exp, exp, abs");
  GraphBuilder b;
  const ValueId x = b.input({4}, DType::kBool);
  const ValueId once = b.node(ir::Not{}, {x});
  b.output(once);
  b.output(b.node(ir::And{}, {b.node(ir::Not{}, {once}), b.input({4}, DType::kBool)}));
  expect_optimized(b.graph, "not, and");
}

TEST_F(CleanupTest, MergesClips) {
  two_ops({64}, ir::Clip{.min = -1, .max = 0.5F}, ir::Clip{.min = 0, .max = 6}, "clip, abs");
  two_ops({64}, ir::Clip{.min = -1, .max = -0.5F}, ir::Clip{.min = 0, .max = 6}, "clip, abs");
  two_ops({64}, ir::Relu{}, ir::Clip{.min = -1, .max = 1}, "clip, abs");
  two_ops({64}, ir::Clip{.min = -1, .max = 1}, ir::Relu{}, "clip, abs");
  two_ops({64}, ir::Clip{.min = 1, .max = -1}, ir::Clip{.min = 0, .max = 6}, "clip, clip, abs");  // bounds out of order
  two_ops({64}, ir::Clip{.min = 0, .max = 6}, ir::Clip{.min = 1, .max = -1}, "clip, clip, abs");
  one_op({64}, ir::Clip{}, "abs");
}

TEST_F(CleanupTest, DropsNeutralConstants) {
  for (const bool is_swapped : {false, true}) {
    GraphBuilder b;
    const ValueId x = b.input({2, 3}), i = b.input({2, 3}, DType::kI64);
    const auto node = [&](ir::Op op, ValueId value, ValueId constant) {
      b.output(b.node(std::move(op), is_swapped ? std::vector{constant, value} : std::vector{value, constant}));
    };
    node(ir::Mul{}, x, b.full({1, 1}, 1));
    node(ir::Add{}, x, b.full({2, 3}, 0));
    node(ir::Add{}, x, b.scalar(-0.0F));
    node(ir::Mul{}, i, b.full({3}, 1, DType::kI64));
    node(ir::Mul{}, x, b.scalar(1.0001F));
    node(ir::Add{}, x, b.scalar(1e-30F));
    node(ir::Div{}, x, b.scalar(1));
    node(ir::Sub{}, x, b.scalar(0));
    expect_optimized(b.graph, is_swapped ? "mul, add, div, sub" : "mul, add");
  }
}

TEST_F(CleanupTest, KeepsNeutralConstantsThatBroadcast) {
  GraphBuilder b;
  const ValueId x = b.input({1, 3});
  b.output(b.node(ir::Mul{}, {x, b.full({2, 3}, 1)}));
  b.output(b.node(ir::Add{}, {x, b.full({1, 1, 1}, 0)}));
  const Dim n = b.graph.symbols().symbol("n");
  b.output(b.node(ir::Mul{}, {b.input({n, 3}), b.full({2, 3}, 1)}));  // n may be 1
  HostTensor almost = f32_tensor({3}, std::vector<float>{1, 1, 2});
  b.output(b.node(ir::Mul{}, {x, b.constant(almost)}));
  expect_optimized(b.graph, "mul, add, mul, mul");
}

TEST_F(CleanupTest, DropsZeroMask) {
  GraphBuilder b;
  const ValueId scores = b.input({1, 2, 4, 4});
  b.output(b.node(ir::Softmax{.axis = 3}, {b.node(ir::Add{}, {scores, b.full({1, 1, 4, 4}, 0)})}));
  expect_optimized(b.graph, "softmax");
}

}  // namespace
}  // namespace smelt::passes
