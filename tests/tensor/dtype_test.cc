#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <limits>

namespace smelt {
namespace {

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i < 15; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(name(dtype)), dtype) << name(dtype);
    EXPECT_FALSE(is_float(dtype) && is_integer(dtype));
  }
  for (const char* text : {"", "F32", "f3", "f32 ", "float32"}) EXPECT_FALSE(parse_dtype(text).has_value()) << text;
}

TEST(DType, KindsAndWidths) {
  EXPECT_TRUE(is_float(DType::kBF16));
  EXPECT_TRUE(is_integer(DType::kU4));
  EXPECT_FALSE(is_integer(DType::kBool));
  EXPECT_FALSE(is_float(DType::kBool));
  EXPECT_EQ(bits(DType::kF64), 64U);
  EXPECT_EQ(bits(DType::kBF16), 16U);
  EXPECT_EQ(bits(DType::kBool), 8U);
  EXPECT_EQ(bits(DType::kI4), 4U);
}

TEST(DType, PackedBytes) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(packed_bytes(DType::kF32, 0).value(), 0U);
  EXPECT_EQ(packed_bytes(DType::kF32, 3).value(), 12U);
  EXPECT_EQ(packed_bytes(DType::kI4, 0).value(), 0U);
  EXPECT_EQ(packed_bytes(DType::kI4, 1).value(), 1U);
  EXPECT_EQ(packed_bytes(DType::kU4, 5).value(), 3U);
  EXPECT_EQ(packed_bytes(DType::kU4, kMax).value(), kMax / 2 + 1);
  EXPECT_EQ(packed_bytes(DType::kU8, kMax).value(), kMax);
  EXPECT_EQ(packed_bytes(DType::kI64, kMax / 8).value(), kMax / 8 * 8);
  const auto over = packed_bytes(DType::kI64, kMax / 8 + 1);
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code(), ErrorCode::kLimitReached);
}

}  // namespace
}  // namespace smelt
