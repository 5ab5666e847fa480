#include "eval/evaluate.h"

#include <map>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// Elements of one result, against shapes that would exhaust the memory.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;

Status check_tensor(const HostTensor& tensor, std::size_t index) {
  for (const std::int64_t extent : tensor.shape) {
    if (extent < 0) return invalid(fmt::format("operand {} has extent {}, at least 0 required", index, extent));
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(tensor.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(tensor.dtype, static_cast<std::uint64_t>(count)));
  if (tensor.bytes.size() != size) {
    return invalid(fmt::format("operand {} is {} and has {} bytes, {} required", index,
                               type_text(tensor.dtype, tensor.shape), tensor.bytes.size(), size));
  }
  return {};
}

/// The results as the shape rule has them, their bytes zero.
Result<std::vector<HostTensor>> empty_results(const ir::Op& op, std::span<const HostTensor* const> inputs) {
  std::vector<TensorType> types(inputs.size());
  std::vector<const TensorType*> operands(inputs.size(), nullptr);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    SMELT_RETURN_IF_ERROR(check_tensor(*inputs[i], i));
    types[i] = {.dtype = inputs[i]->dtype, .shape = to_shape(inputs[i]->shape)};
    operands[i] = &types[i];
  }
  SymbolTable symbols;
  const Result<std::vector<TensorType>> inferred = ir::infer_types(op, operands, symbols);
  if (!inferred.ok()) return invalid(fmt::format("{}: {}", op.name(), inferred.error().message()));
  std::vector<HostTensor> results;
  for (const TensorType& type : *inferred) {
    const auto shape = static_shape(type.shape);  // open where an extent did not fit in 63 bits
    const Result<std::int64_t> count = shape ? element_count(*shape) : Result<std::int64_t>(std::int64_t{-1});
    if (!count.ok() || *count < 0 || *count > kMaxElements) {
      return Error(ErrorCode::kLimitReached, fmt::format("{} gives {}{}, at most {} elements are evaluated", op.name(),
                                                         name(type.dtype), symbols.text(type.shape), kMaxElements));
    }
    SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(type.dtype, static_cast<std::uint64_t>(*count)));
    results.push_back({.dtype = type.dtype, .shape = *shape, .bytes = std::vector<std::byte>(size)});
  }
  return results;
}

/// Every kind, no default: the compiler names one that is missing.
Status dispatch(const ir::Op& op, const Frame& frame) {
  using ir::OpKind;
  switch (op.kind()) {
    case OpKind::kIdentity: case OpKind::kAbs: case OpKind::kNeg: case OpKind::kSign: case OpKind::kExp:
    case OpKind::kLog: case OpKind::kSqrt: case OpKind::kReciprocal: case OpKind::kFloor: case OpKind::kCeil:
    case OpKind::kRound: case OpKind::kSin: case OpKind::kCos: case OpKind::kErf: case OpKind::kNot:
    case OpKind::kRelu: case OpKind::kSigmoid: case OpKind::kTanh: case OpKind::kSoftplus: case OpKind::kSoftsign:
    case OpKind::kSilu: case OpKind::kHardSwish: case OpKind::kIsNan:
      return run_unary(op.kind(), frame);
    case OpKind::kAdd: case OpKind::kSub: case OpKind::kMul: case OpKind::kDiv: case OpKind::kPow: case OpKind::kMin:
    case OpKind::kMax: case OpKind::kEqual: case OpKind::kLess: case OpKind::kLessOrEqual: case OpKind::kGreater:
    case OpKind::kGreaterOrEqual: case OpKind::kAnd: case OpKind::kOr: case OpKind::kXor:
      return run_binary(op.kind(), frame);
    case OpKind::kLeakyRelu: return run(*op.as<ir::LeakyRelu>(), frame);
    case OpKind::kElu: return run(*op.as<ir::Elu>(), frame);
    case OpKind::kHardSigmoid: return run(*op.as<ir::HardSigmoid>(), frame);
    case OpKind::kGelu: return run(*op.as<ir::Gelu>(), frame);
    case OpKind::kClip: return run(*op.as<ir::Clip>(), frame);
    case OpKind::kCast: return run(*op.as<ir::Cast>(), frame);
    case OpKind::kSoftmax: return run(*op.as<ir::Softmax>(), frame);
    case OpKind::kWhere: return run(*op.as<ir::Where>(), frame);
    case OpKind::kConv: return run(*op.as<ir::Conv>(), frame);
    case OpKind::kMaxPool: return run(*op.as<ir::MaxPool>(), frame);
    case OpKind::kAveragePool: return run(*op.as<ir::AveragePool>(), frame);
    case OpKind::kMatMul: return run(*op.as<ir::MatMul>(), frame);
    case OpKind::kLinear: return run(*op.as<ir::Linear>(), frame);
    case OpKind::kAttention: return run(*op.as<ir::Attention>(), frame);
    case OpKind::kBatchNorm: return run(*op.as<ir::BatchNorm>(), frame);
    case OpKind::kLayerNorm: return run(*op.as<ir::LayerNorm>(), frame);
    case OpKind::kInstanceNorm: return run(*op.as<ir::InstanceNorm>(), frame);
    case OpKind::kReduce: return run(*op.as<ir::Reduce>(), frame);
    case OpKind::kReshape: return run(*op.as<ir::Reshape>(), frame);
    case OpKind::kTranspose: return run(*op.as<ir::Transpose>(), frame);
    case OpKind::kSqueeze: return run(*op.as<ir::Squeeze>(), frame);
    case OpKind::kExpandDims: return run(*op.as<ir::ExpandDims>(), frame);
    case OpKind::kConcat: return run(*op.as<ir::Concat>(), frame);
    case OpKind::kSplit: return run(*op.as<ir::Split>(), frame);
    case OpKind::kSlice: return run(*op.as<ir::Slice>(), frame);
    case OpKind::kGather: return run(*op.as<ir::Gather>(), frame);
    case OpKind::kGatherNd: return run(*op.as<ir::GatherNd>(), frame);
    case OpKind::kExpand: return run(*op.as<ir::Expand>(), frame);
    case OpKind::kLstm: return run(*op.as<ir::Lstm>(), frame);
    case OpKind::kGru: return run(*op.as<ir::Gru>(), frame);
    case OpKind::kDequantize: return run(*op.as<ir::Dequantize>(), frame);
    case OpKind::kConvTranspose: return run(*op.as<ir::ConvTranspose>(), frame);
    case OpKind::kPad: return run(*op.as<ir::Pad>(), frame);
    case OpKind::kResize: return run(*op.as<ir::Resize>(), frame);
  }
  SMELT_CHECK(false);
}

bool has_elements(const std::vector<HostTensor>& tensors) {
  return std::ranges::any_of(tensors, [](const HostTensor& tensor) { return !tensor.bytes.empty(); });
}

/// A graph's values while it is evaluated; each is let go after its last use.
class Values {
 public:
  explicit Values(const ir::Graph& graph) : graph_(graph), tensors_(graph.value_count()), uses_left_(graph.value_count()) {
    for (std::uint32_t k = 0; k < uses_left_.size(); ++k) uses_left_[k] = graph.use_count({k});
  }

  void set(ir::ValueId id, HostTensor tensor) {
    if (uses_left_[id.index] != 0) tensors_[id.index] = std::make_unique<HostTensor>(std::move(tensor));
  }

  /// A constant is loaded at its first use.
  Result<const HostTensor*> get(ir::ValueId id) {
    std::unique_ptr<HostTensor>& tensor = tensors_[id.index];
    if (tensor == nullptr && graph_.value(id).constant != nullptr) {
      SMELT_ASSIGN_OR_RETURN(HostTensor loaded, load(*graph_.value(id).constant));
      tensor = std::make_unique<HostTensor>(std::move(loaded));
    }
    SMELT_CHECK(tensor != nullptr);
    return tensor.get();
  }

  void release(ir::ValueId id) {
    if (--uses_left_[id.index] == 0) tensors_[id.index] = nullptr;
  }

 private:
  const ir::Graph& graph_;
  std::vector<std::unique_ptr<HostTensor>> tensors_;
  std::vector<std::size_t> uses_left_;
};

/// Dtype and extents as the graph declares them, one extent for each symbol.
Status check_graph_inputs(const ir::Graph& graph, std::span<const HostTensor> inputs) {
  if (inputs.size() != graph.inputs().size()) {
    return invalid(fmt::format("graph {} takes {} inputs, got {}", graph.name(), graph.inputs().size(), inputs.size()));
  }
  std::map<std::string, std::int64_t> extents;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const ir::Value& value = graph.value(graph.inputs()[k]);
    bool agrees = value.type.dtype == inputs[k].dtype && value.type.shape.size() == inputs[k].shape.size();
    for (std::size_t axis = 0; agrees && axis < inputs[k].shape.size(); ++axis) {
      const Dim dim = value.type.shape[axis];
      const std::int64_t extent = inputs[k].shape[axis];
      agrees = dim.is_static() ? dim.extent() == extent
                               : extents.emplace(graph.symbols().text(dim), extent).first->second == extent;
    }
    if (!agrees) {
      return invalid(fmt::format("input \"{}\" is {}{}, got {}", value.name, name(value.type.dtype),
                                 graph.symbols().text(value.type.shape), type_text(inputs[k].dtype, inputs[k].shape)));
    }
  }
  return {};
}

Status evaluate_node(const ir::Graph& graph, ir::NodeId id, Values& values) {
  const ir::Node& node = graph.node(id);
  std::vector<const HostTensor*> operands(node.inputs.size(), nullptr);
  for (std::size_t k = 0; k < operands.size(); ++k) {
    if (!node.inputs[k].valid()) continue;
    SMELT_ASSIGN_OR_RETURN(operands[k], values.get(node.inputs[k]));
  }
  Result<std::vector<HostTensor>> results = evaluate(node.op, operands);
  if (!results.ok()) {
    return Error(results.error())
        .at({.file = {}, .byte_offset = {}, .graph = graph.name(), .node = node.source});
  }
  for (std::size_t k = 0; k < node.outputs.size(); ++k) values.set(node.outputs[k], std::move((*results)[k]));
  for (const ir::ValueId input : node.inputs) {
    if (input.valid()) values.release(input);
  }
  return {};
}

}  // namespace

Result<std::vector<HostTensor>> evaluate(const ir::Op& op, std::span<const HostTensor* const> inputs) {
  SMELT_ASSIGN_OR_RETURN(std::vector<HostTensor> results, empty_results(op, inputs));
  if (has_elements(results)) SMELT_RETURN_IF_ERROR(dispatch(op, Frame{.inputs = inputs, .outputs = results}));
  return results;
}

Result<std::vector<HostTensor>> evaluate(const ir::Graph& graph, std::span<const HostTensor> inputs) {
  SMELT_RETURN_IF_ERROR(check_graph_inputs(graph, inputs));
  Values values(graph);
  for (std::size_t k = 0; k < inputs.size(); ++k) values.set(graph.inputs()[k], inputs[k]);
  for (const ir::NodeId id : graph.topological_order()) SMELT_RETURN_IF_ERROR(evaluate_node(graph, id, values));
  std::vector<HostTensor> outputs;
  for (const ir::GraphOutput& output : graph.outputs()) {
    SMELT_ASSIGN_OR_RETURN(const HostTensor* tensor, values.get(output.value));
    outputs.push_back(*tensor);
  }
  return outputs;
}

}  // namespace smelt::eval
