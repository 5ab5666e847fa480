#include "base/mapped_file.h"

#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_folder.h"

namespace smelt {
namespace {

using MappedFileTest = TempFolderTest;

TEST_F(MappedFileTest, GivesTheBytesAndSurvivesAMoveAndARelease) {
  std::ofstream(folder_ / "a") << "hello";
  Result<MappedFile> opened = MappedFile::open(folder_ / "a");
  ASSERT_TRUE(opened.ok());
  MappedFile file = std::move(opened).value();
  file.release_pages();
  ASSERT_EQ(file.size(), 5U);
  EXPECT_EQ(std::memcmp(file.bytes().data(), "hello", 5), 0);
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  std::ofstream(folder_ / "empty").flush();
  const Result<MappedFile> file = MappedFile::open(folder_ / "empty");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

TEST_F(MappedFileTest, WhatIsNoRegularFileIsRefusedByName) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  const std::pair<std::filesystem::path, const char*> cases[] = {
      {folder_ / "pipe", "a pipe"}, {folder_, "a folder"}, {"/dev/zero", "a device"}, {folder_ / "none", "No such file"}};
  for (const auto& [path, text] : cases) {
    const Result<MappedFile> file = MappedFile::open(path);
    ASSERT_FALSE(file.ok()) << path;
    EXPECT_EQ(file.error().code(), ErrorCode::kReadFailed);
    EXPECT_NE(file.error().message().find(text), std::string::npos) << file.error().message();
  }
}

TEST_F(MappedFileTest, InsideAFolderNoLinkIsFollowed) {
  std::ofstream(folder_ / "outside") << "secret";
  std::filesystem::create_directories(folder_ / "model/sub");
  std::ofstream(folder_ / "model/sub/a") << "hello";
  const std::filesystem::path model = folder_ / "model";
  const Result<MappedFile> file = MappedFile::open_inside(model, model / "sub/a");
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  EXPECT_EQ(file->size(), 5U);
  std::filesystem::create_symlink("../outside", model / "link");
  std::filesystem::create_symlink("sub/a", model / "link_inside");
  std::filesystem::create_symlink("..", model / "folder");
  for (const char* name : {"link", "link_inside", "folder/outside", "../outside"}) {
    const Result<MappedFile> refused = MappedFile::open_inside(model, model / name);
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsafePath) << name;
  }
  EXPECT_EQ(MappedFile::open_inside(model, model / "none").error().code(), ErrorCode::kReadFailed);
  EXPECT_EQ(MappedFile::open_inside(model, model / "sub").error().code(), ErrorCode::kReadFailed);
}

}  // namespace
}  // namespace smelt
