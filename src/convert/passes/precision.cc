#include "convert/passes/precision.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "ir/ops/all.h"
#include "tensor/float16.h"

namespace smelt::passes {
namespace {

/// What float16 would do to a constant.
struct Range {
  bool has_sentinel = false;  ///< finite values of kMaskSentinel or more
  bool overflows = false;     ///< other finite values that would become infinite
  bool has_infinity = false;  ///< minus infinity, and no other
};

Result<Range> range_of(const Constant& constant) {
  Range range;
  bool has_positive = false;
  std::vector<std::byte> scratch(std::size_t{64} << 10);
  SMELT_RETURN_IF_ERROR(stream_elements<float>(*constant.bytes, scratch, [&](std::span<const float> elements) {
    for (const float element : elements) {
      if (std::isinf(element)) (element < 0 ? range.has_infinity : has_positive) = true;
      if (!std::isfinite(element) || fits_f16(element)) continue;
      (std::fabs(element) >= kMaskSentinel ? range.has_sentinel : range.overflows) = true;
    }
    return Status();
  }));
  range.has_infinity = range.has_infinity && !has_positive;
  return range;
}

/// Whether an operand's minus infinity is still the smallest there is in the result: sums, choices and changes of shape.
bool passes_a_mask_on(const ir::Node& node, std::uint32_t operand) {
  switch (node.op.kind()) {
    case ir::OpKind::kWhere: return operand != 0;
    case ir::OpKind::kSub:
    case ir::OpKind::kGather: return operand == 0;
    case ir::OpKind::kIdentity:
    case ir::OpKind::kAdd:
    case ir::OpKind::kMin:
    case ir::OpKind::kReshape:
    case ir::OpKind::kTranspose:
    case ir::OpKind::kSqueeze:
    case ir::OpKind::kExpandDims:
    case ir::OpKind::kExpand:
    case ir::OpKind::kConcat:
    case ir::OpKind::kSlice: return true;
    default: return false;
  }
}

/// Whether every way from a value ends in a softmax, so that minus infinity there means "no share" and nothing else.
bool only_masks_softmax(const ir::Graph& graph, ir::ValueId id) {
  std::set<ir::ValueId> seen = {id};
  std::vector<ir::ValueId> waiting = {id};
  while (!waiting.empty()) {
    const ir::ValueId value = waiting.back();
    waiting.pop_back();
    if (graph.is_output(value)) return false;
    for (const ir::Use& use : graph.value(value).uses) {
      const ir::Node& node = graph.node(use.node);
      const bool is_attention_mask = node.op.kind() == ir::OpKind::kAttention && use.operand == 3;
      if (is_attention_mask || node.op.kind() == ir::OpKind::kSoftmax) continue;
      if (!passes_a_mask_on(node, use.operand)) return false;
      if (seen.insert(node.outputs[0]).second) waiting.push_back(node.outputs[0]);
    }
  }
  return true;
}

float rounded(float value) { return f16_value(f16_bits(value)); }

class F16Builder {
 public:
  explicit F16Builder(const ir::Graph& from) : from_(from), result_{.graph = ir::Graph(from.name()), .f16_nodes = 0, .f32_nodes = 0, .notes = {}} {}

  Result<PrecisionResult> run() {
    for (const ir::ValueId id : from_.inputs()) map_[id] = to().add_input(from_.value(id).name, from_.value(id).type);
    for (const ir::NodeId id : from_.topological_order()) SMELT_RETURN_IF_ERROR(add(id));
    for (const ir::GraphOutput& output : from_.outputs()) {
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId value, as(output.value, from_.value(output.value).type.dtype));
      to().add_output(output.name, value);
    }
    for (const auto& [key, count] : epsilons_) {
      const auto& [op, value, kept] = key;
      result_.notes.push_back(fmt::format("the epsilon of {} {}{} is {} instead of {} in float16", count, op, count == 1 ? "" : "s", kept, value));
    }
    SMELT_RETURN_IF_ERROR(ir::verify(result_.graph));
    return std::move(result_);
  }

 private:
  ir::Graph& to() { return result_.graph; }

  Result<Range> range(ir::ValueId id) {
    if (const auto found = ranges_.find(id); found != ranges_.end()) return found->second;
    SMELT_ASSIGN_OR_RETURN(const Range range, range_of(*from_.value(id).constant));
    return ranges_[id] = range;
  }

  [[nodiscard]] bool is_f32_constant(ir::ValueId id) const {
    return id.valid() && from_.value(id).constant != nullptr && from_.value(id).type.dtype == DType::kF32;
  }

  /// The new value of an old one. One that is float32 in the source comes in the float dtype asked for, others as they are.
  Result<ir::ValueId> as(ir::ValueId id, DType dtype) {
    if (!id.valid()) return id;
    const ir::Value& source = from_.value(id);
    const bool is_f32 = source.type.dtype == DType::kF32;
    const std::pair<ir::ValueId, DType> key{id, is_f32 ? dtype : source.type.dtype};
    if (const auto found = casts_.find(key); found != casts_.end()) return found->second;
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId value, make(id, key.second));
    casts_[key] = value;
    return value;
  }

  Result<ir::ValueId> make(ir::ValueId id, DType dtype) {
    const ir::Value& source = from_.value(id);
    if (source.constant != nullptr) {
      if (source.constant->dtype == dtype) return to().add_constant(source.name, source.constant);
      SMELT_ASSIGN_OR_RETURN(const Range found, range(id));
      if (found.has_sentinel) {
        result_.notes.push_back(fmt::format("constant \"{}\" holds values of 1e38 or more, a mask's minus infinity: they are bounded to 40000 in float16", source.name));
      }
      const bool is_mask = found.has_infinity && only_masks_softmax(from_, id);
      if (is_mask) {
        result_.notes.push_back(fmt::format("constant \"{}\" holds the minus infinity of a mask: it is -40000 in float16; a softmax that is masked throughout has shares, where float32 has NaN", source.name));
      }
      SMELT_ASSIGN_OR_RETURN(BytesRef bytes, cast_f32_to_f16(source.constant->bytes, {.keeps_nonzero = element_count(*source.constant) < 400, .bounds_infinity = is_mask}));
      return to().add_constant(source.name, std::make_shared<const Constant>(Constant{.dtype = dtype, .shape = source.constant->shape, .bytes = std::move(bytes)}));
    }
    const ir::ValueId mapped = map_.at(id);
    if (to().value(mapped).type.dtype == dtype) return mapped;
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId node, to().add_node(ir::Cast{.to = dtype}, {mapped}, source.name));
    const ir::ValueId result = to().node(node).outputs[0];
    if (!source.name.empty()) to().set_value_name(result, fmt::format("{}_to_{}", source.name, dtype == DType::kF16 ? "fp16" : "fp32"));
    return result;
  }

  Result<bool> stays_f32(const ir::Node& node) {
    if (node.op.kind() == ir::OpKind::kDequantize) return false;
    if (const auto* pad = node.op.as<ir::Pad>(); pad != nullptr && std::isfinite(pad->value) && !fits_f16(pad->value)) {
      result_.notes.push_back(fmt::format("pad \"{}\" stays float32: its value {} is outside float16's range", node.source, pad->value));
      return true;
    }
    for (const ir::ValueId input : node.inputs) {
      if (!is_f32_constant(input)) continue;
      SMELT_ASSIGN_OR_RETURN(const Range found, range(input));
      if (!found.overflows) continue;
      result_.notes.push_back(fmt::format("{} \"{}\" stays float32: constant \"{}\" is outside float16's range", node.op.name(), node.source, from_.value(input).name));
      return true;
    }
    return false;
  }

  /// The op as float16 has it: casts to float32 go to float16, an epsilon is what is left of it.
  ir::Op in_f16(const ir::Node& node) {
    if (const auto* cast = node.op.as<ir::Cast>()) return ir::Cast{.to = cast->to == DType::kF32 ? DType::kF16 : cast->to};
    const auto epsilon = [&](float value) {
      const float kept = std::max(rounded(value), value > 0 ? kSmallestF16 : 0.0F);
      if (std::fabs(kept - value) > 0.01F * value) ++epsilons_[{std::string(node.op.name()), value, kept}];
      return kept;
    };
    if (const auto* op = node.op.as<ir::LayerNorm>()) return ir::LayerNorm{.axis = op->axis, .epsilon = epsilon(op->epsilon)};
    if (const auto* op = node.op.as<ir::BatchNorm>()) return ir::BatchNorm{.epsilon = epsilon(op->epsilon)};
    if (const auto* op = node.op.as<ir::InstanceNorm>()) return ir::InstanceNorm{.epsilon = epsilon(op->epsilon)};
    return node.op;
  }

  Status add(ir::NodeId id) {
    const ir::Node& node = from_.node(id);
    const auto is_f32 = [&](ir::ValueId value) { return value.valid() && from_.value(value).type.dtype == DType::kF32; };
    const bool has_floats = std::any_of(node.inputs.begin(), node.inputs.end(), is_f32) || std::any_of(node.outputs.begin(), node.outputs.end(), is_f32);
    SMELT_ASSIGN_OR_RETURN(const bool keeps, stays_f32(node));
    if (has_floats) ++(keeps ? result_.f32_nodes : result_.f16_nodes);
    std::vector<ir::ValueId> inputs;
    for (const ir::ValueId input : node.inputs) {
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId value, as(input, keeps ? DType::kF32 : DType::kF16));
      inputs.push_back(value);
    }
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId added, to().add_node(keeps ? node.op : in_f16(node), std::move(inputs), node.source));
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      to().set_value_name(to().node(added).outputs[k], from_.value(node.outputs[k]).name);
      map_[node.outputs[k]] = to().node(added).outputs[k];
    }
    return {};
  }

  static constexpr float kSmallestF16 = 5.9604644775390625e-8F;

  const ir::Graph& from_;
  PrecisionResult result_;
  std::map<ir::ValueId, ir::ValueId> map_;
  std::map<std::pair<ir::ValueId, DType>, ir::ValueId> casts_;
  std::map<ir::ValueId, Range> ranges_;
  std::map<std::tuple<std::string, float, float>, std::uint64_t> epsilons_;  ///< op, before, after → nodes
};

}  // namespace

Result<PrecisionResult> to_f16(const ir::Graph& graph) { return F16Builder(graph).run(); }

}  // namespace smelt::passes
