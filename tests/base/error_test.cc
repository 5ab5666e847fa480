#include "smelt/error.h"

#include <gtest/gtest.h>

#include "smelt/result.h"

namespace smelt {
namespace {

TEST(Error, TextNamesCodePlaceAndHint) {
  const Error error = Error(ErrorCode::kTruncatedInput, "raw_data needs 40 bytes, 12 remain")
                          .at({.file = "m.onnx", .byte_offset = 7, .graph = "main", .node = "conv1"})
                          .hint("compare its size with the publisher's");
  EXPECT_EQ(error.to_string(),
            "error[E0201]: raw_data needs 40 bytes, 12 remain\n"
            "  --> m.onnx, byte 7, graph main, node \"conv1\"\n"
            "   = help: compare its size with the publisher's");
  EXPECT_EQ(Error(ErrorCode::kInternal, "x").to_string(), "error[E0901]: x");
}

TEST(Error, ExitStatusFollowsTheHundred) {
  EXPECT_EQ(exit_status(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(exit_status(ErrorCode::kReadFailed), 1);
  EXPECT_EQ(exit_status(ErrorCode::kMalformedInput), 4);
  EXPECT_EQ(exit_status(ErrorCode::kLimitReached), 5);
  EXPECT_EQ(exit_status(ErrorCode::kInternal), 70);
}

Result<int> half(int x) {
  if (x % 2 != 0) return Error(ErrorCode::kInvalidArgument, "odd");
  return x / 2;
}
Result<int> quarter(int x) {
  SMELT_ASSIGN_OR_RETURN(const int once, half(x));
  SMELT_ASSIGN_OR_RETURN(const int twice, half(once));
  return twice;
}

TEST(Result, ErrorsPassThroughTheMacros) {
  EXPECT_EQ(*quarter(8), 2);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

TEST(ResultDeathTest, ReadingTheValueOfAnErrorEndsTheProcess) {
  EXPECT_DEATH(static_cast<void>(half(1).value()), "E0901");
}

}  // namespace
}  // namespace smelt
