#include "ir/ops/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

/// What Pad may put into a tensor of the dtype.
Status check_value(float value, DType dtype) {
  if (is_float(dtype)) return {};
  // The IR's own: the value is one of the dtype's
  const bool is_whole = std::trunc(value) == value && std::fabs(value) <= 9.2e18F;
  if (!is_whole || (dtype == DType::kBool && value != 0.0F && value != 1.0F)) {
    return rule::malformed(fmt::format("value {} in a tensor of {}", value, name(dtype)));
  }
  return {};
}

/// The IR's own: the table of an axis fits in memory.
Status check_sampled(std::int64_t extent) {
  if (extent <= kMaxSampledExtent) return {};
  return Error(ErrorCode::kLimitReached, fmt::format("an axis of {} elements, at most {} are sampled", extent, kMaxSampledExtent));
}

/// One side of one padded axis.
Status check_pad(const Pad& op, std::int64_t pad, Dim in) {
  if (pad == 0 || op.mode == PadMode::kConstant || !in.is_static()) return {};
  // ONNX Pad-19: reflect and edge take existing elements, reflect without the edge
  const std::int64_t most = op.mode == PadMode::kReflect ? in.extent() - 1 : in.extent() > 0 ? pad : 0;
  if (pad > most) return rule::malformed(fmt::format("{} pad of {} on an extent of {}", word(op.mode), pad, in.extent()));
  return {};
}

/// A place along an axis as ONNX Runtime computes it, in float32.
float place_of(const Resize& op, float scale, std::int64_t i, std::int64_t out, std::int64_t in) {
  const auto at = static_cast<float>(i);
  switch (op.coordinates) {
    case ResizeCoordinates::kHalfPixel: return (at + 0.5F) / scale - 0.5F;
    case ResizeCoordinates::kAsymmetric: return at / scale;
    case ResizeCoordinates::kAlignCorners: return out == 1 ? 0.0F : at * static_cast<float>(in - 1) / static_cast<float>(out - 1);
    case ResizeCoordinates::kPytorchHalfPixel: return out == 1 ? 0.0F : (at + 0.5F) / scale - 0.5F;
  }
  SMELT_CHECK(false);
}

float rounded(ResizeRounding rounding, float place) {
  switch (rounding) {
    case ResizeRounding::kRoundPreferFloor: return std::ceil(place - 0.5F);
    case ResizeRounding::kRoundPreferCeil: return std::round(place);
    case ResizeRounding::kFloor: return std::floor(place);
    case ResizeRounding::kCeil: return std::ceil(place);
  }
  SMELT_CHECK(false);
}

}  // namespace

std::string_view word(PadMode mode) {
  switch (mode) {
    case PadMode::kConstant: return "constant";
    case PadMode::kReflect: return "reflect";
    case PadMode::kEdge: return "edge";
  }
  SMELT_CHECK(false);
}

std::string_view word(ResizeMode mode) { return mode == ResizeMode::kNearest ? "nearest" : "linear"; }

std::string_view word(ResizeCoordinates coordinates) {
  switch (coordinates) {
    case ResizeCoordinates::kHalfPixel: return "half_pixel";
    case ResizeCoordinates::kAsymmetric: return "asymmetric";
    case ResizeCoordinates::kAlignCorners: return "align_corners";
    case ResizeCoordinates::kPytorchHalfPixel: return "pytorch_half_pixel";
  }
  SMELT_CHECK(false);
}

std::string_view word(ResizeRounding rounding) {
  switch (rounding) {
    case ResizeRounding::kRoundPreferFloor: return "round_prefer_floor";
    case ResizeRounding::kRoundPreferCeil: return "round_prefer_ceil";
    case ResizeRounding::kFloor: return "floor";
    case ResizeRounding::kCeil: return "ceil";
  }
  SMELT_CHECK(false);
}

Status infer(const Pad& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  // ONNX Pad-19: a value for each axis; the IR's own: none is negative
  for (const auto* pads : {&op.begin, &op.end}) {
    if (pads->size() != x.size()) return rule::malformed(fmt::format("{} pads for rank {}", pads->size(), x.size()));
    const auto negative = std::ranges::find_if(*pads, [](std::int64_t pad) { return pad < 0; });
    if (negative != pads->end()) return rule::malformed(fmt::format("a pad of {}, at least 0 required", *negative));
  }
  SMELT_RETURN_IF_ERROR(check_value(op.value, cx.input(0).dtype));
  Shape shape;
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    SMELT_RETURN_IF_ERROR(check_pad(op, op.begin[axis], x[axis]));
    SMELT_RETURN_IF_ERROR(check_pad(op, op.end[axis], x[axis]));
    std::int64_t more = 0, total = 0;
    if (__builtin_add_overflow(op.begin[axis], op.end[axis], &more) ||
        (x[axis].is_static() && __builtin_add_overflow(x[axis].extent(), more, &total))) {
      return rule::malformed(fmt::format("pads {} and {} do not fit in 64 bits", op.begin[axis], op.end[axis]));
    }
    if (op.mode != PadMode::kConstant && more != 0 && x[axis].is_static()) SMELT_RETURN_IF_ERROR(check_sampled(total));
    shape.push_back(cx.symbols.add(x[axis], more));
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

std::vector<std::int64_t> pad_sources(const Pad& op, std::size_t axis, std::int64_t extent) {
  std::vector<std::int64_t> sources;
  for (std::int64_t i = -op.begin[axis]; i < extent + op.end[axis]; ++i) {
    if (i >= 0 && i < extent) {
      sources.push_back(i);
    } else if (op.mode == PadMode::kConstant) {
      sources.push_back(-1);
    } else if (op.mode == PadMode::kReflect) {
      sources.push_back(i < 0 ? -i : 2 * (extent - 1) - i);
    } else {
      sources.push_back(i < 0 ? 0 : extent - 1);
    }
  }
  return sources;
}

Status infer(const Resize& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  // The IR's own: linear takes floats
  if (op.mode == ResizeMode::kLinear) SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 2, SIZE_MAX));
  Shape shape = cx.input(0).shape;
  // ONNX Resize-19: a size for each axis, here the last two
  if (op.sizes.size() != 2) return rule::malformed(fmt::format("{} sizes, 2 required", op.sizes.size()));
  for (std::size_t k = 0; k < 2; ++k) {
    Dim& dim = shape[shape.size() - 2 + k];
    if (op.sizes[k] < 1) return rule::malformed(fmt::format("a size of {}, at least 1 required", op.sizes[k]));
    SMELT_RETURN_IF_ERROR(check_sampled(op.sizes[k]));
    if (dim == Dim(0)) return rule::malformed("an extent of 0 to resize");
    const float scale = k == 0 ? op.scale_y : op.scale_x;
    if (!(scale >= 0) || std::isinf(scale)) return rule::malformed(fmt::format("a scale of {}", scale));
    dim = Dim(op.sizes[k]);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

std::vector<ResizeTap> resize_taps(const Resize& op, std::size_t which, std::int64_t extent) {
  const std::int64_t out = op.sizes[which];
  const float given = which == 0 ? op.scale_y : op.scale_x;
  const float scale = given != 0.0F ? given : static_cast<float>(out) / static_cast<float>(extent);
  const auto last = static_cast<float>(extent - 1);
  std::vector<ResizeTap> taps;
  for (std::int64_t i = 0; i < out; ++i) {
    float place = scale == 1.0F ? static_cast<float>(i) : place_of(op, scale, i, out, extent);
    if (op.mode == ResizeMode::kNearest) place = rounded(op.rounding, place);
    place = std::clamp(place, 0.0F, last);
    const auto low = std::min(static_cast<std::int64_t>(place), extent - 1);
    const std::int64_t high = op.mode == ResizeMode::kNearest ? low : std::min(low + 1, extent - 1);
    taps.push_back({.low = low, .high = high, .weight = low == high ? 0.0F : place - static_cast<float>(low)});
  }
  return taps;
}

}  // namespace smelt::ir
