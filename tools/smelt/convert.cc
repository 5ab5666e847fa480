#include "smelt/convert.h"

#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "common.h"

namespace smelt::cli {
namespace {

struct State {
  std::string model, output_path;
  std::string precision = "fp16", weights = "float";
  std::vector<std::string> variants{"fp32", "fp16", "int8"};
  std::vector<std::string> inputs;
  ConvertOptions options;
  ParityFlags parity;
  bool skips_validation = false;
  Output output;
};

void add_convert_flags(CLI::App& command, State& state) {
  command.add_option("--target", state.options.target, "ios15, ios16, ios17, ios18")->capture_default_str();
  command.add_option("--weight-threshold", state.options.weight_threshold, "Weights up to this stay float: elements, or 512B, 2KiB")->capture_default_str();
  command.add_option("--input", state.inputs, "NAME:1x3x224x224, NAME:fp16 or both: shape, dtype (repeatable)");
  command.add_flag("--force", state.options.overwrites, "Replace packages that are there");
  command.add_flag("--no-validate", state.skips_validation, "Do not compare with the source (needs no engine)");
  add_parity_flags(command, state.parity);
  add_output_flags(command, state.output);
  add_verbose_flag(command, state.output);
}

Status prepare(State& state) {
  SMELT_RETURN_IF_ERROR(add_inputs(state.inputs, state.options));
  if (state.skips_validation) {
    state.options.parity.reset();
  } else {
    state.options.parity = parity_options(state.parity);
  }
  state.options.progress = progress_bar(state.output);
  return {};
}

void print_reports(const std::vector<ConvertReport>& reports, const Output& output) {
  std::vector<std::string> heading{"package", "target", "size", "of source", "ops"};
  const bool is_validated = reports.front().parity.has_value();
  if (is_validated) {
    const std::vector<std::string> more = parity_heading();
    heading.insert(heading.end(), more.begin(), more.end());
  }
  heading.emplace_back("seconds");
  std::vector<std::vector<std::string>> rows{heading};
  for (const ConvertReport& report : reports) {
    std::vector<std::string> row{printable(report.path.filename().string()), report.target, human_bytes(report.package_bytes),
                                 fmt::format("{:.0f} %", 100.0 * static_cast<double>(report.package_bytes) / static_cast<double>(report.source_bytes)),
                                 std::to_string(report.operations)};
    if (report.parity) {
      const std::vector<std::string> cells = parity_cells(*report.parity);
      row.insert(row.end(), cells.begin(), cells.end());
    }
    row.push_back(fmt::format("{:.2f}{}", report.convert_seconds, report.parity ? fmt::format(" + {:.2f}", report.parity->seconds) : ""));
    rows.push_back(std::move(row));
  }
  // Notes that every package shares are said once.
  for (const std::string& note : reports.front().notes) fmt::print("note: {}\n", printable(note));
  for (std::size_t k = 1; k < reports.size(); ++k) {
    for (const std::string& note : reports[k].notes) {
      bool is_new = true;
      for (std::size_t before = 0; before < k; ++before) is_new = is_new && std::find(reports[before].notes.begin(), reports[before].notes.end(), note) == reports[before].notes.end();
      if (is_new) fmt::print("note: {}: {}\n", reports[k].variant, printable(note));
    }
  }
  for (const ConvertReport& report : reports) {
    for (const auto& [source, name] : report.renamed) {
      if (&report == &reports.front()) fmt::print("note: \"{}\" is named \"{}\" in the package\n", printable(source), name);
    }
    if (report.weights_quantized + report.weights_kept != 0) {
      fmt::print("note: {}: {} weights in int8, {} left in float\n", report.variant, report.weights_quantized, report.weights_kept);
    }
    if (output.verbose) {
      for (const WeightFallback& fallback : report.fallbacks) fmt::print("  {} ({} elements): {}\n", printable(fallback.weight), fallback.elements, fallback.reason);
    }
  }
  if (is_validated) {
    const ParityReport& parity = *reports.front().parity;
    fmt::print("baseline: {} in ONNX Runtime {}, {} samples ({}{})\n", printable(parity.baseline), parity.engine_version, parity.samples, parity.method,
               parity.data.empty() ? fmt::format(", seed {}", parity.seed) : " " + printable(parity.data));
  }
  print_table(rows);
  for (const ConvertReport& report : reports) {
    if (report.parity) print_failures(report.path.filename().string(), *report.parity);
  }
}

int done(const State& state, std::string_view command, const Result<std::vector<ConvertReport>>& reports) {
  if (!reports.ok()) return finish(state.output, command, reports.error(), 0, {});
  bool passed = true;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ConvertReport& report : *reports) {
    passed = passed && report.passed;
    if (state.output.json) list.push_back(nlohmann::ordered_json::parse(to_json(report)));
  }
  if (!state.output.json && !state.output.quiet) print_reports(*reports, state.output);
  return finish(state.output, command, {}, passed ? 0 : exit_status(ErrorCode::kGateFailed), list.dump());
}

}  // namespace

Command add_convert(CLI::App& app) {
  auto state = std::make_shared<State>();
  CLI::App* command = app.add_subcommand("convert",
                                         "An ONNX file to a Core ML package, compared with its source and noted in manifest.json.\n"
                                         "Example:  smelt convert model.onnx -o model.mlpackage --target ios17 --weights int8");
  command->add_option("model", state->model, "The .onnx file")->required();
  command->add_option("-o,--output", state->output_path, "The .mlpackage to write")->required();
  command->add_option("-j,--jobs", state->options.jobs, "Threads")->check(CLI::Range(1U, 64U))->capture_default_str();
  command->add_option("--precision", state->precision, "fp32, fp16: what the package computes in")->capture_default_str();
  command->add_option("--weights", state->weights, "float, int8 (per channel, symmetric)")->capture_default_str();
  add_convert_flags(*command, *state);
  return [state] {
    const auto run = [&]() -> Result<std::vector<ConvertReport>> {
      SMELT_RETURN_IF_ERROR(prepare(*state));
      if (state->weights != "float" && state->weights != "int8") return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no form of weights", state->weights)).hint("give float or int8");
      SMELT_ASSIGN_OR_RETURN(state->options.variant, parse_variant(state->precision));
      if (state->options.variant.weights != Weights::kFloat) return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no precision", state->precision)).hint("give fp32 or fp16, and --weights int8");
      if (state->weights == "int8") state->options.variant.weights = Weights::kInt8;
      SMELT_ASSIGN_OR_RETURN(ConvertReport report, convert(state->model, state->output_path, state->options));
      return std::vector<ConvertReport>{std::move(report)};
    };
    return done(*state, "convert", run());
  };
}

Command add_variants(CLI::App& app) {
  auto state = std::make_shared<State>();
  CLI::App* command = app.add_subcommand("variants",
                                         "Packages of one ONNX file into a folder, each compared with it, with a manifest.json.\n"
                                         "Example:  smelt variants model.onnx -o out --variants fp32,fp16,int8 --data eval.npz");
  command->add_option("model", state->model, "The .onnx file")->required();
  command->add_option("-o,--output", state->output_path, "The folder to write to")->required();
  command->add_option("-j,--jobs", state->options.jobs, "Threads: variants at a time, then weights")->check(CLI::Range(1U, 64U))->capture_default_str();
  command->add_option("--variants", state->variants, "fp32, fp16, int8 (float16 with int8 weights), fp32_int8")->delimiter(',')->capture_default_str();
  add_convert_flags(*command, *state);
  return [state] {
    const auto run = [&]() -> Result<std::vector<ConvertReport>> {
      SMELT_RETURN_IF_ERROR(prepare(*state));
      std::vector<Variant> variants;
      for (const std::string& text : state->variants) {
        SMELT_ASSIGN_OR_RETURN(const Variant variant, parse_variant(text));
        variants.push_back(variant);
      }
      return convert_variants(state->model, state->output_path, variants, state->options);
    };
    return done(*state, "variants", run());
  };
}

}  // namespace smelt::cli
