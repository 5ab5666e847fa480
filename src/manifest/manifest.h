#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "smelt/result.h"
#include "smelt/validate.h"

/// manifest.json: one in an output folder, an entry for each package there. Canonical: same contents, same bytes; no clock, no
/// absolute path. What was not measured is null, with a `<key>_reason` beside it.
namespace smelt::manifest {

inline constexpr int kSchemaVersion = 1;

struct IoTensor {
  std::string name, dtype;  ///< dtype: "float32", "float16", "int32"
  std::vector<std::int64_t> shape;
};

struct FileDigest {
  std::string path;  ///< relative to the manifest's folder, '/' between parts; of the source: its file name alone
  std::uint64_t bytes = 0;
  std::string sha256;
};

/// A measured number, or why there is none.
struct Measured {
  std::optional<double> value;
  std::string reason;  ///< required when there is no value
};

struct Fallback {
  std::string weight, reason;
  std::uint64_t elements = 0;
};

/// What was decided about the weights.
struct PlanSummary {
  std::uint64_t quantized = 0, kept = 0;           ///< weights
  std::uint64_t bytes_before = 0, bytes_after = 0;  ///< of all weights, as float32 and as written
  std::vector<Fallback> fallbacks;                  ///< weights that were candidates and stayed, sorted by name
};

// What a report says of an output and of a gate is what a manifest keeps.
using OutputParity = smelt::OutputParity;
using GateRecord = smelt::GateOutcome;

struct Parity {
  std::string method;          ///< "generated", "npz", ...
  std::string dataset_sha256;
  std::uint64_t seed = 0, samples = 0;
  std::string data;            ///< the file name of the data, empty when generated
  std::vector<OutputParity> outputs;
  std::vector<GateRecord> gates;
  std::optional<double> baseline_accuracy, variant_accuracy;  ///< share of right classes, where the data has labels
  std::string verdict;         ///< "pass" or "fail"
};

struct Entry {
  std::string model;    ///< the package's name without ".mlpackage"; unique in a manifest
  std::string source;   ///< file name of the source
  std::string backend = "coreml";
  std::vector<IoTensor> inputs, outputs;
  std::string precision;     ///< "fp32", "fp16"
  std::string quantization;  ///< "none", "int8_per_channel_symmetric"
  Measured ane_op_coverage_pct, expected_speedup_m1, expected_speedup_m2, expected_speedup_m3;
  Measured accuracy_delta_l_inf, accuracy_delta_rmse;  ///< the worst over the outputs
  std::string path;    ///< of the package, relative to the manifest's folder
  std::string target;  ///< "ios16"
  std::string weight_threshold;  ///< as the rule was applied: "512 elements", "2048 bytes"; "none" when weights are not compressed
  FileDigest source_digest;
  std::vector<FileDigest> files;  ///< every file of the package, sorted by path
  std::string tool_version;
  std::optional<std::string> engine_version;  ///< null with a reason when parity was not measured
  std::map<std::string, std::string> options;  ///< every option that shaped the bytes, in words
  PlanSummary plan;
  std::map<std::string, std::string> name_map;  ///< border names of the source that had to change → names in the package
  std::vector<std::string> notes;               ///< batch fixed, masks bounded, ...
  std::optional<Parity> parity;
  std::string parity_reason;  ///< when there is none
};

struct Manifest {
  std::vector<Entry> models;  ///< sorted by `model`
};

/// The file's text: two-space indent, keys in a fixed order, numbers that read back to the same bits, a newline at the end.
[[nodiscard]] std::string to_json(const Manifest& manifest);

/// Reads a manifest's text; `file` is for messages. Every key of the schema must be there with its type; unknown keys are refused.
[[nodiscard]] Result<Manifest> parse(const std::string& text, const std::string& file);

/// `folder`/manifest.json; an empty manifest when there is none. Size bounded.
[[nodiscard]] Result<Manifest> read(const std::filesystem::path& folder);

/// Puts entries into `folder`/manifest.json, replacing those of the same `model`: under an advisory lock on a file beside it, which
/// stays there empty, then by rename, so that two processes at once lose nothing.
[[nodiscard]] Status update(const std::filesystem::path& folder, const std::vector<Entry>& entries);

/// Digest and size of a file, read in chunks whose pages are given back.
[[nodiscard]] Result<FileDigest> digest_file(const std::filesystem::path& file, std::string recorded_path);

/// Checks that every package of the manifest is there with exactly its files and digests. Each difference is one line; empty: all well.
[[nodiscard]] Result<std::vector<std::string>> check_files(const Manifest& manifest, const std::filesystem::path& folder);

/// The JSON Schema (draft 2020-12) of manifest.json, as shipped in schemas/manifest.schema.json.
[[nodiscard]] std::string_view schema_text();

}  // namespace smelt::manifest
