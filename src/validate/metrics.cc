#include "validate/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace smelt::parity {
namespace {

constexpr std::size_t kMinRow = 2;
constexpr std::size_t kMaxRow = 100'000;
constexpr std::size_t kTopFive = 5;

constexpr std::array<std::pair<Metric, const char*>, 5> kMetricNames{{
    {Metric::kLInf, "linf"},
    {Metric::kRmse, "rmse"},
    {Metric::kSqnr, "sqnr"},
    {Metric::kCosine, "cosine"},
    {Metric::kTop1, "top1"},
}};

bool has_nan(std::span<const double> row) {
  return std::ranges::any_of(row, [](double value) { return std::isnan(value); });
}

/// The indices of the five largest, ascending. Ties go to the lowest index. No NaN.
std::array<std::size_t, kTopFive> top_five(std::span<const double> row, std::vector<std::size_t>& order) {
  order.resize(row.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::partial_sort(order.begin(), order.begin() + kTopFive, order.end(), [&](std::size_t a, std::size_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  });
  std::array<std::size_t, kTopFive> top{};
  std::copy_n(order.begin(), kTopFive, top.begin());
  std::ranges::sort(top);
  return top;
}

double overlap_of_five(std::span<const double> r, std::span<const double> y, std::vector<std::size_t>& order) {
  const auto a = top_five(r, order);
  const auto b = top_five(y, order);
  const auto common = std::ranges::count_if(a, [&](std::size_t i) { return std::ranges::binary_search(b, i); });
  return static_cast<double>(common) / static_cast<double>(kTopFive);
}

std::size_t argmax(std::span<const double> row) {
  return static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());  // the first of equals
}

/// The length of a row that has a meaning as class scores; 0 when the output is not of that kind.
std::size_t row_length(const HostTensor& tensor) {
  if (!is_float(tensor.dtype) || tensor.shape.empty() || tensor.shape.size() > 2) return 0;
  const auto length = static_cast<std::uint64_t>(tensor.shape.back());
  return length >= kMinRow && length <= kMaxRow ? static_cast<std::size_t>(length) : 0;
}

bool finite_only(const OutputMetrics& output) { return output.nan_count == 0 && output.inf_count == 0; }

/// What a gate compares; absent when the output has no such metric.
std::optional<double> measured(const OutputMetrics& output, Metric metric) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (metric) {
    case Metric::kLInf: return output.l_inf;
    case Metric::kRmse: return output.rmse;
    case Metric::kSqnr: return output.sqnr_db.value_or(output.rmse == 0 ? kInfinity : -kInfinity);
    case Metric::kCosine: return output.cosine;
    case Metric::kTop1: return output.top1_agreement;
  }
  SMELT_CHECK(false);
}

GateResult judge(const OutputMetrics& output, const Gate& gate, double value) {
  GateResult result{.output = output.name, .metric = gate.metric, .value = value};
  if (gate.is_relative) result.scale = std::max(1.0, output.peak);
  result.limit = gate.limit * result.scale;
  const bool is_upper = gate.metric == Metric::kLInf || gate.metric == Metric::kRmse;
  const bool keeps = is_upper ? value < result.limit : value >= result.limit;
  result.passed = keeps && finite_only(output);
  return result;
}

std::string output_list(std::span<const OutputMetrics> outputs) {
  std::vector<std::string_view> names;
  for (const OutputMetrics& output : outputs) names.push_back(output.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

MetricsAccumulator::MetricsAccumulator(std::string name) { metrics_.name = std::move(name); }

Status MetricsAccumulator::add(const HostTensor& baseline, const HostTensor& variant) {
  if (baseline.shape != variant.shape || is_float(baseline.dtype) != is_float(variant.dtype)) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("output \"{}\" is {} in the baseline and {} in the variant", metrics_.name,
                             type_text(baseline.dtype, baseline.shape), type_text(variant.dtype, variant.shape)));
  }
  const std::vector<double> r = to_doubles(baseline);
  const std::vector<double> y = to_doubles(variant);
  SMELT_CHECK(r.size() == y.size());
  OutputMetrics& m = metrics_;
  for (std::size_t i = 0; i < r.size(); ++i) {
    if (std::isfinite(r[i])) m.peak = std::max(m.peak, std::abs(r[i]));
    if (std::isnan(r[i]) || std::isnan(y[i])) {
      ++m.nan_count;
      continue;
    }
    if (std::isinf(r[i]) && r[i] == y[i]) continue;
    const double difference = y[i] - r[i];
    if (!std::isfinite(difference)) {
      ++m.inf_count;
      continue;
    }
    if (std::abs(difference) > m.l_inf) {
      m.l_inf = std::abs(difference);
      m.l_inf_baseline = r[i];
      m.l_inf_variant = y[i];
      m.l_inf_sample = samples_;
    }
    noise_ += difference * difference;
    signal_ += r[i] * r[i];
    variant_energy_ += y[i] * y[i];
    dot_ += r[i] * y[i];
  }
  m.elements += r.size();
  ++samples_;

  const std::size_t length = row_length(baseline);
  std::vector<std::size_t> order;
  for (std::size_t at = 0; length != 0 && at < r.size(); at += length) {
    const std::span<const double> row_r(r.data() + at, length);
    const std::span<const double> row_y(y.data() + at, length);
    ++rows_;
    if (length > kTopFive) ++rows5_;
    if (has_nan(row_r) || has_nan(row_y)) continue;  // agrees in nothing
    if (argmax(row_r) == argmax(row_y)) ++top1_;
    if (length > kTopFive) top5_ += overlap_of_five(row_r, row_y, order);
  }
  return {};
}

OutputMetrics MetricsAccumulator::finish() const {
  OutputMetrics out = metrics_;
  const std::uint64_t compared = out.elements - out.nan_count - out.inf_count;
  if (compared != 0) out.rmse = std::sqrt(noise_ / static_cast<double>(compared));
  if (noise_ > 0 && signal_ > 0) out.sqnr_db = 10 * std::log10(signal_ / noise_);
  if ((signal_ == 0) != (variant_energy_ == 0)) {
    out.cosine = 0;
  } else if (signal_ != 0 && noise_ != 0) {  // without noise it is 1, not 1 give or take a rounding
    // Two roots, since the product of two sums may overflow.
    const double cosine = dot_ / (std::sqrt(signal_) * std::sqrt(variant_energy_));
    out.cosine = std::isnan(cosine) ? cosine : std::clamp(cosine, -1.0, 1.0);
  }
  if (rows_ != 0) out.top1_agreement = static_cast<double>(top1_) / static_cast<double>(rows_);
  if (rows5_ != 0) out.top5_agreement = top5_ / static_cast<double>(rows5_);
  return out;
}

const char* metric_name(Metric metric) {
  for (const auto& [value, text] : kMetricNames) {
    if (value == metric) return text;
  }
  SMELT_CHECK(false);
}

Result<Gate> parse_gate(const std::string& text) {
  const auto invalid = [&](std::string_view what) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("gate \"{}\": {}", text, what))
        .hint("write METRIC=LIMIT or OUTPUT.METRIC=LIMIT, the metric one of linf, rmse, sqnr, cosine, top1");
  };
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos) return invalid("there is no limit");
  const std::string left = text.substr(0, equals);
  const std::size_t dot = left.rfind('.');
  if (dot == 0) return invalid("there is no output name before the dot");
  Gate gate;
  if (dot != std::string::npos) gate.output = left.substr(0, dot);
  const std::string word = dot == std::string::npos ? left : left.substr(dot + 1);
  const auto* const row = std::ranges::find_if(kMetricNames, [&](const auto& entry) { return word == entry.second; });
  if (row == kMetricNames.end()) {
    return invalid("the metric is none of linf, rmse, sqnr, cosine, top1");
  }
  gate.metric = row->first;
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data() + equals + 1, end, gate.limit);
  if (code != std::errc() || stop != end || !std::isfinite(gate.limit)) {
    return invalid("the limit is not a finite number");
  }
  return gate;
}

Result<std::vector<GateResult>> check_gates(std::span<const OutputMetrics> outputs, std::span<const Gate> gates) {
  std::vector<GateResult> results;
  for (const Gate& gate : gates) {
    bool is_there = false;
    bool is_measured = false;
    for (const OutputMetrics& output : outputs) {
      if (!gate.output.empty() && gate.output != output.name) continue;
      is_there = true;
      const std::optional<double> value = measured(output, gate.metric);
      if (!value.has_value()) continue;
      is_measured = true;
      results.push_back(judge(output, gate, *value));
    }
    if (!is_there) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("a {} gate is on output \"{}\", the outputs are: {}", metric_name(gate.metric), gate.output,
                               output_list(outputs)));
    }
    if (!is_measured) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("a {} gate is on {}, which has no rows of class scores", metric_name(gate.metric),
                               gate.output.empty() ? "every output, none of" : fmt::format("output \"{}\"", gate.output)))
          .hint("top1 needs a float output of rank 1 or 2 with 2 to 100000 elements in its last axis");
    }
  }
  return results;
}

}  // namespace smelt::parity
