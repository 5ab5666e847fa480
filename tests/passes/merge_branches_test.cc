#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

class MergeBranchesTest : public testing::Test {
 protected:
  struct ConvOptions {
    std::vector<std::int64_t> kernel = {3, 3};
    std::vector<std::int64_t> pads_begin = {1, 1}, pads_end = {1, 1};
    std::vector<std::int64_t> stride = {1, 1}, dilation = {1, 1};
    std::int64_t groups = 1, channels = 4;
    bool has_bias = true;
  };
  static ConvOptions pointwise() { return {.kernel = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}}; }

  ValueId conv(ValueId x, const ConvOptions& options) {
    std::vector<std::int64_t> shape = {options.channels, 4 / options.groups};
    shape.insert(shape.end(), options.kernel.begin(), options.kernel.end());
    std::vector<ValueId> inputs = {x, b_.random(shape)};
    if (options.has_bias) inputs.push_back(b_.random({options.channels}));
    return b_.node(ir::Conv{.stride = options.stride, .dilation = options.dilation, .pads_begin = options.pads_begin,
                            .pads_end = options.pads_end, .groups = options.groups}, inputs);
  }
  ValueId image() { return b_.input({2, 4, 7, 6}); }
  ValueId batch_norm(ValueId x, float variance = 0.5F) {
    return b_.node(ir::BatchNorm{.epsilon = 1e-3F}, {x, b_.random({4}), b_.random({4}), b_.random({4}), b_.full({4}, variance)});
  }
  ValueId add(ValueId a, ValueId b) { return b_.node(ir::Add{}, {a, b}); }
  ValueId sub(ValueId a, ValueId b) { return b_.node(ir::Sub{}, {a, b}); }
  ValueId mul(ValueId a, ValueId b) { return b_.node(ir::Mul{}, {a, b}); }

  GraphBuilder b_;
};

TEST_F(MergeBranchesTest, MergesTwoKernels) {
  for (const std::int64_t groups : {1, 2, 4}) {
    for (const bool has_bias : {false, true}) {
      ConvOptions large, small = pointwise();
      large.groups = small.groups = groups;
      large.has_bias = has_bias;
      const ValueId x = image(), z = image();
      b_.output(add(conv(x, large), conv(x, small)));
      b_.output(add(conv(z, small), conv(z, large)));
    }
  }
  const auto applied = expect_optimized(b_.graph, "conv, conv, conv, conv, conv, conv, conv, conv, conv, conv, conv, conv");
  EXPECT_EQ(applied.at("merge-branches"), 12U);
}

TEST_F(MergeBranchesTest, MergesWithAStride) {
  ConvOptions large{.kernel = {7, 7}, .pads_begin = {3, 3}, .pads_end = {3, 3}, .stride = {2, 2}, .groups = 4, .channels = 8};
  ConvOptions small{.stride = {2, 2}, .groups = 4, .channels = 8};
  const ValueId x = image();
  b_.output(add(conv(x, large), conv(x, small)));
  expect_optimized(b_.graph, "conv");
}

TEST_F(MergeBranchesTest, MergesUnevenPads) {
  const ConvOptions large{.kernel = {4, 2}, .pads_begin = {2, 0}, .pads_end = {1, 1}};
  const ConvOptions small{.kernel = {2, 1}, .pads_begin = {1, 0}, .pads_end = {0, 0}};
  const ValueId x = image();
  b_.output(sub(conv(x, large), conv(x, small)));
  b_.output(sub(conv(x, small), conv(x, large)));
  expect_optimized(b_.graph, "conv, conv");
}

TEST_F(MergeBranchesTest, MergesDilatedKernels) {
  const ConvOptions large{.kernel = {3, 3}, .pads_begin = {2, 2}, .pads_end = {2, 2}, .dilation = {2, 2}};
  const ConvOptions small{.kernel = {1, 3}, .pads_begin = {0, 2}, .pads_end = {0, 2}, .dilation = {1, 2}};  // one tap has no distance
  const ValueId x = image();
  b_.output(add(batch_norm(x), add(conv(x, large), conv(x, small))));
  expect_optimized(b_.graph, "conv");
}

TEST_F(MergeBranchesTest, MergesOneAndThreeSpatialAxes) {
  const ValueId x = b_.input({1, 4, 9}), y = b_.input({1, 4, 3, 4, 5});
  b_.output(add(x, conv(x, {.kernel = {5}, .pads_begin = {2}, .pads_end = {2}, .stride = {1}, .dilation = {1}})));
  b_.output(add(conv(y, {.kernel = {3, 3, 3}, .pads_begin = {1, 1, 1}, .pads_end = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}}),
                conv(y, {.kernel = {1, 3, 1}, .pads_begin = {0, 1, 0}, .pads_end = {0, 1, 0}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}})));
  expect_optimized(b_.graph, "conv, conv");
}

TEST_F(MergeBranchesTest, MergesTheInputItself) {
  for (const std::int64_t groups : {1, 2, 4}) {
    ConvOptions options;
    options.groups = groups;
    options.has_bias = groups != 2;
    const ValueId x = image(), y = image(), z = image();
    b_.output(add(x, conv(x, options)));
    b_.output(sub(conv(y, options), y));
    b_.output(sub(z, conv(z, options)));
  }
  expect_optimized(b_.graph, "conv, conv, conv, conv, conv, conv, conv, conv, conv");
}

TEST_F(MergeBranchesTest, MergesBatchNormOfTheInput) {
  ConvOptions depthwise;
  depthwise.groups = 4;
  const ValueId x = image(), y = image();
  b_.output(add(conv(x, depthwise), batch_norm(x)));
  b_.output(sub(batch_norm(y), conv(y, pointwise())));
  expect_optimized(b_.graph, "conv, conv");
}

TEST_F(MergeBranchesTest, MergesATreeOverTheInput) {
  const ValueId x = image();
  ValueId tree = add(mul(b_.random({4, 1, 1}), batch_norm(x)), x);
  tree = b_.node(ir::Div{}, {sub(tree, mul(x, b_.scalar(3))), b_.random({1, 4, 1, 1})});
  tree = sub(b_.random({4, 1, 1}), tree);
  b_.output(add(tree, conv(x, {})));
  expect_optimized(b_.graph, "conv");
}

// x + scale * (mixer(x) - norm(x)), the mixer of three branches
TEST_F(MergeBranchesTest, MergesATokenMixer) {
  ConvOptions large, small = pointwise();
  large.groups = small.groups = 4;
  const ValueId x = b_.node(ir::Relu{}, {image()});
  const ValueId mixer = add(add(conv(x, small), batch_norm(x)), batch_norm(conv(x, large)));
  b_.output(add(x, mul(b_.random({4, 1, 1}), sub(mixer, batch_norm(x)))));
  expect_optimized(b_.graph, "relu, conv");
}

// The sum of a merge is the input of the next one.
TEST_F(MergeBranchesTest, MergesBlocksInARow) {
  const ValueId x = image();
  const ValueId y = add(conv(x, {}), conv(x, pointwise()));
  b_.output(add(batch_norm(y), conv(y, pointwise())));
  expect_optimized(b_.graph, "conv, conv");
}

TEST_F(MergeBranchesTest, KeepsAnotherStride) {
  const ValueId x = b_.input({2, 4, 1, 1});  // one element, whatever the stride
  ConvOptions strided;
  strided.stride = {2, 2};
  b_.output(add(conv(x, strided), conv(x, pointwise())));
  b_.output(add(conv(x, strided), x));
  expect_optimized(b_.graph, "conv, conv, add, conv, add");
}

TEST_F(MergeBranchesTest, KeepsKernelsThatLieApart) {
  const ValueId x = image();
  b_.output(add(conv(x, {.kernel = {1, 3}, .pads_begin = {0, 1}, .pads_end = {0, 1}}),
                conv(x, {.kernel = {3, 1}, .pads_begin = {1, 0}, .pads_end = {1, 0}})));
  b_.output(add(conv(x, {.kernel = {2, 2}, .pads_begin = {1, 1}, .pads_end = {0, 0}}),
                conv(x, {.kernel = {2, 2}, .pads_begin = {0, 0}, .pads_end = {1, 1}})));
  expect_optimized(b_.graph, "conv, conv, add, conv, conv, add");
}

TEST_F(MergeBranchesTest, KeepsAnotherDilation) {
  const ValueId x = image();
  b_.output(add(conv(x, {.pads_begin = {2, 2}, .pads_end = {2, 2}, .dilation = {2, 2}}), conv(x, {})));
  b_.output(add(conv(x, {.kernel = {2, 2}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .dilation = {2, 2}}), x));  // no tap on x itself
  expect_optimized(b_.graph, "conv, conv, add, conv, add");
}

TEST_F(MergeBranchesTest, KeepsOtherGroups) {
  const ValueId x = image();
  ConvOptions grouped;
  grouped.groups = 2;
  b_.output(add(conv(x, grouped), conv(x, {})));
  expect_optimized(b_.graph, "conv, conv, add");
}

TEST_F(MergeBranchesTest, KeepsAConvolutionThatIsUsedTwice) {
  const ValueId x = image();
  const ValueId shared = conv(x, {}), given_out = conv(x, {});
  b_.output(add(shared, conv(x, pointwise())));
  b_.output(b_.node(ir::Relu{}, {shared}));
  b_.output(given_out);
  b_.output(add(given_out, x));
  expect_optimized(b_.graph, "conv, conv, add, relu, conv, add");
}

TEST_F(MergeBranchesTest, KeepsATreeThatIsUsedTwice) {
  const ValueId x = image(), normal = batch_norm(x);
  b_.output(add(normal, conv(x, {})));
  b_.output(b_.node(ir::Relu{}, {normal}));
  expect_optimized(b_.graph, "batch_norm, conv, add, relu");
}

TEST_F(MergeBranchesTest, KeepsAnotherInput) {
  const ValueId x = image(), y = image();
  b_.output(add(conv(x, {}), conv(y, {})));
  b_.output(add(conv(x, {}), y));
  b_.output(add(conv(x, {}), batch_norm(y)));
  expect_optimized(b_.graph, "conv, conv, add, conv, add, conv, batch_norm, add");
}

TEST_F(MergeBranchesTest, KeepsWhatIsNotConstant) {
  const ValueId x = image();
  const ir::Conv op{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}};
  b_.output(add(conv(x, {}), b_.node(op, {x, b_.input({4, 4, 1, 1})})));
  b_.output(add(conv(x, {}), mul(x, b_.input({4, 1, 1}))));
  b_.output(add(conv(x, {}), mul(x, x)));
  expect_optimized(b_.graph, "conv, conv, add, conv, mul, add, conv, mul, add");
}

TEST_F(MergeBranchesTest, KeepsConstantsOfAnotherAxis) {
  const ValueId x = image();
  b_.output(add(conv(x, {}), mul(x, b_.random({6}))));
  b_.output(add(conv(x, {}), b_.node(ir::Div{}, {b_.random({4, 1, 1}), x})));
  expect_optimized(b_.graph, "conv, mul, add, conv, div, add");
}

TEST_F(MergeBranchesTest, KeepsAnotherNumberOfChannels) {
  const ValueId x = b_.input({2, 4, 5, 5});
  ConvOptions one = pointwise();
  one.channels = 1;  // broadcasts
  b_.output(add(conv(x, one), conv(x, {})));
  b_.output(add(conv(x, one), x));
  expect_optimized(b_.graph, "conv, conv, add, conv, add");
}

TEST_F(MergeBranchesTest, KeepsABranchThatBroadcasts) {
  const ValueId x = b_.input({1, 4, 1, 1});
  b_.output(add(conv(x, pointwise()), mul(x, b_.random({2, 1, 1, 1}))));
  expect_optimized(b_.graph, "conv, mul, add");
}

TEST_F(MergeBranchesTest, KeepsFactorsThatAreNotFinite) {
  const ValueId x = image();
  b_.output(add(conv(x, {}), batch_norm(x, -1.0F)));
  expect_optimized(b_.graph, "conv, batch_norm, add");
}

TEST_F(MergeBranchesTest, KeepsOtherDtypes) {
  const ValueId x = b_.input({2, 4, 5, 5}, DType::kF16);
  const ir::Conv op{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}};
  b_.output(add(b_.node(op, {x, b_.random({4, 4, 1, 1}, DType::kF16)}), x));
  expect_optimized(b_.graph, "conv, add");
}

}  // namespace
}  // namespace smelt::passes
