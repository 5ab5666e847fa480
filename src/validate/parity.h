#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "ir/graph.h"
#include "smelt/result.h"
#include "validate/metrics.h"
#include "validate/samples.h"

namespace smelt::parity {

/// A model that runs on the engine, with its border names as the baseline has them.
class RunnableModel {
 public:
  /// `names`: baseline's border name → this model's; a name that is not there is the same in both.
  RunnableModel(engine::Session session, std::map<std::string, std::string> names)
      : session_(std::move(session)), names_(std::move(names)) {}

  /// Runs on one sample: each tensor is cast to the dtype that the model declares. Outputs by the baseline's names, in the order asked.
  [[nodiscard]] Result<std::vector<HostTensor>> run(const std::vector<NamedArray>& sample, const std::vector<std::string>& outputs);

 private:
  [[nodiscard]] const std::string& own_name(const std::string& name) const;

  engine::Session session_;
  std::map<std::string, std::string> names_;
};

/// Exports a graph that was read back from a package, float16 simulated, into a folder of its own under `scratch` that is gone when
/// this returns, and loads it.
[[nodiscard]] Result<RunnableModel> load_graph(const engine::Engine& engine, const ir::Graph& graph, const std::filesystem::path& scratch,
                                               std::map<std::string, std::string> names);

struct ParityResult {
  std::uint64_t samples = 0;
  std::vector<OutputMetrics> outputs;
  std::vector<GateResult> gates;
  bool passed = false;  ///< every gate
  std::optional<double> baseline_accuracy, variant_accuracy;
};

/// Called after each sample.
using SampleProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;
/// Sees every sample's inputs and the two models' outputs.
using SampleObserver = std::function<Status(std::uint64_t index, const std::vector<NamedArray>& inputs, const std::vector<HostTensor>& baseline,
                                            const std::vector<HostTensor>& variant)>;

/// Runs both models on every sample, in constant memory, and checks the gates. Accuracy: where samples have labels, of the first
/// output that has one row of scores for each sample.
[[nodiscard]] Result<ParityResult> compare(RunnableModel& baseline, RunnableModel& variant, const std::vector<std::string>& outputs,
                                           const SampleSource& samples, const std::vector<Gate>& gates, const SampleProgress& progress,
                                           const SampleObserver& observer);

}  // namespace smelt::parity
