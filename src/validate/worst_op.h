#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "ir/graph.h"
#include "smelt/result.h"
#include "validate/samples.h"

namespace smelt::parity {

/// Where on the way to an output the difference arises.
struct WorstOp {
  std::string op;                        ///< of the variant: "conv"
  std::string value;                     ///< its result, by the baseline's name
  std::optional<double> sqnr_db;         ///< of the result; absent when it is NaN or infinite where the baseline is not
  std::optional<double> inputs_sqnr_db;  ///< the least of what it reads; absent when all of that is exact
};

struct TraceOptions {
  std::string output;                                             ///< the output to explain, by the baseline's name
  std::map<std::string, std::string> border_names;                ///< as of `RunnableModel`
  std::function<std::string(const std::string&)> variant_name;    ///< a baseline's name as the variant's values have it
  std::filesystem::path scratch;
};

/// Runs both graphs on one sample and compares the float values inside that have one name and one shape in both (a name that the
/// baseline gives twice is left out). Noise is 10^(-sqnr/10), of each value relative to itself; elements beyond 1e38 in the baseline,
/// with which masks say "minus infinity", are no noise while the variant has a value beyond 1e4 of the same sign there.
///
/// From the output, goes back from each value to the noisiest of those it was computed from, as long as that has at least a tenth of the
/// output's noise (of 1, where that is over 1): 10 dB. Where it ends, the difference first was nearly as large as in the end. Nothing when the output is exact. In memory are
/// two models, and of the values at most 64 MiB (or the largest) at a time.
[[nodiscard]] Result<std::optional<WorstOp>> find_worst_op(const engine::Engine& engine, const ir::Graph& baseline, const ir::Graph& variant,
                                                           const std::vector<NamedArray>& sample, const TraceOptions& options);

}  // namespace smelt::parity
