#pragma once

#include <filesystem>
#include <string>

#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::onnx_format {

struct ExportOptions {
  /// Each float16 value is computed in float32 and rounded: every op whose result is f16 becomes the float32 op with a
  /// Cast to float16 and back behind it, and f16 constants and inputs become float32 holding the rounded values. The model's border
  /// keeps its dtypes. For parity runs: accumulation in float32, storage in float16.
  bool simulates_f16 = false;
};

/// Writes the graph as `folder`/model.onnx (opset 20, IR version 9) with its larger constants in `folder`/model.onnx.data, streamed.
/// The same graph gives the same bytes. Static shapes only. `kWriteFailed`, or `kNotRepresentable` naming an op without an ONNX form.
[[nodiscard]] Status export_model(const ir::Graph& graph, const std::filesystem::path& folder, const ExportOptions& options);

}  // namespace smelt::onnx_format
