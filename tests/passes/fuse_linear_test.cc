#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

TEST(FuseLinearTest, MatMulOfAConstantMatrix) {
  GraphBuilder b;
  b.output(b.node(ir::MatMul{}, {b.input({2, 3, 4}), b.random({4, 5})}));
  b.output(b.node(ir::MatMul{.transpose_y = true}, {b.input({3, 4}), b.random({5, 4})}));
  const Dim n = b.graph.symbols().symbol("n");
  b.output(b.node(ir::MatMul{}, {b.input({n, 4}), b.random({4, 5})}));
  expect_optimized(b.graph, "linear, linear, linear");
}

TEST(FuseLinearTest, WithBias) {
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{5}, {1, 5}, {1, 1, 5}}) {
    for (const bool is_swapped : {false, true}) {
      GraphBuilder b;
      const ValueId y = b.node(ir::MatMul{}, {b.input({2, 3, 4}), b.random({4, 5})}), bias = b.random(shape);
      b.output(b.node(ir::Add{}, is_swapped ? std::vector{bias, y} : std::vector{y, bias}));
      expect_optimized(b.graph, "linear");
    }
  }
}

TEST(FuseLinearTest, AddsABiasToABias) {
  GraphBuilder b;
  const ValueId y = b.node(ir::Linear{}, {b.input({3, 4}), b.random({5, 4}), b.random({5})});
  b.output(b.node(ir::Add{}, {b.node(ir::Add{}, {y, b.random({5})}), b.random({1, 5})}));
  expect_optimized(b.graph, "linear");
}

TEST(FuseLinearTest, OtherFloats) {
  GraphBuilder b;
  const ValueId y = b.node(ir::MatMul{}, {b.input({3, 4}, DType::kF16), b.random({4, 5}, DType::kF16)});
  b.output(b.node(ir::Add{}, {y, b.random({5}, DType::kF16)}));
  expect_optimized(b.graph, "linear", 2e-3);
}

TEST(FuseLinearTest, KeepsOtherMatMuls) {
  GraphBuilder b;
  b.output(b.node(ir::MatMul{}, {b.input({3, 4}), b.input({4, 5})}));
  b.output(b.node(ir::MatMul{}, {b.input({2, 3, 4}), b.random({2, 4, 5})}));
  b.output(b.node(ir::MatMul{}, {b.random({3, 4}), b.input({4, 5})}));
  b.output(b.node(ir::MatMul{.transpose_x = true}, {b.input({4, 3}), b.random({4, 5})}));
  b.output(b.node(ir::MatMul{}, {b.input({3, 4}, DType::kI32), b.random({4, 5}, DType::kI32)}));
  expect_optimized(b.graph, "matmul, matmul, matmul, matmul, matmul");
}

TEST(FuseLinearTest, KeepsOtherSums) {
  GraphBuilder b;
  const auto linear = [&] { return b.node(ir::Linear{}, {b.input({3, 4}), b.random({5, 4})}); };
  b.output(b.node(ir::Add{}, {linear(), b.input({5})}));
  b.output(b.node(ir::Add{}, {linear(), b.random({3, 1})}));
  b.output(b.node(ir::Add{}, {linear(), b.random({3, 5})}));
  b.output(b.node(ir::Add{}, {linear(), b.random({1})}));
  b.output(b.node(ir::Add{}, {linear(), b.random({1, 1, 5})}));  // an axis more than the linear has
  b.output(b.node(ir::Mul{}, {linear(), b.random({5})}));
  const ValueId twice = linear();
  b.output(twice);
  b.output(b.node(ir::Add{}, {twice, b.random({5})}));
  expect_optimized(b.graph, "linear, add, linear, add, linear, add, linear, add, linear, add, linear, mul, linear, add");
}

TEST(FuseLinearTest, TransposedOperands) {
  GraphBuilder b;
  const ir::Transpose last{.perm = {0, 2, 1}};
  b.output(b.node(ir::MatMul{}, {b.input({2, 3, 4}), b.node(last, {b.input({2, 5, 4})})}));
  b.output(b.node(ir::MatMul{.transpose_y = true}, {b.node(last, {b.input({2, 4, 3})}), b.node(last, {b.input({2, 4, 5})})}));
  expect_optimized(b.graph, "matmul, matmul");
}

TEST(FuseLinearTest, KeepsTransposesOfOtherAxes) {
  GraphBuilder b;
  const ValueId heads = b.node(ir::Transpose{.perm = {0, 2, 3, 1}}, {b.input({2, 5, 3, 4})});
  b.output(b.node(ir::MatMul{}, {b.input({2, 3, 6, 4}), heads}));
  expect_optimized(b.graph, "transpose, matmul");
}

TEST(FuseLinearTest, KeepsATransposeForItsOtherUsers) {
  GraphBuilder b;
  const ValueId t = b.node(ir::Transpose{.perm = {1, 0}}, {b.input({5, 4})});
  b.output(b.node(ir::MatMul{}, {b.input({3, 4}), t}));
  b.output(b.node(ir::Exp{}, {t}));
  expect_optimized(b.graph, "transpose, exp, matmul");
}

TEST(FuseLinearTest, LinearOfATranspose) {
  GraphBuilder b;
  const ValueId t = b.node(ir::Transpose{.perm = {1, 0}}, {b.input({4, 3})});
  b.output(b.node(ir::MatMul{}, {t, b.random({4, 5})}));
  expect_optimized(b.graph, "transpose, linear");
}

TEST(FuseLinearTest, TransposeOfTheWeightIsNotNeeded) {
  GraphBuilder b;
  const ValueId table = b.random({5, 4});  // an embedding whose transpose is the output layer
  const ValueId rows = b.node(ir::Gather{.axis = 0}, {table, b.constant(i64_tensor({2}, std::vector<std::int64_t>{1, 3}))});
  const ValueId x = b.node(ir::Mul{}, {rows, b.input({2, 4})});
  b.output(b.node(ir::MatMul{}, {x, b.node(ir::Transpose{.perm = {1, 0}}, {table})}));
  expect_optimized(b.graph, "mul, linear");
  const ir::Node& linear = b.graph.node(b.graph.value(b.graph.outputs()[0].value).producer);
  EXPECT_EQ(linear.inputs[1], table);
}

}  // namespace
}  // namespace smelt::passes
