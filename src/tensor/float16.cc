#include "tensor/float16.h"

#include <bit>

namespace smelt {
namespace {

/// `bits` without its lowest `shift` bits, rounded to nearest, ties to even. `shift` in [1, 31].
std::uint32_t shift_round_even(std::uint32_t bits, unsigned shift) {
  const std::uint32_t kept = bits >> shift;
  const std::uint32_t rest = bits & ((1U << shift) - 1U);
  const std::uint32_t half = 1U << (shift - 1U);
  return kept + static_cast<std::uint32_t>(rest > half || (rest == half && (kept & 1U) != 0));
}

}  // namespace

std::uint16_t f16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000U) {  // NaN: keep the top of the payload, set the quiet bit
    half = 0x7e00U | (magnitude >> 13 & 0x1ffU);
  } else if (magnitude >= 0x477ff000U) {  // 65520 and above
    half = 0x7c00U;
  } else if (magnitude >= 0x38800000U) {  // 2^-14: normal; the exponent's bias falls by 112, a carry may raise it
    half = shift_round_even(magnitude - (112U << 23), 13);
  } else if (magnitude >= 0x33000000U) {  // 2^-25: subnormal, in steps of 2^-24
    const std::uint32_t exponent = magnitude >> 23;
    half = shift_round_even((magnitude & 0x7fffffU) | 0x800000U, 126U - exponent);
  }
  return static_cast<std::uint16_t>(sign | half);
}

float f16_value(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112U) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;  // exact: at most 10 bits
  return sign != 0 ? -magnitude : magnitude;
}

bool fits_f16(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7fffffffU) < 0x477ff000U;
}

}  // namespace smelt
