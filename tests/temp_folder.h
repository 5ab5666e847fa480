#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "kept_packages.h"

namespace smelt {

/// A test with a folder of its own, removed at the end. The packages in it are kept first where SMELT_KEEP_PACKAGES says so.
class TempFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "smelt-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    if (leaves_packages()) {
      for (const std::filesystem::directory_entry& entry : std::filesystem::recursive_directory_iterator(folder_)) {
        if (entry.path().extension() == ".mlpackage" && std::filesystem::exists(entry.path() / "Manifest.json")) keep_package(entry.path());
      }
    }
    std::filesystem::remove_all(folder_);
  }

  /// Whether the packages in the folder are as smelt wrote them. False: the test makes or damages them by hand.
  [[nodiscard]] virtual bool leaves_packages() const { return true; }

  std::filesystem::path folder_;
};

}  // namespace smelt
