#pragma once

#include <cstdint>
#include <vector>

#include "ir/op.h"

namespace smelt::ir {

/// N-D convolution (cross-correlation), channels first.
///
///   x: T[N, C_in, *D_in]   w: T[C_out, C_in/groups, *K]   b: T[C_out], optional; 1 to 3 spatial axes
///   y: T[N, C_out, *D_out]
///   D_out[i] = floor((D_in[i] + pads_begin[i] + pads_end[i] - dilation[i]*(K[i]-1) - 1) / stride[i]) + 1
///
/// `auto_pad` of the source is resolved to explicit pads by the importer. Spec: ONNX Conv-22. MIL: conv.
struct Conv {
  static constexpr OpKind kKind = OpKind::kConv;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 3;
  std::vector<std::int64_t> stride;      ///< one per spatial axis, each >= 1
  std::vector<std::int64_t> dilation;    ///< one per spatial axis, each >= 1
  std::vector<std::int64_t> pads_begin;  ///< elements, each >= 0
  std::vector<std::int64_t> pads_end;    ///< elements, each >= 0
  std::int64_t groups = 1;               ///< divides C_in and C_out
  template <typename V> void fields(V&& v) const {
    v("stride", stride); v("dilation", dilation); v("pads_begin", pads_begin); v("pads_end", pads_end); v("groups", groups);
  }
  bool operator==(const Conv&) const = default;
};
Status infer(const Conv& op, InferContext& cx);

/// The adjoint of a convolution: every element of x adds its multiple of w to y.
///
///   x: T[N, C_in, *D_in]   w: T[C_in, C_out/groups, *K]   b: T[C_out], optional; 1 to 3 spatial axes
///   y: T[N, C_out, *D_out]
///   D_out[i] = (D_in[i] - 1)*stride[i] + dilation[i]*(K[i]-1) + 1 - pads_begin[i] - pads_end[i] + output_padding[i]
///
/// pads take elements away from y; output_padding gives its end more, which are b alone where no element of w reaches them.
/// `auto_pad` and `output_shape` of the source are resolved by the importer. Spec: ONNX ConvTranspose-22. MIL: conv_transpose.
struct ConvTranspose {
  static constexpr OpKind kKind = OpKind::kConvTranspose;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 3;
  std::vector<std::int64_t> stride;          ///< one per spatial axis, each >= 1
  std::vector<std::int64_t> dilation;        ///< one per spatial axis, each >= 1
  std::vector<std::int64_t> pads_begin;      ///< elements, each >= 0
  std::vector<std::int64_t> pads_end;        ///< elements, each >= 0
  std::vector<std::int64_t> output_padding;  ///< elements, each >= 0
  std::int64_t groups = 1;                   ///< divides C_in
  template <typename V> void fields(V&& v) const {
    v("stride", stride); v("dilation", dilation); v("pads_begin", pads_begin); v("pads_end", pads_end);
    v("output_padding", output_padding); v("groups", groups);
  }
  bool operator==(const ConvTranspose&) const = default;
};
Status infer(const ConvTranspose& op, InferContext& cx);

/// One spatial axis of a sliding window: what `Conv` and the pools share.
struct Window {
  Dim kernel;
  std::int64_t stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;
};
/// D_out of the formula above for one axis; at least 1 when known, else an error with the numbers.
[[nodiscard]] Result<Dim> window_extent(Dim in, const Window& window, SymbolTable& symbols);

}  // namespace smelt::ir
