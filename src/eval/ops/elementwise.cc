#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

using ir::OpKind;

template <typename Function>
Status map_floats(const Frame& frame, Function function) {
  std::vector<double> values = to_doubles(frame.input(0));
  for (double& value : values) value = function(value);
  store(frame.output(), values);
  return {};
}

template <typename Function>
Status map_integers(const Frame& frame, Function function) {
  std::vector<std::int64_t> values = to_int64s(frame.input(0));
  for (std::int64_t& value : values) value = function(value);
  store(frame.output(), values);
  return {};
}

double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);  // no overflow on this side
  return e / (1 + e);
}

/// NaN if either is; std::fmin and std::min do not promise that.
double minimum(double a, double b) { return std::isnan(a) || a < b ? a : b; }
double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }

double sign(double x) { return std::isnan(x) ? x : x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

double unary(OpKind kind, double x) {
  switch (kind) {
    case OpKind::kAbs: return std::fabs(x);
    case OpKind::kNeg: return -x;
    case OpKind::kSign: return sign(x);
    case OpKind::kExp: return std::exp(x);
    case OpKind::kLog: return std::log(x);
    case OpKind::kSqrt: return std::sqrt(x);
    case OpKind::kReciprocal: return 1 / x;
    case OpKind::kFloor: return std::floor(x);
    case OpKind::kCeil: return std::ceil(x);
    case OpKind::kRound: return std::nearbyint(x);  // half to even in the default rounding mode
    case OpKind::kSin: return std::sin(x);
    case OpKind::kCos: return std::cos(x);
    case OpKind::kErf: return std::erf(x);
    case OpKind::kRelu: return maximum(x, 0);
    case OpKind::kSigmoid: return sigmoid(x);
    case OpKind::kTanh: return std::tanh(x);
    case OpKind::kSoftplus: return maximum(x, 0) + std::log1p(std::exp(-std::fabs(x)));
    case OpKind::kSoftsign: return x / (1 + std::fabs(x));
    case OpKind::kSilu: return x * sigmoid(x);
    case OpKind::kHardSwish: return x * minimum(maximum(x / 6 + 0.5, 0), 1);
    default: SMELT_CHECK(false);
  }
}

std::int64_t unary(OpKind kind, std::int64_t x) {
  switch (kind) {
    case OpKind::kAbs: return x < 0 ? wrap_subtract(0, x) : x;
    case OpKind::kNeg: return wrap_subtract(0, x);
    case OpKind::kSign: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case OpKind::kRelu: return std::max<std::int64_t>(x, 0);
    case OpKind::kNot: return x == 0 ? 1 : 0;
    default: SMELT_CHECK(false);
  }
}

double binary(OpKind kind, double a, double b) {
  switch (kind) {
    case OpKind::kAdd: return a + b;
    case OpKind::kSub: return a - b;
    case OpKind::kMul: return a * b;
    case OpKind::kDiv: return a / b;
    case OpKind::kPow: return std::pow(a, b);
    case OpKind::kMin: return minimum(a, b);
    case OpKind::kMax: return maximum(a, b);
    default: SMELT_CHECK(false);
  }
}

bool compares(OpKind kind, double a, double b) {
  switch (kind) {
    case OpKind::kEqual: return a == b;
    case OpKind::kLess: return a < b;
    case OpKind::kLessOrEqual: return a <= b;
    case OpKind::kGreater: return a > b;
    case OpKind::kGreaterOrEqual: return a >= b;
    default: SMELT_CHECK(false);
  }
}

/// a^b modulo 2^64; for a negative b the exact value cut to an integer.
std::int64_t power(DType dtype, std::int64_t a, std::int64_t b) {
  if (is_less(dtype, b, 0)) {
    if (a == -1) return b % 2 == 0 ? 1 : -1;
    return a == 1 ? 1 : 0;
  }
  std::int64_t result = 1;
  for (auto exponent = static_cast<std::uint64_t>(b); exponent != 0; exponent >>= 1) {
    if ((exponent & 1U) != 0) result = wrap_multiply(result, a);
    a = wrap_multiply(a, a);
  }
  return result;
}

/// Of integers and bools, comparisons as 0 or 1. A divisor is not 0.
std::int64_t binary(OpKind kind, DType dtype, std::int64_t a, std::int64_t b) {
  switch (kind) {
    case OpKind::kAdd: return wrap_add(a, b);
    case OpKind::kSub: return wrap_subtract(a, b);
    case OpKind::kMul: return wrap_multiply(a, b);
    case OpKind::kDiv: return divide(dtype, a, b);
    case OpKind::kPow: return power(dtype, a, b);
    case OpKind::kMin: return is_less(dtype, b, a) ? b : a;
    case OpKind::kMax: return is_less(dtype, a, b) ? b : a;
    case OpKind::kEqual: return a == b ? 1 : 0;
    case OpKind::kLess: return is_less(dtype, a, b) ? 1 : 0;
    case OpKind::kLessOrEqual: return is_less(dtype, b, a) ? 0 : 1;
    case OpKind::kGreater: return is_less(dtype, b, a) ? 1 : 0;
    case OpKind::kGreaterOrEqual: return is_less(dtype, a, b) ? 0 : 1;
    case OpKind::kAnd: return a & b;
    case OpKind::kOr: return a | b;
    case OpKind::kXor: return a ^ b;
    default: SMELT_CHECK(false);
  }
}

/// `out[i] = function(a[i], b[i])`, a and b broadcast.
template <typename In, typename Out, typename Function>
void zip(const Frame& frame, const std::vector<In>& a, const std::vector<In>& b, std::vector<Out>& out,
         Function function) {
  const std::vector<std::int64_t>& shape = frame.output().shape;
  out.resize(extent_product(shape, 0, shape.size()));
  Walk<2> walk(shape, {broadcast_strides(frame.input(0).shape, shape), broadcast_strides(frame.input(1).shape, shape)});
  for (Out& value : out) {
    value = function(a[walk.offset(0)], b[walk.offset(1)]);
    walk.next();
  }
}

/// Toward zero, saturating; NaN is 0.
std::int64_t cut_to_integer(double x, DType to) {
  const std::pair<std::int64_t, std::int64_t> range = integer_range(to);
  if (std::isnan(x)) return 0;
  if (to == DType::kU64) {
    if (x < 1) return 0;
    return x >= 0x1p64 ? range.second : static_cast<std::int64_t>(static_cast<std::uint64_t>(x));
  }
  // Every bound but 2^63 - 1 is a double, and that one is the last below 2^63.
  if (x <= static_cast<double>(range.first)) return range.first;
  if (x >= static_cast<double>(range.second)) return range.second;
  return static_cast<std::int64_t>(x);
}

/// A double that rounds to a float of 32 or 16 bits as the integer itself would: past 53 bits it is cut, the last bit set
/// where something was cut off.
double widen_integer(std::int64_t value, DType from) {
  const bool is_negative = from != DType::kU64 && value < 0;
  const auto raw = static_cast<std::uint64_t>(value);
  const std::uint64_t magnitude = is_negative ? 0 - raw : raw;
  double wide = 0;
  if (magnitude >> 53 == 0) {
    wide = static_cast<double>(magnitude);
  } else {
    const std::uint64_t sticky = (magnitude & 0x7ffU) != 0 ? 1 : 0;
    wide = static_cast<double>(magnitude >> 11 | sticky) * 0x1p11;
  }
  return is_negative ? -wide : wide;
}

Status cast_integers(const Frame& frame, DType from, DType to) {
  const std::vector<std::int64_t> values = to_int64s(frame.input(0));
  if (!is_float(to)) {
    store(frame.output(), values);  // discards the higher bits; to bool: not 0
    return {};
  }
  std::vector<double> out;
  out.reserve(values.size());
  for (const std::int64_t value : values) {
    if (to != DType::kF64) {
      out.push_back(widen_integer(value, from));
    } else if (from == DType::kU64) {
      out.push_back(static_cast<double>(static_cast<std::uint64_t>(value)));
    } else {
      out.push_back(static_cast<double>(value));
    }
  }
  store(frame.output(), out);
  return {};
}

/// Softmax of `count` elements, `step` apart.
void softmax(double* values, std::size_t count, std::size_t step) {
  double highest = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < count; ++i) highest = maximum(highest, values[i * step]);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += values[i * step] = std::exp(values[i * step] - highest);
  for (std::size_t i = 0; i < count; ++i) values[i * step] /= sum;
}

}  // namespace

Status run_unary(OpKind kind, const Frame& frame) {
  if (kind == OpKind::kIdentity) {
    frame.output().bytes = frame.input(0).bytes;
    return {};
  }
  if (kind == OpKind::kIsNan) {
    std::vector<std::int64_t> flags;
    for (const double value : to_doubles(frame.input(0))) flags.push_back(std::isnan(value) ? 1 : 0);
    store(frame.output(), flags);
    return {};
  }
  if (is_float(frame.input(0).dtype)) return map_floats(frame, [kind](double x) { return unary(kind, x); });
  return map_integers(frame, [kind](std::int64_t x) { return unary(kind, x); });
}

Status run(const ir::LeakyRelu& op, const Frame& frame) {
  const double alpha = static_cast<double>(op.alpha);
  return map_floats(frame, [alpha](double x) { return x >= 0 ? x : alpha * x; });
}

Status run(const ir::Elu& op, const Frame& frame) {
  const double alpha = static_cast<double>(op.alpha);
  return map_floats(frame, [alpha](double x) { return x > 0 ? x : alpha * std::expm1(x); });
}

Status run(const ir::HardSigmoid& op, const Frame& frame) {
  const double alpha = static_cast<double>(op.alpha);
  const double beta = static_cast<double>(op.beta);
  return map_floats(frame, [alpha, beta](double x) { return minimum(maximum(alpha * x + beta, 0), 1); });
}

Status run(const ir::Gelu& op, const Frame& frame) {
  if (!op.is_tanh) {
    // erfc keeps the digits that 1 + erf loses far below zero
    return map_floats(frame, [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); });
  }
  const double scale = std::sqrt(2 / std::numbers::pi);
  return map_floats(frame, [scale](double x) { return 0.5 * x * (1 + std::tanh(scale * (x + 0.044715 * x * x * x))); });
}

Status run(const ir::Clip& op, const Frame& frame) {
  const double low = static_cast<double>(op.min);
  const double high = static_cast<double>(op.max);
  return map_floats(frame, [low, high](double x) { return minimum(maximum(x, low), high); });
}

Status run(const ir::Cast& op, const Frame& frame) {
  const DType from = frame.input(0).dtype;
  if (from == op.to) return run_unary(OpKind::kIdentity, frame);
  if (!is_float(from)) return cast_integers(frame, from, op.to);
  const std::vector<double> values = to_doubles(frame.input(0));
  if (is_float(op.to)) {
    store(frame.output(), values);
    return {};
  }
  std::vector<std::int64_t> out;
  out.reserve(values.size());
  for (const double value : values) {
    out.push_back(op.to == DType::kBool ? (value != 0 ? 1 : 0) : cut_to_integer(value, op.to));
  }
  store(frame.output(), out);
  return {};
}

Status run(const ir::Softmax& op, const Frame& frame) {
  std::vector<double> values = to_doubles(frame.input(0));
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const auto axis = static_cast<std::size_t>(op.axis);
  const auto count = static_cast<std::size_t>(shape[axis]);
  const std::size_t inner = extent_product(shape, axis + 1, shape.size());
  for (std::size_t outer = 0; outer < extent_product(shape, 0, axis); ++outer) {
    for (std::size_t i = 0; i < inner; ++i) softmax(&values[outer * count * inner + i], count, inner);
  }
  store(frame.output(), values);
  return {};
}

Status run_binary(OpKind kind, const Frame& frame) {
  const DType dtype = frame.input(0).dtype;
  std::vector<std::int64_t> integers;
  if (is_float(dtype)) {
    const std::vector<double> a = to_doubles(frame.input(0));
    const std::vector<double> b = to_doubles(frame.input(1));
    if (frame.output().dtype == DType::kBool) {
      zip(frame, a, b, integers, [kind](double x, double y) { return compares(kind, x, y) ? std::int64_t{1} : 0; });
      store(frame.output(), integers);
      return {};
    }
    std::vector<double> floats;
    zip(frame, a, b, floats, [kind](double x, double y) { return binary(kind, x, y); });
    store(frame.output(), floats);
    return {};
  }
  const std::vector<std::int64_t> a = to_int64s(frame.input(0));
  const std::vector<std::int64_t> b = to_int64s(frame.input(1));
  if (kind == OpKind::kDiv && std::ranges::find(b, 0) != b.end()) {
    return invalid(fmt::format("{} divided by 0", type_text(dtype, frame.input(0).shape)));
  }
  zip(frame, a, b, integers, [kind, dtype](std::int64_t x, std::int64_t y) { return binary(kind, dtype, x, y); });
  store(frame.output(), integers);
  return {};
}

Status run(const ir::Where&, const Frame& frame) {
  const std::vector<std::int64_t> condition = to_int64s(frame.input(0));
  const HostTensor a = unpack_4_bit(frame.input(1));
  const HostTensor b = unpack_4_bit(frame.input(2));
  const std::vector<std::int64_t>& shape = frame.output().shape;
  HostTensor out{.dtype = a.dtype, .shape = shape, .bytes = {}};
  const std::size_t count = extent_product(shape, 0, shape.size());
  const std::size_t size = element_bytes(a);
  out.bytes.resize(count * size);
  Walk<3> walk(shape, {broadcast_strides(frame.input(0).shape, shape), broadcast_strides(a.shape, shape),
                       broadcast_strides(b.shape, shape)});
  for (std::size_t i = 0; i < count; ++i) {
    const bool is_a = condition[walk.offset(0)] != 0;
    const std::byte* from = is_a ? &a.bytes[walk.offset(1) * size] : &b.bytes[walk.offset(2) * size];
    std::memcpy(&out.bytes[i * size], from, size);
    walk.next();
  }
  if (is_4_bit(frame.output().dtype)) {
    pack_4_bit(out, frame.output());
  } else {
    frame.output() = std::move(out);
  }
  return {};
}

}  // namespace smelt::eval
