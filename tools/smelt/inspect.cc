#include "smelt/inspect.h"

#include <memory>

#include <fmt/format.h>

#include "commands.h"
#include "common.h"

namespace smelt::cli {
namespace {

void print_value(const char* role, const InspectedValue& value) {
  std::string shape = "any shape";
  if (value.has_shape) {
    shape = "[";
    for (std::size_t i = 0; i < value.shape.size(); ++i) shape += (i == 0 ? "" : ", ") + printable(value.shape[i]);
    shape += "]";
  }
  fmt::print("{:<9} {}: {} {}\n", role, printable(value.name), value.dtype, shape);
}

void print_report(const InspectReport& report) {
  fmt::print("{:<9} {}, {}, sha256 {}\n", "file", printable(report.file), human_bytes(report.bytes), report.sha256);
  std::string opsets;
  for (const auto& [domain, version] : report.opsets) {
    opsets += fmt::format("{}{} {}", opsets.empty() ? "" : ", ", domain.empty() ? "ai.onnx" : printable(domain), version);
  }
  if (report.format == "onnx") {
    fmt::print("{:<9} ONNX, IR {}, opset {}, by {}\n", "format", report.ir_version, opsets.empty() ? "none" : opsets,
               report.producer.empty() ? "an unnamed producer" : printable(report.producer));
  } else {
    fmt::print("{:<9} Core ML package, specification {}, opset {}\n", "format", report.specification_version, report.opsets.empty() ? "none" : printable(report.opsets.front().first));
  }
  for (const auto& value : report.inputs) print_value("input", value);
  for (const auto& value : report.outputs) print_value("output", value);
  for (const auto& weight : report.weights) {
    fmt::print("{:<9} {}: {} tensors, {} elements, {}\n", "weights", weight.dtype, weight.tensors, weight.elements, human_bytes(weight.bytes));
  }
  if (report.has_external_data) fmt::print("{:<9} some weights are in files beside the model\n", "external");
  fmt::print("{:<9} {}:", "nodes", report.nodes);
  for (const auto& op : report.operators) {
    fmt::print(" {}{} {}", op.domain.empty() ? "" : printable(op.domain) + "::", printable(op.op_type), op.count);
    if (&op != &report.operators.back()) fmt::print(",");
  }
  fmt::print("\n");
  if (report.blockers.empty()) fmt::print("{:<9} {}\n", "convert", report.format == "onnx" ? "nothing stands in the way" : "smelt reads every operation");
  for (const std::string& line : report.blockers) fmt::print("{:<9} {}\n", "blocked", printable(line));
}

struct State {
  std::string model;
  Output output;
};

}  // namespace

Command add_inspect(CLI::App& app) {
  auto state = std::make_shared<State>();
  CLI::App* command = app.add_subcommand("inspect",
                                         "What an ONNX file or a Core ML package holds, and what would stop its conversion.\n"
                                         "Example:  smelt inspect fixtures/models/digits_cnn/model.onnx");
  command->add_option("model", state->model, "The .onnx file or the .mlpackage")->required();
  add_output_flags(*command, state->output);
  return [state] {
    const Result<InspectReport> report = inspect(state->model);
    if (!report.ok()) return finish(state->output, "inspect", report.error(), 0, {});
    if (!state->output.json && !state->output.quiet) print_report(*report);
    return finish(state->output, "inspect", {}, 0, to_json(*report));
  };
}

}  // namespace smelt::cli
