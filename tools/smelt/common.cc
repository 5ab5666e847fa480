#include "common.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace smelt::cli {
namespace {

using Json = nlohmann::ordered_json;

/// no-color.org: set and not empty means none.
bool uses_color() {
  const char* const no_color = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

/// Columns that text takes on a terminal: UTF-8 continuation bytes take none.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// Where the engine's library may be, beside this program: a source tree's .deps, or an installed lib folder.
std::vector<std::filesystem::path> engine_paths() {
  std::vector<std::filesystem::path> paths;
  if (const char* given = std::getenv("SMELT_ENGINE"); given != nullptr && *given != '\0') paths.emplace_back(given);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const std::filesystem::path folder = program.parent_path();
    paths.push_back(folder / "../lib/smelt/libonnxruntime.so");
    paths.push_back(folder / "../../../.deps/onnxruntime/libonnxruntime.so");
  }
  for (const char* system : {"/usr/local/lib/libonnxruntime.so", "/usr/lib/libonnxruntime.so", "/usr/lib/x86_64-linux-gnu/libonnxruntime.so"}) paths.emplace_back(system);
  return paths;
}

/// "1x3x224x224": extents above 0.
std::optional<std::vector<std::int64_t>> parse_extents(const std::string& text) {
  std::vector<std::int64_t> extents;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("x,", at), text.size());
    std::int64_t extent = 0;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + end, extent);
    if (error != std::errc() || rest != text.data() + end || extent < 1) return std::nullopt;
    extents.push_back(extent);
    at = end + 1;
  }
  return extents;
}

/// The gate of a metric that is nearest to its limit.
const GateOutcome* tightest(const ParityReport& report, std::string_view metric) {
  const GateOutcome* worst = nullptr;
  for (const GateOutcome& gate : report.gates) {
    if (gate.metric != metric) continue;
    if (worst == nullptr || gate.value / gate.limit > worst->value / worst->limit) worst = &gate;
  }
  return worst;
}

std::string metric_cell(const ParityReport& report, std::string_view metric, double OutputParity::*member) {
  if (const GateOutcome* gate = tightest(report, metric)) return fmt::format("{:.2e} < {:.2e}", gate->value, gate->limit);
  double worst = 0;
  for (const OutputParity& output : report.outputs) worst = std::max(worst, output.*member);
  return fmt::format("{:.2e}", worst);
}

Json error_json(const Error& error) {
  return {{"code", code_name(error.code())}, {"message", error.message()}, {"file", error.location().file}, {"node", error.location().node}, {"hint", error.hint_text()}};
}

}  // namespace

void add_output_flags(CLI::App& app, Output& output) {
  app.add_flag("--json", output.json, "Print one JSON object instead of text");
  app.add_flag("-q,--quiet", output.quiet, "Print errors only");
}

void add_verbose_flag(CLI::App& app, Output& output) {
  app.add_flag("-v,--verbose", output.verbose, "Print each weight that stays float, and why");
}

void add_parity_flags(CLI::App& app, ParityFlags& flags) {
  app.add_option("--samples", flags.options.samples, "Generated samples, or how many of the data")->capture_default_str();
  app.add_option("--seed", flags.options.seed, "Of the generated samples")->capture_default_str();
  app.add_option("--data", flags.options.data, "Inputs: .npz, a folder of .npy, ONNX test_data_set_*");
  app.add_option("--labels", flags.options.labels, "Classes: .tsv or one a line (an npz's own \"label\" is found)");
  app.add_option("--gate", flags.options.gates, "linf=0.01, out.rmse=1e-4, sqnr=40, cosine=, top1=: absolute");
  app.add_option("--engine", flags.options.engine, "libonnxruntime.so (else SMELT_ENGINE, then the usual places)");
  app.callback([&app, &flags] { flags.has_samples = app.count("--samples") != 0; });
}

ParityOptions parity_options(const ParityFlags& flags) {
  ParityOptions options = flags.options;
  options.limit_data = flags.has_samples;
  options.engine_search_paths = engine_paths();
  std::error_code error;
  options.scratch = std::filesystem::temp_directory_path(error);
  if (error) options.scratch = ".";
  return options;
}

namespace {

Error twice(const std::string& name) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("the shape or dtype of \"{}\" is given twice", name));
}

}  // namespace

Status add_inputs(const std::vector<std::string>& flags, ConvertOptions& options) {
  for (const std::string& flag : flags) {
    const Error wrong = Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not an input's shape or dtype", flag)).hint("give NAME:1x3x224x224, NAME:fp16 or NAME:1x3x224x224:fp16");
    std::string name = flag;
    // From the end: a name may hold colons.
    const auto last_part = [&name] {
      const std::size_t colon = name.rfind(':');
      return colon == std::string::npos ? std::string() : name.substr(colon + 1);
    };
    std::string part = last_part();
    bool is_given = false;
    if (part == "fp16" || part == "fp32" || part == "int32") {
      name.resize(name.size() - part.size() - 1);
      if (!options.input_dtypes.emplace(name, part).second) return twice(name);
      is_given = true;
      part = last_part();
    }
    if (const auto extents = parse_extents(part)) {
      const std::string with_shape = name;
      name.resize(name.size() - part.size() - 1);
      if (is_given) {  // the dtype's name was taken before its shape was off it
        const auto dtype = options.input_dtypes.extract(with_shape);
        if (!options.input_dtypes.emplace(name, dtype.mapped()).second) return twice(name);
      }
      if (!options.input_shapes.emplace(name, *extents).second) return twice(name);
      is_given = true;
    }
    if (!is_given || name.empty()) return wrong;
  }
  return {};
}

Progress progress_bar(const Output& output) {
  if (output.json || output.quiet || ::isatty(STDERR_FILENO) != 1) return {};
  return [](std::string_view what, std::uint64_t done, std::uint64_t total) {
    constexpr std::uint64_t kWidth = 30;
    const std::uint64_t filled = total == 0 ? kWidth : done * kWidth / total;
    fmt::print(stderr, "\r{:<18} [{}{}] {}/{} ", what, std::string(filled, '#'), std::string(kWidth - filled, '.'), done, total);
    if (done == total) fmt::print(stderr, "\r{:70}\r", "");
    std::fflush(stderr);
  };
}

void print_error(const std::string& text) {
  std::fputs((text + "\n").c_str(), stderr);  // unlike fmt::print, no exception where nobody can be told
}

std::string printable(const std::string& text, char keep) {
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

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  const double kib = static_cast<double>(bytes) / 1024.0;
  return kib < 1024.0 ? fmt::format("{:.1f} KiB", kib) : fmt::format("{:.1f} MiB", kib / 1024.0);
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t k = 0; k < row.size(); ++k) widths[k] = std::max(widths[k], width_of(row[k]));
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t k = 0; k < row.size(); ++k) {
      std::string cell = row[k];
      const std::size_t padding = widths[k] - width_of(cell);
      if (uses_color() && cell == "PASS") cell = "\033[32mPASS\033[0m";
      if (uses_color() && cell == "FAIL") cell = "\033[31mFAIL\033[0m";
      line += (k == 0 ? "" : "  ") + cell + (k + 1 == row.size() ? "" : std::string(padding, ' '));
    }
    fmt::print("{}\n", line);
  }
}

std::vector<std::string> parity_heading() { return {"L∞ < limit", "RMSE < limit", "SQNR dB", "same top-1", "accuracy", "verdict"}; }

std::vector<std::string> parity_cells(const ParityReport& report) {
  std::optional<double> sqnr, top1;
  for (const OutputParity& output : report.outputs) {
    if (output.sqnr_db) sqnr = std::min(sqnr.value_or(*output.sqnr_db), *output.sqnr_db);
    if (output.top1_agreement) top1 = std::min(top1.value_or(1.0), *output.top1_agreement);
  }
  std::string accuracy = "-";
  if (report.baseline_accuracy) accuracy = fmt::format("{:.2f} % (baseline {:.2f} %)", *report.variant_accuracy * 100.0, *report.baseline_accuracy * 100.0);
  return {metric_cell(report, "linf", &OutputParity::l_inf),
          metric_cell(report, "rmse", &OutputParity::rmse),
          sqnr ? fmt::format("{:.1f}", *sqnr) : "exact",
          top1 ? fmt::format("{:.2f} %", *top1 * 100.0) : "-",
          accuracy,
          report.passed ? "PASS" : "FAIL"};
}

void print_failures(const std::string& package, const ParityReport& report) {
  for (const GateOutcome& gate : report.gates) {
    if (!gate.passed) {
      fmt::print("failed: {}: {} of \"{}\" is {:.6g}, the limit is {:.6g}{}\n", printable(package), gate.metric, printable(gate.output), gate.value, gate.limit,
                 gate.scale != 1.0 ? fmt::format(" (scaled by the peak, {:.4g})", gate.scale) : "");
    }
  }
  for (const OutputParity& output : report.outputs) {
    if (output.nan_count + output.inf_count != 0) {
      fmt::print("failed: {}: \"{}\" has {} NaN and {} infinite values\n", printable(package), printable(output.name), output.nan_count, output.inf_count);
    }
  }
  if (report.worst_op) fmt::print("worst op: {}: {}\n", printable(package), printable(to_text(*report.worst_op)));
}

int finish(const Output& output, std::string_view command, const Status& status, int exit_code, const std::string& result) {
  const int code = status.ok() ? exit_code : exit_status(status.error().code());
  if (output.json) {
    Json envelope;
    envelope["schema"] = "smelt.report/1";
    envelope["command"] = command;
    envelope["exit"] = code;
    envelope["error"] = status.ok() ? Json(nullptr) : error_json(status.error());
    envelope["result"] = status.ok() && !result.empty() ? Json::parse(result) : Json(nullptr);
    fmt::print("{}\n", envelope.dump(2, ' ', false, Json::error_handler_t::replace));
  } else if (!status.ok()) {
    std::fflush(stdout);
    print_error(printable(status.error().to_string(), '\n'));
  }
  if (std::fflush(stdout) != 0) {
    print_error("error[E0102]: standard output could not be written");
    return exit_status(ErrorCode::kWriteFailed);
  }
  return code;
}

}  // namespace smelt::cli
