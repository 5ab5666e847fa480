#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/host_tensor.h"

namespace smelt::parity {

/// How an output of a variant differs from the baseline's over all samples. r: baseline, y: variant; sums in double.
struct OutputMetrics {
  std::string name;
  std::uint64_t elements = 0;
  double l_inf = 0;                      ///< max |y - r|
  double l_inf_baseline = 0;             ///< r where l_inf is
  double l_inf_variant = 0;              ///< y there
  std::uint64_t l_inf_sample = 0;        ///< the sample it is in
  double rmse = 0;                       ///< sqrt(mean (y - r)^2)
  double peak = 0;                       ///< max |r|
  std::optional<double> sqnr_db;         ///< 10 log10(sum r^2 / sum (y - r)^2); absent when the noise or the signal is zero
  double cosine = 1;                     ///< <r, y> / (|r| |y|); both zero: 1, one zero: 0
  std::optional<double> top1_agreement;  ///< share of rows (last axis of 2 to 100,000 elements, float outputs of rank 1 or 2) with
                                         ///< equal argmax, ties to the lowest index
  std::optional<double> top5_agreement;  ///< mean overlap of the five largest, for rows of more than 5 elements
  std::uint64_t nan_count = 0;           ///< elements where the variant or the baseline is NaN
  std::uint64_t inf_count = 0;           ///< elements where one is infinite and the other is not, or they are opposite infinities
};

/// Gathers OutputMetrics sample by sample, in constant memory. Not-a-number and infinite differences are counted, and left out
/// of the sums and of l_inf (a gate fails on the counts). Equal infinities are no difference.
class MetricsAccumulator {
 public:
  explicit MetricsAccumulator(std::string name);
  /// `kInvalidArgument` when shapes differ, or one is float and the other is not. Integer and bool outputs are compared as numbers.
  [[nodiscard]] Status add(const HostTensor& baseline, const HostTensor& variant);
  [[nodiscard]] OutputMetrics finish() const;

 private:
  OutputMetrics metrics_;
  std::uint64_t samples_ = 0;
  double noise_ = 0, signal_ = 0, variant_energy_ = 0, dot_ = 0;
  std::uint64_t rows_ = 0, top1_ = 0, rows5_ = 0;
  double top5_ = 0;
};

enum class Metric { kLInf, kRmse, kSqnr, kCosine, kTop1 };

/// A bound that a metric must keep: l_inf and rmse stay strictly below it, the others at or above it.
struct Gate {
  std::string output;  ///< empty: every output
  Metric metric = Metric::kLInf;
  double limit = 0;
  bool is_relative = false;  ///< the limit is multiplied by max(1, peak of that output)
};

/// "linf=0.01", "out.rmse=1e-4", "sqnr=40", "cosine=0.999", "top1=0.99": an absolute gate. The metric is what follows the last dot.
/// `kInvalidArgument` with the five words when it is none of these, or the limit is not a finite number.
[[nodiscard]] Result<Gate> parse_gate(const std::string& text);

struct GateResult {
  std::string output;
  Metric metric = Metric::kLInf;
  double value = 0;  ///< measured
  double scale = 1;  ///< max(1, peak) for a relative gate
  double limit = 0;  ///< after scaling
  bool passed = false;
};

/// Every gate against every output that it names. A gate on an output that is not there is `kInvalidArgument`. An output with
/// NaNs, or infinities that the baseline lacks, fails each of its gates. An exact result passes any sqnr gate.
[[nodiscard]] Result<std::vector<GateResult>> check_gates(std::span<const OutputMetrics> outputs, std::span<const Gate> gates);

[[nodiscard]] const char* metric_name(Metric metric);  ///< "linf", "rmse", "sqnr", "cosine", "top1"

}  // namespace smelt::parity
