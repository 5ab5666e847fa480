#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

TEST(ConstantLogicTest, ChoosesTheBranch) {
  for (const float condition : {0.0F, 1.0F}) {
    GraphBuilder b;
    const ValueId c = b.full({1, 3}, condition, DType::kBool);
    b.output(b.node(ir::Where{}, {c, b.node(ir::Exp{}, {b.input({2, 3})}), b.node(ir::Neg{}, {b.input({2, 3})})}));
    expect_optimized(b.graph, condition != 0 ? "exp" : "neg");
  }
}

TEST(ConstantLogicTest, ExpandsABranchThatIsSmaller) {
  GraphBuilder b;
  const ValueId yes = b.full({1}, 1, DType::kBool);
  b.output(b.node(ir::Where{}, {yes, b.input({3}), b.input({2, 3})}));
  expect_optimized(b.graph, "expand");
}

TEST(ConstantLogicTest, KeepsOtherConditions) {
  GraphBuilder b;
  const ValueId x = b.input({2, 3}), y = b.input({2, 3});
  b.output(b.node(ir::Where{}, {b.input({2, 3}, DType::kBool), x, y}));
  HostTensor mixed = random_tensor(DType::kBool, {3}, 1);
  mixed.bytes = {std::byte{1}, std::byte{0}, std::byte{1}};
  b.output(b.node(ir::Where{}, {b.constant(mixed), x, y}));
  const Dim n = b.graph.symbols().symbol("n");
  b.output(b.node(ir::Where{}, {b.full({1}, 1, DType::kBool), b.input({3}), b.input({n, 3})}));  // no shape to expand to
  expect_optimized(b.graph, "where, where, where");
}

TEST(ConstantLogicTest, SimplifiesAndAndOr) {
  for (const bool is_swapped : {false, true}) {
    GraphBuilder b;
    const ValueId p = b.input({2, 2}, DType::kBool), q = b.input({2, 2}, DType::kBool);
    const ValueId yes = b.full({1}, 1, DType::kBool), no = b.full({1}, 0, DType::kBool);
    const auto node = [&](ir::Op op, ValueId constant) {
      const ValueId r = b.node(std::move(op), is_swapped ? std::vector{constant, p} : std::vector{p, constant});
      b.output(b.node(ir::Xor{}, {r, q}));
    };
    node(ir::And{}, yes);
    node(ir::Or{}, no);
    node(ir::And{}, no);
    node(ir::Or{}, yes);
    // The first two are equal then; the others are a constant, expanded, and xor broadcasts by itself.
    expect_optimized(b.graph, "xor, xor, xor");
  }
}

TEST(ConstantLogicTest, ExpandsASmallerOperand) {
  GraphBuilder b;
  b.output(b.node(ir::And{}, {b.input({3}, DType::kBool), b.full({2, 3}, 1, DType::kBool)}));
  b.output(b.node(ir::And{}, {b.input({3}, DType::kBool), b.random({2, 3}, DType::kBool)}));
  expect_optimized(b.graph, "expand, and");
}

TEST(DropExpandTest, DropsBeforeABroadcast) {
  for (const bool is_swapped : {false, true}) {
    GraphBuilder b;
    const ValueId e = b.node(ir::Expand{.shape = {2, 3}}, {b.input({3})}), y = b.input({2, 3});
    b.output(b.node(ir::Sub{}, is_swapped ? std::vector{y, e} : std::vector{e, y}));
    expect_optimized(b.graph, "sub");
  }
  GraphBuilder b;
  const auto expanded = [&](DType dtype) { return b.node(ir::Expand{.shape = {4, 2, 3}}, {b.input({2, 1}, dtype)}); };
  b.output(b.node(ir::Where{}, {expanded(DType::kBool), expanded(DType::kF32), b.input({4, 2, 3})}));
  expect_optimized(b.graph, "where");
}

TEST(DropExpandTest, KeepsWhatGivesTheShape) {
  GraphBuilder b;
  const ValueId e = b.node(ir::Expand{.shape = {2, 3}}, {b.input({1, 3})});
  b.output(b.node(ir::Add{}, {e, b.input({1, 3})}));
  b.output(b.node(ir::Exp{}, {e}));
  const Dim n = b.graph.symbols().symbol("n");
  b.output(b.node(ir::Add{}, {b.node(ir::Expand{.shape = {2, 3}}, {b.input({1, 3})}), b.input({n, 3})}));
  const ValueId two = b.node(ir::Expand{.shape = {2, 5}}, {b.input({1, 5})});
  const ValueId too = b.node(ir::Expand{.shape = {2, 5}}, {b.input({1, 5})});
  b.output(b.node(ir::Mul{}, {two, too}));  // one of them goes
  expect_optimized(b.graph, "expand, add, exp, expand, add, expand, mul");
}

}  // namespace
}  // namespace smelt::passes
