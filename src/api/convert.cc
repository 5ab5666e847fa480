#include "smelt/convert.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/parity_run.h"
#include "base/temporary.h"
#include "convert/coreml/export.h"
#include "convert/coreml/import.h"
#include "convert/coreml/legalize.h"
#include "convert/coreml/package.h"
#include "convert/passes/optimize.h"
#include "convert/passes/precision.h"
#include "quantize/plan.h"
#include "smelt/version.h"

namespace smelt {
namespace {

constexpr std::string_view kExtension = ".mlpackage";

/// What every variant of one source shares.
struct Job {
  api::Source source;
  ir::Graph graph;  ///< optimized, float32
  coreml_format::Target target = coreml_format::Target::kIos16;
  quantize::Threshold threshold;
  std::map<std::string, DType> input_dtypes;
  std::optional<engine::Engine> engine;  ///< when parity is asked for, as are the samples
  api::Samples samples;
  manifest::FileDigest source_digest;
};

struct Lowered {
  ir::Graph graph;
  quantize::Plan plan;
  std::vector<std::string> notes;
  double seconds = 0;
};

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

/// What is wrong with gates is said before a package is written.
Status check_gates(const api::Source& source, const ParityOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<parity::Gate> gates, api::gates_of(options, {}));
  const std::vector<std::string> outputs = api::output_names(source.import.graph);
  for (const parity::Gate& gate : gates) {
    if (gate.output.empty() || std::find(outputs.begin(), outputs.end(), gate.output) != outputs.end()) continue;
    return Error(ErrorCode::kInvalidArgument, fmt::format("a gate names the output \"{}\", which is not there", gate.output))
        .hint(fmt::format("the outputs are: {}", fmt::join(outputs, ", ")));
  }
  return {};
}

std::optional<DType> border_dtype(std::string_view text) {
  if (text == "fp32") return DType::kF32;
  if (text == "fp16") return DType::kF16;
  if (text == "int32") return DType::kI32;
  return std::nullopt;
}

Result<Job> prepare(const std::filesystem::path& model, const ConvertOptions& options) {
  const auto target = coreml_format::parse_target(options.target);
  if (!target) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a target", options.target)).hint("the targets are ios15, ios16, ios17 and ios18");
  }
  SMELT_ASSIGN_OR_RETURN(const quantize::Threshold threshold, quantize::parse_threshold(options.weight_threshold));
  std::map<std::string, DType> input_dtypes;
  for (const auto& [input, text] : options.input_dtypes) {
    const auto dtype = border_dtype(text);
    if (!dtype) return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no dtype of an input", text)).hint("give fp32, fp16 or int32");
    input_dtypes[input] = *dtype;
  }
  std::optional<engine::Engine> engine;
  if (options.parity) {
    // Before any work: what is missing is said before something is written.
    SMELT_ASSIGN_OR_RETURN(engine, api::open_engine(*options.parity));
  }
  SMELT_ASSIGN_OR_RETURN(api::Source source, api::open_source(model, options.input_shapes));
  api::Samples samples;
  if (options.parity) {
    SMELT_RETURN_IF_ERROR(check_gates(source, *options.parity));
    SMELT_ASSIGN_OR_RETURN(samples, api::open_samples(*options.parity, source.import.graph));
  }
  ir::Graph graph = source.import.graph;
  if (const auto stats = passes::optimize(graph, {}); !stats.ok()) return stats.error();
  return Job{.source = std::move(source), .graph = std::move(graph), .target = *target, .threshold = threshold,
             .input_dtypes = std::move(input_dtypes), .engine = std::move(engine), .samples = std::move(samples),
             .source_digest = {}};
}

/// The source's digest in the making: beside other work where there is a thread for it, else when it is asked for.
std::future<Result<manifest::FileDigest>> start_digest(const std::filesystem::path& model, unsigned jobs) {
  return std::async(jobs > 1 ? std::launch::async : std::launch::deferred, [model] { return manifest::digest_file(model, model.filename().string()); });
}

Result<Lowered> lower(const Job& job, const Variant& variant, unsigned jobs) {
  const std::int64_t start = api::now_nanoseconds();
  Lowered out{.graph = job.graph, .plan = {}, .notes = job.source.import.notes, .seconds = 0};
  const bool is_f16 = variant.precision == Precision::kFp16;
  if (variant.weights == Weights::kInt8) {
    SMELT_ASSIGN_OR_RETURN(out.plan, quantize::plan_int8(out.graph, {.threshold = job.threshold, .stores_f16_scales = is_f16, .jobs = jobs}));
    SMELT_RETURN_IF_ERROR(quantize::apply(out.graph, out.plan));
  }
  if (is_f16) {
    SMELT_ASSIGN_OR_RETURN(passes::PrecisionResult halved, passes::to_f16(out.graph));
    out.graph = std::move(halved.graph);
    out.notes.insert(out.notes.end(), halved.notes.begin(), halved.notes.end());
  }
  SMELT_ASSIGN_OR_RETURN(out.graph, coreml_format::legalize(out.graph, job.target, job.input_dtypes));
  out.seconds = api::seconds_since(start);
  return out;
}

manifest::PlanSummary summary(const quantize::Plan& plan, const ir::Graph& graph) {
  manifest::PlanSummary out;
  for (const quantize::Decision& decision : plan.decisions) {
    ++(decision.is_quantized ? out.quantized : out.kept);
    if (!decision.is_quantized) out.fallbacks.push_back({.weight = decision.name, .reason = decision.reason, .elements = decision.elements});
  }
  std::sort(out.fallbacks.begin(), out.fallbacks.end(), [](const auto& a, const auto& b) { return std::tie(a.weight, a.elements) < std::tie(b.weight, b.elements); });
  for (std::uint32_t k = 0; k < graph.value_count(); ++k) {
    const ir::Value& value = graph.value({k});
    if (value.constant == nullptr || graph.use_count({k}) == 0) continue;
    const bool is_weight = is_float(value.type.dtype) || value.type.dtype == DType::kI8;
    if (!is_weight) continue;
    if (plan.decisions.empty()) ++out.kept;
    out.bytes_after += byte_count(*value.constant);
    const bool is_scale = std::any_of(value.uses.begin(), value.uses.end(), [&](const ir::Use& use) {
      return graph.node(use.node).op.kind() == ir::OpKind::kDequantize && use.operand == 1;
    });
    if (!is_scale) out.bytes_before += 4 * element_count(*value.constant);
  }
  return out;
}

std::map<std::string, std::string> recorded_options(const Job& job, const Variant& variant, const ConvertOptions& options) {
  std::map<std::string, std::string> out{{"target", std::string(coreml_format::target_name(job.target))}, {"variant", variant_name(variant)}};
  for (const auto& [input, shape] : options.input_shapes) out["input." + input] = shape_text(shape);
  for (const auto& [input, dtype] : options.input_dtypes) out["input_dtype." + input] = dtype;
  for (const auto& [input, shape] : job.source.import.fixed_inputs) out["input." + input] = shape_text(shape);
  return out;
}

manifest::Measured not_measured(std::string reason) { return {.value = {}, .reason = std::move(reason)}; }

Result<manifest::Entry> make_entry(const Job& job, const Variant& variant, const Lowered& lowered, const ConvertReport& report, const ConvertOptions& options) {
  const ir::Graph& graph = lowered.graph;
  const std::map<std::string, std::string> names(report.renamed.begin(), report.renamed.end());
  manifest::Entry entry;
  entry.model = report.model;
  entry.source = job.source.path.filename().string();
  entry.inputs = api::inputs_of(graph, names);
  entry.outputs = api::outputs_of(graph, names);
  entry.precision = variant.precision == Precision::kFp16 ? "fp16" : "fp32";
  entry.quantization = variant.weights == Weights::kInt8 ? "int8_per_channel_symmetric" : "none";
  const std::string no_device = "not measured: it needs Apple hardware";
  entry.ane_op_coverage_pct = entry.expected_speedup_m1 = entry.expected_speedup_m2 = entry.expected_speedup_m3 = not_measured(no_device);
  const std::string no_parity = "not measured: the conversion ran without validation";
  entry.accuracy_delta_l_inf = entry.accuracy_delta_rmse = not_measured(no_parity);
  entry.path = report.path.filename().string();
  entry.target = report.target;
  entry.weight_threshold = variant.weights == Weights::kInt8 ? quantize::threshold_text(job.threshold) : "none";
  entry.source_digest = job.source_digest;
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::string> files, coreml_format::list_package_files(report.path));
  for (const std::string& file : files) {
    SMELT_ASSIGN_OR_RETURN(manifest::FileDigest digest, manifest::digest_file(report.path / file, entry.path + "/" + file));
    entry.files.push_back(std::move(digest));
  }
  entry.tool_version = SMELT_VERSION;
  entry.options = recorded_options(job, variant, options);
  entry.plan = summary(lowered.plan, graph);
  entry.name_map = names;
  entry.notes = report.notes;
  entry.parity_reason = no_parity;
  if (report.parity) {
    entry.parity = api::recorded(*report.parity);
    if (report.parity->worst_op) entry.notes.push_back("a gate failed; worst op: " + to_text(*report.parity->worst_op));
    entry.engine_version = report.parity->engine_version;
    double l_inf = 0, rmse = 0;
    for (const OutputParity& output : report.parity->outputs) {
      l_inf = std::max(l_inf, output.l_inf);
      rmse = std::max(rmse, output.rmse);
    }
    entry.accuracy_delta_l_inf = {.value = l_inf, .reason = {}};
    entry.accuracy_delta_rmse = {.value = rmse, .reason = {}};
  }
  return entry;
}

/// Reads the package back from disk, nothing kept from its making, and runs it beside the source.
Result<ParityReport> measure(const Job& job, const Variant& variant, const std::filesystem::path& package, const ConvertOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<parity::Gate> gates, api::gates_of(*options.parity, variant));
  SMELT_ASSIGN_OR_RETURN(const coreml_format::ImportResult read_back, coreml_format::import_package(package));
  return api::run_parity(*job.engine, job.source, read_back.graph, job.samples, gates, *options.parity, options.progress);
}

Result<ConvertReport> convert_one(const Job& job, const Variant& variant, const Lowered& lowered, const std::filesystem::path& package,
                                  const ConvertOptions& options) {
  const std::int64_t start = api::now_nanoseconds();
  if (options.progress) options.progress("convert " + variant_name(variant), 0, 1);
  const coreml_format::ExportOptions export_options{
      .target = job.target,
      .if_exists = options.overwrites ? coreml_format::PackageWriter::IfExists::kReplace : coreml_format::PackageWriter::IfExists::kFail,
      .user_defined = {{"smelt.version", SMELT_VERSION}, {"smelt.source_sha256", job.source_digest.sha256}, {"smelt.variant", variant_name(variant)}},
      .jobs = options.jobs};
  SMELT_ASSIGN_OR_RETURN(const coreml_format::ExportResult written, coreml_format::export_package(lowered.graph, package, export_options));
  ConvertReport report;
  report.model = package.stem().string();
  report.path = package;
  report.variant = variant_name(variant);
  report.target = std::string(coreml_format::target_name(job.target));
  report.operations = written.operations;
  report.renamed = written.renamed;
  report.notes = lowered.notes;
  report.source_bytes = job.source_digest.bytes;
  report.convert_seconds = lowered.seconds + api::seconds_since(start);
  for (const quantize::Decision& decision : lowered.plan.decisions) {
    ++(decision.is_quantized ? report.weights_quantized : report.weights_kept);
    if (!decision.is_quantized) report.fallbacks.push_back({.weight = decision.name, .reason = decision.reason, .elements = decision.elements});
  }
  Status parity_status;
  if (options.parity) {
    Result<ParityReport> measured = measure(job, variant, package, options);
    if (measured.ok()) {
      report.parity = std::move(measured).value();
      report.passed = report.parity->passed;
    } else {
      parity_status = measured.error();  // the package is written: its entry says that it was not measured, and why
    }
  }
  SMELT_ASSIGN_OR_RETURN(manifest::Entry entry, make_entry(job, variant, lowered, report, options));
  if (!parity_status.ok()) {
    entry.parity_reason = fmt::format("the parity run failed ({})", code_name(parity_status.error().code()));  // a message may hold a path
    entry.accuracy_delta_l_inf.reason = entry.accuracy_delta_rmse.reason = entry.parity_reason;
  }
  for (const manifest::FileDigest& file : entry.files) report.package_bytes += file.bytes;
  const std::filesystem::path folder = package.parent_path().empty() ? std::filesystem::path(".") : package.parent_path();
  SMELT_RETURN_IF_ERROR(manifest::update(folder, {entry}));
  if (!parity_status.ok()) return parity_status.error();
  return report;
}

/// Converts the variants, as many at a time as there are jobs, and shares out the others among them; reports and the first error come in the variants' order.
Result<std::vector<ConvertReport>> convert_all(const Job& job, const std::vector<Variant>& variants, const std::vector<Lowered>& lowered,
                                               const std::vector<std::filesystem::path>& packages, const ConvertOptions& options) {
  std::vector<std::optional<Result<ConvertReport>>> results(variants.size());
  std::atomic<std::size_t> next = 0;
  std::mutex progress_mutex;
  ConvertOptions shared = options;
  const std::size_t at_a_time = std::min<std::size_t>(std::max(1U, options.jobs), variants.size());
  shared.jobs = std::max(1U, options.jobs / static_cast<unsigned>(at_a_time));
  if (options.progress) {
    shared.progress = [&](std::string_view what, std::uint64_t done, std::uint64_t total) {
      const std::lock_guard lock(progress_mutex);
      options.progress(what, done, total);
    };
  }
  const auto work = [&] {
    for (std::size_t k = next++; k < variants.size(); k = next++) results[k] = convert_one(job, variants[k], lowered[k], packages[k], shared);
  };
  std::vector<std::thread> threads;
  while (threads.size() + 1 < at_a_time) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  std::vector<ConvertReport> reports;
  for (auto& result : results) {
    if (!result->ok()) return result->error();
    reports.push_back(std::move(*result).value());
  }
  return reports;
}

/// Also of a run that is refused: what one before it left behind goes away.
Status check_output(const std::filesystem::path& package, bool overwrites) {
  coreml_format::remove_leftovers(package);
  remove_leftovers(package.parent_path() / "manifest.json");
  if (package.extension() != kExtension) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("the output \"{}\" does not end in .mlpackage", package.filename().string()));
  }
  std::error_code error;
  if (!overwrites && std::filesystem::exists(std::filesystem::symlink_status(package, error))) {
    return Error(ErrorCode::kOutputExists, "the output is already there").at({.file = package.string()}).hint("name another output, or give --force");
  }
  return {};
}

}  // namespace

std::string variant_name(const Variant& variant) {
  if (variant.weights == Weights::kInt8) return variant.precision == Precision::kFp16 ? "int8" : "fp32_int8";
  return variant.precision == Precision::kFp16 ? "fp16" : "fp32";
}

Result<Variant> parse_variant(std::string_view text) {
  for (const Variant& variant : {Variant{Precision::kFp32, Weights::kFloat}, Variant{Precision::kFp16, Weights::kFloat},
                                 Variant{Precision::kFp16, Weights::kInt8}, Variant{Precision::kFp32, Weights::kInt8}}) {
    if (variant_name(variant) == text) return variant;
  }
  return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a variant", text)).hint("the variants are fp32, fp16, int8 and fp32_int8");
}

Result<ConvertReport> convert(const std::filesystem::path& model, const std::filesystem::path& package, const ConvertOptions& options) {
  SMELT_RETURN_IF_ERROR(check_output(package, options.overwrites));
  SMELT_ASSIGN_OR_RETURN(Job job, prepare(model, options));
  std::future<Result<manifest::FileDigest>> digest = start_digest(model, options.jobs);
  SMELT_ASSIGN_OR_RETURN(const Lowered lowered, lower(job, options.variant, options.jobs));
  SMELT_ASSIGN_OR_RETURN(job.source_digest, digest.get());
  return convert_one(job, options.variant, lowered, package, options);
}

Result<std::vector<ConvertReport>> convert_variants(const std::filesystem::path& model, const std::filesystem::path& folder,
                                                    const std::vector<Variant>& variants, const ConvertOptions& options) {
  if (variants.empty()) return Error(ErrorCode::kInvalidArgument, "no variants are asked for");
  std::vector<std::filesystem::path> packages;
  for (const Variant& variant : variants) {
    packages.push_back(folder / fmt::format("{}_{}{}", model.stem().string(), variant_name(variant), kExtension));
    if (std::count(variants.begin(), variants.end(), variant) != 1) {
      return Error(ErrorCode::kInvalidArgument, fmt::format("variant \"{}\" is asked for twice", variant_name(variant)));
    }
    SMELT_RETURN_IF_ERROR(check_output(packages.back(), options.overwrites));
  }
  SMELT_ASSIGN_OR_RETURN(Job job, prepare(model, options));
  std::future<Result<manifest::FileDigest>> digest = start_digest(model, options.jobs);
  // Every variant is lowered before the folder is made, so that one which cannot be leaves nothing behind.
  std::vector<Lowered> lowered;
  for (const Variant& variant : variants) {
    SMELT_ASSIGN_OR_RETURN(Lowered next, lower(job, variant, options.jobs));
    lowered.push_back(std::move(next));
    const auto checked = coreml_format::check_export(lowered.back().graph, {.target = job.target, .if_exists = {}, .user_defined = {}});
    if (!checked.ok()) return checked.error();
  }
  SMELT_ASSIGN_OR_RETURN(job.source_digest, digest.get());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error(ErrorCode::kWriteFailed, fmt::format("the folder cannot be created: {}", error.message())).at({.file = folder.string()});
  return convert_all(job, variants, lowered, packages, options);
}

}  // namespace smelt
