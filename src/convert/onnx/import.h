#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "convert/onnx/wire.h"
#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::onnx_format {

struct ImportOptions {
  /// Extents that the user fixes, by input name. The rank must be the model's where that states one.
  std::map<std::string, std::vector<std::int64_t>> input_shapes;
  /// A folded constant may be this large, or as large as the constants it came from, whichever is more.
  std::uint64_t fold_budget_bytes = std::uint64_t{1} << 20;
  /// Stands in for extents that stay open, instead of the error: for looking at a model, not for converting it.
  std::optional<std::int64_t> assumed_extent;
  Limits limits;
};

/// Something the user should know about the import; stable wording, one line.
struct ImportResult {
  ir::Graph graph;
  std::int64_t opset = 0;         ///< of the default domain
  std::vector<std::string> notes;  ///< "the open batch extent \"batch\" of every input became 1"
  std::map<std::string, std::vector<std::int64_t>> fixed_inputs;  ///< inputs with open extents, and what they became
  std::map<std::string, std::uint64_t> operator_counts;  ///< nodes by "domain::op_type" ("op_type" for the default domain)
};

/// Reads an ONNX file and builds the graph: newest semantics only, every input static, constants folded, weights left in the file.
/// `file` is the mapped model, which the graph's constants keep alive. Errors: those of `read_model` and `PayloadReader`;
/// `kOpenShape` for an extent that stays open, with the --input flags to give; `kUnsupported` listing every operator that has no
/// import, grouped; `kMalformedInput` for a graph that breaks an operator's rules (the first such node).
[[nodiscard]] Result<ImportResult> import_model(std::shared_ptr<const MappedFile> file, const std::filesystem::path& path,
                                                const ImportOptions& options);

}  // namespace smelt::onnx_format
