#include "smelt/validate.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/parity_run.h"
#include "convert/coreml/import.h"
#include "manifest/manifest.h"
#include "smelt/convert.h"

namespace smelt {
namespace {

/// The source, with its open extents as the package has them.
Result<api::Source> source_for(const std::filesystem::path& baseline, const ir::Graph& package) {
  SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(baseline));
  SMELT_ASSIGN_OR_RETURN(const onnx_format::Model model, onnx_format::read_model(file.bytes(), baseline.string(), {}));
  std::vector<std::string> inputs;
  for (const auto& info : model.graph.inputs) {
    const bool is_initializer = std::any_of(model.graph.initializers.begin(), model.graph.initializers.end(), [&](const auto& t) { return t.name == info.name; });
    if (!is_initializer) inputs.push_back(info.name);
  }
  const std::map<std::string, std::string> names = api::border_names(inputs, {});
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const std::string& input : inputs) {
    const std::string& own = names.contains(input) ? names.at(input) : input;
    for (const ir::ValueId id : package.inputs()) {
      if (package.value(id).name == own) shapes[input] = *static_shape(package.value(id).type.shape);
    }
  }
  return api::open_source(baseline, shapes);
}

Result<std::filesystem::path> find_variant(const manifest::Manifest& manifest, const std::filesystem::path& folder, const std::string& variant) {
  std::vector<std::string> there;
  std::optional<std::filesystem::path> found;
  for (const manifest::Entry& entry : manifest.models) {
    there.push_back(variant_name(api::variant_of(entry)));
    if (there.back() != variant) continue;
    if (found) return Error(ErrorCode::kInvalidArgument, fmt::format("the folder has several packages of variant \"{}\"", variant)).at({.file = folder.string()}).hint("validate them one by one");
    found = folder / entry.path;
  }
  if (found) return *found;
  return Error(ErrorCode::kInvalidArgument, fmt::format("the folder has no package of variant \"{}\"", variant)).at({.file = folder.string()})
      .hint(there.empty() ? std::string("it has no manifest.json; smelt variants writes one") : fmt::format("it has: {}", fmt::join(there, ", ")));
}

}  // namespace

Result<ValidateReport> validate(const std::filesystem::path& package, const std::filesystem::path& baseline, const ValidateOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const engine::Engine engine, api::open_engine(options.parity));
  SMELT_ASSIGN_OR_RETURN(const coreml_format::ImportResult read_back, coreml_format::import_package(package));
  const Variant variant = api::variant_of(read_back.graph);
  SMELT_ASSIGN_OR_RETURN(const std::vector<parity::Gate> gates, api::gates_of(options.parity, variant));
  ValidateReport report{.package = package.filename().string(), .variant = variant_name(variant), .parity = {}};
  if (std::filesystem::is_directory(baseline)) {
    SMELT_ASSIGN_OR_RETURN(const coreml_format::ImportResult reference, coreml_format::import_package(baseline));
    SMELT_ASSIGN_OR_RETURN(const api::Samples samples, api::open_samples(options.parity, reference.graph));
    SMELT_ASSIGN_OR_RETURN(report.parity, api::run_parity_of_packages(engine, reference.graph, baseline.filename().string(), read_back.graph, samples,
                                                                      gates, options.parity, options.progress));
    return report;
  }
  SMELT_ASSIGN_OR_RETURN(const api::Source source, source_for(baseline, read_back.graph));
  SMELT_ASSIGN_OR_RETURN(const api::Samples samples, api::open_samples(options.parity, source.import.graph));
  SMELT_ASSIGN_OR_RETURN(report.parity, api::run_parity(engine, source, read_back.graph, samples, gates, options.parity, options.progress));
  return report;
}

Result<std::vector<ValidateReport>> validate_folder(const std::filesystem::path& folder, const std::string& baseline, const std::vector<std::string>& variants,
                                                    const ValidateOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const manifest::Manifest manifest, manifest::read(folder));
  SMELT_ASSIGN_OR_RETURN(const std::filesystem::path reference, find_variant(manifest, folder, baseline));
  std::vector<std::filesystem::path> packages;
  for (const std::string& variant : variants) {
    SMELT_ASSIGN_OR_RETURN(std::filesystem::path package, find_variant(manifest, folder, variant));
    packages.push_back(std::move(package));
  }
  std::vector<ValidateReport> reports;
  for (const std::filesystem::path& package : packages) {
    ValidateOptions own = options;
    if (!own.parity.save.empty() && packages.size() > 1) own.parity.save /= package.stem();
    SMELT_ASSIGN_OR_RETURN(ValidateReport report, validate(package, reference, own));
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace smelt
