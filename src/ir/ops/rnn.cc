#include "ir/ops/rnn.h"

#include <cstddef>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

/// What both have: `gates` blocks of rows, `states` initial states from operand 4 on, as many results after y.
Status infer_recurrent(std::int64_t hidden, RnnDirection direction, std::int64_t gates, std::size_t states, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 3, 4 + states));
  // ONNX LSTM-22, GRU-22: all operands but sequence_lens are of one float type
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // ONNX LSTM-22: X is [seq_length, batch_size, input_size]
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 3, 3));
  // ONNX LSTM-22: hidden_size is the number of neurons; the IR's own: 8 of them fit 63 bits
  if (hidden < 1 || hidden > std::int64_t{1} << 59) {
    return rule::malformed(fmt::format("hidden_size is {}, at least 1 and at most 2^59 required", hidden));
  }
  const Shape& x = cx.input(0).shape;
  const Dim directions(direction_count(direction)), rows(gates * hidden), units(hidden);
  // ONNX LSTM-22: W is [D, 4H, I], R is [D, 4H, H], B is [D, 8H]; GRU-22: 3H, 3H, 6H
  SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 1, {directions, rows, x[2]}));
  SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 2, {directions, rows, units}));
  if (cx.has(3)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 3, {directions, Dim(2 * gates * hidden)}));
  // ONNX LSTM-22: initial_h and initial_c are [D, B, H]
  const Shape state{directions, x[1], units};
  for (std::size_t k = 4; k < 4 + states; ++k) {
    if (cx.has(k)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, k, state));
  }
  const DType dtype = cx.input(0).dtype;
  cx.outputs = {{.dtype = dtype, .shape = {x[0], directions, x[1], units}}};
  for (std::size_t k = 0; k < states; ++k) cx.outputs.push_back({.dtype = dtype, .shape = state});
  return {};
}

}  // namespace

std::string_view word(RnnDirection direction) {
  switch (direction) {
    case RnnDirection::kForward: return "forward";
    case RnnDirection::kReverse: return "reverse";
    case RnnDirection::kBidirectional: return "bidirectional";
  }
  SMELT_CHECK(false);
}

std::int64_t direction_count(RnnDirection direction) { return direction == RnnDirection::kBidirectional ? 2 : 1; }

Status infer(const Lstm& op, InferContext& cx) { return infer_recurrent(op.hidden_size, op.direction, 4, 2, cx); }
Status infer(const Gru& op, InferContext& cx) { return infer_recurrent(op.hidden_size, op.direction, 3, 1, cx); }

}  // namespace smelt::ir
