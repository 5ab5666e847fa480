#include "base/output_file.h"

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace smelt {
namespace {

class OutputFileTest : public TempFolderTest {
 protected:
  void SetUp() override {
    TempFolderTest::SetUp();
    target_ = folder_ / "out.bin";
  }

  [[nodiscard]] std::string content() const {
    std::ifstream in(target_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] std::ptrdiff_t entries() const {
    return std::distance(std::filesystem::directory_iterator(folder_), {});
  }
  static Status write(OutputFile& file, std::string_view text) { return file.write(std::as_bytes(std::span(text))); }

  std::filesystem::path target_;
};

TEST_F(OutputFileTest, AppearsWholeAtCommitAndOnlyThen) {
  {
    Result<OutputFile> file = OutputFile::create(target_, OutputFile::IfExists::kFail);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(write(*file, "hello ").ok());
    EXPECT_FALSE(std::filesystem::exists(target_));
    OutputFile moved = std::move(file).value();
    ASSERT_TRUE(write(moved, "world").ok());
    ASSERT_TRUE(moved.commit().ok());
    EXPECT_EQ(entries(), 1);  // no temporary name outlives commit
  }
  EXPECT_EQ(content(), "hello world");
  EXPECT_EQ(entries(), 1);
}

TEST_F(OutputFileTest, AnAbandonedOneLeavesNothing) {
  {
    Result<OutputFile> file = OutputFile::create(target_, OutputFile::IfExists::kFail);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(write(*file, "half").ok());
    EXPECT_EQ(entries(), 1);
  }
  EXPECT_EQ(entries(), 0);
}

TEST_F(OutputFileTest, AnExistingTargetIsKeptUnlessReplacingWasAsked) {
  std::ofstream(target_) << "old";
  const Result<OutputFile> refused = OutputFile::create(target_, OutputFile::IfExists::kFail);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kOutputExists);
  EXPECT_EQ(content(), "old");

  Result<OutputFile> replacing = OutputFile::create(target_, OutputFile::IfExists::kReplace);
  ASSERT_TRUE(replacing.ok());
  ASSERT_TRUE(write(*replacing, "new").ok());
  EXPECT_EQ(content(), "old");
  ASSERT_TRUE(replacing->commit().ok());
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(entries(), 1);
}

TEST_F(OutputFileTest, ATargetThatAppearsMeanwhileIsNotOverwritten) {
  {
    Result<OutputFile> file = OutputFile::create(target_, OutputFile::IfExists::kFail);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(write(*file, "mine").ok());
    std::ofstream(target_) << "theirs";
    const Status status = file->commit();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kOutputExists);
  }
  EXPECT_EQ(content(), "theirs");
  EXPECT_EQ(entries(), 1);
}

TEST_F(OutputFileTest, AMissingFolderIsAWriteError) {
  const Result<OutputFile> file = OutputFile::create(folder_ / "none" / "x", OutputFile::IfExists::kFail);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code(), ErrorCode::kWriteFailed);
}

}  // namespace
}  // namespace smelt
