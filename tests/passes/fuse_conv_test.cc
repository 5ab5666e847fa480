#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

class FuseConvTest : public testing::Test {
 protected:
  ValueId conv(ValueId x, bool has_bias, DType dtype = DType::kF32) {
    std::vector<ValueId> inputs = {x, b_.random({6, 2, 3, 3}, dtype)};
    if (has_bias) inputs.push_back(b_.random({6}, dtype));
    return b_.node(ir::Conv{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .groups = 2}, inputs);
  }
  ValueId image(DType dtype = DType::kF32) { return b_.input({2, 4, 5, 5}, dtype); }
  ValueId batch_norm(ValueId x, float variance = 0.5F) {
    return b_.node(ir::BatchNorm{.epsilon = 1e-3F}, {x, b_.random({6}), b_.random({6}), b_.random({6}), b_.full({6}, variance)});
  }

  GraphBuilder b_;
};

TEST_F(FuseConvTest, FoldsBatchNorm) {
  b_.output(batch_norm(conv(image(), false)));
  b_.output(batch_norm(conv(image(), true)));
  EXPECT_EQ(expect_optimized(b_.graph, "conv, conv").at("fuse-conv-batch-norm"), 2U);
}

TEST_F(FuseConvTest, FoldsOneSpatialAxis) {
  const ValueId c = b_.node(ir::Conv{.stride = {2}, .dilation = {1}, .pads_begin = {0}, .pads_end = {0}},
                            {b_.input({1, 3, 9}), b_.random({6, 3, 2})});
  b_.output(b_.node(ir::Mul{}, {batch_norm(c), b_.random({6, 1})}));
  expect_optimized(b_.graph, "conv");
}

TEST_F(FuseConvTest, FoldsScaleAndBias) {
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{1, 6, 1, 1}, {6, 1, 1}, {}, {1}, {1, 1, 1, 1}}) {
    for (const bool has_bias : {false, true}) {
      const ValueId c = b_.random(shape), d = b_.random(shape);
      b_.output(b_.node(ir::Mul{}, {conv(image(), has_bias), c}));
      b_.output(b_.node(ir::Mul{}, {c, conv(image(), has_bias)}));
      b_.output(b_.node(ir::Add{}, {conv(image(), has_bias), d}));
      b_.output(b_.node(ir::Add{}, {d, conv(image(), has_bias)}));
      b_.output(b_.node(ir::Sub{}, {conv(image(), has_bias), d}));
      b_.output(b_.node(ir::Div{}, {conv(image(), has_bias), c}));
    }
  }
  std::string ops = "conv";
  for (int k = 1; k < 60; ++k) ops += ", conv";
  expect_optimized(b_.graph, ops);
}

TEST_F(FuseConvTest, FoldsAChainOnceEach) {
  const ValueId scaled = b_.node(ir::Mul{}, {conv(image(), true), b_.random({6, 1, 1})});
  const ValueId shifted = b_.node(ir::Add{}, {scaled, b_.random({6, 1, 1})});
  b_.output(b_.node(ir::Relu{}, {batch_norm(shifted)}));
  expect_optimized(b_.graph, "conv, relu");
}

TEST_F(FuseConvTest, AnotherUserOfTheWeightSeesNothing) {
  const ValueId w = b_.random({6, 4, 1, 1}), x = image();
  const ir::Conv op{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}};
  b_.output(b_.node(ir::Mul{}, {b_.node(op, {x, w}), b_.random({6, 1, 1})}));
  b_.output(b_.node(op, {b_.node(ir::Neg{}, {x}), w}));
  expect_optimized(b_.graph, "neg, conv, conv");
}

TEST_F(FuseConvTest, KeepsAConvolutionThatIsUsedTwice) {
  const ValueId c = conv(image(), true);
  b_.output(b_.node(ir::Mul{}, {c, b_.random({6, 1, 1})}));
  b_.output(b_.node(ir::Relu{}, {c}));
  const ValueId given_out = conv(image(), true);
  b_.output(given_out);
  b_.output(batch_norm(given_out));
  expect_optimized(b_.graph, "conv, relu, mul, conv, batch_norm");
}

TEST_F(FuseConvTest, KeepsConstantsOfAnotherAxis) {
  b_.output(b_.node(ir::Mul{}, {conv(image(), true), b_.random({5})}));
  b_.output(b_.node(ir::Add{}, {conv(image(), true), b_.random({2, 1, 1, 1})}));
  b_.output(b_.node(ir::Add{}, {conv(image(), true), b_.random({1, 1, 6, 1, 1})}));  // an axis more
  b_.output(b_.node(ir::Sub{}, {b_.random({6, 1, 1}), conv(image(), true)}));
  b_.output(b_.node(ir::Div{}, {b_.random({6, 1, 1}), conv(image(), true)}));
  expect_optimized(b_.graph, "conv, mul, conv, add, conv, add, conv, sub, conv, div");
}

TEST_F(FuseConvTest, KeepsWhatIsNotConstant) {
  b_.output(b_.node(ir::Mul{}, {conv(image(), true), b_.input({6, 1, 1})}));
  const ValueId c = b_.node(ir::Conv{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}},
                            {image(), b_.input({6, 4, 1, 1})});
  b_.output(batch_norm(c));
  b_.output(batch_norm(b_.input({2, 6, 3, 3})));
  expect_optimized(b_.graph, "conv, mul, conv, batch_norm, batch_norm");
}

TEST_F(FuseConvTest, KeepsFactorsThatAreNotFinite) {
  b_.output(batch_norm(conv(image(), true), -1.0F));
  b_.output(b_.node(ir::Div{}, {conv(image(), true), b_.scalar(0)}));
  expect_optimized(b_.graph, "conv, batch_norm, conv, div");
}

TEST_F(FuseConvTest, KeepsOtherDtypes) {
  b_.output(b_.node(ir::Mul{}, {conv(image(DType::kF16), true, DType::kF16), b_.random({6, 1, 1}, DType::kF16)}));
  expect_optimized(b_.graph, "conv, mul");
}

}  // namespace
}  // namespace smelt::passes
