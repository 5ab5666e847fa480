#include "manifest/manifest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace smelt::manifest {
namespace {

namespace fs = std::filesystem;

const std::string kShaOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // FIPS 180-4, example 1

Measured absent(const std::string& reason) { return {.value = std::nullopt, .reason = reason}; }

/// Everything that may be absent is.
Entry minimal_entry(const std::string& model = "net") {
  Entry entry;
  entry.model = model;
  entry.source = "net.onnx";
  entry.precision = "fp32";
  entry.quantization = "none";
  entry.ane_op_coverage_pct = absent("no device");
  entry.expected_speedup_m1 = absent("no device");
  entry.expected_speedup_m2 = absent("no device");
  entry.expected_speedup_m3 = absent("no device");
  entry.accuracy_delta_l_inf = absent("parity was not asked for");
  entry.accuracy_delta_rmse = absent("parity was not asked for");
  entry.path = model + ".mlpackage";
  entry.target = "ios16";
  entry.weight_threshold = "none";
  entry.source_digest = {.path = "net.onnx", .bytes = 3, .sha256 = kShaOfAbc};
  entry.tool_version = "0.1.0";
  entry.parity_reason = "parity was not asked for";
  return entry;
}

Entry full_entry() {
  Entry entry = minimal_entry("net-int8");
  entry.inputs = {{.name = "image", .dtype = "float32", .shape = {1, 3, 224, 224}}, {.name = "scalar", .dtype = "int32", .shape = {}}};
  entry.outputs = {{.name = "größe", .dtype = "float16", .shape = {0, std::numeric_limits<std::int64_t>::max()}}};
  entry.quantization = "int8_per_channel_symmetric";
  entry.ane_op_coverage_pct = {.value = 100.0, .reason = {}};
  entry.expected_speedup_m2 = {.value = 1.5, .reason = {}};
  entry.accuracy_delta_l_inf = {.value = 0.1 + 0.2, .reason = {}};
  entry.accuracy_delta_rmse = {.value = 5e-324, .reason = {}};
  entry.files = {{.path = "net-int8.mlpackage/a", .bytes = (1ULL << 53U) + 1, .sha256 = kShaOfAbc},
                 {.path = "net-int8.mlpackage/b", .bytes = 0, .sha256 = kShaOfAbc}};
  entry.engine_version = "1.20.1";
  entry.options = {{"width", "fp16"}, {"batch", "1"}};
  entry.plan = {.quantized = 3,
                .kept = 1,
                .bytes_before = 400,
                .bytes_after = 101,
                .fallbacks = {{.weight = "w", .reason = "not finite", .elements = 9}}};
  entry.name_map = {{"a.b", "a_b"}, {"a\"b", "a_b_1"}};
  entry.notes = {"the batch was fixed at 1"};
  Parity parity;
  parity.method = "npz";
  parity.dataset_sha256 = kShaOfAbc;
  parity.seed = std::numeric_limits<std::uint64_t>::max();
  parity.samples = 8;
  parity.data = "images.npz";
  parity.outputs = {{.name = "y",
                     .l_inf = 0.01,
                     .rmse = -0.0,
                     .peak = 1e300,
                     .cosine = 1,
                     .sqnr_db = 41.25,
                     .top1_agreement = 1.0,
                     .top5_agreement = std::nullopt,
                     .nan_count = 1,
                     .inf_count = 2}};
  parity.gates = {{.output = "y", .metric = "linf", .value = 0.01, .scale = 3.5, .limit = 0.035, .passed = true}};
  parity.baseline_accuracy = 0.75;
  parity.verdict = "pass";
  entry.parity = parity;
  entry.parity_reason.clear();
  return entry;
}

std::string full_text() { return to_json(Manifest{{full_entry()}}); }
std::string minimal_text() { return to_json(Manifest{{minimal_entry()}}); }

/// `text` with one occurrence of `from`, which must be there, replaced.
std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void expect_refused(const std::string& text, ErrorCode code, std::string_view part) {
  const Result<Manifest> manifest = parse(text, "manifest.json");
  ASSERT_FALSE(manifest.ok()) << part;
  EXPECT_EQ(manifest.error().code(), code) << manifest.error().to_string();
  EXPECT_NE(manifest.error().message().find(part), std::string::npos) << manifest.error().to_string() << "\nwanted: " << part;
  EXPECT_EQ(manifest.error().location().file, "manifest.json");
}

TEST(ManifestTest, ReadsBackToTheSameBytes) {
  for (const Manifest& manifest :
       {Manifest{}, Manifest{{minimal_entry()}}, Manifest{{full_entry()}}, Manifest{{full_entry(), minimal_entry()}}}) {
    const std::string text = to_json(manifest);
    const Result<Manifest> again = parse(text, "m");
    ASSERT_TRUE(again.ok()) << again.error().to_string();
    EXPECT_EQ(to_json(*again), text);
    EXPECT_EQ(text.back(), '\n');
  }
}

TEST(ManifestTest, KeepsEveryBitOfItsNumbers) {
  const Result<Manifest> manifest = parse(full_text(), "m");
  ASSERT_TRUE(manifest.ok());
  const Entry& entry = manifest->models.at(0);
  EXPECT_EQ(entry.files.at(0).bytes, (1ULL << 53U) + 1);
  EXPECT_EQ(entry.outputs.at(0).shape, (std::vector<std::int64_t>{0, std::numeric_limits<std::int64_t>::max()}));
  EXPECT_EQ(entry.accuracy_delta_l_inf.value, 0.1 + 0.2);
  EXPECT_EQ(entry.accuracy_delta_rmse.value, 5e-324);
  EXPECT_EQ(entry.parity->seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(std::signbit(entry.parity->outputs.at(0).rmse));
  EXPECT_EQ(entry.parity->outputs.at(0).top5_agreement, std::nullopt);
  EXPECT_EQ(entry.expected_speedup_m1.reason, "no device");
  EXPECT_EQ(entry.name_map, full_entry().name_map);
}

TEST(ManifestTest, SameContentsInAnyOrderGiveTheSameBytes) {
  Entry shuffled = full_entry();
  std::ranges::reverse(shuffled.files);
  EXPECT_EQ(to_json(Manifest{{minimal_entry(), shuffled}}), to_json(Manifest{{full_entry(), minimal_entry()}}));
}

TEST(ManifestTest, KeysComeInTheOrderOfTheFormat) {
  const std::string text = full_text();
  std::size_t last = 0;
  for (const char* key : {"schema_version", "models", "model", "source", "backend", "io_schema", "precision", "quantization", "ane_op_coverage_pct",
                          "expected_speedup_m1", "expected_speedup_m1_reason", "expected_speedup_m2", "expected_speedup_m3",
                          "expected_speedup_m3_reason", "accuracy_delta_l_inf", "accuracy_delta_rmse", "schema_version", "path", "target",
                          "weight_threshold", "digests", "tool", "engine", "options", "quantization_plan", "name_map", "notes", "parity"}) {
    const std::size_t at = text.find("\"" + std::string(key) + "\":", last);
    ASSERT_NE(at, std::string::npos) << key;
    last = at;
  }
  EXPECT_EQ(text.find("parity_reason"), std::string::npos);
  EXPECT_EQ(text.find("engine_reason"), std::string::npos);
}

TEST(ManifestTest, WhatIsNotFiniteOrNotUtf8StillReadsBack) {
  Entry entry = full_entry();
  entry.accuracy_delta_rmse.value = std::nan("");
  entry.parity->outputs.at(0).l_inf = std::numeric_limits<double>::infinity();
  entry.notes = {"bad \xFF byte"};
  entry.name_map = {{"\xFE", "x"}, {"\xFF", "y"}};  // both become U+FFFD
  const std::string text = to_json(Manifest{{entry}});
  const Result<Manifest> again = parse(text, "m");
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_EQ(to_json(*again), text);
  EXPECT_EQ(again->models.at(0).name_map.size(), 2U);
  EXPECT_EQ(again->models.at(0).notes.at(0), "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(again->models.at(0).accuracy_delta_rmse.reason, "the number is not finite");
  EXPECT_TRUE(std::isnan(again->models.at(0).parity->outputs.at(0).l_inf));
}

TEST(ManifestParseTest, EveryMissingOrRenamedKeyIsRefused) {
  for (const std::string& text : {full_text(), minimal_text()}) {
    for (std::size_t at = text.find("\":"); at != std::string::npos; at = text.find("\":", at + 1)) {
      const std::size_t begin = text.rfind('"', at - 1) + 1;
      const std::string key = text.substr(begin, at - begin);
      std::string renamed = text;
      renamed.replace(begin, key.size(), "other");
      const Result<Manifest> manifest = parse(renamed, "m");
      // The keys of the two maps are the user's.
      const bool is_free = key == "batch" || key == "width" || key == "a.b" || key == "b";
      EXPECT_EQ(manifest.ok(), is_free) << key;
      if (!manifest.ok()) {
        EXPECT_EQ(manifest.error().code(), ErrorCode::kMalformedInput) << manifest.error().to_string();
      }
    }
  }
  expect_refused(with(full_text(), "\"samples\"", "\"sample\""), ErrorCode::kMalformedInput, "models[0].parity.samples is missing");
  expect_refused(with(full_text(), "\"elements\": 9,", ""), ErrorCode::kMalformedInput,
                 "models[0].quantization_plan.fallbacks[0].elements is missing");
}

TEST(ManifestParseTest, EveryValueOfAnotherTypeIsRefused) {
  for (const std::string& text : {full_text(), minimal_text()}) {
    for (std::size_t at = text.find("\": "); at != std::string::npos; at = text.find("\": ", at + 1)) {
      const std::size_t value = at + 3;
      if (text[value] == '{' || text[value] == '[') continue;
      const std::size_t end = text.find_first_of("\n", value);
      const bool has_comma = text[end - 1] == ',';
      std::string changed = text;
      changed.replace(value, end - value, has_comma ? "[[]]," : "[[]]");
      const Result<Manifest> manifest = parse(changed, "m");
      ASSERT_FALSE(manifest.ok()) << text.substr(at - 20, 60);
      EXPECT_EQ(manifest.error().code(), ErrorCode::kMalformedInput) << manifest.error().to_string();
    }
  }
  const auto refused = [](std::string_view from, std::string_view to, std::string_view part) {
    expect_refused(with(full_text(), from, to), ErrorCode::kMalformedInput, part);
  };
  refused("\"samples\": 8", "\"samples\": \"8\"", "models[0].parity.samples is of type string, not an integer");
  refused("\"samples\": 8", "\"samples\": -8", "models[0].parity.samples is the number -8");
  refused("\"samples\": 8", "\"samples\": 8.5", "models[0].parity.samples is the number 8.5");
  refused("\"samples\": 8", "\"samples\": 18446744073709551616", "models[0].parity.samples");
  refused("\"l_inf\": 0.01", "\"l_inf\": 1e999", "not JSON");
  refused("9223372036854775807", "9223372036854775808", "models[0].io_schema.outputs[0].shape[1] is 9223372036854775808");
  refused("\"pass\"", "\"maybe\"", "models[0].parity.verdict is \"maybe\"");
  refused("\"onnxruntime\"", "\"other\"", "models[0].engine.name");
  refused(kShaOfAbc, "BA78", "models[0].digests.source.sha256");
  refused("\"fp16\"", "16", "models[0].options.width");
  expect_refused("[]", ErrorCode::kMalformedInput, "the manifest is of type array, not an object");
  expect_refused("{\"schema_version\": 1, \"models\": {}}", ErrorCode::kMalformedInput, "models is of type object");
}

TEST(ManifestParseTest, UnknownAndRepeatedKeysAreRefused) {
  expect_refused(with(full_text(), "\"samples\"", "\"extra\": 1, \"samples\""), ErrorCode::kMalformedInput,
                 "the key \"extra\" of models[0].parity is not known");
  expect_refused(with(full_text(), "\"models\"", "\"extra\": 1, \"models\""), ErrorCode::kMalformedInput, "the key \"extra\" of the manifest");
  expect_refused(with(full_text(), "\"samples\"", "\"samples\": 8, \"samples\""), ErrorCode::kMalformedInput, "\"samples\" is given twice");
}

TEST(ManifestParseTest, AReasonIsThereExactlyWhenItsKeyIsNull) {
  for (const char* key : {"ane_op_coverage_pct", "expected_speedup_m1", "expected_speedup_m2", "expected_speedup_m3", "accuracy_delta_l_inf",
                          "accuracy_delta_rmse"}) {
    const std::string quoted = "\"" + std::string(key) + "\": null";
    expect_refused(with(minimal_text(), quoted, "\"" + std::string(key) + "\": 1.0"), ErrorCode::kMalformedInput,
                   "models[0]." + std::string(key) + "_reason is there although");
  }
  expect_refused(with(full_text(), "\"expected_speedup_m2\": 1.5", "\"expected_speedup_m2\": null"), ErrorCode::kMalformedInput,
                 "models[0].expected_speedup_m2_reason is missing");
  expect_refused(with(minimal_text(), "\"no device\"", "\"\""), ErrorCode::kMalformedInput,
                 "models[0].ane_op_coverage_pct_reason is an empty string");
  expect_refused(with(full_text(), "\"options\"", "\"engine_reason\": \"x\", \"options\""), ErrorCode::kMalformedInput, "engine_reason");
  expect_refused(with(full_text(), "\"notes\"", "\"parity_reason\": \"x\", \"notes\""), ErrorCode::kMalformedInput, "parity_reason");
}

TEST(ManifestParseTest, EveryTruncationIsRefused) {
  const std::string text = to_json(Manifest{{full_entry(), minimal_entry()}});
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {  // without its last byte, a newline, it is whole
    const Result<Manifest> manifest = parse(text.substr(0, size), "m");
    ASSERT_FALSE(manifest.ok()) << size;
    ASSERT_EQ(manifest.error().code(), ErrorCode::kMalformedInput);
    ASSERT_LE(manifest.error().location().byte_offset.value_or(0), size);
  }
}

TEST(ManifestParseTest, DepthSizeVersionAndNamesAreBounded) {
  expect_refused(std::string(1U << 20U, '['), ErrorCode::kMalformedInput, "nested deeper than 16");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_refused(objects, ErrorCode::kMalformedInput, "nested deeper than 16");
  expect_refused(std::string((64U << 20U) + 1, ' '), ErrorCode::kLimitReached, "67108865 bytes");
  expect_refused(with(minimal_text(), "\"schema_version\": 1", "\"schema_version\": 2"), ErrorCode::kUnsupported, "schema_version is 2");
  expect_refused("{\"schema_version\": 1, \"models\": [{\"schema_version\": 7}]}", ErrorCode::kUnsupported, "models[0].schema_version is 7");
  expect_refused(to_json(Manifest{{minimal_entry(), minimal_entry()}}), ErrorCode::kMalformedInput, "models[1].model is \"net\"");
  expect_refused(with(minimal_text(), "no device", "\xFF"), ErrorCode::kMalformedInput, "not JSON");
}

class ManifestFolderTest : public TempFolderTest {
 protected:
  [[nodiscard]] bool leaves_packages() const override { return false; }

  [[nodiscard]] std::string content(const fs::path& path) const {
    std::ifstream in(folder_ / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const fs::path& path, std::string_view text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path, std::ios::binary) << text;
  }
  /// A package of two files on disk and its entry.
  [[nodiscard]] Entry package(const std::string& model) const {
    Entry entry = minimal_entry(model);
    for (const char* name : {"Data/model", "Manifest.json"}) {
      const std::string path = entry.path + "/" + name;
      put(path, "abc");
      Result<FileDigest> digest = digest_file(folder_ / path, path);
      EXPECT_TRUE(digest.ok());
      entry.files.push_back(*digest);
    }
    return entry;
  }
  [[nodiscard]] std::vector<std::string> check(const Entry& entry) const {
    const Result<std::vector<std::string>> problems = check_files(Manifest{{entry}}, folder_);
    EXPECT_TRUE(problems.ok());
    return problems.ok() ? *problems : std::vector<std::string>{};
  }
  using Lines = std::vector<std::string>;
};

TEST_F(ManifestFolderTest, UpdateCreatesAddsAndReplaces) {
  ASSERT_TRUE(read(folder_).ok());
  EXPECT_TRUE(read(folder_)->models.empty());
  ASSERT_TRUE(update(folder_, {minimal_entry("b")}).ok());
  ASSERT_TRUE(update(folder_, {minimal_entry("a"), full_entry()}).ok());
  Entry changed = minimal_entry("b");
  changed.source = "changed.onnx";
  ASSERT_TRUE(update(folder_, {changed}).ok());
  EXPECT_EQ(content("manifest.json"), to_json(Manifest{{minimal_entry("a"), changed, full_entry()}}));
  EXPECT_EQ(content(".manifest.lock"), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);  // no temporary name is left
}

TEST_F(ManifestFolderTest, UpdateWritesNothingThatItCouldNotReadBack) {
  Entry bad = minimal_entry();
  bad.source_digest.sha256 = "?";
  EXPECT_EQ(update(folder_, {bad}).error().code(), ErrorCode::kInternal);
  EXPECT_EQ(update(folder_, {minimal_entry(), minimal_entry()}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(folder_ / "manifest.json"));
  put("manifest.json", "{}");
  EXPECT_EQ(update(folder_, {minimal_entry()}).error().code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(content("manifest.json"), "{}");
  EXPECT_EQ(update(folder_ / "none", {minimal_entry()}).error().code(), ErrorCode::kWriteFailed);
}

TEST_F(ManifestFolderTest, ReadRefusesWhatIsNotAFile) {
  fs::create_directory(folder_ / "manifest.json");
  EXPECT_EQ(read(folder_).error().code(), ErrorCode::kReadFailed);
  fs::remove(folder_ / "manifest.json");
  put("manifest.json", "");
  EXPECT_EQ(read(folder_).error().code(), ErrorCode::kMalformedInput);
}

TEST_F(ManifestFolderTest, ProcessesAtOnceLoseNothing) {
  constexpr int kProcesses = 8, kRounds = 6;
  std::array<pid_t, kProcesses> children{};
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool is_ok = true;
      for (int round = 0; round < kRounds; ++round) {
        is_ok = update(folder_, {minimal_entry("net-" + std::to_string(i) + "-" + std::to_string(round))}).ok() && is_ok;
      }
      ::_exit(is_ok ? 0 : 1);
    }
    children[static_cast<std::size_t>(i)] = child;
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const Result<Manifest> manifest = read(folder_);
  ASSERT_TRUE(manifest.ok()) << manifest.error().to_string();
  EXPECT_EQ(manifest->models.size(), static_cast<std::size_t>(kProcesses * kRounds));
}

TEST_F(ManifestFolderTest, DigestsFilesOfSeveralChunks) {
  put("abc", "abc");
  EXPECT_EQ(digest_file(folder_ / "abc", "x/abc")->sha256, kShaOfAbc);
  EXPECT_EQ(digest_file(folder_ / "abc", "x/abc")->path, "x/abc");
  put("big", std::string(10'000'000, 'a'));
  EXPECT_EQ(digest_file(folder_ / "big", "big")->bytes, 10'000'000U);
  // sha256sum of that file
  EXPECT_EQ(digest_file(folder_ / "big", "big")->sha256, "01f4a87c04b40af59aadc0e812293509709c9a8763a60b7f9e19303322f8b03c");
  EXPECT_EQ(digest_file(folder_ / "none", "none").error().code(), ErrorCode::kReadFailed);
}

TEST_F(ManifestFolderTest, CheckFindsEveryKindOfDifference) {
  const Entry entry = package("net");
  EXPECT_EQ(check(entry), Lines{});

  put("net.mlpackage/extra", "x");
  EXPECT_EQ(check(entry), Lines{"net: \"net.mlpackage/extra\" is not recorded"});
  fs::remove(folder_ / "net.mlpackage/extra");

  put("net.mlpackage/Data/model", "abcd");
  EXPECT_EQ(check(entry), Lines{"net: \"net.mlpackage/Data/model\" has 4 bytes, 3 are recorded"});
  put("net.mlpackage/Data/model", "abd");
  ASSERT_EQ(check(entry).size(), 1U);
  EXPECT_NE(check(entry)[0].find("\"net.mlpackage/Data/model\" has the digest"), std::string::npos);

  fs::remove(folder_ / "net.mlpackage/Data/model");
  EXPECT_EQ(check(entry), Lines{"net: \"net.mlpackage/Data/model\" is missing"});

  fs::remove_all(folder_ / "net.mlpackage");
  EXPECT_EQ(check(entry), Lines{"net: the package \"net.mlpackage\" is missing"});
  put("net.mlpackage", "a file");
  EXPECT_EQ(check(entry), Lines{"net: the package \"net.mlpackage\" is not a folder"});
}

TEST_F(ManifestFolderTest, CheckNeverFollowsUnsafePathsOrLinks) {
  const Entry good = package("net");
  for (const std::string& path : {std::string("/etc"), std::string(".."), std::string("x/../net.mlpackage"), std::string("net.mlpackage/"),
                                  std::string("./net.mlpackage"), std::string(), std::string("net.mlpackage\0x", 15)}) {
    Entry entry = good;
    entry.path = path;
    ASSERT_EQ(check(entry).size(), 1U) << path;
    EXPECT_NE(check(entry)[0].find("was not followed"), std::string::npos) << path;
  }
  for (const char* path : {"/etc/passwd", "net.mlpackage/../../etc/passwd", "other.mlpackage/file"}) {
    Entry entry = good;
    entry.files.push_back({.path = path, .bytes = 3, .sha256 = kShaOfAbc});
    EXPECT_EQ(check(entry), Lines{"net: the file path \"" + std::string(path) + "\" is not inside the package and was not followed"});
  }
  Entry twice = good;
  twice.files.push_back(twice.files[0]);
  EXPECT_EQ(check(twice), Lines{"net: \"net.mlpackage/Data/model\" is recorded twice"});

  fs::rename(folder_ / "net.mlpackage/Data", folder_ / "elsewhere");
  fs::create_symlink(folder_ / "elsewhere", folder_ / "net.mlpackage/Data");
  EXPECT_EQ(check(good), (Lines{"net: \"net.mlpackage/Data\" is a symbolic link and was not followed",
                                "net: \"net.mlpackage/Data/model\" is missing"}));
  fs::remove(folder_ / "net.mlpackage/Data");
  fs::create_directory(folder_ / "net.mlpackage/Data");
  fs::create_symlink(folder_ / "elsewhere/model", folder_ / "net.mlpackage/Data/model");
  EXPECT_EQ(check(good), Lines{"net: \"net.mlpackage/Data/model\" is a symbolic link and was not followed"});

  fs::rename(folder_ / "net.mlpackage", folder_ / "real");
  fs::create_directory_symlink(folder_ / "real", folder_ / "net.mlpackage");
  EXPECT_EQ(check(good), Lines{"net: \"net.mlpackage\" is, or lies behind, a symbolic link and was not followed"});
}

TEST(ManifestSchemaTest, TheEmbeddedSchemaIsTheShippedOne) {
  std::ifstream in(fs::path(SMELT_SOURCE_DIR) / "schemas/manifest.schema.json", std::ios::binary);
  ASSERT_TRUE(in.is_open());
  const std::string shipped{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(schema_text(), shipped);
}

/// Each key that is written has a property in the schema.
TEST(ManifestSchemaTest, KnowsEveryKey) {
  for (const std::string& text : {full_text(), minimal_text()}) {
    for (std::size_t at = text.find("\":"); at != std::string::npos; at = text.find("\":", at + 1)) {
      const std::size_t begin = text.rfind('"', at - 1);
      const std::string key = text.substr(begin, at + 2 - begin);
      if (key == "\"batch\":" || key == "\"width\":" || key == "\"a.b\":" || key == "\"b\":") continue;  // the user's, in maps
      EXPECT_NE(schema_text().find(key), std::string_view::npos) << key;
    }
  }
}

}  // namespace
}  // namespace smelt::manifest
