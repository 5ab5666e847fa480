#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "eval/evaluate.h"
#include "ir/ops/rnn.h"

namespace smelt::eval {
namespace {

using ir::Gru;
using ir::Lstm;
using ir::RnnDirection;
using Extents = std::vector<std::int64_t>;
using Tensors = std::vector<HostTensor>;

HostTensor f32(Extents shape, const std::vector<float>& values) { return f32_tensor(std::move(shape), values); }
HostTensor zeros(const Extents& shape) { return f32(shape, std::vector<float>(static_cast<std::size_t>(element_count(shape).value()))); }

/// The results' elements; an operand without extents is absent.
std::vector<std::vector<double>> run(const ir::Op& op, const Tensors& inputs) {
  std::vector<const HostTensor*> operands;
  for (const HostTensor& input : inputs) operands.push_back(input.shape.empty() ? nullptr : &input);
  const Result<Tensors> results = evaluate(op, operands);
  EXPECT_TRUE(results.ok()) << (results.ok() ? "" : results.error().to_string());
  std::vector<std::vector<double>> out;
  if (results.ok()) {
    for (const HostTensor& result : *results) out.push_back(to_doubles(result));
  }
  return out;
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t k = 0; k < actual.size(); ++k) EXPECT_NEAR(actual[k], expected[k], 1e-6) << k;
}

// By hand: a bias of 100 or -100 is a gate of 1 or 0. ONNX Runtime's numbers are in the tests of the import.

TEST(RnnEvaluateTest, GatesOfLstmAreInputOutputForgetCell) {
  const HostTensor x = zeros({1, 1, 1}), w = zeros({1, 4, 1}), c0 = f32({1, 1, 1}, {3});
  const auto with = [&](const std::vector<float>& gates) {
    std::vector<float> b = gates;
    b.resize(8);
    return run(Lstm{.hidden_size = 1}, {x, w, w, f32({1, 8}, b), {}, c0});
  };
  auto results = with({100, 100, -100, 100});  // c = 0 * 3 + 1 * 1
  expect_near(results.at(0), {std::tanh(1)});
  expect_near(results.at(1), {std::tanh(1)});
  expect_near(results.at(2), {1});
  results = with({-100, 100, 100, 100});  // c = 3
  expect_near(results.at(1), {std::tanh(3)});
  expect_near(results.at(2), {3});
  results = with({100, -100, 100, -100});  // c = 3 - 1, o = 0
  expect_near(results.at(1), {0});
  expect_near(results.at(2), {2});
}

TEST(RnnEvaluateTest, BothHalvesOfABiasCount) {
  const HostTensor x = zeros({1, 1, 1}), w = zeros({1, 4, 1});
  const auto results = run(Lstm{.hidden_size = 1}, {x, w, w, f32({1, 8}, {100, 60, 0, 1, 0, 40, 0, -0.5F})});
  expect_near(results.at(1), {std::tanh(std::tanh(0.5))});
}

TEST(RnnEvaluateTest, DirectionsAndTheirOrder) {
  // c adds up tanh(x) of the steps; y is tanh(c) of them.
  const HostTensor x = f32({3, 1, 1}, {0.1F, 0.2F, 0.4F});
  const auto net = [&](RnnDirection direction) {
    const std::int64_t d = ir::direction_count(direction);
    std::vector<float> w, b;
    for (std::int64_t k = 0; k < d; ++k) {
      for (const float v : {0.0F, 0.0F, 0.0F, 1.0F}) w.push_back(v);
      for (const float v : {100.0F, 100.0F, 100.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F}) b.push_back(v);
    }
    return run(Lstm{.hidden_size = 1, .direction = direction}, {x, f32({d, 4, 1}, w), zeros({d, 4, 1}), f32({d, 8}, b)});
  };
  const double a = std::tanh(0.1), b = std::tanh(0.2), c = std::tanh(0.4);
  const std::vector<double> forward{std::tanh(a), std::tanh(a + b), std::tanh(a + b + c)};
  const std::vector<double> backward{std::tanh(a + b + c), std::tanh(b + c), std::tanh(c)};
  expect_near(net(RnnDirection::kForward).at(0), forward);
  expect_near(net(RnnDirection::kReverse).at(0), backward);
  expect_near(net(RnnDirection::kReverse).at(1), {backward[0]});
  const auto both = net(RnnDirection::kBidirectional);
  expect_near(both.at(0), {forward[0], backward[0], forward[1], backward[1], forward[2], backward[2]});
  expect_near(both.at(1), {forward[2], backward[0]});
  expect_near(both.at(2), {a + b + c, a + b + c});
}

TEST(RnnEvaluateTest, GatesOfGruAreUpdateResetNew) {
  const HostTensor x = zeros({1, 1, 1}), w = zeros({1, 3, 1}), h0 = f32({1, 1, 1}, {0.5F});
  const auto with = [&](const std::vector<float>& b, bool resets_after) {
    return run(Gru{.hidden_size = 1, .resets_after = resets_after}, {x, w, f32({1, 3, 1}, {0, 0, 2}), f32({1, 6}, b), h0}).at(1);
  };
  expect_near(with({100, 0, 7, 0, 0, 0}, false), {0.5});                           // z = 1 keeps the state
  expect_near(with({-100, 100, 0.1F, 0, 0, 0.2F}, false), {std::tanh(1.3)});       // r = 1
  expect_near(with({-100, 100, 0.1F, 0, 0, 0.2F}, true), {std::tanh(1.3)});
  expect_near(with({-100, -100, 0.1F, 0, 0, 0.2F}, false), {std::tanh(0.3)});      // r = 0 before the product: its bias stays
  expect_near(with({-100, -100, 0.1F, 0, 0, 0.2F}, true), {std::tanh(0.1)});       // after: it goes
  expect_near(with({0, 100, 0, 0, 0, 0}, false), {0.5 * std::tanh(1) + 0.5 * 0.5});
}

TEST(RnnEvaluateTest, NoStepsLeaveTheStates) {
  const auto results = run(Gru{.hidden_size = 1}, {zeros({0, 1, 1}), zeros({1, 3, 1}), zeros({1, 3, 1}), {}, f32({1, 1, 1}, {0.25F})});
  expect_near(results.at(0), {});
  expect_near(results.at(1), {0.25});
}

}  // namespace
}  // namespace smelt::eval
