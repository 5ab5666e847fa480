#include "convert/onnx/export.h"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "convert/onnx/payload.h"
#include "convert/onnx/wire.h"
#include "ir/ops/all.h"
#include "temp_folder.h"
#include "tensor/float16.h"

namespace smelt::onnx_format {
namespace {

using ir::ValueId;

class ExportTest : public TempFolderTest {
 protected:
  std::string text_of(const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Exports, then reads back; the file stays for `constant`.
  Model exported(const ir::Graph& graph, bool simulates_f16 = false) {
    const Status status = export_model(graph, folder_, {.simulates_f16 = simulates_f16});
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().to_string());
    Result<MappedFile> file = MappedFile::open(folder_ / "model.onnx");
    if (!file.ok()) return {};
    file_ = std::make_shared<const MappedFile>(std::move(file).value());
    Result<Model> model = read_model(file_->bytes(), "model.onnx", {});
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().to_string());
    return model.ok() ? std::move(model).value() : Model{};
  }

  HostTensor constant(const Tensor& tensor) {
    const Result<ConstantRef> constant = PayloadReader(file_, folder_ / "model.onnx").read(tensor);
    EXPECT_TRUE(constant.ok()) << (constant.ok() ? "" : constant.error().to_string());
    return constant.ok() ? load(**constant).value() : HostTensor{};
  }

  std::optional<ErrorCode> code_of(const ir::Graph& graph) {
    const Status status = export_model(graph, folder_, {});
    if (status.ok()) return std::nullopt;
    return status.error().code();
  }

  std::shared_ptr<const MappedFile> file_;
};

ValueId add(ir::Graph& graph, ir::Op op, std::vector<ValueId> inputs) {
  const Result<ir::NodeId> node = graph.add_node(std::move(op), std::move(inputs), "source");
  EXPECT_TRUE(node.ok()) << (node.ok() ? "" : node.error().to_string());
  return node.ok() ? graph.node(*node).outputs.at(0) : ValueId{};
}
TensorType type(DType dtype, const std::vector<std::int64_t>& shape) { return {.dtype = dtype, .shape = to_shape(shape)}; }

std::vector<std::string> op_types(const Model& model) {
  std::vector<std::string> out;
  for (const Node& node : model.graph.nodes) out.push_back(node.op_type);
  return out;
}
using Names = std::vector<std::string>;

/// y = x w^T + b, with w of 2048 bytes and b of 32.
ir::Graph linear_graph() {
  ir::Graph graph("net");
  const ValueId x = graph.add_input("x", type(DType::kF32, {3, 64}));
  std::vector<float> weights(8 * 64);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i);
  const ValueId w = graph.add_constant("w", make_constant(f32_tensor({8, 64}, weights)));
  const ValueId b = graph.add_constant("b", make_constant(f32_tensor({8}, std::vector<float>(8, 0.5F))));
  static_cast<void>(graph.add_constant("unused", make_constant(f32_tensor({1}, std::vector<float>(1)))));
  graph.add_output("y", add(graph, ir::Linear{}, {x, w, b}));
  return graph;
}

TEST_F(ExportTest, ReadsBackAsItWas) {
  const Model model = exported(linear_graph());
  EXPECT_EQ(model.ir_version, 9);
  EXPECT_EQ(model.producer_name, "smelt");
  ASSERT_EQ(model.opset_imports.size(), 1U);
  EXPECT_EQ(model.opset_imports[0].version, 20);
  EXPECT_EQ(model.graph.name, "net");
  ASSERT_EQ(model.graph.inputs.size(), 1U);
  EXPECT_EQ(model.graph.inputs[0].name, "x");
  EXPECT_EQ(model.graph.inputs[0].elem_type, 1);
  EXPECT_EQ(model.graph.inputs[0].shape->at(1).extent, 64);
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  const Node& gemm = model.graph.nodes[0];
  EXPECT_EQ(gemm.op_type, "Gemm");
  EXPECT_EQ(gemm.outputs, (Names{"y"}));
  ASSERT_EQ(gemm.attributes.size(), 1U);
  EXPECT_EQ(gemm.attributes[0].name, "transB");
  EXPECT_EQ(gemm.attributes[0].type, 2);
  EXPECT_EQ(gemm.attributes[0].i, 1);
  ASSERT_EQ(model.graph.initializers.size(), 2U);  // not the unused one
  EXPECT_EQ(gemm.inputs, (Names{"x", model.graph.initializers[0].name, model.graph.initializers[1].name}));
}

TEST_F(ExportTest, TheSameGraphGivesTheSameBytes) {
  exported(linear_graph());
  const std::string model = text_of("model.onnx"), data = text_of("model.onnx.data");
  exported(linear_graph());
  EXPECT_EQ(text_of("model.onnx"), model);
  EXPECT_EQ(text_of("model.onnx.data"), data);
}

TEST_F(ExportTest, LargeConstantsStandAlignedInTheDataFile) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("x", type(DType::kF32, {257}));
  const std::vector<float> values(257, 2.0F);  // 1028 bytes
  const ValueId a = graph.add_constant("a", make_constant(f32_tensor({257}, values)));
  const ValueId b = graph.add_constant("b", make_constant(f32_tensor({257}, values)));
  const ValueId c = graph.add_constant("c", make_constant(f32_tensor({1}, std::vector<float>{3})));
  graph.add_output("y", add(graph, ir::Add{}, {add(graph, ir::Mul{}, {add(graph, ir::Sub{}, {x, a}), b}), c}));
  const Model model = exported(graph);
  ASSERT_EQ(model.graph.initializers.size(), 3U);
  const Tensor& second = model.graph.initializers[1];
  EXPECT_TRUE(second.is_external);
  EXPECT_EQ(second.external_location, "model.onnx.data");
  EXPECT_EQ(second.external_offset, 1088U);
  EXPECT_EQ(second.external_length, 1028U);
  EXPECT_FALSE(model.graph.initializers[2].is_external);
  const std::string data = text_of("model.onnx.data");
  EXPECT_EQ(data.size(), 1088U + 1028U);
  EXPECT_EQ(data.substr(1028, 60), std::string(60, '\0'));
  EXPECT_EQ(constant(second), f32_tensor({257}, values));
  EXPECT_EQ(constant(model.graph.initializers[2]), f32_tensor({1}, std::vector<float>{3}));
}

TEST_F(ExportTest, NoDataFileWithoutLargeConstants) {
  ir::Graph graph("");
  graph.add_output("y", add(graph, ir::Relu{}, {graph.add_input("x", type(DType::kF32, {1}))}));
  EXPECT_EQ(exported(graph).graph.name, "main");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "model.onnx.data"));
}

TEST_F(ExportTest, OneConstantOfTwoValuesIsWrittenOnce) {
  ir::Graph graph("main");
  const ConstantRef shared = make_constant(f32_tensor({1}, std::vector<float>{3}));
  const ValueId a = graph.add_constant("a", shared), b = graph.add_constant("b", shared);
  graph.add_output("y", add(graph, ir::Add{}, {a, b}));
  EXPECT_EQ(exported(graph).graph.initializers.size(), 1U);
}

TEST_F(ExportTest, BorderNamesStayAndNothingElseHasThem) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("v1", type(DType::kF32, {2}));
  const ValueId c = graph.add_constant("c", make_constant(f32_tensor({2}, std::vector<float>{1, 2})));
  const ValueId relu = add(graph, ir::Relu{}, {x});
  const ValueId exp = add(graph, ir::Exp{}, {relu});
  graph.add_output("first", exp);
  graph.add_output("v0", exp);      // shared
  graph.add_output("v1", x);        // the input under its own name
  graph.add_output("copy", x);      // the input under another
  graph.add_output("constant", c);  // a constant
  const Model model = exported(graph);
  EXPECT_EQ(op_types(model), (Names{"Relu", "Exp", "Identity", "Identity", "Identity"}));
  Names outputs;
  for (const ValueInfo& output : model.graph.outputs) outputs.push_back(output.name);
  EXPECT_EQ(outputs, (Names{"first", "v0", "v1", "copy", "constant"}));
  EXPECT_EQ(model.graph.initializers.at(0).name, "v2");
  EXPECT_EQ(model.graph.nodes.at(0).inputs, (Names{"v1"}));
  EXPECT_EQ(model.graph.nodes[0].outputs, (Names{"v3"}));
  EXPECT_EQ(model.graph.nodes[1].outputs, (Names{"first"}));
  EXPECT_EQ(model.graph.nodes[2].inputs, (Names{"first"}));
  EXPECT_EQ(model.graph.nodes[2].outputs, (Names{"v0"}));
  EXPECT_EQ(model.graph.nodes[3].inputs, (Names{"v1"}));
  EXPECT_EQ(model.graph.nodes[4].inputs, (Names{"v2"}));
}

TEST_F(ExportTest, RefusesWhatOnnxCannotHold) {
  const auto graph_with = [](const std::string& in, const std::string& out) {
    ir::Graph graph("main");
    graph.add_output(out, add(graph, ir::Relu{}, {graph.add_input(in, type(DType::kF32, {1}))}));
    return graph;
  };
  EXPECT_EQ(code_of(graph_with("x", "y")), std::nullopt);
  EXPECT_EQ(code_of(graph_with("", "y")), ErrorCode::kNotRepresentable);
  EXPECT_EQ(code_of(graph_with("x", "")), ErrorCode::kNotRepresentable);
  EXPECT_EQ(code_of(graph_with("x", "x")), ErrorCode::kNotRepresentable);
  ir::Graph twice = graph_with("x", "y");
  twice.add_output("y", twice.outputs().at(0).value);
  EXPECT_EQ(code_of(twice), ErrorCode::kNotRepresentable);
  ir::Graph input_twice("main");
  const ValueId x = input_twice.add_input("x", type(DType::kF32, {1}));
  input_twice.add_output("x", x);
  input_twice.add_output("x", x);
  EXPECT_EQ(code_of(input_twice), ErrorCode::kNotRepresentable);

  ir::Graph four_bit("main");
  four_bit.add_output("y", add(four_bit, ir::Identity{}, {four_bit.add_input("x", type(DType::kI4, {1}))}));
  EXPECT_EQ(code_of(four_bit), ErrorCode::kNotRepresentable);
  ir::Graph open("main");
  const ValueId batch = open.add_input("x", {.dtype = DType::kF32, .shape = {open.symbols().symbol("batch")}});
  open.add_output("y", add(open, ir::Relu{}, {batch}));
  EXPECT_EQ(code_of(open), ErrorCode::kOpenShape);
}

TEST_F(ExportTest, AFolderThatIsNotThere) {
  const Status status = export_model(linear_graph(), folder_ / "missing", {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kWriteFailed);
}

TEST_F(ExportTest, SimulatedF16RoundsEachComputedValueAndNoMovedOne) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("x", type(DType::kF16, {2}));
  HostTensor halves{.dtype = DType::kF16, .shape = {2}, .bytes = {}};
  for (const float value : {0.1F, -2.0F}) {
    const std::uint16_t bits = f16_bits(value);
    halves.bytes.push_back(static_cast<std::byte>(bits & 0xff));
    halves.bytes.push_back(static_cast<std::byte>(bits >> 8));
  }
  const ValueId c = graph.add_constant("c", make_constant(halves));
  const ValueId sum = add(graph, ir::Add{}, {x, c});
  const ValueId moved = add(graph, ir::Transpose{{0}}, {add(graph, ir::Relu{}, {sum})});
  graph.add_output("y", moved);
  graph.add_output("wide", add(graph, ir::Cast{DType::kF32}, {moved}));
  graph.add_output("x", x);
  const Model model = exported(graph, true);
  EXPECT_EQ(op_types(model), (Names{"Cast", "Add", "Cast", "Cast", "Relu", "Transpose", "Identity", "Cast"}));
  EXPECT_EQ(model.graph.inputs.at(0).elem_type, 10);
  EXPECT_EQ(model.graph.outputs.at(0).elem_type, 10);
  EXPECT_EQ(model.graph.outputs.at(1).elem_type, 1);
  EXPECT_EQ(model.graph.nodes.at(0).attributes.at(0).i, 1);
  EXPECT_EQ(model.graph.nodes.at(2).attributes.at(0).i, 10);
  EXPECT_EQ(model.graph.nodes.at(3).attributes.at(0).i, 1);
  EXPECT_EQ(model.graph.nodes.at(7).attributes.at(0).i, 10);
  EXPECT_EQ(model.graph.nodes.at(7).outputs, (Names{"y"}));
  EXPECT_EQ(constant(model.graph.initializers.at(0)), f32_tensor({2}, std::vector<float>{f16_value(f16_bits(0.1F)), -2}));

  // Without simulation every value is f16 itself.
  const Model direct = exported(graph);
  EXPECT_EQ(op_types(direct), (Names{"Add", "Relu", "Transpose", "Cast"}));
  EXPECT_EQ(constant(direct.graph.initializers.at(0)), halves);
}

TEST_F(ExportTest, CastsToSimulatedF16RoundOnce) {
  ir::Graph graph("main");
  const ValueId narrow = add(graph, ir::Cast{DType::kF16}, {graph.add_input("x", type(DType::kI64, {2}))});
  graph.add_output("y", add(graph, ir::Cast{DType::kI32}, {add(graph, ir::Cast{DType::kF16}, {narrow})}));
  const Model model = exported(graph, true);
  EXPECT_EQ(op_types(model), (Names{"Cast", "Cast", "Identity", "Cast"}));
  EXPECT_EQ(model.graph.nodes.at(0).attributes.at(0).i, 10);
  EXPECT_EQ(model.graph.nodes.at(1).attributes.at(0).i, 1);
  EXPECT_EQ(model.graph.nodes.at(3).attributes.at(0).i, 6);
}

TEST_F(ExportTest, AbsentOperandsAndBounds) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("x", type(DType::kF32, {2, 4}));
  ir::Clip upper;
  upper.max = 1;
  const ValueId clipped = add(graph, upper, {x});
  const ValueId w = graph.add_input("w", type(DType::kF32, {4, 4}));
  const ValueId product = add(graph, ir::Linear{}, {clipped, w, ValueId{}});
  graph.add_output("y", add(graph, ir::LayerNorm{.axis = 1}, {product}));
  const Model model = exported(graph);
  EXPECT_EQ(op_types(model), (Names{"Clip", "Gemm", "LayerNormalization"}));
  EXPECT_EQ(model.graph.nodes.at(0).inputs.size(), 3U);
  EXPECT_EQ(model.graph.nodes.at(0).inputs.at(1), "");
  EXPECT_EQ(model.graph.nodes.at(1).inputs.size(), 2U);
  EXPECT_EQ(model.graph.nodes.at(2).inputs.size(), 2U);  // gamma is required: ones
  EXPECT_EQ(constant(model.graph.initializers.at(1)), f32_tensor({4}, std::vector<float>(4, 1.0F)));
}

TEST_F(ExportTest, SlicesBackwardsToTheFirst) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("x", type(DType::kF32, {2, 5}));
  graph.add_output("y", add(graph, ir::Slice{.begin = {0, 4}, .end = {2, -1}, .step = {1, -2}}, {x}));
  const Model model = exported(graph);
  ASSERT_EQ(model.graph.initializers.size(), 4U);  // starts, ends, axes, steps; of the second axis only
  const std::int64_t expected[] = {4, -9223372036854775807, 1, -2};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(constant(model.graph.initializers[i]), i64_tensor({1}, std::span(&expected[i], 1))) << i;
  }
}

TEST_F(ExportTest, TransposeFlagsBecomeNodes) {
  ir::Graph graph("main");
  const ValueId x = graph.add_input("x", type(DType::kF32, {2, 4, 3}));
  const ValueId y = graph.add_input("y", type(DType::kF32, {5, 4}));
  graph.add_output("z", add(graph, ir::MatMul{.transpose_x = true, .transpose_y = true}, {x, y}));
  const Model model = exported(graph);
  EXPECT_EQ(op_types(model), (Names{"Transpose", "Transpose", "MatMul"}));
  EXPECT_EQ(model.graph.nodes.at(0).attributes.at(0).ints, (std::vector<std::int64_t>{0, 2, 1}));
  EXPECT_EQ(model.graph.nodes.at(1).attributes.at(0).ints, (std::vector<std::int64_t>{1, 0}));
}

/// The parts of attention, in float16's simulation each rounded.
TEST_F(ExportTest, AttentionIsWrittenInItsParts) {
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    ir::Graph graph("main");
    const ValueId q = graph.add_input("q", type(dtype, {2, 3, 4})), k = graph.add_input("k", type(dtype, {2, 5, 4}));
    const ValueId v = graph.add_input("v", type(dtype, {2, 5, 6})), mask = graph.add_input("mask", type(dtype, {5}));
    graph.add_output("y", add(graph, ir::Attention{.scale = 0.5F}, {q, k, v, mask}));
    const Model model = exported(graph, true);
    Names parts;
    for (const std::string& name : op_types(model)) {
      if (name != "Cast") parts.push_back(name);
    }
    EXPECT_EQ(parts, (Names{"Mul", "Transpose", "MatMul", "Add", "Softmax", "MatMul"}));
    // Four inputs, five results rounded there and back, one output.
    EXPECT_EQ(op_types(model).size() - parts.size(), dtype == DType::kF16 ? 4U + 10U + 1U : 0U);
  }
}

}  // namespace
}  // namespace smelt::onnx_format
