#include "convert/coreml/round_trip.h"

#include <limits>

namespace smelt::coreml_format {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test

constexpr DType kF16 = DType::kF16, kF32 = DType::kF32, kI32 = DType::kI32, kBool = DType::kBool;

template <typename T>
void add_unary(std::vector<Case>& cases, Fill fill = Fill::kPlain) {
  cases.push_back({"f32", T{}, {in({2, 7}, kF32, fill)}});
  cases.push_back({"f16", T{}, {in({2, 7}, kF16, fill)}});
  cases.push_back({"f32 of rank 0", T{}, {in({}, kF32, fill)}});
}

/// Numbers: float32, float16, int32, and every way to broadcast.
template <typename T>
void add_binary(std::vector<Case>& cases, Fill x = Fill::kPlain, Fill y = Fill::kPlain) {
  cases.push_back({"f32", T{}, {in({2, 3}, kF32, x), in({2, 3}, kF32, y)}});
  cases.push_back({"f16", T{}, {in({2, 3}, kF16, x), in({2, 3}, kF16, y)}});
  cases.push_back({"i32", T{}, {in({2, 9}, kI32, x), in({2, 9}, kI32, y)}});
  cases.push_back({"a vector", T{}, {in({2, 3}, kF32, x), weight({3}, kF32, y)}});
  cases.push_back({"a large weight", T{}, {in({2, 12}, kF32, x), weight({12}, kF32, y)}});
  cases.push_back({"both ways", T{}, {in({2, 1, 3}, kF32, x), in({4, 1}, kF32, y)}});
  cases.push_back({"a scalar weight", T{}, {weight({}, kF32, x), in({2, 3}, kF32, y)}});
  cases.push_back({"a scalar", T{}, {in({}, kI32, x), in({5}, kI32, y)}});
  cases.push_back({"two scalars", T{}, {in({}, kF32, x), in({}, kF32, y)}});
}

template <typename T>
void add_logic(std::vector<Case>& cases) {
  cases.push_back({"bool", T{}, {in({3, 4}, kBool), in({3, 4}, kBool)}});
  cases.push_back({"bool, broadcast", T{}, {in({3, 1}, kBool), weight({4}, kBool)}});
}

void add_unaries(std::vector<Case>& cases) {
  add_unary<Identity>(cases);
  add_unary<Abs>(cases);
  add_unary<Neg>(cases);
  add_unary<Sign>(cases);
  add_unary<Exp>(cases);
  add_unary<Log>(cases, Fill::kPositive);
  add_unary<Sqrt>(cases, Fill::kPositive);
  add_unary<Reciprocal>(cases, Fill::kPositive);
  add_unary<Floor>(cases);
  add_unary<Ceil>(cases);
  add_unary<Round>(cases);
  add_unary<Sin>(cases);
  add_unary<Cos>(cases);
  add_unary<Erf>(cases);
  add_unary<Relu>(cases);
  add_unary<Sigmoid>(cases);
  add_unary<Tanh>(cases);
  add_unary<Softplus>(cases);
  add_unary<Softsign>(cases);
  add_unary<Silu>(cases);
  const auto on = [&](Op op, DType dtype) { cases.push_back({std::string(name(dtype)), std::move(op), {in({2, 8}, dtype)}}); };
  on(Abs{}, kI32);
  on(Neg{}, kI32);
  on(Sign{}, kI32);
  on(Relu{}, kI32);
  on(Relu{}, DType::kI64);
  on(Identity{}, kI32);
  on(Identity{}, kBool);
  on(Not{}, kBool);
  // Two steps, where the reference rounds once.
  cases.push_back({"f32", HardSwish{}, {in({2, 7})}, kF32Rounding});
  cases.push_back({"f16", HardSwish{}, {in({2, 7}, kF16)}, 2 * kF16Rounding});
}

void add_attributes(std::vector<Case>& cases) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto both = [&](const std::string& what, const Op& op) {
    cases.push_back({what + ", f32", op, {in({2, 9})}});
    cases.push_back({what + ", f16", op, {in({2, 9}, kF16)}, kF16Rounding});  // the attribute rounds
  };
  both("alpha", LeakyRelu{.alpha = 0.2F});
  both("alpha 0", LeakyRelu{.alpha = 0.0F});
  both("alpha", Elu{.alpha = 0.7F});
  both("alpha and beta", HardSigmoid{.alpha = 0.3F, .beta = 0.4F});
  both("exact", Gelu{.is_tanh = false});
  both("tanh", Gelu{.is_tanh = true});
  both("both bounds", Clip{.min = -1.0F, .max = 0.5F});
  both("low", Clip{.min = -1.0F, .max = kInfinity});
  both("high", Clip{.min = -kInfinity, .max = 0.5F});
  both("equal bounds", Clip{.min = 0.5F, .max = 0.5F});
  both("crossed bounds", Clip{.min = 1.0F, .max = -1.0F});
  both("no bounds", Clip{});
  for (const std::int64_t axis : {0, 1, 2}) cases.push_back({"axis", Softmax{.axis = axis}, {in({2, 3, 4})}});
  cases.push_back({"rank 1", Softmax{.axis = 0}, {in({5})}});
  cases.push_back({"f16", Softmax{.axis = 1}, {in({2, 5}, kF16)}});
  for (const DType from : {kF32, kF16, kI32, kBool}) {
    for (const DType to : {kF32, kF16, kI32, kBool}) {
      cases.push_back({std::string(name(from)) + " to " + std::string(name(to)), Cast{.to = to}, {in({3, 5}, from)}});
    }
  }
  cases.push_back({"i64 to f32", Cast{.to = kF32}, {in({3, 5}, DType::kI64)}});
  cases.push_back({"f64 to i64", Cast{.to = DType::kI64}, {in({3, 5}, DType::kF64)}});
}

void add_binaries(std::vector<Case>& cases) {
  add_binary<Add>(cases);
  add_binary<Sub>(cases);
  add_binary<Mul>(cases);
  add_binary<Div>(cases, Fill::kPlain, Fill::kPositive);
  cases.push_back({"a negative divisor", Div{}, {in({40}, kI32), weight({}, kI32)}});
  cases.push_back({"i64", Div{}, {in({2, 9}, DType::kI64), in({2, 9}, DType::kI64, Fill::kPositive)}});
  add_binary<Pow>(cases, Fill::kPositive, Fill::kPositive);
  add_binary<Min>(cases);
  add_binary<Max>(cases);
  add_binary<Equal>(cases);
  add_binary<Less>(cases);
  add_binary<LessOrEqual>(cases);
  add_binary<Greater>(cases);
  add_binary<GreaterOrEqual>(cases);
  add_logic<Equal>(cases);
  add_logic<And>(cases);
  add_logic<Or>(cases);
  add_logic<Xor>(cases);
}

void add_where(std::vector<Case>& cases) {
  for (const DType dtype : {kF32, kF16, kI32, kBool}) {
    cases.push_back({std::string(name(dtype)), Where{}, {in({2, 6}, kBool), in({2, 6}, dtype), in({2, 6}, dtype)}});
  }
  cases.push_back({"a larger condition", Where{}, {in({4, 2, 3}, kBool), in({3}), in({2, 1})}});
  cases.push_back({"a larger condition, scalars", Where{}, {in({2, 3}, kBool), in({}), weight({})}});
  cases.push_back({"a larger condition, weights", Where{}, {in({2, 12}, kBool), weight({1}), weight({12})}});
  cases.push_back({"a larger condition, an equal b", Where{}, {in({2, 3}, kBool), in({1, 3}), in({1, 3})}});
  cases.push_back({"a smaller condition", Where{}, {in({3}, kBool), in({2, 3}), in({2, 3})}});
  cases.push_back({"a constant condition", Where{}, {weight({2, 3}, kBool), in({2, 3}), weight({})}});
  cases.push_back({"scalars", Where{}, {in({}, kBool), in({}), in({})}});
}

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases;
  add_unaries(cases);
  add_attributes(cases);
  add_binaries(cases);
  add_where(cases);
  return cases;
}

}  // namespace smelt::coreml_format
