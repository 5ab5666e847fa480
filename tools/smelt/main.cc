// The command line: flags to options, one library call, print. Data on stdout, errors on stderr, exit codes of error.h.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.h"
#include "smelt/error.h"
#include "smelt/version.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app{
      "smelt " SMELT_VERSION ": ONNX in, Core ML packages out, each one checked against its source.\n"
      "Example:  smelt variants model.onnx -o out --variants fp32,fp16,int8\n"
      "Exit:     0 done, 1 could not, 2 wrong usage, 3 a gate failed, 4 malformed input, 5 over a limit,\n"
      "          6 something is not installed, 70 a bug in smelt"};
  app.set_version_flag("--version", std::string("smelt " SMELT_VERSION));
  app.require_subcommand(1);

  std::vector<std::pair<std::string, smelt::cli::Command>> commands;
  commands.emplace_back("inspect", smelt::cli::add_inspect(app));
  commands.emplace_back("convert", smelt::cli::add_convert(app));
  commands.emplace_back("variants", smelt::cli::add_variants(app));
  commands.emplace_back("validate", smelt::cli::add_validate(app));
  commands.emplace_back("manifest", smelt::cli::add_manifest(app));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : smelt::exit_status(smelt::ErrorCode::kInvalidArgument);
  }
  for (const auto& [name, command] : commands) {
    if (app.got_subcommand(name)) return command();
  }
  return smelt::exit_status(smelt::ErrorCode::kInvalidArgument);
}

}  // namespace

int main(int argc, char** argv) {
  // The engine must not report on its users, and asks this before its library starts (see docs/decisions/).
  ::setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  std::string unexpected;
  try {
    const int status = run(argc, argv);
    if (status != 0 || (std::fflush(stdout) == 0 && std::cout.flush())) return status;
  } catch (const std::exception& error) {
    unexpected = error.what();
  }
  // A full disk behind stdout is an exception of fmt, or shows at the last flush.
  if (unexpected.empty() || std::ferror(stdout) != 0) {
    fmt::print(stderr, "error[E0102]: standard output could not be written\n");
    return smelt::exit_status(smelt::ErrorCode::kWriteFailed);
  }
  fmt::print(stderr, "error[E0901]: unexpected exception: {}\n", unexpected);
  return smelt::exit_status(smelt::ErrorCode::kInternal);
}
