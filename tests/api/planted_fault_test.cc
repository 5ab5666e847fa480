// Faults put into a package, a graph or a manifest on purpose: each must fail the gates, or be named by the check of the manifest.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "convert/coreml/export.h"
#include "convert/coreml/legalize.h"
#include "convert/coreml/weight_blob.h"
#include "convert/onnx/export.h"
#include "convert/onnx/import.h"
#include "convert/passes/optimize.h"
#include "ir/ops/all.h"
#include "ir/rewrite/patch.h"
#include "smelt/convert.h"
#include "smelt/manifest.h"
#include "smelt/validate.h"
#include "need.h"
#include "temp_folder.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kDigits = fs::path(SMELT_FIXTURES) / "models/digits_cnn/model.onnx";
const fs::path kEngine = SMELT_TEST_ENGINE_LIBRARY;
constexpr const char* kWeights = "Data/com.apple.CoreML/weights/weight.bin";

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

class PlantedFaultTest : public TempFolderTest {
 protected:
  void SetUp() override {
    SMELT_NEED("engine", kEngine);
    TempFolderTest::SetUp();
    out_ = folder_ / "out";
    fs::create_directory(out_);
  }
  void TearDown() override {
    if (!folder_.empty()) TempFolderTest::TearDown();
  }

  [[nodiscard]] bool leaves_packages() const override { return false; }

  [[nodiscard]] ParityOptions parity() const {
    ParityOptions options;
    options.samples = 10;
    options.engine = kEngine;
    options.scratch = folder_;
    return options;
  }

  fs::path convert_digits(const Variant& variant) const {
    ConvertOptions options;
    options.variant = variant;
    options.parity = parity();
    const fs::path package = out_ / (variant_name(variant) + ".mlpackage");
    const auto report = convert(kDigits, package, options);
    EXPECT_TRUE(report.ok() && report->passed) << (report.ok() ? "a gate failed" : report.error().to_string());
    keep_package(package);
    return package;
  }

  [[nodiscard]] bool passes(const fs::path& package, const fs::path& baseline) const {
    const auto report = validate(package, baseline, {.parity = parity(), .progress = {}});
    EXPECT_TRUE(report.ok()) << report.error().to_string();
    return report.ok() && report->parity.passed;
  }

  [[nodiscard]] std::vector<std::string> problems(bool measures = false) const {
    ManifestCheckOptions options;
    options.parity = parity();
    if (measures) options.measure_against = kDigits;
    const auto report = check_manifest(out_, options);
    if (!report.ok()) return {report.error().to_string()};
    return report->problems;
  }

  fs::path out_;
};

/// Element k of a blob as a number.
double element(const std::string& bytes, const coreml_format::BlobRecord& record, std::uint64_t k) {
  const bool is_i8 = record.type == coreml_format::BlobDataType::kInt8, is_f16 = record.type == coreml_format::BlobDataType::kFloat16;
  const std::uint64_t width = coreml_format::bits_of(record.type) / 8;
  const auto data = std::as_bytes(std::span(bytes)).subspan(record.data_offset + k * width, width);
  return to_doubles({.dtype = is_i8 ? DType::kI8 : is_f16 ? DType::kF16 : DType::kF32, .shape = {}, .bytes = {data.begin(), data.end()}})[0];
}

struct Place {
  std::uint64_t low_byte = 0, high_byte = 0;  ///< of the element, in the file
  double value = 0;
};

/// The element of largest magnitude in the largest blob.
Place largest_weight(const std::string& bytes) {
  const auto records = coreml_format::list_records(std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(records.ok());
  const auto& record = *std::ranges::max_element(*records, {}, &coreml_format::BlobRecord::size);
  const std::uint64_t width = coreml_format::bits_of(record.type) / 8;
  Place place;
  for (std::uint64_t k = 0; k < record.size / width; ++k) {
    const double value = element(bytes, record, k);
    if (std::abs(value) <= std::abs(place.value)) continue;
    place = {.low_byte = record.data_offset + k * width, .high_byte = record.data_offset + (k + 1) * width - 1, .value = value};
  }
  return place;
}

TEST_F(PlantedFaultTest, FlippedWeightByteFailsTheGates) {
  for (const Variant& variant : {Variant{Precision::kFp32, Weights::kFloat}, Variant{Precision::kFp16, Weights::kFloat}}) {
    SCOPED_TRACE(variant_name(variant));
    const fs::path package = convert_digits(variant);
    const std::string good = read_file(package / kWeights);
    const Place place = largest_weight(good);
    // The sign; the exponent's highest bit, so that it becomes huge; all bits. Half of one weight, though, is within 1 % of the peak.
    for (const int mask : {0x80, 0x40, 0xff}) {
      std::string bad = good;
      bad[place.high_byte] = static_cast<char>(bad[place.high_byte] ^ mask);
      write_file(package / kWeights, bad);
      EXPECT_FALSE(passes(package, kDigits)) << "mask " << mask << " on " << place.value;
      ASSERT_EQ(problems().size(), 1U);
      EXPECT_NE(problems()[0].find("weight.bin\" has the digest"), std::string::npos) << problems()[0];
    }
    write_file(package / kWeights, good);
    EXPECT_TRUE(passes(package, kDigits));
    EXPECT_TRUE(problems().empty());
  }
}

TEST_F(PlantedFaultTest, FlippedInt8WeightsFailTheGates) {
  const fs::path package = convert_digits({Precision::kFp16, Weights::kInt8});
  const std::string good = read_file(package / kWeights);
  const Place place = largest_weight(good);
  EXPECT_EQ(std::abs(place.value), 127.0);
  // One weight in 8 bits cannot be far off: the sign bits of 64 of them. Blobs begin at multiples of 64, and this one is that long.
  std::string bad = good;
  for (std::uint64_t k = place.high_byte / 64 * 64, end = k + 64; k < end; ++k) bad[k] = static_cast<char>(bad[k] ^ 0x80);
  write_file(package / kWeights, bad);
  EXPECT_FALSE(passes(package, kDigits));
  EXPECT_EQ(problems().size(), 1U);
}

TEST_F(PlantedFaultTest, FlipThatParityCannotSeeIsSeenByTheDigest) {
  const fs::path package = convert_digits({Precision::kFp32, Weights::kFloat});
  std::string bytes = read_file(package / kWeights);
  const Place place = largest_weight(bytes);
  bytes[place.low_byte] = static_cast<char>(bytes[place.low_byte] ^ 0x01);
  write_file(package / kWeights, bytes);
  EXPECT_TRUE(passes(package, kDigits)) << "half an ulp of one weight";
  EXPECT_EQ(problems().size(), 1U);
}

void export_legalized(const ir::Graph& graph, const fs::path& package) {
  const auto legal = coreml_format::legalize(graph, coreml_format::Target::kIos16);
  ASSERT_TRUE(legal.ok()) << legal.error().to_string();
  const auto written = coreml_format::export_package(*legal, package, {});
  ASSERT_TRUE(written.ok()) << written.error().to_string();
}

TEST_F(PlantedFaultTest, DroppedBiasFailsTheGates) {
  auto file = MappedFile::open(kDigits);
  ASSERT_TRUE(file.ok());
  auto import = onnx_format::import_model(std::make_shared<const MappedFile>(std::move(file).value()), kDigits, {});
  ASSERT_TRUE(import.ok()) << import.error().to_string();
  ir::Graph& graph = import->graph;
  ASSERT_TRUE(passes::optimize(graph, {}).ok());
  export_legalized(graph, out_ / "good.mlpackage");
  EXPECT_TRUE(passes(out_ / "good.mlpackage", kDigits));

  std::size_t faults = 0;
  for (const ir::NodeId id : graph.topological_order()) {
    const ir::Node& node = graph.node(id);
    if (node.op.as<ir::Conv>() == nullptr || node.inputs.size() < 3 || !node.inputs[2].valid()) continue;
    const auto bias = load(*graph.value(node.inputs[2]).constant);
    ASSERT_TRUE(bias.ok());
    double largest = 0;
    for (const double value : to_doubles(*bias)) largest = std::max(largest, std::abs(value));
    ASSERT_GT(largest, 0.1) << node.source;
    ir::Graph faulty = graph;
    ir::Patch patch(faulty);
    const auto without = patch.add(node.op, {node.inputs[0], node.inputs[1]});
    ASSERT_TRUE(without.ok());
    patch.replace(node.outputs[0], *without);
    ASSERT_TRUE(ir::apply(faulty, std::move(patch), id).ok());
    const fs::path package = out_ / ("bad" + std::to_string(faults++) + ".mlpackage");
    export_legalized(faulty, package);
    EXPECT_FALSE(passes(package, kDigits)) << "without the bias of " << node.source << ", largest " << largest;
  }
  EXPECT_EQ(faults, 6U);
}

TEST_F(PlantedFaultTest, AFailedGateNamesTheOpWithTheFault) {
  auto file = MappedFile::open(kDigits);
  ASSERT_TRUE(file.ok());
  auto import = onnx_format::import_model(std::make_shared<const MappedFile>(std::move(file).value()), kDigits, {});
  ASSERT_TRUE(import.ok()) << import.error().to_string();
  ir::Graph& graph = import->graph;
  ASSERT_TRUE(passes::optimize(graph, {}).ok());
  std::size_t faults = 0;
  for (const ir::NodeId id : graph.topological_order()) {
    const ir::Node& node = graph.node(id);
    if (node.op.as<ir::Conv>() == nullptr) continue;
    ir::Graph faulty = graph;
    ir::Patch patch(faulty);
    const auto same = patch.add(node.op, node.inputs);
    ASSERT_TRUE(same.ok());
    const auto negated = patch.add(ir::Neg{}, {*same});
    ASSERT_TRUE(negated.ok());
    patch.replace(node.outputs[0], *negated);
    ASSERT_TRUE(ir::apply(faulty, std::move(patch), id).ok());
    const fs::path package = out_ / ("bad" + std::to_string(faults++) + ".mlpackage");
    export_legalized(faulty, package);
    const auto report = validate(package, kDigits, {.parity = parity(), .progress = {}});
    ASSERT_TRUE(report.ok()) << report.error().to_string();
    ASSERT_TRUE(report->parity.worst_op.has_value());
    EXPECT_EQ(report->parity.worst_op->value, graph.value(node.outputs[0]).name);
    EXPECT_EQ(report->parity.worst_op->output, "logits");
    EXPECT_NEAR(report->parity.worst_op->sqnr_db.value_or(0), -6.02, 0.01);  // the noise is twice the signal
    EXPECT_NE(to_json(report->parity).find("\"worst_op\": {"), std::string::npos);
  }
  EXPECT_EQ(faults, 6U);
}

/// Two results of one type; `swapped`: each under the other's name.
ir::Graph two_outputs(bool swapped) {
  ir::Graph graph("main");
  const ir::ValueId x = graph.add_input("x", {.dtype = DType::kF32, .shape = {2, 8}});
  const auto result = [&](ir::Op op) { return graph.node(*graph.add_node(std::move(op), {x}, "source")).outputs[0]; };
  const ir::ValueId a = result(ir::Relu{}), b = result(ir::Tanh{});
  graph.add_output("a", swapped ? b : a);
  graph.add_output("b", swapped ? a : b);
  return graph;
}

TEST_F(PlantedFaultTest, SwappedOutputsFailTheGates) {
  ASSERT_TRUE(onnx_format::export_model(two_outputs(false), folder_, {}).ok());
  export_legalized(two_outputs(false), out_ / "good.mlpackage");
  export_legalized(two_outputs(true), out_ / "bad.mlpackage");
  EXPECT_TRUE(passes(out_ / "good.mlpackage", folder_ / "model.onnx"));
  EXPECT_FALSE(passes(out_ / "bad.mlpackage", folder_ / "model.onnx"));
  EXPECT_FALSE(passes(out_ / "bad.mlpackage", out_ / "good.mlpackage"));
}

/// Calls `edit` with every number, truth value and digest of the manifest, and the path to it.
void each_number(Json& json, const std::string& path, const std::function<void(Json&, const std::string&)>& edit) {
  if (json.is_structured()) {
    for (auto& [key, value] : json.items()) each_number(value, path + "/" + key, edit);
  } else if (json.is_number() || json.is_boolean() || path.ends_with("sha256")) {
    edit(json, path);
  }
}

void alter(Json& leaf) {
  if (leaf.is_boolean()) {
    leaf = !leaf.get<bool>();
  } else if (leaf.is_string()) {
    std::string digest = leaf.get<std::string>();
    digest[17] = digest[17] == '0' ? '1' : '0';
    leaf = digest;
  } else if (leaf.is_number_integer()) {
    leaf = leaf.get<std::uint64_t>() + 1;
  } else {
    leaf = std::nextafter(leaf.get<double>(), 1e9);
  }
}

TEST_F(PlantedFaultTest, EveryEditedNumberOfAManifestIsReported) {
  convert_digits({Precision::kFp16, Weights::kInt8});
  ASSERT_TRUE(problems(true).empty()) << problems(true)[0];
  const std::string text = read_file(out_ / "manifest.json");
  Json json = Json::parse(text);
  std::size_t edits = 0;
  each_number(json, "", [&](Json& leaf, const std::string& path) {
    // What was decided about the weights is smelt's own account, which neither a package nor a run shows.
    if (path.find("/quantization_plan/") != std::string::npos) return;
    const Json was = leaf;
    alter(leaf);
    write_file(out_ / "manifest.json", json.dump(2) + "\n");
    EXPECT_FALSE(problems(true).empty()) << path << ": " << was << " became " << leaf;
    leaf = was;
    ++edits;
  });
  EXPECT_EQ(json.dump(2) + "\n", text);
  EXPECT_GE(edits, 35U);
  write_file(out_ / "manifest.json", text);
  EXPECT_TRUE(problems(true).empty());
}

TEST_F(PlantedFaultTest, ALooserLimitIsReported) {
  convert_digits({Precision::kFp16, Weights::kFloat});
  Json json = Json::parse(read_file(out_ / "manifest.json"));
  Json& gate = json["models"][0]["parity"]["gates"][0];
  ASSERT_GT(gate["scale"], 1.0);
  gate["limit"] = 1e6;  // and so `passed` stays true
  write_file(out_ / "manifest.json", json.dump(2) + "\n");
  ASSERT_EQ(problems(true).size(), 1U);
  EXPECT_NE(problems(true)[0].find("gate logits.linf limit is recorded as 1000000"), std::string::npos) << problems(true)[0];
}

TEST_F(PlantedFaultTest, AnotherSourceIsReported) {
  convert_digits({Precision::kFp16, Weights::kFloat});
  write_file(folder_ / "other.onnx", read_file(kDigits) + std::string("\x1a\x00", 2));  // an empty `domain` more: same model, another file
  ManifestCheckOptions options;
  options.parity = parity();
  options.measure_against = folder_ / "other.onnx";
  const auto report = check_manifest(out_, options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  ASSERT_EQ(report->problems.size(), 1U);
  EXPECT_NE(report->problems[0].find("the source is not the one recorded"), std::string::npos) << report->problems[0];
  EXPECT_EQ(report->measured, 0U);
}

TEST_F(PlantedFaultTest, EveryChangeToAPackagesFilesIsReported) {
  const fs::path package = convert_digits({Precision::kFp16, Weights::kFloat});
  const auto expect_problem = [&](const std::string& text) {
    const auto found = problems();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_NE(found[0].find(text), std::string::npos) << found[0];
  };
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(package)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  EXPECT_EQ(files.size(), 3U);
  for (const fs::path& file : files) {
    SCOPED_TRACE(file);
    const std::string good = read_file(file);
    std::string bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    write_file(file, bad);
    expect_problem("has the digest");
    write_file(file, good + "x");
    expect_problem("bytes, ");
    fs::remove(file);
    expect_problem("is missing");
    write_file(file, good);
    EXPECT_TRUE(problems().empty());
  }
  write_file(package / "Data/extra", "");
  expect_problem("\"fp16.mlpackage/Data/extra\" is not recorded");
  fs::remove(package / "Data/extra");
  fs::rename(package, out_ / "elsewhere");
  expect_problem("is missing");
}

}  // namespace
}  // namespace smelt
