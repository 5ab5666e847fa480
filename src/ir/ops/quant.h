#pragma once

#include <cstdint>

#include "ir/op.h"

namespace smelt::ir {

/// scale * q, with a scale for each slice along `axis`.
///
///   q: i8[*D]   scale: T[D[axis]] (or T[1] for the whole tensor)   out: T[*D]
///
/// Symmetric: no zero point. Spec: ONNX DequantizeLinear-13 without zero point. MIL: constexpr_affine_dequantize (zero point 0),
/// constexpr_blockwise_shift_scale.
struct Dequantize {
  static constexpr OpKind kKind = OpKind::kDequantize;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 2;
  std::int64_t axis = 0;
  template <typename V> void fields(V&& v) const { v("axis", axis); }
  bool operator==(const Dequantize&) const = default;
};
Status infer(const Dequantize& op, InferContext& cx);

}  // namespace smelt::ir
