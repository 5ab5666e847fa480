#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

/// What Conv and ConvTranspose are given: x, w and, where there is one, the bias; the spatial extents of x and of the kernel.
struct Operands {
  std::vector<ir::ValueId> ids;
  std::vector<std::int64_t> spatial, kernel;
};

Result<Operands> read_operands(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId w, cx.required(1));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> x_extents, cx.extents(x));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> w_extents, cx.extents(w));
  if (x_extents.size() < 3 || w_extents.size() != x_extents.size()) {
    return cx.malformed(fmt::format("an input of rank {} and a weight of rank {}", x_extents.size(), w_extents.size()));
  }
  Operands operands{.ids = {x, w}, .spatial = {x_extents.begin() + 2, x_extents.end()}, .kernel = {w_extents.begin() + 2, w_extents.end()}};
  if (cx.has(2)) operands.ids.push_back(cx.input(2));
  // ONNX Conv: kernel_shape, where given, is the weight's.
  if (cx.ints_or("kernel_shape", operands.kernel) != operands.kernel) return cx.malformed("kernel_shape is not that of the weight");
  return operands;
}

/// ONNX Conv-1 to Conv-22.
Status import_conv(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const Operands operands, read_operands(cx));
  const auto& [ids, spatial, kernel] = operands;
  const std::vector<std::int64_t> ones(kernel.size(), 1);
  ir::Conv op{.stride = cx.ints_or("strides", ones), .dilation = cx.ints_or("dilations", ones), .pads_begin = {}, .pads_end = {},
              .groups = cx.int_or("group", 1)};
  for (const auto* list : {&op.stride, &op.dilation}) {
    if (list->size() != kernel.size()) return cx.malformed("strides or dilations of the wrong length");
    for (const std::int64_t value : *list) {
      if (value < 1) return cx.malformed(fmt::format("a stride or dilation of {}", value));
    }
  }
  SMELT_ASSIGN_OR_RETURN(WindowPads pads, window_pads(cx, spatial, kernel, op.stride, op.dilation));
  op.pads_begin = std::move(pads.begin);
  op.pads_end = std::move(pads.end);
  return cx.set_result(cx.emit(std::move(op), ids));
}

/// Pads from the extents that the result is to have. What the windows do not reach grows the end.
/// ONNX ConvTranspose-22 (output_shape): SAME_UPPER takes the smaller half from the start, everything else from the end.
void pads_for(ir::ConvTranspose& op, std::size_t axis, std::int64_t full, std::int64_t wanted, bool is_upper) {
  const std::int64_t total = full + op.output_padding[axis] - wanted;
  op.output_padding[axis] += std::max<std::int64_t>(0, -total);
  const std::int64_t taken = std::max<std::int64_t>(0, total), half = taken / 2;
  op.pads_begin[axis] = is_upper ? half : taken - half;
  op.pads_end[axis] = taken - op.pads_begin[axis];
}

/// auto_pad, pads and output_shape to explicit pads.
Status resolve_pads(const NodeContext& cx, ir::ConvTranspose& op, const std::vector<std::int64_t>& spatial,
                    const std::vector<std::int64_t>& kernel) {
  const std::size_t axes = kernel.size();
  const std::string auto_pad = cx.string_or("auto_pad", "NOTSET");
  std::vector<std::int64_t> wanted = cx.ints_or("output_shape", {});
  if (wanted.size() == axes + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);  // with batch and channels, as some write it
  if (!wanted.empty() && wanted.size() != axes) return cx.malformed(fmt::format("an output_shape of {} for {} spatial axes", wanted.size(), axes));
  const bool is_same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (wanted.empty() && !is_same) {
    SMELT_ASSIGN_OR_RETURN(WindowPads pads, window_pads(cx, spatial, kernel, op.stride, op.dilation));
    op.pads_begin = std::move(pads.begin);
    op.pads_end = std::move(pads.end);
    return {};
  }
  op.pads_begin.assign(axes, 0);
  op.pads_end.assign(axes, 0);
  for (std::size_t k = 0; k < axes; ++k) {
    const std::int64_t full = (spatial[k] - 1) * op.stride[k] + (kernel[k] - 1) * op.dilation[k] + 1;
    const std::int64_t out = wanted.empty() ? spatial[k] * op.stride[k] : wanted[k];
    if (out < 1) return cx.malformed(fmt::format("an output extent of {}", out));
    pads_for(op, k, full, out, auto_pad == "SAME_UPPER");
  }
  return {};
}

/// ONNX ConvTranspose-1 to -22.
Status import_conv_transpose(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const Operands operands, read_operands(cx));
  const auto& [ids, spatial, kernel] = operands;
  const std::vector<std::int64_t> ones(kernel.size(), 1), zeros(kernel.size(), 0);
  ir::ConvTranspose op{.stride = cx.ints_or("strides", ones), .dilation = cx.ints_or("dilations", ones), .pads_begin = {}, .pads_end = {},
                       .output_padding = cx.ints_or("output_padding", zeros), .groups = cx.int_or("group", 1)};
  constexpr std::int64_t kMost = std::int64_t{1} << 31;  // so that the sums below fit
  for (const auto& [list, least] : {std::pair(&op.stride, 1), std::pair(&op.dilation, 1), std::pair(&op.output_padding, 0)}) {
    if (list->size() != kernel.size()) return cx.malformed("strides, dilations or output_padding of the wrong length");
    for (const std::int64_t value : *list) {
      if (value < least || value > kMost) return cx.malformed(fmt::format("a stride, dilation or output_padding of {}", value));
    }
  }
  for (std::size_t k = 0; k < kernel.size(); ++k) {
    if (spatial[k] > kMost || kernel[k] > kMost) return cx.malformed(fmt::format("an extent of {}", std::max(spatial[k], kernel[k])));
  }
  SMELT_RETURN_IF_ERROR(resolve_pads(cx, op, spatial, kernel));
  return cx.set_result(cx.emit(std::move(op), ids));
}

constexpr std::array<OperatorImport, 2> kTable{{{"Conv", 1, import_conv}, {"ConvTranspose", 1, import_conv_transpose}}};

}  // namespace

std::span<const OperatorImport> conv_imports() { return kTable; }

}  // namespace smelt::onnx_format
