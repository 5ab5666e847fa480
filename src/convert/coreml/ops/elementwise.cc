#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/broadcast.h"

namespace smelt::coreml_format {
namespace {

using ir::OpKind;

/// Ops whose MIL form takes x alone and means the same.
struct SameRow {
  OpKind kind;
  std::string_view type;
  ir::Op (*make)();
};
template <typename T>
constexpr SameRow same(std::string_view type) {
  return {T::kKind, type, [] { return ir::Op(T{}); }};
}
constexpr std::array<SameRow, 18> kUnary{{
    same<ir::Identity>("identity"), same<ir::Abs>("abs"), same<ir::Sign>("sign"), same<ir::Exp>("exp"), same<ir::Sqrt>("sqrt"),
    same<ir::Floor>("floor"), same<ir::Ceil>("ceil"), same<ir::Round>("round"), same<ir::Sin>("sin"), same<ir::Cos>("cos"),
    same<ir::Erf>("erf"), same<ir::Not>("logical_not"), same<ir::Relu>("relu"), same<ir::Sigmoid>("sigmoid"), same<ir::Tanh>("tanh"),
    same<ir::Softplus>("softplus"), same<ir::Softsign>("softsign"), same<ir::Silu>("silu"),
}};
constexpr std::array<SameRow, 15> kBinary{{
    same<ir::Add>("add"), same<ir::Sub>("sub"), same<ir::Mul>("mul"), same<ir::Div>("real_div"), same<ir::Pow>("pow"),
    same<ir::Min>("minimum"), same<ir::Max>("maximum"), same<ir::Equal>("equal"), same<ir::Less>("less"),
    same<ir::LessOrEqual>("less_equal"), same<ir::Greater>("greater"), same<ir::GreaterOrEqual>("greater_equal"),
    same<ir::And>("logical_and"), same<ir::Or>("logical_or"), same<ir::Xor>("logical_xor"),
}};

template <std::size_t N>
const SameRow& row_of(const std::array<SameRow, N>& table, OpKind kind) {
  return *std::find_if(table.begin(), table.end(), [kind](const SameRow& r) { return r.kind == kind; });
}
template <std::size_t N>
const SameRow& row_of(const std::array<SameRow, N>& table, std::string_view type) {
  return *std::find_if(table.begin(), table.end(), [type](const SameRow& r) { return r.type == type; });
}

std::string scalar(LowerContext& cx, std::string_view name, DType dtype, double value) {
  return cx.param(name, dtype == DType::kI32 ? int_value(static_cast<std::int32_t>(value)) : float_value(dtype, value));
}

Status lower_unary(const ir::Op& op, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit(row_of(kUnary, op.kind()).type, LowerContext::Inputs{{"x", x}});
  return {};
}

/// MIL's relu is for floats only.
Status lower_relu(const ir::Op& op, LowerContext& cx) {
  if (is_float(cx.type(0).dtype)) return lower_unary(op, cx);
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("maximum", LowerContext::Inputs{{"x", x}, {"y", scalar(cx, "zero", cx.type(0).dtype, 0)}});
  return {};
}

/// MIL has no neg.
Status lower_neg(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("mul", LowerContext::Inputs{{"x", x}, {"y", scalar(cx, "minus_one", cx.type(0).dtype, -1)}});
  return {};
}

/// MIL's inverse adds an epsilon of 1e-4: a division is exact.
Status lower_reciprocal(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("real_div", LowerContext::Inputs{{"x", scalar(cx, "one", cx.type(0).dtype, 1)}, {"y", x}});
  return {};
}

/// MIL's log adds an epsilon of 1e-45 unless another is written.
Status lower_log(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("log", LowerContext::Inputs{{"x", x}, {"epsilon", cx.param("epsilon", float_value(cx.type(0).dtype, 0))}});
  return {};
}

/// x * min(max(x/6 + 1/2, 0), 1): MIL has no op for it.
Status lower_hard_swish(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const DType dtype = cx.type(0).dtype;
  const std::string gate = cx.step("sigmoid_hard", {{"x", x}, {"alpha", cx.param("alpha", float_value(dtype, 1.0 / 6.0))}, {"beta", cx.param("beta", float_value(dtype, 0.5))}}, cx.result_type());
  cx.emit("mul", LowerContext::Inputs{{"x", x}, {"y", gate}});
  return {};
}

Status lower_alpha(LowerContext& cx, std::string_view type, float alpha) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit(type, LowerContext::Inputs{{"x", x}, {"alpha", cx.param("alpha", float_value(cx.type(0).dtype, static_cast<double>(alpha)))}});
  return {};
}

Status lower_hard_sigmoid(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::HardSigmoid>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const DType dtype = cx.type(0).dtype;
  cx.emit("sigmoid_hard", LowerContext::Inputs{{"x", x},
                                               {"alpha", cx.param("alpha", float_value(dtype, static_cast<double>(op.alpha)))},
                                               {"beta", cx.param("beta", float_value(dtype, static_cast<double>(op.beta)))}});
  return {};
}

Status lower_gelu(const ir::Op& any, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("gelu", LowerContext::Inputs{{"x", x}, {"mode", cx.param("mode", string_value(any.as<ir::Gelu>()->is_tanh ? "TANH_APPROXIMATION" : "EXACT"))}});
  return {};
}

/// MIL's clip wants both bounds, and alpha < beta: one bound alone, or equal ones, are maximum and minimum.
Status lower_clip(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Clip>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const DType dtype = cx.type(0).dtype;
  const bool has_min = !std::isinf(op.min), has_max = !std::isinf(op.max);
  const auto low = [&] { return cx.param("alpha", float_value(dtype, static_cast<double>(op.min))); };
  const auto high = [&] { return cx.param("beta", float_value(dtype, static_cast<double>(op.max))); };
  if (has_min && has_max && op.min < op.max) {
    cx.emit("clip", LowerContext::Inputs{{"x", x}, {"alpha", low()}, {"beta", high()}});
  } else if (has_min && has_max) {
    const std::string raised = cx.step("maximum", {{"x", x}, {"y", low()}}, cx.result_type());
    cx.emit("minimum", LowerContext::Inputs{{"x", raised}, {"y", high()}});
  } else if (has_min || has_max) {
    cx.emit(has_min ? "maximum" : "minimum", LowerContext::Inputs{{"x", x}, {"y", has_min ? low() : high()}});
  } else {
    cx.emit("identity", LowerContext::Inputs{{"x", x}});
  }
  return {};
}

Status lower_cast(const ir::Op& any, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const MilDataType to = to_mil(any.as<ir::Cast>()->to);
  cx.emit("cast", LowerContext::Inputs{{"x", x}, {"dtype", cx.param("dtype", string_value(mil_type_name(to)))}});
  return {};
}

Status lower_softmax(const ir::Op& any, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("softmax", LowerContext::Inputs{{"x", x}, {"axis", cx.param("axis", int_value(static_cast<std::int32_t>(any.as<ir::Softmax>()->axis)))}});
  return {};
}

Status lower_binary(const ir::Op& op, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string y, cx.in(1));
  cx.emit(row_of(kBinary, op.kind()).type, LowerContext::Inputs{{"x", x}, {"y", y}});
  return {};
}

/// Integer division truncates toward zero, which MIL's floor_div does for operands of one sign: sign * floor(|x| / |y|).
Status lower_div(const ir::Op& op, LowerContext& cx) {
  if (is_float(cx.type(0).dtype)) return lower_binary(op, cx);
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string y, cx.in(1));
  const std::string sign_x = cx.step("sign", {{"x", x}}, cx.type(0)), sign_y = cx.step("sign", {{"x", y}}, cx.type(1));
  const std::string abs_x = cx.step("abs", {{"x", x}}, cx.type(0)), abs_y = cx.step("abs", {{"x", y}}, cx.type(1));
  const std::string sign = cx.step("mul", {{"x", sign_x}, {"y", sign_y}}, cx.result_type());
  const std::string quotient = cx.step("floor_div", {{"x", abs_x}, {"y", abs_y}}, cx.result_type());
  cx.emit("mul", LowerContext::Inputs{{"x", sign}, {"y", quotient}});
  return {};
}

/// MIL's comparisons take no bool: x == y is not (x xor y).
Status lower_equal(const ir::Op& op, LowerContext& cx) {
  if (cx.type(0).dtype != DType::kBool) return lower_binary(op, cx);
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string y, cx.in(1));
  const std::string differ = cx.step("logical_xor", {{"x", x}, {"y", y}}, cx.result_type());
  cx.emit("logical_not", LowerContext::Inputs{{"x", differ}});
  return {};
}

/// Only NaN differs from itself.
Status lower_is_nan(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  cx.emit("not_equal", LowerContext::Inputs{{"x", x}, {"y", x}});
  return {};
}

/// Apple's shape rule for select looks at a and b only: where the condition is what makes the result larger, b is repeated.
Status lower_where(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string condition, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string a, cx.in(1));
  SMELT_ASSIGN_OR_RETURN(std::string b, cx.in(2));
  const Result<Shape> shape = ir::broadcast(cx.type(1).shape, cx.type(2).shape, cx.builder().graph().symbols());
  if (!shape.ok() || *shape != cx.result_type().shape) b = repeated(cx, b, cx.type(2), cx.result_type().shape);
  cx.emit("select", LowerContext::Inputs{{"cond", condition}, {"a", a}, {"b", b}});
  return {};
}

// ---- and back

Status lift_unary(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  return cx.define(cx.emit(row_of(kUnary, cx.operation().type).make(), {x}));
}

Status lift_binary(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId y, cx.operand("y"));
  return cx.define(cx.emit(row_of(kBinary, cx.operation().type).make(), {x, y}));
}

/// x != x of floats is the test for NaN; any other is not (x == y).
Status lift_not_equal(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId y, cx.operand("y"));
  if (x == y && is_float(cx.type(x).dtype)) return cx.define(cx.emit(ir::IsNan{}, {x}));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId is_equal, cx.emit(ir::Equal{}, {x, y}));
  return cx.define(cx.emit(ir::Not{}, {is_equal}));
}

/// floor_div of integers that are known non-negative is a truncating division; smelt writes no other.
Status lift_floor_div(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId y, cx.operand("y"));
  const auto is_abs = [&](ir::ValueId id) {
    const ir::NodeId producer = cx.graph().value(id).producer;
    return producer.valid() && cx.graph().node(producer).op.kind() == OpKind::kAbs;
  };
  if (!is_integer(cx.type(x).dtype) || !is_abs(x) || !is_abs(y)) return cx.unsupported("operands that may be negative");
  return cx.define(cx.emit(ir::Div{}, {x, y}));
}

Status lift_log(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const float epsilon, cx.number("epsilon"));
  if (epsilon != 0.0F) return cx.unsupported(fmt::format("an epsilon of {}", epsilon));
  return cx.define(cx.emit(ir::Log{}, {x}));
}

template <typename Op>
Status lift_alpha(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const float alpha, cx.number("alpha"));
  return cx.define(cx.emit(Op{.alpha = alpha}, {x}));
}

Status lift_hard_sigmoid(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const float alpha, cx.number("alpha"));
  SMELT_ASSIGN_OR_RETURN(const float beta, cx.number("beta"));
  return cx.define(cx.emit(ir::HardSigmoid{.alpha = alpha, .beta = beta}, {x}));
}

Status lift_gelu(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const std::string mode, cx.text("mode"));
  if (mode != "EXACT" && mode != "TANH_APPROXIMATION") return cx.unsupported(fmt::format("mode \"{}\"", mode));
  return cx.define(cx.emit(ir::Gelu{.is_tanh = mode != "EXACT"}, {x}));
}

Status lift_clip(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const float alpha, cx.number("alpha"));
  SMELT_ASSIGN_OR_RETURN(const float beta, cx.number("beta"));
  return cx.define(cx.emit(ir::Clip{.min = alpha, .max = beta}, {x}));
}

Status lift_cast(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const std::string dtype, cx.text("dtype"));
  for (const DType to : {DType::kF16, DType::kF32, DType::kI32, DType::kBool, DType::kI8, DType::kU8}) {
    if (dtype == mil_type_name(to_mil(to))) return cx.define(cx.emit(ir::Cast{.to = to}, {x}));
  }
  return cx.unsupported(fmt::format("dtype \"{}\"", dtype));
}

Status lift_softmax(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(std::int64_t axis, cx.integer("axis"));
  if (axis < 0) axis += static_cast<std::int64_t>(cx.type(x).shape.size());
  return cx.define(cx.emit(ir::Softmax{.axis = axis}, {x}));
}

Status lift_select(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId condition, cx.operand("cond"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId a, cx.operand("a"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId b, cx.operand("b"));
  return cx.define(cx.emit(ir::Where{}, {condition, a, b}));
}

constexpr auto kLowerings = std::to_array<LoweringRow>({
    {OpKind::kIdentity, lower_unary}, {OpKind::kAbs, lower_unary}, {OpKind::kSign, lower_unary}, {OpKind::kExp, lower_unary},
    {OpKind::kSqrt, lower_unary}, {OpKind::kFloor, lower_unary}, {OpKind::kCeil, lower_unary}, {OpKind::kRound, lower_unary},
    {OpKind::kSin, lower_unary}, {OpKind::kCos, lower_unary}, {OpKind::kErf, lower_unary}, {OpKind::kNot, lower_unary},
    {OpKind::kRelu, lower_relu}, {OpKind::kSigmoid, lower_unary}, {OpKind::kTanh, lower_unary}, {OpKind::kSoftplus, lower_unary},
    {OpKind::kSoftsign, lower_unary}, {OpKind::kSilu, lower_unary}, {OpKind::kNeg, lower_neg}, {OpKind::kReciprocal, lower_reciprocal},
    {OpKind::kLog, lower_log}, {OpKind::kHardSwish, lower_hard_swish},
    {OpKind::kLeakyRelu, [](const ir::Op& op, LowerContext& cx) { return lower_alpha(cx, "leaky_relu", op.as<ir::LeakyRelu>()->alpha); }},
    {OpKind::kElu, [](const ir::Op& op, LowerContext& cx) { return lower_alpha(cx, "elu", op.as<ir::Elu>()->alpha); }},
    {OpKind::kHardSigmoid, lower_hard_sigmoid}, {OpKind::kGelu, lower_gelu}, {OpKind::kClip, lower_clip}, {OpKind::kCast, lower_cast},
    {OpKind::kSoftmax, lower_softmax}, {OpKind::kAdd, lower_binary}, {OpKind::kSub, lower_binary}, {OpKind::kMul, lower_binary},
    {OpKind::kDiv, lower_div}, {OpKind::kPow, lower_binary}, {OpKind::kMin, lower_binary}, {OpKind::kMax, lower_binary},
    {OpKind::kEqual, lower_equal}, {OpKind::kLess, lower_binary}, {OpKind::kLessOrEqual, lower_binary}, {OpKind::kGreater, lower_binary},
    {OpKind::kGreaterOrEqual, lower_binary}, {OpKind::kAnd, lower_binary}, {OpKind::kOr, lower_binary}, {OpKind::kXor, lower_binary},
    {OpKind::kWhere, lower_where}, {OpKind::kIsNan, lower_is_nan},
});

constexpr auto kLifts = std::to_array<LiftRow>({
    {"not_equal", lift_not_equal},
    {"identity", lift_unary}, {"abs", lift_unary}, {"sign", lift_unary}, {"exp", lift_unary}, {"sqrt", lift_unary}, {"floor", lift_unary},
    {"ceil", lift_unary}, {"round", lift_unary}, {"sin", lift_unary}, {"cos", lift_unary}, {"erf", lift_unary}, {"logical_not", lift_unary},
    {"relu", lift_unary}, {"sigmoid", lift_unary}, {"tanh", lift_unary}, {"softplus", lift_unary}, {"softsign", lift_unary}, {"silu", lift_unary},
    {"add", lift_binary}, {"sub", lift_binary}, {"mul", lift_binary}, {"real_div", lift_binary}, {"pow", lift_binary}, {"minimum", lift_binary},
    {"maximum", lift_binary}, {"equal", lift_binary}, {"less", lift_binary}, {"less_equal", lift_binary}, {"greater", lift_binary},
    {"greater_equal", lift_binary}, {"logical_and", lift_binary}, {"logical_or", lift_binary}, {"logical_xor", lift_binary},
    {"floor_div", lift_floor_div}, {"log", lift_log}, {"leaky_relu", lift_alpha<ir::LeakyRelu>}, {"elu", lift_alpha<ir::Elu>}, {"sigmoid_hard", lift_hard_sigmoid},
    {"gelu", lift_gelu}, {"clip", lift_clip}, {"cast", lift_cast}, {"softmax", lift_softmax}, {"select", lift_select},
});

}  // namespace

std::span<const LoweringRow> elementwise_lowerings() { return kLowerings; }
std::span<const LiftRow> elementwise_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
