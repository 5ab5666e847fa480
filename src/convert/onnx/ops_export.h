#pragma once

#include <string>
#include <vector>

#include "convert/onnx/graph_writer.h"
#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::onnx_format {

/// One IR node on its way to ONNX. Its types are static.
struct NodeExport {
  const ir::Graph& graph;
  const ir::Node& node;
  std::vector<std::string> inputs;   ///< names of the operands; empty: absent
  std::vector<std::string> results;  ///< names that the results must get
  bool widens_f16;                   ///< f16 values are float32 in the file
  GraphWriter& out;

  /// Of a value in the file.
  [[nodiscard]] DType dtype(ir::ValueId id) const {
    const DType type = graph.value(id).type.dtype;
    return widens_f16 && type == DType::kF16 ? DType::kF32 : type;
  }
  [[nodiscard]] std::vector<std::int64_t> shape(ir::ValueId id) const;
  [[nodiscard]] std::size_t rank(ir::ValueId id) const { return graph.value(id).type.shape.size(); }
  [[nodiscard]] bool has(std::size_t operand) const { return operand < inputs.size() && !inputs[operand].empty(); }
};

/// Writes the node's ONNX form at opset 20. Of widened f16 results it gives the float32 values: rounding them is the caller's.
[[nodiscard]] Status export_op(const NodeExport& cx);

/// True when f16 operands give a result that is f16 without rounding: the op moves or picks values.
[[nodiscard]] bool is_exact(ir::OpKind kind);

}  // namespace smelt::onnx_format
