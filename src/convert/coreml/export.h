#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convert/coreml/lowering.h"
#include "convert/coreml/package.h"
#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::coreml_format {

struct ExportOptions {
  Target target = Target::kIos16;
  PackageWriter::IfExists if_exists = PackageWriter::IfExists::kFail;
  std::map<std::string, std::string> user_defined;  ///< metadata of the model
  unsigned jobs = 1;                                ///< weights written at a time
};

struct ExportResult {
  std::vector<std::pair<std::string, std::string>> renamed;  ///< inputs and outputs whose source name MIL does not take, and the new one
  std::uint64_t operations = 0;                               ///< of the program, constants not counted
};

/// Writes a legalized graph as a package, weights streamed. Equal graphs and options give equal bytes, whatever `jobs` is.
/// `kNotRepresentable` listing every op that has no form at the target; errors of the package writer and of the weights' sources.
[[nodiscard]] Result<ExportResult> export_package(const ir::Graph& graph, const std::filesystem::path& path, const ExportOptions& options);

/// The same without writing: whether every op has a form at the target.
[[nodiscard]] Result<ExportResult> check_export(const ir::Graph& graph, const ExportOptions& options);

}  // namespace smelt::coreml_format
