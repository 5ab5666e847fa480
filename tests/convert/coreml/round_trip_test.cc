#include "convert/coreml/round_trip.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "convert/coreml/export.h"
#include "convert/coreml/import.h"
#include "convert/coreml/legalize.h"
#include "eval/evaluate.h"
#include "temp_folder.h"
#include "validate/npy.h"

namespace smelt::coreml_format {
namespace {

namespace fs = std::filesystem;
using Tensors = std::vector<HostTensor>;

constexpr std::array kTargets{Target::kIos15, Target::kIos16, Target::kIos17, Target::kIos18};

void expect_close(const HostTensor& actual, const HostTensor& expected, double tolerance) {
  ASSERT_EQ(type_text(actual.dtype, actual.shape), type_text(expected.dtype, expected.shape));
  const std::vector<double> a = to_doubles(actual), e = to_doubles(expected);
  for (std::size_t k = 0; k < e.size(); ++k) {
    if (std::isfinite(e[k]) && tolerance > 0) {
      EXPECT_LE(std::fabs(a[k] - e[k]), tolerance * std::max(1.0, std::fabs(e[k]))) << k << ": " << a[k] << " for " << e[k];
    } else {
      EXPECT_TRUE(a[k] == e[k] || (std::isnan(a[k]) && std::isnan(e[k]))) << k << ": " << a[k] << " for " << e[k];
    }
  }
}

ExportOptions options_for(Target target) {
  return {.target = target, .if_exists = PackageWriter::IfExists::kReplace, .user_defined = {}};
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class RoundTrip : public TempFolderTest {
 protected:
  /// Every test keeps the packages it makes as it goes.
  [[nodiscard]] bool leaves_packages() const override { return false; }

  /// Keeps the package with the inputs and results of a run beside it, NAME.inputs.npz and NAME.outputs.npz, for the independent executor.
  static void keep(const fs::path& package, const ir::Graph& graph, const Tensors& inputs, const Tensors& results) {
    const fs::path kept = keep_package(package);
    if (kept.empty()) return;
    std::vector<parity::NpyEntry> in, out;
    for (std::size_t k = 0; k < inputs.size(); ++k) in.push_back({graph.value(graph.inputs()[k]).name, inputs[k]});
    for (std::size_t k = 0; k < results.size(); ++k) out.push_back({graph.outputs()[k].name, results[k]});
    EXPECT_TRUE(parity::write_npz(fs::path(kept).replace_extension("inputs.npz"), in).ok());
    EXPECT_TRUE(parity::write_npz(fs::path(kept).replace_extension("outputs.npz"), out).ok());
  }

  /// Legalized, written, read back. Its values are those of the source graph on the same inputs, as the border has them.
  /// Gives those that came out, as the source's dtypes have it: [actual, expected] for each output.
  std::vector<std::pair<HostTensor, HostTensor>> through_a_package(const ir::Graph& source, const Tensors& inputs, Target target) {
    const fs::path path = folder_ / "m.mlpackage";
    const auto run = [&]() -> Result<std::vector<std::pair<HostTensor, HostTensor>>> {
      SMELT_ASSIGN_OR_RETURN(const ir::Graph legal, legalize(source, target));
      SMELT_ASSIGN_OR_RETURN(const ExportResult written, export_package(legal, path, options_for(target)));
      EXPECT_GT(written.operations, 0U);
      SMELT_ASSIGN_OR_RETURN(const ImportResult back, import_package(path));
      EXPECT_EQ(back.target, target);
      EXPECT_EQ(back.specification_version, specification_version(target));
      Tensors given;
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        given.push_back(as_dtype(inputs[k], back.graph.value(back.graph.inputs().at(k)).type.dtype));
      }
      SMELT_ASSIGN_OR_RETURN(const Tensors expected, eval::evaluate(source, inputs));
      SMELT_ASSIGN_OR_RETURN(const Tensors actual, eval::evaluate(back.graph, given));
      keep(path, back.graph, given, actual);
      std::vector<std::pair<HostTensor, HostTensor>> pairs;
      for (std::size_t k = 0; k < expected.size(); ++k) pairs.emplace_back(actual.at(k), as_dtype(expected[k], actual[k].dtype));
      return pairs;
    };
    auto result = run();
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().to_string());
    return result.ok() ? std::move(result).value() : std::vector<std::pair<HostTensor, HostTensor>>();
  }

  void check_all(const std::vector<Case>& cases) {
    for (const Target target : kTargets) {
      CaseGraph graph;
      for (const Case& c : cases) {
        if (target >= c.since && target <= c.until) graph.add(c);
      }
      const auto pairs = through_a_package(graph.graph, graph.inputs, target);
      ASSERT_EQ(pairs.size(), graph.outputs.size()) << target_name(target);
      for (std::size_t k = 0; k < pairs.size(); ++k) {
        const Case& c = *graph.outputs[k];
        SCOPED_TRACE(fmt::format("{}: {}, {}", c.op.name(), c.name, target_name(target)));
        expect_close(pairs[k].first, pairs[k].second, c.tolerance);
      }
    }
  }
};

TEST_F(RoundTrip, Elementwise) { check_all(elementwise_cases()); }
TEST_F(RoundTrip, Layers) { check_all(layer_cases()); }
TEST_F(RoundTrip, Shapes) { check_all(shape_cases()); }
TEST_F(RoundTrip, Resamples) { check_all(resample_cases()); }
TEST_F(RoundTrip, Rnn) { check_all(rnn_cases()); }

TEST_F(RoundTrip, EveryOpHasALoweringAndACase) {
  std::set<ir::OpKind> covered;
  for (const auto& cases : {elementwise_cases(), layer_cases(), resample_cases(), rnn_cases(), shape_cases()}) {
    for (const Case& c : cases) covered.insert(c.op.kind());
  }
  for (const ir::OpKind kind : ir::all_op_kinds()) {
    EXPECT_NE(find_lowering(kind), nullptr) << ir::op_name(kind);
    EXPECT_TRUE(covered.contains(kind)) << "no case: " << ir::op_name(kind);
  }
}

/// What has no form at a target is refused by name, never written.
TEST_F(RoundTrip, OutsideItsTargetsACaseIsRefused) {
  for (const auto& cases : {elementwise_cases(), layer_cases(), resample_cases(), rnn_cases(), shape_cases()}) {
    for (const Case& c : cases) {
      CaseGraph graph;
      graph.add(c);
      for (const Target target : kTargets) {
        if (target >= c.since && target <= c.until) continue;
        SCOPED_TRACE(fmt::format("{}: {}, {}", c.op.name(), c.name, target_name(target)));
        const Result<ir::Graph> legal = legalize(graph.graph, target);
        ASSERT_TRUE(legal.ok());
        const Result<ExportResult> written = export_package(*legal, folder_ / "a.mlpackage", options_for(target));
        ASSERT_FALSE(written.ok());
        EXPECT_EQ(written.error().code(), ErrorCode::kNotRepresentable);
        EXPECT_NE(written.error().message().find(fmt::format("\n  {}: ", c.op.name())), std::string::npos) << written.error().message();
        EXPECT_TRUE(fs::is_empty(folder_));
      }
    }
  }
}

/// Two inputs, a weight, an int8 table, every kind of output.
struct Network {
  ir::Graph graph{"main"};
  Tensors inputs;

  Network() {
    const Operand x = in({2, 12}), ids = in({3}, DType::kI32, Fill::kCount, 12);
    inputs = {fixed_tensor(x, 1), fixed_tensor(ids, 2)};
    const ir::ValueId a = graph.add_input("a", {.dtype = x.dtype, .shape = to_shape(x.shape)});
    const ir::ValueId b = graph.add_input("b", {.dtype = ids.dtype, .shape = to_shape(ids.shape)});
    const ir::ValueId w = graph.add_constant("w", make_constant(fixed_tensor(weight({12, 12}), 3)));
    const ir::ValueId table = graph.add_constant("t", make_constant(fixed_tensor(weight({12, 4}, DType::kI8, Fill::kIndex, 127), 4)));
    const ir::ValueId scale = graph.add_constant("s", make_constant(fixed_tensor(weight({12}, DType::kF32, Fill::kPositive), 5)));
    const ir::ValueId y = node(ir::Linear{}, {a, w});
    graph.add_output("y", y);
    graph.add_output("again", y);
    graph.add_output("rows", node(ir::Gather{.axis = 0}, {node(ir::Dequantize{.axis = 0}, {table, scale}), b}));
    graph.add_output("passed", a);
    graph.add_output("w", w);
  }
  ir::ValueId node(ir::Op op, std::vector<ir::ValueId> operands) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(operands), "n");
    EXPECT_TRUE(id.ok());
    return graph.node(id.value()).outputs[0];
  }
};

TEST_F(RoundTrip, AnOutputMayBeAnInputAConstantOrHaveTwoNames) {
  for (const Target target : {Target::kIos16, Target::kIos17, Target::kIos18}) {
    const Network network;
    SCOPED_TRACE(target_name(target));
    for (const auto& [actual, expected] : through_a_package(network.graph, network.inputs, target)) expect_close(actual, expected, 0);
    const Result<ir::Graph> legal = legalize(network.graph, target);
    ASSERT_TRUE(legal.ok());
    ASSERT_TRUE(export_package(*legal, folder_ / "n.mlpackage", options_for(target)).ok());
    keep_package(folder_ / "n.mlpackage");
    const Result<ImportResult> back = import_package(folder_ / "n.mlpackage");
    ASSERT_TRUE(back.ok()) << back.error().to_string();
    std::vector<std::string> names;
    for (const ir::GraphOutput& output : back->graph.outputs()) names.push_back(output.name);
    EXPECT_EQ(names, (std::vector<std::string>{"y", "again", "rows", "passed", "w"}));
  }
}

TEST_F(RoundTrip, TheSameGraphGivesTheSameBytes) {
  const ExportOptions options{.target = Target::kIos18, .if_exists = PackageWriter::IfExists::kFail, .user_defined = {{"k", "v"}, {"a", "b"}}};
  for (const char* name : {"1.mlpackage", "2.mlpackage"}) {
    const Network network;
    const Result<ir::Graph> legal = legalize(network.graph, options.target);
    ASSERT_TRUE(legal.ok());
    const Result<ExportResult> written = export_package(*legal, folder_ / name, options);
    ASSERT_TRUE(written.ok()) << written.error().to_string();
    keep_package(folder_ / name);
    EXPECT_EQ(written->operations, 9U);  // linear, dequantize, three that make indices safe, gather, three copies
  }
  const Result<std::vector<std::string>> files = list_package_files(folder_ / "1.mlpackage");
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->size(), 3U);
  EXPECT_EQ(list_package_files(folder_ / "2.mlpackage").value(), *files);
  for (const std::string& file : *files) EXPECT_EQ(read(folder_ / "1.mlpackage" / file), read(folder_ / "2.mlpackage" / file)) << file;
  EXPECT_EQ(import_package(folder_ / "1.mlpackage")->user_defined, options.user_defined);
}

TEST_F(RoundTrip, BorderNamesAreMadeLegalAndReported) {
  const std::vector<std::string> inputs{"input:0", "input_0", "1", "tensor", "x", ""};
  const std::vector<std::string> outputs{"x", "input 0", "bool", "y"};
  ir::Graph graph("main");
  std::vector<ir::ValueId> values;
  Tensors given;
  for (const std::string& name : inputs) {
    given.push_back(fixed_tensor(in({3}), static_cast<std::uint32_t>(given.size())));
    values.push_back(graph.add_input(name, {.dtype = DType::kF32, .shape = {3}}));
  }
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const Result<ir::NodeId> node = graph.add_node(ir::Sub{}, {values[k], values[k + 1]}, "n");
    ASSERT_TRUE(node.ok());
    const ir::ValueId result = graph.node(*node).outputs[0];
    graph.set_value_name(result, "x");  // as in between
    graph.add_output(outputs[k], result);
  }
  const auto pairs = through_a_package(graph, given, Target::kIos16);
  EXPECT_EQ(pairs.size(), outputs.size());
  for (const auto& [actual, expected] : pairs) expect_close(actual, expected, 0);
  const Result<ExportResult> written = export_package(graph, folder_ / "n.mlpackage", {});
  ASSERT_TRUE(written.ok());
  keep_package(folder_ / "n.mlpackage");
  EXPECT_EQ(written->renamed, (std::vector<std::pair<std::string, std::string>>{{"input:0", "input_0"},
                                                                                {"input_0", "input_0_0"},
                                                                                {"1", "var_1"},
                                                                                {"tensor", "tensor_workaround"},
                                                                                {"", "var"},
                                                                                {"x", "x_0"},
                                                                                {"input 0", "input_0_1"},
                                                                                {"bool", "bool_workaround"}}));
  const Result<ImportResult> back = import_package(folder_ / "n.mlpackage");
  ASSERT_TRUE(back.ok());
  std::vector<std::string> names;
  for (const ir::ValueId id : back->graph.inputs()) names.push_back(back->graph.value(id).name);
  for (const ir::GraphOutput& output : back->graph.outputs()) names.push_back(output.name);
  EXPECT_EQ(names, (std::vector<std::string>{"input_0", "input_0_0", "var_1", "tensor_workaround", "x", "var", "x_0", "input_0_1", "bool_workaround", "y"}));
}

/// Parameters of equal value are one constant; what Apple's converter puts into weight.bin is there.
TEST_F(RoundTrip, TheWeightFileHoldsTensorsOfTenElementsOrMore) {
  for (const auto& [elements, blobs] : std::map<std::int64_t, std::size_t>{{9, 0}, {10, 1}}) {
    const Case c{"weight", ir::Add{}, {in({elements}), weight({elements})}};
    CaseGraph graph;
    graph.add(c);
    ASSERT_TRUE(export_package(graph.graph, folder_ / fmt::format("{}.mlpackage", elements), {}).ok());
    keep_package(folder_ / fmt::format("{}.mlpackage", elements));
    const fs::path file = folder_ / fmt::format("{}.mlpackage", elements) / "Data/com.apple.CoreML/weights/weight.bin";
    const std::string bytes = read(file);
    EXPECT_EQ(list_records(std::as_bytes(std::span(bytes)))->size(), blobs);
  }
}

}  // namespace
}  // namespace smelt::coreml_format
