#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "smelt/result.h"

namespace smelt {

/// A graph input or output. `shape` has one text for each axis: an extent, a symbol, or "?".
/// `has_shape` is false where the file states no shape at all (its rank is then unknown).
struct InspectedValue {
  std::string name;
  std::string dtype;
  bool has_shape = false;
  std::vector<std::string> shape;
};

/// How often an operator stands in the file, nested graphs and bodies of If, Loop and Scan included.
struct OperatorCount {
  std::string domain;  ///< empty for the default domain
  std::string op_type;
  std::uint64_t count = 0;
};

/// Stored tensors of one dtype: initializers and tensor attributes (`Constant`), nested graphs included.
struct WeightTotal {
  std::string dtype;
  std::uint64_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;  ///< of the values, packed, as dtype and dims say
};

/// What a model file holds, read without its weights.
struct InspectReport {
  std::string file;          ///< the file name, without its folder
  std::string format;        ///< "onnx", "mlpackage"
  std::uint64_t bytes = 0;   ///< size of the model file; of a package, of all its files
  std::string sha256;        ///< of the model file, 64 hexadecimal digits; of a package, of its specification
  std::int64_t ir_version = 0;             ///< of an ONNX file
  std::int64_t specification_version = 0;  ///< of a package
  std::string producer;      ///< name and version as the file states them
  std::vector<std::pair<std::string, std::int64_t>> opsets;  ///< domain (empty: default), version; sorted; of a package "CoreML"
  std::vector<InspectedValue> inputs;   ///< without initializers that are listed as inputs (IR 3)
  std::vector<InspectedValue> outputs;
  std::vector<OperatorCount> operators;  ///< most frequent first, then by name
  std::vector<WeightTotal> weights;      ///< largest first, then by dtype
  std::uint64_t nodes = 0;
  bool has_external_data = false;
  std::vector<std::string> blockers;  ///< everything that stands in the way of a conversion (of a package: of reading it), a line each
};

/// Reads the structure of an ONNX file or an .mlpackage, and tries the conversion without writing anything. Allocated memory follows the structure, not the weights; pages of the mapped file that were
/// touched on the way are clean and the system may drop them at any time.
/// Errors: E01xx unreadable, E02xx malformed or another format, E07xx over a limit.
[[nodiscard]] Result<InspectReport> inspect(const std::filesystem::path& model);

/// The report as JSON, keys in a fixed order, two spaces of indentation, final newline.
[[nodiscard]] std::string to_json(const InspectReport& report);

}  // namespace smelt
