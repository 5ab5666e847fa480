#include "ir/ops/conv.h"

#include <cstddef>
#include <optional>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

/// What the window adds to the extent before dividing: pad_begin + pad_end - (dilation * (kernel - 1) + 1).
std::optional<std::int64_t> window_offset(const Window& window) {
  std::int64_t reach = 0;
  std::int64_t offset = 0;
  if (__builtin_mul_overflow(window.dilation, window.kernel.extent() - 1, &reach)) return std::nullopt;
  if (__builtin_add_overflow(window.pad_begin, window.pad_end, &offset)) return std::nullopt;
  if (__builtin_sub_overflow(offset, reach, &offset)) return std::nullopt;
  if (__builtin_sub_overflow(offset, 1, &offset)) return std::nullopt;
  return offset;
}

/// What Conv and ConvTranspose share: operands, ranks, and the attributes that both have.
template <typename Op>
Status check_operands(const Op& op, const InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 3));
  // ONNX Conv-22, ConvTranspose-22: X, W and B are of one float type
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // The IR's own: 1 to 3 spatial axes
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 3, 5));
  const std::size_t rank = cx.input(0).shape.size(), axes = rank - 2;
  // ONNX Conv-22, ConvTranspose-22: W has the rank of X
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, rank, rank));
  // ONNX Conv-22, ConvTranspose-22: strides, dilations, pads and output_padding have a value for each spatial axis
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("stride", op.stride, axes, 1));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("dilation", op.dilation, axes, 1));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("pads_begin", op.pads_begin, axes, 0));
  SMELT_RETURN_IF_ERROR(rule::one_per_axis("pads_end", op.pads_end, axes, 0));
  if constexpr (requires { op.output_padding; }) {
    SMELT_RETURN_IF_ERROR(rule::one_per_axis("output_padding", op.output_padding, axes, 0));
  }
  if (op.groups < 1) return rule::malformed(fmt::format("groups is {}, at least 1 required", op.groups));
  return {};
}

Status check_channels(const Conv& op, const Shape& x, const Shape& w) {
  if (x[1].is_static() && w[1].is_static()) {
    // ONNX Conv-22: C == W[1] * group
    std::int64_t channels = 0;
    if (__builtin_mul_overflow(w[1].extent(), op.groups, &channels) || channels != x[1].extent()) {
      return rule::malformed(fmt::format("x has {} channels, w takes {} in each of {} groups", x[1].extent(),
                                         w[1].extent(), op.groups));
    }
  }
  // ONNX Conv-22: M is a multiple of group
  if (w[0].is_static() && w[0].extent() % op.groups != 0) {
    return rule::malformed(fmt::format("{} output channels do not divide into {} groups", w[0].extent(), op.groups));
  }
  return {};
}

/// D_out of a transposed convolution along spatial axis i, 1 or more where it is known.
Result<Dim> transposed_extent(const ConvTranspose& op, std::size_t i, Dim in, Dim kernel, SymbolTable& symbols) {
  if (kernel == Dim(0)) return rule::malformed("kernel has extent 0, at least 1 required");
  if (in == Dim(0)) return rule::malformed(fmt::format("spatial axis {} has extent 0, at least 1 required", i));
  if (!kernel.is_static()) return symbols.unknown();
  // in * stride + offset
  std::int64_t offset = 0;
  std::int64_t total = 0;
  bool fits = !__builtin_mul_overflow(op.dilation[i], kernel.extent() - 1, &offset);
  fits = fits && !__builtin_add_overflow(offset, 1, &offset) && !__builtin_sub_overflow(offset, op.stride[i], &offset);
  fits = fits && !__builtin_sub_overflow(offset, op.pads_begin[i], &offset) && !__builtin_sub_overflow(offset, op.pads_end[i], &offset);
  fits = fits && !__builtin_add_overflow(offset, op.output_padding[i], &offset);
  if (fits && !in.is_static()) return symbols.add(symbols.multiply(in, Dim(op.stride[i])), offset);
  fits = fits && !__builtin_mul_overflow(in.extent(), op.stride[i], &total) && !__builtin_add_overflow(total, offset, &total);
  if (!fits) return rule::malformed(fmt::format("the extent of spatial axis {} does not fit in 64 bits", i));
  // The IR's own: something is left
  if (total < 1) {
    return rule::malformed(fmt::format("pads {} and {} leave nothing of spatial axis {}", op.pads_begin[i], op.pads_end[i], i));
  }
  return Dim(total);
}

}  // namespace

Result<Dim> window_extent(Dim in, const Window& window, SymbolTable& symbols) {
  if (window.kernel == Dim(0)) return rule::malformed("kernel has extent 0, at least 1 required");
  if (!window.kernel.is_static()) return symbols.unknown();
  const std::optional<std::int64_t> offset = window_offset(window);
  std::int64_t shifted = 0;  // D_out = floor((D_in + shifted) / stride), the formula's + 1 taken inside
  if (!offset || __builtin_add_overflow(*offset, window.stride, &shifted)) {
    return rule::malformed(fmt::format("kernel {} with dilation {}, pads {} and {} does not fit in 64 bits",
                                       window.kernel.extent(), window.dilation, window.pad_begin, window.pad_end));
  }
  if (!in.is_static()) return symbols.floor_divide(symbols.add(in, shifted), window.stride);
  std::int64_t padded = 0;
  if (__builtin_add_overflow(in.extent(), window.pad_begin + window.pad_end, &padded)) {
    return rule::malformed(fmt::format("extent {} with pads {} and {} does not fit in 64 bits", in.extent(),
                                       window.pad_begin, window.pad_end));
  }
  const std::int64_t room = in.extent() + *offset;
  // ONNX Conv-22: the padded input holds the dilated kernel at least once
  if (room < 0) {
    return rule::malformed(fmt::format("kernel {} with dilation {} does not fit in extent {} with pads {} and {}",
                                       window.kernel.extent(), window.dilation, in.extent(), window.pad_begin,
                                       window.pad_end));
  }
  return symbols.add(Dim(room / window.stride), 1);
}

Status infer(const Conv& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(check_operands(op, cx));
  const Shape& x = cx.input(0).shape;
  const Shape& w = cx.input(1).shape;
  SMELT_RETURN_IF_ERROR(check_channels(op, x, w));
  // ONNX Conv-22: B has shape [M]
  if (cx.has(2)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 2, {w[0]}));
  Shape shape{x[0], w[0]};
  for (std::size_t i = 0; i + 2 < x.size(); ++i) {
    const Window window{.kernel = w[i + 2], .stride = op.stride[i], .dilation = op.dilation[i],
                        .pad_begin = op.pads_begin[i], .pad_end = op.pads_end[i]};
    SMELT_ASSIGN_OR_RETURN(const Dim extent, window_extent(x[i + 2], window, cx.symbols));
    shape.push_back(extent);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const ConvTranspose& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(check_operands(op, cx));
  const Shape& x = cx.input(0).shape;
  const Shape& w = cx.input(1).shape;
  // ONNX ConvTranspose-22: W has C rows
  if (compare(x[1], w[0]) == Comparison::kDifferent) {
    return rule::malformed(fmt::format("x has {} channels, w takes {}", x[1].extent(), w[0].extent()));
  }
  // ONNX ConvTranspose-22: C is a multiple of group
  if (w[0].is_static() && w[0].extent() % op.groups != 0) {
    return rule::malformed(fmt::format("{} input channels do not divide into {} groups", w[0].extent(), op.groups));
  }
  const Dim channels = cx.symbols.multiply(w[1], Dim(op.groups));
  // ONNX ConvTranspose-22: B has shape [M]
  if (cx.has(2)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 2, {channels}));
  Shape shape{x[0], channels};
  for (std::size_t i = 0; i + 2 < x.size(); ++i) {
    SMELT_ASSIGN_OR_RETURN(const Dim extent, transposed_extent(op, i, x[i + 2], w[i + 2], cx.symbols));
    shape.push_back(extent);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace smelt::ir
