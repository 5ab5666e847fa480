#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/passes.h"
#include "eval/evaluate.h"
#include "ir/ops/all.h"

// %a = const f32[2]
// %b = exp(%a)      ->  %b = const f32[2]
//
// A result may be no larger than its operands together, or than the budget. Results that only have another shape share their
// operand's bytes, and a rank-2 transpose reads them in another order, so both stay unread whatever their size.

namespace smelt::passes {
namespace {

/// Operands are loaded to be folded; larger ones are left to the runtime.
constexpr std::uint64_t kMaxOperandBytes = std::uint64_t{64} << 20;
/// Multiplications of one folded product; the interpreter does some 1e8 in a second.
constexpr std::uint64_t kMaxProducts = std::uint64_t{1} << 27;

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Bytes of a value; nothing when an extent is open.
std::optional<std::uint64_t> value_bytes(const TensorType& type) {
  const auto shape = static_shape(type.shape);
  if (!shape) return std::nullopt;
  const Result<std::int64_t> count = element_count(*shape);
  if (!count.ok()) return std::nullopt;
  const Result<std::uint64_t> size = packed_bytes(type.dtype, static_cast<std::uint64_t>(*count));
  return size.ok() ? std::optional(*size) : std::nullopt;
}

/// Factors of one element of a product's result.
std::uint64_t inner_extent(const ir::Graph& graph, const ir::Node& node) {
  const auto w = [&]() -> const Constant& { return *graph.value(node.inputs[1]).constant; };
  if (const auto* matmul = node.op.as<ir::MatMul>()) {
    return static_cast<std::uint64_t>(w().shape[w().shape.size() - (matmul->transpose_y ? 1 : 2)]);
  }
  if (node.op.as<ir::Linear>() != nullptr) return static_cast<std::uint64_t>(w().shape[1]);
  if (node.op.as<ir::Conv>() != nullptr && w().shape[0] > 0) return element_count(w()) / static_cast<std::uint64_t>(w().shape[0]);
  if (node.op.as<ir::ConvTranspose>() != nullptr && w().shape[1] > 0) return element_count(w()) / static_cast<std::uint64_t>(w().shape[1]);
  return 1;
}

bool is_affordable(const ir::Graph& graph, const ir::Node& node, std::uint64_t budget_bytes) {
  std::uint64_t operand_bytes = 0, result_bytes = 0;
  for (const ir::ValueId input : node.inputs) {
    if (input.valid()) operand_bytes += byte_count(*graph.value(input).constant);
  }
  for (const ir::ValueId output : node.outputs) {
    const auto size = value_bytes(graph.value(output).type);
    if (!size) return false;
    result_bytes += *size;
  }
  if (operand_bytes > kMaxOperandBytes) return false;
  if (result_bytes > operand_bytes && result_bytes > budget_bytes) return false;
  const auto products = multiply(result_bytes / 4, inner_extent(graph, node));
  return products && *products <= kMaxProducts;
}

bool is_foldable(const ir::Graph& graph, const ir::Node& node) {
  if (node.op.as<ir::Dequantize>() != nullptr) return false;  // its small operand is the point of it
  for (const ir::ValueId input : node.inputs) {
    if (input.valid() && graph.value(input).constant == nullptr) return false;
  }
  return true;
}

/// The result where it needs no arithmetic: the same bytes, or the same in another order.
Result<ConstantRef> rearranged(const ir::Graph& graph, const ir::Node& node) {
  const Constant& x = *graph.value(node.inputs[0]).constant;
  const auto shape = static_shape(graph.value(node.outputs[0]).type.shape);
  if (!shape) return ConstantRef();
  switch (node.op.kind()) {
    case ir::OpKind::kIdentity:
    case ir::OpKind::kReshape:
    case ir::OpKind::kSqueeze:
    case ir::OpKind::kExpandDims:
      return std::make_shared<const Constant>(Constant{.dtype = x.dtype, .shape = *shape, .bytes = x.bytes});
    case ir::OpKind::kTranspose: {
      if (node.op.as<ir::Transpose>()->perm != std::vector<std::int64_t>{1, 0} || bits(x.dtype) % 8 != 0) return ConstantRef();
      SMELT_ASSIGN_OR_RETURN(BytesRef bytes,
                             transpose_2d(x.bytes, static_cast<std::uint64_t>(x.shape[0]),
                                          static_cast<std::uint64_t>(x.shape[1]), bits(x.dtype) / 8));
      return std::make_shared<const Constant>(Constant{.dtype = x.dtype, .shape = *shape, .bytes = std::move(bytes)});
    }
    default: return ConstantRef();
  }
}

/// The results; none when the interpreter refuses the operands (an index out of range stays the runtime's to report).
Result<std::vector<ConstantRef>> evaluated(const ir::Graph& graph, const ir::Node& node) {
  std::vector<HostTensor> tensors(node.inputs.size());
  std::vector<const HostTensor*> operands(node.inputs.size(), nullptr);
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    if (!node.inputs[k].valid()) continue;
    SMELT_ASSIGN_OR_RETURN(tensors[k], load(*graph.value(node.inputs[k]).constant));
    operands[k] = &tensors[k];
  }
  Result<std::vector<HostTensor>> results = eval::evaluate(node.op, operands);
  std::vector<ConstantRef> constants;
  if (!results.ok()) return constants;
  for (HostTensor& result : *results) constants.push_back(make_constant(std::move(result)));
  return constants;
}

Result<bool> fold(ir::Graph& graph, ir::NodeId id, std::uint64_t budget_bytes) {
  if (!is_foldable(graph, graph.node(id))) return false;
  std::vector<ConstantRef> constants;
  SMELT_ASSIGN_OR_RETURN(ConstantRef same, rearranged(graph, graph.node(id)));
  if (same != nullptr) {
    constants.push_back(std::move(same));
  } else if (is_affordable(graph, graph.node(id), budget_bytes)) {
    SMELT_ASSIGN_OR_RETURN(constants, evaluated(graph, graph.node(id)));
  }
  if (constants.empty()) return false;
  const std::vector<ir::ValueId> outputs = graph.node(id).outputs;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    std::string name = graph.value(outputs[k]).name;
    graph.replace_uses(outputs[k], graph.add_constant(std::move(name), std::move(constants[k])));
  }
  graph.erase_node(id);
  return true;
}

}  // namespace

Result<std::uint64_t> fold_constants(ir::Graph& graph, std::uint64_t budget_bytes) {
  std::uint64_t folded = 0;
  for (const ir::NodeId id : graph.topological_order()) {
    SMELT_ASSIGN_OR_RETURN(const bool is_folded, fold(graph, id, budget_bytes));
    folded += is_folded ? 1 : 0;
  }
  return folded;
}

}  // namespace smelt::passes
