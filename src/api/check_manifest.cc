#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/parity_run.h"
#include "convert/coreml/import.h"
#include "manifest/manifest.h"
#include "smelt/manifest.h"

namespace smelt {
namespace {

/// The same bits, but for NaN, which a manifest keeps as null.
bool same_bits(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}
bool same_bits(const std::optional<double>& a, const std::optional<double>& b) {
  return a.has_value() == b.has_value() && (!a || same_bits(*a, *b));
}

/// Numbers that must be the same bits; a line for each that is not.
class BitCompare {
 public:
  explicit BitCompare(std::string where) : where_(std::move(where)) {}

  void same(std::string_view what, double recorded, double measured) {
    if (!same_bits(recorded, measured)) lines_.push_back(fmt::format("{}: {} is recorded as {}, measured {}", where_, what, recorded, measured));
  }
  void same(std::string_view what, const std::optional<double>& recorded, const std::optional<double>& measured) {
    const auto text = [](const std::optional<double>& value) { return value ? fmt::format("{}", *value) : std::string("null"); };
    if (!same_bits(recorded, measured)) lines_.push_back(fmt::format("{}: {} is recorded as {}, measured {}", where_, what, text(recorded), text(measured)));
  }
  void same(std::string_view what, const std::string& recorded, const std::string& measured) {
    if (recorded != measured) lines_.push_back(fmt::format("{}: {} is recorded as \"{}\", measured \"{}\"", where_, what, recorded, measured));
  }
  void same(std::string_view what, std::uint64_t recorded, std::uint64_t measured) {
    if (recorded != measured) lines_.push_back(fmt::format("{}: {} is recorded as {}, measured {}", where_, what, recorded, measured));
  }
  [[nodiscard]] std::vector<std::string> lines() && { return std::move(lines_); }
  void add(std::string_view text) { lines_.push_back(fmt::format("{}: {}", where_, text)); }

 private:
  std::string where_;
  std::vector<std::string> lines_;
};

/// A relative gate: one of the variant's own, whose limit is known. A gate that was given has the scale 1, and any limit.
void compare_limit(BitCompare& compare, const manifest::GateRecord& gate, const Variant& variant, double peak) {
  if (gate.scale == 1) return;
  const std::string name = fmt::format("gate {}.{}", gate.output, gate.metric);
  const double scale = std::max(1.0, peak);
  compare.same(name + " scale", gate.scale, scale);
  for (const parity::Gate& own : api::default_gates(variant)) {
    if (parity::metric_name(own.metric) == gate.metric) compare.same(name + " limit", gate.limit, own.limit * scale);
  }
}

std::vector<std::string> differences(const manifest::Entry& entry, const ParityReport& measured) {
  const manifest::Parity& recorded = *entry.parity;
  BitCompare compare(entry.model);
  compare.same("the data's digest", recorded.dataset_sha256, measured.dataset_sha256);
  compare.same("samples", recorded.samples, measured.samples);
  compare.same("engine version", entry.engine_version.value_or(""), measured.engine_version);
  compare.same("baseline_accuracy", recorded.baseline_accuracy, measured.baseline_accuracy);
  compare.same("variant_accuracy", recorded.variant_accuracy, measured.variant_accuracy);
  compare.same("outputs", recorded.outputs.size(), measured.outputs.size());
  double l_inf = 0, rmse = 0;
  for (std::size_t k = 0; k < std::min(recorded.outputs.size(), measured.outputs.size()); ++k) {
    const manifest::OutputParity& a = recorded.outputs[k];
    const OutputParity& b = measured.outputs[k];
    compare.same("output name", a.name, b.name);
    compare.same(a.name + ".l_inf", a.l_inf, b.l_inf);
    compare.same(a.name + ".rmse", a.rmse, b.rmse);
    compare.same(a.name + ".peak", a.peak, b.peak);
    compare.same(a.name + ".cosine", a.cosine, b.cosine);
    compare.same(a.name + ".sqnr_db", a.sqnr_db, b.sqnr_db);
    compare.same(a.name + ".top1_agreement", a.top1_agreement, b.top1_agreement);
    compare.same(a.name + ".top5_agreement", a.top5_agreement, b.top5_agreement);
    compare.same(a.name + ".nan_count", a.nan_count, b.nan_count);
    compare.same(a.name + ".inf_count", a.inf_count, b.inf_count);
    l_inf = std::max(l_inf, b.l_inf);
    rmse = std::max(rmse, b.rmse);
  }
  compare.same("accuracy_delta_l_inf", entry.accuracy_delta_l_inf.value, std::optional(l_inf));
  compare.same("accuracy_delta_rmse", entry.accuracy_delta_rmse.value, std::optional(rmse));
  bool passes = true;
  for (const manifest::GateRecord& gate : recorded.gates) {
    const auto output = std::find_if(measured.outputs.begin(), measured.outputs.end(), [&](const OutputParity& o) { return o.name == gate.output; });
    if (output == measured.outputs.end()) {
      compare.same("a gate's output", gate.output, std::string("none"));
      continue;
    }
    compare_limit(compare, gate, api::variant_of(entry), output->peak);
    const bool is_upper = gate.metric == "linf" || gate.metric == "rmse";
    std::optional<double> value = gate.metric == "linf" ? std::optional(output->l_inf)
                                  : gate.metric == "rmse" ? std::optional(output->rmse)
                                  : gate.metric == "cosine" ? std::optional(output->cosine)
                                  : gate.metric == "sqnr" ? output->sqnr_db
                                                          : output->top1_agreement;
    const bool clean = output->nan_count == 0 && output->inf_count == 0;
    const bool passed = clean && (is_upper ? *value < gate.limit : !value || *value >= gate.limit);
    if (value) compare.same(fmt::format("gate {}.{}", gate.output, gate.metric), gate.value, *value);
    compare.same(fmt::format("gate {}.{} passed", gate.output, gate.metric), std::uint64_t{gate.passed}, std::uint64_t{passed});
    passes = passes && passed;
  }
  compare.same("verdict", recorded.verdict, std::string(passes ? "pass" : "fail"));
  return std::move(compare).lines();
}

/// The recorded shapes of the package's inputs, by the source's names.
std::map<std::string, std::vector<std::int64_t>> input_shapes(const manifest::Entry& entry) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const manifest::IoTensor& input : entry.inputs) {
    std::string source = input.name;
    for (const auto& [from, to] : entry.name_map) {
      if (to == input.name) source = from;
    }
    shapes[source] = input.shape;
  }
  return shapes;
}

std::string io_text(const std::vector<manifest::IoTensor>& tensors) {
  std::string text;
  for (const manifest::IoTensor& t : tensors) text += fmt::format("{}{}: {} [{}]", text.empty() ? "" : ", ", t.name, t.dtype, fmt::join(t.shape, ", "));
  return text;
}

/// What the package itself shows: its border, its target, and the metadata that smelt wrote into it.
void compare_package(const manifest::Entry& entry, const std::filesystem::path& folder, std::vector<std::string>& problems) {
  BitCompare compare(entry.model);
  const Result<coreml_format::ImportResult> package = coreml_format::import_package(folder / entry.path);
  if (!package.ok()) {
    compare.add(fmt::format("the package does not read back: {}", package.error().message()));
  } else {
    compare.same("inputs", io_text(entry.inputs), io_text(api::inputs_of(package->graph, {})));
    compare.same("outputs", io_text(entry.outputs), io_text(api::outputs_of(package->graph, {})));
    compare.same("target", entry.target, std::string(coreml_format::target_name(package->target)));
    const auto stated = [&](const char* key, const std::string& recorded) {
      if (const auto found = package->user_defined.find(key); found != package->user_defined.end()) compare.same(key, recorded, found->second);
    };
    stated("smelt.version", entry.tool_version);
    stated("smelt.source_sha256", entry.source_digest.sha256);
    stated("smelt.variant", variant_name(api::variant_of(entry)));
  }
  for (std::string& line : std::move(compare).lines()) problems.push_back(std::move(line));
}

/// The source that was given, or the file of the recorded name and digest in the first folder that has it.
Result<std::filesystem::path> find_source(const manifest::Entry& entry, const ManifestCheckOptions& options) {
  if (options.measure_against) return *options.measure_against;
  const std::filesystem::path name = std::filesystem::path(entry.source).filename();  // a manifest is a stranger's: no folders of its own
  for (const std::filesystem::path& folder : options.source_folders) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(folder / name, error)) continue;
    SMELT_ASSIGN_OR_RETURN(const manifest::FileDigest digest, manifest::digest_file(folder / name, name.string()));
    if (digest.sha256 == entry.source_digest.sha256) return folder / name;
  }
  return Error(ErrorCode::kInvalidArgument, fmt::format("the source \"{}\" of {}, as it is recorded, is not beside the packages, above them, or in the current folder", entry.source, entry.model))
      .hint("give it with --source MODEL.onnx");
}

Status measure(const manifest::Entry& entry, const std::filesystem::path& folder, const ManifestCheckOptions& options, const engine::Engine& engine,
               ManifestCheckReport& report) {
  SMELT_ASSIGN_OR_RETURN(const std::filesystem::path path, find_source(entry, options));
  SMELT_ASSIGN_OR_RETURN(const manifest::FileDigest digest, manifest::digest_file(path, path.filename().string()));
  if (digest.sha256 != entry.source_digest.sha256) {
    report.problems.push_back(fmt::format("{}: the source is not the one recorded (sha256 {}, recorded {})", entry.model, digest.sha256, entry.source_digest.sha256));
    return {};
  }
  if (digest.bytes != entry.source_digest.bytes) {
    report.problems.push_back(fmt::format("{}: the source has {} bytes, {} are recorded", entry.model, digest.bytes, entry.source_digest.bytes));
  }
  if (!entry.parity->data.empty() && options.parity.data.empty()) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} was measured on \"{}\"", entry.model, entry.parity->data)).hint("give it with --data");
  }
  SMELT_ASSIGN_OR_RETURN(const api::Source source, api::open_source(path, input_shapes(entry)));
  ParityOptions parity = options.parity;
  parity.seed = entry.parity->seed;
  parity.samples = entry.parity->samples;
  parity.limit_data = true;
  if (entry.parity->data.empty()) parity.data.clear();
  SMELT_ASSIGN_OR_RETURN(const coreml_format::ImportResult read_back, coreml_format::import_package(folder / entry.path));
  SMELT_ASSIGN_OR_RETURN(const api::Samples samples, api::open_samples(parity, source.import.graph));
  SMELT_ASSIGN_OR_RETURN(const ParityReport measured,
                         api::run_parity(engine, source, read_back.graph, samples, api::default_gates(api::variant_of(entry)), parity, options.progress));
  for (std::string& line : differences(entry, measured)) report.problems.push_back(std::move(line));
  ++report.measured;
  return {};
}

}  // namespace

Result<ManifestCheckReport> check_manifest(const std::filesystem::path& folder, const ManifestCheckOptions& options) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "manifest.json", error)) {
    return Error(ErrorCode::kReadFailed, "the folder has no manifest.json").at({.file = folder.string()});
  }
  SMELT_ASSIGN_OR_RETURN(const manifest::Manifest manifest, manifest::read(folder));
  ManifestCheckReport report{.packages = manifest.models.size(), .measured = 0, .problems = {}};
  SMELT_ASSIGN_OR_RETURN(report.problems, manifest::check_files(manifest, folder));
  if (!report.problems.empty()) return report;
  for (const manifest::Entry& entry : manifest.models) compare_package(entry, folder, report.problems);
  const bool measures = options.measure_against || !options.source_folders.empty();
  if (!measures || !report.problems.empty()) return report;
  SMELT_ASSIGN_OR_RETURN(const engine::Engine engine, api::open_engine(options.parity));
  for (const manifest::Entry& entry : manifest.models) {
    if (entry.parity) SMELT_RETURN_IF_ERROR(measure(entry, folder, options, engine, report));
  }
  return report;
}

std::string_view manifest_schema() { return manifest::schema_text(); }

}  // namespace smelt
