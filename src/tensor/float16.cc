#include "tensor/float16.h"

#include <bit>

namespace smelt {

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
