#include "convert/onnx/ops_export.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "convert/onnx/payload.h"
#include "ir/ops/all.h"
#include "tensor/type.h"

namespace smelt::onnx_format {
namespace {

using ir::OpKind;
using Ints = std::vector<std::int64_t>;

/// The node as it is: the same operands and results.
Status plain(const NodeExport& cx, std::string_view op_type, const AttributeValues& attributes = {}) {
  cx.out.node(op_type, cx.inputs, cx.results, attributes);
  return {};
}

/// One operand, then a list of integers that the IR has as an attribute.
Status with_integers(const NodeExport& cx, std::string_view op_type, const Ints& values, const AttributeValues& attributes = {}) {
  SMELT_ASSIGN_OR_RETURN(std::string list, cx.out.integers(values));
  cx.out.node(op_type, {cx.inputs[0], std::move(list)}, cx.results, attributes);
  return {};
}

Ints joined(const Ints& a, const Ints& b) {
  Ints out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

Status silu(const NodeExport& cx) {
  cx.out.node("Mul", {cx.inputs[0], cx.out.add("Sigmoid", {cx.inputs[0]})}, cx.results);
  return {};
}

Status clip(const NodeExport& cx, const ir::Clip& op) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const DType dtype = cx.dtype(cx.node.inputs[0]);
  std::vector<std::string> inputs{cx.inputs[0], "", ""};
  if (op.min != -kInfinity) {
    SMELT_ASSIGN_OR_RETURN(inputs[1], cx.out.filled(dtype, {}, op.min));
  }
  if (op.max != kInfinity) {
    SMELT_ASSIGN_OR_RETURN(inputs[2], cx.out.filled(dtype, {}, op.max));
  }
  while (inputs.back().empty()) inputs.pop_back();
  cx.out.node("Clip", inputs, cx.results);
  return {};
}

Status cast(const NodeExport& cx, const ir::Cast& op) {
  const DType from = cx.dtype(cx.node.inputs[0]);
  const bool widens = cx.widens_f16 && op.to == DType::kF16;
  if (widens && cx.graph.value(cx.node.inputs[0]).type.dtype != DType::kF16) {
    // Straight to f16: a way over float32 would round twice, from float64 or a large integer.
    const std::string narrow = cx.out.add("Cast", cx.inputs, {{"to", std::int64_t{from_dtype(DType::kF16)}}});
    cx.out.node("Cast", {narrow}, cx.results, {{"to", std::int64_t{from_dtype(DType::kF32)}}});
    return {};
  }
  const DType to = widens ? DType::kF32 : op.to;
  if (from == to) return plain(cx, "Identity");
  return plain(cx, "Cast", {{"to", std::int64_t{from_dtype(to)}}});
}

Status conv(const NodeExport& cx, const ir::Conv& op) {
  const Ints weight = cx.shape(cx.node.inputs[1]);
  std::vector<std::string> inputs = cx.inputs;
  while (inputs.back().empty()) inputs.pop_back();
  cx.out.node("Conv", inputs, cx.results,
              {{"dilations", op.dilation},
               {"group", op.groups},
               {"kernel_shape", Ints(weight.begin() + 2, weight.end())},
               {"pads", joined(op.pads_begin, op.pads_end)},
               {"strides", op.stride}});
  return {};
}

Status conv_transpose(const NodeExport& cx, const ir::ConvTranspose& op) {
  const Ints weight = cx.shape(cx.node.inputs[1]);
  std::vector<std::string> inputs = cx.inputs;
  while (inputs.back().empty()) inputs.pop_back();
  cx.out.node("ConvTranspose", inputs, cx.results,
              {{"dilations", op.dilation},
               {"group", op.groups},
               {"kernel_shape", Ints(weight.begin() + 2, weight.end())},
               {"output_padding", op.output_padding},
               {"pads", joined(op.pads_begin, op.pads_end)},
               {"strides", op.stride}});
  return {};
}

Status pad(const NodeExport& cx, const ir::Pad& op) {
  std::vector<std::string> inputs{cx.inputs[0]};
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(), cx.out.integers(joined(op.begin, op.end)));
  const bool has_value = op.mode == ir::PadMode::kConstant && op.value != 0.0F;
  if (has_value) {
    const DType dtype = cx.dtype(cx.node.inputs[0]);
    if (is_float(dtype)) {
      SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(), cx.out.filled(dtype, {}, op.value));
    } else {
      SMELT_ASSIGN_OR_RETURN(const std::string value, cx.out.filled(DType::kF32, {}, op.value));
      inputs.push_back(cx.out.add("Cast", {value}, {{"to", std::int64_t{from_dtype(dtype)}}}));
    }
  }
  cx.out.node("Pad", inputs, cx.results, {{"mode", word(op.mode)}});
  return {};
}

/// By sizes; by scales where one is given. ONNX Resize-19: the size is then floor(extent * scale), so the importer had it.
Status resize(const NodeExport& cx, const ir::Resize& op) {
  AttributeValues attributes{{"coordinate_transformation_mode", word(op.coordinates)}, {"mode", word(op.mode)}};
  if (op.mode == ir::ResizeMode::kNearest) attributes.push_back({"nearest_mode", word(op.rounding)});
  if (op.scale_y == 0 && op.scale_x == 0) {
    SMELT_ASSIGN_OR_RETURN(const std::string sizes, cx.out.integers(cx.shape(cx.node.outputs[0])));
    cx.out.node("Resize", {cx.inputs[0], "", "", sizes}, cx.results, attributes);
    return {};
  }
  const Ints extents = cx.shape(cx.node.inputs[0]);
  std::vector<float> scales(extents.size(), 1.0F);
  for (std::size_t k = 0; k < 2; ++k) {
    const std::size_t axis = extents.size() - 2 + k;
    const float given = k == 0 ? op.scale_y : op.scale_x;
    scales[axis] = given != 0.0F ? given : static_cast<float>(op.sizes[k]) / static_cast<float>(extents[axis]);
  }
  const std::string name = cx.out.fresh();
  SMELT_RETURN_IF_ERROR(cx.out.constant(name, *make_constant(f32_tensor({static_cast<std::int64_t>(scales.size())}, scales))));
  cx.out.node("Resize", {cx.inputs[0], "", name}, cx.results, attributes);
  return {};
}

Status matmul(const NodeExport& cx, const ir::MatMul& op) {
  const auto operand = [&](std::size_t index, bool transposes) {
    if (!transposes) return cx.inputs[index];
    Ints perm(cx.rank(cx.node.inputs[index]));
    std::iota(perm.begin(), perm.end(), 0);
    std::swap(perm[perm.size() - 2], perm[perm.size() - 1]);
    return cx.out.add("Transpose", {cx.inputs[index]}, {{"perm", std::move(perm)}});
  };
  const std::string x = operand(0, op.transpose_x);
  const std::string y = operand(1, op.transpose_y);
  cx.out.node("MatMul", {x, y}, cx.results);
  return {};
}

/// In its parts; each of them rounds where float16 is simulated, as the parts in a package do.
Status attention(const NodeExport& cx, const ir::Attention& op) {
  const bool rounds = cx.graph.value(cx.node.outputs[0]).type.dtype == DType::kF16 && cx.widens_f16;
  const auto part = [&](std::string_view op_type, const std::vector<std::string>& inputs, const AttributeValues& attributes = {}) {
    const std::string result = cx.out.add(op_type, inputs, attributes);
    if (!rounds) return result;
    const std::string narrow = cx.out.add("Cast", {result}, {{"to", std::int64_t{from_dtype(DType::kF16)}}});
    return cx.out.add("Cast", {narrow}, {{"to", std::int64_t{from_dtype(DType::kF32)}}});
  };
  Ints perm(cx.rank(cx.node.inputs[1]));
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[perm.size() - 2], perm[perm.size() - 1]);
  std::string query = cx.inputs[0];
  if (op.scale != 1.0F) {
    SMELT_ASSIGN_OR_RETURN(const std::string scale, cx.out.filled(cx.dtype(cx.node.inputs[0]), {}, op.scale));
    query = part("Mul", {query, scale});
  }
  std::string scores = part("MatMul", {query, cx.out.add("Transpose", {cx.inputs[1]}, {{"perm", std::move(perm)}})});
  if (cx.has(3)) scores = part("Add", {scores, cx.inputs[3]});
  cx.out.node("MatMul", {part("Softmax", {scores}, {{"axis", std::int64_t{-1}}}), cx.inputs[2]}, cx.results);
  return {};
}

Status linear(const NodeExport& cx) {
  std::vector<std::string> inputs = cx.inputs;
  while (inputs.back().empty()) inputs.pop_back();
  if (cx.rank(cx.node.inputs[0]) == 2) {
    cx.out.node("Gemm", inputs, cx.results, {{"transB", std::int64_t{1}}});
    return {};
  }
  const std::string w = cx.out.add("Transpose", {inputs[1]}, {{"perm", Ints{1, 0}}});
  if (inputs.size() == 2) {
    cx.out.node("MatMul", {inputs[0], w}, cx.results);
  } else {
    cx.out.node("Add", {cx.out.add("MatMul", {inputs[0], w}), inputs[2]}, cx.results);
  }
  return {};
}

Status layer_norm(const NodeExport& cx, const ir::LayerNorm& op) {
  std::vector<std::string> inputs{cx.inputs[0]};
  if (cx.has(1)) {
    inputs.push_back(cx.inputs[1]);
  } else {  // ONNX's is required
    const Ints shape = cx.shape(cx.node.inputs[0]);
    SMELT_ASSIGN_OR_RETURN(std::string ones,
                           cx.out.filled(cx.dtype(cx.node.inputs[0]), Ints(shape.begin() + op.axis, shape.end()), 1.0F));
    inputs.push_back(std::move(ones));
  }
  if (cx.has(2)) inputs.push_back(cx.inputs[2]);
  cx.out.node("LayerNormalization", inputs, cx.results, {{"axis", op.axis}, {"epsilon", op.epsilon}});
  return {};
}

std::string_view reduce_op_type(ir::ReduceFunction function) {
  switch (function) {
    case ir::ReduceFunction::kSum: return "ReduceSum";
    case ir::ReduceFunction::kMean: return "ReduceMean";
    case ir::ReduceFunction::kMax: return "ReduceMax";
    case ir::ReduceFunction::kMin: return "ReduceMin";
    case ir::ReduceFunction::kProd: return "ReduceProd";
    case ir::ReduceFunction::kL1: return "ReduceL1";
    case ir::ReduceFunction::kL2: return "ReduceL2";
    case ir::ReduceFunction::kSumSquare: return "ReduceSumSquare";
    case ir::ReduceFunction::kLogSumExp: return "ReduceLogSumExp";
  }
  SMELT_CHECK(false);
  return {};
}

Status reshape(const NodeExport& cx) {
  // The inferred extents: no -1 left, and a 0 is an extent, not "as before".
  const Ints shape = cx.shape(cx.node.outputs[0]);
  const bool has_zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return with_integers(cx, "Reshape", shape, has_zero ? AttributeValues{{"allowzero", std::int64_t{1}}} : AttributeValues{});
}

Status slice(const NodeExport& cx, const ir::Slice& op) {
  // To ONNX, an end of -1 is the last element; far below every extent is before the first.
  constexpr std::int64_t kBeforeFirst = -std::numeric_limits<std::int64_t>::max();
  const Ints shape = cx.shape(cx.node.inputs[0]);
  Ints starts, ends, axes, steps;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (op.begin[axis] == 0 && op.end[axis] == shape[axis] && op.step[axis] == 1) continue;
    starts.push_back(op.begin[axis]);
    ends.push_back(op.end[axis] < 0 ? kBeforeFirst : op.end[axis]);
    axes.push_back(static_cast<std::int64_t>(axis));
    steps.push_back(op.step[axis]);
  }
  if (axes.empty()) return plain(cx, "Identity");
  std::vector<std::string> inputs{cx.inputs[0]};
  for (const Ints* list : {&starts, &ends, &axes, &steps}) {
    SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(), cx.out.integers(*list));
  }
  cx.out.node("Slice", inputs, cx.results);
  return {};
}

Status gather_nd(const NodeExport& cx, const ir::GatherNd& op) {
  std::string indices = cx.inputs[1];
  if (cx.dtype(cx.node.inputs[1]) != DType::kI64) {
    indices = cx.out.add("Cast", {indices}, {{"to", std::int64_t{from_dtype(DType::kI64)}}});
  }
  cx.out.node("GatherND", {cx.inputs[0], indices}, cx.results, {{"batch_dims", op.batch_axes}});
  return {};
}

Status dequantize(const NodeExport& cx, const ir::Dequantize& op) {
  if (cx.dtype(cx.node.inputs[1]) == DType::kF64) {
    return Error(ErrorCode::kNotRepresentable, "dequantize has a scale of f64, DequantizeLinear-19 takes f32, f16 and bf16")
        .at({.graph = cx.graph.name(), .node = cx.node.source});
  }
  if (cx.shape(cx.node.inputs[1]) != Ints{1}) return plain(cx, "DequantizeLinear", {{"axis", op.axis}});
  // Per-tensor, a scalar in ONNX.
  SMELT_ASSIGN_OR_RETURN(const std::string no_axes, cx.out.integers({}));
  cx.out.node("DequantizeLinear", {cx.inputs[0], cx.out.add("Reshape", {cx.inputs[1], no_axes})}, cx.results);
  return {};
}

template <typename T>
AttributeValues window(const T& op) {
  return {{"kernel_shape", op.kernel}, {"pads", joined(op.pads_begin, op.pads_end)}, {"strides", op.stride}};
}

Status average_pool(const NodeExport& cx, const ir::AveragePool& op) {
  AttributeValues attributes = window(op);
  attributes.push_back({"count_include_pad", std::int64_t{op.counts_padding ? 1 : 0}});
  return plain(cx, "AveragePool", attributes);
}

/// ONNX has sequence_lens between the bias and the initial states.
Status recurrent(const NodeExport& cx, std::string_view op_type, AttributeValues attributes) {
  std::vector<std::string> inputs = cx.inputs;
  inputs.resize(std::max<std::size_t>(inputs.size(), 4));
  inputs.insert(inputs.begin() + 4, std::string());
  while (inputs.back().empty()) inputs.pop_back();
  cx.out.node(op_type, inputs, cx.results, attributes);
  return {};
}

/// The attributes of a node whose kind says that they are a T.
template <typename T>
const T& as(const NodeExport& cx) {
  const T* const op = cx.node.op.as<T>();
  SMELT_CHECK(op != nullptr);
  return *op;
}

}  // namespace

std::vector<std::int64_t> NodeExport::shape(ir::ValueId id) const {
  std::optional<std::vector<std::int64_t>> extents = static_shape(graph.value(id).type.shape);
  SMELT_CHECK(extents.has_value());
  return *std::move(extents);
}

Status export_op(const NodeExport& cx) {
  switch (cx.node.op.kind()) {
    case OpKind::kIdentity: return plain(cx, "Identity");
    case OpKind::kAbs: return plain(cx, "Abs");
    case OpKind::kNeg: return plain(cx, "Neg");
    case OpKind::kSign: return plain(cx, "Sign");
    case OpKind::kExp: return plain(cx, "Exp");
    case OpKind::kLog: return plain(cx, "Log");
    case OpKind::kSqrt: return plain(cx, "Sqrt");
    case OpKind::kReciprocal: return plain(cx, "Reciprocal");
    case OpKind::kFloor: return plain(cx, "Floor");
    case OpKind::kCeil: return plain(cx, "Ceil");
    case OpKind::kRound: return plain(cx, "Round");
    case OpKind::kSin: return plain(cx, "Sin");
    case OpKind::kCos: return plain(cx, "Cos");
    case OpKind::kErf: return plain(cx, "Erf");
    case OpKind::kNot: return plain(cx, "Not");
    case OpKind::kRelu: return plain(cx, "Relu");
    case OpKind::kSigmoid: return plain(cx, "Sigmoid");
    case OpKind::kTanh: return plain(cx, "Tanh");
    case OpKind::kSoftplus: return plain(cx, "Softplus");
    case OpKind::kSoftsign: return plain(cx, "Softsign");
    case OpKind::kSilu: return silu(cx);
    case OpKind::kHardSwish: return plain(cx, "HardSwish");
    case OpKind::kLeakyRelu: return plain(cx, "LeakyRelu", {{"alpha", as<ir::LeakyRelu>(cx).alpha}});
    case OpKind::kElu: return plain(cx, "Elu", {{"alpha", as<ir::Elu>(cx).alpha}});
    case OpKind::kHardSigmoid: {
      const auto& op = as<ir::HardSigmoid>(cx);
      return plain(cx, "HardSigmoid", {{"alpha", op.alpha}, {"beta", op.beta}});
    }
    case OpKind::kGelu: {
      const std::string_view approximate = as<ir::Gelu>(cx).is_tanh ? "tanh" : "none";
      return plain(cx, "Gelu", {{"approximate", approximate}});
    }
    case OpKind::kClip: return clip(cx, as<ir::Clip>(cx));
    case OpKind::kCast: return cast(cx, as<ir::Cast>(cx));
    case OpKind::kSoftmax: return plain(cx, "Softmax", {{"axis", as<ir::Softmax>(cx).axis}});
    case OpKind::kAdd: return plain(cx, "Add");
    case OpKind::kSub: return plain(cx, "Sub");
    case OpKind::kMul: return plain(cx, "Mul");
    case OpKind::kDiv: return plain(cx, "Div");
    case OpKind::kPow: return plain(cx, "Pow");
    case OpKind::kMin: return plain(cx, "Min");
    case OpKind::kMax: return plain(cx, "Max");
    case OpKind::kEqual: return plain(cx, "Equal");
    case OpKind::kLess: return plain(cx, "Less");
    case OpKind::kLessOrEqual: return plain(cx, "LessOrEqual");
    case OpKind::kGreater: return plain(cx, "Greater");
    case OpKind::kGreaterOrEqual: return plain(cx, "GreaterOrEqual");
    case OpKind::kAnd: return plain(cx, "And");
    case OpKind::kOr: return plain(cx, "Or");
    case OpKind::kXor: return plain(cx, "Xor");
    case OpKind::kWhere: return plain(cx, "Where");
    case OpKind::kConv: return conv(cx, as<ir::Conv>(cx));
    case OpKind::kMaxPool: return plain(cx, "MaxPool", window(as<ir::MaxPool>(cx)));
    case OpKind::kAveragePool: return average_pool(cx, as<ir::AveragePool>(cx));
    case OpKind::kMatMul: return matmul(cx, as<ir::MatMul>(cx));
    case OpKind::kLinear: return linear(cx);
    case OpKind::kAttention: return attention(cx, as<ir::Attention>(cx));
    case OpKind::kBatchNorm: return plain(cx, "BatchNormalization", {{"epsilon", as<ir::BatchNorm>(cx).epsilon}});
    case OpKind::kLayerNorm: return layer_norm(cx, as<ir::LayerNorm>(cx));
    case OpKind::kInstanceNorm: return plain(cx, "InstanceNormalization", {{"epsilon", as<ir::InstanceNorm>(cx).epsilon}});
    case OpKind::kReduce: {
      const auto& op = as<ir::Reduce>(cx);
      return with_integers(cx, reduce_op_type(op.function), op.axes, {{"keepdims", std::int64_t{op.keeps_axes ? 1 : 0}}});
    }
    case OpKind::kReshape: return reshape(cx);
    case OpKind::kTranspose: {
      const Ints& perm = as<ir::Transpose>(cx).perm;
      return perm.empty() ? plain(cx, "Identity") : plain(cx, "Transpose", {{"perm", perm}});
    }
    // Without axes, ONNX's Squeeze drops every extent of 1.
    case OpKind::kSqueeze: {
      const Ints& axes = as<ir::Squeeze>(cx).axes;
      return axes.empty() ? plain(cx, "Identity") : with_integers(cx, "Squeeze", axes);
    }
    case OpKind::kExpandDims: {
      const Ints& axes = as<ir::ExpandDims>(cx).axes;
      return axes.empty() ? plain(cx, "Identity") : with_integers(cx, "Unsqueeze", axes);
    }
    case OpKind::kConcat: return plain(cx, "Concat", {{"axis", as<ir::Concat>(cx).axis}});
    case OpKind::kSplit: {
      const auto& op = as<ir::Split>(cx);
      return with_integers(cx, "Split", op.sizes, {{"axis", op.axis}});
    }
    case OpKind::kSlice: return slice(cx, as<ir::Slice>(cx));
    case OpKind::kGather: return plain(cx, "Gather", {{"axis", as<ir::Gather>(cx).axis}});
    case OpKind::kGatherNd: return gather_nd(cx, as<ir::GatherNd>(cx));
    case OpKind::kExpand: return with_integers(cx, "Expand", as<ir::Expand>(cx).shape);
    case OpKind::kLstm: {
      const auto& op = as<ir::Lstm>(cx);
      return recurrent(cx, "LSTM", {{"direction", ir::word(op.direction)}, {"hidden_size", op.hidden_size}});
    }
    case OpKind::kGru: {
      const auto& op = as<ir::Gru>(cx);
      return recurrent(cx, "GRU", {{"direction", ir::word(op.direction)},
                                   {"hidden_size", op.hidden_size},
                                   {"linear_before_reset", std::int64_t{op.resets_after ? 1 : 0}}});
    }
    case OpKind::kDequantize: return dequantize(cx, as<ir::Dequantize>(cx));
    case OpKind::kIsNan: return plain(cx, "IsNaN");
    case OpKind::kConvTranspose: return conv_transpose(cx, as<ir::ConvTranspose>(cx));
    case OpKind::kPad: return pad(cx, as<ir::Pad>(cx));
    case OpKind::kResize: return resize(cx, as<ir::Resize>(cx));
  }
  SMELT_CHECK(false);
  return {};
}

bool is_exact(ir::OpKind kind) {
  switch (kind) {
    case OpKind::kIdentity:
    case OpKind::kAbs:
    case OpKind::kNeg:
    case OpKind::kRelu:
    case OpKind::kMin:
    case OpKind::kMax:
    case OpKind::kWhere:
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kSqueeze:
    case OpKind::kExpandDims:
    case OpKind::kConcat:
    case OpKind::kSplit:
    case OpKind::kSlice:
    case OpKind::kGather:
    case OpKind::kGatherNd:
    case OpKind::kExpand:
    case OpKind::kCast: return true;  // of a Cast, export_op writes the rounding itself
    default: return false;
  }
}

}  // namespace smelt::onnx_format
