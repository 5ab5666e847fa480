#include "smelt/convert.h"

#include <clocale>
#include <cstdlib>
#include <ctime>  // tzset
#include <fstream>
#include <iterator>
#include <locale>
#include <map>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "smelt/manifest.h"
#include "need.h"
#include "temp_folder.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(SMELT_FIXTURES) / "models";
const fs::path kDigits = kModels / "digits_cnn/model.onnx";
const fs::path kSentiment = kModels / "sentiment/model.onnx";
const fs::path kEngine = SMELT_TEST_ENGINE_LIBRARY;

const Variant kFp32{Precision::kFp32, Weights::kFloat}, kFp16{Precision::kFp16, Weights::kFloat}, kInt8{Precision::kFp16, Weights::kInt8},
    kFp32Int8{Precision::kFp32, Weights::kInt8};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Every entry below a folder, with the bytes of its files.
std::map<std::string, std::string> tree(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    out[name] = entry.is_symlink() ? "link to " + fs::read_symlink(entry.path()).string() : entry.is_regular_file() ? read_file(entry.path()) : "folder";
  }
  return out;
}

ConvertOptions without_parity(const Variant& variant = kFp16) {
  ConvertOptions options;
  options.variant = variant;
  options.parity.reset();
  return options;
}

ConvertOptions with_parity(const Variant& variant, const fs::path& scratch) {
  ConvertOptions options;
  options.variant = variant;
  options.parity->samples = 10;
  options.parity->engine = kEngine;
  options.parity->scratch = scratch;
  return options;
}

std::string failure(const Result<ConvertReport>& report) { return report.ok() ? "no error" : report.error().to_string(); }

class ConvertTest : public TempFolderTest {
 protected:
  void SetUp() override {
    TempFolderTest::SetUp();
    out_ = folder_ / "out";
    scratch_ = folder_ / "scratch";
    fs::create_directories(out_);
    fs::create_directories(scratch_);
  }

  /// Expects this error, and no trace of the attempt.
  void expect_refused(const Result<ConvertReport>& report, ErrorCode code) const {
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(code_name(report.error().code()), code_name(code)) << failure(report);
    EXPECT_TRUE(tree(out_).empty());
    EXPECT_TRUE(tree(scratch_).empty());
  }

  /// Converts in a new working folder, by relative names, and gives what is there afterwards.
  std::map<std::string, std::string> run() {
    const fs::path home = fs::current_path(), folder = folder_ / std::to_string(runs_++);
    fs::create_directories(folder);
    fs::current_path(folder);
    fs::copy_file(kDigits, "model.onnx");
    for (const Variant& variant : {kFp32, kInt8}) {
      const auto report = convert("model.onnx", variant_name(variant) + ".mlpackage", fs::exists(kEngine) ? with_parity(variant, ".") : without_parity(variant));
      EXPECT_TRUE(report.ok()) << failure(report);
    }
    fs::current_path(home);
    return tree(folder);
  }

  fs::path out_, scratch_;
  int runs_ = 0;
};

TEST_F(ConvertTest, EveryTargetAndVariantPassesParity) {
  SMELT_NEED("engine", kEngine);
  std::size_t packages = 0;
  for (const std::string target : {"ios15", "ios16", "ios17", "ios18"}) {
    for (const Variant& variant : {kFp32, kFp16, kInt8, kFp32Int8}) {
      if (target == "ios15" && variant.weights == Weights::kInt8) continue;  // refused, below
      SCOPED_TRACE(target + " " + variant_name(variant));
      ConvertOptions options = with_parity(variant, scratch_);
      options.target = target;
      const auto report = convert(kDigits, out_ / (target + "_" + variant_name(variant) + ".mlpackage"), options);
      ASSERT_TRUE(report.ok()) << failure(report);
      ++packages;
      EXPECT_TRUE(report->passed);
      EXPECT_TRUE(report->parity.has_value() && report->parity->passed);
      EXPECT_EQ(report->parity->samples, 10U);
      EXPECT_EQ(report->target, target);
      EXPECT_EQ(report->variant, variant_name(variant));
      EXPECT_EQ(report->weights_quantized, variant.weights == Weights::kInt8 ? 5U : 0U);
      EXPECT_EQ(report->source_bytes, fs::file_size(kDigits));
      std::uint64_t bytes = 0;
      for (const auto& entry : fs::recursive_directory_iterator(report->path)) bytes += entry.is_regular_file() ? entry.file_size() : 0;
      EXPECT_EQ(report->package_bytes, bytes);
    }
  }
  EXPECT_TRUE(tree(scratch_).empty());
  const auto check = check_manifest(out_, {});
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->packages, packages);
  EXPECT_TRUE(check->problems.empty());
}

/// Decimal commas and dots between thousands, which no output may show.
class CommaPoint : public std::numpunct<char> {
 public:
  CommaPoint() : std::numpunct<char>(1) {}  // owned here, not by the locale

 protected:
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST_F(ConvertTest, SameBytesTwiceAndInAnyFolder) {
  const auto first = run();
  ASSERT_TRUE(first.contains("manifest.json"));
  ASSERT_TRUE(first.contains("int8.mlpackage/Data/com.apple.CoreML/weights/weight.bin"));
  EXPECT_EQ(run(), first);
}

TEST_F(ConvertTest, SameBytesForAnyNumberOfJobs) {
  const std::vector<Variant> variants{kFp32, kFp16, kInt8, kFp32Int8};
  for (const unsigned jobs : {1U, 3U, 9U}) {
    ConvertOptions options = fs::exists(kEngine) ? with_parity(kFp16, scratch_) : without_parity();
    options.jobs = jobs;
    const auto reports = convert_variants(kDigits, out_ / std::to_string(jobs), variants, options);
    ASSERT_TRUE(reports.ok()) << reports.error().to_string();
    ASSERT_EQ(reports->size(), variants.size());
    for (std::size_t k = 0; k < variants.size(); ++k) EXPECT_EQ((*reports)[k].variant, variant_name(variants[k]));
    EXPECT_EQ(tree(out_ / std::to_string(jobs)), tree(out_ / "1")) << jobs;
  }
}

TEST_F(ConvertTest, SameBytesInAnyTimeZone) {
  const auto first = run();
  const char* const zone = std::getenv("TZ");
  const std::string old_zone = zone != nullptr ? zone : "";
  ::setenv("TZ", "Pacific/Kiritimati", 1);
  ::tzset();
  EXPECT_EQ(run(), first);
  if (zone != nullptr) {
    ::setenv("TZ", old_zone.c_str(), 1);
  } else {
    ::unsetenv("TZ");
  }
  ::tzset();
}

TEST_F(ConvertTest, SameBytesWithDecimalCommasInStreams) {
  const auto first = run();
  CommaPoint facet;
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), &facet));
  EXPECT_EQ(run(), first);
  std::locale::global(before);
}

TEST_F(ConvertTest, SameBytesInAnotherCLocale) {
  const auto first = run();
  const char* found = nullptr;
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8", "ru_RU.UTF-8", "en_US.UTF-8", "C.UTF-8"}) {
    if (found == nullptr && std::setlocale(LC_ALL, name) != nullptr) found = name;
  }
  ASSERT_NE(found, nullptr) << "the C library has no C.UTF-8, which glibc 2.35 and newer always have";
  EXPECT_EQ(run(), first) << found;
  std::setlocale(LC_ALL, "C");
}

/// Calls `visit` with each value below that has none of its own, and the path of keys to it.
template <typename Visit>
void each_leaf(const nlohmann::json& json, const std::string& path, const Visit& visit) {
  if (!json.is_structured()) return visit(path, json);
  for (const auto& [key, value] : json.items()) each_leaf(value, path + "/" + key, visit);
}

TEST_F(ConvertTest, ManifestHasNoAbsolutePathAndNoClock) {
  const bool has_engine = fs::exists(kEngine);
  const auto report = convert(fs::absolute(kDigits), fs::absolute(out_ / "a.mlpackage"), has_engine ? with_parity(kInt8, scratch_) : without_parity(kInt8));
  ASSERT_TRUE(report.ok()) << failure(report);
  for (const auto& [name, bytes] : tree(out_)) {
    EXPECT_EQ(bytes.find(folder_.string()), std::string::npos) << name;
    EXPECT_EQ(bytes.find(kModels.string()), std::string::npos) << name;
  }
  const std::string text = read_file(out_ / "manifest.json");
  each_leaf(nlohmann::json::parse(text), "", [](const std::string& path, const nlohmann::json& leaf) {
    if (leaf.is_string()) {
      EXPECT_FALSE(leaf.get<std::string>().starts_with("/")) << path << ": " << leaf;
      EXPECT_EQ(leaf.get<std::string>().find(".."), std::string::npos) << path << ": " << leaf;
    }
    // Seconds since 1970 are more than any size or count of this model.
    if (leaf.is_number()) {
      EXPECT_LT(leaf.get<double>(), 1e9) << path;
    }
  });
  for (const char* word : {"seconds", "time", "date", "created", "host", "user"}) EXPECT_EQ(text.find(std::string("\"") + word), std::string::npos) << word;
}

TEST_F(ConvertTest, OutputThatExistsIsLeftAlone) {
  ASSERT_TRUE(convert(kDigits, out_ / "a.mlpackage", without_parity()).ok());
  fs::create_directory(out_ / "folder.mlpackage");
  std::ofstream(out_ / "file.mlpackage") << "mine";
  fs::create_symlink("nowhere", out_ / "link.mlpackage");
  const auto before = tree(out_);
  for (const char* name : {"a.mlpackage", "folder.mlpackage", "file.mlpackage", "link.mlpackage"}) {
    const auto report = convert(kDigits, out_ / name, without_parity(kFp32));
    ASSERT_FALSE(report.ok()) << name;
    EXPECT_EQ(report.error().code(), ErrorCode::kOutputExists) << name;
    EXPECT_EQ(tree(out_), before) << name;
  }
  // Of several, one that is there stops all.
  ASSERT_TRUE(convert(kDigits, out_ / "model_fp16.mlpackage", without_parity()).ok());
  const auto more = tree(out_);
  const auto reports = convert_variants(kDigits, out_, {kFp32, kFp16}, without_parity());
  ASSERT_FALSE(reports.ok());
  EXPECT_EQ(reports.error().code(), ErrorCode::kOutputExists);
  EXPECT_EQ(tree(out_), more);
}

TEST_F(ConvertTest, OverwritesAPackageAndNothingElse) {
  ConvertOptions options = without_parity(kFp32);
  ASSERT_TRUE(convert(kDigits, out_ / "a.mlpackage", options).ok());
  ASSERT_TRUE(convert(kDigits, out_ / "b.mlpackage", options).ok());
  options.variant = kFp16;
  options.overwrites = true;
  const auto report = convert(kDigits, out_ / "a.mlpackage", options);
  ASSERT_TRUE(report.ok()) << failure(report);
  const auto check = check_manifest(out_, {});
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->packages, 2U);
  EXPECT_TRUE(check->problems.empty());
  const auto json = nlohmann::json::parse(read_file(out_ / "manifest.json"));
  EXPECT_EQ(json.at("models").at(0).at("precision"), "fp16");
  EXPECT_EQ(json.at("models").at(1).at("precision"), "fp32");

  fs::create_directory(out_ / "folder.mlpackage");
  std::ofstream(out_ / "folder.mlpackage/mine") << "mine";
  const auto before = tree(out_);
  const auto refused = convert(kDigits, out_ / "folder.mlpackage", options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kOutputExists) << failure(refused);
  EXPECT_EQ(tree(out_), before);
}

TEST_F(ConvertTest, RefusesWithNothingLeft) {
  for (const char* name : {"a", "a.mlmodel", "a.mlpackage.zip", ".mlpackage"}) {
    SCOPED_TRACE(name);
    expect_refused(convert(kDigits, out_ / name, without_parity()), ErrorCode::kInvalidArgument);
  }
  ConvertOptions options = without_parity();
  options.target = "ios14";
  expect_refused(convert(kDigits, out_ / "a.mlpackage", options), ErrorCode::kInvalidArgument);
  options = without_parity(kInt8);
  options.target = "ios15";
  const auto int8 = convert(kDigits, out_ / "a.mlpackage", options);
  expect_refused(int8, ErrorCode::kNotRepresentable);
  EXPECT_NE(failure(int8).find("ios16"), std::string::npos) << failure(int8);
  options = without_parity(kInt8);
  options.weight_threshold = "lots";
  expect_refused(convert(kDigits, out_ / "a.mlpackage", options), ErrorCode::kInvalidArgument);
  expect_refused(convert(folder_ / "none.onnx", out_ / "a.mlpackage", without_parity()), ErrorCode::kReadFailed);
  expect_refused(convert(kDigits, out_ / "none/a.mlpackage", without_parity()), ErrorCode::kWriteFailed);
  options = without_parity();
  options.input_shapes["image"] = {1, 1, 9, 9};
  expect_refused(convert(kDigits, out_ / "a.mlpackage", options), ErrorCode::kInvalidArgument);
}

TEST_F(ConvertTest, ThresholdAboveEveryWeightNamesTheLargest) {
  ConvertOptions options = without_parity(kInt8);
  options.weight_threshold = "27648";  // of which "up to" is meant: the largest weight has exactly as many
  const auto report = convert(kDigits, out_ / "a.mlpackage", options);
  expect_refused(report, ErrorCode::kInvalidArgument);
  EXPECT_NE(failure(report).find("\"onnx::Conv_78\" with 27648 elements"), std::string::npos) << failure(report);
  EXPECT_NE(report.error().hint_text().find("--weight-threshold"), std::string::npos);
  options.weight_threshold = "110591B";  // one byte less than it has as float32
  const auto one = convert(kDigits, out_ / "a.mlpackage", options);
  ASSERT_TRUE(one.ok()) << failure(one);
  EXPECT_EQ(one->weights_quantized, 1U);
  EXPECT_EQ(one->weights_kept, one->fallbacks.size());
  for (const WeightFallback& fallback : one->fallbacks) EXPECT_LT(fallback.elements, 27648U) << fallback.weight;
}

TEST_F(ConvertTest, MissingEngineIsSaidBeforeAnythingIsWritten) {
  ConvertOptions options = with_parity(kFp16, scratch_);
  options.parity->engine = folder_ / "libonnxruntime.so";
  const auto named = convert(kDigits, out_ / "a.mlpackage", options);
  expect_refused(named, ErrorCode::kNotInstalled);
  EXPECT_EQ(exit_status(named.error().code()), 6);
  options.parity->engine.clear();
  options.parity->engine_search_paths = {folder_ / "one.so", folder_ / "two.so"};
  expect_refused(convert(kDigits, out_ / "a.mlpackage", options), ErrorCode::kNotInstalled);
  const auto reports = convert_variants(kDigits, out_ / "sub", {kFp32, kFp16}, options);
  ASSERT_FALSE(reports.ok());
  EXPECT_EQ(reports.error().code(), ErrorCode::kNotInstalled);
  EXPECT_TRUE(tree(out_).empty());
}

TEST_F(ConvertTest, BadGateIsSaidBeforeAnythingIsWritten) {
  SMELT_NEED("engine", kEngine);
  for (const char* gate : {"", "linf", "linf=", "linf=nan", "speed=1", ".linf=1"}) {
    SCOPED_TRACE(gate);
    ConvertOptions options = with_parity(kFp16, scratch_);
    options.parity->gates = {gate};
    expect_refused(convert(kDigits, out_ / "a.mlpackage", options), ErrorCode::kInvalidArgument);
  }
}

TEST_F(ConvertTest, FailedGateKeepsThePackageAndSaysSo) {
  SMELT_NEED("engine", kEngine);
  ConvertOptions options = with_parity(kFp16, scratch_);
  options.parity->gates = {"linf=1e-12"};
  const auto report = convert(kDigits, out_ / "a.mlpackage", options);
  ASSERT_TRUE(report.ok()) << failure(report);
  EXPECT_FALSE(report->passed);
  ASSERT_EQ(report->parity->gates.size(), 1U);
  EXPECT_FALSE(report->parity->gates[0].passed);
  EXPECT_EQ(nlohmann::json::parse(read_file(out_ / "manifest.json")).at("models").at(0).at("parity").at("verdict"), "fail");
  EXPECT_TRUE(check_manifest(out_, {})->problems.empty());
}

TEST_F(ConvertTest, OpenExtentsAskForTheFlag) {
  const auto report = convert(kSentiment, out_ / "a.mlpackage", without_parity());
  expect_refused(report, ErrorCode::kOpenShape);
  EXPECT_NE(report.error().hint_text().find("--input input_ids:1x128 --input attention_mask:1x128"), std::string::npos) << failure(report);
  ConvertOptions options = without_parity();
  options.input_shapes["input_ids"] = {1, 16};  // the other input shares its symbols
  const auto fixed = convert(kSentiment, out_ / "a.mlpackage", options);
  ASSERT_TRUE(fixed.ok()) << failure(fixed);
  const auto entry = nlohmann::json::parse(read_file(out_ / "manifest.json")).at("models").at(0);
  EXPECT_EQ(entry.at("options").at("input.input_ids"), "1x16");
  EXPECT_EQ(entry.at("options").at("input.attention_mask"), "1x16");
}

TEST_F(ConvertTest, TwoProcessesLoseNoManifestEntry) {
  constexpr int kEach = 6;
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  std::vector<pid_t> children;
  for (const char* name : {"left", "right"}) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(gate[1]);
      char byte = 0;
      bool is_good = ::read(gate[0], &byte, 1) == 0;  // both start when the parent closes its end
      for (int k = 0; k < kEach; ++k) is_good = convert(kDigits, out_ / (name + std::to_string(k) + ".mlpackage"), without_parity()).ok() && is_good;
      ::_exit(is_good ? 0 : 1);
    }
    children.push_back(child);
  }
  ::close(gate[0]);
  ::close(gate[1]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  const auto check = check_manifest(out_, {});
  ASSERT_TRUE(check.ok()) << check.error().to_string();
  EXPECT_EQ(check->packages, 2U * kEach);
  EXPECT_TRUE(check->problems.empty());
}

}  // namespace
}  // namespace smelt
