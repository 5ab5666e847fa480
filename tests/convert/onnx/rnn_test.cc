#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/onnx/export.h"
#include "convert/onnx/import.h"
#include "convert/onnx/model_builder.h"
#include "eval/evaluate.h"
#include "ir/ops/rnn.h"
#include "temp_folder.h"

namespace smelt::onnx_format {
namespace {

using Ints = std::vector<std::int64_t>;
using Words = std::vector<std::string>;

HostTensor tensor(const Ints& shape) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape).value()));
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(7 * k % 11) * 0.1F - 0.5F;
  return f32_tensor(shape, values);
}

class OnnxRnn : public TempFolderTest {
 protected:
  Result<ImportResult> import(const std::filesystem::path& path) {
    SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
    return import_model(std::make_shared<const MappedFile>(std::move(file)), path, {});
  }

  /// The error of an LSTM or a GRU with S = 3, B = 1, I = 2, H = 1 and these attributes; operands from 3 on are given.
  std::string error_of(const std::string& op_type, const std::vector<Attr>& attributes, const std::vector<HostTensor>& more = {}) {
    const std::int64_t rows = op_type == "LSTM" ? 4 : 3;
    ModelBuilder model(14);
    model.input("x", DType::kF32, {3, 1, 2});
    model.initializer("w", tensor({1, rows, 2})).initializer("r", tensor({1, rows, 1}));
    Words inputs{"x", "w", "r"};
    for (const HostTensor& operand : more) {
      inputs.push_back(operand.shape.empty() ? "" : "in" + std::to_string(inputs.size()));
      if (!operand.shape.empty()) model.initializer(inputs.back(), operand);
    }
    model.node(op_type, inputs, {"y"}, attributes).output("y").write(folder_ / "m.onnx");
    const Result<ImportResult> imported = import(folder_ / "m.onnx");
    return imported.ok() ? "" : imported.error().message();
  }
  void refuses(const std::string& reason, const std::string& op_type, const std::vector<Attr>& attributes, const std::vector<HostTensor>& more = {}) {
    EXPECT_NE(error_of(op_type, attributes, more).find(reason), std::string::npos) << error_of(op_type, attributes, more);
  }
};

TEST_F(OnnxRnn, WhatChangesTheFunctionIsRefusedByName) {
  EXPECT_EQ(error_of("LSTM", {}), "");
  EXPECT_EQ(error_of("GRU", {}), "");
  refuses("activation 1 is Relu", "LSTM", {{"activations", Words{"Sigmoid", "Relu", "Tanh"}}});
  refuses("activation 0 is HardSigmoid", "GRU", {{"activations", Words{"HardSigmoid", "Tanh"}}});
  refuses("2 activations, 3 required", "LSTM", {{"activations", Words{"Sigmoid", "Tanh"}}});
  refuses("clip = 3", "LSTM", {{"clip", 3.0F}});
  refuses("clip = 3", "GRU", {{"clip", 3.0F}});
  refuses("input_forget", "LSTM", {{"input_forget", std::int64_t{1}}});
  refuses("peepholes", "LSTM", {}, {{}, {}, {}, {}, tensor({1, 3})});
  refuses("direction \"backward\"", "LSTM", {{"direction", std::string("backward")}});
  refuses("layout 2", "GRU", {{"layout", std::int64_t{2}}});
  refuses("hidden_size", "GRU", {{"hidden_size", std::int64_t{0}}});
  refuses("operand 1 has shape [1, 3, 2], [1, 6, 2] required", "GRU", {{"hidden_size", std::int64_t{2}}});
}

TEST_F(OnnxRnn, LengthsMustBeThatOfTheSequence) {
  const auto lengths = [](std::int64_t length) { return i64_tensor({1}, std::vector<std::int64_t>{length}); };
  EXPECT_EQ(error_of("LSTM", {}, {{}, lengths(3)}), "");
  refuses("sequence_lens other than the whole sequence", "LSTM", {}, {{}, lengths(2)});
  refuses("a sequence length of -1", "GRU", {}, {{}, lengths(-1)});
}

struct Exported {
  std::string what;
  ir::Op op;
  std::vector<Ints> shapes;  ///< of the operands; empty: absent
};

/// Written and read again, an op gives the same values.
TEST_F(OnnxRnn, ExportsReadBack) {
  const ir::Lstm lstm{.hidden_size = 2, .direction = ir::RnnDirection::kBidirectional};
  const ir::Gru gru{.hidden_size = 2, .direction = ir::RnnDirection::kReverse, .resets_after = true};
  const std::vector<Exported> cases{
      {"everything", lstm, {{3, 2, 2}, {2, 8, 2}, {2, 8, 2}, {2, 16}, {2, 2, 2}, {2, 2, 2}}},
      {"only the second state", lstm, {{3, 2, 2}, {2, 8, 2}, {2, 8, 2}, {}, {}, {2, 2, 2}}},
      {"the least", ir::Lstm{.hidden_size = 2}, {{3, 2, 2}, {1, 8, 2}, {1, 8, 2}}},
      {"everything", gru, {{3, 2, 2}, {1, 6, 2}, {1, 6, 2}, {1, 12}, {1, 2, 2}}},
      {"no bias", gru, {{3, 2, 2}, {1, 6, 2}, {1, 6, 2}, {}, {1, 2, 2}}},
      {"the least", ir::Gru{.hidden_size = 2}, {{3, 2, 2}, {1, 6, 2}, {1, 6, 2}}},
  };
  for (const Exported& c : cases) {
    SCOPED_TRACE(std::string(c.op.name()) + ": " + c.what);
    ir::Graph graph("net");
    std::vector<ir::ValueId> operands;
    std::vector<HostTensor> inputs;
    for (const Ints& shape : c.shapes) {
      operands.push_back(shape.empty() ? ir::ValueId{} : graph.add_input("x" + std::to_string(operands.size()), {.dtype = DType::kF32, .shape = to_shape(shape)}));
      if (!shape.empty()) inputs.push_back(tensor(shape));
    }
    const Result<ir::NodeId> node = graph.add_node(c.op, operands, "n");
    ASSERT_TRUE(node.ok()) << node.error().to_string();
    const std::vector<ir::ValueId> results = graph.node(*node).outputs;
    for (std::size_t k = 0; k < results.size(); ++k) graph.add_output("y" + std::to_string(k), results[k]);
    ASSERT_TRUE(export_model(graph, folder_, {}).ok());
    const Result<ImportResult> back = import(folder_ / "model.onnx");
    ASSERT_TRUE(back.ok()) << back.error().to_string();
    ASSERT_EQ(back->graph.node_count(), 1U);
    EXPECT_EQ(back->graph.node({0}).op, c.op);
    EXPECT_EQ(eval::evaluate(back->graph, inputs).value(), eval::evaluate(graph, inputs).value());
  }
}

}  // namespace
}  // namespace smelt::onnx_format
