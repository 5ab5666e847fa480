#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "ir/ops/all.h"
#include "tensor/float16.h"

namespace smelt::eval {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test
using Values = std::vector<double>;
using Extents = std::vector<std::int64_t>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

template <typename T>
void append(HostTensor& tensor, T value) {
  const std::size_t size = tensor.bytes.size();
  tensor.bytes.resize(size + sizeof(T));
  std::memcpy(tensor.bytes.data() + size, &value, sizeof(T));
}

/// A tensor of values that the dtype holds exactly.
HostTensor make(DType dtype, Extents shape, const Values& values) {
  HostTensor tensor{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    switch (dtype) {
      case DType::kF32: append(tensor, static_cast<float>(value)); break;
      case DType::kF64: append(tensor, value); break;
      case DType::kF16: append(tensor, f16_bits(static_cast<float>(value))); break;
      case DType::kI8: append(tensor, static_cast<std::int8_t>(value)); break;
      case DType::kU8:
      case DType::kBool: append(tensor, static_cast<std::uint8_t>(value)); break;
      case DType::kI32: append(tensor, static_cast<std::int32_t>(value)); break;
      case DType::kI64: append(tensor, static_cast<std::int64_t>(value)); break;
      case DType::kU64: append(tensor, static_cast<std::uint64_t>(value)); break;
      case DType::kI4: {
        const auto nibble = static_cast<std::uint8_t>(static_cast<int>(value) & 15);
        if (i % 2 == 0) {
          append(tensor, nibble);
        } else {
          tensor.bytes.back() |= static_cast<std::byte>(nibble << 4);
        }
        break;
      }
      default: ADD_FAILURE() << "no values of " << name(dtype);
    }
  }
  return tensor;
}

HostTensor f32(Extents shape, const Values& values) { return make(DType::kF32, std::move(shape), values); }
HostTensor i64(Extents shape, const Values& values) { return make(DType::kI64, std::move(shape), values); }
HostTensor i32(Extents shape, const Values& values) { return make(DType::kI32, std::move(shape), values); }
HostTensor boolean(Extents shape, const Values& values) { return make(DType::kBool, std::move(shape), values); }
HostTensor exact_i64(std::vector<std::int64_t> values) {
  return i64_tensor({static_cast<std::int64_t>(values.size())}, values);
}

/// Small integers in no order: (step * i + first) mod 11 - 5.
HostTensor scattered(Extents shape, int step, int first) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  Values values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>((step * i + first) % 11 - 5));
  return f32(std::move(shape), values);
}

Values counting(int count) {
  Values values;
  for (int i = 0; i < count; ++i) values.push_back(i);
  return values;
}

Result<std::vector<HostTensor>> run(const Op& op, const std::vector<HostTensor>& inputs) {
  std::vector<const HostTensor*> operands;
  for (const HostTensor& input : inputs) operands.push_back(&input);
  return evaluate(op, operands);
}

/// One op, its operands, and its results: of numbers within `tolerance` (relative to 1 or to the number).
struct Case {
  std::string what;
  Op op;
  std::vector<HostTensor> inputs;
  std::vector<HostTensor> expected;
  double tolerance = 0;
};

void check(const Case& c) {
  SCOPED_TRACE(std::string(c.op.name()) + ": " + c.what);
  const Result<std::vector<HostTensor>> results = run(c.op, c.inputs);
  if (!results.ok()) {
    ADD_FAILURE() << results.error().to_string();
    return;
  }
  ASSERT_EQ(results->size(), c.expected.size());
  for (std::size_t k = 0; k < c.expected.size(); ++k) {
    const HostTensor& actual = (*results)[k];
    ASSERT_EQ(type_text(actual.dtype, actual.shape), type_text(c.expected[k].dtype, c.expected[k].shape));
    if (c.tolerance == 0 && !is_float(actual.dtype)) {
      EXPECT_EQ(actual, c.expected[k]);
      continue;
    }
    const Values a = to_doubles(actual);
    const Values e = to_doubles(c.expected[k]);
    ASSERT_EQ(a.size(), e.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(e[i]) || std::isinf(e[i])) {
        EXPECT_TRUE(std::isnan(e[i]) ? std::isnan(a[i]) : a[i] == e[i]) << i << ": " << a[i] << " for " << e[i];
      } else {
        EXPECT_NEAR(a[i], e[i], c.tolerance * std::max(1.0, std::fabs(e[i]))) << i;
      }
    }
  }
}

// Expected numbers: by hand where they are short; the others by NumPy 64-bit or ONNX Runtime on the CPU, same operands.

const Values& xs() {
  static const Values values{-3, -1.5, -0.5, 0, 0.5, 1, 2.5, 20};
  return values;
}

Case map_case(Op op, const Values& expected, double tolerance = 1e-7) {
  return {"eight numbers", std::move(op), {f32({8}, xs())}, {f32({8}, expected)}, tolerance};
}

std::vector<Case> unary_cases() {
  return {
      {"copies", Identity{}, {boolean({3}, {1, 0, 1})}, {boolean({3}, {1, 0, 1})}},
      {"copies 4-bit", Identity{}, {make(DType::kI4, {3}, {1, -8, 7})}, {make(DType::kI4, {3}, {1, -8, 7})}},
      map_case(Abs{}, {3, 1.5, 0.5, 0, 0.5, 1, 2.5, 20}, 0),
      {"wraps", Abs{}, {make(DType::kI8, {3}, {-128, -1, 5})}, {make(DType::kI8, {3}, {-128, 1, 5})}},
      map_case(Neg{}, {3, 1.5, 0.5, 0, -0.5, -1, -2.5, -20}, 0),
      {"wraps", Neg{}, {exact_i64({kLowest, 7})}, {exact_i64({kLowest, -7})}},
      map_case(Sign{}, {-1, -1, -1, 0, 1, 1, 1, 1}, 0),
      {"keeps NaN", Sign{}, {f32({1}, {kNan})}, {f32({1}, {kNan})}},
      map_case(Exp{}, {0.0497870669, 0.223130167, 0.606530666, 1, 1.64872122, 2.71828175, 12.1824942, 485165184}),
      {"outside the domain", Log{}, {f32({4}, {0, -1, 1, kInfinity})}, {f32({4}, {-kInfinity, kNan, 0, kInfinity})}},
      {"of 2", Log{}, {make(DType::kF64, {1}, {2})}, {make(DType::kF64, {1}, {0.69314718055994531})}, 1e-16},
      {"outside the domain", Sqrt{}, {f32({4}, {4, 2, 0, -1})}, {f32({4}, {2, 1.41421356, 0, kNan})}, 1e-7},
      {"of zero", Reciprocal{}, {f32({3}, {4, -0.5, 0})}, {f32({3}, {0.25, -2, kInfinity})}},
      map_case(Floor{}, {-3, -2, -1, 0, 0, 1, 2, 20}, 0),
      map_case(Ceil{}, {-3, -1, 0, 0, 1, 1, 3, 20}, 0),
      map_case(Round{}, {-3, -2, 0, 0, 0, 1, 2, 20}, 0),
      map_case(Sin{}, {-0.141120002, -0.997494996, -0.47942555, 0, 0.47942555, 0.841470957, 0.598472118, 0.912945271}),
      map_case(Cos{}, {-0.989992499, 0.070737198, 0.87758255, 1, 0.87758255, 0.540302277, -0.801143587, 0.408082068}),
      map_case(Erf{}, {-0.999977887, -0.966105163, -0.520499885, 0, 0.520499885, 0.842700779, 0.999593019, 1}),
      {"flips", Not{}, {boolean({2}, {1, 0})}, {boolean({2}, {0, 1})}},
      map_case(Relu{}, {0, 0, 0, 0, 0.5, 1, 2.5, 20}, 0),
      {"keeps NaN", Relu{}, {f32({1}, {kNan})}, {f32({1}, {kNan})}},
      {"integers", Relu{}, {i32({2}, {-5, 5})}, {i32({2}, {0, 5})}},
      map_case(Sigmoid{}, {0.0474258736, 0.182425529, 0.377540678, 0.5, 0.622459352, 0.731058598, 0.924141824, 1}),
      {"far out", Sigmoid{}, {f32({2}, {-1000, 1000})}, {f32({2}, {0, 1})}},
      map_case(Tanh{}, {-0.995054781, -0.905148268, -0.462117165, 0, 0.462117165, 0.761594176, 0.986614287, 1}),
      map_case(Softplus{}, {0.048587352, 0.201413274, 0.474076986, 0.693147182, 0.974076986, 1.31326163, 2.57888985, 20}),
      {"far out", Softplus{}, {f32({2}, {-1000, 1000})}, {f32({2}, {0, 1000})}},
      map_case(Softsign{}, {-0.75, -0.600000024, -0.333333343, 0, 0.333333343, 0.5, 0.714285731, 0.952380955}),
      map_case(Silu{}, {-0.142277613, -0.273638278, -0.188770339, 0, 0.311229676, 0.731058598, 2.31035447, 20}),
      map_case(HardSwish{}, {0, -0.375, -0.208333328, 0, 0.291666657, 0.666666687, 2.29166675, 20}),
      map_case(LeakyRelu{.alpha = 0.5F}, {-1.5, -0.75, -0.25, 0, 0.5, 1, 2.5, 20}, 0),
      map_case(Elu{.alpha = 2}, {-1.90042591, -1.55373967, -0.786938667, 0, 0.5, 1, 2.5, 20}),
      map_case(HardSigmoid{}, {0, 0.199999988, 0.400000006, 0.5, 0.600000024, 0.699999988, 1, 1}),
      map_case(Gelu{}, {-0.00404969417, -0.100210801, -0.154268771, 0, 0.345731229, 0.841344774, 2.48447585, 20}),
      map_case(Gelu{.is_tanh = true}, {-0.00363739207, -0.100428425, -0.154285997, 0, 0.345714003, 0.841192007, 2.48491573,
          20}),
      map_case(Clip{.min = -1, .max = 2}, {-1, -1, -0.5, 0, 0.5, 1, 2, 2}, 0),
      {"max wins", Clip{.min = 3, .max = 2}, {f32({2}, {0, 5})}, {f32({2}, {2, 2})}},
  };
}

std::vector<Case> cast_cases() {
  return {
      {"cuts and saturates", Cast{.to = DType::kI8}, {f32({6}, {-1.9, 1.9, 300, -300, kNan, kInfinity})},
       {make(DType::kI8, {6}, {-1, 1, 127, -128, 0, 127})}},
      {"cuts and saturates", Cast{.to = DType::kU64}, {f32({3}, {-5, 0x1p63, 0x1p70})},
       {HostTensor{.dtype = DType::kU64, .shape = {3}, .bytes = exact_i64({0, kLowest, -1}).bytes}}},
      {"saturates", Cast{.to = DType::kI64}, {f32({2}, {-0x1p70, 0x1p63})}, {exact_i64({kLowest, -(kLowest + 1)})}},
      {"to bool", Cast{.to = DType::kBool}, {f32({4}, {0, -0.0, 0.5, kNan})}, {boolean({4}, {0, 0, 1, 1})}},
      {"integer to bool", Cast{.to = DType::kBool}, {i32({3}, {0, 256, -1})}, {boolean({3}, {0, 1, 1})}},
      {"drops the high bits", Cast{.to = DType::kI8}, {i32({2}, {200, -129})}, {make(DType::kI8, {2}, {-56, 127})}},
      {"to 4 bits and back", Cast{.to = DType::kI4}, {f32({3}, {-9, 3, 8})}, {make(DType::kI4, {3}, {-8, 3, 7})}},
      {"of 4 bits", Cast{.to = DType::kF32}, {make(DType::kI4, {3}, {-8, 3, 7})}, {f32({3}, {-8, 3, 7})}},
      // 2^60 + 2^36 is half way between floats and goes down to even; 1 more goes up, which a stop at double would lose
      {"integer to float once", Cast{.to = DType::kF32}, {exact_i64({(1LL << 60) + (1LL << 36), (1LL << 60) + (1LL << 36) +
       1})},
       {f32({2}, {0x1p60, 0x1p60 + 0x1p37})}},
      // 1 + 2^-11 is half way between halves; 2^-40 more goes up, which a stop at float would lose
      {"double to half once", Cast{.to = DType::kF16}, {make(DType::kF64, {2}, {1 + 0x1p-11, 1 + 0x1p-11 + 0x1p-40})},
       {make(DType::kF16, {2}, {1, 1 + 0x1p-10})}},
      {"half subnormals and infinity", Cast{.to = DType::kF16},
       {make(DType::kF64, {4}, {0x1p-25, 0x1p-25 + 0x1p-60, 65519.999999, -65520})}, {make(DType::kF16, {4}, {0, 0x1p-24,
        65504, -kInfinity})}},
  };
}

std::vector<Case> softmax_cases() {
  return {
      {"middle axis", Softmax{.axis = 1}, {scattered({2, 3, 4}, 7, 3)}, {f32({2, 3, 4}, {0.00245611486, 0.993262351,
       0.268454939, 0.00245611486, 0.990867496, 0.00669254921, 0.00180883519, 0.990867496, 0.00667641265, 4.50940424e-05,
       0.729736209, 0.00667641265, 0.993262351, 0.268454939, 0.00245611486, 0.268454939, 0.00669254921, 0.00180883519,
       0.990867496, 0.00180883519, 4.50940424e-05, 0.729736209, 0.00667641265, 0.729736209})}, 1e-7},
      {"large numbers", Softmax{.axis = 0}, {f32({2}, {1000, 1000})}, {f32({2}, {0.5, 0.5})}},
  };
}

Case zip_case(Op op, const Values& expected) {
  return {"broadcast", std::move(op), {f32({2, 1}, {-2, 3}), f32({3}, {3, -2, 0})}, {f32({2, 3}, expected)}};
}

Case compare_case(Op op, const Values& expected) {
  return {"numbers and NaN", std::move(op), {f32({4}, {1, 2, 3, kNan}), f32({4}, {2, 2, 2, kNan})}, {boolean({4},
      expected)}};
}

Case logic_case(Op op, const Values& expected) {
  return {"truth table", std::move(op), {boolean({4}, {0, 0, 1, 1}), boolean({4}, {0, 1, 0, 1})}, {boolean({4}, expected)}};
}

std::vector<Case> binary_cases() {
  const HostTensor big{.dtype = DType::kU64, .shape = {2}, .bytes = exact_i64({-1, 1}).bytes};
  const HostTensor two = make(DType::kU64, {1}, {2});
  return {
      zip_case(Add{}, {1, -4, -2, 6, 1, 3}),
      {"wraps", Add{}, {make(DType::kU8, {2}, {250, 1}), make(DType::kU8, {1}, {10})}, {make(DType::kU8, {2}, {4, 11})}},
      zip_case(Sub{}, {-5, 0, -2, 0, 5, 3}),
      {"4-bit", Sub{}, {make(DType::kI4, {3}, {-8, 1, 7}), make(DType::kI4, {}, {1})}, {make(DType::kI4, {3}, {7, 0, 6})}},
      zip_case(Mul{}, {-6, 4, 0, 9, -6, 0}),
      {"wraps", Mul{}, {exact_i64({kLowest, 3}), exact_i64({-1, 4})}, {exact_i64({kLowest, 12})}},
      zip_case(Div{}, {-2.0 / 3, 1, -kInfinity, 1, -1.5, kInfinity}),
      {"toward zero", Div{}, {i32({4}, {7, -7, 7, -7}), i32({4}, {2, 2, -2, -2})}, {i32({4}, {3, -3, -3, 3})}},
      {"wraps", Div{}, {exact_i64({kLowest}), exact_i64({-1})}, {exact_i64({kLowest})}},
      {"unsigned", Div{}, {big, two}, {HostTensor{.dtype = DType::kU64, .shape = {2}, .bytes = exact_i64({-(kLowest + 1),
       0}).bytes}}},
      zip_case(Pow{}, {-8, 0.25, 1, 27, 1.0 / 9, 1}),
      {"integers", Pow{}, {i64({7}, {3, -2, 2, 1, -1, -1, 0}), i64({7}, {4, 3, -1, -5, -3, -4, 0})}, {i64({7}, {81, -8, 0,
       1, -1, 1, 1})}},
      zip_case(Min{}, {-2, -2, -2, 3, -2, 0}),
      {"NaN", Min{}, {f32({2}, {kNan, 1}), f32({2}, {1, kNan})}, {f32({2}, {kNan, kNan})}},
      {"unsigned", Min{}, {big, two}, {make(DType::kU64, {2}, {2, 1})}},
      zip_case(Max{}, {3, -2, 0, 3, 3, 3}),
      {"NaN", Max{}, {f32({2}, {kNan, 1}), f32({2}, {1, kNan})}, {f32({2}, {kNan, kNan})}},
      compare_case(Equal{}, {0, 1, 0, 0}),
      {"bool", Equal{}, {boolean({2}, {0, 1}), boolean({1}, {1})}, {boolean({2}, {0, 1})}},
      compare_case(Less{}, {1, 0, 0, 0}),
      {"unsigned", Less{}, {big, two}, {boolean({2}, {0, 1})}},
      compare_case(LessOrEqual{}, {1, 1, 0, 0}),
      compare_case(Greater{}, {0, 0, 1, 0}),
      compare_case(GreaterOrEqual{}, {0, 1, 1, 0}),
      {"integers", GreaterOrEqual{}, {i32({3}, {1, 2, 3}), i32({}, {2})}, {boolean({3}, {0, 1, 1})}},
      logic_case(And{}, {0, 0, 0, 1}),
      logic_case(Or{}, {0, 1, 1, 1}),
      logic_case(Xor{}, {0, 1, 1, 0}),
      {"broadcast", Where{}, {boolean({2, 1}, {1, 0}), f32({2}, {1, 2}), f32({}, {9})}, {f32({2, 2}, {1, 2, 9, 9})}},
      {"4-bit", Where{}, {boolean({3}, {1, 0, 1}), make(DType::kI4, {3}, {1, 2, 3}), make(DType::kI4, {1}, {-1})},
       {make(DType::kI4, {3}, {1, -1, 3})}},
  };
}

std::vector<Case> window_cases() {
  const Conv conv{.stride = {2, 1}, .dilation = {2, 1}, .pads_begin = {1, 0}, .pads_end = {2, 1}, .groups = 2};
  const Conv line{.stride = {1}, .dilation = {1}, .pads_begin = {1}, .pads_end = {1}, .groups = 1};
  const Conv volume{.stride = {1, 1, 1}, .dilation = {1, 1, 1}, .pads_begin = {0, 0, 0}, .pads_end = {0, 0, 1}, .groups = 1};
  const MaxPool max{.kernel = {3, 2}, .stride = {2, 2}, .pads_begin = {1, 0}, .pads_end = {1, 1}};
  AveragePool average{.kernel = {3, 2}, .stride = {2, 2}, .pads_begin = {1, 0}, .pads_end = {1, 1}};
  const HostTensor image = scattered({1, 2, 4, 5}, 7, 3);
  std::vector<Case> cases{
      {"groups, stride, dilation, pads", conv, {scattered({2, 4, 5, 6}, 7, 3), scattered({4, 2, 2, 3}, 5, 1), scattered({4},
       3, 0)},
       {f32({2, 4, 3, 5}, {28, -1, -52, 29, -26, 3, -36, 35, -4, 17, 11, 1, 2, -41, 14, -51, -2, 25, -58, 20, -3, 37, -55,
        40, 4, 10, 1, 3, 16, -42, 10, 38, -55, 28, -22, 69, -120, 65, -3, -30, -64, 38, -3, -33, 13, 13, -2, 38, -43, 20, 7,
        73, -92, 40, 15, 39, -45, 36, 7, -25, -53, 28, -1, -52, 23, 31, 3, -36, 35, -26, -1, 11, 1, 2, -1, 32, -51, -2, 25,
        -49, -54, -3, 37, -55, 22, -3, 10, 1, 3, 1, -7, 10, 38, -55, 33, 27, 69, -120, 65, -28, 32, -64, 38, -3, -7, 39, 13,
        -2, 38, -43, 7, 7, 73, -92, 56, 13, 39, -45, 36, -9})}},
      {"1-D, no bias", line, {scattered({1, 2, 5}, 7, 3), scattered({1, 2, 3}, 5, 1)}, {f32({1, 1, 5}, {-23, -15, 12, -27,
       -9})}},
      {"3-D", volume, {scattered({1, 1, 3, 2, 3}, 7, 3), scattered({1, 1, 2, 2, 2}, 5, 1)}, {f32({1, 1, 2, 1, 3}, {-19, -11,
       -17, 84, -7, -17})}},
      {"pads", max, {image}, {f32({1, 2, 2, 3}, {5, 3, 4, 4, 5, -1, 4, 5, 3, 4, 4, 5})}},
      {"NaN", MaxPool{.kernel = {2}, .stride = {1}, .pads_begin = {0}, .pads_end = {0}}, {f32({1, 1, 4}, {1, kNan, 2, 3})},
       {f32({1, 1, 3}, {kNan, kNan, 3})}},
      {"without padding", average, {image}, {f32({1, 2, 2, 3}, {-0.25, 0, -0.5, 0, 1.16666663, -3, -0.5, -0.25, 2,
       -1.16666663, 0, 1.33333337})}, 1e-7},
  };
  average.counts_padding = true;
  cases.push_back({"with padding", average, {image}, {f32({1, 2, 2, 3}, {-0.166666672, 0, -0.166666672, 0, 1.16666663, -1.5,
      -0.333333343, -0.166666672, 0.666666687, -1.16666663, 0, 0.666666687})}, 1e-7});
  const AveragePool long_window{.kernel = {1LL << 40}, .stride = {1}, .pads_begin = {(1LL << 40) - 1}, .pads_end = {0}};
  cases.push_back({"much padding costs nothing", long_window, {f32({1, 1, 3}, {2, 4, 9})}, {f32({1, 1, 3}, {2, 3, 5})}});
  return cases;
}

std::vector<Case> matmul_cases() {
  return {
      {"batches broadcast", MatMul{}, {scattered({2, 1, 2, 3}, 7, 3), scattered({2, 3, 2}, 5, 1)}, {f32({2, 2, 2, 2}, {-12,
       -3, -8, -3, 9, -15, 0, -6, -4, -3, 0, -3, -9, 3, -18, 12})}},
      {"transposed", MatMul{.transpose_x = true, .transpose_y = true}, {f32({2, 3}, {1, 2, 3, 4, 5, 6}), f32({1, 2}, {1,
       10})},
       {f32({3, 1}, {41, 52, 63})}},
      {"wraps", MatMul{}, {make(DType::kU8, {1, 2}, {200, 100}), make(DType::kU8, {2, 1}, {2, 1})}, {make(DType::kU8, {1,
       1}, {244})}},
      {"nothing to sum", MatMul{}, {f32({2, 0}, {}), f32({0, 1}, {})}, {f32({2, 1}, {0, 0})}},
      {"bias", Linear{}, {f32({1, 2, 2}, {1, 2, 3, 4}), f32({3, 2}, {1, 0, 0, 1, 1, 1}), f32({3}, {10, 20, 30})},
       {f32({1, 2, 3}, {11, 22, 33, 13, 24, 37})}},
      {"no bias", Linear{}, {f32({1, 2}, {1, 2}), f32({1, 2}, {3, 4})}, {f32({1, 1}, {11})}},
      // 2048 + 1 + 1 would stay 2048 in half; the sum is rounded once
      {"accumulates in double", MatMul{}, {make(DType::kF16, {1, 3}, {2048, 1, 1}), make(DType::kF16, {3, 1}, {1, 1, 1})},
       {make(DType::kF16, {1, 1}, {2050})}},
  };
}

std::vector<Case> attention_cases() {
  constexpr double kLog3 = 1.0986122886681098;
  // Two keys, k = [1] and [0]; values [2, 10] and [4, 20]. Scores log 3 and 0 weigh them 3 to 1.
  const HostTensor key = f32({1, 2, 1}, {1, 0}), value = f32({1, 2, 2}, {2, 10, 4, 20});
  return {
      {"equal scores give the mean", Attention{}, {f32({1, 1, 1}, {0}), key, value}, {f32({1, 1, 2}, {3, 15})}},
      {"scores weigh", Attention{}, {f32({1, 1, 1}, {kLog3}), key, value}, {f32({1, 1, 2}, {2.5, 12.5})}, 1e-6},
      {"scaled", Attention{.scale = 0.5F}, {f32({1, 1, 1}, {2 * kLog3}), key, value}, {f32({1, 1, 2}, {2.5, 12.5})}, 1e-6},
      {"masked, a row for each query", Attention{}, {f32({1, 2, 1}, {7, 0}), key, value, f32({2, 2}, {-kInfinity, 0, 0, -kInfinity})}, {f32({1, 2, 2}, {4, 20, 2, 10})}},
      {"one mask for every query", Attention{}, {f32({1, 2, 1}, {7, 0}), key, value, f32({2}, {-kInfinity, 0})}, {f32({1, 2, 2}, {4, 20, 4, 20})}},
      {"a mask for each batch", Attention{}, {f32({2, 1, 1}, {7, 7}), f32({2, 2, 1}, {1, 0, 0, 1}), f32({2, 2, 1}, {2, 4, 6, 8}), f32({2, 1, 2}, {-kInfinity, 0, 0, -kInfinity})},
       {f32({2, 1, 1}, {4, 6})}},
      {"no key left", Attention{}, {f32({1, 1, 1}, {0}), key, value, f32({1}, {-kInfinity})}, {f32({1, 1, 2}, {kNan, kNan})}},
  };
}

std::vector<Case> norm_cases() {
  const HostTensor x = scattered({2, 3, 4}, 7, 3);
  Values gamma, beta;
  for (int i = 0; i < 12; ++i) {
    gamma.push_back(i / 4.0);
    beta.push_back(1 - i / 8.0);
  }
  const HostTensor scale = f32({3}, {1, 2, -0.5});
  const HostTensor shift = f32({3}, {0, 0.5, 1});
  return {
      {"channels", BatchNorm{}, {x, scale, shift, f32({3}, {0.5, -1, 2}), f32({3}, {1, 4, 0.25})}, {f32({2, 3, 4},
       {-2.4999876, 4.49997759, 0.499997497, -3.4999826, 5.4999938, 1.49999881, -2.49999619, 4.49999523, 3.99993992,
       7.99985981, 1, 4.99991989, 4.49997759, 0.499997497, -3.4999826, 3.4999826, 1.49999881, -2.49999619, 4.49999523, 0.5,
       7.99985981, 1, 4.99991989, -1.99994004})}, 1e-6},
      {"two axes", LayerNorm{.axis = 1}, {x, f32({3, 4}, gamma), f32({3, 4}, beta)}, {f32({2, 3, 4}, {1, 1.29468584,
       0.939535499, -0.0654508471, 1.85382521, 0.442691267, -1.61827874, 1.92558753, -0.541530073, -3.65848374, 1.50997269,
       -2.01312852, 1, 0.918818474, 0.236697569, 1.4325124, 0.374804288, -1.28384328, 1.41432011, -0.619914532, -3.25508857,
       0.945423365, -2.0653379, 3.41217041})}, 1e-6},
      {"without gamma and beta", LayerNorm{.axis = 1, .epsilon = 0}, {f32({2, 2}, {1, 3, 5, 5.5})}, {f32({2, 2}, {-1, 1, -1,
       1})}},
      {"channels", InstanceNorm{}, {x, scale, shift}, {f32({2, 3, 4}, {-0.722896993, 1.52611589, 0.240965679, -1.04418457,
       2.58836913, 0.0180686507, -2.55223179, 1.94579399, 0.900000095, 1.69999945, 0.300000548, 1.0999999, 1.04418457,
       -0.240965679, -1.52611589, 0.722896993, 0.899999678, -2.29999781, 3.29999781, 0.100000322, 1.65653193, 0.73738724,
       1.26261282, 0.34346807})}, 1e-6},
  };
}

std::vector<Case> reduce_cases() {
  const HostTensor x = scattered({2, 3, 2}, 7, 3);
  const auto outer = [&x](ReduceFunction function, const Values& expected) {
    return Case{std::string(word(function)), Reduce{.function = function, .axes = {0, 2}, .keeps_axes = false}, {x},
                {f32({3}, expected)}, 1e-7};
  };
  const auto integers = [](ReduceFunction function, const Values& expected) {
    return Case{"integers " + std::string(word(function)), Reduce{.function = function, .axes = {1}, .keeps_axes = true},
                {make(DType::kI8, {2, 3}, {-7, 100, 90, 1, -2, -3})}, {make(DType::kI8, {2, 1}, expected)}};
  };
  const auto nothing = [](ReduceFunction function, double expected) {
    return Case{"nothing " + std::string(word(function)), Reduce{.function = function, .axes = {0}, .keeps_axes = true},
                {f32({0, 1}, {})}, {f32({1, 1}, {expected})}};
  };
  return {
      outer(ReduceFunction::kSum, {2, -8, 4}), outer(ReduceFunction::kMean, {0.5, -2, 1}), outer(ReduceFunction::kMax, {5,
      1, 4}),
      outer(ReduceFunction::kMin, {-4, -5, -2}), outer(ReduceFunction::kProd, {120, -15, 0}), outer(ReduceFunction::kL1,
      {14, 10, 8}),
      outer(ReduceFunction::kL2, {7.34846926, 6, 4.89897966}), outer(ReduceFunction::kSumSquare, {54, 36, 24}),
      outer(ReduceFunction::kLogSumExp, {5.12783957, 1.14507794, 4.14507771}),
      integers(ReduceFunction::kSum, {-73, -4}),       // 183 wraps
      integers(ReduceFunction::kMean, {61, -1}),       // toward zero
      integers(ReduceFunction::kMax, {100, 1}), integers(ReduceFunction::kMin, {-7, -3}),
      integers(ReduceFunction::kProd, {-24, 6}),       // -63000 = -247 * 256 + 232
      integers(ReduceFunction::kL1, {-59, 6}),         // 197 wraps
      integers(ReduceFunction::kSumSquare, {-27, 14}),  // 18149 = 71 * 256 - 27
      nothing(ReduceFunction::kSum, 0), nothing(ReduceFunction::kProd, 1), nothing(ReduceFunction::kMax, -kInfinity),
      nothing(ReduceFunction::kMean, kNan), nothing(ReduceFunction::kLogSumExp, -kInfinity),
      {"large numbers", Reduce{.function = ReduceFunction::kLogSumExp, .axes = {0}, .keeps_axes = false},
       {f32({2}, {1000, 1000})}, {f32({}, {1000.6931471805599})}, 1e-7},
  };
}

std::vector<Case> shape_cases() {
  const HostTensor x = f32({2, 3}, counting(6));
  const HostTensor nibbles = make(DType::kI4, {3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, -8});
  const HostTensor cube = f32({2, 3, 4}, counting(24));
  return {
      {"keeps the order", Reshape{.shape = {3, -1}}, {x}, {f32({3, 2}, counting(6))}},
      {"swaps", Transpose{.perm = {1, 0}}, {x}, {f32({3, 2}, {0, 3, 1, 4, 2, 5})}},
      {"three axes", Transpose{.perm = {1, 0, 2}}, {f32({2, 2, 2}, counting(8))}, {f32({2, 2, 2}, {0, 1, 4, 5, 2, 3, 6,
       7})}},
      {"4-bit", Transpose{.perm = {1, 0}}, {nibbles}, {make(DType::kI4, {3, 3}, {0, 3, 6, 1, 4, 7, 2, 5, -8})}},
      {"empty", Transpose{.perm = {1, 0}}, {f32({0, 3}, {})}, {f32({3, 0}, {})}},
      {"drops", Squeeze{.axes = {0}}, {f32({1, 2}, {1, 2})}, {f32({2}, {1, 2})}},
      {"inserts", ExpandDims{.axes = {1}}, {f32({2}, {1, 2})}, {f32({2, 1}, {1, 2})}},
      {"inner axis", Concat{.axis = 1}, {x, f32({2, 0}, {}), f32({2, 1}, {8, 9})}, {f32({2, 4}, {0, 1, 2, 8, 3, 4, 5, 9})}},
      {"4-bit", Concat{.axis = 0}, {make(DType::kI4, {1}, {1}), make(DType::kI4, {2}, {-2, 3})}, {make(DType::kI4, {3}, {1,
       -2, 3})}},
      {"inner axis", Split{.axis = 1, .sizes = {1, 0, 2}}, {x}, {f32({2, 1}, {0, 3}), f32({2, 0}, {}), f32({2, 2}, {1, 2, 4,
       5})}},
      {"4-bit", Split{.axis = 0, .sizes = {1, 2}}, {make(DType::kI4, {3}, {1, -2, 3})}, {make(DType::kI4, {1}, {1}),
       make(DType::kI4, {2}, {-2, 3})}},
      {"steps", Slice{.begin = {1, 2}, .end = {2, -1}, .step = {1, -2}}, {x}, {f32({1, 2}, {5, 3})}},
      {"backwards", Slice{.begin = {1, 0}, .end = {-1, std::numeric_limits<std::int64_t>::max()}, .step = {-1, 1}}, {x},
       {f32({2, 3}, {3, 4, 5, 0, 1, 2})}},
      {"long step", Slice{.begin = {2}, .end = {-1}, .step = {kLowest}}, {f32({3}, {1, 2, 3})}, {f32({1}, {3})}},
      {"4-bit", Slice{.begin = {0, 1}, .end = {3, 2}, .step = {1, 1}}, {nibbles}, {make(DType::kI4, {3, 1}, {1, 4, 7})}},
      {"negative index", Gather{.axis = 1}, {x, i64({2, 1}, {-1, 0})}, {f32({2, 2, 1}, {2, 0, 5, 3})}},
      {"rows", Gather{.axis = 0}, {x, i32({}, {1})}, {f32({3}, {3, 4, 5})}},
      {"4-bit", Gather{.axis = 0}, {nibbles, i32({1}, {2})}, {make(DType::kI4, {1, 3}, {6, 7, -8})}},
      {"batches", GatherNd{.batch_axes = 1}, {cube, i64({2, 2, 2}, {2, -1, 0, 1, -3, 0, 1, 3})}, {f32({2, 2}, {11, 1, 12,
       19})}},
      {"rows", GatherNd{}, {cube, i32({1, 2}, {1, 2})}, {f32({1, 4}, {20, 21, 22, 23})}},
      {"both ways", Expand{.shape = {2, 1, 2}}, {f32({2, 1}, {7, 8})}, {f32({2, 2, 2}, {7, 7, 8, 8, 7, 7, 8, 8})}},
      {"4-bit", Expand{.shape = {3}}, {make(DType::kI4, {1}, {-3})}, {make(DType::kI4, {3}, {-3, -3, -3})}},
      {"gates of 1, 1, 0, 1", Lstm{}, {f32({1, 1, 1}, {0}), f32({1, 4, 1}, {0, 0, 0, 0}), f32({1, 4, 1}, {0, 0, 0, 0}),
       f32({1, 8}, {100, 100, -100, 100, 0, 0, 0, 0}), f32({1, 1, 1}, {0}), f32({1, 1, 1}, {3})}, {f32({1, 1, 1, 1}, {0.761594156}),
       f32({1, 1, 1}, {0.761594156}), f32({1, 1, 1}, {1})}, 1e-7},
      {"gates of 0, 1", Gru{}, {f32({1, 1, 1}, {0}), f32({1, 3, 1}, {0, 0, 0}), f32({1, 3, 1}, {0, 0, 2}),
       f32({1, 6}, {-100, 100, 0.1, 0, 0, 0.2}), f32({1, 1, 1}, {0.5})}, {f32({1, 1, 1, 1}, {0.861723159}), f32({1, 1, 1}, {0.861723159})}, 1e-7},
      {"per-channel", Dequantize{.axis = 1}, {make(DType::kI8, {2, 2}, {-128, 1, 127, -2}), f32({2}, {0.5, 4})}, {f32({2,
       2}, {-64, 4, 63.5, -8})}},
      {"per-tensor", Dequantize{.axis = 0}, {make(DType::kI8, {2}, {-128, 100}), make(DType::kF16, {1}, {0.25})},
       {make(DType::kF16, {2}, {-32, 25})}},
  };
}

std::vector<Case> resample_cases() {
  const HostTensor x = f32({2, 3}, counting(6)), row = f32({3}, {1, 2, 4});
  const auto pad = [](PadMode mode, Extents begin, Extents end, float value = 0) {
    return Pad{.mode = mode, .begin = std::move(begin), .end = std::move(end), .value = value};
  };
  const auto resize = [](ResizeMode mode, ResizeCoordinates coordinates, Extents sizes) {
    return Resize{.mode = mode, .coordinates = coordinates, .rounding = ResizeRounding::kFloor, .sizes = std::move(sizes)};
  };
  using C = ResizeCoordinates;
  return {
      {"f32", IsNan{}, {f32({4}, {0, kNan, kInfinity, -kInfinity})}, {boolean({4}, {0, 1, 0, 0})}},
      {"f64", IsNan{}, {make(DType::kF64, {2}, {kNan, 1})}, {boolean({2}, {1, 0})}},
      {"a row", ConvTranspose{.stride = {2}, .dilation = {1}, .pads_begin = {0}, .pads_end = {0}, .output_padding = {0}},
       {f32({1, 1, 2}, {1, 10}), f32({1, 1, 3}, {1, 2, 3})}, {f32({1, 1, 5}, {1, 2, 13, 20, 30})}},
      {"pads, output_padding, bias", ConvTranspose{.stride = {2}, .dilation = {2}, .pads_begin = {1}, .pads_end = {0}, .output_padding = {2}},
       {f32({1, 1, 2}, {1, 10}), f32({1, 1, 2}, {1, 2}), f32({1}, {100})}, {f32({1, 1, 6}, {100, 112, 100, 120, 100, 100})}},
      {"groups", ConvTranspose{.stride = {1}, .dilation = {1}, .pads_begin = {0}, .pads_end = {0}, .output_padding = {0}, .groups = 2},
       {f32({1, 2, 1}, {1, 10}), f32({2, 2, 1}, {1, 2, 3, 4}), f32({4}, {0, 0, 0, 5})}, {f32({1, 4, 1}, {1, 2, 30, 45})}},
      {"constant", pad(PadMode::kConstant, {0, 1}, {1, 0}, 9), {x}, {f32({3, 4}, {9, 0, 1, 2, 9, 3, 4, 5, 9, 9, 9, 9})}},
      {"empty", pad(PadMode::kConstant, {1}, {1}, 2), {f32({0}, {})}, {f32({2}, {2, 2})}},
      {"bool", pad(PadMode::kConstant, {1}, {0}, 1), {boolean({1}, {0})}, {boolean({2}, {1, 0})}},
      {"4-bit", pad(PadMode::kConstant, {1}, {1}, -3), {make(DType::kI4, {1}, {5})}, {make(DType::kI4, {3}, {-3, 5, -3})}},
      {"reflect", pad(PadMode::kReflect, {2}, {1}), {row}, {f32({6}, {4, 2, 1, 2, 4, 2})}},
      {"edge", pad(PadMode::kEdge, {2}, {1}), {row}, {f32({6}, {1, 1, 1, 2, 4, 4})}},
      {"repeats", resize(ResizeMode::kNearest, C::kAsymmetric, {2, 6}), {f32({1, 3}, {1, 2, 4})}, {f32({2, 6}, {1, 1, 2, 2, 4, 4, 1, 1, 2, 2, 4, 4})}},
      {"4-bit", resize(ResizeMode::kNearest, C::kAsymmetric, {1, 4}), {make(DType::kI4, {1, 2}, {-8, 7})}, {make(DType::kI4, {1, 4}, {-8, -8, 7, 7})}},
      {"half pixels", resize(ResizeMode::kLinear, C::kHalfPixel, {1, 4}), {f32({1, 2}, {0, 4})}, {f32({1, 4}, {0, 1, 3, 4})}},
      {"corners", resize(ResizeMode::kLinear, C::kAlignCorners, {1, 5}), {f32({1, 3}, {0, 4, 0})}, {f32({1, 5}, {0, 2, 4, 2, 0})}},
      {"one element", resize(ResizeMode::kLinear, C::kPytorchHalfPixel, {1, 1}), {f32({1, 3}, {1, 4, 0})}, {f32({1, 1}, {1})}},
      {"an infinity beside", resize(ResizeMode::kLinear, C::kAsymmetric, {1, 2}), {f32({1, 2}, {1, kInfinity})}, {f32({1, 2}, {1, kInfinity})}},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (std::vector<Case> (*family)() : {unary_cases, cast_cases, softmax_cases, binary_cases, window_cases, matmul_cases, attention_cases,
                                        norm_cases, reduce_cases, shape_cases, resample_cases}) {
    for (Case& c : family()) cases.push_back(std::move(c));
  }
  return cases;
}

TEST(EvaluateTest, Values) {
  for (const Case& c : all_cases()) check(c);
}

TEST(EvaluateTest, EveryKindHasACase) {
  std::set<OpKind> kinds;
  for (const Case& c : all_cases()) kinds.insert(c.op.kind());
  for (const OpKind kind : all_op_kinds()) EXPECT_TRUE(kinds.contains(kind)) << op_name(kind);
}

void expect_refused(const Op& op, const std::vector<HostTensor>& inputs, ErrorCode code, const std::string& message) {
  const Result<std::vector<HostTensor>> results = run(op, inputs);
  ASSERT_FALSE(results.ok()) << op.name();
  EXPECT_EQ(results.error().code(), code);
  EXPECT_EQ(results.error().message(), message);
}

TEST(EvaluateTest, Refusals) {
  const ErrorCode code = ErrorCode::kInvalidArgument;
  const HostTensor x = f32({2}, {1, 2});
  expect_refused(Add{}, {x}, code, "add: add takes 2 to 2 operands, got 1");
  expect_refused(Add{}, {x, f32({3}, {1, 2, 3})}, code, "add: shapes [2] and [3] do not broadcast: 2 against 3");
  expect_refused(Div{}, {i32({2}, {1, 2}), i32({2}, {1, 0})}, code, "i32[2] divided by 0");
  expect_refused(Gather{}, {x, i64({1}, {2})}, code, "index 2 is not in [-2, 2)");
  expect_refused(Gather{}, {x, i64({1}, {-3})}, code, "index -3 is not in [-2, 2)");
  expect_refused(Gather{}, {f32({0}, {}), i64({1}, {0})}, code, "index 0 is not in [0, 0)");
  expect_refused(GatherNd{}, {x, i64({1, 1}, {-3})}, code, "index -3 is not in [-2, 2)");
  expect_refused(Reduce{.function = ReduceFunction::kMean, .axes = {0}, .keeps_axes = true}, {i32({0}, {})}, code,
                 "mean of 0 elements of i32");
  HostTensor wrong = x;
  wrong.bytes.pop_back();
  expect_refused(Abs{}, {wrong}, code, "operand 0 is f32[2] and has 7 bytes, 8 required");
  wrong = x;
  wrong.shape = {-1};
  expect_refused(Abs{}, {wrong}, code, "operand 0 has extent -1, at least 0 required");
  expect_refused(Expand{.shape = {1LL << 31, 1}}, {x}, ErrorCode::kLimitReached,
                 "expand gives f32[2147483648, 2], at most 2147483648 elements are evaluated");
}

TEST(EvaluateTest, BFloat16RoundsOnceHalfToEven) {
  const Values values{1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-40, 1 + 3 * 0x1p-8, -3.5e38, kNan, 0x1p-134};
  const Result<std::vector<HostTensor>> results = run(Cast{.to = DType::kBF16}, {make(DType::kF64, {6}, values)});
  ASSERT_TRUE(results.ok());
  const Values rounded = to_doubles((*results)[0]);
  EXPECT_EQ(rounded[0], 1);
  EXPECT_EQ(rounded[1], 1 + 0x1p-7);
  EXPECT_EQ(rounded[2], 1 + 0x1p-6);
  EXPECT_EQ(rounded[3], -kInfinity);
  EXPECT_TRUE(std::isnan(rounded[4]));
  EXPECT_EQ(rounded[5], 0);  // half of the least subnormal
}

TEST(EvaluateTest, HugeExtentsOfEmptyTensorsAreHarmless) {
  const std::int64_t huge = 1LL << 40;
  const HostTensor x{.dtype = DType::kF32, .shape = {0, huge, huge}, .bytes = {}};
  const Result<std::vector<HostTensor>> sum = run(Reduce{.axes = {0, 1, 2}, .keeps_axes = false}, {x});
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(to_doubles((*sum)[0]), Values{0});
  EXPECT_TRUE(run(Transpose{.perm = {2, 0, 1}}, {x}).ok());
  EXPECT_FALSE(run(Gather{.axis = 0}, {x, i64({1}, {0})}).ok());
}

// --- Graphs ---

/// y = relu(x + c) * c, z = x
struct Small {
  Graph graph{"main"};
  Small() {
    const Dim n = graph.symbols().symbol("n");
    const ValueId x = graph.add_input("x", {.dtype = DType::kF32, .shape = {n, 2}});
    const ValueId w = graph.add_input("w", {.dtype = DType::kF32, .shape = {n, 1}});
    const ValueId c = graph.add_constant("c", make_constant(f32({2}, {1, 10})));
    const ValueId sum = node(Add{}, {x, c});
    const ValueId positive = node(Relu{}, {sum});
    const ValueId scaled = node(Mul{}, {positive, c});
    node(Exp{}, {scaled});  // unused
    graph.add_output("y", node(Add{}, {scaled, w}));
    graph.add_output("x again", x);
    graph.add_output("c again", c);
  }
  ValueId node(Op op, std::vector<ValueId> inputs) {
    const Result<NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    SMELT_CHECK(id.ok());
    return graph.node(*id).outputs[0];
  }
};

TEST(EvaluateGraphTest, Values) {
  const Small small;
  const std::vector<HostTensor> inputs{f32({2, 2}, {1, -20, -3, 4}), f32({2, 1}, {0.5, 0})};
  const Result<std::vector<HostTensor>> results = evaluate(small.graph, inputs);
  ASSERT_TRUE(results.ok()) << results.error().to_string();
  ASSERT_EQ(results->size(), 3U);
  EXPECT_EQ((*results)[0], f32({2, 2}, {2.5, 0.5, 0, 140}));
  EXPECT_EQ((*results)[1], inputs[0]);
  EXPECT_EQ((*results)[2], f32({2}, {1, 10}));
}

TEST(EvaluateGraphTest, Refusals) {
  const Small small;
  const auto message = [&small](const std::vector<HostTensor>& inputs) {
    const Result<std::vector<HostTensor>> results = evaluate(small.graph, inputs);
    return results.ok() ? std::string("ok") : results.error().message();
  };
  const HostTensor w = f32({1, 1}, {1});
  EXPECT_EQ(message({w}), "graph main takes 2 inputs, got 1");
  EXPECT_EQ(message({f32({1, 3}, {1, 2, 3}), w}), "input \"x\" is f32[n, 2], got f32[1, 3]");
  EXPECT_EQ(message({i32({1, 2}, {1, 2}), w}), "input \"x\" is f32[n, 2], got i32[1, 2]");
  EXPECT_EQ(message({f32({2, 2}, {1, 2, 3, 4}), w}), "input \"w\" is f32[n, 1], got f32[1, 1]");  // n is 2
}

TEST(EvaluateGraphTest, AnErrorNamesItsNode) {
  Small small;
  const ValueId indices = small.graph.add_constant("i", make_constant(i64({1}, {7})));
  small.graph.add_output("bad", small.node(Gather{.axis = 1}, {small.graph.inputs()[0], indices}));
  const std::vector<HostTensor> inputs{f32({1, 2}, {1, 2}), f32({1, 1}, {1})};
  const Result<std::vector<HostTensor>> results = evaluate(small.graph, inputs);
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(results.error().location().graph, "main");
  EXPECT_EQ(results.error().location().node, "source");
}

}  // namespace
}  // namespace smelt::eval
