#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "convert/coreml/lowering.h"
#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::coreml_format {

struct ImportResult {
  ir::Graph graph;
  Target target = Target::kIos16;
  int specification_version = 0;
  std::map<std::string, std::uint64_t> operation_counts;  ///< by MIL operation, constants not counted
  std::map<std::string, std::string> user_defined;
};

/// Reads a package from disk and lifts its program to a graph whose weights stay in the package's files. Errors of `open_package`,
/// `decode_model` and `read_record`; `kUnsupported` listing every operation that has no lift; `kMalformedInput` where the program
/// breaks its operations' rules, declares other types than they give, or disagrees with the model's description.
[[nodiscard]] Result<ImportResult> import_package(const std::filesystem::path& path);

}  // namespace smelt::coreml_format
