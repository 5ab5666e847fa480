#include "api/parity_run.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "convert/coreml/names.h"
#include "validate/npy.h"
#include "validate/parity.h"
#include "validate/roles.h"
#include "validate/worst_op.h"

namespace smelt {

std::string to_text(const WorstOperation& worst) {
  const std::string own = worst.sqnr_db ? fmt::format("SQNR {:.1f} dB", *worst.sqnr_db) : std::string("NaN or infinite");
  const std::string before = worst.inputs_sqnr_db ? fmt::format("{:.1f} dB", *worst.inputs_sqnr_db) : std::string("exact inputs");
  return fmt::format("{} \"{}\", {} from {}, for \"{}\" of sample {}", worst.op, worst.value, own, before, worst.output, worst.sample);
}

}  // namespace smelt

namespace smelt::api {
namespace {

std::vector<parity::NpyEntry> entries(const std::vector<std::string>& names, const std::vector<HostTensor>& tensors) {
  std::vector<parity::NpyEntry> out;
  for (std::size_t k = 0; k < names.size(); ++k) out.push_back({names[k], tensors[k]});
  return out;
}

/// Writes the first sample and both models' results, under the package's names.
parity::SampleObserver saver(const std::filesystem::path& folder, const std::vector<std::string>& outputs, std::map<std::string, std::string> names) {
  if (folder.empty()) return {};
  return [=](std::uint64_t index, const std::vector<parity::NamedArray>& inputs, const std::vector<HostTensor>& baseline, const std::vector<HostTensor>& variant) -> Status {
    if (index != 0) return {};
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    const auto renamed = [&](const std::string& name) { return names.contains(name) ? names.at(name) : name; };
    std::vector<parity::NpyEntry> feeds;
    for (const parity::NamedArray& input : inputs) feeds.push_back({renamed(input.name), input.tensor});
    std::vector<std::string> own;
    for (const std::string& output : outputs) own.push_back(renamed(output));
    SMELT_RETURN_IF_ERROR(parity::write_npz(folder / "inputs.npz", feeds));
    SMELT_RETURN_IF_ERROR(parity::write_npz(folder / "baseline.npz", entries(own, baseline)));
    return parity::write_npz(folder / "variant.npz", entries(own, variant));
  };
}

std::filesystem::path scratch_of(const ParityOptions& options) { return options.scratch.empty() ? std::filesystem::path(".") : options.scratch; }

struct Comparison {
  const engine::Engine& engine;
  parity::RunnableModel& baseline;
  std::string baseline_name;
  parity::RunnableModel& variant;
  const Samples& samples;
  std::vector<std::string> outputs;
  std::map<std::string, std::string> names;
};

/// The first output that failed a gate, and its worst sample.
struct Failure {
  std::string output;
  std::uint64_t sample = 0;
};

std::optional<Failure> first_failure(const parity::ParityResult& result) {
  for (const parity::GateResult& gate : result.gates) {
    if (gate.passed) continue;
    for (const parity::OutputMetrics& output : result.outputs) {
      if (output.name == gate.output) return Failure{.output = output.name, .sample = output.l_inf_sample};
    }
  }
  return std::nullopt;
}

struct Compared {
  ParityReport report;
  std::optional<Failure> failure;
};

Result<Compared> compared(Comparison comparison, const std::vector<parity::Gate>& gates, const ParityOptions& options, const Progress& progress) {
  const std::int64_t start = now_nanoseconds();
  parity::SampleProgress on_sample;
  if (progress) on_sample = [&](std::uint64_t done, std::uint64_t total) { progress("validate", done, total); };
  SMELT_ASSIGN_OR_RETURN(const parity::ParityResult result,
                         parity::compare(comparison.baseline, comparison.variant, comparison.outputs, *comparison.samples.source, gates, on_sample,
                                           saver(options.save, comparison.outputs, comparison.names)));
  ParityReport report{.baseline = std::move(comparison.baseline_name), .engine_version = comparison.engine.version(), .method = comparison.samples.source->method(),
                      .data = options.data.filename().string(), .dataset_sha256 = comparison.samples.sha256, .seed = options.data.empty() ? options.seed : 0,
                      .samples = result.samples, .outputs = {}, .gates = {}, .baseline_accuracy = result.baseline_accuracy,
                      .variant_accuracy = result.variant_accuracy, .passed = result.passed, .worst_op = {}, .seconds = 0};
  for (const parity::OutputMetrics& m : result.outputs) {
    report.outputs.push_back({.name = m.name, .l_inf = m.l_inf, .rmse = m.rmse, .peak = m.peak, .cosine = m.cosine, .sqnr_db = m.sqnr_db,
                              .top1_agreement = m.top1_agreement, .top5_agreement = m.top5_agreement, .nan_count = m.nan_count, .inf_count = m.inf_count});
  }
  for (const parity::GateResult& g : result.gates) {
    report.gates.push_back({.output = g.output, .metric = parity::metric_name(g.metric), .value = g.value, .scale = g.scale, .limit = g.limit, .passed = g.passed});
  }
  report.seconds = seconds_since(start);
  return Compared{.report = std::move(report), .failure = first_failure(result)};
}

/// The report with the worst op, where a gate failed. It explains a verdict that stands without it: what cannot be traced has none.
Result<ParityReport> explained(const engine::Engine& engine, Compared compared, const ir::Graph& baseline, const ir::Graph& variant,
                               const Samples& samples, const std::map<std::string, std::string>& names, const ParityOptions& options) {
  if (!compared.failure) return std::move(compared.report);
  SMELT_ASSIGN_OR_RETURN(const std::vector<parity::NamedArray> sample, samples.source->sample(compared.failure->sample));
  const auto worst = parity::find_worst_op(engine, baseline, variant, sample,
                                           {.output = compared.failure->output, .border_names = names, .variant_name = coreml_format::legal_name,
                                            .scratch = scratch_of(options)});
  if (worst.ok() && worst->has_value()) {
    const parity::WorstOp& found = **worst;
    compared.report.worst_op = {.output = compared.failure->output, .sample = compared.failure->sample, .op = found.op, .value = found.value,
                                .sqnr_db = found.sqnr_db, .inputs_sqnr_db = found.inputs_sqnr_db};
  }
  return std::move(compared.report);
}

manifest::IoTensor io_tensor(const std::string& source, const TensorType& type, const std::map<std::string, std::string>& names) {
  const auto renamed = names.find(source);
  const std::string_view dtype = type.dtype == DType::kF16 ? "float16" : type.dtype == DType::kF32 ? "float32" : "int32";
  return {.name = renamed == names.end() ? source : renamed->second, .dtype = std::string(dtype), .shape = *static_shape(type.shape)};
}

/// Loads a package's graph into the engine.
Result<parity::RunnableModel> load_package(const engine::Engine& engine, const ir::Graph& graph, const ParityOptions& options,
                                             std::map<std::string, std::string> names) {
  return parity::load_graph(engine, graph, scratch_of(options), std::move(names));
}

}  // namespace

std::int64_t now_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_since(std::int64_t start_nanoseconds) { return static_cast<double>(now_nanoseconds() - start_nanoseconds) * 1e-9; }

Result<Source> open_source(const std::filesystem::path& path, const std::map<std::string, std::vector<std::int64_t>>& input_shapes) {
  SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  onnx_format::ImportOptions options;
  options.input_shapes = input_shapes;
  SMELT_ASSIGN_OR_RETURN(onnx_format::ImportResult import,
                         onnx_format::import_model(std::make_shared<const MappedFile>(std::move(file)), path, options));
  return Source{.path = path, .import = std::move(import)};
}

std::map<std::string, std::string> border_names(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
  coreml_format::NameTable table;
  std::map<std::string, std::string> names;
  for (const auto* list : {&inputs, &outputs}) {
    for (const std::string& source : *list) {
      std::string name = table.take(source);
      if (name != source) names[source] = std::move(name);
    }
  }
  return names;
}

std::vector<std::string> input_names(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::ValueId id : graph.inputs()) names.push_back(graph.value(id).name);
  return names;
}

std::vector<std::string> output_names(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::GraphOutput& output : graph.outputs()) names.push_back(output.name);
  return names;
}

Result<engine::Engine> open_engine(const ParityOptions& options) { return engine::Engine::open(options.engine, options.engine_search_paths); }

namespace {

/// Labels name classes of the first output that has one row of scores, which accuracy is of.
Status check_labels(const parity::SampleSource& samples, const ir::Graph& baseline, const std::filesystem::path& file) {
  for (const ir::GraphOutput& output : baseline.outputs()) {
    const TensorType& type = baseline.value(output.value).type;
    const auto shape = static_shape(type.shape);
    if (!is_float(type.dtype) || !shape || shape->empty() || shape->back() < 2) continue;
    const std::int64_t classes = shape->back();
    if (std::count(shape->begin(), shape->end() - 1, 1) != static_cast<std::ptrdiff_t>(shape->size()) - 1) continue;
    for (std::uint64_t k = 0; k < samples.count(); ++k) {
      const auto label = samples.label(k);
      if (!label || (*label >= 0 && *label < classes)) continue;
      return Error(ErrorCode::kInvalidArgument, fmt::format("label {} is {}, output \"{}\" has classes 0 to {}", k, *label, output.name, classes - 1))
          .at({.file = file.string()});
    }
    return {};
  }
  return {};
}

}  // namespace

Result<Samples> open_samples(const ParityOptions& options, const ir::Graph& baseline) {
  SMELT_ASSIGN_OR_RETURN(std::vector<parity::InputSpec> inputs, parity::input_specs(baseline));
  Samples samples;
  if (!options.data.empty()) {
    SMELT_ASSIGN_OR_RETURN(samples.source, parity::samples_from(options.data, options.labels, std::move(inputs), options.limit_data ? options.samples : 0));
    SMELT_RETURN_IF_ERROR(check_labels(*samples.source, baseline, options.labels.empty() ? options.data : options.labels));
  } else if (options.samples == 0) {
    return Error(ErrorCode::kInvalidArgument, "parity needs at least one sample");
  } else {
    samples.source = parity::generated_samples(std::move(inputs), options.samples, options.seed);
  }
  SMELT_ASSIGN_OR_RETURN(samples.sha256, samples.source->digest());
  return samples;
}

std::vector<parity::Gate> default_gates(const Variant& variant) {
  const bool is_int8 = variant.weights == Weights::kInt8;
  const bool is_f32 = variant.precision == Precision::kFp32 && !is_int8;
  const double l_inf = is_int8 ? 5e-2 : is_f32 ? 1e-4 : 1e-2;
  const double rmse = is_int8 ? 5e-3 : is_f32 ? 1e-5 : 1e-3;
  return {{.output = {}, .metric = parity::Metric::kLInf, .limit = l_inf, .is_relative = true},
          {.output = {}, .metric = parity::Metric::kRmse, .limit = rmse, .is_relative = true}};
}

Result<std::vector<parity::Gate>> gates_of(const ParityOptions& options, const Variant& variant) {
  if (options.gates.empty()) return default_gates(variant);
  std::vector<parity::Gate> gates;
  for (const std::string& text : options.gates) {
    SMELT_ASSIGN_OR_RETURN(parity::Gate gate, parity::parse_gate(text));
    gates.push_back(std::move(gate));
  }
  return gates;
}

Variant variant_of(const ir::Graph& graph) {
  Variant variant{.precision = Precision::kFp32, .weights = Weights::kFloat};
  for (const ir::NodeId id : graph.topological_order()) {
    const ir::Node& node = graph.node(id);
    if (node.op.kind() == ir::OpKind::kDequantize) variant.weights = Weights::kInt8;
    for (const ir::ValueId output : node.outputs) {
      if (graph.value(output).type.dtype == DType::kF16) variant.precision = Precision::kFp16;
    }
  }
  return variant;
}

Variant variant_of(const manifest::Entry& entry) {
  return {.precision = entry.precision == "fp16" ? Precision::kFp16 : Precision::kFp32,
          .weights = entry.quantization == "none" ? Weights::kFloat : Weights::kInt8};
}

std::vector<manifest::IoTensor> inputs_of(const ir::Graph& graph, const std::map<std::string, std::string>& names) {
  std::vector<manifest::IoTensor> out;
  for (const ir::ValueId id : graph.inputs()) out.push_back(io_tensor(graph.value(id).name, graph.value(id).type, names));
  return out;
}

std::vector<manifest::IoTensor> outputs_of(const ir::Graph& graph, const std::map<std::string, std::string>& names) {
  std::vector<manifest::IoTensor> out;
  for (const ir::GraphOutput& output : graph.outputs()) out.push_back(io_tensor(output.name, graph.value(output.value).type, names));
  return out;
}

Result<ParityReport> run_parity(const engine::Engine& engine, const Source& source, const ir::Graph& read_back, const Samples& samples,
                                const std::vector<parity::Gate>& gates, const ParityOptions& options, const Progress& progress) {
  const std::vector<std::string> outputs = output_names(source.import.graph);
  const std::map<std::string, std::string> names = border_names(input_names(source.import.graph), outputs);
  const auto compare = [&]() -> Result<Compared> {  // the sessions end with it
    SMELT_ASSIGN_OR_RETURN(engine::Session session, engine.load(source.path, {}));
    parity::RunnableModel baseline(std::move(session), {});
    SMELT_ASSIGN_OR_RETURN(parity::RunnableModel variant, load_package(engine, read_back, options, names));
    return compared({.engine = engine, .baseline = baseline, .baseline_name = source.path.filename().string(), .variant = variant,
                     .samples = samples, .outputs = outputs, .names = names},
                    gates, options, progress);
  };
  SMELT_ASSIGN_OR_RETURN(Compared result, compare());
  return explained(engine, std::move(result), source.import.graph, read_back, samples, names, options);
}

Result<ParityReport> run_parity_of_packages(const engine::Engine& engine, const ir::Graph& baseline_graph, std::string baseline_name,
                                            const ir::Graph& read_back, const Samples& samples, const std::vector<parity::Gate>& gates,
                                            const ParityOptions& options, const Progress& progress) {
  const auto compare = [&]() -> Result<Compared> {
    SMELT_ASSIGN_OR_RETURN(parity::RunnableModel baseline, load_package(engine, baseline_graph, options, {}));
    SMELT_ASSIGN_OR_RETURN(parity::RunnableModel variant, load_package(engine, read_back, options, {}));
    return compared({.engine = engine, .baseline = baseline, .baseline_name = std::move(baseline_name), .variant = variant,
                     .samples = samples, .outputs = output_names(baseline_graph), .names = {}},
                    gates, options, progress);
  };
  SMELT_ASSIGN_OR_RETURN(Compared result, compare());
  return explained(engine, std::move(result), baseline_graph, read_back, samples, {}, options);
}

manifest::Parity recorded(const ParityReport& report) {
  return {.method = report.method, .dataset_sha256 = report.dataset_sha256, .seed = report.seed, .samples = report.samples,
          .data = report.data, .outputs = report.outputs, .gates = report.gates, .baseline_accuracy = report.baseline_accuracy,
          .variant_accuracy = report.variant_accuracy, .verdict = report.passed ? "pass" : "fail"};
}

}  // namespace smelt::api
