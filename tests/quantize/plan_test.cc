#include "quantize/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ir/ops/all.h"
#include "quantize/schemes/int8.h"
#include "tensor/float16.h"

namespace smelt::quantize {
namespace {

using ir::ValueId;
using Extents = std::vector<std::int64_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// count numbers between -scale and scale, in no order.
std::vector<float> scattered(std::int64_t count, float scale = 1) {
  std::vector<float> values;
  for (std::int64_t k = 0; k < count; ++k) values.push_back(scale * (static_cast<float>((37 * k + 11) % 101) / 50.0F - 1.0F));
  return values;
}

struct Source {
  ir::Graph graph{"main"};

  ValueId input(Extents shape, DType dtype = DType::kF32) { return graph.add_input("x", {.dtype = dtype, .shape = to_shape(shape)}); }
  ValueId weight(const std::string& name, const Extents& shape, const std::vector<float>& values) {
    return graph.add_constant(name, make_constant(f32_tensor(shape, values)));
  }
  ValueId weight(const std::string& name, const Extents& shape) { return weight(name, shape, scattered(element_count(shape).value())); }
  ValueId node(ir::Op op, std::vector<ValueId> inputs) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return graph.node(id.value()).outputs[0];
  }
  void output(ValueId id) { graph.add_output("y" + std::to_string(graph.outputs().size()), id); }

  /// x[2, k] times a weight[n, k].
  ValueId linear(ValueId w) {
    const ValueId y = node(ir::Linear{}, {input({2, graph.value(w).type.shape[1].extent()}), w});
    output(y);
    return y;
  }
};

Policy policy(std::uint64_t amount, bool is_bytes = false) { return {.threshold = {.amount = amount, .is_bytes = is_bytes}, .stores_f16_scales = false}; }

Plan planned(const Source& s, const Policy& p) {
  const Result<Plan> plan = plan_int8(s.graph, p);
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().to_string());
  return plan.ok() ? *plan : Plan{};
}

/// "w axis 0: policy", a line each.
std::string text(const Plan& plan) {
  std::string out;
  for (const Decision& d : plan.decisions) {
    EXPECT_EQ(d.is_quantized, d.reason == "policy");
    out += d.name + (d.is_quantized ? " axis " + std::to_string(d.axis) : "") + ": " + d.reason + "\n";
  }
  return out;
}

TEST(Threshold, IsElementsOrBytes) {
  const auto parsed = [](const std::string& t) { return threshold_text(parse_threshold(t).value()); };
  EXPECT_EQ(parsed("512"), "512 elements");
  EXPECT_EQ(parsed("0"), "0 elements");
  EXPECT_EQ(parsed("512B"), "512 bytes");
  EXPECT_EQ(parsed("2KiB"), "2048 bytes");
  EXPECT_EQ(parsed("1MiB"), "1048576 bytes");
  for (const char* wrong : {"", "B", "KiB", "-1", " 1", "1 KiB", "1kib", "1KB", "0x10", "1.5", "1e3", "99999999999999999999", "18446744073709551615MiB"}) {
    const Result<Threshold> result = parse_threshold(wrong);
    ASSERT_FALSE(result.ok()) << wrong;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Plan, TheThresholdIsStrict) {
  Source s;
  s.linear(s.weight("12", {4, 3}));
  s.linear(s.weight("15", {5, 3}));
  EXPECT_EQ(text(planned(s, policy(12))), "12: not above the threshold of 12 elements\n15 axis 0: policy\n");
  EXPECT_EQ(text(planned(s, policy(11))), "12 axis 0: policy\n15 axis 0: policy\n");
  EXPECT_EQ(text(planned(s, policy(48, true))), "12: not above the threshold of 48 bytes\n15 axis 0: policy\n");  // of float32
  EXPECT_EQ(text(planned(s, policy(47, true))), "12 axis 0: policy\n15 axis 0: policy\n");
}

TEST(Plan, NothingAboveTheThresholdNamesTheLargest) {
  Source s;
  s.linear(s.weight("small", {4, 3}));
  s.linear(s.weight("large", {5, 3}));
  s.linear(s.weight("as large", {5, 3}));
  const Result<Plan> plan = plan_int8(s.graph, policy(512));
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(plan.error().message(),
            "no weight can be quantized; the largest, \"large\" with 15 elements, stays: not above the threshold of 512 elements");
  EXPECT_FALSE(plan.error().hint_text().empty());
  Source none;
  none.output(none.node(ir::Add{}, {none.input({4, 4}), none.weight("shift", {4, 4})}));
  EXPECT_EQ(plan_int8(none.graph, policy(0)).error().message(),
            "no weight can be quantized; the model has no weights of convolutions, products or tables");
}

TEST(Plan, TheAxisIsThatOfTheOutputChannels) {
  Source s;
  const ir::Conv conv{.stride = {1, 1}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .groups = 1};
  s.output(s.node(conv, {s.input({1, 2, 3, 3}), s.weight("conv", {4, 2, 3, 3}), s.weight("bias", {4})}));
  s.linear(s.weight("linear", {4, 3}));
  s.output(s.node(ir::Gather{.axis = 0}, {s.weight("table", {5, 4}), s.input({2}, DType::kI32)}));
  s.output(s.node(ir::MatMul{}, {s.input({2, 3}), s.weight("y", {3, 4})}));
  s.output(s.node(ir::MatMul{.transpose_x = false, .transpose_y = true}, {s.input({2, 3}), s.weight("y'", {4, 3})}));
  s.output(s.node(ir::MatMul{}, {s.weight("x", {2, 3}), s.input({3, 4})}));
  s.output(s.node(ir::MatMul{.transpose_x = true, .transpose_y = false}, {s.weight("x'", {3, 2}), s.input({3, 4})}));
  s.output(s.node(ir::MatMul{}, {s.input({2, 2, 3}), s.weight("batch", {2, 3, 4})}));
  const Plan plan = planned(s, policy(0));
  EXPECT_EQ(text(plan),
            "conv axis 0: policy\nlinear axis 0: policy\ntable axis 0: policy\ny axis 1: policy\ny' axis 0: policy\nx axis 0: policy\n"
            "x' axis 1: policy\nbatch axis 2: policy\n");
  for (const Decision& d : plan.decisions) {
    EXPECT_EQ(d.scales.size(), static_cast<std::size_t>(s.graph.value(d.weight).constant->shape[static_cast<std::size_t>(d.axis)])) << d.name;
  }
}

TEST(Plan, OtherConstantsAreNoWeights) {
  Source s;
  s.linear(s.weight("w", {4, 3}));
  s.output(s.node(ir::Gather{.axis = 0}, {s.input({4, 3}), s.graph.add_constant("indices", make_constant(i64_tensor({2, 2}, Extents{0, 1, 2, 3})))}));
  s.output(s.node(ir::Linear{}, {s.weight("x", {4, 3}), s.input({2, 3})}));  // the operand, not the weight
  (void)s.weight("unused", {40, 3});
  EXPECT_EQ(text(planned(s, policy(0))), "w axis 0: policy\n");
}

TEST(Plan, ASharedWeightIsOneDecision) {
  Source s;
  const ValueId w = s.weight("w", {4, 3});
  s.linear(w);
  s.linear(w);
  EXPECT_EQ(text(planned(s, policy(0))), "w axis 0: policy\n");
  // A tied embedding: rows of the table are columns of the product.
  Source tied;
  const ValueId table = tied.weight("table", {5, 3});
  tied.output(tied.node(ir::Gather{.axis = 0}, {table, tied.input({2}, DType::kI32)}));
  tied.linear(table);
  EXPECT_EQ(text(planned(tied, policy(0))), "table axis 0: policy\n");
}

TEST(Plan, AWeightUsedInTwoWaysStays) {
  Source s;
  const ValueId w = s.weight("axes", {3, 3}), shift = s.weight("shift", {4, 4});
  s.linear(w);
  s.output(s.node(ir::MatMul{}, {s.input({2, 3}), w}));
  s.linear(shift);
  s.output(s.node(ir::Add{}, {s.input({4, 4}), shift}));
  s.linear(s.weight("fine", {4, 3}));
  EXPECT_EQ(text(planned(s, policy(0))), "axes: used in two ways\nshift: used in two ways\nfine axis 0: policy\n");
}

TEST(Plan, AnOutputStays) {
  Source s;
  const ValueId w = s.weight("w", {4, 3});
  s.linear(w);
  s.output(w);
  s.linear(s.weight("fine", {4, 3}));
  EXPECT_EQ(text(planned(s, policy(0))), "w: an output of the model\nfine axis 0: policy\n");
}

TEST(Plan, ValuesThatAreNotFiniteStay) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    Source s;
    std::vector<float> values = scattered(12);
    values[7] = value;
    s.linear(s.weight("w", {4, 3}, values));
    s.linear(s.weight("fine", {4, 3}));
    EXPECT_EQ(text(planned(s, policy(0))), "w: values that are not finite\nfine axis 0: policy\n");
  }
}

TEST(Plan, AChannelOfZerosHasScaleOne) {
  Source s;
  s.linear(s.weight("w", {3, 2}, {0, 0, 1, -127, -0.0F, 0}));
  EXPECT_EQ(planned(s, policy(0)).decisions.at(0).scales, (std::vector<float>{1, 1, 1}));
}

TEST(Plan, ScalesAreRoundedToWhatIsStored) {
  Source s;
  s.linear(s.weight("w", {2, 2}, {1, 0.5F, -3, 2}));
  EXPECT_EQ(planned(s, policy(0)).decisions.at(0).scales, (std::vector<float>{1.0F / 127.0F, 3.0F / 127.0F}));
  Policy half = policy(0);
  half.stores_f16_scales = true;
  EXPECT_EQ(planned(s, half).decisions.at(0).scales, (std::vector<float>{f16_value(f16_bits(1.0F / 127.0F)), f16_value(f16_bits(3.0F / 127.0F))}));
}

constexpr float kSmallestNormalF16 = 6.103515625e-5F;

/// The decision for a weight of one row, its largest element `peak`.
Decision decided(float peak, bool is_half) {
  Source s;
  s.linear(s.weight("w", {1, 3}, {peak, 0, -peak}));
  s.linear(s.weight("fine", {2, 2}));
  Policy p = policy(0);
  p.stores_f16_scales = is_half;
  return planned(s, p).decisions.at(0);
}

TEST(Plan, Float16ScalesAreNormalNumbers) {
  EXPECT_EQ(decided(127 * kSmallestNormalF16, true).scales, (std::vector<float>{kSmallestNormalF16}));
  EXPECT_EQ(decided(100 * kSmallestNormalF16, true).scales, (std::vector<float>{kSmallestNormalF16}));  // fewer codes, none subnormal
  EXPECT_EQ(decided(100 * kSmallestNormalF16, false).scales, (std::vector<float>{100 * kSmallestNormalF16 / 127}));
  Source s;  // a small row beside a large one
  s.linear(s.weight("w", {2, 2}, {1e-9F, 0, 127, 1}));
  Policy half = policy(0);
  half.stores_f16_scales = true;
  EXPECT_EQ(planned(s, half).decisions.at(0).scales, (std::vector<float>{kSmallestNormalF16, 1}));
}

TEST(Plan, ScalesOutsideFloat16StayFloat) {
  EXPECT_EQ(decided(127 * kSmallestNormalF16 / 4, true).reason, "policy");
  EXPECT_EQ(decided(126 * kSmallestNormalF16 / 4, true).reason, "scales below float16's normal range");
  EXPECT_EQ(decided(1e-30F, true).reason, "scales below float16's normal range");
  EXPECT_EQ(decided(1e-30F, false).reason, "policy");
  EXPECT_EQ(decided(127 * 65504.0F, true).reason, "policy");
  EXPECT_EQ(decided(127 * 65536.0F, true).reason, "scales above float16's range");
  EXPECT_EQ(decided(std::numeric_limits<float>::max(), false).reason, "policy");
  EXPECT_EQ(decided(std::numeric_limits<float>::denorm_min(), false).reason, "scales that vanish");
}

/// q = clamp(round_half_even(w / s), -127, 127): |q s - w| is at most s / 2 where 127 s covers w.
TEST(Apply, TheErrorIsAtMostHalfAScale) {
  for (const bool is_half : {false, true}) {
    Source s;
    const ValueId w = s.weight("w", {5, 7}, scattered(35, 3.3F));
    s.output(s.node(ir::MatMul{}, {s.input({2, 5}), w}));
    Policy p = policy(0);
    p.stores_f16_scales = is_half;
    const Plan plan = planned(s, p);
    ASSERT_TRUE(apply(s.graph, plan).ok());
    ASSERT_TRUE(ir::verify(s.graph).ok());
    const ir::NodeId product = s.graph.value(s.graph.outputs()[0].value).producer;
    const ir::Value& replaced = s.graph.value(s.graph.node(product).inputs[1]);
    EXPECT_EQ(replaced.name, "w");
    ASSERT_TRUE(replaced.producer.valid());
    const ir::Node& node = s.graph.node(replaced.producer);
    ASSERT_NE(node.op.as<ir::Dequantize>(), nullptr);
    EXPECT_EQ(node.op.as<ir::Dequantize>()->axis, 1);
    const HostTensor codes = load(*s.graph.value(node.inputs[0]).constant).value();
    EXPECT_EQ(type_text(codes.dtype, codes.shape), "i8[5, 7]");
    const std::vector<double> q = to_doubles(codes), original = to_doubles(load(*s.graph.value(w).constant).value());
    const std::vector<double> scales = to_doubles(load(*s.graph.value(node.inputs[1]).constant).value());
    ASSERT_EQ(scales.size(), 7U);
    double largest = 0;
    for (std::size_t k = 0; k < q.size(); ++k) {
      const double scale = scales[k % 7];
      EXPECT_LE(std::fabs(q[k]), 127);
      largest = std::max(largest, std::fabs(q[k]));
      const double clipped = std::max(0.0, std::fabs(original[k]) - 127 * scale);  // where the scale was rounded down
      EXPECT_LE(std::fabs(q[k] * scale - original[k]), scale * 0.5000001 + clipped) << k;
      EXPECT_LE(clipped, std::fabs(original[k]) / 2048) << k;
    }
    EXPECT_EQ(largest, 127);
  }
}

TEST(Apply, EveryUseIsReplacedAndTheRestStays) {
  Source s;
  const ValueId w = s.weight("w", {4, 3}), small = s.weight("small", {2, 3});
  const ValueId first = s.linear(w), second = s.linear(w), third = s.linear(small);
  ASSERT_TRUE(apply(s.graph, planned(s, policy(6))).ok());
  ASSERT_TRUE(ir::verify(s.graph).ok());
  const auto weight_of = [&](ValueId y) { return s.graph.node(s.graph.value(y).producer).inputs[1]; };
  EXPECT_EQ(weight_of(first), weight_of(second));
  EXPECT_EQ(s.graph.value(weight_of(first)).constant, nullptr);
  EXPECT_EQ(weight_of(third), small);
  EXPECT_EQ(s.graph.use_count(w), 0U);
  const Result<Plan> again = plan_int8(s.graph, policy(6));
  EXPECT_FALSE(again.ok());  // nothing is left
}

TEST(Int8, RoundsHalfToEvenAndNeverUsesMinus128) {
  const Constant weight = *make_constant(f32_tensor({1, 6}, std::vector<float>{-127, 0.5F, 1.5F, 2.5F, -0.5F, 127}));
  const Result<int8::Scales> scales = int8::scales(weight, 0, false);
  ASSERT_TRUE(scales.ok());
  EXPECT_EQ(scales->values, (std::vector<float>{1}));
  EXPECT_EQ(to_doubles(load(**int8::encode(weight, 0, scales->values)).value()), (std::vector<double>{-127, 0, 2, 2, 0, 127}));
  EXPECT_EQ(to_doubles(load(**int8::encode(weight, 0, {0.5F})).value()), (std::vector<double>{-127, 1, 3, 5, -1, 127}));
}

TEST(Int8, SlicesOfAMiddleAxis) {
  const Constant weight = *make_constant(f32_tensor({2, 2, 2}, std::vector<float>{1, -2, 3, 4, 127, 5, 6, -254}));
  const Result<int8::Scales> scales = int8::scales(weight, 1, false);
  ASSERT_TRUE(scales.ok());
  EXPECT_EQ(scales->values, (std::vector<float>{1, 2}));
  EXPECT_EQ(to_doubles(load(**int8::encode(weight, 1, scales->values)).value()), (std::vector<double>{1, -2, 2, 2, 127, 5, 3, -127}));
}

TEST(PlanTransposedConvolution, ChannelsAreOnAxisOneAndGroupsStay) {
  for (const std::int64_t groups : {1, 2}) {
    Source s;
    const ValueId w = s.weight("w", {4, 3, 2, 2});
    s.output(s.node(ir::ConvTranspose{.stride = {2, 2}, .dilation = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .output_padding = {0, 0}, .groups = groups},
                    {s.input({1, 4, 3, 3}), w}));
    s.linear(s.weight("other", {8, 8}));
    const Plan plan = planned(s, policy(0));
    ASSERT_EQ(plan.decisions.size(), 2U);
    EXPECT_EQ(plan.decisions[0].axis, 1);
    EXPECT_EQ(plan.decisions[0].is_quantized, groups == 1);
    EXPECT_EQ(plan.decisions[0].scales.size(), groups == 1 ? 3U : 0U);
    EXPECT_EQ(plan.decisions[0].reason, groups == 1 ? "policy" : "a transposed convolution in groups");
  }
}

TEST(Plan, WeightsOfLstmAndGruStayAndAreNamed) {
  Source s;
  const ValueId x = s.input({3, 1, 4});
  s.output(s.node(ir::Lstm{.hidden_size = 2}, {x, s.weight("w", {1, 8, 4}), s.weight("r", {1, 8, 2}), s.weight("b", {1, 16})}));
  s.output(s.node(ir::Gru{.hidden_size = 2}, {x, s.weight("v", {1, 6, 4}), s.weight("small", {1, 6, 2})}));
  s.linear(s.weight("other", {8, 8}));
  const Plan plan = planned(s, policy(12));
  ASSERT_EQ(plan.decisions.size(), 5U);  // a bias is no weight
  for (const std::size_t k : {0U, 1U, 2U}) EXPECT_EQ(plan.decisions[k].reason, "a weight of lstm or gru");
  EXPECT_EQ(plan.decisions[3].reason, "not above the threshold of 12 elements");
  EXPECT_TRUE(plan.decisions[4].is_quantized);
}

}  // namespace
}  // namespace smelt::quantize
