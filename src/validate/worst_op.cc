#include "validate/worst_op.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "tensor/type.h"
#include "validate/parity.h"

namespace smelt::parity {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A value that both graphs have.
struct Pair {
  ir::ValueId baseline, variant;
  std::string name;  ///< the baseline's
};

bool is_computed_float(const ir::Graph& graph, ir::ValueId id) {
  const ir::Value& value = graph.value(id);
  const bool is_live = value.producer.valid() && !graph.node(value.producer).is_erased;
  return is_live && is_float(value.type.dtype) && static_shape(value.type.shape).has_value();
}

/// "x_0" for a second "x": as the variant names what has a name twice.
std::string without_number(const std::string& name) {
  const std::size_t last = name.find_last_not_of("0123456789");
  return last != std::string::npos && last + 1 < name.size() && name[last] == '_' ? name.substr(0, last) : name;
}

/// Values inside, by the name that the variant has for them.
std::map<std::string, Pair> named_in_baseline(const ir::Graph& graph, const TraceOptions& options) {
  std::map<std::string, Pair> pairs;
  std::set<std::string> repeated;
  for (std::uint32_t k = 0; k < graph.value_count(); ++k) {
    const std::string& name = graph.value({k}).name;
    const ir::NodeId producer = graph.value({k}).producer;
    if (name.empty() || (producer.valid() && graph.node(producer).is_erased)) continue;
    const std::string own = options.variant_name(name);
    if (!pairs.emplace(own, Pair{.baseline = {k}, .variant = {}, .name = name}).second) repeated.insert(own);
  }
  std::erase_if(pairs, [&](const auto& entry) {
    return repeated.contains(entry.first) || repeated.contains(without_number(entry.first)) || !is_computed_float(graph, entry.second.baseline);
  });
  return pairs;
}

/// By the variant's value. Outputs are paired by the border's names.
std::map<ir::ValueId, Pair> find_pairs(const ir::Graph& baseline, const ir::Graph& variant, const TraceOptions& options) {
  std::map<ir::ValueId, Pair> found;
  const auto add = [&](ir::ValueId own, Pair pair) {
    if (!is_computed_float(variant, own) || !is_computed_float(baseline, pair.baseline)) return;
    if (static_shape(variant.value(own).type.shape) != static_shape(baseline.value(pair.baseline).type.shape)) return;
    pair.variant = own;
    found.emplace(own, std::move(pair));
  };
  for (const ir::GraphOutput& output : baseline.outputs()) {
    const auto renamed = options.border_names.find(output.name);
    const std::string& own = renamed == options.border_names.end() ? output.name : renamed->second;
    for (const ir::GraphOutput& other : variant.outputs()) {
      if (other.name == own) add(other.value, {.baseline = output.value, .variant = {}, .name = output.name});
    }
  }
  const std::map<std::string, Pair> named = named_in_baseline(baseline, options);
  for (std::uint32_t k = 0; k < variant.value_count(); ++k) {
    if (const auto pair = named.find(variant.value({k}).name); pair != named.end()) add({k}, pair->second);
  }
  return found;
}

/// sum (y - r)^2 / sum r^2. Infinite where one is a NaN or an infinity that the other is not.
double noise_of(const HostTensor& baseline, const HostTensor& variant) {
  const std::vector<double> r = to_doubles(baseline), y = to_doubles(variant);
  double noise = 0, signal = 0;
  for (std::size_t k = 0; k < r.size(); ++k) {
    const bool is_mask = std::abs(r[k]) >= static_cast<double>(kMaskSentinel) && std::abs(y[k]) >= 1e4 && std::signbit(r[k]) == std::signbit(y[k]);
    if (is_mask || r[k] == y[k] || (std::isnan(r[k]) && std::isnan(y[k]))) {
      if (!is_mask && std::isfinite(r[k])) signal += r[k] * r[k];
      continue;
    }
    if (!std::isfinite(r[k]) || !std::isfinite(y[k])) return kInfinity;
    noise += (y[k] - r[k]) * (y[k] - r[k]);
    signal += r[k] * r[k];
  }
  if (noise == 0) return 0;
  return signal == 0 ? kInfinity : noise / signal;
}

std::uint64_t bytes_of(const ir::Graph& graph, ir::ValueId id) {
  const std::vector<std::int64_t> shape = *static_shape(graph.value(id).type.shape);
  std::uint64_t bytes = 4;
  for (const std::int64_t extent : shape) bytes *= static_cast<std::uint64_t>(extent);
  return bytes;
}

/// The noise of every pair, by the variant's value.
class Trace {
 public:
  Trace(const ir::Graph& baseline, const ir::Graph& variant, std::map<ir::ValueId, Pair> pairs)
      : baseline_(baseline), variant_(variant), pairs_(std::move(pairs)) {}

  Status measure(const engine::Engine& engine, const std::vector<NamedArray>& sample, const TraceOptions& options) {
    ir::Graph baseline = baseline_, variant = variant_;
    for (const auto& [id, pair] : pairs_) {
      baseline.add_output(tap(id), pair.baseline);
      variant.add_output(tap(id), id);
    }
    SMELT_ASSIGN_OR_RETURN(RunnableModel expected, load_graph(engine, baseline, options.scratch, {}));
    SMELT_ASSIGN_OR_RETURN(RunnableModel actual, load_graph(engine, variant, options.scratch, options.border_names));
    std::vector<ir::ValueId> batch;
    std::uint64_t bytes = 0;
    for (const auto& [id, pair] : pairs_) {
      const std::uint64_t own = bytes_of(variant_, id);
      if (!batch.empty() && bytes + own > kBatchBytes) {
        SMELT_RETURN_IF_ERROR(measure_batch(expected, actual, sample, batch));
        batch.clear();
        bytes = 0;
      }
      batch.push_back(id);
      bytes += own;
    }
    return batch.empty() ? Status() : measure_batch(expected, actual, sample, batch);
  }

  [[nodiscard]] std::optional<WorstOp> walk_back(ir::ValueId output) const {
    if (!noise_.contains(output) || noise_.at(output) == 0) return std::nullopt;
    const double share = std::min(noise_.at(output), 1.0) / 10;  // more noise than signal is no worse
    ir::ValueId at = output;
    while (true) {
      ir::ValueId noisiest;
      for (const ir::ValueId id : sources_of(at)) {
        if (!noisiest.valid() || noise_.at(id) > noise_.at(noisiest)) noisiest = id;
      }
      if (noisiest.valid() && noise_.at(noisiest) >= share) {
        at = noisiest;
        continue;
      }
      WorstOp worst{.op = std::string(variant_.node(variant_.value(at).producer).op.name()), .value = pairs_.at(at).name,
                    .sqnr_db = decibel(noise_.at(at)), .inputs_sqnr_db = {}};
      if (noisiest.valid()) worst.inputs_sqnr_db = decibel(noise_.at(noisiest));
      return worst;
    }
  }

 private:
  static constexpr std::uint64_t kBatchBytes = std::uint64_t{32} << 20;  ///< of each model

  static std::string tap(ir::ValueId id) { return fmt::format("smelt.tap.{}", id.index); }

  static std::optional<double> decibel(double noise) {
    return noise == 0 || std::isinf(noise) ? std::nullopt : std::optional(-10.0 * std::log10(noise));
  }

  Status measure_batch(RunnableModel& expected, RunnableModel& actual, const std::vector<NamedArray>& sample, const std::vector<ir::ValueId>& batch) {
    std::vector<std::string> names;
    for (const ir::ValueId id : batch) names.push_back(tap(id));
    SMELT_ASSIGN_OR_RETURN(const std::vector<HostTensor> r, expected.run(sample, names));
    SMELT_ASSIGN_OR_RETURN(const std::vector<HostTensor> y, actual.run(sample, names));
    for (std::size_t k = 0; k < batch.size(); ++k) noise_[batch[k]] = noise_of(r[k], y[k]);
    return {};
  }

  /// The nearest measured values that a value was computed from.
  [[nodiscard]] std::set<ir::ValueId> sources_of(ir::ValueId value) const {
    std::set<ir::ValueId> found, seen;
    std::vector<ir::ValueId> waiting = {value};
    while (!waiting.empty()) {
      const ir::ValueId id = waiting.back();
      waiting.pop_back();
      const ir::NodeId producer = variant_.value(id).producer;
      if (!producer.valid()) continue;
      for (const ir::ValueId input : variant_.node(producer).inputs) {
        if (!input.valid() || !seen.insert(input).second) continue;
        if (noise_.contains(input)) {
          found.insert(input);
        } else {
          waiting.push_back(input);
        }
      }
    }
    return found;
  }

  const ir::Graph& baseline_;
  const ir::Graph& variant_;
  std::map<ir::ValueId, Pair> pairs_;
  std::map<ir::ValueId, double> noise_;
};

}  // namespace

Result<std::optional<WorstOp>> find_worst_op(const engine::Engine& engine, const ir::Graph& baseline, const ir::Graph& variant,
                                             const std::vector<NamedArray>& sample, const TraceOptions& options) {
  std::map<ir::ValueId, Pair> pairs = find_pairs(baseline, variant, options);
  ir::ValueId output;
  for (const auto& [id, pair] : pairs) {
    for (const ir::GraphOutput& result : baseline.outputs()) {
      if (result.name == options.output && result.value == pair.baseline) output = id;
    }
  }
  if (!output.valid()) return std::optional<WorstOp>();
  Trace trace(baseline, variant, std::move(pairs));
  SMELT_RETURN_IF_ERROR(trace.measure(engine, sample, options));
  return trace.walk_back(output);
}

}  // namespace smelt::parity
