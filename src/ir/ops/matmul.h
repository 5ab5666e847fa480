#pragma once

#include "ir/op.h"

namespace smelt::ir {

/// Matrix product of the last two axes; the axes before broadcast.
///
///   x: T[*B, M, K] ([*B, K, M] if transpose_x)   y: T[*B, K, N] ([*B, N, K] if transpose_y)   out: T[*B, M, N]
///
/// Ranks >= 2: the importer expands rank-1 operands. Spec: ONNX MatMul-13. MIL: matmul.
struct MatMul {
  static constexpr OpKind kKind = OpKind::kMatMul;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 2;
  bool transpose_x = false, transpose_y = false;
  template <typename V> void fields(V&& v) const { v("transpose_x", transpose_x); v("transpose_y", transpose_y); }
  bool operator==(const MatMul&) const = default;
};
Status infer(const MatMul& op, InferContext& cx);

/// x * w^T + b along the last axis.
///
///   x: T[*B, K], rank >= 2   w: T[N, K]   b: T[N], optional   out: T[*B, N]
///
/// Spec: torch.nn.Linear; ONNX Gemm-13 with transB. MIL: linear.
struct Linear {
  static constexpr OpKind kKind = OpKind::kLinear;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 3;
  template <typename V> void fields(V&&) const {}
  bool operator==(const Linear&) const = default;
};
Status infer(const Linear& op, InferContext& cx);

}  // namespace smelt::ir
