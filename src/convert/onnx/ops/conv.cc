#include <array>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

/// ONNX Conv-1 to Conv-22.
Status import_conv(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId w, cx.required(1));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> x_extents, cx.extents(x));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> w_extents, cx.extents(w));
  if (x_extents.size() < 3 || w_extents.size() != x_extents.size()) {
    return cx.malformed(fmt::format("an input of rank {} and a weight of rank {}", x_extents.size(), w_extents.size()));
  }
  const std::vector<std::int64_t> spatial(x_extents.begin() + 2, x_extents.end());
  const std::vector<std::int64_t> kernel(w_extents.begin() + 2, w_extents.end());
  // ONNX Conv: kernel_shape, where given, is the weight's.
  if (cx.ints_or("kernel_shape", kernel) != kernel) return cx.malformed("kernel_shape is not that of the weight");
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
  std::vector<ir::ValueId> inputs{x, w};
  if (cx.has(2)) inputs.push_back(cx.input(2));
  return cx.set_result(cx.emit(std::move(op), std::move(inputs)));
}

constexpr std::array<OperatorImport, 1> kTable{{{"Conv", 1, import_conv}}};

}  // namespace

std::span<const OperatorImport> conv_imports() { return kTable; }

}  // namespace smelt::onnx_format
