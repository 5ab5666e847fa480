#pragma once

#include <limits>
#include <string_view>

#include "ir/op.h"

namespace smelt::ir {

/// One operand, same type out (but for is_nan), no attributes. Float only, but: identity takes anything; abs, neg, sign, relu also signed
/// integers; not takes bool; is_nan gives bool. round is half to even. log, sqrt outside their domain are NaN or -inf as IEEE has it.
/// silu: x * sigmoid(x). hard_swish: x * min(max(x/6 + 1/2, 0), 1).
/// Spec: the ONNX operators of the same names (Silu: Swish-24 with alpha 1). MIL: the ops of the same names.
template <OpKind K>
struct Unary {
  static constexpr OpKind kKind = K;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  template <typename V> void fields(V&&) const {}
  bool operator==(const Unary&) const = default;
};
using Identity = Unary<OpKind::kIdentity>;
using Abs = Unary<OpKind::kAbs>;
using Neg = Unary<OpKind::kNeg>;
using Sign = Unary<OpKind::kSign>;
using Exp = Unary<OpKind::kExp>;
using Log = Unary<OpKind::kLog>;
using Sqrt = Unary<OpKind::kSqrt>;
using Reciprocal = Unary<OpKind::kReciprocal>;
using Floor = Unary<OpKind::kFloor>;
using Ceil = Unary<OpKind::kCeil>;
using Round = Unary<OpKind::kRound>;
using Sin = Unary<OpKind::kSin>;
using Cos = Unary<OpKind::kCos>;
using Erf = Unary<OpKind::kErf>;
using Not = Unary<OpKind::kNot>;
using Relu = Unary<OpKind::kRelu>;
using Sigmoid = Unary<OpKind::kSigmoid>;
using Tanh = Unary<OpKind::kTanh>;
using Softplus = Unary<OpKind::kSoftplus>;
using Softsign = Unary<OpKind::kSoftsign>;
using Silu = Unary<OpKind::kSilu>;
using HardSwish = Unary<OpKind::kHardSwish>;
using IsNan = Unary<OpKind::kIsNan>;

/// The shape and type rule that every Unary shares.
Status infer_unary(OpKind kind, InferContext& cx);
template <OpKind K>
Status infer(const Unary<K>&, InferContext& cx) {
  return infer_unary(K, cx);
}

/// x >= 0 ? x : alpha * x. Spec: ONNX LeakyRelu-16. MIL: leaky_relu.
struct LeakyRelu {
  static constexpr OpKind kKind = OpKind::kLeakyRelu;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  float alpha = 0.01F;
  template <typename V> void fields(V&& v) const { v("alpha", alpha); }
  bool operator==(const LeakyRelu&) const = default;
};
Status infer(const LeakyRelu& op, InferContext& cx);

/// x > 0 ? x : alpha * (exp(x) - 1). Spec: ONNX Elu-22. MIL: elu.
struct Elu {
  static constexpr OpKind kKind = OpKind::kElu;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  float alpha = 1.0F;
  template <typename V> void fields(V&& v) const { v("alpha", alpha); }
  bool operator==(const Elu&) const = default;
};
Status infer(const Elu& op, InferContext& cx);

/// min(max(alpha * x + beta, 0), 1). Spec: ONNX HardSigmoid-22. MIL: sigmoid_hard.
struct HardSigmoid {
  static constexpr OpKind kKind = OpKind::kHardSigmoid;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  float alpha = 0.2F, beta = 0.5F;
  template <typename V> void fields(V&& v) const { v("alpha", alpha); v("beta", beta); }
  bool operator==(const HardSigmoid&) const = default;
};
Status infer(const HardSigmoid& op, InferContext& cx);

/// x * Phi(x), by erf, or by 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Spec: ONNX Gelu-20. MIL: gelu.
struct Gelu {
  static constexpr OpKind kKind = OpKind::kGelu;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  bool is_tanh = false;
  template <typename V> void fields(V&& v) const { v("is_tanh", is_tanh); }
  bool operator==(const Gelu&) const = default;
};
Status infer(const Gelu& op, InferContext& cx);

/// min(max(x, min), max), so max wins where min > max; an absent bound is infinite. Float only. Spec: ONNX Clip-13. MIL: clip.
struct Clip {
  static constexpr OpKind kKind = OpKind::kClip;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  float min = -std::numeric_limits<float>::infinity();
  float max = std::numeric_limits<float>::infinity();
  template <typename V> void fields(V&& v) const { v("min", min); v("max", max); }
  bool operator==(const Clip&) const = default;
};
Status infer(const Clip& op, InferContext& cx);

[[nodiscard]] inline std::string_view word(DType dtype) { return name(dtype); }

/// Element by element to another dtype: float to integer truncates toward zero, to bool is x != 0, to a narrower float rounds
/// half to even. Out of an integer's range: saturates (ONNX leaves it open). Spec: ONNX Cast-13. MIL: cast.
/// Integer to a narrower integer is not left open: the higher bits are dropped. NaN to an integer is 0.
struct Cast {
  static constexpr OpKind kKind = OpKind::kCast;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  DType to = DType::kF32;
  template <typename V> void fields(V&& v) const { v("to", word(to)); }
  bool operator==(const Cast&) const = default;
};
Status infer(const Cast& op, InferContext& cx);

/// exp(x - max) / sum along one axis. Spec: ONNX Softmax-13. MIL: softmax.
struct Softmax {
  static constexpr OpKind kKind = OpKind::kSoftmax;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::int64_t axis = 0;  ///< 0 to rank - 1
  template <typename V> void fields(V&& v) const { v("axis", axis); }
  bool operator==(const Softmax&) const = default;
};
Status infer(const Softmax& op, InferContext& cx);

/// Two operands of one dtype, broadcast as NumPy does. Arithmetic on floats and integers (integer div truncates toward zero);
/// comparisons on floats, integers and (equal only) bool give bool; and, or, xor on bool.
/// Spec: ONNX Add-14, Sub-14, Mul-14, Div-14, Pow-15 (one dtype), Min-13, Max-13 (two operands), comparisons. MIL: same names.
template <OpKind K>
struct Binary {
  static constexpr OpKind kKind = K;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 2;
  template <typename V> void fields(V&&) const {}
  bool operator==(const Binary&) const = default;
};
using Add = Binary<OpKind::kAdd>;
using Sub = Binary<OpKind::kSub>;
using Mul = Binary<OpKind::kMul>;
using Div = Binary<OpKind::kDiv>;
using Pow = Binary<OpKind::kPow>;
using Min = Binary<OpKind::kMin>;
using Max = Binary<OpKind::kMax>;
using Equal = Binary<OpKind::kEqual>;
using Less = Binary<OpKind::kLess>;
using LessOrEqual = Binary<OpKind::kLessOrEqual>;
using Greater = Binary<OpKind::kGreater>;
using GreaterOrEqual = Binary<OpKind::kGreaterOrEqual>;
using And = Binary<OpKind::kAnd>;
using Or = Binary<OpKind::kOr>;
using Xor = Binary<OpKind::kXor>;

Status infer_binary(OpKind kind, InferContext& cx);
template <OpKind K>
Status infer(const Binary<K>&, InferContext& cx) {
  return infer_binary(K, cx);
}

/// condition ? a : b, all three broadcast. condition: bool; a, b: one dtype. Spec: ONNX Where-16. MIL: select.
struct Where {
  static constexpr OpKind kKind = OpKind::kWhere;
  static constexpr std::size_t kMinInputs = 3, kMaxInputs = 3;
  template <typename V> void fields(V&&) const {}
  bool operator==(const Where&) const = default;
};
Status infer(const Where& op, InferContext& cx);

/// The shape that NumPy's broadcasting gives, or an error with both extents. A symbol against 1 stays; against another extent
/// that is not known equal, the static one is taken (ONNX promises that the model is consistent).
[[nodiscard]] Result<Shape> broadcast(const Shape& a, const Shape& b, const SymbolTable& symbols);

}  // namespace smelt::ir
