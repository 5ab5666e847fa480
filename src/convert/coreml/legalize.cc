#include "convert/coreml/legalize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "tensor/host_tensor.h"

namespace smelt::coreml_format {
namespace {

/// The dtype that stands for another inside a program.
DType narrowed(DType dtype) {
  if (is_integer(dtype)) return DType::kI32;
  if (dtype == DType::kF64 || dtype == DType::kBF16) return DType::kF32;
  return dtype;
}

DType border_dtype(DType dtype, Target target) {
  if (dtype == DType::kBool) return DType::kI32;
  if (dtype == DType::kF16 && target < Target::kIos16) return DType::kF32;
  return narrowed(dtype);
}

constexpr std::int64_t kMaxI32 = std::numeric_limits<std::int32_t>::max();

/// Two scales this close, relative, are one: half an ulp of float32 and what a product of two roots loses.
constexpr double kScaleRounding = 1e-6;

/// The first attribute of an op that holds a number of more than 32 bits; empty if none does.
class WideAttribute final : public ir::AttributeVisitor {
 public:
  void visit(std::string_view name, std::int64_t value) override {
    if (value < -kMaxI32 || value > kMaxI32) found = fmt::format("{} {}", name, value);
  }
  void visit(std::string_view name, const std::vector<std::int64_t>& values) override {
    for (const std::int64_t value : values) visit(name, value);
  }
  void visit(std::string_view, float) override {}
  void visit(std::string_view, bool) override {}
  void visit(std::string_view, std::string_view) override {}

  std::string found;
};

/// The same slice in numbers no larger than the extents: ends of full axes, and steps.
ir::Slice bounded(ir::Slice op, const Shape& shape) {
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const std::int64_t extent = std::max<std::int64_t>(shape[k].extent(), 1);
    op.end[k] = std::min(op.end[k], shape[k].extent());
    op.step[k] = std::clamp(op.step[k], -extent, extent);
  }
  return op;
}

class Legalizer {
 public:
  Legalizer(const ir::Graph& from, Target target, const std::map<std::string, DType>& input_dtypes)
      : from_(from), target_(target), input_dtypes_(input_dtypes), to_(from.name()) {}

  Result<ir::Graph> run() {
    SMELT_RETURN_IF_ERROR(check_input_dtypes());
    SMELT_RETURN_IF_ERROR(check_extents());
    for (const ir::ValueId id : from_.inputs()) SMELT_RETURN_IF_ERROR(add_input(id));
    for (const ir::NodeId id : from_.topological_order()) SMELT_RETURN_IF_ERROR(add_node(id));
    for (const ir::GraphOutput& output : from_.outputs()) {
      SMELT_ASSIGN_OR_RETURN(ir::ValueId value, mapped(output.value));
      const DType border = border_dtype(to_.value(value).type.dtype, target_);
      if (border != to_.value(value).type.dtype) {
        SMELT_ASSIGN_OR_RETURN(value, cast(value, border, output.name));
      }
      to_.add_output(output.name, value);
    }
    SMELT_RETURN_IF_ERROR(check());
    return std::move(to_);
  }

 private:
  Status add_input(ir::ValueId id) {
    const ir::Value& input = from_.value(id);
    const auto given = input_dtypes_.find(input.name);
    const DType border = given != input_dtypes_.end() ? given->second : border_dtype(input.type.dtype, target_);
    ir::ValueId value = to_.add_input(input.name, {.dtype = border, .shape = input.type.shape});
    const DType inside = narrowed(input.type.dtype);
    if (border != inside) {
      const ir::ValueId at_border = value;
      SMELT_ASSIGN_OR_RETURN(value, cast(value, inside, input.name));
      at_border_[value] = at_border;
    }
    map_[id] = value;
    return {};
  }

  Status check_input_dtypes() const {
    for (const auto& [name, dtype] : input_dtypes_) {
      const ir::Value* input = nullptr;
      for (const ir::ValueId id : from_.inputs()) {
        if (from_.value(id).name == name) input = &from_.value(id);
      }
      if (input == nullptr) return Error(ErrorCode::kInvalidArgument, fmt::format("a dtype is given for \"{}\", which is no input", name));
      const DType usual = border_dtype(input->type.dtype, target_);
      if (dtype != usual && (!is_float(usual) || !is_float(dtype))) {
        return Error(ErrorCode::kInvalidArgument, fmt::format("input \"{}\" is {} in the package and cannot be {}", name, smelt::name(usual), smelt::name(dtype)));
      }
      if (dtype == DType::kF16 && target_ < Target::kIos16) {
        return Error(ErrorCode::kNotRepresentable, fmt::format("input \"{}\" cannot be float16 before ios16", name)).hint("try a newer --target");
      }
    }
    return {};
  }

  Result<ir::ValueId> cast(ir::ValueId value, DType to, const std::string& source) {
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId node, to_.add_node(ir::Cast{.to = to}, {value}, source));
    return to_.node(node).outputs[0];
  }

  Result<ir::ValueId> mapped(ir::ValueId id) {
    if (!id.valid()) return ir::ValueId{};
    if (const auto found = map_.find(id); found != map_.end()) return found->second;
    const ir::Value& value = from_.value(id);
    SMELT_CHECK(value.constant != nullptr);
    SMELT_ASSIGN_OR_RETURN(ConstantRef constant, narrow(value.constant, value.name));
    return map_[id] = to_.add_constant(value.name, std::move(constant));
  }

  static Result<ConstantRef> narrow(const ConstantRef& constant, const std::string& name) {
    const DType to = narrowed(constant->dtype);
    if (to == constant->dtype) return constant;
    SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*constant));
    HostTensor out{.dtype = to, .shape = tensor.shape, .bytes = {}};
    const std::vector<double> values = to_doubles(tensor);
    out.bytes.resize(values.size() * 4);
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (to == DType::kF32) {
        const auto single = static_cast<float>(values[k]);
        std::memcpy(out.bytes.data() + k * 4, &single, 4);
        continue;
      }
      if (values[k] < std::numeric_limits<std::int32_t>::min() || values[k] > std::numeric_limits<std::int32_t>::max()) {
        return Error(ErrorCode::kNotRepresentable, fmt::format("constant \"{}\" holds {}, Core ML's integers are 32 bits wide", name, values[k]));
      }
      const auto integer = static_cast<std::int32_t>(values[k]);
      std::memcpy(out.bytes.data() + k * 4, &integer, 4);
    }
    return make_constant(std::move(out));
  }

  Status add_node(ir::NodeId id) {
    const ir::Node& node = from_.node(id);
    std::vector<ir::ValueId> inputs;
    if (node.op.kind() == ir::OpKind::kDequantize && from_.value(node.inputs[0]).constant == nullptr) {
      return Error(ErrorCode::kNotRepresentable, "dequantize: only constants can be dequantized")
          .at({.file = {}, .byte_offset = {}, .graph = to_.name(), .node = node.source});
    }
    for (const ir::ValueId input : node.inputs) {
      // The codes of a compressed weight keep their type.
      if (node.op.kind() == ir::OpKind::kDequantize && from_.value(input).constant != nullptr) {
        inputs.push_back(to_.add_constant(from_.value(input).name, from_.value(input).constant));
        continue;
      }
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId value, mapped(input));
      inputs.push_back(value);
    }
    if (const auto* attention = node.op.as<ir::Attention>()) return add_attention(*attention, node, std::move(inputs));
    ir::Op op = node.op;
    if (const auto* to_cast = node.op.as<ir::Cast>()) {
      const DType to = narrowed(to_cast->to);
      // An input that is cast at the border and back is the input.
      if (const auto found = at_border_.find(inputs[0]); found != at_border_.end() && to_.value(found->second).type.dtype == to) inputs[0] = found->second;
      if (to == to_.value(inputs[0]).type.dtype) {
        map_[node.outputs[0]] = inputs[0];
        return {};
      }
      op = ir::Cast{.to = to};
    }
    if (const auto* slice = node.op.as<ir::Slice>()) op = bounded(*slice, to_.value(inputs[0]).type.shape);
    if (node.op.kind() == ir::OpKind::kGather || node.op.kind() == ir::OpKind::kGatherNd) {
      SMELT_RETURN_IF_ERROR(make_indices_positive(node, inputs));
    }
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId added, to_.add_node(std::move(op), std::move(inputs), node.source));
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      const ir::ValueId result = to_.node(added).outputs[k];
      to_.set_value_name(result, from_.value(node.outputs[k]).name);
      map_[node.outputs[k]] = result;
    }
    return {};
  }

  /// MIL's own op from iOS 18 on; its parts before, and for ranks at which the op is not seen in the field. The scale goes into the
  /// query: L x E products instead of L x S, and the unscaled scores, which float16 may not hold, do not appear.
  Status add_attention(const ir::Attention& op, const ir::Node& node, std::vector<ir::ValueId> inputs) {
    const TensorType query = to_.value(inputs[0]).type;
    const std::size_t rank = query.shape.size();
    const bool has_mask = inputs.size() > 3 && inputs[3].valid();
    const bool is_one_op = target_ >= Target::kIos18 && rank <= 4;
    const double own_scale = is_one_op ? 1.0 / std::sqrt(static_cast<double>(query.shape[rank - 1].extent())) : 1.0;
    const double factor = static_cast<double>(op.scale) / own_scale;
    const auto add = [&](ir::Op part, std::vector<ir::ValueId> operands) -> Result<ir::ValueId> {
      SMELT_ASSIGN_OR_RETURN(const ir::NodeId added, to_.add_node(std::move(part), std::move(operands), node.source));
      return to_.node(added).outputs[0];
    };
    if (std::fabs(factor - 1.0) > kScaleRounding) {
      const ir::ValueId scale = to_.add_constant("scale", make_constant(float_scalar(query.dtype, static_cast<float>(factor))));
      SMELT_ASSIGN_OR_RETURN(inputs[0], add(ir::Mul{}, {inputs[0], scale}));
    }
    ir::ValueId result;
    if (is_one_op) {
      if (has_mask) {
        SMELT_ASSIGN_OR_RETURN(inputs[3], mask_of_every_query(inputs[3], query.shape, to_.value(inputs[1]).type.shape[rank - 2], node.source));
      }
      SMELT_ASSIGN_OR_RETURN(result, add(ir::Attention{.scale = static_cast<float>(own_scale)}, std::move(inputs)));
    } else {
      SMELT_ASSIGN_OR_RETURN(ir::ValueId scores, add(ir::MatMul{.transpose_x = false, .transpose_y = true}, {inputs[0], inputs[1]}));
      if (has_mask) {
        SMELT_ASSIGN_OR_RETURN(scores, add(ir::Add{}, {scores, inputs[3]}));
      }
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId weights, add(ir::Softmax{.axis = static_cast<std::int64_t>(rank) - 1}, {scores}));
      SMELT_ASSIGN_OR_RETURN(result, add(ir::MatMul{}, {weights, inputs[2]}));
    }
    to_.set_value_name(result, from_.value(node.outputs[0]).name);
    map_[node.outputs[0]] = result;
    return {};
  }

  /// The mask with the scores' rank and last two extents, spelt out; one for all the nodes that share it.
  Result<ir::ValueId> mask_of_every_query(ir::ValueId mask, const Shape& query, Dim keys, const std::string& source) {
    const Shape& shape = to_.value(mask).type.shape;
    std::vector<std::int64_t> wanted(query.size(), 1);
    for (std::size_t k = 0; k < shape.size(); ++k) wanted[query.size() - shape.size() + k] = shape[k].extent();
    wanted[query.size() - 2] = query[query.size() - 2].extent();
    wanted[query.size() - 1] = keys.extent();
    if (to_shape(wanted) == shape) return mask;
    const std::pair key{mask, wanted};
    if (const auto found = masks_.find(key); found != masks_.end()) return found->second;
    SMELT_ASSIGN_OR_RETURN(const ir::NodeId node, to_.add_node(ir::Expand{.shape = wanted}, {mask}, source));
    return masks_[key] = to_.node(node).outputs[0];
  }

  /// Every extent is a number. One that would not fit 63 bits is open.
  Status check_extents() const {
    for (std::uint32_t k = 0; k < from_.value_count(); ++k) {
      const ir::Value& value = from_.value({k});
      const bool is_erased = value.producer.valid() && from_.node(value.producer).is_erased;
      if (is_erased || static_shape(value.type.shape)) continue;
      return Error(ErrorCode::kNotRepresentable, fmt::format("\"{}\" has the open shape {}", value.name, from_.symbols().text(value.type.shape)));
    }
    return {};
  }

  /// Constant indices below 0 count from the end in ONNX, and are out of bounds in newer MIL.
  Status make_indices_positive(const ir::Node& node, std::vector<ir::ValueId>& inputs) {
    const ConstantRef constant = to_.value(inputs[1]).constant;
    if (constant == nullptr) return {};
    SMELT_ASSIGN_OR_RETURN(HostTensor indices, load(*constant));
    const Shape shape = to_.value(inputs[0]).type.shape;
    const auto* gather = node.op.as<ir::Gather>();
    const auto* gather_nd = node.op.as<ir::GatherNd>();
    const std::size_t tuple = gather_nd != nullptr ? static_cast<std::size_t>(indices.shape.back()) : 1;
    bool has_negative = false;
    for (std::size_t k = 0; k < indices.bytes.size() / 4; ++k) {
      std::int32_t index = 0;
      std::memcpy(&index, indices.bytes.data() + k * 4, 4);
      const std::size_t axis = gather != nullptr ? static_cast<std::size_t>(gather->axis) : static_cast<std::size_t>(gather_nd->batch_axes) + k % tuple;
      const std::int64_t extent = shape[axis].extent();
      if (index < -extent || index >= extent) {
        return Error(ErrorCode::kMalformedInput, fmt::format("index {} into an axis of extent {}", index, extent))
            .at({.file = {}, .byte_offset = {}, .graph = to_.name(), .node = node.source});
      }
      if (index >= 0) continue;
      has_negative = true;
      index += static_cast<std::int32_t>(extent);
      std::memcpy(indices.bytes.data() + k * 4, &index, 4);
    }
    if (has_negative) inputs[1] = to_.add_constant(to_.value(inputs[1]).name, make_constant(std::move(indices)));
    return {};
  }

  Status check() const {
    std::vector<std::string> problems;
    for (std::uint32_t k = 0; k < to_.value_count(); ++k) {
      const ir::Value& value = to_.value({k});
      if (value.constant != nullptr && to_.use_count({k}) == 0) continue;  // everything else is written, used or not
      const std::string label = value.name.empty() ? fmt::format("%{}", k) : value.name;
      if (value.type.shape.size() > 5) problems.push_back(fmt::format("\"{}\" has rank {}, the most is 5", label, value.type.shape.size()));
      if (std::find(value.type.shape.begin(), value.type.shape.end(), Dim(0)) != value.type.shape.end()) {
        problems.push_back(fmt::format("\"{}\" has an extent of 0", label));
      }
      for (const Dim dim : value.type.shape) {
        if (dim.extent() > kMaxI32) problems.push_back(fmt::format("\"{}\" has an extent of {}, the most is {}", label, dim.extent(), kMaxI32));
      }
      if (value.type.shape.empty() && to_.is_input({k})) problems.push_back(fmt::format("input \"{}\" has rank 0", label));
    }
    for (const ir::NodeId id : to_.topological_order()) {
      const ir::Node& node = to_.node(id);
      WideAttribute wide;
      node.op.definition().visit(node.op.attributes(), wide);
      if (!wide.found.empty()) problems.push_back(fmt::format("{} (node \"{}\") has {}, Core ML's integers are 32 bits wide", node.op.name(), node.source, wide.found));
    }
    if (problems.empty()) return {};
    std::string message = "Core ML cannot hold these values:";
    for (const std::string& problem : problems) message += "\n  " + problem;
    return Error(ErrorCode::kNotRepresentable, std::move(message));
  }

  const ir::Graph& from_;
  Target target_;
  const std::map<std::string, DType>& input_dtypes_;
  ir::Graph to_;
  std::map<ir::ValueId, ir::ValueId> map_;
  std::map<ir::ValueId, ir::ValueId> at_border_;  ///< the cast of an input → the input
  std::map<std::pair<ir::ValueId, std::vector<std::int64_t>>, ir::ValueId> masks_;  ///< mask, shape → that mask in that shape
};

/// Removes the casts that nothing came to use.
void erase_unused_casts(ir::Graph& graph) {
  for (const ir::NodeId id : graph.topological_order()) {
    const ir::Node& node = graph.node(id);
    if (node.op.kind() == ir::OpKind::kCast && graph.use_count(node.outputs[0]) == 0) graph.erase_node(id);
  }
}

}  // namespace

Result<ir::Graph> legalize(const ir::Graph& graph, Target target, const std::map<std::string, DType>& input_dtypes) {
  SMELT_ASSIGN_OR_RETURN(ir::Graph legal, Legalizer(graph, target, input_dtypes).run());
  erase_unused_casts(legal);
  SMELT_RETURN_IF_ERROR(ir::verify(legal));
  return legal;
}

}  // namespace smelt::coreml_format
