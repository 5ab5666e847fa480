#pragma once

#include <cstdint>
#include <vector>

#include "ir/op.h"

namespace smelt::ir {

/// Largest element of each window; padding counts as minus infinity.
///
///   x: T[N, C, *D_in]   y: T[N, C, *D_out], D_out as for Conv with dilation 1
///
/// `ceil_mode` of the source is resolved to a larger end pad by the importer. Spec: ONNX MaxPool-22, one output. MIL: max_pool.
struct MaxPool {
  static constexpr OpKind kKind = OpKind::kMaxPool;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> kernel, stride;       ///< one per spatial axis, each >= 1
  std::vector<std::int64_t> pads_begin, pads_end;  ///< elements, each >= 0 and < kernel
  template <typename V> void fields(V&& v) const {
    v("kernel", kernel); v("stride", stride); v("pads_begin", pads_begin); v("pads_end", pads_end);
  }
  bool operator==(const MaxPool&) const = default;
};
Status infer(const MaxPool& op, InferContext& cx);

/// Mean of each window. Padding counts as zeros if `counts_padding`, else it is left out of sum and count.
/// Spec: ONNX AveragePool-22. MIL: avg_pool (exclude_padding_from_average is the opposite of `counts_padding`).
struct AveragePool {
  static constexpr OpKind kKind = OpKind::kAveragePool;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> kernel, stride;
  std::vector<std::int64_t> pads_begin, pads_end;
  bool counts_padding = false;
  template <typename V> void fields(V&& v) const {
    v("kernel", kernel); v("stride", stride); v("pads_begin", pads_begin); v("pads_end", pads_end); v("counts_padding", counts_padding);
  }
  bool operator==(const AveragePool&) const = default;
};
Status infer(const AveragePool& op, InferContext& cx);

}  // namespace smelt::ir
