#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace smelt {

/// Where a copy of a package goes that other readers shall see too (tests/oracle/check_kept.py), with the running test's name;
/// nowhere, an empty path, unless SMELT_KEEP_PACKAGES names a folder.
inline std::filesystem::path kept_package_path() {
  const char* const folder = std::getenv("SMELT_KEEP_PACKAGES");
  if (folder == nullptr || *folder == '\0') return {};
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = fmt::format("{}.{}", test->test_suite_name(), test->name());
  for (char& c : name) c = c == '/' ? '.' : c;
  std::filesystem::path path;
  int number = 0;
  do path = std::filesystem::path(folder) / fmt::format("{}.{}.mlpackage", name, number++);
  while (std::filesystem::exists(path));
  return path;
}

/// Copies a package as smelt wrote it, before the test does anything to it. Gives the copy's path, or an empty one.
inline std::filesystem::path keep_package(const std::filesystem::path& package) {
  const std::filesystem::path path = kept_package_path();
  if (path.empty()) return {};
  std::filesystem::create_directories(path.parent_path());
  std::filesystem::copy(package, path, std::filesystem::copy_options::recursive);
  return path;
}

}  // namespace smelt
