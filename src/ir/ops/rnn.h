#pragma once

#include <cstdint>
#include <string_view>

#include "ir/op.h"

namespace smelt::ir {

enum class RnnDirection { kForward, kReverse, kBidirectional };
[[nodiscard]] std::string_view word(RnnDirection direction);  ///< "forward", ...
/// 2 for bidirectional, else 1.
[[nodiscard]] std::int64_t direction_count(RnnDirection direction);

/// Long short-term memory: f, i and o by sigmoid, the cell's input and its output by tanh.
///
///   x: T[S, B, I]   w: T[D, 4H, I]   r: T[D, 4H, H]   b: T[D, 8H], of w and then of r   initial_h, initial_c: T[D, B, H]
///   y: T[S, D, B, H], at each step in the order of x   y_h, y_c: T[D, B, H], after the last step processed
///
/// b and the initial states are optional, zero when absent. D: the directions, forward first; the rows of w, r and both halves
/// of b are those of i, o, f, c. Spec: ONNX LSTM-22, layout 0. MIL: lstm.
struct Lstm {
  static constexpr OpKind kKind = OpKind::kLstm;
  static constexpr std::size_t kMinInputs = 3, kMaxInputs = 6;
  std::int64_t hidden_size = 1;  ///< H
  RnnDirection direction = RnnDirection::kForward;
  template <typename V> void fields(V&& v) const { v("hidden_size", hidden_size); v("direction", direction); }
  bool operator==(const Lstm&) const = default;
};
Status infer(const Lstm& op, InferContext& cx);

/// Gated recurrent unit: z and r by sigmoid, h by tanh.
///
///   x: T[S, B, I]   w: T[D, 3H, I]   r: T[D, 3H, H]   b: T[D, 6H], of w and then of r   initial_h: T[D, B, H]
///   y: T[S, D, B, H]   y_h: T[D, B, H]
///
/// The same as Lstm; rows of z, r, h. Spec: ONNX GRU-22, layout 0. MIL: gru, without `resets_after`.
struct Gru {
  static constexpr OpKind kKind = OpKind::kGru;
  static constexpr std::size_t kMinInputs = 3, kMaxInputs = 5;
  std::int64_t hidden_size = 1;  ///< H
  RnnDirection direction = RnnDirection::kForward;
  bool resets_after = false;  ///< ONNX's linear_before_reset: r scales the product of r and the state, not the state
  template <typename V> void fields(V&& v) const {
    v("hidden_size", hidden_size); v("direction", direction); v("resets_after", resets_after);
  }
  bool operator==(const Gru&) const = default;
};
Status infer(const Gru& op, InferContext& cx);

}  // namespace smelt::ir
