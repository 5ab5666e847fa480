#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

using ir::ReduceFunction;

/// Where each element of the input goes: the output's strides over the input's axes, 0 along the reduced ones.
std::vector<std::int64_t> output_strides(const ir::Reduce& op, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> kept = shape;
  for (const std::int64_t axis : op.axes) kept[static_cast<std::size_t>(axis)] = 1;
  return broadcast_strides(kept, shape);
}

/// `result[o] = step(result[o], x[i])` for each element i that goes to o.
template <typename T, typename Step>
void fold(const ir::Reduce& op, const Frame& frame, const std::vector<T>& x, std::vector<T>& result, Step step) {
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  Walk<1> walk(shape, {output_strides(op, shape)});
  for (const T& value : x) {
    T& to = result[walk.offset(0)];
    to = step(to, value);
    walk.next();
  }
}

std::size_t reduced_count(const ir::Reduce& op, const Frame& frame) {
  std::size_t count = 1;
  for (const std::int64_t axis : op.axes) {
    count *= static_cast<std::size_t>(frame.input(0).shape[static_cast<std::size_t>(axis)]);
  }
  return count;
}

std::size_t result_count(const Frame& frame) {
  return extent_product(frame.output().shape, 0, frame.output().shape.size());
}

std::vector<double> extremes(const ir::Reduce& op, const Frame& frame, const std::vector<double>& x, bool is_max) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> result(result_count(frame), is_max ? -infinity : infinity);
  fold(op, frame, x, result, [is_max](double best, double value) {
    return std::isnan(value) || (is_max ? value > best : value < best) ? value : best;  // a NaN stays
  });
  return result;
}

std::vector<double> log_sum_exp(const ir::Reduce& op, const Frame& frame, std::vector<double> x) {
  // log(sum(exp(x - shift))) + shift, the shift being the highest of x: no term overflows
  std::vector<double> shift = extremes(op, frame, x, true);
  for (double& value : shift) value = std::isinf(value) ? 0.0 : value;
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  Walk<1> walk(shape, {output_strides(op, shape)});
  for (double& value : x) {
    value = std::exp(value - shift[walk.offset(0)]);
    walk.next();
  }
  std::vector<double> result(result_count(frame), 0);
  fold(op, frame, x, result, [](double sum, double value) { return sum + value; });
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = std::log(result[i]) + shift[i];
  return result;
}

std::vector<double> reduce_floats(const ir::Reduce& op, const Frame& frame, const std::vector<double>& x) {
  const ReduceFunction function = op.function;
  if (function == ReduceFunction::kMax || function == ReduceFunction::kMin) {
    return extremes(op, frame, x, function == ReduceFunction::kMax);
  }
  if (function == ReduceFunction::kLogSumExp) return log_sum_exp(op, frame, x);
  std::vector<double> result(result_count(frame), function == ReduceFunction::kProd ? 1.0 : 0.0);
  fold(op, frame, x, result, [function](double sum, double value) {
    switch (function) {
      case ReduceFunction::kProd: return sum * value;
      case ReduceFunction::kL1: return sum + std::fabs(value);
      case ReduceFunction::kL2:
      case ReduceFunction::kSumSquare: return sum + value * value;
      default: return sum + value;
    }
  });
  const auto count = static_cast<double>(reduced_count(op, frame));
  for (double& value : result) {
    if (function == ReduceFunction::kMean) value /= count;
    if (function == ReduceFunction::kL2) value = std::sqrt(value);
  }
  return result;
}

Result<std::vector<std::int64_t>> reduce_integers(const ir::Reduce& op, const Frame& frame) {
  const DType dtype = frame.input(0).dtype;
  const ReduceFunction function = op.function;
  std::int64_t initial = function == ReduceFunction::kProd ? 1 : 0;
  if (function == ReduceFunction::kMax) initial = integer_range(dtype).first;
  if (function == ReduceFunction::kMin) initial = integer_range(dtype).second;
  std::vector<std::int64_t> result(result_count(frame), initial);
  fold(op, frame, to_int64s(frame.input(0)), result, [function, dtype](std::int64_t sum, std::int64_t value) {
    switch (function) {
      case ReduceFunction::kMax: return is_less(dtype, sum, value) ? value : sum;
      case ReduceFunction::kMin: return is_less(dtype, value, sum) ? value : sum;
      case ReduceFunction::kProd: return wrap_multiply(sum, value);
      case ReduceFunction::kL1: return is_less(dtype, value, 0) ? wrap_subtract(sum, value) : wrap_add(sum, value);
      case ReduceFunction::kSumSquare: return wrap_add(sum, wrap_multiply(value, value));
      default: return wrap_add(sum, value);
    }
  });
  if (function == ReduceFunction::kMean) {
    const auto count = static_cast<std::int64_t>(reduced_count(op, frame));
    if (count == 0) return invalid(fmt::format("mean of 0 elements of {}", name(dtype)));
    for (std::int64_t& value : result) value = divide(dtype, value, count);
  }
  return result;
}

}  // namespace

Status run(const ir::Reduce& op, const Frame& frame) {
  if (is_float(frame.input(0).dtype)) {
    store(frame.output(), reduce_floats(op, frame, to_doubles(frame.input(0))));
    return {};
  }
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> result, reduce_integers(op, frame));
  store(frame.output(), result);
  return {};
}

}  // namespace smelt::eval
