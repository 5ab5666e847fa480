#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smelt/result.h"

namespace smelt {

/// Told how far a long step is: what it does, how much is done, of how much. Never called
/// twice at once, but from the library's own threads where it works on several things.
using Progress = std::function<void(std::string_view what, std::uint64_t done, std::uint64_t total)>;

/// How a package is compared with its baseline.
struct ParityOptions {
  std::uint64_t samples = 100;      ///< generated ones; of data, a limit that is given: `limit_data`
  bool limit_data = false;          ///< take only `samples` of the data; else all of it
  std::uint64_t seed = 0;
  std::filesystem::path data;       ///< .npz, a folder of .npy, ONNX test data; empty: generated samples
  std::filesystem::path labels;     ///< .tsv or a class index a line; empty: the data's own "label", if any
  std::vector<std::string> gates;   ///< "linf=0.01", "logits.rmse=1e-4", ...; empty: the variant's own
  std::filesystem::path engine;     ///< libonnxruntime.so; empty: the first that exists of `engine_search_paths`
  std::vector<std::filesystem::path> engine_search_paths;
  std::filesystem::path scratch;    ///< an existing folder for temporary files
  std::filesystem::path save;       ///< where to write inputs.npz, baseline.npz and variant.npz of the first sample; empty: nowhere
};

/// One output over all samples. Definitions: docs/parity.md.
struct OutputParity {
  std::string name;
  double l_inf = 0, rmse = 0, peak = 0, cosine = 0;
  std::optional<double> sqnr_db, top1_agreement, top5_agreement;
  std::uint64_t nan_count = 0, inf_count = 0;
};

struct GateOutcome {
  std::string output, metric;
  double value = 0;
  double scale = 1;  ///< max(1, peak) for the variants' own gates, 1 for given ones
  double limit = 0;  ///< scale included
  bool passed = false;
};

/// Where on the way to the first output that failed a gate the difference arises, on that output's worst sample. docs/parity.md.
struct WorstOperation {
  std::string output;                    ///< the one that failed
  std::uint64_t sample = 0;
  std::string op, value;                 ///< "conv", and its result as the baseline names it
  std::optional<double> sqnr_db;         ///< of the result; absent when it is NaN or infinite where the baseline is not
  std::optional<double> inputs_sqnr_db;  ///< the least of what it reads; absent when all of that is exact
};

struct ParityReport {
  std::string baseline;       ///< file name
  std::string engine_version;
  std::string method;         ///< "generated", "npz", "npy folder", "onnx test data"
  std::string data;           ///< file name of the data
  std::string dataset_sha256;
  std::uint64_t seed = 0, samples = 0;
  std::vector<OutputParity> outputs;
  std::vector<GateOutcome> gates;
  std::optional<double> baseline_accuracy, variant_accuracy;  ///< share of right classes
  bool passed = false;
  std::optional<WorstOperation> worst_op;  ///< when a gate failed and the values inside could be compared
  double seconds = 0;
};

struct ValidateOptions {
  ParityOptions parity;
  Progress progress;
};

struct ValidateReport {
  std::string package;  ///< its name
  std::string variant;  ///< "fp32", "fp16", "int8", from what the package holds
  ParityReport parity;
};

/// Reads a package back from disk, checks it, and runs it beside its baseline: an ONNX file, or another package.
[[nodiscard]] Result<ValidateReport> validate(const std::filesystem::path& package, const std::filesystem::path& baseline,
                                              const ValidateOptions& options);

/// The same for packages of one folder with a manifest, named by variant; the baseline is one of them.
[[nodiscard]] Result<std::vector<ValidateReport>> validate_folder(const std::filesystem::path& folder, const std::string& baseline,
                                                                  const std::vector<std::string>& variants, const ValidateOptions& options);

[[nodiscard]] std::string to_json(const ParityReport& report);
/// One line: "conv "/conv1/Conv_output_0", SQNR 31.2 dB from 60.1 dB, for "logits" of sample 3".
[[nodiscard]] std::string to_text(const WorstOperation& worst);

}  // namespace smelt
