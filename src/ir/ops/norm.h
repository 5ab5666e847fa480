#pragma once

#include <cstdint>

#include "ir/op.h"

namespace smelt::ir {

/// gamma * (x - mean) / sqrt(variance + epsilon) + beta, all four of shape [C], C on axis 1; x of rank 2 to 5.
/// Operands: x, gamma, beta, mean, variance. Spec: ONNX BatchNormalization-15, inference. MIL: batch_norm.
struct BatchNorm {
  static constexpr OpKind kKind = OpKind::kBatchNorm;
  static constexpr std::size_t kMinInputs = 5, kMaxInputs = 5;
  float epsilon = 1e-5F;
  template <typename V> void fields(V&& v) const { v("epsilon", epsilon); }
  bool operator==(const BatchNorm&) const = default;
};
Status infer(const BatchNorm& op, InferContext& cx);

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta over the axes from `axis` on; biased variance. gamma and beta have the
/// shape x.shape[axis:]; both optional. Spec: ONNX LayerNormalization-17, first output. MIL: layer_norm.
struct LayerNorm {
  static constexpr OpKind kKind = OpKind::kLayerNorm;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 3;
  std::int64_t axis = 0;  ///< 0 to rank - 1
  float epsilon = 1e-5F;
  template <typename V> void fields(V&& v) const { v("axis", axis); v("epsilon", epsilon); }
  bool operator==(const LayerNorm&) const = default;
};
Status infer(const LayerNorm& op, InferContext& cx);

/// The same for each sample and channel over the spatial axes. x: T[N, C, *D]; gamma, beta: T[C].
/// Spec: ONNX InstanceNormalization-22. MIL: instance_norm.
struct InstanceNorm {
  static constexpr OpKind kKind = OpKind::kInstanceNorm;
  static constexpr std::size_t kMinInputs = 3, kMaxInputs = 3;
  float epsilon = 1e-5F;
  template <typename V> void fields(V&& v) const { v("epsilon", epsilon); }
  bool operator==(const InstanceNorm&) const = default;
};
Status infer(const InstanceNorm& op, InferContext& cx);

}  // namespace smelt::ir
