#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/ops/rnn.h"

namespace smelt::ir {
namespace {

using Types = std::vector<std::optional<TensorType>>;

TensorType f32(Shape shape) { return {.dtype = DType::kF32, .shape = std::move(shape)}; }

/// The types of the results as text, "f32[1, 2]; f32[3]", or the error, which is `kMalformedInput`.
std::string text(const Op& op, const Types& types, SymbolTable symbols = {}) {
  std::vector<const TensorType*> inputs;
  for (const std::optional<TensorType>& type : types) inputs.push_back(type ? &*type : nullptr);
  const Result<std::vector<TensorType>> result = infer_types(op, inputs, symbols);
  if (!result.ok()) {
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformedInput);
    return result.error().message();
  }
  std::string out;
  for (const TensorType& type : *result) out += (out.empty() ? "" : "; ") + std::string(name(type.dtype)) + symbols.text(type.shape);
  return out;
}

/// Operands of Lstm with S = 5, B = 2, I = 3, H = 4, in one direction.
Types lstm_types() {
  return {f32({5, 2, 3}), f32({1, 16, 3}), f32({1, 16, 4}), f32({1, 32}), f32({1, 2, 4}), f32({1, 2, 4})};
}

TEST(RnnInferTest, Lstm) {
  const Lstm op{.hidden_size = 4, .direction = RnnDirection::kReverse};
  EXPECT_EQ(text(op, lstm_types()), "f32[5, 1, 2, 4]; f32[1, 2, 4]; f32[1, 2, 4]");
  EXPECT_EQ(text(op, {f32({5, 2, 3}), f32({1, 16, 3}), f32({1, 16, 4})}), "f32[5, 1, 2, 4]; f32[1, 2, 4]; f32[1, 2, 4]");
  const Lstm both{.hidden_size = 4, .direction = RnnDirection::kBidirectional};
  EXPECT_EQ(text(both, {f32({5, 2, 3}), f32({2, 16, 3}), f32({2, 16, 4}), std::nullopt, f32({2, 2, 4})}), "f32[5, 2, 2, 4]; f32[2, 2, 4]; f32[2, 2, 4]");
  EXPECT_EQ(attributes_text(both), "hidden_size = 4, direction = bidirectional");
}

TEST(RnnInferTest, Gru) {
  const Gru op{.hidden_size = 4, .direction = RnnDirection::kForward, .resets_after = true};
  EXPECT_EQ(text(op, {f32({5, 2, 3}), f32({1, 12, 3}), f32({1, 12, 4}), f32({1, 24}), f32({1, 2, 4})}), "f32[5, 1, 2, 4]; f32[1, 2, 4]");
  EXPECT_EQ(attributes_text(op), "hidden_size = 4, direction = forward, resets_after = true");
}

TEST(RnnInferTest, StepsAndBatchMayBeOpen) {
  SymbolTable symbols;
  const Dim s = symbols.symbol("s"), n = symbols.symbol("n");
  EXPECT_EQ(text(Lstm{.hidden_size = 4}, {f32({s, n, 3}), f32({1, 16, 3}), f32({1, 16, 4})}, symbols), "f32[s, 1, n, 4]; f32[1, n, 4]; f32[1, n, 4]");
}

TEST(RnnInferTest, Refusals) {
  const Lstm op{.hidden_size = 4};
  const auto with = [&](std::size_t k, std::optional<TensorType> type) {
    Types types = lstm_types();
    types[k] = std::move(type);
    return text(op, types);
  };
  EXPECT_EQ(with(2, std::nullopt), "operand 2 of lstm is absent");
  EXPECT_EQ(with(3, TensorType{.dtype = DType::kF16, .shape = {1, 32}}), "operand 3 is f16, operand 0 is f32");
  EXPECT_EQ(with(0, f32({5, 3})), "operand 0 has rank 2, 3 required");
  EXPECT_EQ(with(1, f32({1, 16, 2})), "operand 1 has shape [1, 16, 2], [1, 16, 3] required");
  EXPECT_EQ(with(2, f32({2, 16, 4})), "operand 2 has shape [2, 16, 4], [1, 16, 4] required");
  EXPECT_EQ(with(3, f32({1, 16})), "operand 3 has shape [1, 16], [1, 32] required");
  EXPECT_EQ(with(4, f32({1, 4, 2})), "operand 4 has shape [1, 4, 2], [1, 2, 4] required");
  EXPECT_EQ(with(5, f32({2, 2, 4})), "operand 5 has shape [2, 2, 4], [1, 2, 4] required");
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(text(Lstm{.hidden_size = size}, lstm_types()), "hidden_size is " + std::to_string(size) + ", at least 1 and at most 2^59 required");
  }
  EXPECT_EQ(text(Gru{.hidden_size = 4}, lstm_types()), "gru takes 3 to 5 operands, got 6");
}

}  // namespace
}  // namespace smelt::ir
