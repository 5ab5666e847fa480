#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "smelt/validate.h"

namespace smelt {

struct ManifestCheckOptions {
  /// Runs parity again and compares every number bit for bit: the ONNX source, whose digest must be the recorded one.
  std::optional<std::filesystem::path> measure_against;
  /// The same, where `measure_against` is not given: folders in which the source is looked for, by the recorded name and digest.
  std::vector<std::filesystem::path> source_folders;
  ParityOptions parity;  ///< engine, scratch, data and labels; samples and seed come from the manifest
  Progress progress;
};

struct ManifestCheckReport {
  std::size_t packages = 0, measured = 0;
  std::vector<std::string> problems;  ///< a line each; empty: all well
};

/// Re-hashes every package of FOLDER/manifest.json and reports what differs.
[[nodiscard]] Result<ManifestCheckReport> check_manifest(const std::filesystem::path& folder, const ManifestCheckOptions& options);

/// The JSON Schema of manifest.json.
[[nodiscard]] std::string_view manifest_schema();

}  // namespace smelt
