#include <limits>

#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

using Extents = std::vector<std::int64_t>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class FusePadTest : public testing::Test {
 protected:
  ValueId image(std::int64_t channels = 2) { return b_.input({1, channels, 6, 6}); }
  ValueId pad(ValueId x, Extents begin, Extents end, float value = 0, ir::PadMode mode = ir::PadMode::kConstant) {
    return b_.node(ir::Pad{.mode = mode, .begin = std::move(begin), .end = std::move(end), .value = value}, {x});
  }
  ValueId conv(ValueId x, Extents begin, Extents end, std::int64_t channels = 2) {
    return b_.node(ir::Conv{.stride = {2, 1}, .dilation = {1, 2}, .pads_begin = std::move(begin), .pads_end = std::move(end)},
                   {x, b_.random({3, channels, 3, 3}), b_.random({3})});
  }
  ValueId average(ValueId x, bool counts, Extents pads = {0, 0}) {
    return b_.node(ir::AveragePool{.kernel = {3, 3}, .stride = {2, 1}, .pads_begin = pads, .pads_end = pads, .counts_padding = counts}, {x});
  }
  ValueId largest(ValueId x, Extents pads = {0, 0}) {
    return b_.node(ir::MaxPool{.kernel = {3, 3}, .stride = {2, 1}, .pads_begin = pads, .pads_end = pads}, {x});
  }

  GraphBuilder b_;
};

TEST_F(FusePadTest, ZerosGoIntoAConvolution) {
  b_.output(conv(pad(image(), {0, 0, 1, 2}, {0, 0, 0, 3}), {0, 0}, {0, 0}));
  b_.output(conv(pad(image(), {0, 0, 1, 2}, {0, 0, 0, 3}), {1, 0}, {0, 2}));
  EXPECT_EQ(expect_optimized(b_.graph, "conv, conv").at("fuse-pad-conv"), 2U);
}

TEST_F(FusePadTest, TwoPadsGoOneAfterTheOther) {
  b_.output(conv(pad(pad(image(), {0, 0, 1, 0}, {0, 0, 0, 0}), {0, 0, 0, 1}, {0, 0, 1, 1}), {0, 0}, {0, 0}));
  expect_optimized(b_.graph, "conv");
}

TEST_F(FusePadTest, APadWithAnotherUserStaysForThat) {
  const ValueId padded = pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1});
  b_.output(padded);
  b_.output(conv(padded, {0, 0}, {0, 0}));
  expect_optimized(b_.graph, "conv, pad");
}

TEST_F(FusePadTest, OtherPadsStayBeforeAConvolution) {
  b_.output(conv(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1}, 0.5F), {0, 0}, {0, 0}));
  b_.output(conv(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1}, 0, ir::PadMode::kReflect), {0, 0}, {0, 0}));
  b_.output(conv(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1}, 0, ir::PadMode::kEdge), {0, 0}, {0, 0}));
  b_.output(conv(pad(image(1), {0, 1, 1, 1}, {0, 0, 1, 1}), {0, 0}, {0, 0}));
  b_.output(conv(pad(image(), {0, 0, 1, 1}, {1, 0, 1, 1}), {0, 0}, {0, 0}));
  expect_optimized(b_.graph, "conv, conv, conv, conv, conv, pad, pad, pad, pad, pad");
}

TEST_F(FusePadTest, ZerosGoIntoAnAverageThatCountsThem) {
  b_.output(average(pad(image(), {0, 0, 1, 2}, {0, 0, 2, 0}), false));
  b_.output(average(pad(image(), {0, 0, 1, 2}, {0, 0, 2, 0}), true));
  b_.output(average(pad(image(), {0, 0, 1, 0}, {0, 0, 1, 1}), true, {1, 1}));
  EXPECT_EQ(expect_optimized(b_.graph, "average_pool, average_pool, average_pool").at("fuse-pad-average-pool"), 3U);
}

TEST_F(FusePadTest, OthersStayBeforeAnAverage) {
  b_.output(average(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1}), false, {1, 1}));
  b_.output(average(pad(image(), {0, 0, 3, 0}, {0, 0, 0, 0}), false));
  b_.output(average(pad(image(), {0, 0, 1, 0}, {0, 0, 1, 0}, 1), true));
  expect_optimized(b_.graph, "average_pool, average_pool, average_pool, pad, pad, pad");
}

TEST_F(FusePadTest, MinusInfinityGoesIntoAMaximum) {
  b_.output(largest(pad(image(), {0, 0, 1, 2}, {0, 0, 2, 0}, -kInfinity)));
  b_.output(largest(pad(image(), {0, 0, 1, 0}, {0, 0, 1, 1}, -kInfinity), {1, 1}));
  EXPECT_EQ(expect_optimized(b_.graph, "max_pool, max_pool").at("fuse-pad-max-pool"), 2U);
}

TEST_F(FusePadTest, OthersStayBeforeAMaximum) {
  b_.output(largest(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1})));
  b_.output(largest(pad(image(), {0, 0, 1, 1}, {0, 0, 1, 1}, -1e30F)));
  b_.output(largest(pad(image(), {0, 0, 2, 0}, {0, 0, 0, 0}, -kInfinity), {1, 1}));
  expect_optimized(b_.graph, "max_pool, max_pool, max_pool, pad, pad, pad");
}

TEST_F(FusePadTest, ATestForNanStays) {
  const ValueId x = image();
  b_.output(b_.node(ir::IsNan{}, {x}));
  b_.output(b_.node(ir::IsNan{}, {b_.full({2}, std::numeric_limits<float>::quiet_NaN())}));
  expect_optimized(b_.graph, "is_nan");
}

}  // namespace
}  // namespace smelt::passes
