#include <algorithm>
#include <limits>
#include <utility>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %p = pad(%x) {begin = [0, 0, 1, 1], end = [0, 0, 1, 1], value = 0}
// %y = conv(%p, %w) {pads_begin = [a, b], ...}          ->  %y = conv(%x, %w) {pads_begin = [a + 1, b + 1], ...}
// %y = average_pool(%p) {counts_padding = true}         ->  the same way
// %y = average_pool(%p) {no pads}                       ->  %y = average_pool(%x) {pads = [1, 1], counts_padding = true}
// %p = pad(%x) {..., value = -inf}
// %y = max_pool(%p)                                     ->  %y = max_pool(%x) {pads = [1, 1]}
//
// Of spatial axes, by a constant. The pools' pads stay less than the kernel. All exact, but that -0 may become 0.

namespace smelt::passes {
namespace {

using ir::NoMatch;
using ir::Rewrite;

/// The pad before a window op, where it adds `value` to spatial axes only.
const ir::Node* spatial_pad(const ir::Graph& graph, ir::ValueId id, float value) {
  const ir::Node* node = produced_by<ir::Pad>(graph, id);
  if (node == nullptr) return nullptr;
  const ir::Pad& pad = *node->op.as<ir::Pad>();
  if (pad.mode != ir::PadMode::kConstant || pad.value != value || pad.begin.size() < 3) return nullptr;
  const bool is_spatial = pad.begin[0] == 0 && pad.begin[1] == 0 && pad.end[0] == 0 && pad.end[1] == 0;
  return is_spatial ? node : nullptr;
}

/// The op with the pad's elements among its own pads; whether they still fit in 32 bits.
template <typename Op>
bool add_pads(Op& op, const ir::Pad& pad) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (std::size_t k = 0; k < op.pads_begin.size(); ++k) {
    op.pads_begin[k] += pad.begin[k + 2];
    op.pads_end[k] += pad.end[k + 2];
    if (op.pads_begin[k] > kMost || op.pads_end[k] > kMost) return false;
  }
  return true;
}

/// A pool's pads are less than its kernel.
template <typename Op>
bool fits_kernel(const Op& op) {
  for (std::size_t k = 0; k < op.kernel.size(); ++k) {
    if (op.pads_begin[k] >= op.kernel[k] || op.pads_end[k] >= op.kernel[k]) return false;
  }
  return true;
}

template <typename Op>
bool has_pads(const Op& op) {
  const auto is_some = [](std::int64_t pad) { return pad != 0; };
  return std::ranges::any_of(op.pads_begin, is_some) || std::ranges::any_of(op.pads_end, is_some);
}

/// The root reads what the pad read.
template <typename Op>
Result<Rewrite> without_pad(const ir::Graph& graph, const ir::Node& root, const ir::Node& pad, Op op) {
  std::vector<ir::ValueId> inputs = root.inputs;
  inputs[0] = pad.inputs[0];
  return replace_with(graph, root, std::move(op), std::move(inputs));
}

Result<Rewrite> fuse_conv(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  const ir::Node* pad = spatial_pad(graph, root.inputs[0], 0.0F);
  if (pad == nullptr) return Rewrite{NoMatch{"no zero pad of spatial axes before"}};
  ir::Conv op = *root.op.as<ir::Conv>();
  if (!add_pads(op, *pad->op.as<ir::Pad>())) return Rewrite{NoMatch{"pads over 2^31"}};
  return without_pad(graph, root, *pad, std::move(op));
}

Result<Rewrite> fuse_average_pool(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  const ir::Node* pad = spatial_pad(graph, root.inputs[0], 0.0F);
  if (pad == nullptr) return Rewrite{NoMatch{"no zero pad of spatial axes before"}};
  ir::AveragePool op = *root.op.as<ir::AveragePool>();
  if (!op.counts_padding && has_pads(op)) return Rewrite{NoMatch{"the pool's own pads do not count"}};
  op.counts_padding = true;
  if (!add_pads(op, *pad->op.as<ir::Pad>()) || !fits_kernel(op)) return Rewrite{NoMatch{"pads as large as the kernel"}};
  return without_pad(graph, root, *pad, std::move(op));
}

Result<Rewrite> fuse_max_pool(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  const ir::Node* pad = spatial_pad(graph, root.inputs[0], -std::numeric_limits<float>::infinity());
  if (pad == nullptr) return Rewrite{NoMatch{"no pad of minus infinity before"}};
  ir::MaxPool op = *root.op.as<ir::MaxPool>();
  if (!add_pads(op, *pad->op.as<ir::Pad>()) || !fits_kernel(op)) return Rewrite{NoMatch{"pads as large as the kernel"}};
  return without_pad(graph, root, *pad, std::move(op));
}

}  // namespace

std::vector<ir::Rule> fuse_pad_rules() {
  using ir::OpKind;
  return {
      {.name = "fuse-pad-conv", .root = OpKind::kConv, .apply = fuse_conv},
      {.name = "fuse-pad-average-pool", .root = OpKind::kAveragePool, .apply = fuse_average_pool},
      {.name = "fuse-pad-max-pool", .root = OpKind::kMaxPool, .apply = fuse_max_pool},
  };
}

}  // namespace smelt::passes
