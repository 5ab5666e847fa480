#pragma once

#include <functional>

#include <CLI/CLI.hpp>

/// One file a subcommand: each adds itself and gives what to run when it was chosen, which returns the exit status.
namespace smelt::cli {

using Command = std::function<int()>;

[[nodiscard]] Command add_inspect(CLI::App& app);
[[nodiscard]] Command add_convert(CLI::App& app);
[[nodiscard]] Command add_variants(CLI::App& app);
[[nodiscard]] Command add_validate(CLI::App& app);
[[nodiscard]] Command add_manifest(CLI::App& app);

}  // namespace smelt::cli
