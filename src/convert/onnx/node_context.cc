#include "convert/onnx/node_context.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "convert/onnx/payload.h"
#include "eval/evaluate.h"

namespace smelt::onnx_format {

NodeContext::NodeContext(const Node& node, std::int64_t opset, std::vector<ir::ValueId> inputs, ir::Graph& graph,
                         PayloadReader& payloads, std::uint64_t fold_budget_bytes)
    : node_(node), opset_(opset), inputs_(std::move(inputs)), graph_(graph), payloads_(payloads),
      fold_budget_bytes_(fold_budget_bytes), results_(node.outputs.size()) {}

Error NodeContext::malformed(std::string message) const {
  return Error(ErrorCode::kMalformedInput, fmt::format("{}: {}", node_.op_type, message))
      .at({.file = {}, .byte_offset = {}, .graph = graph_.name(), .node = node_.name});
}

Error NodeContext::refused(const Error& error) const {
  if (error.code() != ErrorCode::kLimitReached) return malformed(error.message());
  return Error(ErrorCode::kLimitReached, fmt::format("{}: {}", node_.op_type, error.message()))
      .at({.file = {}, .byte_offset = {}, .graph = graph_.name(), .node = node_.name});
}

Error NodeContext::unsupported(std::string message) const {
  return Error(ErrorCode::kUnsupported, fmt::format("{}: {}", node_.op_type, message))
      .at({.file = {}, .byte_offset = {}, .graph = graph_.name(), .node = node_.name});
}

Result<ir::ValueId> NodeContext::required(std::size_t index) const {
  if (!has(index)) return malformed(fmt::format("operand {} is absent", index));
  return input(index);
}

Result<std::vector<std::int64_t>> NodeContext::extents(ir::ValueId id) const {
  if (auto extents = static_shape(type(id).shape)) return *std::move(extents);
  return Error(ErrorCode::kOpenShape, fmt::format("{}: the shape {} must be known at conversion", node_.op_type,
                                                  graph_.symbols().text(type(id).shape)))
      .at({.file = {}, .byte_offset = {}, .graph = graph_.name(), .node = node_.name});
}

Result<HostTensor> NodeContext::constant(std::size_t index, std::string_view what) const {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, required(index));
  const ir::Value& value = graph_.value(id);
  if (value.constant == nullptr) return unsupported(fmt::format("{} depends on the model's inputs; it must be known at conversion", what));
  return load(*value.constant);
}

Result<std::vector<std::int64_t>> NodeContext::constant_ints(std::size_t index, std::string_view what) const {
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, constant(index, what));
  if (!is_integer(tensor.dtype)) return malformed(fmt::format("{} is {}, not an integer", what, name(tensor.dtype)));
  if (tensor.shape.size() > 1) return malformed(fmt::format("{} has rank {}, not 1", what, tensor.shape.size()));
  return to_int64s(tensor);
}

Result<double> NodeContext::constant_scalar(std::size_t index, std::string_view what) const {
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, constant(index, what));
  const std::vector<double> values = to_doubles(tensor);
  if (values.size() != 1) return malformed(fmt::format("{} has {} elements, not 1", what, values.size()));
  return values.front();
}

const Attribute* NodeContext::attribute(std::string_view name) const {
  const auto found = std::find_if(node_.attributes.begin(), node_.attributes.end(), [name](const Attribute& a) { return a.name == name; });
  return found == node_.attributes.end() ? nullptr : &*found;
}

std::int64_t NodeContext::int_or(std::string_view name, std::int64_t fallback) const {
  const Attribute* found = attribute(name);
  return found != nullptr ? found->i.value_or(0) : fallback;
}

float NodeContext::float_or(std::string_view name, float fallback) const {
  const Attribute* found = attribute(name);
  return found != nullptr ? found->f.value_or(0.0F) : fallback;
}

std::string NodeContext::string_or(std::string_view name, std::string_view fallback) const {
  const Attribute* found = attribute(name);
  return found != nullptr ? found->s.value_or("") : std::string(fallback);
}

std::vector<std::int64_t> NodeContext::ints_or(std::string_view name, std::vector<std::int64_t> fallback) const {
  const Attribute* found = attribute(name);
  if (found != nullptr) return found->ints;
  return fallback;
}

Result<std::int64_t> NodeContext::axis(std::int64_t value, std::int64_t rank) const {
  if (value < -rank || value >= rank) return malformed(fmt::format("axis {} of rank {}", value, rank));
  return value < 0 ? value + rank : value;
}

Result<std::vector<std::int64_t>> NodeContext::axes(std::vector<std::int64_t> values, std::int64_t rank) const {
  for (std::int64_t& value : values) {
    SMELT_ASSIGN_OR_RETURN(value, axis(value, rank));
  }
  std::sort(values.begin(), values.end());
  if (std::adjacent_find(values.begin(), values.end()) != values.end()) return malformed("an axis is given twice");
  return values;
}

Result<std::vector<ir::ValueId>> NodeContext::emit_all(ir::Op op, std::vector<ir::ValueId> inputs) {
  std::vector<const TensorType*> types;
  bool all_constant = true;
  std::uint64_t input_bytes = 0;
  for (const ir::ValueId id : inputs) {
    types.push_back(id.valid() ? &graph_.value(id).type : nullptr);
    if (!id.valid()) continue;
    all_constant = all_constant && graph_.value(id).constant != nullptr;
    if (all_constant && __builtin_add_overflow(input_bytes, byte_count(*graph_.value(id).constant), &input_bytes)) all_constant = false;
  }
  if (all_constant) {
    Result<std::vector<TensorType>> inferred = ir::infer_types(op, types, graph_.symbols());
    if (!inferred.ok()) return refused(inferred.error());
    std::uint64_t output_bytes = 0;
    for (const TensorType& type : *inferred) {
      const auto shape = static_shape(type.shape);
      SMELT_CHECK(shape.has_value());
      SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(*shape));
      SMELT_ASSIGN_OR_RETURN(const std::uint64_t bytes, packed_bytes(type.dtype, static_cast<std::uint64_t>(count)));
      output_bytes += bytes;
    }
    constexpr std::uint64_t kMostLoaded = std::uint64_t{1} << 30;  // a repeated value may claim any size
    if (input_bytes <= kMostLoaded && output_bytes <= std::max(fold_budget_bytes_, input_bytes)) {
      std::vector<HostTensor> loaded(inputs.size());
      std::vector<const HostTensor*> operands(inputs.size(), nullptr);
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        if (!inputs[k].valid()) continue;
        SMELT_ASSIGN_OR_RETURN(loaded[k], load(*graph_.value(inputs[k]).constant));
        operands[k] = &loaded[k];
      }
      Result<std::vector<HostTensor>> values = eval::evaluate(op, operands);
      if (!values.ok()) return refused(values.error());
      std::vector<ir::ValueId> results;
      for (HostTensor& tensor : *values) results.push_back(add_constant(std::move(tensor)));
      return results;
    }
  }
  Result<ir::NodeId> node = graph_.add_node(std::move(op), std::move(inputs), node_.name);
  if (!node.ok()) return refused(node.error());
  return graph_.node(*node).outputs;
}

Result<ir::ValueId> NodeContext::emit(ir::Op op, std::vector<ir::ValueId> inputs) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<ir::ValueId> results, emit_all(std::move(op), std::move(inputs)));
  return results.front();
}

ir::ValueId NodeContext::add_constant(HostTensor tensor) { return graph_.add_constant({}, make_constant(std::move(tensor))); }

Result<ir::ValueId> NodeContext::scalar(DType dtype, double value) {
  const HostTensor wide{.dtype = DType::kF64, .shape = {}, .bytes = {}};
  HostTensor tensor = wide;
  tensor.bytes.resize(sizeof(double));
  std::memcpy(tensor.bytes.data(), &value, sizeof(double));
  return cast(add_constant(std::move(tensor)), dtype);
}

Result<ir::ValueId> NodeContext::cast(ir::ValueId value, DType to) {
  if (type(value).dtype == to) return value;
  return emit(ir::Cast{.to = to}, {value});
}

void NodeContext::set(std::size_t index, ir::ValueId value) {
  if (index < results_.size()) results_[index] = value;
}

Status NodeContext::set_result(Result<ir::ValueId> value) {
  if (!value.ok()) return value.error();
  set(0, *value);
  return {};
}

Result<WindowPads> window_pads(const NodeContext& cx, const std::vector<std::int64_t>& input_extents,
                               const std::vector<std::int64_t>& kernel, const std::vector<std::int64_t>& stride,
                               const std::vector<std::int64_t>& dilation) {
  const std::size_t axes = kernel.size();
  WindowPads pads{.begin = std::vector<std::int64_t>(axes, 0), .end = std::vector<std::int64_t>(axes, 0)};
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();  // what follows cannot wrap, here and at the callers
  for (const auto* list : {&input_extents, &kernel, &stride, &dilation}) {
    for (const std::int64_t value : *list) {
      if (value > kMost) return cx.unsupported(fmt::format("a window or extent of {}, over {}", value, kMost));
    }
  }
  const std::string auto_pad = cx.string_or("auto_pad", "NOTSET");
  if (auto_pad == "VALID") return pads;
  if (auto_pad == "NOTSET" || auto_pad.empty()) {
    const std::vector<std::int64_t> given = cx.ints_or("pads", std::vector<std::int64_t>(2 * axes, 0));
    if (given.size() != 2 * axes) return cx.malformed(fmt::format("{} pads for {} spatial axes", given.size(), axes));
    for (std::size_t k = 0; k < axes; ++k) {
      pads.begin[k] = given[k];
      pads.end[k] = given[axes + k];
      if (pads.begin[k] < 0 || pads.end[k] < 0) return cx.unsupported("negative pads");
      if (pads.begin[k] > kMost || pads.end[k] > kMost) return cx.unsupported(fmt::format("a pad over {}", kMost));
    }
    return pads;
  }
  if (auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER") return cx.malformed(fmt::format("auto_pad \"{}\"", auto_pad));
  for (std::size_t k = 0; k < axes; ++k) {
    // ONNX: output = ceil(in / stride); what is missing is split, the odd one at the end for UPPER.
    const std::int64_t out = (input_extents[k] + stride[k] - 1) / stride[k];
    const std::int64_t window = (kernel[k] - 1) * dilation[k] + 1;
    const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * stride[k] + window - input_extents[k]);
    const std::int64_t small = total / 2;
    pads.begin[k] = auto_pad == "SAME_UPPER" ? small : total - small;
    pads.end[k] = total - pads.begin[k];
  }
  return pads;
}

const OperatorImport* find_import(std::string_view op_type) {
  for (const auto table : {conv_imports(), elementwise_imports(), matmul_imports(), norm_imports(), pool_imports(),
                           reduce_imports(), resample_imports(), rnn_imports(), shape_imports()}) {
    for (const OperatorImport& row : table) {
      if (row.op_type == op_type) return &row;
    }
  }
  return nullptr;
}

}  // namespace smelt::onnx_format
