#include "convert/coreml/package.h"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace smelt::coreml_format {
namespace {

namespace fs = std::filesystem;
using IfExists = PackageWriter::IfExists;

// The ids were computed by another program: python's uuid.uuid5, in the namespace that package.cc names.
constexpr const char* kManifest = R"({
    "fileFormatVersion": "1.0.0",
    "itemInfoEntries": {
        "961011bd-29c1-5f47-bec2-2df11e2fb89d": {
            "author": "com.apple.CoreML",
            "description": "CoreML Model Specification",
            "name": "model.mlmodel",
            "path": "com.apple.CoreML/model.mlmodel"
        },
        "afc46c86-5e26-5c62-96e2-ba2a9257973e": {
            "author": "com.apple.CoreML",
            "description": "CoreML Model Weights",
            "name": "weights",
            "path": "com.apple.CoreML/weights"
        }
    },
    "rootModelIdentifier": "961011bd-29c1-5f47-bec2-2df11e2fb89d"
}
)";

std::span<const std::byte> view(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string item(const std::string& name, const std::string& path) {
  return R"({"author": "com.example", "description": "", "name": ")" + name + R"(", "path": ")" + path + R"("})";
}

std::string manifest(const std::string& items, const std::string& root = "m", const std::string& version = "1.0.0") {
  return R"({"fileFormatVersion": ")" + version + R"(", "itemInfoEntries": {)" + items + R"(}, "rootModelIdentifier": ")" + root + "\"}";
}

class Package : public TempFolderTest {
 protected:
  [[nodiscard]] bool leaves_packages() const override { return false; }

  [[nodiscard]] fs::path target() const { return folder_ / "a.mlpackage"; }
  [[nodiscard]] fs::path items() const { return target() / "Data/com.apple.CoreML"; }

  /// Writes a package whose model is `model`, with weights unless they are empty.
  [[nodiscard]] Status write_package(const std::string& model, const std::string& weights, IfExists if_exists) const {
    SMELT_ASSIGN_OR_RETURN(PackageWriter writer, PackageWriter::create(target(), if_exists));
    const auto in_two_pieces = [&](const PackageWriter::SinkAt& sink) -> Status {
      const Status second = sink(1, view(weights.substr(1)));
      return second.ok() ? sink(0, view(weights.substr(0, 1))) : second;
    };
    if (!weights.empty()) SMELT_RETURN_IF_ERROR(writer.write_weights(weights.size(), in_two_pieces));
    SMELT_RETURN_IF_ERROR(writer.write_model(view(model)));
    return writer.commit();
  }

  /// Names in the test's folder.
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  /// A package by hand: model.mlmodel under com.example, and this manifest.
  void foreign_package(const std::string& text) const {
    write(target() / "Data/com.example/model.mlmodel", "model");
    write(target() / "Manifest.json", text);
  }

  [[nodiscard]] ErrorCode open_error(const std::string& text) const {
    foreign_package(text);
    const Result<PackageFiles> files = open_package(target());
    EXPECT_FALSE(files.ok()) << text.substr(0, 200);
    return files.ok() ? ErrorCode::kInternal : files.error().code();
  }
};

TEST_F(Package, WhatIsWrittenOpens) {
  ASSERT_TRUE(write_package("model", "weights", IfExists::kFail).ok());
  EXPECT_EQ(count(), 1U);
  EXPECT_EQ(read(target() / "Manifest.json"), kManifest);
  const Result<PackageFiles> files = open_package(target());
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_EQ(read(files->model), "model");
  EXPECT_EQ(files->weights_dir, fs::canonical(items() / "weights"));
  const Result<fs::path> blob = resolve_blob_file(*files, "@model_path/weights/weight.bin");
  ASSERT_TRUE(blob.ok()) << blob.error().to_string();
  EXPECT_EQ(read(*blob), "weights");
  const Result<std::vector<std::string>> list = list_package_files(target());
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(*list, (std::vector<std::string>{"Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin",
                                             "Manifest.json"}));
}

TEST_F(Package, WithoutWeightsTheyAreNotNamed) {
  ASSERT_TRUE(write_package("model", "", IfExists::kFail).ok());
  EXPECT_EQ(read(target() / "Manifest.json").find("weights"), std::string::npos);
  EXPECT_FALSE(fs::exists(items() / "weights"));
  const Result<PackageFiles> files = open_package(target());
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  EXPECT_TRUE(files->weights_dir.empty());
  EXPECT_EQ(resolve_blob_file(*files, "@model_path/weights/weight.bin").error().code(), ErrorCode::kReadFailed);
}

TEST_F(Package, PermissionsHonorTheUmask) {
  const mode_t before = ::umask(027);
  const Status status = write_package("model", "weights", IfExists::kFail);
  ::umask(before);
  ASSERT_TRUE(status.ok());
  const auto mode = [](const fs::path& path) { return static_cast<unsigned>(fs::status(path).permissions()); };
  EXPECT_EQ(mode(target()), 0750U);
  EXPECT_EQ(mode(items() / "weights"), 0750U);
  EXPECT_EQ(mode(items() / "model.mlmodel"), 0640U);
  EXPECT_EQ(mode(target() / "Manifest.json"), 0640U);
}

TEST_F(Package, LeavingWithoutCommitLeavesNothing) {
  {
    Result<PackageWriter> writer = PackageWriter::create(target(), IfExists::kFail);
    ASSERT_TRUE(writer.ok());
    PackageWriter moved = std::move(writer).value();
    ASSERT_TRUE(moved.write_model(view("model")).ok());
    EXPECT_EQ(count(), 1U);
  }
  EXPECT_EQ(count(), 0U);
}

TEST_F(Package, AFailedPartIsNeverCommitted) {
  {
    Result<PackageWriter> writer = PackageWriter::create(target(), IfExists::kFail);
    ASSERT_TRUE(writer.ok());
    const Error broken(ErrorCode::kReadFailed, "broken");
    EXPECT_FALSE(writer->write_weights(1, [&](const PackageWriter::SinkAt&) -> Status { return broken; }).ok());
    EXPECT_EQ(writer->write_model(view("model")).error().message(), "broken");
    EXPECT_EQ(writer->commit().error().message(), "broken");
  }
  EXPECT_EQ(count(), 0U);
}

TEST_F(Package, WhatIsThereIsKept) {
  ASSERT_TRUE(write_package("first", "weights", IfExists::kFail).ok());
  EXPECT_EQ(write_package("second", "", IfExists::kFail).error().code(), ErrorCode::kOutputExists);
  EXPECT_EQ(read(items() / "model.mlmodel"), "first");
  EXPECT_EQ(count(), 1U);
}

TEST_F(Package, WhatAppearsMeanwhileIsKept) {
  for (const IfExists if_exists : {IfExists::kFail, IfExists::kReplace}) {
    Result<PackageWriter> writer = PackageWriter::create(target(), if_exists);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->write_model(view("model")).ok());
    write(target() / "mine", "mine");
    EXPECT_EQ(writer->commit().error().code(), ErrorCode::kOutputExists);
    EXPECT_EQ(read(target() / "mine"), "mine");
    fs::remove_all(target());
  }
}

TEST_F(Package, APackageIsReplacedWhole) {
  ASSERT_TRUE(write_package("first", "weights", IfExists::kReplace).ok());
  ASSERT_TRUE(write_package("second", "", IfExists::kReplace).ok());
  EXPECT_EQ(read(items() / "model.mlmodel"), "second");
  EXPECT_FALSE(fs::exists(items() / "weights"));
  EXPECT_EQ(count(), 1U);
}

TEST_F(Package, OnlyAPackageIsReplaced) {
  write(target() / "mine", "mine");
  EXPECT_EQ(write_package("model", "", IfExists::kReplace).error().code(), ErrorCode::kOutputExists);
  EXPECT_EQ(read(target() / "mine"), "mine");
  fs::remove_all(target());
  fs::create_directory(folder_ / "real");
  write(folder_ / "real/Manifest.json", "{}");
  fs::create_directory_symlink(folder_ / "real", target());
  EXPECT_EQ(write_package("model", "", IfExists::kReplace).error().code(), ErrorCode::kOutputExists);
  EXPECT_EQ(count(), 2U);
}

TEST_F(Package, TheNameIsChecked) {
  EXPECT_EQ(PackageWriter::create(folder_ / "a.onnx", IfExists::kFail).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(PackageWriter::create(folder_ / ".mlpackage", IfExists::kFail).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(PackageWriter::create(folder_ / "none/a.mlpackage", IfExists::kFail).error().code(), ErrorCode::kWriteFailed);
  EXPECT_TRUE(PackageWriter::create(target() / "", IfExists::kFail).ok());
  EXPECT_EQ(count(), 0U);
}

TEST_F(Package, OtherAuthorsPackagesOpen) {
  foreign_package(manifest("\"m\": " + item("model.mlmodel", "com.example/model.mlmodel") + ", \"W\": " + item("weights", "other/w")));
  write(target() / "Data/other/w/0-weight.bin", "0");
  write(target() / "Data/other/w/1-weight.bin", "1");
  const Result<PackageFiles> files = open_package(target());
  ASSERT_TRUE(files.ok()) << files.error().to_string();
  const Result<fs::path> blob = resolve_blob_file(*files, "@model_path/weights/1-weight.bin");  // by its base name
  ASSERT_TRUE(blob.ok()) << blob.error().to_string();
  EXPECT_EQ(read(*blob), "1");
  EXPECT_EQ(resolve_blob_file(*files, "@model_path/weights/2-weight.bin").error().code(), ErrorCode::kReadFailed);
}

TEST_F(Package, WhatIsNotAPackageIsRefused) {
  EXPECT_EQ(open_package(target()).error().code(), ErrorCode::kReadFailed);
  write(folder_ / "file.mlpackage", "x");
  EXPECT_EQ(open_package(folder_ / "file.mlpackage").error().code(), ErrorCode::kNotThisFormat);
  EXPECT_EQ(open_package(folder_).error().code(), ErrorCode::kNotThisFormat);
}

TEST_F(Package, MalformedManifestsAreRefused) {
  const std::string model = "\"m\": " + item("model.mlmodel", "com.example/model.mlmodel");
  foreign_package(manifest(model));
  ASSERT_TRUE(open_package(target()).ok());
  for (const std::string& text : std::vector<std::string>{
           "", "{", "[]", "null", manifest(model) + "x", R"({"fileFormatVersion": "1.0.0"})", "\xff{}", manifest(model, "other"),
           manifest(model, "m", "1.0"), manifest(model, "m", "1.0.0.0"), manifest(model, "m", "1.0.-1"), manifest(model, "m", ""),
           manifest(R"("m": {"path": "com.example/model.mlmodel"})"), manifest(R"("m": 5)"), manifest(""),
           manifest("\"m\": " + item("model.mlmodel", "com.example")),
           manifest(model + ", \"w\": " + item("weights", "com.example/model.mlmodel"))}) {
    EXPECT_EQ(open_error(text), ErrorCode::kMalformedInput) << text;
  }
  EXPECT_EQ(open_error(std::string(100'000, '[')), ErrorCode::kMalformedInput);
  std::string deep = R"({"a": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(open_error(deep), ErrorCode::kMalformedInput);
  EXPECT_EQ(open_error(manifest(model, "m", "1.0.1")), ErrorCode::kUnsupported);
  EXPECT_EQ(open_error(manifest(model, "m", "2.0.0")), ErrorCode::kUnsupported);
  EXPECT_EQ(open_error(manifest(model) + std::string(1 << 20, ' ')), ErrorCode::kLimitReached);
  EXPECT_EQ(open_error(manifest("\"m\": " + item("model.mlmodel", "com.example/none"))), ErrorCode::kReadFailed);
}

TEST_F(Package, PathsThatLeaveAreUnsafe) {
  write(folder_ / "outside/model.mlmodel", "secret");
  const std::string outside = (folder_ / "outside/model.mlmodel").string();
  for (const std::string& path : std::vector<std::string>{"../../outside/model.mlmodel", "com.example/../com.example/model.mlmodel",
                                                          outside, "..", "", "com.example/model.mlmodel\\u0000"}) {
    EXPECT_EQ(open_error(manifest("\"m\": " + item("model.mlmodel", path))), ErrorCode::kUnsafePath) << path;
  }
  const std::string linked = manifest("\"m\": " + item("model.mlmodel", "com.example/link"));
  foreign_package(linked);
  fs::create_symlink(outside, target() / "Data/com.example/link");
  EXPECT_EQ(open_package(target()).error().code(), ErrorCode::kUnsafePath);
  EXPECT_EQ(list_package_files(target()).error().code(), ErrorCode::kUnsafePath);
  fs::remove(target() / "Data/com.example/link");
  fs::create_symlink("model.mlmodel", target() / "Data/com.example/link");  // stays inside
  EXPECT_TRUE(open_package(target()).ok());
  EXPECT_EQ(list_package_files(target())->size(), 3U);
  fs::remove(target() / "Manifest.json");
  write(folder_ / "outside/Manifest.json", linked);
  fs::create_symlink(folder_ / "outside/Manifest.json", target() / "Manifest.json");
  EXPECT_EQ(open_package(target()).error().code(), ErrorCode::kUnsafePath);
}

TEST_F(Package, BlobNamesThatLeaveAreUnsafe) {
  ASSERT_TRUE(write_package("model", "weights", IfExists::kFail).ok());
  const Result<PackageFiles> files = open_package(target());
  ASSERT_TRUE(files.ok());
  write(folder_ / "secret.bin", "secret");
  for (const char* name : {"@model_path/../../../secret.bin", "/etc/passwd", "@model_path//etc/passwd", "", "@model_path/"}) {
    EXPECT_EQ(resolve_blob_file(*files, name).error().code(), ErrorCode::kUnsafePath) << name;
  }
  fs::create_symlink(folder_ / "secret.bin", items() / "weights/link.bin");
  EXPECT_EQ(resolve_blob_file(*files, "@model_path/weights/link.bin").error().code(), ErrorCode::kUnsafePath);
  EXPECT_EQ(resolve_blob_file(*files, "@model_path/weights").error().code(), ErrorCode::kReadFailed);
  EXPECT_TRUE(resolve_blob_file(*files, "weights/weight.bin").ok());
}

}  // namespace
}  // namespace smelt::coreml_format
