#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/broadcast.h"
#include "convert/coreml/ops/indexing.h"
#include "tensor/host_tensor.h"

namespace smelt::coreml_format {
namespace {

using ir::OpKind;

std::vector<std::int64_t> extents_of(const Shape& shape) {
  std::vector<std::int64_t> out;
  for (const Dim dim : shape) out.push_back(dim.extent());
  return out;
}

/// The target shape is the result's own: no -1, and no 0, whose meaning changed between versions.
Status lower_reshape(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  if (cx.result_type().shape.empty()) {  // a reshape to a scalar is a squeeze
    cx.emit("squeeze", LowerContext::Inputs{{"x", x}});
    return {};
  }
  cx.emit("reshape", LowerContext::Inputs{{"x", x}, {"shape", cx.param("shape", ints_value(extents_of(cx.result_type().shape)))}});
  return {};
}

Status lower_transpose(const ir::Op& any, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("transpose", LowerContext::Inputs{{"x", x}, {"perm", cx.param("perm", ints_value(any.as<ir::Transpose>()->perm))}});
  return {};
}

Status lower_axes(LowerContext& cx, std::string_view type, const std::vector<std::int64_t>& axes) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  if (axes.empty()) {
    cx.emit("identity", LowerContext::Inputs{{"x", x}});
    return {};
  }
  cx.emit(type, LowerContext::Inputs{{"x", x}, {"axes", cx.param("axes", ints_value(axes))}});
  return {};
}

Status lower_concat(const ir::Op& any, LowerContext& cx) {
  std::map<std::string, std::vector<MilBinding>> inputs;
  for (std::size_t k = 0; k < cx.node().inputs.size(); ++k) {
    SMELT_ASSIGN_OR_RETURN(std::string value, cx.in(k));
    inputs["values"].emplace_back(std::move(value));
  }
  inputs["axis"] = {MilBinding(cx.param("axis", int_value(static_cast<std::int32_t>(any.as<ir::Concat>()->axis))))};
  inputs["interleave"] = {MilBinding(cx.param("interleave", bool_value(false)))};
  cx.emit("concat", std::move(inputs));
  return {};
}

Status lower_split(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Split>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("split", LowerContext::Inputs{{"x", x},
                                        {"split_sizes", cx.param("split_sizes", ints_value(op.sizes))},
                                        {"axis", cx.param("axis", int_value(static_cast<std::int32_t>(op.axis)))}});
  return {};
}

Status lower_slice(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Slice>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  LowerContext::Inputs inputs = slice_parameters(cx, op.begin, op.end, op.step);
  inputs.emplace_back("x", x);
  cx.emit("slice_by_index", inputs);
  return {};
}

Status lower_expand(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(std::string x, cx.in(0));
  const Shape& shape = cx.result_type().shape;
  const std::vector<std::int64_t> reps = repeats(cx.type(0).shape, shape);
  const bool repeats_any = std::any_of(reps.begin(), reps.end(), [](std::int64_t r) { return r != 1; });
  if (!repeats_any) {
    cx.emit("reshape", LowerContext::Inputs{{"x", x}, {"shape", cx.param("shape", ints_value(extents_of(shape)))}});
    return {};
  }
  x = with_rank(cx, std::move(x), cx.type(0), shape.size());
  cx.emit("tile", LowerContext::Inputs{{"x", x}, {"reps", cx.param("reps", ints_value(reps))}});
  return {};
}

/// Whether an index is known never to be negative: constants are, which legalization made so.
bool is_never_negative(const ir::Graph& graph, ir::ValueId id) {
  return graph.value(id).constant != nullptr;
}

LowerContext::Inputs gather_inputs(LowerContext& cx, std::string x, std::string indices, std::int64_t last, bool is_nd) {
  LowerContext::Inputs inputs = gather_parameters(cx, is_nd ? std::nullopt : std::optional(last), is_nd ? last : 0);
  inputs.emplace_back("x", std::move(x));
  inputs.emplace_back("indices", std::move(indices));
  return inputs;
}

/// One constant index: a slice and a squeeze.
Status lower_gather_one(const ir::Gather& op, LowerContext& cx, std::int64_t index) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const auto axis = static_cast<std::size_t>(op.axis);
  std::vector<std::int64_t> begin(cx.type(0).shape.size(), 0), end = extents_of(cx.type(0).shape);
  begin[axis] = index;
  end[axis] = index + 1;
  TensorType sliced = cx.type(0);
  sliced.shape[axis] = Dim(1);
  LowerContext::Inputs inputs = slice_parameters(cx, begin, end, std::vector<std::int64_t>(begin.size(), 1));
  inputs.emplace_back("x", x);
  const std::string part = cx.step("slice_by_index", inputs, sliced);
  cx.emit("squeeze", LowerContext::Inputs{{"x", part}, {"axes", cx.param("axes", ints_value(std::vector<std::int64_t>{op.axis}))}});
  return {};
}

/// From iOS 17 on a negative index is out of bounds, so one that may be negative is moved first.
Result<std::string> safe_indices(LowerContext& cx, std::int64_t extent) {
  SMELT_ASSIGN_OR_RETURN(const std::string indices, cx.in(1));
  if (cx.target() < Target::kIos17 || is_never_negative(cx.builder().graph(), cx.node().inputs[1])) return indices;
  TensorType flag = cx.type(1);
  flag.dtype = DType::kBool;
  const std::string is_fine = cx.step("greater_equal", {{"x", indices}, {"y", cx.param("zero", int_value(0))}}, flag);
  const std::string moved = cx.step("add", {{"x", indices}, {"y", cx.param("extent", int_value(static_cast<std::int32_t>(extent)))}}, cx.type(1));
  return cx.step("select", {{"cond", is_fine}, {"a", indices}, {"b", moved}}, cx.type(1));
}

/// Gathers from bool as int32, which gather takes, and back.
Status emit_gather(LowerContext& cx, std::string_view type, const std::string& x, const std::string& indices, std::int64_t last, bool is_nd) {
  if (cx.type(0).dtype != DType::kBool) {
    cx.emit(type, gather_inputs(cx, x, indices, last, is_nd));
    return {};
  }
  TensorType wide = cx.type(0), result = cx.result_type();
  wide.dtype = result.dtype = DType::kI32;
  const std::string numbers = cx.step("cast", {{"x", x}, {"dtype", cx.param("dtype", string_value("int32"))}}, wide);
  const std::string gathered = cx.step(type, gather_inputs(cx, numbers, indices, last, is_nd), result);
  cx.emit("cast", LowerContext::Inputs{{"x", gathered}, {"dtype", cx.param("dtype", string_value("bool"))}});
  return {};
}

Status lower_gather(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Gather>();
  const std::int64_t extent = cx.type(0).shape[static_cast<std::size_t>(op.axis)].extent();
  if (cx.constant(1) != nullptr && cx.type(1).shape.empty()) {
    SMELT_ASSIGN_OR_RETURN(const HostTensor index, load(*cx.constant(1)));
    return lower_gather_one(op, cx, to_int64s(index).front());
  }
  if (cx.type(1).shape.empty()) return cx.unsupported("a scalar index that is not constant");
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string indices, safe_indices(cx, extent));
  return emit_gather(cx, "gather", x, indices, op.axis, false);
}

Status lower_gather_nd(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::GatherNd>();
  if (op.batch_axes != 0 && cx.target() < Target::kIos16) return cx.unsupported("batch axes need ios16 or newer");
  if (cx.target() >= Target::kIos17 && !is_never_negative(cx.builder().graph(), cx.node().inputs[1])) {
    return cx.unsupported("indices that are not constant");
  }
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string indices, cx.in(1));
  return emit_gather(cx, "gather_nd", x, indices, op.batch_axes, true);
}

// ---- and back

Status lift_reshape(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, cx.ints("shape"));
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return cx.unsupported("an extent of 0, whose meaning depends on the version");
  return cx.define(cx.emit(ir::Reshape{.shape = std::move(shape)}, {x}));
}

Status lift_transpose(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> perm, cx.ints("perm"));
  for (std::int64_t& axis : perm) axis += axis < 0 ? static_cast<std::int64_t>(perm.size()) : 0;
  return cx.define(cx.emit(ir::Transpose{.perm = std::move(perm)}, {x}));
}

Result<std::vector<std::int64_t>> sorted_axes(LiftContext& cx, std::int64_t rank) {
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> axes, cx.ints("axes"));
  for (std::int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  std::sort(axes.begin(), axes.end());
  return axes;
}

Status lift_squeeze(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  ir::Squeeze op;
  if (cx.has("axes")) {
    SMELT_ASSIGN_OR_RETURN(op.axes, sorted_axes(cx, static_cast<std::int64_t>(cx.type(x).shape.size())));
  } else {
    for (std::size_t k = 0; k < cx.type(x).shape.size(); ++k) {
      if (cx.type(x).shape[k] == Dim(1)) op.axes.push_back(static_cast<std::int64_t>(k));
    }
  }
  return cx.define(cx.emit(std::move(op), {x}));
}

Status lift_expand_dims(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> given, cx.ints("axes"));
  ir::ExpandDims op;
  SMELT_ASSIGN_OR_RETURN(op.axes, sorted_axes(cx, static_cast<std::int64_t>(cx.type(x).shape.size() + given.size())));
  return cx.define(cx.emit(std::move(op), {x}));
}

Status lift_concat(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(std::vector<ir::ValueId> values, cx.operands("values"));
  SMELT_ASSIGN_OR_RETURN(std::int64_t axis, cx.integer("axis"));
  if (cx.has("interleave")) {
    SMELT_ASSIGN_OR_RETURN(const bool interleave, cx.boolean("interleave"));
    if (interleave) return cx.unsupported("interleave");
  }
  if (axis < 0 && !values.empty()) axis += static_cast<std::int64_t>(cx.type(values.front()).shape.size());
  return cx.define(cx.emit(ir::Concat{.axis = axis}, std::move(values)));
}

Status lift_split(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  ir::Split op;
  SMELT_ASSIGN_OR_RETURN(op.axis, cx.integer("axis"));
  if (op.axis < 0) op.axis += static_cast<std::int64_t>(cx.type(x).shape.size());
  SMELT_ASSIGN_OR_RETURN(op.sizes, cx.ints("split_sizes"));
  Result<std::vector<ir::ValueId>> parts = cx.emit_all(std::move(op), {x});
  if (!parts.ok()) return parts.error();
  return cx.define(*parts);
}

Status lift_slice(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  ir::Slice op;
  SMELT_ASSIGN_OR_RETURN(op.begin, cx.ints("begin"));
  SMELT_ASSIGN_OR_RETURN(op.end, cx.ints("end"));
  const Shape shape = cx.type(x).shape;
  op.step.assign(shape.size(), 1);
  if (cx.has("stride")) {
    SMELT_ASSIGN_OR_RETURN(op.step, cx.ints("stride"));
  }
  std::vector<bool> masks[3];
  constexpr std::array<std::string_view, 3> kNames{"begin_mask", "end_mask", "squeeze_mask"};
  for (std::size_t m = 0; m < 3; ++m) {
    masks[m].assign(shape.size(), false);
    if (!cx.has(kNames[m])) continue;
    SMELT_ASSIGN_OR_RETURN(masks[m], cx.bools(kNames[m]));
  }
  for (const std::size_t length : {op.begin.size(), op.end.size(), op.step.size(), masks[0].size(), masks[1].size(), masks[2].size()}) {
    if (length != shape.size()) return cx.malformed(fmt::format("a parameter of length {} for rank {}", length, shape.size()));
  }
  std::vector<std::int64_t> squeezed;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (!shape[k].is_static()) return cx.unsupported("an open extent");
    const std::int64_t n = shape[k].extent();
    const bool forward = op.step[k] > 0;
    if (op.begin[k] < 0) op.begin[k] += n;
    if (op.end[k] < 0) op.end[k] += n;
    if (masks[2][k]) {
      op.end[k] = op.begin[k] + 1;
      op.step[k] = 1;
      squeezed.push_back(static_cast<std::int64_t>(k));
      continue;
    }
    if (masks[0][k]) op.begin[k] = forward ? 0 : n - 1;
    if (masks[1][k]) op.end[k] = forward ? n : -1;
    op.end[k] = std::min(op.end[k], n);
  }
  SMELT_ASSIGN_OR_RETURN(ir::ValueId out, cx.emit(std::move(op), {x}));
  if (!squeezed.empty()) {
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Squeeze{.axes = std::move(squeezed)}, {out}));
  }
  return cx.define(std::vector<ir::ValueId>{out});
}

Status lift_tile(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, cx.ints("reps"));
  if (shape.size() != cx.type(x).shape.size()) return cx.malformed("reps of another length than the rank");
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const Dim dim = cx.type(x).shape[k];
    if (shape[k] < 1) return cx.malformed(fmt::format("a repeat of {}", shape[k]));
    if (shape[k] != 1 && dim != Dim(1)) return cx.unsupported("repeats of an axis that is longer than 1");
  }
  return cx.define(cx.emit(ir::Expand{.shape = std::move(shape)}, {x}));
}

Status lift_gather(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId indices, cx.operand("indices"));
  SMELT_ASSIGN_OR_RETURN(std::int64_t axis, cx.integer("axis"));
  if (axis < 0) axis += static_cast<std::int64_t>(cx.type(x).shape.size());
  if (cx.has("batch_dims")) {
    SMELT_ASSIGN_OR_RETURN(const std::int64_t batch, cx.integer("batch_dims"));
    if (batch != 0) return cx.unsupported("batch_dims");
  }
  return cx.define(cx.emit(ir::Gather{.axis = axis}, {x, indices}));
}

Status lift_gather_nd(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId indices, cx.operand("indices"));
  ir::GatherNd op;
  if (cx.has("batch_dims")) {
    SMELT_ASSIGN_OR_RETURN(op.batch_axes, cx.integer("batch_dims"));
  }
  return cx.define(cx.emit(op, {x, indices}));
}

constexpr auto kLowerings = std::to_array<LoweringRow>({
    {OpKind::kReshape, lower_reshape},
    {OpKind::kTranspose, lower_transpose},
    {OpKind::kSqueeze, [](const ir::Op& op, LowerContext& cx) { return lower_axes(cx, "squeeze", op.as<ir::Squeeze>()->axes); }},
    {OpKind::kExpandDims, [](const ir::Op& op, LowerContext& cx) { return lower_axes(cx, "expand_dims", op.as<ir::ExpandDims>()->axes); }},
    {OpKind::kConcat, lower_concat},
    {OpKind::kSplit, lower_split},
    {OpKind::kSlice, lower_slice},
    {OpKind::kGather, lower_gather},
    {OpKind::kGatherNd, lower_gather_nd},
    {OpKind::kExpand, lower_expand},
});

constexpr auto kLifts = std::to_array<LiftRow>({
    {"reshape", lift_reshape},
    {"transpose", lift_transpose},
    {"squeeze", lift_squeeze},
    {"expand_dims", lift_expand_dims},
    {"concat", lift_concat},
    {"split", lift_split},
    {"slice_by_index", lift_slice},
    {"tile", lift_tile},
    {"gather", lift_gather},
    {"gather_nd", lift_gather_nd},
});

}  // namespace

std::span<const LoweringRow> shape_lowerings() { return kLowerings; }
std::span<const LiftRow> shape_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
