#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"
#include "convert/onnx/payload.h"

namespace smelt::onnx_format {
namespace {

/// Axes from an attribute of older opsets, or from an operand; nullopt when neither is there.
Result<std::optional<std::vector<std::int64_t>>> optional_ints(NodeContext& cx, std::string_view attribute, std::size_t operand) {
  using List = std::optional<std::vector<std::int64_t>>;
  if (const Attribute* found = cx.attribute(attribute)) return List(found->ints);
  if (!cx.has(operand)) return List();
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> values, cx.constant_ints(operand, attribute));
  return List(std::move(values));
}

/// ONNX Reshape-5 to -25. 0 keeps the extent at its place, unless allowzero, when it is an extent of 0; one -1 is what remains.
Status import_reshape(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, cx.constant_ints(1, "the shape"));
  const bool zero_is_extent = cx.int_or("allowzero", 0) != 0;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] != 0 || zero_is_extent) continue;
    if (k >= cx.type(x).shape.size()) return cx.malformed(fmt::format("shape entry {} is 0, beyond the operand's rank", k));
    const smelt::Dim dim = cx.type(x).shape[k];
    if (dim.is_static()) shape[k] = dim.extent();
  }
  return cx.set_result(cx.emit(ir::Reshape{.shape = std::move(shape)}, {x}));
}

Status import_flatten(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  const std::int64_t rank = cx.rank(x);
  std::int64_t axis = cx.int_or("axis", 1);
  if (axis < -rank || axis > rank) return cx.malformed(fmt::format("axis {} of rank {}", axis, rank));
  if (axis < 0) axis += rank;
  const auto middle = extents.begin() + axis;
  SMELT_ASSIGN_OR_RETURN(const std::int64_t rows, element_count(std::vector<std::int64_t>(extents.begin(), middle)));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t columns, element_count(std::vector<std::int64_t>(middle, extents.end())));
  return cx.set_result(cx.emit(ir::Reshape{.shape = {rows, columns}}, {x}));
}

Status import_transpose(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  std::vector<std::int64_t> reversed(static_cast<std::size_t>(cx.rank(x)));
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return cx.set_result(cx.emit(ir::Transpose{.perm = cx.ints_or("perm", reversed)}, {x}));
}

Status import_squeeze(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(std::optional<std::vector<std::int64_t>> axes, optional_ints(cx, "axes", 1));
  if (!axes) {
    axes.emplace();
    for (std::int64_t k = 0; k < cx.rank(x); ++k) {
      if (cx.type(x).shape[static_cast<std::size_t>(k)] == smelt::Dim(1)) axes->push_back(k);
    }
  }
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> sorted, cx.axes(*std::move(axes), cx.rank(x)));
  return cx.set_result(cx.emit(ir::Squeeze{.axes = std::move(sorted)}, {x}));
}

Status import_unsqueeze(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(std::optional<std::vector<std::int64_t>> axes, optional_ints(cx, "axes", 1));
  if (!axes) return cx.malformed("no axes");
  const std::int64_t rank = cx.rank(x) + static_cast<std::int64_t>(axes->size());
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> sorted, cx.axes(*std::move(axes), rank));
  return cx.set_result(cx.emit(ir::ExpandDims{.axes = std::move(sorted)}, {x}));
}

Status import_concat(NodeContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (std::size_t k = 0; k < cx.input_count(); ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId input, cx.required(k));
    inputs.push_back(input);
  }
  if (inputs.empty()) return cx.malformed("no operands");
  if (cx.attribute("axis") == nullptr) return cx.malformed("no axis");
  SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(cx.int_or("axis", 0), cx.rank(inputs.front())));
  if (inputs.size() == 1) {
    cx.set(0, inputs.front());
    return {};
  }
  return cx.set_result(cx.emit(ir::Concat{.axis = axis}, std::move(inputs)));
}

/// ONNX Split: sizes as attribute (to 12) or operand (13); none: equal parts, from 18 on of ceil(extent / num_outputs).
Status import_split(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(cx.int_or("axis", 0), cx.rank(x)));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  const std::int64_t extent = extents[static_cast<std::size_t>(axis)];
  SMELT_ASSIGN_OR_RETURN(std::optional<std::vector<std::int64_t>> sizes, optional_ints(cx, "split", 1));
  const auto count = static_cast<std::int64_t>(cx.node().outputs.size());
  if (!sizes) {
    if (count == 0) return cx.malformed("no outputs");
    const std::int64_t part = (extent + count - 1) / count;
    if (cx.opset() < 18 && part * count != extent) return cx.malformed(fmt::format("{} does not split into {}", extent, count));
    sizes.emplace();
    for (std::int64_t k = 0; k < count; ++k) sizes->push_back(std::clamp<std::int64_t>(extent - k * part, 0, part));
  }
  if (static_cast<std::int64_t>(sizes->size()) != count) return cx.malformed(fmt::format("{} sizes for {} outputs", sizes->size(), count));
  SMELT_ASSIGN_OR_RETURN(const std::vector<ir::ValueId> parts, cx.emit_all(ir::Split{.axis = axis, .sizes = *std::move(sizes)}, {x}));
  for (std::size_t k = 0; k < parts.size(); ++k) cx.set(k, parts[k]);
  return {};
}

/// ONNX Slice-10: negative bounds count from the end, then everything clamps to the extent.
Status import_slice(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  SMELT_ASSIGN_OR_RETURN(const std::optional<std::vector<std::int64_t>> starts, optional_ints(cx, "starts", 1));
  SMELT_ASSIGN_OR_RETURN(const std::optional<std::vector<std::int64_t>> ends, optional_ints(cx, "ends", 2));
  if (!starts || !ends || starts->size() != ends->size()) return cx.malformed("starts and ends of different lengths");
  std::vector<std::int64_t> all(starts->size());
  std::iota(all.begin(), all.end(), 0);
  SMELT_ASSIGN_OR_RETURN(std::optional<std::vector<std::int64_t>> axes, optional_ints(cx, "axes", 3));
  if (!axes) axes = all;
  std::vector<std::int64_t> steps(starts->size(), 1);
  if (cx.has(4)) {
    SMELT_ASSIGN_OR_RETURN(steps, cx.constant_ints(4, "steps"));
  }
  if (axes->size() != starts->size() || steps.size() != starts->size()) return cx.malformed("axes or steps of another length");
  ir::Slice op{.begin = std::vector<std::int64_t>(extents.size(), 0), .end = extents, .step = std::vector<std::int64_t>(extents.size(), 1)};
  for (std::size_t k = 0; k < axes->size(); ++k) {
    SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis((*axes)[k], cx.rank(x)));
    const auto at = static_cast<std::size_t>(axis);
    const std::int64_t n = extents[at], step = steps[k];
    if (step == 0) return cx.malformed("a step of 0");
    if (step == std::numeric_limits<std::int64_t>::min()) return cx.malformed("a step of -2^63");
    const auto from_end = [n](std::int64_t v) { return v < 0 ? (v < -n ? std::int64_t{-1} : v + n) : v; };
    const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    op.begin[at] = std::clamp<std::int64_t>(from_end((*starts)[k]), step > 0 ? 0 : std::min<std::int64_t>(0, high), std::max(low, high));
    op.end[at] = std::clamp<std::int64_t>((*ends)[k] < -n ? low : from_end((*ends)[k]), low, high);
    op.step[at] = step;
  }
  return cx.set_result(cx.emit(std::move(op), {x}));
}

Status import_gather(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId indices, cx.required(1));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(cx.int_or("axis", 0), cx.rank(x)));
  return cx.set_result(cx.emit(ir::Gather{.axis = axis}, {x, indices}));
}

Status import_gather_nd(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId indices, cx.required(1));
  return cx.set_result(cx.emit(ir::GatherNd{.batch_axes = cx.int_or("batch_dims", 0)}, {x, indices}));
}

Status import_expand(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> shape, cx.constant_ints(1, "the shape"));
  return cx.set_result(cx.emit(ir::Expand{.shape = shape}, {x}));
}

/// ONNX Shape-1 to -25: every extent is known here, so it is a constant.
Status import_shape(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  const std::int64_t rank = cx.rank(x);
  const auto bound = [rank](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t start = bound(cx.int_or("start", 0)), end = bound(cx.int_or("end", rank));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  std::vector<std::int64_t> part;
  for (std::int64_t k = start; k < end; ++k) part.push_back(extents[static_cast<std::size_t>(k)]);
  cx.set(0, cx.add_constant(i64_tensor({static_cast<std::int64_t>(part.size())}, part)));
  return {};
}

Status import_size(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> extents, cx.extents(x));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(extents));
  cx.set(0, cx.add_constant(i64_tensor({}, std::span(&count, 1))));
  return {};
}

Status import_constant(NodeContext& cx) {
  if (const Attribute* value = cx.attribute("value"); value != nullptr && value->tensor) {
    SMELT_ASSIGN_OR_RETURN(ConstantRef constant, cx.payloads().read(*value->tensor));
    cx.set(0, cx.graph().add_constant({}, std::move(constant)));
    return {};
  }
  if (const Attribute* value = cx.attribute("value_float")) {
    const float scalar = value->f.value_or(0);
    cx.set(0, cx.add_constant(f32_tensor({}, std::span(&scalar, 1))));
    return {};
  }
  if (const Attribute* value = cx.attribute("value_int")) {
    const std::int64_t scalar = value->i.value_or(0);
    cx.set(0, cx.add_constant(i64_tensor({}, std::span(&scalar, 1))));
    return {};
  }
  if (const Attribute* value = cx.attribute("value_floats")) {
    cx.set(0, cx.add_constant(f32_tensor({static_cast<std::int64_t>(value->floats.size())}, value->floats)));
    return {};
  }
  if (const Attribute* value = cx.attribute("value_ints")) {
    cx.set(0, cx.add_constant(i64_tensor({static_cast<std::int64_t>(value->ints.size())}, value->ints)));
    return {};
  }
  return cx.unsupported("a constant of strings or sparse values");
}

/// A repeated value, never in memory more than once. ONNX ConstantOfShape-9: default float32 0.
Status import_constant_of_shape(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> shape, cx.constant_ints(0, "the shape"));
  for (const std::int64_t extent : shape) {
    if (extent < 0) return cx.malformed(fmt::format("an extent of {}", extent));
  }
  HostTensor value{.dtype = DType::kF32, .shape = {1}, .bytes = std::vector<std::byte>(4)};
  if (const Attribute* found = cx.attribute("value"); found != nullptr && found->tensor) {
    SMELT_ASSIGN_OR_RETURN(const ConstantRef constant, cx.payloads().read(*found->tensor));
    if (element_count(*constant) != 1) return cx.malformed("a value that is not one element");
    if (bits(constant->dtype) < 8) return cx.unsupported(fmt::format("a value of {}", name(constant->dtype)));
    SMELT_ASSIGN_OR_RETURN(value, load(*constant));
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(shape));
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, splat_bytes(std::move(value.bytes), static_cast<std::uint64_t>(count)));
  cx.set(0, cx.graph().add_constant({}, std::make_shared<const Constant>(Constant{.dtype = value.dtype, .shape = shape, .bytes = std::move(bytes)})));
  return {};
}

/// ONNX Range-11: start + k * delta, for max(ceil((limit - start) / delta), 0) elements; constants only.
Status import_range(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId first, cx.required(0));
  const DType dtype = cx.type(first).dtype;
  SMELT_ASSIGN_OR_RETURN(const double start, cx.constant_scalar(0, "start"));
  SMELT_ASSIGN_OR_RETURN(const double limit, cx.constant_scalar(1, "limit"));
  SMELT_ASSIGN_OR_RETURN(const double delta, cx.constant_scalar(2, "delta"));
  if (delta == 0.0 || !std::isfinite(start) || !std::isfinite(limit) || !std::isfinite(delta)) return cx.malformed("start, limit or delta out of range");
  const double count = std::max(std::ceil((limit - start) / delta), 0.0);
  constexpr double kMost = 1 << 24;  // what a double counts exactly and a graph can want
  if (count > kMost) return cx.unsupported(fmt::format("a range of {} elements", count));
  HostTensor wide{.dtype = DType::kF64, .shape = {static_cast<std::int64_t>(count)}, .bytes = {}};
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = start + static_cast<double>(k) * delta;
  wide.bytes.resize(values.size() * sizeof(double));
  if (!values.empty()) std::memcpy(wide.bytes.data(), values.data(), wide.bytes.size());
  return cx.set_result(cx.cast(cx.add_constant(std::move(wide)), dtype));
}

constexpr std::array<OperatorImport, 16> kTable{{
    {"Concat", 4, import_concat},
    {"Constant", 1, import_constant},
    {"ConstantOfShape", 9, import_constant_of_shape},
    {"Expand", 8, import_expand},
    {"Flatten", 1, import_flatten},
    {"Gather", 1, import_gather},
    {"GatherND", 11, import_gather_nd},
    {"Range", 11, import_range},
    {"Reshape", 5, import_reshape},
    {"Shape", 1, import_shape},
    {"Size", 1, import_size},
    {"Slice", 1, import_slice},
    {"Split", 2, import_split},
    {"Squeeze", 1, import_squeeze},
    {"Transpose", 1, import_transpose},
    {"Unsqueeze", 1, import_unsqueeze},
}};

}  // namespace

std::span<const OperatorImport> shape_imports() { return kTable; }

}  // namespace smelt::onnx_format
