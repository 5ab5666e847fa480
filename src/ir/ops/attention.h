#pragma once

#include "ir/op.h"

namespace smelt::ir {

/// Scaled dot-product attention: softmax(scale * query * key^T + mask, last axis) * value.
///
///   query: T[*B, L, E]   key: T[*B, S, E]   value: T[*B, S, EV]   mask: T that broadcasts to [*B, L, S], optional
///   out: T[*B, L, EV]
///
/// Rank >= 3; *B is the same in all three. A row of `mask` that is minus infinity throughout gives NaN.
/// Spec: ONNX Attention-23, four-dimensional form. MIL: scaled_dot_product_attention (iOS18), whose scale is 1/sqrt(E).
struct Attention {
  static constexpr OpKind kKind = OpKind::kAttention;
  static constexpr std::size_t kMinInputs = 3, kMaxInputs = 4;
  float scale = 1.0F;
  template <typename V> void fields(V&& v) const { v("scale", scale); }
  bool operator==(const Attention&) const = default;
};
Status infer(const Attention& op, InferContext& cx);

}  // namespace smelt::ir
