#include "tensor/float16.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace smelt {
namespace {

/// Nearest half by exact arithmetic on doubles, sharing nothing with the code under test: scale to the half's step, then
/// nearbyint, which rounds ties to even in the default environment.
double nearest_half(float value) {
  const double x = value;
  if (x == 0 || std::isinf(x)) return x;
  const int exponent = std::max(std::ilogb(x), -14);
  const double step = std::ldexp(1.0, exponent - 10);
  const double rounded = std::nearbyint(x / step) * step;
  return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), x) : rounded;
}

TEST(Float16, EveryBitPatternSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = f16_value(half);
    if ((bits & 0x7c00U) == 0x7c00U && (bits & 0x3ffU) != 0) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(std::isnan(f16_value(f16_bits(value)))) << bits;
    } else {
      EXPECT_EQ(f16_bits(value), half) << bits;
    }
  }
}

TEST(Float16, PublishedValues) {  // IEEE 754 binary16: one, largest, smallest normal, smallest subnormal
  EXPECT_EQ(f16_value(0x3c00), 1.0F);
  EXPECT_EQ(f16_value(0x7bff), 65504.0F);
  EXPECT_EQ(f16_value(0x0400), 0x1p-14F);
  EXPECT_EQ(f16_value(0x8001), -0x1p-24F);
  EXPECT_EQ(f16_bits(-0.0F), 0x8000);
}

void expect_nearest(float value) {
  EXPECT_EQ(static_cast<double>(f16_value(f16_bits(value))), nearest_half(value)) << std::hexfloat << value;
}

TEST(Float16, RoundsToNearestEvenAroundEveryHalf) {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {  // each midpoint to the next half, and both its neighbours
    const float low = f16_value(static_cast<std::uint16_t>(bits));
    const float high = bits == 0x7bff ? 65536.0F : f16_value(static_cast<std::uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    for (const float value : {std::nextafter(middle, 0.0F), middle, std::nextafter(middle, 1e30F)}) {
      expect_nearest(value);
      expect_nearest(-value);
    }
  }
}

TEST(Float16, RoundsRandomBitPatternsToNearestEven) {
  std::mt19937 random(20261125);
  for (int i = 0; i < 500'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_value(f16_bits(value))));
    } else {
      expect_nearest(value);
    }
  }
}

TEST(Float16, FitsExactlyWhereTheResultIsFinite) {
  for (const float value : {0.0F, 65504.0F, 65519.996F, 65520.0F, 1e30F, -65519.996F, -65520.0F}) {
    EXPECT_EQ(fits_f16(value), std::isfinite(f16_value(f16_bits(value)))) << value;
  }
  EXPECT_FALSE(fits_f16(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_FALSE(fits_f16(std::numeric_limits<float>::infinity()));
}

}  // namespace
}  // namespace smelt
