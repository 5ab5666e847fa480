#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "convert/onnx/import.h"
#include "engine/engine.h"
#include "ir/graph.h"
#include "manifest/manifest.h"
#include "smelt/convert.h"
#include "smelt/validate.h"
#include "validate/metrics.h"
#include "validate/samples.h"

/// What convert, validate and manifest check share: sources, and parity runs against them.
namespace smelt::api {

/// An ONNX file, imported with its extents fixed.
struct Source {
  std::filesystem::path path;
  onnx_format::ImportResult import;
};
[[nodiscard]] Result<Source> open_source(const std::filesystem::path& path, const std::map<std::string, std::vector<std::int64_t>>& input_shapes);

/// Border names of a source → those of its package, where they differ: the same rule as the exporter's, in the same order.
[[nodiscard]] std::map<std::string, std::string> border_names(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);
[[nodiscard]] std::vector<std::string> input_names(const ir::Graph& graph);
[[nodiscard]] std::vector<std::string> output_names(const ir::Graph& graph);

[[nodiscard]] Result<engine::Engine> open_engine(const ParityOptions& options);

/// The samples of a run, opened and hashed once for all its models.
struct Samples {
  std::unique_ptr<parity::SampleSource> source;
  std::string sha256;
};
[[nodiscard]] Result<Samples> open_samples(const ParityOptions& options, const ir::Graph& baseline);

/// The gates of a variant: relative to max(1, peak) of each output.
[[nodiscard]] std::vector<parity::Gate> default_gates(const Variant& variant);
[[nodiscard]] Result<std::vector<parity::Gate>> gates_of(const ParityOptions& options, const Variant& variant);

/// What a package computes in, from its graph, or from its entry.
[[nodiscard]] Variant variant_of(const ir::Graph& graph);
[[nodiscard]] Variant variant_of(const manifest::Entry& entry);

/// The border of a legalized graph as a manifest has it; `names`: source name → name in the package, where they differ.
[[nodiscard]] std::vector<manifest::IoTensor> inputs_of(const ir::Graph& graph, const std::map<std::string, std::string>& names);
[[nodiscard]] std::vector<manifest::IoTensor> outputs_of(const ir::Graph& graph, const std::map<std::string, std::string>& names);

/// Runs a package that was read back beside the ONNX source.
[[nodiscard]] Result<ParityReport> run_parity(const engine::Engine& engine, const Source& source, const ir::Graph& read_back,
                                              const Samples& samples, const std::vector<parity::Gate>& gates, const ParityOptions& options,
                                              const Progress& progress);
/// The same beside another package; `baseline_name` is for the report.
[[nodiscard]] Result<ParityReport> run_parity_of_packages(const engine::Engine& engine, const ir::Graph& baseline, std::string baseline_name,
                                                          const ir::Graph& read_back, const Samples& samples,
                                                          const std::vector<parity::Gate>& gates, const ParityOptions& options,
                                                          const Progress& progress);

[[nodiscard]] manifest::Parity recorded(const ParityReport& report);

/// Seconds since `start`, a reading of a steady clock.
[[nodiscard]] double seconds_since(std::int64_t start_nanoseconds);
[[nodiscard]] std::int64_t now_nanoseconds();

}  // namespace smelt::api
