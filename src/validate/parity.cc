#include "validate/parity.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/temporary.h"
#include "convert/onnx/export.h"
#include "eval/evaluate.h"
#include "ir/ops/all.h"

namespace smelt::parity {
namespace {

/// The class that a label names against an output with one row of scores; nullopt when the output has another form.
std::optional<std::int64_t> predicted_class(const HostTensor& scores) {
  if (!is_float(scores.dtype) || scores.shape.empty() || scores.shape.back() < 2) return std::nullopt;
  const std::vector<double> values = to_doubles(scores);
  if (static_cast<std::int64_t>(values.size()) != scores.shape.back()) return std::nullopt;
  return std::max_element(values.begin(), values.end()) - values.begin();
}

/// Right answers of both models on the first output that has scores.
struct Accuracy {
  std::uint64_t labelled = 0, baseline_right = 0, variant_right = 0;

  void add(std::int64_t label, const std::vector<HostTensor>& baseline, const std::vector<HostTensor>& variant) {
    for (std::size_t k = 0; k < baseline.size(); ++k) {
      const auto expected = predicted_class(baseline[k]), actual = predicted_class(variant[k]);
      if (!expected || !actual) continue;
      ++labelled;
      baseline_right += *expected == label ? 1U : 0U;
      variant_right += *actual == label ? 1U : 0U;
      return;
    }
  }
};

}  // namespace

const std::string& RunnableModel::own_name(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? name : found->second;
}

Result<std::vector<HostTensor>> RunnableModel::run(const std::vector<NamedArray>& sample, const std::vector<std::string>& outputs) {
  std::vector<engine::NamedTensor> feeds;
  for (const NamedArray& array : sample) {
    const std::string& name = own_name(array.name);
    const auto port = std::find_if(session_.inputs().begin(), session_.inputs().end(), [&](const engine::Port& p) { return p.name == name; });
    if (port == session_.inputs().end()) continue;  // an input that this model does not use
    if (port->dtype == array.tensor.dtype) {
      feeds.push_back({name, array.tensor});
      continue;
    }
    const HostTensor* operand = &array.tensor;
    SMELT_ASSIGN_OR_RETURN(std::vector<HostTensor> cast, eval::evaluate(ir::Cast{.to = port->dtype}, std::span(&operand, 1)));
    feeds.push_back({name, std::move(cast.front())});
  }
  std::vector<std::string> wanted;
  for (const std::string& output : outputs) {
    wanted.push_back(own_name(output));
    const bool is_there = std::any_of(session_.outputs().begin(), session_.outputs().end(), [&](const engine::Port& p) { return p.name == wanted.back(); });
    if (is_there) continue;
    std::vector<std::string> names;
    for (const engine::Port& p : session_.outputs()) names.push_back(p.name);
    return Error(ErrorCode::kInvalidArgument, fmt::format("the model has no output \"{}\"", wanted.back())).hint(fmt::format("its outputs are: {}", fmt::join(names, ", ")));
  }
  return session_.run(feeds, wanted);
}

Result<RunnableModel> load_graph(const engine::Engine& engine, const ir::Graph& graph, const std::filesystem::path& scratch,
                                 std::map<std::string, std::string> names) {
  const std::filesystem::path name = scratch / "smelt-parity";
  remove_leftovers(name);
  SMELT_ASSIGN_OR_RETURN(const Temporary folder, Temporary::folder(name));
  SMELT_RETURN_IF_ERROR(onnx_format::export_model(graph, folder.path(), {.simulates_f16 = true}));
  SMELT_ASSIGN_OR_RETURN(engine::Session session, engine.load(folder.path() / "model.onnx", {}));
  return RunnableModel(std::move(session), std::move(names));
}

Result<ParityResult> compare(RunnableModel& baseline, RunnableModel& variant, const std::vector<std::string>& outputs, const SampleSource& samples,
                             const std::vector<Gate>& gates, const SampleProgress& progress, const SampleObserver& observer) {
  std::vector<MetricsAccumulator> accumulators;
  for (const std::string& output : outputs) accumulators.emplace_back(output);
  ParityResult result{.samples = samples.count(), .outputs = {}, .gates = {}, .passed = false, .baseline_accuracy = {}, .variant_accuracy = {}};
  Accuracy accuracy;
  for (std::uint64_t index = 0; index < samples.count(); ++index) {
    SMELT_ASSIGN_OR_RETURN(const std::vector<NamedArray> sample, samples.sample(index));
    SMELT_ASSIGN_OR_RETURN(const std::vector<HostTensor> expected, baseline.run(sample, outputs));
    SMELT_ASSIGN_OR_RETURN(const std::vector<HostTensor> actual, variant.run(sample, outputs));
    for (std::size_t k = 0; k < outputs.size(); ++k) SMELT_RETURN_IF_ERROR(accumulators[k].add(expected[k], actual[k]));
    if (const auto label = samples.label(index)) accuracy.add(*label, expected, actual);
    if (observer) SMELT_RETURN_IF_ERROR(observer(index, sample, expected, actual));
    if (progress) progress(index + 1, samples.count());
  }
  for (const MetricsAccumulator& accumulator : accumulators) result.outputs.push_back(accumulator.finish());
  SMELT_ASSIGN_OR_RETURN(result.gates, check_gates(result.outputs, gates));
  result.passed = std::all_of(result.gates.begin(), result.gates.end(), [](const GateResult& gate) { return gate.passed; });
  if (accuracy.labelled != 0) {
    const auto share = [&](std::uint64_t right) { return static_cast<double>(right) / static_cast<double>(accuracy.labelled); };
    result.baseline_accuracy = share(accuracy.baseline_right);
    result.variant_accuracy = share(accuracy.variant_right);
  }
  return result;
}

}  // namespace smelt::parity
