// Parity runs on data from files, with given gates, and against other packages; and that a manifest's numbers come again.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "smelt/convert.h"
#include "smelt/manifest.h"
#include "smelt/validate.h"
#include "need.h"
#include "temp_folder.h"
#include "validate/npy.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(SMELT_FIXTURES) / "models/digits_cnn/model.onnx";
const fs::path kData = fs::path(SMELT_FIXTURES) / "models/digits_cnn/eval.npz";
const fs::path kEngine = SMELT_TEST_ENGINE_LIBRARY;
const std::vector<Variant> kVariants{{Precision::kFp32, Weights::kFloat}, {Precision::kFp16, Weights::kFloat}, {Precision::kFp16, Weights::kInt8}};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class DataTest : public TempFolderTest {
 protected:
  void SetUp() override {
    SMELT_NEED("engine", kEngine);
    TempFolderTest::SetUp();
    out_ = folder_ / "out";
  }
  void TearDown() override {
    if (!folder_.empty()) TempFolderTest::TearDown();
  }

  [[nodiscard]] ParityOptions parity(const fs::path& data = {}) const {
    ParityOptions options;
    options.samples = 10;
    options.engine = kEngine;
    options.scratch = folder_;
    options.data = data;
    return options;
  }

  /// out/model_fp32.mlpackage, _fp16, _int8 and their manifest.
  std::vector<ConvertReport> convert_all(const fs::path& data = {}) {
    ConvertOptions options;
    options.parity = parity(data);
    const auto reports = convert_variants(kModel, out_, kVariants, options);
    EXPECT_TRUE(reports.ok()) << reports.error().to_string();
    return reports.ok() ? *reports : std::vector<ConvertReport>{};
  }

  [[nodiscard]] fs::path package(const std::string& variant) const { return out_ / ("model_" + variant + ".mlpackage"); }

  [[nodiscard]] Result<ValidateReport> run(const std::string& variant, ParityOptions options, const fs::path& baseline = kModel) const {
    return validate(package(variant), baseline, {.parity = std::move(options), .progress = {}});
  }

  fs::path out_;
};

TEST_F(DataTest, NpzWithLabelsGivesAccuracies) {
  const auto reports = convert_all(kData);
  ASSERT_EQ(reports.size(), 3U);
  for (const ConvertReport& report : reports) {
    SCOPED_TRACE(report.variant);
    EXPECT_TRUE(report.passed);
    ASSERT_TRUE(report.parity.has_value());
    const ParityReport& parity = *report.parity;
    EXPECT_EQ(parity.method, "npz");
    EXPECT_EQ(parity.data, "eval.npz");
    EXPECT_EQ(parity.samples, 597U);
    EXPECT_EQ(parity.baseline, "model.onnx");
    EXPECT_EQ(parity.dataset_sha256, reports[0].parity->dataset_sha256);
    ASSERT_TRUE(parity.baseline_accuracy && parity.variant_accuracy);
    EXPECT_EQ(*parity.baseline_accuracy, 596.0 / 597.0);  // 99.83 %, as the model was trained
    EXPECT_EQ(*parity.variant_accuracy, 596.0 / 597.0);
  }
}

TEST_F(DataTest, LimitTakesTheFirstSamples) {
  convert_all();
  ParityOptions options = parity(kData);
  options.limit_data = true;
  const auto some = run("fp16", options);
  ASSERT_TRUE(some.ok()) << some.error().to_string();
  EXPECT_EQ(some->parity.samples, 10U);
  options.limit_data = false;
  const auto all = run("fp16", options);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->parity.samples, 597U);
  EXPECT_NE(all->parity.dataset_sha256, some->parity.dataset_sha256);
  EXPECT_GE(all->parity.outputs[0].l_inf, some->parity.outputs[0].l_inf);
}

TEST_F(DataTest, LabelsFromAFileCountInstead) {
  convert_all();
  std::ofstream labels(folder_ / "labels.txt");
  for (int k = 0; k < 597; ++k) labels << "0\n";
  labels.close();
  ParityOptions options = parity(kData);
  options.labels = folder_ / "labels.txt";
  const auto report = run("fp32", options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  ASSERT_TRUE(report->parity.baseline_accuracy.has_value());
  EXPECT_LT(*report->parity.baseline_accuracy, 0.2);
  std::ofstream(folder_ / "short.txt") << "0\n1\n";
  options.labels = folder_ / "short.txt";
  EXPECT_FALSE(run("fp32", options).ok());
}

TEST_F(DataTest, GivenGatesReplaceTheVariantsOwn) {
  convert_all();
  ParityOptions options = parity(kData);
  const auto own = run("fp16", options);
  ASSERT_TRUE(own.ok()) << own.error().to_string();
  ASSERT_EQ(own->parity.gates.size(), 2U);
  EXPECT_EQ(own->parity.gates[0].scale, own->parity.outputs[0].peak);
  const double l_inf = own->parity.outputs[0].l_inf, sqnr = own->parity.outputs[0].sqnr_db.value_or(0);

  options.gates = {"linf=1", "logits.rmse=0.1", "sqnr=40", "cosine=0.999", "top1=1"};
  const auto loose = run("fp16", options);
  ASSERT_TRUE(loose.ok()) << loose.error().to_string();
  EXPECT_TRUE(loose->parity.passed);
  ASSERT_EQ(loose->parity.gates.size(), 5U);
  for (const GateOutcome& gate : loose->parity.gates) {
    EXPECT_TRUE(gate.passed) << gate.metric;
    EXPECT_EQ(gate.scale, 1.0) << gate.metric;
    EXPECT_EQ(gate.output, "logits");
  }

  // One that fails is enough. l_inf must stay below its limit, sqnr at or above.
  for (const auto& [gate, passes] : std::map<std::string, bool>{{"linf=" + std::to_string(l_inf * 1.01), true}, {"linf=" + std::to_string(l_inf * 0.99), false},
                                                                {"sqnr=" + std::to_string(sqnr - 0.1), true}, {"sqnr=" + std::to_string(sqnr + 0.1), false}}) {
    options.gates = {"rmse=1", gate};
    const auto report = run("fp16", options);
    ASSERT_TRUE(report.ok()) << report.error().to_string();
    EXPECT_EQ(report->parity.passed, passes) << gate;
  }
}

TEST_F(DataTest, GateOnAMissingOutputIsAnError) {
  convert_all();
  ParityOptions options = parity();
  options.gates = {"probabilities.linf=1"};
  const auto report = run("fp16", options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(report.error().message().find("\"probabilities\", the outputs are: logits"), std::string::npos) << report.error().to_string();
}

TEST_F(DataTest, DataThatDoesNotFitIsAnError) {
  convert_all();
  for (const char* name : {"none.npz", "sentiment/eval.npz"}) {
    const auto report = run("fp16", parity(kData.parent_path().parent_path() / name));
    EXPECT_FALSE(report.ok()) << name;
  }
}

TEST_F(DataTest, SaveWritesTheFirstSampleAndBothResults) {
  convert_all();
  ParityOptions options = parity(kData);
  options.save = folder_ / "saved";
  const auto report = run("int8", options);
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  std::map<std::string, HostTensor> saved;
  for (const char* name : {"inputs", "baseline", "variant"}) {
    const auto entries = parity::read_npz(options.save / (std::string(name) + ".npz"), {});
    ASSERT_TRUE(entries.ok()) << entries.error().to_string();
    ASSERT_EQ(entries->size(), 1U) << name;
    EXPECT_EQ(entries->front().name, name == std::string("inputs") ? "image" : "logits");
    saved[name] = entries->front().tensor;
  }
  EXPECT_EQ(saved["inputs"].shape, (std::vector<std::int64_t>{1, 1, 8, 8}));
  const std::vector<double> r = to_doubles(saved["baseline"]), y = to_doubles(saved["variant"]);
  ASSERT_EQ(r.size(), 10U);
  ASSERT_EQ(y.size(), 10U);
  double l_inf = 0;
  for (std::size_t k = 0; k < r.size(); ++k) l_inf = std::max(l_inf, std::abs(y[k] - r[k]));
  EXPECT_GT(l_inf, 0.0);
  EXPECT_LE(l_inf, report->parity.outputs[0].l_inf);
  // What was saved is not overwritten.
  const auto again = run("int8", options);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kOutputExists);
}

TEST_F(DataTest, FolderIsValidatedByVariant) {
  convert_all();
  ValidateOptions options{.parity = parity(kData), .progress = {}};
  options.parity.save = folder_ / "saved";
  const auto reports = validate_folder(out_, "fp32", {"int8", "fp16"}, options);
  ASSERT_TRUE(reports.ok()) << reports.error().to_string();
  ASSERT_EQ(reports->size(), 2U);
  EXPECT_EQ((*reports)[0].variant, "int8");
  EXPECT_EQ((*reports)[1].variant, "fp16");
  for (const ValidateReport& report : *reports) {
    EXPECT_EQ(report.parity.baseline, "model_fp32.mlpackage");
    EXPECT_EQ(report.package, "model_" + report.variant + ".mlpackage");
    EXPECT_TRUE(report.parity.passed);
    EXPECT_EQ(report.parity.variant_accuracy, 596.0 / 597.0);
    for (const char* name : {"inputs.npz", "baseline.npz", "variant.npz"}) EXPECT_TRUE(fs::exists(options.parity.save / ("model_" + report.variant) / name)) << name;
  }
  options.parity.save.clear();
  for (const auto& [baseline, variant] : {std::pair("fp32", "fp32_int8"), std::pair("fp64", "fp16"), std::pair("", "fp16")}) {
    const auto missing = validate_folder(out_, baseline, {variant}, options);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(missing.error().hint_text().find("fp16, fp32, int8"), std::string::npos) << missing.error().to_string();
  }
}

TEST_F(DataTest, PackageIsItsOwnExactBaseline) {
  convert_all();
  const auto same = run("int8", parity(), package("int8"));
  ASSERT_TRUE(same.ok()) << same.error().to_string();
  EXPECT_TRUE(same->parity.passed);
  EXPECT_EQ(same->parity.baseline, "model_int8.mlpackage");
  EXPECT_EQ(same->parity.outputs[0].l_inf, 0.0);
  EXPECT_EQ(same->parity.outputs[0].cosine, 1.0);
  EXPECT_FALSE(same->parity.outputs[0].sqnr_db.has_value());
  const auto other = run("int8", parity(), package("fp32"));
  ASSERT_TRUE(other.ok()) << other.error().to_string();
  EXPECT_GT(other->parity.outputs[0].l_inf, 0.0);
}

TEST_F(DataTest, ValidateGivesTheNumbersOfTheConversion) {
  const auto reports = convert_all(kData);
  for (const ConvertReport& converted : reports) {
    const auto report = run(converted.variant, parity(kData));
    ASSERT_TRUE(report.ok()) << report.error().to_string();
    EXPECT_EQ(report->variant, converted.variant);
    auto a = nlohmann::json::parse(to_json(*converted.parity)), b = nlohmann::json::parse(to_json(report->parity));
    a.erase("seconds");
    b.erase("seconds");
    EXPECT_EQ(a, b) << converted.variant;
  }
}

TEST_F(DataTest, ManifestMeasuresTheSameBitForBitTwice) {
  for (const fs::path& data : {fs::path(), kData}) {
    SCOPED_TRACE(data);
    out_ = folder_ / (data.empty() ? "generated" : "data");
    convert_all(data);
    const std::string before = read_file(out_ / "manifest.json");
    for (int time = 0; time < 2; ++time) {
      const auto report = check_manifest(out_, {.measure_against = kModel, .source_folders = {}, .parity = parity(data), .progress = {}});
      ASSERT_TRUE(report.ok()) << report.error().to_string();
      EXPECT_EQ(report->packages, 3U);
      EXPECT_EQ(report->measured, 3U);
      for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
    }
    EXPECT_EQ(read_file(out_ / "manifest.json"), before);
  }
}

TEST_F(DataTest, ManifestAsksForTheDataThatWasUsed) {
  convert_all(kData);
  const auto without = check_manifest(out_, {.measure_against = kModel, .source_folders = {}, .parity = parity(), .progress = {}});
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(without.error().hint_text().find("--data"), std::string::npos);
  // Other data has another digest.
  auto entries = parity::read_npz(kData, {});
  ASSERT_TRUE(entries.ok());
  for (parity::NpyEntry& entry : *entries) {
    if (entry.name == "image") entry.tensor.bytes[0] ^= std::byte{1};
  }
  ASSERT_TRUE(parity::write_npz(folder_ / "eval.npz", *entries).ok());
  const auto other = check_manifest(out_, {.measure_against = kModel, .source_folders = {}, .parity = parity(folder_ / "eval.npz"), .progress = {}});
  ASSERT_TRUE(other.ok()) << other.error().to_string();
  EXPECT_TRUE(std::ranges::any_of(other->problems, [](const std::string& line) { return line.find("the data's digest") != std::string::npos; }));
}

TEST_F(DataTest, ManifestWithoutParityIsCheckedByDigestOnly) {
  ConvertOptions options;
  options.parity.reset();
  fs::create_directory(out_);
  ASSERT_TRUE(convert(kModel, out_ / "a.mlpackage", options).ok());
  const auto report = check_manifest(out_, {.measure_against = kModel, .source_folders = {}, .parity = parity(), .progress = {}});
  ASSERT_TRUE(report.ok()) << report.error().to_string();
  EXPECT_EQ(report->packages, 1U);
  EXPECT_EQ(report->measured, 0U);
  EXPECT_TRUE(report->problems.empty());
  const auto none = check_manifest(folder_, {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ErrorCode::kReadFailed);
}

}  // namespace
}  // namespace smelt
