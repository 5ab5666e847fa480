#pragma once

#include <bit>
#include <cstdint>

namespace smelt {

/// IEEE 754 binary16 bits of `value`: round to nearest, ties to even; |value| >= 65520 becomes infinity; values at or below
/// 2^-25 become zero; NaN stays NaN (quiet, sign kept, upper payload bits kept).
/// Without branches, so that a loop over it becomes vector instructions.
[[nodiscard]] inline std::uint16_t f16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  // Normal from 2^-14 on: the exponent's bias falls by 112, 13 bits go, and a carry may raise the exponent.
  const std::uint32_t rebased = magnitude - (112U << 23);
  const std::uint32_t normal = (rebased + 0xfffU + (rebased >> 13 & 1U)) >> 13;
  // Subnormal below: in steps of 2^-24, the ulp of numbers from 1/2 on, so that adding 1/2 rounds.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
  const std::uint32_t nan = 0x7e00U | (magnitude >> 13 & 0x1ffU);
  std::uint32_t half = magnitude < 0x38800000U ? subnormal : normal;
  half = magnitude >= 0x477ff000U ? 0x7c00U : half;  // 65520 and above
  half = magnitude > 0x7f800000U ? nan : half;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000U) | half);
}

/// The value of binary16 bits, exact.
[[nodiscard]] float f16_value(std::uint16_t bits);

/// Whether a finite value keeps being finite in binary16, that is |value| < 65520. False for NaN and infinities.
/// Source: half of the step above the largest finite half, 65504, rounds to even, which is infinity.
[[nodiscard]] bool fits_f16(float value);

}  // namespace smelt
