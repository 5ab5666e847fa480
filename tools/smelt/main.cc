// The command line: flags to options, one library call, print. Data on stdout, errors on stderr, exit codes of error.h.
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "smelt/error.h"
#include "smelt/inspect.h"
#include "smelt/version.h"

namespace {

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  const double kib = static_cast<double>(bytes) / 1024.0;
  if (kib < 1024.0) return fmt::format("{:.1f} KiB", kib);
  return fmt::format("{:.1f} MiB", kib / 1024.0);
}

/// Names in a model are a stranger's bytes: control characters must not reach the terminal. `keep` is let through.
std::string printable(const std::string& text, char keep = '\0') {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 || byte == 0x7f) && (c != keep || c == '\0')) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

void print_value(const char* role, const smelt::InspectedValue& value) {
  std::string shape = "any shape";
  if (value.has_shape) {
    shape = "[";
    for (std::size_t i = 0; i < value.shape.size(); ++i) shape += (i == 0 ? "" : ", ") + printable(value.shape[i]);
    shape += "]";
  }
  fmt::print("{:<9} {}: {} {}\n", role, printable(value.name), value.dtype, shape);
}

void print_report(const smelt::InspectReport& report) {
  fmt::print("{:<9} {}, {}, sha256 {}\n", "file", printable(report.file), human_bytes(report.bytes), report.sha256);
  std::string opsets;
  for (const auto& [domain, version] : report.opsets) {
    opsets += fmt::format("{}{} {}", opsets.empty() ? "" : ", ", domain.empty() ? "ai.onnx" : printable(domain), version);
  }
  fmt::print("{:<9} IR {}, opset {}, by {}\n", "format", report.ir_version, opsets.empty() ? "none" : opsets,
             report.producer.empty() ? "an unnamed producer" : printable(report.producer));
  for (const auto& value : report.inputs) print_value("input", value);
  for (const auto& value : report.outputs) print_value("output", value);
  for (const auto& weight : report.weights) {
    fmt::print("{:<9} {}: {} tensors, {} elements, {}\n", "weights", weight.dtype, weight.tensors, weight.elements,
               human_bytes(weight.bytes));
  }
  if (report.has_external_data) fmt::print("{:<9} some weights are in files beside the model\n", "external");
  fmt::print("{:<9} {}:", "nodes", report.nodes);
  for (const auto& op : report.operators) {
    fmt::print(" {}{} {}", op.domain.empty() ? "" : printable(op.domain) + "::", printable(op.op_type), op.count);
    if (&op != &report.operators.back()) fmt::print(",");
  }
  fmt::print("\n");
}

int run(int argc, char** argv) {
  CLI::App app{
      "smelt " SMELT_VERSION ": ONNX models on Linux, towards Core ML.\n"
      "Example:  smelt inspect fixtures/models/digits_cnn/model.onnx\n"
      "Exit:     0 done, 1 could not, 2 wrong usage, 4 malformed input, 5 over a limit, 70 a bug in smelt"};
  app.set_version_flag("--version", std::string("smelt " SMELT_VERSION));
  app.require_subcommand(1);

  std::string model;
  bool json = false;
  CLI::App* inspect = app.add_subcommand(
      "inspect", "Inputs, outputs, operators, weights and opsets of an ONNX file, read without its weights.\n"
                 "Example:  smelt inspect model.onnx --json");
  inspect->add_option("model", model, "The .onnx file")->required();
  inspect->add_flag("--json", json, "Print one JSON object instead of text");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : smelt::exit_status(smelt::ErrorCode::kInvalidArgument);
  }

  const smelt::Result<smelt::InspectReport> report = smelt::inspect(model);
  if (!report.ok()) {
    fmt::print(stderr, "{}\n", printable(report.error().to_string(), '\n'));
    return smelt::exit_status(report.error().code());
  }
  if (json) {
    fmt::print("{}", smelt::to_json(*report));
  } else {
    print_report(*report);
  }
  if (std::fflush(stdout) != 0) {
    fmt::print(stderr, "error[E0102]: standard output could not be written\n");
    return smelt::exit_status(smelt::ErrorCode::kWriteFailed);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error[E0901]: unexpected exception: {}\n", error.what());
    return smelt::exit_status(smelt::ErrorCode::kInternal);
  }
}
