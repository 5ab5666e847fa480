#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/onnx/wire.h"
#include "ir/graph.h"
#include "ir/ops/all.h"
#include "smelt/result.h"
#include "tensor/host_tensor.h"

namespace smelt::onnx_format {

class PayloadReader;

/// What the import of one operator sees and does: its operands and attributes, and the graph that it adds to.
class NodeContext {
 public:
  NodeContext(const Node& node, std::int64_t opset, std::vector<ir::ValueId> inputs, ir::Graph& graph, PayloadReader& payloads,
              std::uint64_t fold_budget_bytes);

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] std::int64_t opset() const { return opset_; }
  [[nodiscard]] ir::Graph& graph() { return graph_; }
  [[nodiscard]] PayloadReader& payloads() { return payloads_; }
  [[nodiscard]] std::size_t input_count() const { return inputs_.size(); }

  /// An absent operand is an invalid id.
  [[nodiscard]] ir::ValueId input(std::size_t index) const { return index < inputs_.size() ? inputs_[index] : ir::ValueId{}; }
  [[nodiscard]] bool has(std::size_t index) const { return input(index).valid(); }
  /// The operand, or an error that names it.
  [[nodiscard]] Result<ir::ValueId> required(std::size_t index) const;
  [[nodiscard]] const TensorType& type(ir::ValueId id) const { return graph_.value(id).type; }
  [[nodiscard]] std::int64_t rank(ir::ValueId id) const { return static_cast<std::int64_t>(type(id).shape.size()); }
  /// The extents, all known, or `kOpenShape`.
  [[nodiscard]] Result<std::vector<std::int64_t>> extents(ir::ValueId id) const;

  /// The operand's value when it is a constant, else `kUnsupported` saying that this operand must be known at conversion.
  [[nodiscard]] Result<HostTensor> constant(std::size_t index, std::string_view what) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> constant_ints(std::size_t index, std::string_view what) const;
  [[nodiscard]] Result<double> constant_scalar(std::size_t index, std::string_view what) const;

  [[nodiscard]] const Attribute* attribute(std::string_view name) const;
  [[nodiscard]] std::int64_t int_or(std::string_view name, std::int64_t fallback) const;
  [[nodiscard]] float float_or(std::string_view name, float fallback) const;
  [[nodiscard]] std::string string_or(std::string_view name, std::string_view fallback) const;
  [[nodiscard]] std::vector<std::int64_t> ints_or(std::string_view name, std::vector<std::int64_t> fallback) const;

  /// 0 to rank - 1, negatives counted from the end; `kMalformedInput` out of range.
  [[nodiscard]] Result<std::int64_t> axis(std::int64_t value, std::int64_t rank) const;
  /// The same for a list, sorted; a repeated axis is `kMalformedInput`.
  [[nodiscard]] Result<std::vector<std::int64_t>> axes(std::vector<std::int64_t> values, std::int64_t rank) const;

  /// Adds a node, or, when every operand is a constant and the results fit the budget, the constants that it gives.
  [[nodiscard]] Result<std::vector<ir::ValueId>> emit_all(ir::Op op, std::vector<ir::ValueId> inputs);
  [[nodiscard]] Result<ir::ValueId> emit(ir::Op op, std::vector<ir::ValueId> inputs);
  [[nodiscard]] ir::ValueId add_constant(HostTensor tensor);
  /// A scalar of a dtype.
  [[nodiscard]] Result<ir::ValueId> scalar(DType dtype, double value);
  [[nodiscard]] Result<ir::ValueId> cast(ir::ValueId value, DType to);

  /// What the node's result k is.
  void set(std::size_t index, ir::ValueId value);
  [[nodiscard]] Status set_result(Result<ir::ValueId> value);  ///< result 0
  [[nodiscard]] const std::vector<ir::ValueId>& results() const { return results_; }

  [[nodiscard]] Error malformed(std::string message) const;
  [[nodiscard]] Error unsupported(std::string message) const;
  /// What a shape rule or the evaluator says of the op, as an error of the file.
  [[nodiscard]] Error refused(const Error& error) const;

 private:
  const Node& node_;
  std::int64_t opset_;
  std::vector<ir::ValueId> inputs_;
  ir::Graph& graph_;
  PayloadReader& payloads_;
  std::uint64_t fold_budget_bytes_;
  std::vector<ir::ValueId> results_;
};

/// How one operator of the default domain comes in, from `since` on; older versions are `kUnsupported`.
struct OperatorImport {
  std::string_view op_type;
  std::int64_t since;
  Status (*import)(NodeContext& cx);
};

// One table for each family, in convert/onnx/ops/<family>.cc.
[[nodiscard]] std::span<const OperatorImport> conv_imports();
[[nodiscard]] std::span<const OperatorImport> elementwise_imports();
[[nodiscard]] std::span<const OperatorImport> matmul_imports();
[[nodiscard]] std::span<const OperatorImport> norm_imports();
[[nodiscard]] std::span<const OperatorImport> pool_imports();
[[nodiscard]] std::span<const OperatorImport> reduce_imports();
[[nodiscard]] std::span<const OperatorImport> rnn_imports();
[[nodiscard]] std::span<const OperatorImport> resample_imports();
[[nodiscard]] std::span<const OperatorImport> shape_imports();

/// The import of an operator of the default domain; nullptr when there is none.
[[nodiscard]] const OperatorImport* find_import(std::string_view op_type);

/// Explicit pads of a window operator: `auto_pad` resolved from the input's spatial extents.
struct WindowPads {
  std::vector<std::int64_t> begin, end;
};
[[nodiscard]] Result<WindowPads> window_pads(const NodeContext& cx, const std::vector<std::int64_t>& input_extents,
                                             const std::vector<std::int64_t>& kernel, const std::vector<std::int64_t>& stride,
                                             const std::vector<std::int64_t>& dilation);

}  // namespace smelt::onnx_format
