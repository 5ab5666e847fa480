#include <array>

#include "convert/coreml/lifting.h"
#include "tensor/host_tensor.h"

namespace smelt::coreml_format {
namespace {

LowerContext::Inputs matmul_inputs(LowerContext& cx, std::string x, std::string y, bool transpose_x, bool transpose_y) {
  return {{"x", std::move(x)},
          {"y", std::move(y)},
          {"transpose_x", cx.param("transpose_x", bool_value(transpose_x))},
          {"transpose_y", cx.param("transpose_y", bool_value(transpose_y))}};
}

Status lower_matmul(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::MatMul>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string y, cx.in(1));
  cx.emit("matmul", matmul_inputs(cx, x, y, op.transpose_x, op.transpose_y));
  return {};
}

/// A bias of zeros, where the source has none: Apple's converter always writes one.
Result<std::string> zero_bias(LowerContext& cx) {
  const Dim columns = cx.type(1).shape[0];
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(cx.type(1).dtype, static_cast<std::uint64_t>(columns.extent())));
  const Constant zeros{.dtype = cx.type(1).dtype, .shape = {columns.extent()}, .bytes = owned_bytes(std::vector<std::byte>(size))};
  SMELT_ASSIGN_OR_RETURN(MilValue value, cx.builder().weight_value(zeros));
  if (std::holds_alternative<BlobReference>(value.data)) return cx.builder().add_constant("zero_bias", std::move(value));
  return cx.param("bias", std::move(value));
}

/// MIL documents linear for ranks up to 3, and wants its weight and bias constant: else a matmul and an add.
Status lower_linear(const ir::Op&, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string weight, cx.in(1));
  if (cx.type(0).shape.size() <= 3 && cx.is_known(1) && (!cx.has(2) || cx.is_known(2))) {
    SMELT_ASSIGN_OR_RETURN(const std::string bias, cx.has(2) ? cx.in(2) : zero_bias(cx));
    cx.emit("linear", LowerContext::Inputs{{"x", x}, {"weight", weight}, {"bias", bias}});
    return {};
  }
  const LowerContext::Inputs inputs = matmul_inputs(cx, x, weight, false, true);
  if (!cx.has(2)) {
    cx.emit("matmul", inputs);
    return {};
  }
  const std::string product = cx.step("matmul", inputs, cx.result_type());
  SMELT_ASSIGN_OR_RETURN(const std::string bias, cx.in(2));
  cx.emit("add", LowerContext::Inputs{{"x", product}, {"y", bias}});
  return {};
}

Status lift_matmul(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId y, cx.operand("y"));
  ir::MatMul op;
  SMELT_ASSIGN_OR_RETURN(op.transpose_x, cx.boolean("transpose_x"));
  SMELT_ASSIGN_OR_RETURN(op.transpose_y, cx.boolean("transpose_y"));
  return cx.define(cx.emit(op, {x, y}));
}

Status lift_linear(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId weight, cx.operand("weight"));
  std::vector<ir::ValueId> inputs{x, weight};
  if (cx.has("bias")) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId bias, cx.operand("bias"));
    inputs.push_back(bias);
  }
  return cx.define(cx.emit(ir::Linear{}, std::move(inputs)));
}

constexpr std::array<LoweringRow, 2> kLowerings{{{ir::OpKind::kMatMul, lower_matmul}, {ir::OpKind::kLinear, lower_linear}}};
constexpr std::array<LiftRow, 2> kLifts{{{"matmul", lift_matmul}, {"linear", lift_linear}}};

}  // namespace

std::span<const LoweringRow> matmul_lowerings() { return kLowerings; }
std::span<const LiftRow> matmul_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
