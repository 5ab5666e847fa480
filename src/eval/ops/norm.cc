#include <cmath>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// (x - mean) / sqrt(variance + epsilon) in place, of one group; biased variance, in two passes.
void normalize(std::span<double> group, double epsilon) {
  const auto count = static_cast<double>(group.size());
  double sum = 0;
  for (const double value : group) sum += value;
  const double mean = sum / count;
  double squares = 0;
  for (const double value : group) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / count + epsilon);
  for (double& value : group) value = (value - mean) / deviation;
}

}  // namespace

Status run(const ir::BatchNorm& op, const Frame& frame) {
  std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> gamma = to_doubles(frame.input(1));
  const std::vector<double> beta = to_doubles(frame.input(2));
  const std::vector<double> mean = to_doubles(frame.input(3));
  const std::vector<double> variance = to_doubles(frame.input(4));
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const std::size_t inner = extent_product(shape, 2, shape.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t channel = i / inner % gamma.size();
    const double deviation = std::sqrt(variance[channel] + static_cast<double>(op.epsilon));
    x[i] = gamma[channel] * (x[i] - mean[channel]) / deviation + beta[channel];
  }
  store(frame.output(), x);
  return {};
}

Status run(const ir::LayerNorm& op, const Frame& frame) {
  std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> gamma = frame.has(1) ? to_doubles(frame.input(1)) : std::vector<double>();
  const std::vector<double> beta = frame.has(2) ? to_doubles(frame.input(2)) : std::vector<double>();
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const std::size_t inner = extent_product(shape, static_cast<std::size_t>(op.axis), shape.size());
  for (std::size_t begin = 0; begin < x.size(); begin += inner) {
    const std::span<double> group(&x[begin], inner);
    normalize(group, static_cast<double>(op.epsilon));
    for (std::size_t i = 0; i < inner; ++i) {
      group[i] = group[i] * (gamma.empty() ? 1.0 : gamma[i]) + (beta.empty() ? 0.0 : beta[i]);
    }
  }
  store(frame.output(), x);
  return {};
}

Status run(const ir::InstanceNorm& op, const Frame& frame) {
  std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> gamma = to_doubles(frame.input(1));
  const std::vector<double> beta = to_doubles(frame.input(2));
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const std::size_t inner = extent_product(shape, 2, shape.size());
  for (std::size_t begin = 0; begin < x.size(); begin += inner) {
    const std::size_t channel = begin / inner % gamma.size();
    const std::span<double> group(&x[begin], inner);
    normalize(group, static_cast<double>(op.epsilon));
    for (double& value : group) value = value * gamma[channel] + beta[channel];
  }
  store(frame.output(), x);
  return {};
}

}  // namespace smelt::eval
