#include "convert/coreml/round_trip.h"

namespace smelt::coreml_format {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test

constexpr DType kF16 = DType::kF16;
constexpr Target kNever = Target::kIos18;  // with an end of ios15: refused everywhere
constexpr double kSteps = 2e-5, kHalfSteps = 1.0 / 32;  ///< roundings go through the steps
constexpr RnnDirection kForward = RnnDirection::kForward, kReverse = RnnDirection::kReverse, kBoth = RnnDirection::kBidirectional;

/// S = 3, B = 2, I = 5, H = 4, or others. x, w, r, and on request the others.
std::vector<Operand> operands(RnnDirection direction, std::int64_t gates, bool has_bias, std::size_t states, DType dtype = DType::kF32) {
  const std::int64_t d = direction_count(direction);
  std::vector<Operand> out{in({3, 2, 5}, dtype), weight({d, gates * 4, 5}, dtype), weight({d, gates * 4, 4}, dtype)};
  if (has_bias) out.push_back(weight({d, 2 * gates * 4}, dtype));
  for (std::size_t k = 0; k < states; ++k) out.push_back(in({d, 2, 4}, dtype));
  return out;
}

void add_lstm(std::vector<Case>& cases) {
  const auto lstm = [](RnnDirection direction) { return Lstm{.hidden_size = 4, .direction = direction}; };
  cases.push_back({"no bias, no states", lstm(kForward), operands(kForward, 4, false, 0), kF32Rounding});
  cases.push_back({"everything", lstm(kForward), operands(kForward, 4, true, 2), kF32Rounding});
  cases.push_back({"reverse", lstm(kReverse), operands(kReverse, 4, true, 2), kF32Rounding});
  cases.push_back({"bidirectional", lstm(kBoth), operands(kBoth, 4, true, 2), kF32Rounding});
  cases.push_back({"bidirectional, only one state", lstm(kBoth), operands(kBoth, 4, true, 1), kF32Rounding});
  cases.push_back({"f16", lstm(kReverse), operands(kReverse, 4, true, 2, kF16), kHalfSteps});
  cases.push_back({"f16, bidirectional", lstm(kBoth), operands(kBoth, 4, true, 0, kF16), kHalfSteps});
  std::vector<Operand> constant = operands(kBoth, 4, true, 2);
  constant[4].is_constant = constant[5].is_constant = true;
  cases.push_back({"constant states", lstm(kBoth), constant, kF32Rounding});
  constant[1].is_constant = false;
  cases.push_back({"a computed weight", lstm(kBoth), constant, 0, kNever, Target::kIos15});
  cases.push_back({"more steps than a unrolled gru may have", Lstm{.hidden_size = 2}, {in({70, 2, 3}), weight({1, 8, 3}), weight({1, 8, 2})}, kSteps});
}

void add_gru(std::vector<Case>& cases) {
  const auto gru = [](RnnDirection direction, bool resets_after) { return Gru{.hidden_size = 4, .direction = direction, .resets_after = resets_after}; };
  for (const bool after : {false, true}) {
    cases.push_back({"no bias, no state", gru(kForward, after), operands(kForward, 3, false, 0), kSteps});
    cases.push_back({"reverse, everything", gru(kReverse, after), operands(kReverse, 3, true, 1), kSteps});
    cases.push_back({"bidirectional", gru(kBoth, after), operands(kBoth, 3, true, 1), kSteps});
    cases.push_back({"f16", gru(kBoth, after), operands(kBoth, 3, true, 1, kF16), kHalfSteps});
  }
  std::vector<Operand> constant = operands(kBoth, 3, true, 1);
  constant[4].is_constant = true;
  cases.push_back({"a constant state", gru(kBoth, true), constant, kSteps});
  constant[3].is_constant = false;
  cases.push_back({"a computed bias", gru(kBoth, true), constant, 0, kNever, Target::kIos15});
  const auto one_unit = [](std::int64_t steps, std::int64_t batch, std::int64_t d = 1, DType dtype = DType::kF32) {
    return std::vector<Operand>{in({steps, batch, 2}, dtype), weight({d, 3, 2}, dtype), weight({d, 3, 1}, dtype), weight({d, 6}, dtype), in({d, batch, 1}, dtype)};
  };
  cases.push_back({"one step", Gru{}, one_unit(1, 2), kSteps});
  cases.push_back({"64 steps", Gru{.hidden_size = 1, .direction = kReverse, .resets_after = true}, one_unit(64, 2), kSteps});
  cases.push_back({"65 steps", Gru{}, one_unit(65, 1), kSteps});
  cases.push_back({"65 steps, reverse", Gru{.hidden_size = 1, .direction = kReverse}, one_unit(65, 1), kSteps});
  cases.push_back({"65 steps, bidirectional", Gru{.hidden_size = 1, .direction = kBoth}, one_unit(65, 1, 2), kSteps});
  cases.push_back({"65 steps, f16", Gru{.hidden_size = 1, .direction = kBoth}, one_unit(65, 1, 2, kF16), kHalfSteps});
  cases.push_back({"65 steps, a batch", Gru{}, one_unit(65, 2), 0, kNever, Target::kIos15});
  cases.push_back({"65 steps, resets after", Gru{.hidden_size = 1, .direction = kForward, .resets_after = true}, one_unit(65, 1), 0, kNever, Target::kIos15});
}

}  // namespace

std::vector<Case> rnn_cases() {
  std::vector<Case> cases;
  add_lstm(cases);
  add_gru(cases);
  return cases;
}

}  // namespace smelt::coreml_format
