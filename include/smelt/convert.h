#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smelt/result.h"
#include "smelt/validate.h"

namespace smelt {

enum class Precision { kFp32, kFp16 };
enum class Weights { kFloat, kInt8 };  ///< kInt8: per channel, symmetric, weights only

/// What a package computes in, and how its weights are stored.
struct Variant {
  Precision precision = Precision::kFp16;
  Weights weights = Weights::kFloat;
  bool operator==(const Variant&) const = default;
};

/// "fp32", "fp16", "int8" (float16 with int8 weights), "fp32_int8".
[[nodiscard]] std::string variant_name(const Variant& variant);
[[nodiscard]] Result<Variant> parse_variant(std::string_view text);

struct ConvertOptions {
  std::string target = "ios16";                                    ///< ios15, ios16, ios17, ios18
  Variant variant;
  std::string weight_threshold = "512";                            ///< elements, or bytes with B, KiB, MiB behind
  std::map<std::string, std::vector<std::int64_t>> input_shapes;   ///< fixes open extents, by input name
  std::map<std::string, std::string> input_dtypes;                 ///< "fp32", "fp16", "int32": what the package declares, by input name
  bool overwrites = false;
  unsigned jobs = 1;  ///< threads for variants and weights; parity runs of one variant use one. The bytes are the same for any number
  std::optional<ParityOptions> parity = ParityOptions{};           ///< nullopt: not validated
  Progress progress;
};

struct WeightFallback {
  std::string weight, reason;
  std::uint64_t elements = 0;
};

struct ConvertReport {
  std::string model;    ///< the package's name without ".mlpackage"
  std::filesystem::path path;
  std::string variant, target;
  std::uint64_t operations = 0;                                   ///< of the program, constants not counted
  std::uint64_t package_bytes = 0, source_bytes = 0;
  std::uint64_t weights_quantized = 0, weights_kept = 0;
  std::vector<WeightFallback> fallbacks;
  std::vector<std::pair<std::string, std::string>> renamed;       ///< border names that MIL does not take
  std::vector<std::string> notes;
  std::optional<ParityReport> parity;
  double convert_seconds = 0;
  bool passed = true;  ///< no gate failed
};

/// Converts an ONNX file to a Core ML package and, unless told not to, validates what was written. The package's entry goes into
/// manifest.json of its folder. A failed gate is no error: the package stays, and the report says so.
[[nodiscard]] Result<ConvertReport> convert(const std::filesystem::path& model, const std::filesystem::path& package, const ConvertOptions& options);

/// Several variants into one folder: FOLDER/<stem>_<variant>.mlpackage and manifest.json. `options.variant` is not used.
[[nodiscard]] Result<std::vector<ConvertReport>> convert_variants(const std::filesystem::path& model, const std::filesystem::path& folder,
                                                                  const std::vector<Variant>& variants, const ConvertOptions& options);

[[nodiscard]] std::string to_json(const ConvertReport& report);

}  // namespace smelt
