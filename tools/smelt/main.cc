// The command line: flags to options, one library call, print. Data on stdout, errors on stderr, exit codes of error.h.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "commands.h"
#include "common.h"
#include "smelt/error.h"
#include "smelt/interrupt.h"
#include "smelt/version.h"

namespace {

constexpr int kInterrupted = 130;

int run(int argc, char** argv) {
  CLI::App app{
      "smelt " SMELT_VERSION ": ONNX in, Core ML packages out, each one checked against its source.\n"
      "Example:  smelt variants model.onnx -o out --variants fp32,fp16,int8\n"
      "Exit:     0 done, 1 could not, 2 wrong usage, 3 a gate failed, 4 malformed input, 5 over a limit,\n"
      "          6 something is not installed, 70 a bug in smelt, 130 interrupted"};
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

/// A closed standard stream becomes one that can neither be read nor, but for stderr, written: else the next file to be opened would
/// take its number, and what is printed would go there.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    static_cast<void>(::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY));  // takes the lowest number that is free: fd
  }
}

/// Interrupts end the program from a thread of their own, which first removes what is unfinished. A full pipe or disk is an error of
/// the write, not a signal. What the caller had ignored (nohup, a shell's background) stays ignored.
void handle_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t interrupts;
  sigemptyset(&interrupts);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&interrupts, number);
  }
  if (::pthread_sigmask(SIG_BLOCK, &interrupts, nullptr) != 0) return;  // before any other thread, which inherit it
  std::thread([interrupts] {
    int number = 0;
    while (::sigwait(&interrupts, &number) != 0) {
    }
    smelt::remove_unfinished();
    ::_exit(kInterrupted);
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  handle_signals();
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
    smelt::cli::print_error("error[E0102]: standard output could not be written");
    return smelt::exit_status(smelt::ErrorCode::kWriteFailed);
  }
  smelt::cli::print_error("error[E0901]: unexpected exception: " + smelt::cli::printable(unexpected));
  return smelt::exit_status(smelt::ErrorCode::kInternal);
}
