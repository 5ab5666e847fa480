#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/indexing.h"
#include "tensor/float16.h"

namespace smelt::coreml_format {
namespace {

using ir::OpKind;
using Ints = std::vector<std::int64_t>;

/// One operation of a chain, each of whose results is the next one's operand.
struct Stage {
  std::string_view type;
  std::string operand;               ///< the parameter that takes the result before
  LowerContext::Inputs parameters;   ///< the others
  TensorType result;
};

/// Operand 0 through the stages; the last one gives the node's result.
Status emit_stages(LowerContext& cx, std::vector<Stage> stages) {
  SMELT_ASSIGN_OR_RETURN(std::string x, cx.in(0));
  for (std::size_t k = 0; k < stages.size(); ++k) {
    stages[k].parameters.emplace_back(stages[k].operand, x);
    if (k + 1 < stages.size()) {
      x = cx.step(stages[k].type, stages[k].parameters, stages[k].result);
    } else {
      cx.emit(stages[k].type, stages[k].parameters);
    }
  }
  if (stages.empty()) cx.emit("identity", LowerContext::Inputs{{"x", x}});
  return {};
}

Stage cast_stage(LowerContext& cx, TensorType type, DType to) {
  type.dtype = to;
  return {.type = "cast", .operand = "x", .parameters = {{"dtype", cx.param("dtype", string_value(mil_type_name(to_mil(to))))}}, .result = type};
}

/// Elements of the constants that an op is written with: in the program, in weight.bin.
constexpr std::size_t kMaxImmediate = std::size_t{1} << 22, kMaxMatrix = std::size_t{1} << 26;

bool is_identity(const Ints& sources, Dim extent) {
  if (static_cast<std::int64_t>(sources.size()) != extent.extent()) return false;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    if (sources[k] != static_cast<std::int64_t>(k)) return false;
  }
  return true;
}

/// Each axis's elements from `sources` (empty: as they are), by a gather with constant indices, which takes no bool.
Status emit_gathers(LowerContext& cx, const std::vector<Ints>& sources) {
  TensorType type = cx.type(0);
  const bool is_bool = type.dtype == DType::kBool;
  std::vector<Stage> stages;
  for (std::size_t axis = 0; axis < sources.size(); ++axis) {
    if (sources[axis].empty() || is_identity(sources[axis], type.shape[axis])) continue;
    if (is_bool && stages.empty()) stages.push_back(cast_stage(cx, type, DType::kI32));
    type.dtype = is_bool ? DType::kI32 : type.dtype;
    type.shape[axis] = Dim(static_cast<std::int64_t>(sources[axis].size()));
    const std::string indices = cx.param("indices", ints_value(sources[axis]));
    LowerContext::Inputs parameters = gather_parameters(cx, static_cast<std::int64_t>(axis), 0);
    parameters.emplace_back("indices", indices);
    stages.push_back({.type = "gather", .operand = "x", .parameters = std::move(parameters), .result = type});
  }
  if (is_bool && !stages.empty()) stages.push_back(cast_stage(cx, type, DType::kBool));
  return emit_stages(cx, std::move(stages));
}

// ---- pad

/// MIL's pads: begin and end of each of the last axes in turn.
Ints pads_of(const ir::Pad& op, std::size_t first_axis) {
  Ints pads;
  for (std::size_t axis = first_axis; axis < op.begin.size(); ++axis) {
    pads.push_back(op.begin[axis]);
    pads.push_back(op.end[axis]);
  }
  return pads;
}

Stage pad_stage(LowerContext& cx, const ir::Pad& op, std::size_t first_axis, DType dtype) {
  constexpr std::array<std::string_view, 3> kModes{"constant", "reflect", "replicate"};
  TensorType result = cx.result_type();
  result.dtype = dtype;
  return {.type = "pad",
          .operand = "x",
          .parameters = {{"pad", cx.param("pad", ints_value(pads_of(op, first_axis)))},
                         {"mode", cx.param("mode", string_value(kModes[static_cast<std::size_t>(op.mode)]))},
                         {"constant_val", cx.param("constant_val", float_value(dtype, static_cast<double>(op.value)))}},
          .result = result};
}

/// MIL's pad takes floats only, and over float32 large integers would be rounded: blocks of the value go before and behind.
Status lower_integer_pad(const ir::Pad& op, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(std::string x, cx.in(0));
  const auto value = static_cast<std::int32_t>(std::clamp(static_cast<double>(op.value), -2147483648.0, 2147483647.0));
  TensorType type = cx.type(0);
  std::size_t last = 0;
  for (std::size_t axis = 0; axis < op.begin.size(); ++axis) {
    if (op.begin[axis] != 0 || op.end[axis] != 0) last = axis;
  }
  for (std::size_t axis = 0; axis <= last; ++axis) {
    if (op.begin[axis] == 0 && op.end[axis] == 0) continue;
    const auto block = [&](std::int64_t extent) -> Result<MilBinding> {
      TensorType part = type;
      part.shape[axis] = Dim(extent);
      const std::optional<std::uint64_t> count = mil_element_count(to_mil(part));
      if (!count || *count > kMaxImmediate) {
        return cx.unsupported(fmt::format("{} new integers, at most {} are written", count ? fmt::format("{}", *count) : "too many", kMaxImmediate));
      }
      std::vector<std::byte> bytes(*count * sizeof(value));
      for (std::size_t k = 0; k < *count; ++k) std::memcpy(&bytes[k * sizeof(value)], &value, sizeof(value));
      return MilBinding(cx.param("block", MilValue{.type = to_mil(part), .data = std::move(bytes)}));
    };
    std::map<std::string, std::vector<MilBinding>> inputs;
    if (op.begin[axis] != 0) {
      SMELT_ASSIGN_OR_RETURN(MilBinding more, block(op.begin[axis]));
      inputs["values"].push_back(std::move(more));
    }
    inputs["values"].emplace_back(x);
    if (op.end[axis] != 0) {
      SMELT_ASSIGN_OR_RETURN(MilBinding more, block(op.end[axis]));
      inputs["values"].push_back(std::move(more));
    }
    inputs["axis"] = {MilBinding(cx.param("axis", int_value(static_cast<std::int32_t>(axis))))};
    inputs["interleave"] = {MilBinding(cx.param("interleave", bool_value(false)))};
    type.shape[axis] = cx.result_type().shape[axis];
    if (axis == last) {
      cx.emit("concat", std::move(inputs));
    } else {
      x = cx.tuple_step("concat", std::move(inputs), type);
    }
  }
  return {};
}

Status lower_pad(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Pad>();
  const std::size_t rank = op.begin.size();
  const DType dtype = cx.type(0).dtype;
  const Ints all = pads_of(op, 0);
  if (std::all_of(all.begin(), all.end(), [](std::int64_t pad) { return pad == 0; })) return emit_stages(cx, {});
  if (op.mode == ir::PadMode::kConstant) {
    if (is_float(dtype)) return emit_stages(cx, {pad_stage(cx, op, 0, dtype)});
    if (dtype != DType::kBool) return lower_integer_pad(op, cx);
    // 0 and 1, which float32 holds
    return emit_stages(cx, {cast_stage(cx, cx.type(0), DType::kF32), pad_stage(cx, op, 0, DType::kF32), cast_stage(cx, cx.result_type(), DType::kBool)});
  }
  // MIL: reflect and replicate work on the last two axes, replicate no further than the extent
  bool is_native = is_float(dtype);
  std::vector<Ints> sources(rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t extent = cx.type(0).shape[axis].extent(), pad = std::max(op.begin[axis], op.end[axis]);
    is_native = is_native && (pad == 0 || axis + 2 >= rank) && pad <= extent;
    if (pad != 0) sources[axis] = ir::pad_sources(op, axis, extent);
  }
  return is_native ? emit_stages(cx, {pad_stage(cx, op, rank > 2 ? rank - 2 : 0, dtype)}) : emit_gathers(cx, sources);
}

Status lift_pad(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const Ints pads, cx.ints("pad"));
  std::string mode = "constant";
  if (cx.has("mode")) {
    SMELT_ASSIGN_OR_RETURN(mode, cx.text("mode"));
  }
  ir::Pad op;
  if (mode == "reflect") {
    op.mode = ir::PadMode::kReflect;
  } else if (mode == "replicate") {
    op.mode = ir::PadMode::kEdge;
  } else if (mode != "constant") {
    return cx.unsupported(fmt::format("mode \"{}\"", mode));
  } else if (cx.has("constant_val")) {
    SMELT_ASSIGN_OR_RETURN(op.value, cx.number("constant_val"));
  }
  const std::size_t rank = cx.type(x).shape.size(), given = pads.size() / 2;
  if (pads.size() % 2 != 0 || given > rank) return cx.malformed(fmt::format("{} pads for rank {}", pads.size(), rank));
  op.begin.assign(rank, 0);
  op.end.assign(rank, 0);
  for (std::size_t k = 0; k < given; ++k) {
    op.begin[rank - given + k] = pads[2 * k];
    op.end[rank - given + k] = pads[2 * k + 1];
  }
  return cx.define(cx.emit(std::move(op), {x}));
}

// ---- resize

/// Both axes of a resize, and the extents of x there.
struct Axes {
  std::array<std::size_t, 2> at{};
  std::array<std::int64_t, 2> in{}, out{};
  std::array<std::vector<ir::ResizeTap>, 2> taps;
};

Axes axes_of(const ir::Resize& op, const Shape& shape) {
  Axes axes;
  for (std::size_t k = 0; k < 2; ++k) {
    axes.at[k] = shape.size() - 2 + k;
    axes.in[k] = shape[axes.at[k]].extent();
    axes.out[k] = op.sizes[k];
    axes.taps[k] = ir::resize_taps(op, k, axes.in[k]);
  }
  return axes;
}

Ints sources_of(const std::vector<ir::ResizeTap>& taps) {
  Ints sources;
  for (const ir::ResizeTap& tap : taps) sources.push_back(tap.low);
  return sources;
}

bool are_whole_factors(const Axes& axes) { return axes.out[0] % axes.in[0] == 0 && axes.out[1] % axes.in[1] == 0; }

LowerContext::Inputs factors(LowerContext& cx, const Axes& axes) {
  const auto factor = [&](std::size_t k) { return int_value(static_cast<std::int32_t>(axes.out[k] / axes.in[k])); };
  return {{"scale_factor_height", cx.param("scale_factor_height", factor(0))}, {"scale_factor_width", cx.param("scale_factor_width", factor(1))}};
}

/// Whether every element is repeated a whole number of times.
bool is_repetition(const Axes& axes) {
  if (!are_whole_factors(axes)) return false;
  for (std::size_t k = 0; k < 2; ++k) {
    const Ints sources = sources_of(axes.taps[k]);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i] != static_cast<std::int64_t>(i) / (axes.out[k] / axes.in[k])) return false;
    }
  }
  return true;
}

/// begin and step of sources begin, begin + step, ... going up.
std::optional<std::pair<std::int64_t, std::int64_t>> progression(const Ints& sources) {
  const std::int64_t step = sources.size() > 1 ? sources[1] - sources[0] : 1;
  if (step < 1) return std::nullopt;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i] != sources[0] + static_cast<std::int64_t>(i) * step) return std::nullopt;
  }
  return std::pair(sources[0], step);
}

Status lower_nearest(const Axes& axes, LowerContext& cx) {
  const TensorType& type = cx.type(0);
  const std::size_t rank = type.shape.size();
  if (is_float(type.dtype) && rank >= 3 && is_repetition(axes)) {
    return emit_stages(cx, {Stage{.type = "upsample_nearest_neighbor", .operand = "x", .parameters = factors(cx, axes), .result = {}}});
  }
  std::vector<Ints> sources(rank);
  Ints begin(rank, 0), end, step(rank, 1);
  for (const Dim dim : type.shape) end.push_back(dim.extent());
  for (std::size_t k = 0; k < 2; ++k) sources[axes.at[k]] = sources_of(axes.taps[k]);
  bool is_slice = true;
  for (const std::size_t axis : axes.at) {
    const auto found = progression(sources[axis]);
    is_slice = is_slice && found;
    if (!found) continue;
    begin[axis] = found->first;
    step[axis] = found->second;
    end[axis] = sources[axis].back() + 1;
  }
  if (!is_slice) return emit_gathers(cx, sources);
  return emit_stages(cx, {Stage{.type = "slice_by_index", .operand = "x", .parameters = slice_parameters(cx, begin, end, step), .result = {}}});
}

/// The taps of one axis as a matrix [out, in] with leading axes of 1, in weight.bin where it is large.
Result<std::string> tap_matrix(LowerContext& cx, const std::vector<ir::ResizeTap>& taps, std::int64_t in) {
  if (taps.size() > kMaxMatrix / static_cast<std::size_t>(in)) {
    return cx.unsupported(fmt::format("{} elements to {} by a matrix, which may have {} elements", in, taps.size(), kMaxMatrix));
  }
  std::vector<float> values(taps.size() * static_cast<std::size_t>(in), 0.0F);
  for (std::size_t i = 0; i < taps.size(); ++i) {
    values[i * static_cast<std::size_t>(in) + static_cast<std::size_t>(taps[i].low)] += 1.0F - taps[i].weight;
    values[i * static_cast<std::size_t>(in) + static_cast<std::size_t>(taps[i].high)] += taps[i].weight;
  }
  Ints shape(cx.type(0).shape.size() - 2, 1);
  shape.push_back(static_cast<std::int64_t>(taps.size()));
  shape.push_back(in);
  HostTensor matrix = f32_tensor(shape, values);
  if (cx.type(0).dtype == DType::kF16) {
    matrix.dtype = DType::kF16;
    matrix.bytes.resize(values.size() * 2);
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::uint16_t half = f16_bits(values[k]);
      std::memcpy(&matrix.bytes[k * 2], &half, 2);
    }
  }
  SMELT_ASSIGN_OR_RETURN(MilValue value, cx.builder().weight_value(*make_constant(std::move(matrix))));
  return cx.builder().add_constant("resize_matrix", std::move(value));
}

bool is_untouched(const Axes& axes, std::size_t k) { return axes.in[k] == axes.out[k] && is_identity(sources_of(axes.taps[k]), Dim(axes.in[k])) &&
         std::all_of(axes.taps[k].begin(), axes.taps[k].end(), [](const ir::ResizeTap& tap) { return tap.weight == 0.0F; }); }

/// Whatever the places: rows M x, columns x M^T. The axis that shrinks more comes first.
Status lower_by_products(const Axes& axes, LowerContext& cx) {
  TensorType type = cx.type(0);
  std::vector<Stage> stages;
  const bool columns_first = axes.out[1] * axes.in[0] < axes.out[0] * axes.in[1];
  for (const std::size_t k : {columns_first ? std::size_t{1} : std::size_t{0}, columns_first ? std::size_t{0} : std::size_t{1}}) {
    if (is_untouched(axes, k)) continue;
    SMELT_ASSIGN_OR_RETURN(const std::string matrix, tap_matrix(cx, axes.taps[k], axes.in[k]));
    type.shape[axes.at[k]] = Dim(axes.out[k]);
    LowerContext::Inputs parameters{{k == 0 ? "x" : "y", matrix},
                                    {"transpose_x", cx.param("transpose_x", bool_value(false))},
                                    {"transpose_y", cx.param("transpose_y", bool_value(k == 1))}};
    stages.push_back({.type = "matmul", .operand = k == 0 ? "y" : "x", .parameters = std::move(parameters), .result = type});
  }
  return emit_stages(cx, std::move(stages));
}

struct Sampling {
  ir::ResizeCoordinates coordinates;
  std::string_view mode;  ///< of resize_bilinear
};
constexpr std::array<Sampling, 3> kSamplings{{{ir::ResizeCoordinates::kHalfPixel, "UNALIGN_CORNERS"},
                                              {ir::ResizeCoordinates::kAlignCorners, "STRICT_ALIGN_CORNERS"},
                                              {ir::ResizeCoordinates::kAsymmetric, "DEFAULT"}}};

/// MIL's own form where it has the same places, of the scale size / extent.
Status lower_linear(const ir::Resize& op, const Axes& axes, LowerContext& cx) {
  for (const Sampling& sampling : kSamplings) {
    ir::Resize native = op;
    native.coordinates = sampling.coordinates;
    native.scale_y = native.scale_x = 0;
    if (cx.type(0).shape.size() < 3 || axes_of(native, cx.type(0).shape).taps != axes.taps) continue;
    if (are_whole_factors(axes) && sampling.coordinates != ir::ResizeCoordinates::kAsymmetric) {
      const bool is_aligned = sampling.coordinates == ir::ResizeCoordinates::kAlignCorners;
      LowerContext::Inputs parameters = factors(cx, axes);
      parameters.emplace_back("align_corners", cx.param("align_corners", bool_value(is_aligned)));
      if (cx.target() >= Target::kIos16) parameters.emplace_back("half_pixel_centers", cx.param("half_pixel_centers", bool_value(!is_aligned)));
      return emit_stages(cx, {Stage{.type = "upsample_bilinear", .operand = "x", .parameters = std::move(parameters), .result = {}}});
    }
    LowerContext::Inputs parameters{{"target_size_height", cx.param("target_size_height", int_value(static_cast<std::int32_t>(axes.out[0])))},
                                    {"target_size_width", cx.param("target_size_width", int_value(static_cast<std::int32_t>(axes.out[1])))},
                                    {"sampling_mode", cx.param("sampling_mode", string_value(sampling.mode))}};
    return emit_stages(cx, {Stage{.type = "resize_bilinear", .operand = "x", .parameters = std::move(parameters), .result = {}}});
  }
  return lower_by_products(axes, cx);
}

Status lower_resize(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Resize>();
  const Axes axes = axes_of(op, cx.type(0).shape);
  return op.mode == ir::ResizeMode::kNearest ? lower_nearest(axes, cx) : lower_linear(op, axes, cx);
}

/// The last two extents of x.
Result<std::array<std::int64_t, 2>> extents_of(LiftContext& cx, ir::ValueId x) {
  const Shape& shape = cx.type(x).shape;
  if (shape.size() < 3) return cx.malformed(fmt::format("an operand of rank {}", shape.size()));
  if (!shape.back().is_static() || !shape[shape.size() - 2].is_static()) return cx.unsupported("an open extent");
  return std::array<std::int64_t, 2>{shape[shape.size() - 2].extent(), shape.back().extent()};
}

/// Sizes from two factors, which must be whole.
Result<Ints> scaled_sizes(LiftContext& cx, ir::ValueId x) {
  SMELT_ASSIGN_OR_RETURN(const auto extents, extents_of(cx, x));
  Ints sizes;
  for (std::size_t k = 0; k < 2; ++k) {
    const std::string_view parameter = k == 0 ? "scale_factor_height" : "scale_factor_width";
    float factor = 1;
    if (cx.has(parameter)) {
      SMELT_ASSIGN_OR_RETURN(factor, cx.number(parameter));
    }
    if (std::trunc(factor) != factor || factor < 1 || factor > 1e6F) return cx.unsupported(fmt::format("a factor of {}", factor));
    std::int64_t size = 0;
    if (__builtin_mul_overflow(extents[k], static_cast<std::int64_t>(factor), &size)) return cx.malformed(fmt::format("a factor of {} on an extent of {}", factor, extents[k]));
    sizes.push_back(size);
  }
  return sizes;
}

Status lift_upsample_nearest(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  ir::Resize op{.mode = ir::ResizeMode::kNearest, .coordinates = ir::ResizeCoordinates::kAsymmetric, .rounding = ir::ResizeRounding::kFloor, .sizes = {}};
  SMELT_ASSIGN_OR_RETURN(op.sizes, scaled_sizes(cx, x));
  return cx.define(cx.emit(std::move(op), {x}));
}

Status lift_upsample_bilinear(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  bool is_aligned = true;
  if (cx.has("align_corners")) {
    SMELT_ASSIGN_OR_RETURN(is_aligned, cx.boolean("align_corners"));
  }
  bool is_half = !is_aligned;
  if (cx.has("half_pixel_centers")) {
    SMELT_ASSIGN_OR_RETURN(is_half, cx.boolean("half_pixel_centers"));
  }
  if (is_aligned == is_half) return cx.unsupported("align_corners and half_pixel_centers alike");
  ir::Resize op{.mode = ir::ResizeMode::kLinear, .coordinates = is_half ? ir::ResizeCoordinates::kHalfPixel : ir::ResizeCoordinates::kAlignCorners, .rounding = {}, .sizes = {}};
  SMELT_ASSIGN_OR_RETURN(op.sizes, scaled_sizes(cx, x));
  return cx.define(cx.emit(std::move(op), {x}));
}

Status lift_resize_bilinear(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_RETURN_IF_ERROR([&]() -> Status {
    const auto extents = extents_of(cx, x);
    return extents.ok() ? Status() : Status(extents.error());
  }());
  std::string mode = "DEFAULT";
  if (cx.has("sampling_mode")) {
    SMELT_ASSIGN_OR_RETURN(mode, cx.text("sampling_mode"));
  }
  const auto* const sampling = std::ranges::find(kSamplings, mode, &Sampling::mode);
  if (sampling == kSamplings.end()) return cx.unsupported(fmt::format("sampling_mode \"{}\"", mode));
  ir::Resize op{.mode = ir::ResizeMode::kLinear, .coordinates = sampling->coordinates, .rounding = {}, .sizes = {1, 1}};
  for (std::size_t k = 0; k < 2; ++k) {
    const std::string_view parameter = k == 0 ? "target_size_height" : "target_size_width";
    if (!cx.has(parameter)) continue;
    SMELT_ASSIGN_OR_RETURN(op.sizes[k], cx.integer(parameter));
  }
  return cx.define(cx.emit(std::move(op), {x}));
}

constexpr auto kLowerings = std::to_array<LoweringRow>({{OpKind::kPad, lower_pad}, {OpKind::kResize, lower_resize}});

constexpr auto kLifts = std::to_array<LiftRow>({
    {"pad", lift_pad},
    {"upsample_nearest_neighbor", lift_upsample_nearest},
    {"upsample_bilinear", lift_upsample_bilinear},
    {"resize_bilinear", lift_resize_bilinear},
});

}  // namespace

std::span<const LoweringRow> resample_lowerings() { return kLowerings; }
std::span<const LiftRow> resample_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
