// Every prefix of the small files of fixtures/, read as a whole model, package or archive would be.
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "convert/coreml/import.h"
#include "convert/onnx/import.h"
#include "temp_folder.h"
#include "validate/npy.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

class Truncation : public TempFolderTest {
 protected:
  static std::string contents(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; }

  /// Changes one byte in its place.
  static void put(const fs::path& path, std::size_t at, char byte) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  static std::optional<ErrorCode> import_onnx(const fs::path& path) {
    Result<MappedFile> file = MappedFile::open(path);
    if (!file.ok()) return file.error().code();
    const auto imported = onnx_format::import_model(std::make_shared<const MappedFile>(std::move(*file)), path, {});
    return imported.ok() ? std::nullopt : std::optional(imported.error().code());
  }
  static std::optional<ErrorCode> import_package(const fs::path& path) {
    const auto imported = coreml_format::import_package(path);
    return imported.ok() ? std::nullopt : std::optional(imported.error().code());
  }
  static std::optional<ErrorCode> read_npz(const fs::path& path) {
    const auto arrays = parity::read_npz(path, {});
    return arrays.ok() ? std::nullopt : std::optional(arrays.error().code());
  }

  const fs::path corrupt_ = fs::path(SMELT_FIXTURES) / "corrupt";
};

/// What is wrong with bytes: a code that says so, never one of a bug.
bool is_refusal(ErrorCode code) { return code != ErrorCode::kInternal && code != ErrorCode::kReadFailed; }

TEST_F(Truncation, EveryPrefixOfEveryOnnxFile) {
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(corrupt_)) {
    if (entry.path().extension() != ".onnx" || entry.file_size() > 1024) continue;
    ++files;
    const fs::path file = folder_ / "model.onnx";
    fs::copy_file(entry.path(), file, fs::copy_options::overwrite_existing);
    const bool is_good = entry.path().filename() == "good.onnx";
    if (is_good) {
      EXPECT_EQ(import_onnx(file), std::nullopt);
    }
    for (std::uintmax_t size = entry.file_size(); size-- > 0;) {
      fs::resize_file(file, size);
      const std::optional<ErrorCode> code = import_onnx(file);
      if (is_good) {
        EXPECT_TRUE(code.has_value()) << size << " bytes";
      }
      // A location may be cut to the name of no file; all else is in the bytes.
      const bool is_external = entry.path().filename().string().starts_with("external");
      if (code && !is_external) {
        EXPECT_TRUE(is_refusal(*code)) << entry.path() << ", " << size << " bytes: " << code_name(*code);
      }
    }
  }
  EXPECT_GT(files, 100U);
}

TEST_F(Truncation, EveryPrefixOfEveryPartOfAPackage) {
  const fs::path package = folder_ / "good.mlpackage";
  fs::copy(corrupt_ / "packages/good.mlpackage", package, fs::copy_options::recursive);
  ASSERT_EQ(import_package(package), std::nullopt);
  for (const char* part : {"Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"}) {
    const std::string whole = contents(package / part);
    ASSERT_GT(whole.size(), 100U) << part;
    for (std::size_t size = whole.size(); size-- > 0;) {
      fs::resize_file(package / part, size);
      const std::optional<ErrorCode> code = import_package(package);
      ASSERT_TRUE(code.has_value()) << part << ", " << size << " bytes";
      EXPECT_TRUE(is_refusal(*code)) << part << ", " << size << " bytes: " << code_name(*code);
    }
    write(package / part, whole);
  }
  EXPECT_EQ(import_package(package), std::nullopt);
}

TEST_F(Truncation, EveryChangedByteOfAPackageIsReadOrRefused) {
  const fs::path package = folder_ / "good.mlpackage";
  fs::copy(corrupt_ / "packages/good.mlpackage", package, fs::copy_options::recursive);
  std::size_t refused = 0;
  for (const char* part : {"Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"}) {
    const std::string whole = contents(package / part);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        put(package / part, at, static_cast<char>(whole[at] ^ flip));
        const std::optional<ErrorCode> code = import_package(package);
        if (!code) continue;
        ++refused;
        EXPECT_NE(*code, ErrorCode::kInternal) << part << ", byte " << at;
      }
      put(package / part, at, whole[at]);
    }
  }
  EXPECT_GT(refused, 500U);
}

TEST_F(Truncation, EveryPrefixOfEveryArchive) {
  for (const auto& entry : fs::directory_iterator(corrupt_ / "data")) {
    if (entry.path().extension() != ".npz") continue;
    const fs::path file = folder_ / "data.npz";
    fs::copy_file(entry.path(), file, fs::copy_options::overwrite_existing);
    for (std::uintmax_t size = entry.file_size(); size-- > 0;) {
      fs::resize_file(file, size);
      const std::optional<ErrorCode> code = read_npz(file);
      ASSERT_TRUE(code.has_value()) << entry.path() << ", " << size << " bytes";
      EXPECT_TRUE(is_refusal(*code)) << entry.path() << ", " << size << " bytes: " << code_name(*code);
    }
  }
}

}  // namespace
}  // namespace smelt
