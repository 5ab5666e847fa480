#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "smelt/convert.h"
#include "smelt/error.h"
#include "smelt/validate.h"

/// What the subcommands share: flags, output forms, tables.
namespace smelt::cli {

/// How a command speaks.
struct Output {
  bool json = false, quiet = false, verbose = false;
};
void add_output_flags(CLI::App& app, Output& output);
/// -v, where a command has more to say.
void add_verbose_flag(CLI::App& app, Output& output);

/// Flags of a parity run. `data` ones only where the run may take files.
struct ParityFlags {
  ParityOptions options;
  bool has_samples = false;
};
void add_parity_flags(CLI::App& app, ParityFlags& flags);
/// The options, with what the machine gives: engine search paths, a folder for temporary files.
[[nodiscard]] ParityOptions parity_options(const ParityFlags& flags);

/// "name:1x3x224x224", "name:fp16" and "name:1x3x224x224:fp16" into the options.
[[nodiscard]] Status add_inputs(const std::vector<std::string>& flags, ConvertOptions& options);

/// A progress bar on stderr when that is a terminal and the command is neither quiet nor JSON; nothing otherwise.
[[nodiscard]] Progress progress_bar(const Output& output);

/// A line on stderr.
void print_error(const std::string& text);

/// Names in a model are a stranger's bytes: control characters must not reach the terminal. `keep` is let through.
[[nodiscard]] std::string printable(const std::string& text, char keep = '\0');
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// Prints rows as columns, the first row a heading. A cell "PASS" or "FAIL" is coloured on a terminal, unless NO_COLOR is set.
void print_table(const std::vector<std::vector<std::string>>& rows);

/// The cells of a parity report: L∞, RMSE (each with its limit), SQNR, top-1, accuracy, verdict.
[[nodiscard]] std::vector<std::string> parity_heading();
[[nodiscard]] std::vector<std::string> parity_cells(const ParityReport& report);
/// A line for each gate that failed, and the worst op.
void print_failures(const std::string& package, const ParityReport& report);

/// Ends a command: the JSON envelope if asked for, else the error on stderr. Gives the exit status.
/// `result` is JSON text, used with --json only.
[[nodiscard]] int finish(const Output& output, std::string_view command, const Status& status, int exit_code, const std::string& result);

}  // namespace smelt::cli
