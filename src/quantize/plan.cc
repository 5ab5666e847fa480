#include "quantize/plan.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/parallel.h"
#include "ir/ops/all.h"
#include "quantize/schemes/int8.h"

namespace smelt::quantize {
namespace {

/// The axis of the output channels of a weight, seen from one use; nullopt when this use is no weight of the op.
std::optional<std::int64_t> channel_axis(const ir::Graph& graph, const ir::Use& use) {
  const ir::Node& node = graph.node(use.node);
  const auto rank = static_cast<std::int64_t>(graph.value(node.inputs[use.operand]).type.shape.size());
  switch (node.op.kind()) {
    case ir::OpKind::kConv:
    case ir::OpKind::kLinear: return use.operand == 1 ? std::optional<std::int64_t>(0) : std::nullopt;
    case ir::OpKind::kConvTranspose: return use.operand == 1 ? std::optional<std::int64_t>(1) : std::nullopt;
    case ir::OpKind::kGather: return use.operand == 0 ? std::optional<std::int64_t>(0) : std::nullopt;
    case ir::OpKind::kMatMul: {
      const auto& op = *node.op.as<ir::MatMul>();
      if (use.operand == 0) return op.transpose_x ? rank - 1 : rank - 2;
      return op.transpose_y ? rank - 2 : rank - 1;
    }
    default: return std::nullopt;
  }
}

/// A weight [C_in, C_out/groups, *K]: with groups, a slice along axis 1 is of several output channels.
bool is_grouped_transposed(const ir::Graph& graph, const ir::Use& use) {
  const auto* op = graph.node(use.node).op.as<ir::ConvTranspose>();
  return op != nullptr && op->groups != 1;
}

/// A weight [D, rows, *]: its rows are rearranged when it is written, so it stays float.
bool is_recurrent(const ir::Graph& graph, const ir::Use& use) {
  const ir::OpKind kind = graph.node(use.node).op.kind();
  return (kind == ir::OpKind::kLstm || kind == ir::OpKind::kGru) && (use.operand == 1 || use.operand == 2);
}

std::uint64_t size_of(const Constant& weight, const Threshold& threshold) {
  return threshold.is_bytes ? byte_count(weight) : element_count(weight);
}

/// A decision for a constant that is some op's weight; nullopt for any other.
Result<std::optional<Decision>> decide(const ir::Graph& graph, ir::ValueId id, const Policy& policy) {
  using Maybe = std::optional<Decision>;
  const ir::Value& value = graph.value(id);
  if (value.constant == nullptr || value.constant->dtype != DType::kF32 || value.constant->shape.size() < 2) return Maybe();
  std::optional<std::int64_t> axis;
  bool axes_agree = true, is_only_weight = true, is_grouped = false, is_rnn = false;
  for (const ir::Use& use : value.uses) {
    const std::optional<std::int64_t> seen = channel_axis(graph, use);
    is_only_weight = is_only_weight && seen.has_value();
    axes_agree = axes_agree && (!axis || !seen || *axis == *seen);
    if (seen) axis = seen;
    is_grouped = is_grouped || is_grouped_transposed(graph, use);
    is_rnn = is_rnn || is_recurrent(graph, use);
  }
  if (!axis && !is_rnn) return Maybe();
  Decision decision{.weight = id, .name = value.name, .elements = element_count(*value.constant), .is_quantized = false, .axis = axis.value_or(0),
                    .scales = {}, .reason = {}};
  if (size_of(*value.constant, policy.threshold) <= policy.threshold.amount) {
    decision.reason = fmt::format("not above the threshold of {}", threshold_text(policy.threshold));
  } else if (graph.is_output(id)) {
    decision.reason = "an output of the model";
  } else if (is_rnn) {
    decision.reason = "a weight of lstm or gru";
  } else if (!axes_agree || !is_only_weight) {
    decision.reason = "used in two ways";
  } else if (is_grouped) {
    decision.reason = "a transposed convolution in groups";
  } else {
    SMELT_ASSIGN_OR_RETURN(int8::Scales scales, int8::scales(*value.constant, *axis, policy.stores_f16_scales));
    decision.is_quantized = scales.refusal.empty();
    decision.reason = scales.refusal.empty() ? "policy" : std::string(scales.refusal);
    decision.scales = std::move(scales.values);
  }
  return Maybe(std::move(decision));
}

}  // namespace

Result<Threshold> parse_threshold(const std::string& text) {
  std::uint64_t amount = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, amount);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  std::uint64_t factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  if (unit == "KiB") factor = 1024;
  if (unit == "MiB") factor = 1024 * 1024;
  if (error != std::errc() || factor == 0 || __builtin_mul_overflow(amount, factor, &amount)) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a weight threshold", text))
        .hint("give elements (512) or bytes of float32 (512B, 2KiB, 1MiB)");
  }
  return Threshold{.amount = amount, .is_bytes = !unit.empty()};
}

std::string threshold_text(const Threshold& threshold) {
  return fmt::format("{} {}", threshold.amount, threshold.is_bytes ? "bytes" : "elements");
}

Result<Plan> plan_int8(const ir::Graph& graph, const Policy& policy) {
  std::vector<std::optional<Decision>> decided(graph.value_count());
  const auto decide_one = [&](std::size_t k) -> Status {
    SMELT_ASSIGN_OR_RETURN(decided[k], decide(graph, {static_cast<std::uint32_t>(k)}, policy));
    return {};
  };
  SMELT_RETURN_IF_ERROR(parallel_for(decided.size(), policy.jobs, decide_one));
  Plan plan;
  bool has_any = false;
  const Decision* largest = nullptr;
  for (std::optional<Decision>& decision : decided) {
    if (!decision) continue;
    has_any = has_any || decision->is_quantized;
    plan.decisions.push_back(*std::move(decision));
  }
  if (has_any) return plan;
  for (const Decision& decision : plan.decisions) {
    if (largest == nullptr || decision.elements > largest->elements) largest = &decision;
  }
  const std::string reason = largest == nullptr ? "the model has no weights of convolutions, products or tables"
                                                : fmt::format("the largest, \"{}\" with {} elements, stays: {}", largest->name, largest->elements, largest->reason);
  return Error(ErrorCode::kInvalidArgument, fmt::format("no weight can be quantized; {}", reason)).hint("lower --weight-threshold, or leave the weights as they are");
}

Status apply(ir::Graph& graph, const Plan& plan) {
  for (const Decision& decision : plan.decisions) {
    if (!decision.is_quantized) continue;
    const ir::Value weight = graph.value(decision.weight);
    SMELT_ASSIGN_OR_RETURN(ConstantRef codes, int8::encode(*weight.constant, decision.axis, decision.scales));
    const ir::ValueId q = graph.add_constant(weight.name + "_quantized", std::move(codes));
    const ir::ValueId s = graph.add_constant(weight.name + "_scale", make_constant(f32_tensor({static_cast<std::int64_t>(decision.scales.size())}, decision.scales)));
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId node, graph.add_node(ir::Dequantize{.axis = decision.axis}, {q, s}, weight.name));
    const ir::ValueId result = graph.node(node).outputs[0];
    graph.set_value_name(result, weight.name);
    graph.replace_uses(decision.weight, result);
  }
  return {};
}

}  // namespace smelt::quantize
