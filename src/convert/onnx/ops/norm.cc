#include <array>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

/// ONNX BatchNormalization-9 to -15, inference form (7 with `spatial` = 1).
Status import_batch_norm(NodeContext& cx) {
  if (cx.int_or("training_mode", 0) != 0) return cx.unsupported("training_mode");
  if (cx.int_or("spatial", 1) == 0) return cx.unsupported("spatial = 0");
  for (std::size_t k = 1; k < cx.node().outputs.size(); ++k) {
    if (!cx.node().outputs[k].empty()) return cx.unsupported("the running statistics as outputs");
  }
  std::vector<ir::ValueId> inputs;
  for (std::size_t k = 0; k < 5; ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId input, cx.required(k));
    if (k > 0 && cx.type(input).dtype != cx.type(inputs[0]).dtype) return cx.unsupported("statistics of another type than the input");
    inputs.push_back(input);
  }
  return cx.set_result(cx.emit(ir::BatchNorm{.epsilon = cx.float_or("epsilon", 1e-5F)}, std::move(inputs)));
}

Status import_layer_norm(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.axis(cx.int_or("axis", -1), cx.rank(x)));
  for (std::size_t k = 1; k < cx.node().outputs.size(); ++k) {
    if (!cx.node().outputs[k].empty()) return cx.unsupported("the Mean and InvStdDev outputs");
  }
  std::vector<ir::ValueId> inputs{x};
  if (cx.has(1) || cx.has(2)) inputs.push_back(cx.input(1));
  if (cx.has(2)) inputs.push_back(cx.input(2));
  return cx.set_result(cx.emit(ir::LayerNorm{.axis = axis, .epsilon = cx.float_or("epsilon", 1e-5F)}, std::move(inputs)));
}

Status import_instance_norm(NodeContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (std::size_t k = 0; k < 3; ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId input, cx.required(k));
    inputs.push_back(input);
  }
  return cx.set_result(cx.emit(ir::InstanceNorm{.epsilon = cx.float_or("epsilon", 1e-5F)}, std::move(inputs)));
}

constexpr std::array<OperatorImport, 3> kTable{{
    {"BatchNormalization", 7, import_batch_norm},
    {"LayerNormalization", 17, import_layer_norm},
    {"InstanceNormalization", 6, import_instance_norm},
}};

}  // namespace

std::span<const OperatorImport> norm_imports() { return kTable; }

}  // namespace smelt::onnx_format
