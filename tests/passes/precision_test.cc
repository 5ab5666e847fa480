#include "convert/passes/precision.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "eval/evaluate.h"
#include "ir/ops/all.h"
#include "tensor/float16.h"

namespace smelt::passes {
namespace {

using ir::ValueId;

struct Source {
  ir::Graph graph{"main"};

  ValueId input(Shape shape, DType dtype = DType::kF32) {
    return graph.add_input("x" + std::to_string(graph.inputs().size()), {.dtype = dtype, .shape = std::move(shape)});
  }
  ValueId constant(const std::string& name, const std::vector<float>& values) {
    return graph.add_constant(name, make_constant(f32_tensor({static_cast<std::int64_t>(values.size())}, values)));
  }
  ValueId node(ir::Op op, std::vector<ValueId> inputs) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return graph.node(id.value()).outputs[0];
  }
  void output(ValueId id) { graph.add_output("y" + std::to_string(graph.outputs().size()), id); }

  [[nodiscard]] PrecisionResult halved() const {
    Result<PrecisionResult> result = to_f16(graph);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().to_string());
    return result.ok() ? std::move(result).value() : PrecisionResult{.graph = ir::Graph("none"), .f16_nodes = 0, .f32_nodes = 0, .notes = {}};
  }
};

/// "cast f16, add f16, cast f32": the ops and the dtypes of their results.
std::string outline(const ir::Graph& graph) {
  std::string out;
  for (const ir::NodeId id : graph.topological_order()) {
    const ir::Node& node = graph.node(id);
    out += (out.empty() ? "" : ", ") + std::string(node.op.name()) + " " + std::string(name(graph.value(node.outputs[0]).type.dtype));
  }
  return out;
}

/// The elements of operand `operand` of the first node of a kind.
std::vector<double> constant_of(const ir::Graph& graph, ir::OpKind kind, std::size_t operand) {
  for (const ir::NodeId id : graph.topological_order()) {
    if (graph.node(id).op.kind() == kind) return to_doubles(load(*graph.value(graph.node(id).inputs.at(operand)).constant).value());
  }
  ADD_FAILURE() << "no " << ir::op_name(kind);
  return {};
}

TEST(Precision, CastsStandAtTheBorder) {
  Source s;
  s.output(s.node(ir::Relu{}, {s.node(ir::Add{}, {s.input({2}), s.constant("c", {1, 2})})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "cast f16, add f16, relu f16, cast f32");
  EXPECT_EQ(result.f16_nodes, 2U);
  EXPECT_EQ(result.f32_nodes, 0U);
  EXPECT_TRUE(result.notes.empty());
  EXPECT_EQ(result.graph.value(result.graph.inputs()[0]).type.dtype, DType::kF32);
  EXPECT_EQ(result.graph.outputs()[0].name, "y0");
  const std::vector<HostTensor> inputs{f32_tensor({2}, std::vector<float>{-3, 1.5F})};
  EXPECT_EQ(eval::evaluate(result.graph, inputs).value(), (std::vector<HostTensor>{f32_tensor({2}, std::vector<float>{0, 3.5F})}));
}

TEST(Precision, CastsAreShared) {
  Source s;
  const ValueId x = s.input({2}), sum = s.node(ir::Add{}, {x, x});
  s.output(s.node(ir::Mul{}, {sum, x}));
  s.output(s.node(ir::Neg{}, {x}));
  s.output(sum);
  s.output(sum);
  EXPECT_EQ(outline(s.halved().graph), "cast f16, add f16, mul f16, neg f16, cast f32, cast f32, cast f32");
}

TEST(Precision, AConstantIsConvertedOnceForEachDtype) {
  Source s;
  const ValueId c = s.constant("c", {1, 2});
  s.output(s.node(ir::Add{}, {s.input({2}), c}));
  s.output(s.node(ir::Mul{}, {s.input({2}), c}));
  s.output(c);  // of the model's own dtype
  const PrecisionResult result = s.halved();
  std::size_t halves = 0, floats = 0;
  for (std::uint32_t k = 0; k < result.graph.value_count(); ++k) {
    const ir::Value& value = result.graph.value({k});
    if (value.constant != nullptr) ++(value.type.dtype == DType::kF16 ? halves : floats);
  }
  EXPECT_EQ(halves, 1U);
  EXPECT_EQ(floats, 1U);
  EXPECT_EQ(result.graph.value(result.graph.outputs()[2].value).type.dtype, DType::kF32);
}

TEST(Precision, APassedInputIsNotTouched) {
  Source s;
  s.output(s.input({2}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "");
  EXPECT_EQ(result.graph.outputs()[0].value, result.graph.inputs()[0]);
}

TEST(Precision, IntegersAndBoolStay) {
  Source s;
  const ValueId ids = s.input({2}, DType::kI64), flag = s.input({2}, DType::kBool);
  const ValueId one = s.graph.add_constant("one", make_constant(i64_tensor({1}, std::vector<std::int64_t>{100000})));
  s.output(s.node(ir::Add{}, {ids, one}));
  s.output(s.node(ir::Not{}, {flag}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "add i64, not bool");
  EXPECT_EQ(result.f16_nodes + result.f32_nodes, 0U);
}

TEST(Precision, CastsToFloat32GoToFloat16) {
  Source s;
  s.output(s.node(ir::Neg{}, {s.node(ir::Cast{.to = DType::kF32}, {s.input({2}, DType::kI32)})}));
  s.output(s.node(ir::Cast{.to = DType::kI32}, {s.node(ir::Exp{}, {s.input({2})})}));
  EXPECT_EQ(outline(s.halved().graph), "cast f16, neg f16, cast f16, exp f16, cast i32, cast f32");
}

TEST(Precision, AMaskIsBoundedAndNoted) {
  Source s;
  const float lowest = std::numeric_limits<float>::lowest();
  const ValueId mask = s.constant("mask", {0, lowest, -1e38F, 1e38F, -std::numeric_limits<float>::infinity()});
  s.output(s.node(ir::Add{}, {s.input({5}), mask}));
  s.output(s.node(ir::Mul{}, {s.input({5}), mask}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(result.notes, (std::vector<std::string>{
                              "constant \"mask\" holds values of 1e38 or more, a mask's minus infinity: they are bounded to 40000 in float16"}));
  EXPECT_EQ(result.f32_nodes, 0U);
  EXPECT_EQ(constant_of(result.graph, ir::OpKind::kAdd, 1), (std::vector<double>{0, -40000, -40000, 40000, -std::numeric_limits<double>::infinity()}));
}

TEST(Precision, TheMinusInfinityOfASoftmaxIsBounded) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Source s;
  const ValueId mask = s.node(ir::Where{}, {s.input({4}, DType::kBool), s.constant("zero", {0}), s.constant("hidden", {-kInfinity})});
  const ValueId scores = s.node(ir::Add{}, {s.input({4}), s.node(ir::Reshape{.shape = {4}}, {mask})});
  s.output(s.node(ir::Softmax{.axis = 0}, {scores}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(result.notes, (std::vector<std::string>{"constant \"hidden\" holds the minus infinity of a mask: it is -40000 in float16; a softmax that "
                                                    "is masked throughout has shares, where float32 has NaN"}));
  EXPECT_EQ(constant_of(result.graph, ir::OpKind::kWhere, 2), (std::vector<double>{-40000}));
}

TEST(Precision, TheMinusInfinityOfAnAttentionIsBounded) {
  Source s;
  const ValueId mask = s.node(ir::Where{}, {s.input({2, 3}, DType::kBool), s.constant("zero", {0}), s.constant("hidden", {-std::numeric_limits<float>::infinity()})});
  s.output(s.node(ir::Attention{}, {s.input({1, 2, 4}), s.input({1, 3, 4}), s.input({1, 3, 4}), mask}));
  EXPECT_EQ(constant_of(s.halved().graph, ir::OpKind::kWhere, 2), (std::vector<double>{-40000}));
}

TEST(Precision, AnInfinityThatReachesMoreThanASoftmaxStays) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto where = [](Source& s, float value) { return s.node(ir::Where{}, {s.input({4}, DType::kBool), s.constant("zero", {0}), s.constant("c", {value})}); };
  Source given_out, multiplied, positive, condition;
  const ValueId mask = where(given_out, -kInfinity);
  given_out.output(given_out.node(ir::Softmax{.axis = 0}, {mask}));
  given_out.output(mask);
  multiplied.output(multiplied.node(ir::Softmax{.axis = 0}, {multiplied.node(ir::Mul{}, {where(multiplied, -kInfinity), multiplied.input({4})})}));
  positive.output(positive.node(ir::Softmax{.axis = 0}, {where(positive, kInfinity)}));
  condition.output(condition.node(ir::Softmax{.axis = 0}, {condition.node(ir::Relu{}, {where(condition, -kInfinity)})}));
  for (Source* source : {&given_out, &multiplied, &positive, &condition}) {
    const PrecisionResult result = source->halved();
    EXPECT_TRUE(result.notes.empty());
    EXPECT_TRUE(std::isinf(constant_of(result.graph, ir::OpKind::kWhere, 2)[0]));
  }
}

TEST(Precision, AConstantOutOfRangeKeepsItsOpFloat32) {
  Source s;
  s.output(s.node(ir::Relu{}, {s.node(ir::Add{}, {s.node(ir::Neg{}, {s.input({2})}), s.constant("wide", {1, 65520})})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "cast f16, neg f16, cast f32, add f32, cast f16, relu f16, cast f32");
  EXPECT_EQ(result.f16_nodes, 2U);
  EXPECT_EQ(result.f32_nodes, 1U);
  EXPECT_EQ(result.notes, (std::vector<std::string>{"add \"source\" stays float32: constant \"wide\" is outside float16's range"}));
  EXPECT_EQ(constant_of(result.graph, ir::OpKind::kAdd, 1), (std::vector<double>{1, 65520}));
}

TEST(Precision, TheRangeEndsWhereRoundingGivesInfinity) {
  for (const auto& [value, is_wide] : std::vector<std::pair<float, bool>>{{65504, false}, {65519.99F, false}, {65520, true}, {-65520, true}, {9.9e37F, true}}) {
    Source s;
    s.output(s.node(ir::Add{}, {s.input({1}), s.constant("c", {value})}));
    EXPECT_EQ(s.halved().f32_nodes, is_wide ? 1U : 0U) << value;
  }
  Source infinite;
  infinite.output(infinite.node(ir::Add{}, {infinite.input({1}), infinite.constant("c", {std::numeric_limits<float>::infinity()})}));
  EXPECT_TRUE(infinite.halved().notes.empty());
}

TEST(Precision, AMaskBesideAWideConstantIsNotBounded) {
  Source s;
  s.output(s.node(ir::Add{}, {s.input({2}), s.constant("both", {-1e38F, 70000})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(result.f32_nodes, 1U);
  EXPECT_EQ(result.notes.size(), 1U);
  EXPECT_EQ(constant_of(result.graph, ir::OpKind::kAdd, 1).at(1), 70000);
}

/// A mask whose only op stays float32 keeps its values: no note says otherwise.
TEST(Precision, AMaskOfAFloat32OpIsNotNoted) {
  Source s;
  const ValueId condition = s.input({2}, DType::kBool);
  s.output(s.node(ir::Where{}, {condition, s.constant("mask", {-1e38F, 0}), s.constant("wide", {70000, 1})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "where f32");
  EXPECT_EQ(result.notes, (std::vector<std::string>{"where \"source\" stays float32: constant \"wide\" is outside float16's range"}));
}

TEST(Precision, SmallConstantsKeepWhatWouldVanish) {
  constexpr double kSmallest = 1.0 / 16777216;  // 2^-24
  Source s;
  s.output(s.node(ir::Add{}, {s.input({3}), s.constant("few", {1e-12F, -1e-30F, 0})}));
  EXPECT_EQ(constant_of(s.halved().graph, ir::OpKind::kAdd, 1), (std::vector<double>{kSmallest, -kSmallest, 0}));
  for (const auto& [count, kept] : std::vector<std::pair<std::size_t, double>>{{399, kSmallest}, {400, 0.0}}) {
    Source many;
    many.output(many.node(ir::Add{}, {many.input({static_cast<std::int64_t>(count)}), many.constant("many", std::vector<float>(count, 1e-12F))}));
    EXPECT_EQ(constant_of(many.halved().graph, ir::OpKind::kAdd, 1).front(), kept) << count;
  }
}

TEST(Precision, EpsilonsThatChangeAreNoted) {
  const auto notes = [](float epsilon) {
    Source s;
    s.output(s.node(ir::LayerNorm{.axis = 0, .epsilon = epsilon}, {s.input({4})}));
    const PrecisionResult result = s.halved();
    const ir::Node& node = result.graph.node(result.graph.topological_order().at(1));
    const float kept = node.op.as<ir::LayerNorm>()->epsilon;
    EXPECT_TRUE(epsilon == 0 ? kept == 0 : kept > 0 && kept == f16_value(f16_bits(kept))) << epsilon;
    return result.notes;
  };
  EXPECT_TRUE(notes(1e-3F).empty());
  EXPECT_TRUE(notes(0).empty());
  EXPECT_TRUE(notes(1e-5F).empty());  // 1.001358e-05
  EXPECT_EQ(notes(1e-12F), (std::vector<std::string>{"the epsilon of 1 layer_norm is 5.9604645e-08 instead of 1e-12 in float16"}));
  Source s;
  const ValueId x = s.input({1, 1, 2}), c = s.constant("c", {1});
  s.output(s.node(ir::InstanceNorm{.epsilon = 1e-9F}, {s.node(ir::BatchNorm{.epsilon = 1e-10F}, {x, c, c, c, c}), c, c}));
  s.output(s.node(ir::InstanceNorm{.epsilon = 1e-9F}, {x, c, c}));
  EXPECT_EQ(s.halved().notes, (std::vector<std::string>{"the epsilon of 1 batch_norm is 5.9604645e-08 instead of 1e-10 in float16",
                                                        "the epsilon of 2 instance_norms is 5.9604645e-08 instead of 1e-09 in float16"}));
}

TEST(Precision, CompressedWeightsGetFloat16Scales) {
  Source s;
  const ValueId q = s.graph.add_constant("q", make_constant({.dtype = DType::kI8, .shape = {2, 3}, .bytes = std::vector<std::byte>(6, std::byte{2})}));
  s.output(s.node(ir::Linear{}, {s.input({1, 3}), s.node(ir::Dequantize{.axis = 0}, {q, s.constant("scale", {0.5F, 0.25F})})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "dequantize f16, cast f16, linear f16, cast f32");
  EXPECT_EQ(constant_of(result.graph, ir::OpKind::kDequantize, 0), (std::vector<double>(6, 2)));
}

TEST(Precision, AbsentOperandsStayAbsent) {
  Source s;
  s.output(s.node(ir::LayerNorm{.axis = 0, .epsilon = 1e-3F}, {s.input({2}), {}, s.constant("beta", {1, 2})}));
  const PrecisionResult result = s.halved();
  EXPECT_EQ(outline(result.graph), "cast f16, layer_norm f16, cast f32");
  EXPECT_FALSE(result.graph.node(result.graph.topological_order().at(1)).inputs.at(1).valid());
}

TEST(Precision, NamesStay) {
  Source s;
  const ValueId y = s.node(ir::Neg{}, {s.input({2})});
  s.graph.set_value_name(y, "middle");
  s.output(y);
  const PrecisionResult result = s.halved();
  std::vector<std::string> names;
  for (const ir::NodeId id : result.graph.topological_order()) names.push_back(result.graph.value(result.graph.node(id).outputs[0]).name);
  EXPECT_EQ(names, (std::vector<std::string>{"x0_to_fp16", "middle", "middle_to_fp32"}));
}

}  // namespace
}  // namespace smelt::passes
