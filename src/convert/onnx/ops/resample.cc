#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

using Ints = std::vector<std::int64_t>;

// ---- Pad

/// Pads of every axis, negative ones still among them.
struct Sides {
  Ints begin, end;
};

Result<Sides> read_sides(NodeContext& cx, std::int64_t rank) {
  Ints given = cx.ints_or("pads", {});
  if (cx.opset() >= 11) {
    SMELT_ASSIGN_OR_RETURN(given, cx.constant_ints(1, "pads"));
  }
  Ints axes(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  if (cx.opset() >= 18 && cx.has(3)) {
    SMELT_ASSIGN_OR_RETURN(axes, cx.constant_ints(3, "axes"));
  }
  if (given.size() != 2 * axes.size()) return cx.malformed(fmt::format("{} pads for {} axes", given.size(), axes.size()));
  Sides sides{.begin = Ints(static_cast<std::size_t>(rank), 0), .end = Ints(static_cast<std::size_t>(rank), 0)};
  std::vector<bool> is_given(static_cast<std::size_t>(rank), false);
  for (std::size_t k = 0; k < axes.size(); ++k) {
    SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(axes[k], rank));
    const auto at = static_cast<std::size_t>(axis);
    if (is_given[at]) return cx.malformed("an axis is given twice");
    is_given[at] = true;
    sides.begin[at] = given[k];
    sides.end[at] = given[axes.size() + k];
  }
  return sides;
}

/// The constant as the IR has it; only one that float32 holds.
Result<float> read_value(NodeContext& cx, DType dtype) {
  if (cx.opset() < 11) return cx.float_or("value", 0.0F);
  if (!cx.has(2)) return 0.0F;
  SMELT_ASSIGN_OR_RETURN(const double value, cx.constant_scalar(2, "constant_value"));
  const auto narrow = static_cast<float>(value);
  if (!is_float(dtype) && static_cast<double>(narrow) != value) return cx.unsupported(fmt::format("a constant_value of {}", value));
  return narrow;
}

/// Negative pads take elements away, before the others are added.
Result<ir::ValueId> cropped(NodeContext& cx, ir::ValueId x, Sides& sides) {
  SMELT_ASSIGN_OR_RETURN(const Ints extents, cx.extents(x));
  ir::Slice op{.begin = Ints(extents.size(), 0), .end = extents, .step = Ints(extents.size(), 1)};
  for (std::size_t k = 0; k < extents.size(); ++k) {
    op.begin[k] = -std::min<std::int64_t>(sides.begin[k], 0);
    op.end[k] = extents[k] + std::min<std::int64_t>(sides.end[k], 0);
    if (op.begin[k] > op.end[k]) return cx.malformed(fmt::format("pads {} and {} of an extent of {}", sides.begin[k], sides.end[k], extents[k]));
    sides.begin[k] = std::max<std::int64_t>(sides.begin[k], 0);
    sides.end[k] = std::max<std::int64_t>(sides.end[k], 0);
  }
  return cx.emit(std::move(op), {x});
}

/// ONNX Pad-2 to -19.
Status import_pad(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(Sides sides, read_sides(cx, cx.rank(x)));
  const std::string mode = cx.string_or("mode", "constant");
  ir::Pad op;
  if (mode == "reflect") {
    op.mode = ir::PadMode::kReflect;
  } else if (mode == "edge") {
    op.mode = ir::PadMode::kEdge;
  } else if (mode == "wrap") {
    return cx.unsupported("mode \"wrap\"");
  } else if (mode != "constant") {
    return cx.malformed(fmt::format("mode \"{}\"", mode));
  } else {
    SMELT_ASSIGN_OR_RETURN(op.value, read_value(cx, cx.type(x).dtype));
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 40;  // so that sums fit
  const auto is_large = [](std::int64_t pad) { return pad < -kMost || pad > kMost; };
  const auto is_negative = [](std::int64_t pad) { return pad < 0; };
  const auto is_zero = [](std::int64_t pad) { return pad == 0; };
  if (std::ranges::any_of(sides.begin, is_large) || std::ranges::any_of(sides.end, is_large)) return cx.malformed("a pad over 2^40");
  if (std::ranges::any_of(sides.begin, is_negative) || std::ranges::any_of(sides.end, is_negative)) {
    SMELT_ASSIGN_OR_RETURN(x, cropped(cx, x, sides));
  }
  if (std::ranges::all_of(sides.begin, is_zero) && std::ranges::all_of(sides.end, is_zero)) {
    cx.set(0, x);
    return {};
  }
  if (op.mode == ir::PadMode::kReflect) {
    SMELT_ASSIGN_OR_RETURN(const Ints extents, cx.extents(x));
    for (std::size_t k = 0; k < extents.size(); ++k) {
      const std::int64_t pad = std::max(sides.begin[k], sides.end[k]);
      if (pad > 0 && pad >= extents[k]) return cx.unsupported(fmt::format("a reflect pad of {} on an extent of {}", pad, extents[k]));
    }
  }
  op.begin = std::move(sides.begin);
  op.end = std::move(sides.end);
  return cx.set_result(cx.emit(std::move(op), {x}));
}

// ---- Resize, Upsample

/// What a node asks for, on each axis of x.
struct Target {
  Ints sizes;
  std::vector<float> scales;  ///< 0: the sizes were given
};

/// An operand of floats or an absent one, which an empty tensor stands for too.
Result<std::vector<double>> optional_numbers(NodeContext& cx, std::size_t operand, std::string_view what) {
  if (!cx.has(operand)) return std::vector<double>();
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, cx.constant(operand, what));
  return to_doubles(tensor);
}

/// A list that `axes` may give for some axes only, as one for every axis.
Result<std::vector<double>> for_every_axis(NodeContext& cx, const std::vector<double>& given, const std::vector<double>& others) {
  const auto rank = static_cast<std::int64_t>(others.size());
  if (cx.attribute("axes") == nullptr) {
    if (given.size() != others.size()) return cx.malformed(fmt::format("{} scales or sizes for rank {}", given.size(), rank));
    return given;
  }
  const Ints axes = cx.ints_or("axes", {});
  if (given.size() != axes.size()) return cx.malformed(fmt::format("{} scales or sizes for {} axes", given.size(), axes.size()));
  std::vector<double> out = others;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(axes[k], rank));
    out[static_cast<std::size_t>(axis)] = given[k];
  }
  return out;
}

Result<Target> target_of_scales(NodeContext& cx, const Ints& extents, const std::vector<double>& given) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> scales, for_every_axis(cx, given, std::vector<double>(extents.size(), 1.0)));
  Target target;
  for (std::size_t k = 0; k < extents.size(); ++k) {
    if (!(scales[k] > 0) || !std::isfinite(scales[k])) return cx.malformed(fmt::format("a scale of {}", scales[k]));
    const auto scale = static_cast<float>(scales[k]);
    // In float32, as ONNX Runtime has it: 3 * 1.6666666 is 5.
    const float size = std::floor(static_cast<float>(extents[k]) * scale);
    if (size < 1.0F || size > 1e9F) return cx.malformed(fmt::format("an extent of {} times {}", extents[k], scale));
    target.sizes.push_back(static_cast<std::int64_t>(size));
    target.scales.push_back(scale);
  }
  return target;
}

Result<Target> target_of_sizes(NodeContext& cx, const Ints& extents, const std::vector<double>& given) {
  const std::string policy = cx.string_or("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch") return cx.unsupported(fmt::format("keep_aspect_ratio_policy \"{}\"", policy));
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> sizes, for_every_axis(cx, given, std::vector<double>(extents.begin(), extents.end())));
  Target target{.sizes = {}, .scales = std::vector<float>(extents.size(), 0.0F)};
  for (const double size : sizes) {
    if (!(size >= 1) || size > 1e9) return cx.malformed(fmt::format("a size of {}", size));
    target.sizes.push_back(static_cast<std::int64_t>(size));
  }
  return target;
}

/// Scales: attribute of Upsample-7, operand 1 of Upsample-9 and Resize-10, operand 2 of Resize-11, which has sizes too.
Result<Target> read_target(NodeContext& cx, const Ints& extents) {
  if (const Attribute* scales = cx.attribute("scales")) {
    return target_of_scales(cx, extents, std::vector<double>(scales->floats.begin(), scales->floats.end()));
  }
  const bool has_roi = cx.node().op_type == "Resize" && cx.opset() >= 11;
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> scales, optional_numbers(cx, has_roi ? 2 : 1, "scales"));
  if (!scales.empty()) return target_of_scales(cx, extents, scales);
  if (!has_roi) return cx.malformed("no scales");
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> sizes, optional_numbers(cx, 3, "sizes"));
  if (sizes.empty()) return cx.malformed("neither scales nor sizes");
  return target_of_sizes(cx, extents, sizes);
}

/// Scales of the two last axes that are not size / extent.
void set_scales(ir::Resize& op, const Target& target, const Ints& extents) {
  for (std::size_t k = 0; k < 2; ++k) {
    const std::size_t axis = extents.size() - 2 + k;
    const float scale = target.scales[axis];
    const float own = static_cast<float>(target.sizes[axis]) / static_cast<float>(extents[axis]);
    if (scale != 0.0F && scale != own) (k == 0 ? op.scale_y : op.scale_x) = scale;
  }
}

/// Whether every scale of the two last axes is a whole number.
bool is_repetition(const ir::Resize& op, const Ints& extents) {
  return op.sizes[0] % extents[extents.size() - 2] == 0 && op.sizes[1] % extents.back() == 0 && op.scale_y == 0 && op.scale_x == 0;
}

Status set_coordinates(NodeContext& cx, ir::Resize& op, const Ints& extents) {
  const std::string mode = cx.string_or("coordinate_transformation_mode", "half_pixel");
  using ir::ResizeCoordinates;
  for (const auto known : {ResizeCoordinates::kHalfPixel, ResizeCoordinates::kAsymmetric, ResizeCoordinates::kAlignCorners, ResizeCoordinates::kPytorchHalfPixel}) {
    if (mode != word(known)) continue;
    op.coordinates = known;
    return {};
  }
  // Its correction is of extents that the scale cut.
  if (mode == "half_pixel_symmetric" && op.scale_y == 0 && op.scale_x == 0) {
    op.coordinates = ResizeCoordinates::kHalfPixel;
    return {};
  }
  // floor((i + 0.5) / s) is floor(i / s) for a whole s.
  if (mode == "tf_half_pixel_for_nn" && op.mode == ir::ResizeMode::kNearest && op.rounding == ir::ResizeRounding::kFloor && is_repetition(op, extents)) {
    op.coordinates = ResizeCoordinates::kAsymmetric;
    return {};
  }
  return cx.unsupported(fmt::format("coordinate_transformation_mode \"{}\"", mode));
}

Status set_rounding(NodeContext& cx, ir::Resize& op) {
  const std::string mode = cx.string_or("nearest_mode", "round_prefer_floor");
  using ir::ResizeRounding;
  for (const auto known : {ResizeRounding::kRoundPreferFloor, ResizeRounding::kRoundPreferCeil, ResizeRounding::kFloor, ResizeRounding::kCeil}) {
    if (mode != word(known)) continue;
    op.rounding = known;
    return {};
  }
  return cx.malformed(fmt::format("nearest_mode \"{}\"", mode));
}

/// Before opset 11: asymmetric; nearest rounds down where an axis grows, up where it shrinks, as ONNX Runtime does.
Status set_old_form(NodeContext& cx, ir::Resize& op, const Ints& extents) {
  op.coordinates = ir::ResizeCoordinates::kAsymmetric;
  if (op.mode != ir::ResizeMode::kNearest) return {};
  const bool shrinks_y = op.sizes[0] < extents[extents.size() - 2], shrinks_x = op.sizes[1] < extents.back();
  const bool grows_y = op.sizes[0] > extents[extents.size() - 2], grows_x = op.sizes[1] > extents.back();
  if ((shrinks_y && grows_x) || (shrinks_x && grows_y)) return cx.unsupported("nearest, with one axis growing and another shrinking");
  op.rounding = shrinks_y || shrinks_x ? ir::ResizeRounding::kCeil : ir::ResizeRounding::kFloor;
  return {};
}

/// ONNX Resize-10 to -19, Upsample-7 and -9.
Status import_resize(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const Ints extents, cx.extents(x));
  if (std::ranges::find(extents, 0) != extents.end()) return cx.unsupported("an empty tensor");
  SMELT_ASSIGN_OR_RETURN(const Target target, read_target(cx, extents));
  const std::string mode = cx.string_or("mode", "nearest");
  if (mode == "cubic") return cx.unsupported("mode \"cubic\"");
  if (mode != "nearest" && mode != "linear" && mode != "bilinear") return cx.malformed(fmt::format("mode \"{}\"", mode));
  if (cx.int_or("antialias", 0) != 0) return cx.unsupported("antialias");
  if (extents.size() < 2) return cx.unsupported(fmt::format("an input of rank {}", extents.size()));
  for (std::size_t k = 0; k + 2 < extents.size(); ++k) {
    const bool is_one = target.scales[k] == 0.0F || target.scales[k] == 1.0F;
    if (target.sizes[k] != extents[k] || !is_one) return cx.unsupported("a change of other axes than the last two");
  }
  ir::Resize op;
  op.mode = mode == "nearest" ? ir::ResizeMode::kNearest : ir::ResizeMode::kLinear;
  op.sizes = Ints(target.sizes.end() - 2, target.sizes.end());
  set_scales(op, target, extents);
  if (cx.node().op_type == "Upsample" || cx.opset() < 11) {
    SMELT_RETURN_IF_ERROR(set_old_form(cx, op, extents));
  } else {
    if (op.mode == ir::ResizeMode::kNearest) SMELT_RETURN_IF_ERROR(set_rounding(cx, op));
    SMELT_RETURN_IF_ERROR(set_coordinates(cx, op, extents));
  }
  if (op.sizes == Ints(extents.end() - 2, extents.end()) && op.scale_y == 0 && op.scale_x == 0) {
    cx.set(0, x);
    return {};
  }
  return cx.set_result(cx.emit(std::move(op), {x}));
}

// ---- Tile

/// ONNX Tile-6: axis by axis, [outer, extent, inner] becomes [outer, 1, extent, inner] and is expanded.
Status import_tile(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const Ints repeats, cx.constant_ints(1, "repeats"));
  SMELT_ASSIGN_OR_RETURN(Ints extents, cx.extents(x));
  if (repeats.size() != extents.size()) return cx.malformed(fmt::format("{} repeats for rank {}", repeats.size(), extents.size()));
  for (std::size_t k = 0; k < repeats.size(); ++k) {
    if (repeats[k] < 0) return cx.malformed(fmt::format("{} repeats", repeats[k]));
    if (repeats[k] == 1) continue;
    if (repeats[k] == 0 || extents[k] == 0) {
      ir::Slice none{.begin = Ints(extents.size(), 0), .end = extents, .step = Ints(extents.size(), 1)};
      none.end[k] = extents[k] = 0;
      SMELT_ASSIGN_OR_RETURN(x, cx.emit(std::move(none), {x}));
      continue;
    }
    if (extents[k] == 1) {
      Ints shape(extents.size(), 1);
      shape[k] = extents[k] = repeats[k];
      SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Expand{.shape = std::move(shape)}, {x}));
      continue;
    }
    const auto at = static_cast<std::ptrdiff_t>(k);
    SMELT_ASSIGN_OR_RETURN(const std::int64_t outer, element_count(Ints(extents.begin(), extents.begin() + at)));
    SMELT_ASSIGN_OR_RETURN(const std::int64_t inner, element_count(Ints(extents.begin() + at, extents.end())));
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Reshape{.shape = {outer, 1, inner}}, {x}));
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Expand{.shape = {1, repeats[k], 1}}, {x}));
    if (__builtin_mul_overflow(extents[k], repeats[k], &extents[k])) return cx.malformed(fmt::format("{} repeats", repeats[k]));
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Reshape{.shape = extents}, {x}));
  }
  cx.set(0, x);
  return {};
}

constexpr std::array<OperatorImport, 4> kTable{{
    {"Pad", 2, import_pad},
    {"Resize", 10, import_resize},
    {"Tile", 6, import_tile},
    {"Upsample", 7, import_resize},
}};

}  // namespace

std::span<const OperatorImport> resample_imports() { return kTable; }

}  // namespace smelt::onnx_format
