#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "smelt/result.h"
#include "tensor/constant.h"

/// Symmetric int8, a scale for each slice along one axis ("per channel").
///
///   R = max |w| of the slice, from the float32 weight     s = R / 127, rounded to the type it is stored in
///   q = clamp(round_half_even(w / s), -127, 127), with the stored s     w' = q * s
///
/// -128 is not used. A slice of zeros has s = 1, q = 0. A scale stored in float16 is at least 2^-14, its smallest normal number, since
/// some hardware takes smaller ones for zero: a slice with R below 0.0078 uses fewer codes, its error still at most 2^-15. Error bound of a slice: |w' - w| <= s / 2 where |w| <= 127 s; the largest
/// element may lose more, at most R * 2^-11, where the scale was rounded down to float16.
/// Source: quantization notes 1.1 (restricted symmetric), as Core ML's own tools have it.
namespace smelt::quantize::int8 {

/// How many elements lie between two of the same slice: the product of the extents behind `axis`.
[[nodiscard]] std::uint64_t inner_elements(const std::vector<std::int64_t>& shape, std::int64_t axis);

struct Scales {
  std::vector<float> values;        ///< one for each slice, as stored
  std::string_view refusal = {};    ///< why the weight cannot be compressed; empty if it can
};

/// The scales of a float32 weight. `stores_f16`: rounded to float16. Refused: values that are not finite, scales too large for
/// float16, and a weight whose every slice has R below 0.0078 / 4, of which too few codes would be left.
[[nodiscard]] Result<Scales> scales(const Constant& weight, std::int64_t axis, bool stores_f16);

/// The codes, as a constant that is computed while it is read.
[[nodiscard]] Result<ConstantRef> encode(const Constant& weight, std::int64_t axis, const std::vector<float>& scales);

}  // namespace smelt::quantize::int8
