#include "smelt/validate.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "common.h"

namespace smelt::cli {
namespace {

struct State {
  std::string target, baseline;
  std::vector<std::string> variants;
  ParityFlags parity;
  Output output;
};

void print_reports(const std::vector<ValidateReport>& reports) {
  std::vector<std::string> heading{"package"};
  const std::vector<std::string> more = parity_heading();
  heading.insert(heading.end(), more.begin(), more.end());
  std::vector<std::vector<std::string>> rows{heading};
  for (const ValidateReport& report : reports) {
    std::vector<std::string> row{printable(report.package)};
    const std::vector<std::string> cells = parity_cells(report.parity);
    row.insert(row.end(), cells.begin(), cells.end());
    rows.push_back(std::move(row));
  }
  const ParityReport& parity = reports.front().parity;
  fmt::print("baseline: {} in ONNX Runtime {}, {} samples ({}{})\n", printable(parity.baseline), parity.engine_version, parity.samples, parity.method,
             parity.data.empty() ? fmt::format(", seed {}", parity.seed) : " " + printable(parity.data));
  print_table(rows);
  for (const ValidateReport& report : reports) print_failures(report.package, report.parity);
}

int run(State& state) {
  ValidateOptions options{.parity = parity_options(state.parity), .progress = progress_bar(state.output)};
  const auto measure = [&]() -> Result<std::vector<ValidateReport>> {
    if (!state.variants.empty()) return validate_folder(state.target, state.baseline, state.variants, options);
    SMELT_ASSIGN_OR_RETURN(ValidateReport report, validate(state.target, state.baseline, options));
    return std::vector<ValidateReport>{std::move(report)};
  };
  const Result<std::vector<ValidateReport>> reports = measure();
  if (!reports.ok()) return finish(state.output, "validate", reports.error(), 0, {});
  bool passed = true;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ValidateReport& report : *reports) {
    passed = passed && report.parity.passed;
    if (state.output.json) {
      list.push_back({{"package", report.package}, {"variant", report.variant}, {"parity", nlohmann::ordered_json::parse(to_json(report.parity))}});
    }
  }
  if (!state.output.json && !state.output.quiet) print_reports(*reports);
  return finish(state.output, "validate", {}, passed ? 0 : exit_status(ErrorCode::kGateFailed), list.dump());
}

}  // namespace

Command add_validate(CLI::App& app) {
  auto state = std::make_shared<State>();
  CLI::App* command = app.add_subcommand("validate",
                                         "A package, read back from disk, beside its baseline; exits with 3 when a gate fails.\n"
                                         "Example:  smelt validate model.mlpackage --baseline model.onnx --samples 100\n"
                                         "          smelt validate out --baseline fp32 --variants fp16,int8");
  command->add_option("package", state->target, "The .mlpackage, or a folder with a manifest.json")->required();
  command->add_option("--baseline", state->baseline, "The .onnx file, another package, or a variant of the folder")->required();
  command->add_option("--variants", state->variants, "Of a folder: which packages")->delimiter(',');
  command->add_option("--save", state->parity.options.save, "A folder for the first sample as .npz files (of several packages: one in it for each)");
  add_parity_flags(*command, state->parity);
  add_output_flags(*command, state->output);
  return [state] { return run(*state); };
}

}  // namespace smelt::cli
