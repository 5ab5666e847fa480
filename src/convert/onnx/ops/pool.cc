#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

struct Window {
  ir::ValueId x;
  std::vector<std::int64_t> kernel, stride;
  WindowPads pads;
  std::vector<std::int64_t> overhang;  ///< what ceil_mode adds to each end pad
};

/// The window of a pooling operator, ceil_mode turned into a larger end pad.
/// ONNX (1.16 wording): a last window that would start inside the end padding is dropped.
Result<Window> read_window(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  if (!is_float(cx.type(x).dtype)) return cx.unsupported(fmt::format("an input of {}", name(cx.type(x).dtype)));
  Window window{.x = x, .kernel = cx.ints_or("kernel_shape", {}), .stride = {}, .pads = {}, .overhang = {}};
  const std::size_t axes = window.kernel.size();
  if (axes == 0 || extents.size() != axes + 2) {
    return cx.malformed(fmt::format("a kernel of {} axes over an input of rank {}", axes, extents.size()));
  }
  const std::vector<std::int64_t> ones(axes, 1);
  window.stride = cx.ints_or("strides", ones);
  if (window.stride.size() != axes) return cx.malformed("strides of the wrong length");
  if (cx.ints_or("dilations", ones) != ones) return cx.unsupported("dilations other than 1");
  for (std::size_t k = 0; k < axes; ++k) {
    if (window.kernel[k] < 1 || window.stride[k] < 1) return cx.malformed("a kernel or stride below 1");
  }
  const std::vector<std::int64_t> spatial(extents.begin() + 2, extents.end());
  SMELT_ASSIGN_OR_RETURN(window.pads, window_pads(cx, spatial, window.kernel, window.stride, ones));
  window.overhang.assign(axes, 0);
  if (cx.int_or("ceil_mode", 0) == 0) return window;
  for (std::size_t k = 0; k < axes; ++k) {
    const std::int64_t room = spatial[k] + window.pads.begin[k] + window.pads.end[k] - window.kernel[k];
    // A window over the end that is the only one: what it holds of the input, and of the pads that count.
    if (room < 0 && -room < window.stride[k]) window.kernel[k] += room;
    if (room < 0) continue;  // if it is not, the shape rule says so
    std::int64_t out = (room + window.stride[k] - 1) / window.stride[k] + 1;
    if ((out - 1) * window.stride[k] >= spatial[k] + window.pads.begin[k]) --out;
    window.overhang[k] = std::max<std::int64_t>(0, (out - 1) * window.stride[k] - room);
  }
  return window;
}

std::vector<std::int64_t> sum(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> out(a.size());
  std::transform(a.begin(), a.end(), b.begin(), out.begin(), std::plus<>());
  return out;
}

Status import_max_pool(NodeContext& cx) {
  if (cx.node().outputs.size() > 1 && !cx.node().outputs[1].empty()) return cx.unsupported("the Indices output");
  SMELT_ASSIGN_OR_RETURN(Window window, read_window(cx));
  return cx.set_result(cx.emit(ir::MaxPool{.kernel = window.kernel, .stride = window.stride, .pads_begin = window.pads.begin,
                                           .pads_end = sum(window.pads.end, window.overhang)},
                               {window.x}));
}

Status import_average_pool(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(Window window, read_window(cx));
  const bool overhangs = std::any_of(window.overhang.begin(), window.overhang.end(), [](std::int64_t v) { return v != 0; });
  const auto is_zero = [](std::int64_t v) { return v == 0; };
  const bool has_pads = !std::all_of(window.pads.begin.begin(), window.pads.begin.end(), is_zero) ||
                        !std::all_of(window.pads.end.begin(), window.pads.end.end(), is_zero);
  bool counts_padding = cx.int_or("count_include_pad", 0) != 0;
  // The overhang of ceil_mode never counts: without declared pads the two are the same thing.
  if (overhangs && counts_padding && has_pads) return cx.unsupported("ceil_mode with pads that count");
  if (overhangs) counts_padding = false;
  return cx.set_result(cx.emit(ir::AveragePool{.kernel = window.kernel, .stride = window.stride, .pads_begin = window.pads.begin,
                                               .pads_end = sum(window.pads.end, window.overhang), .counts_padding = counts_padding},
                               {window.x}));
}

Status import_global(NodeContext& cx, ir::ReduceFunction function) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  if (cx.rank(x) < 3) return cx.malformed(fmt::format("an input of rank {}", cx.rank(x)));
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 2; axis < cx.rank(x); ++axis) axes.push_back(axis);
  return cx.set_result(cx.emit(ir::Reduce{.function = function, .axes = axes, .keeps_axes = true}, {x}));
}

constexpr std::array<OperatorImport, 4> kTable{{
    {"MaxPool", 1, import_max_pool},
    {"AveragePool", 7, import_average_pool},
    {"GlobalAveragePool", 1, [](NodeContext& cx) { return import_global(cx, ir::ReduceFunction::kMean); }},
    {"GlobalMaxPool", 1, [](NodeContext& cx) { return import_global(cx, ir::ReduceFunction::kMax); }},
}};

}  // namespace

std::span<const OperatorImport> pool_imports() { return kTable; }

}  // namespace smelt::onnx_format
