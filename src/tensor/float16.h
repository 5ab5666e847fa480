#pragma once

#include <cstdint>

namespace smelt {

/// IEEE 754 binary16 bits of `value`: round to nearest, ties to even; |value| >= 65520 becomes infinity; values at or below
/// 2^-25 become zero; NaN stays NaN (quiet, sign kept, upper payload bits kept).
[[nodiscard]] std::uint16_t f16_bits(float value);

/// The value of binary16 bits, exact.
[[nodiscard]] float f16_value(std::uint16_t bits);

/// Whether a finite value keeps being finite in binary16, that is |value| < 65520. False for NaN and infinities.
/// Source: half of the step above the largest finite half, 65504, rounds to even, which is infinity.
[[nodiscard]] bool fits_f16(float value);

}  // namespace smelt
