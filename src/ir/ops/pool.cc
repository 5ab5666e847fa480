#include "ir/ops/pool.h"

#include <cstddef>
#include <string_view>

#include <fmt/format.h>

#include "ir/ops/conv.h"

namespace smelt::ir {
namespace {

/// A pad that a whole window fits in gives an element of padding only.
Status pads_below_kernel(std::string_view name, const std::vector<std::int64_t>& pads,
                         const std::vector<std::int64_t>& kernel) {
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= kernel[i]) {
      return rule::malformed(fmt::format("{} is {}, less than the kernel's {} required", name, pads[i], kernel[i]));
    }
  }
  return {};
}

template <typename T>
Status infer_pool(const T& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  // ONNX AveragePool-22: T is a float; the IR's own: so for MaxPool
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // The IR's own: 1 to 3 spatial axes
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 3, 5));
  const Shape& x = cx.input(0).shape;
  const std::size_t axes = x.size() - 2;
  // ONNX MaxPool-22: kernel_shape, strides and pads have a value for each spatial axis
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("kernel", op.kernel, axes, 1));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("stride", op.stride, axes, 1));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("pads_begin", op.pads_begin, axes, 0));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("pads_end", op.pads_end, axes, 0));
  // The IR's own: pads < kernel
  SMELT_RETURN_IF_ERROR(pads_below_kernel("pads_begin", op.pads_begin, op.kernel));
  SMELT_RETURN_IF_ERROR(pads_below_kernel("pads_end", op.pads_end, op.kernel));
  Shape shape{x[0], x[1]};
  for (std::size_t i = 0; i < axes; ++i) {
    const Window window{.kernel = Dim(op.kernel[i]), .stride = op.stride[i], .dilation = 1,
                        .pad_begin = op.pads_begin[i], .pad_end = op.pads_end[i]};
    SMELT_ASSIGN_OR_RETURN(const Dim extent, window_extent(x[i + 2], window, cx.symbols));
    shape.push_back(extent);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace

Status infer(const MaxPool& op, InferContext& cx) { return infer_pool(op, cx); }
Status infer(const AveragePool& op, InferContext& cx) { return infer_pool(op, cx); }

}  // namespace smelt::ir
