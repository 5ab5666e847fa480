#include "smelt/manifest.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "common.h"

namespace smelt::cli {
namespace {

struct State {
  std::string folder, source;
  bool measures = false;
  ParityFlags parity;
  Output output;
};

int run_check(State& state) {
  ManifestCheckOptions options{.measure_against = {}, .source_folders = {}, .parity = parity_options(state.parity), .progress = progress_bar(state.output)};
  if (state.measures && !state.source.empty()) options.measure_against = state.source;
  if (state.measures && state.source.empty()) {
    const std::filesystem::path folder = state.folder;
    options.source_folders = {folder, folder / "..", "."};
  }
  const Result<ManifestCheckReport> report = check_manifest(state.folder, options);
  if (!report.ok()) return finish(state.output, "manifest check", report.error(), 0, {});
  if (!state.output.json && !state.output.quiet) {
    for (const std::string& problem : report->problems) fmt::print("differs: {}\n", printable(problem));
    fmt::print("{} packages, {} measured again, {} differences\n", report->packages, report->measured, report->problems.size());
  }
  const nlohmann::ordered_json result{{"packages", report->packages}, {"measured", report->measured}, {"problems", report->problems}};
  return finish(state.output, "manifest check", {}, report->problems.empty() ? 0 : exit_status(ErrorCode::kManifestMismatch),
                result.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

Command add_manifest(CLI::App& app) {
  auto state = std::make_shared<State>();
  CLI::App* command = app.add_subcommand("manifest",
                                         "Checks a folder's manifest.json against its packages.\n"
                                         "Example:  smelt manifest check out --measure --source model.onnx");
  command->require_subcommand(1);
  CLI::App* check = command->add_subcommand("check", "Hashes every package again; with --measure, runs parity again and compares bit for bit.");
  check->add_option("folder", state->folder, "The folder with manifest.json")->required();
  check->add_flag("--measure", state->measures, "Run parity again");
  check->add_option("--source", state->source, "The .onnx file that the packages came from, unless it is beside or above them or here");
  check->add_option("--data", state->parity.options.data, "The data that was used, if it was a file");
  check->add_option("--labels", state->parity.options.labels, "The labels that were used, if they were a file");
  check->add_option("--engine", state->parity.options.engine, "libonnxruntime.so");
  add_output_flags(*check, state->output);
  CLI::App* schema = command->add_subcommand("schema", "Prints the JSON Schema of manifest.json.");
  return [state, schema] {
    if (schema->parsed()) {
      fmt::print("{}", manifest_schema());
      return 0;
    }
    return run_check(*state);
  };
}

}  // namespace smelt::cli
