#include "base/temporary.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "smelt/interrupt.h"
#include "temp_folder.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

class TemporaryTest : public TempFolderTest {
 protected:
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

  /// A file that a run which died would have left.
  fs::path left(const std::string& name) const {
    std::ofstream(folder_ / name) << "half";
    return folder_ / name;
  }

  fs::path target() const { return folder_ / "out"; }
};

TEST_F(TemporaryTest, IsThereAsLongAsItsObject) {
  {
    const Result<Temporary> file = Temporary::file(target());
    ASSERT_TRUE(file.ok()) << file.error().to_string();
    EXPECT_TRUE(fs::is_regular_file(file->path()));
    EXPECT_EQ(::write(file->descriptor(), "x", 1), 1);
    const Result<Temporary> folder = Temporary::folder(target());
    ASSERT_TRUE(folder.ok()) << folder.error().to_string();
    fs::create_directories(folder->path() / "a/b");
    EXPECT_EQ(folder->path().parent_path(), folder_);
    EXPECT_NE(file->path(), folder->path());
    EXPECT_EQ(names().size(), 2U);
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(TemporaryTest, WhatIsReleasedStays) {
  {
    Result<Temporary> file = Temporary::file(target());
    ASSERT_TRUE(file.ok());
    fs::rename(file->path(), target());
    file->release();
  }
  EXPECT_EQ(names(), std::vector<std::string>{"out"});
}

TEST_F(TemporaryTest, AFolderThatIsNotThereIsAnError) {
  for (const auto& make : {Temporary::file, Temporary::folder}) {
    const Result<Temporary> made = make(folder_ / "none/out");
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code(), ErrorCode::kWriteFailed);
  }
}

TEST_F(TemporaryTest, OnlyWhatNobodyHoldsIsRemoved) {
  const Result<Temporary> used = Temporary::folder(target());
  ASSERT_TRUE(used.ok());
  left("out.smelt-tmp-aaaaaa");
  fs::create_directories(folder_ / "out.smelt-tmp-bbbbbb/new/Data");
  left("out.smelt-tmp-of-mine");
  left("other.smelt-tmp-aaaaaa");
  left("out");
  fs::create_symlink("other.smelt-tmp-aaaaaa", folder_ / "out.smelt-tmp-cccccc");
  std::vector<std::string> visited;
  remove_leftovers(target(), [&](const fs::path& path) {
    EXPECT_TRUE(fs::exists(path));
    visited.push_back(path.filename().string());
  });
  EXPECT_EQ(visited, (std::vector<std::string>{"out.smelt-tmp-aaaaaa", "out.smelt-tmp-bbbbbb"}));
  std::vector<std::string> stay{"other.smelt-tmp-aaaaaa", "out", "out.smelt-tmp-cccccc", "out.smelt-tmp-of-mine", used->path().filename().string()};
  std::sort(stay.begin(), stay.end());
  EXPECT_EQ(names(), stay);
}

TEST_F(TemporaryTest, ARelativeTargetIsOfTheCurrentFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  left("out.smelt-tmp-aaaaaa");
  remove_leftovers("out");
  const bool is_removed = names().empty();
  const bool is_made = Temporary::file("out").ok();
  fs::current_path(before);
  EXPECT_TRUE(is_removed);
  EXPECT_TRUE(is_made);
}

TEST_F(TemporaryTest, AnInterruptedProcessLeavesNothing) {
  const auto interrupted = [this] {
    const Result<Temporary> file = Temporary::file(target());
    const Result<Temporary> folder = Temporary::folder(target());
    fs::create_directories(folder->path() / "new/Data");
    remove_unfinished();
    ::_exit(names().empty() ? 130 : 1);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace smelt
