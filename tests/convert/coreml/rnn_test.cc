#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/coreml/lowering.h"
#include "ir/ops/rnn.h"

namespace smelt::coreml_format {
namespace {

using Floats = std::vector<float>;

ConstantRef constant(std::vector<std::int64_t> shape, const Floats& values) { return make_constant(f32_tensor(std::move(shape), values)); }

/// What one op over constant weights is lowered to. Its weights have fewer than 10 elements, so they stand in place.
MilBlock lowered(ir::Op op, std::int64_t steps, const std::vector<ConstantRef>& weights) {
  ir::Graph graph("main");
  std::vector<ir::ValueId> inputs{graph.add_input("x", {.dtype = DType::kF32, .shape = {Dim(steps), 1, 1}})};
  for (const ConstantRef& weight : weights) inputs.push_back(graph.add_constant("w", weight));
  const ir::NodeId id = graph.add_node(std::move(op), std::move(inputs), "n").value();
  for (const ir::ValueId result : graph.node(id).outputs) graph.add_output("y", result);
  FunctionBuilder builder(graph, Target::kIos16);
  builder.bind(graph.inputs()[0], "x");
  for (const ir::ValueId result : graph.node(id).outputs) builder.bind(result, builder.names().take("y"));
  LowerContext cx(builder, graph.node(id), "y");
  const Status status = find_lowering(graph.node(id).op.kind())(graph.node(id).op, cx);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().to_string());
  return builder.block();
}

/// The floats of the constants that feed an operation, by parameter.
std::map<std::string, Floats> floats_of(const MilBlock& block, const MilOperation& operation) {
  std::map<std::string, Floats> out;
  for (const auto& [parameter, bindings] : operation.inputs) {
    for (const MilOperation& other : block.operations) {
      if (other.type != "const" || other.outputs[0].name != std::get<std::string>(bindings[0]) || other.outputs[0].type.dtype != MilDataType::kFloat32) continue;
      const auto& bytes = std::get<std::vector<std::byte>>(other.attributes.at("val").data);
      Floats& values = out[parameter];
      values.resize(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
    }
  }
  return out;
}

const MilOperation& only(const MilBlock& block, const std::string& type) {
  const MilOperation* found = nullptr;
  for (const MilOperation& operation : block.operations) {
    if (operation.type != type) continue;
    EXPECT_EQ(found, nullptr) << "two of " << type;
    found = &operation;
  }
  SMELT_CHECK(found != nullptr);
  return *found;
}

std::vector<std::string> types_of(const MilBlock& block) {
  std::vector<std::string> out;
  for (const MilOperation& operation : block.operations) {
    if (operation.type != "const") out.push_back(operation.type);
  }
  return out;
}
using Names = std::vector<std::string>;

TEST(RnnLoweringTest, LstmRowsAreInputForgetOutputCell) {
  const MilBlock block = lowered(ir::Lstm{.hidden_size = 1, .direction = ir::RnnDirection::kReverse}, 3,
                                 {constant({1, 4, 1}, {1, 2, 3, 4}), constant({1, 4, 1}, {5, 6, 7, 8}), constant({1, 8}, {1, 2, 3, 4, 10, 20, 30, 40})});
  const std::map<std::string, Floats> expected{{"bias", {11, 33, 22, 44}}, {"initial_c", {0}}, {"initial_h", {0}},
                                               {"weight_hh", {5, 7, 6, 8}}, {"weight_ih", {1, 3, 2, 4}}};
  EXPECT_EQ(floats_of(block, only(block, "lstm")), expected);
  EXPECT_EQ(types_of(block), (Names{"lstm", "reverse", "expand_dims", "expand_dims", "expand_dims"}));
}

TEST(RnnLoweringTest, BidirectionalLstmHasBothDirections) {
  const MilBlock block = lowered(ir::Lstm{.hidden_size = 1, .direction = ir::RnnDirection::kBidirectional}, 3,
                                 {constant({2, 4, 1}, {1, 2, 3, 4, -1, -2, -3, -4}), constant({2, 4, 1}, {5, 6, 7, 8, -5, -6, -7, -8})});
  const std::map<std::string, Floats> expected{{"initial_c", {0, 0}}, {"initial_h", {0, 0}}, {"weight_hh", {5, 7, 6, 8}}, {"weight_hh_back", {-5, -7, -6, -8}},
                                               {"weight_ih", {1, 3, 2, 4}}, {"weight_ih_back", {-1, -3, -2, -4}}};
  EXPECT_EQ(floats_of(block, only(block, "lstm")), expected);
  EXPECT_EQ(types_of(block), (Names{"lstm", "reshape", "transpose", "reshape", "transpose", "reshape", "transpose"}));
}

TEST(RnnLoweringTest, NativeGruRowsAreResetNewUpdate) {
  const MilBlock block = lowered(ir::Gru{.hidden_size = 1, .direction = ir::RnnDirection::kReverse}, 65,
                                 {constant({1, 3, 1}, {1, 2, 3}), constant({1, 3, 1}, {4, 5, 6}), constant({1, 6}, {1, 2, 3, 10, 20, 30})});
  const std::map<std::string, Floats> expected{{"bias", {22, 33, 11}}, {"initial_h", {0}}, {"weight_hh", {5, 6, 4}}, {"weight_ih", {2, 3, 1}}};
  EXPECT_EQ(floats_of(block, only(block, "gru")), expected);
  EXPECT_EQ(types_of(block), (Names{"gru", "reverse", "expand_dims", "reshape", "identity"}));
}

TEST(RnnLoweringTest, AGruOfFewStepsIsWrittenStepByStep) {
  const std::vector<ConstantRef> weights{constant({1, 3, 1}, {1, 2, 3}), constant({1, 3, 1}, {4, 5, 6}), constant({1, 6}, {1, 2, 3, 10, 20, 30})};
  EXPECT_EQ(types_of(lowered(ir::Gru{.hidden_size = 1, .direction = ir::RnnDirection::kForward, .resets_after = true}, 1, weights)),
            (Names{"linear", "linear", "linear", "add", "sigmoid", "split", "linear", "mul", "add", "tanh", "sub", "mul", "add", "reshape", "identity"}));
}

}  // namespace
}  // namespace smelt::coreml_format
