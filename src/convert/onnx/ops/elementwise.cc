#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"
#include "convert/onnx/payload.h"

namespace smelt::onnx_format {
namespace {

template <typename Op>
Status import_unary(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  return cx.set_result(cx.emit(Op{}, {x}));
}

template <typename Op>
Status import_binary(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId y, cx.required(1));
  return cx.set_result(cx.emit(Op{}, {x, y}));
}

/// Sum, Max, Min, Mean: any number of operands, broadcast, folded from the left.
template <typename Op>
Result<ir::ValueId> folded(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId sum, cx.required(0));
  for (std::size_t k = 1; k < cx.input_count(); ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId next, cx.required(k));
    SMELT_ASSIGN_OR_RETURN(sum, cx.emit(Op{}, {sum, next}));
  }
  return sum;
}

template <typename Op>
Status import_variadic(NodeContext& cx) {
  return cx.set_result(folded<Op>(cx));
}

Status import_mean(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId sum, folded<ir::Add>(cx));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId count, cx.scalar(cx.type(sum).dtype, static_cast<double>(cx.input_count())));
  return cx.set_result(cx.emit(ir::Div{}, {sum, count}));
}

/// Whether an exponent loses nothing as an integer.
Result<bool> is_whole(NodeContext& cx, ir::ValueId exponent) {
  const ConstantRef constant = cx.graph().value(exponent).constant;
  if (constant == nullptr) return false;
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*constant));
  const std::vector<double> values = to_doubles(tensor);
  return std::all_of(values.begin(), values.end(), [](double v) { return std::trunc(v) == v; });
}

/// ONNX Pow-12: the exponent may have another dtype; the result has the base's. An integer to a fractional power is computed in
/// the exponent's dtype and truncated.
Status import_pow(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(ir::ValueId y, cx.required(1));
  const DType base = cx.type(x).dtype, exponent = cx.type(y).dtype;
  if (!is_float(base) && is_float(exponent)) {
    SMELT_ASSIGN_OR_RETURN(const bool whole, is_whole(cx, y));
    if (!whole) {
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId wide, cx.cast(x, exponent));
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId power, cx.emit(ir::Pow{}, {wide, y}));
      return cx.set_result(cx.cast(power, base));
    }
  }
  SMELT_ASSIGN_OR_RETURN(y, cx.cast(y, base));
  return cx.set_result(cx.emit(ir::Pow{}, {x, y}));
}

Status import_leaky_relu(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  return cx.set_result(cx.emit(ir::LeakyRelu{.alpha = cx.float_or("alpha", 0.01F)}, {x}));
}

Status import_elu(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  return cx.set_result(cx.emit(ir::Elu{.alpha = cx.float_or("alpha", 1.0F)}, {x}));
}

Status import_hard_sigmoid(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  return cx.set_result(cx.emit(ir::HardSigmoid{.alpha = cx.float_or("alpha", 0.2F), .beta = cx.float_or("beta", 0.5F)}, {x}));
}

Status import_gelu(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  const std::string approximate = cx.string_or("approximate", "none");
  if (approximate != "none" && approximate != "tanh") return cx.malformed(fmt::format("approximate \"{}\"", approximate));
  return cx.set_result(cx.emit(ir::Gelu{.is_tanh = approximate == "tanh"}, {x}));
}

/// PRelu: max(x, 0) + slope * min(x, 0), the slope broadcast to x.
Status import_prelu(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId slope, cx.required(1));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId zero, cx.scalar(cx.type(x).dtype, 0.0));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId negative, cx.emit(ir::Min{}, {x, zero}));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId scaled, cx.emit(ir::Mul{}, {negative, slope}));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId positive, cx.emit(ir::Relu{}, {x}));
  return cx.set_result(cx.emit(ir::Add{}, {positive, scaled}));
}

/// One bound of Clip: an attribute up to opset 10 (whose default stands for none), an operand since.
struct Bound {
  bool is_given = false;
  bool is_constant = false;
  float value = 0;
  ir::ValueId id;
};

Result<Bound> read_bound(NodeContext& cx, std::size_t operand, std::string_view attribute) {
  if (cx.opset() < 11) {
    const Attribute* found = cx.attribute(attribute);
    if (found == nullptr || std::fabs(found->f.value_or(0)) >= std::numeric_limits<float>::max()) return Bound{};
    return Bound{.is_given = true, .is_constant = true, .value = found->f.value_or(0), .id = {}};
  }
  if (!cx.has(operand)) return Bound{};
  const ir::ValueId id = cx.input(operand);
  if (cx.graph().value(id).constant == nullptr) return Bound{.is_given = true, .is_constant = false, .value = 0, .id = id};
  SMELT_ASSIGN_OR_RETURN(const double value, cx.constant_scalar(operand, attribute));
  return Bound{.is_given = true, .is_constant = true, .value = static_cast<float>(value), .id = id};
}

Status import_clip(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const Bound low, read_bound(cx, 1, "min"));
  SMELT_ASSIGN_OR_RETURN(const Bound high, read_bound(cx, 2, "max"));
  const bool all_constant = (!low.is_given || low.is_constant) && (!high.is_given || high.is_constant);
  if (is_float(cx.type(x).dtype) && all_constant) {
    ir::Clip op;
    if (low.is_given) op.min = low.value;
    if (high.is_given) op.max = high.value;
    if (std::isinf(op.min) && std::isinf(op.max)) {
      cx.set(0, x);
      return {};
    }
    return cx.set_result(cx.emit(op, {x}));
  }
  if (low.is_given) {
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Max{}, {x, low.id}));
  }
  if (high.is_given) {
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Min{}, {x, high.id}));
  }
  cx.set(0, x);
  return {};
}

Status import_cast(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  const int to = static_cast<int>(cx.int_or("to", 0));
  const std::optional<DType> dtype = to_dtype(to);
  if (!dtype) return cx.unsupported(fmt::format("a cast to {}", data_type_name(to)));
  return cx.set_result(cx.cast(x, *dtype));
}

/// Before opset 13 the operand is seen as a matrix, split at the axis (default 1); since, one axis (default -1).
Status import_softmax_kind(NodeContext& cx, bool is_log) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId x, cx.required(0));
  const bool is_matrix = cx.opset() < 13;
  SMELT_ASSIGN_OR_RETURN(std::int64_t axis, cx.axis(cx.int_or("axis", is_matrix ? 1 : -1), cx.rank(x)));
  std::vector<std::int64_t> original;
  if (is_matrix && axis != cx.rank(x) - 1) {
    SMELT_ASSIGN_OR_RETURN(original, cx.extents(x));
    SMELT_ASSIGN_OR_RETURN(const std::int64_t rows, element_count(std::vector<std::int64_t>(original.begin(), original.begin() + axis)));
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::Reshape{.shape = {rows, -1}}, {x}));
    axis = 1;
  }
  ir::ValueId out;
  if (is_log) {  // x - log(sum(exp(x))), which does not underflow
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId sum, cx.emit(ir::Reduce{.function = ir::ReduceFunction::kLogSumExp, .axes = {axis}, .keeps_axes = true}, {x}));
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Sub{}, {x, sum}));
  } else {
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Softmax{.axis = axis}, {x}));
  }
  if (!original.empty()) {
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Reshape{.shape = original}, {out}));
  }
  cx.set(0, out);
  return {};
}

Status import_where(NodeContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (std::size_t k = 0; k < 3; ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId input, cx.required(k));
    inputs.push_back(input);
  }
  return cx.set_result(cx.emit(ir::Where{}, std::move(inputs)));
}

Status import_identity(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  cx.set(0, x);
  return {};
}

/// Ones of x's shape: nothing is dropped. Bool from opset 10 on, x's dtype before.
Status set_dropout_mask(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> extents, cx.extents(x));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(extents));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId one, cx.scalar(cx.opset() < 10 ? cx.type(x).dtype : DType::kBool, 1.0));
  SMELT_ASSIGN_OR_RETURN(HostTensor element, load(*cx.graph().value(one).constant));
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, splat_bytes(std::move(element.bytes), static_cast<std::uint64_t>(count)));
  Constant mask{.dtype = element.dtype, .shape = std::move(extents), .bytes = std::move(bytes)};
  cx.set(1, cx.graph().add_constant({}, std::make_shared<const Constant>(std::move(mask))));
  return {};
}

/// Inference form: passes x through. A training_mode that is not known to be false is refused.
Status import_dropout(NodeContext& cx) {
  if (cx.has(2)) {
    SMELT_ASSIGN_OR_RETURN(const double training, cx.constant_scalar(2, "training_mode"));
    if (training != 0.0) return cx.unsupported("training_mode");
  }
  if (cx.node().outputs.size() > 1 && !cx.node().outputs[1].empty()) SMELT_RETURN_IF_ERROR(set_dropout_mask(cx));
  return import_identity(cx);
}

constexpr std::array<OperatorImport, 50> kTable{{
    {"Abs", 6, import_unary<ir::Abs>},
    {"Add", 7, import_binary<ir::Add>},
    {"And", 7, import_binary<ir::And>},
    {"Cast", 6, import_cast},
    {"Ceil", 6, import_unary<ir::Ceil>},
    {"Clip", 6, import_clip},
    {"Cos", 7, import_unary<ir::Cos>},
    {"Div", 7, import_binary<ir::Div>},
    {"Dropout", 7, import_dropout},
    {"Elu", 6, import_elu},
    {"Equal", 7, import_binary<ir::Equal>},
    {"Erf", 9, import_unary<ir::Erf>},
    {"Exp", 6, import_unary<ir::Exp>},
    {"Floor", 6, import_unary<ir::Floor>},
    {"Gelu", 20, import_gelu},
    {"Greater", 7, import_binary<ir::Greater>},
    {"GreaterOrEqual", 12, import_binary<ir::GreaterOrEqual>},
    {"HardSigmoid", 6, import_hard_sigmoid},
    {"HardSwish", 14, import_unary<ir::HardSwish>},
    {"Identity", 1, import_identity},
    {"IsNaN", 9, import_unary<ir::IsNan>},
    {"LeakyRelu", 6, import_leaky_relu},
    {"Less", 7, import_binary<ir::Less>},
    {"LessOrEqual", 12, import_binary<ir::LessOrEqual>},
    {"Log", 6, import_unary<ir::Log>},
    {"LogSoftmax", 1, [](NodeContext& cx) { return import_softmax_kind(cx, true); }},
    {"Max", 8, import_variadic<ir::Max>},
    {"Mean", 8, import_mean},
    {"Min", 8, import_variadic<ir::Min>},
    {"Mul", 7, import_binary<ir::Mul>},
    {"Neg", 6, import_unary<ir::Neg>},
    {"Not", 1, import_unary<ir::Not>},
    {"Or", 7, import_binary<ir::Or>},
    {"PRelu", 7, import_prelu},
    {"Pow", 7, import_pow},
    {"Reciprocal", 6, import_unary<ir::Reciprocal>},
    {"Relu", 6, import_unary<ir::Relu>},
    {"Round", 11, import_unary<ir::Round>},
    {"Sigmoid", 6, import_unary<ir::Sigmoid>},
    {"Sign", 9, import_unary<ir::Sign>},
    {"Sin", 7, import_unary<ir::Sin>},
    {"Softmax", 1, [](NodeContext& cx) { return import_softmax_kind(cx, false); }},
    {"Softplus", 1, import_unary<ir::Softplus>},
    {"Softsign", 1, import_unary<ir::Softsign>},
    {"Sqrt", 6, import_unary<ir::Sqrt>},
    {"Sub", 7, import_binary<ir::Sub>},
    {"Sum", 8, import_variadic<ir::Add>},
    {"Tanh", 6, import_unary<ir::Tanh>},
    {"Where", 9, import_where},
    {"Xor", 7, import_binary<ir::Xor>},
}};

}  // namespace

std::span<const OperatorImport> elementwise_imports() { return kTable; }

}  // namespace smelt::onnx_format
