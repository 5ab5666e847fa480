#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "smelt/result.h"
#include "tensor/type.h"

namespace smelt::ir {

// clang-format off
/// Every op, once: its kind and its word in the text form. `ops/all.h` includes their definitions.
#define SMELT_IR_OPS(X)                                                                                                    \
  X(kIdentity, "identity") X(kAbs, "abs") X(kNeg, "neg") X(kSign, "sign") X(kExp, "exp") X(kLog, "log") X(kSqrt, "sqrt")  \
  X(kReciprocal, "reciprocal") X(kFloor, "floor") X(kCeil, "ceil") X(kRound, "round") X(kSin, "sin") X(kCos, "cos")       \
  X(kErf, "erf") X(kNot, "not") X(kRelu, "relu") X(kSigmoid, "sigmoid") X(kTanh, "tanh") X(kSoftplus, "softplus")         \
  X(kSoftsign, "softsign") X(kSilu, "silu") X(kHardSwish, "hard_swish") X(kLeakyRelu, "leaky_relu") X(kElu, "elu")        \
  X(kHardSigmoid, "hard_sigmoid") X(kGelu, "gelu") X(kClip, "clip") X(kCast, "cast") X(kSoftmax, "softmax")               \
  X(kAdd, "add") X(kSub, "sub") X(kMul, "mul") X(kDiv, "div") X(kPow, "pow") X(kMin, "min") X(kMax, "max")                \
  X(kEqual, "equal") X(kLess, "less") X(kLessOrEqual, "less_or_equal") X(kGreater, "greater")                             \
  X(kGreaterOrEqual, "greater_or_equal") X(kAnd, "and") X(kOr, "or") X(kXor, "xor") X(kWhere, "where")                    \
  X(kConv, "conv") X(kMaxPool, "max_pool") X(kAveragePool, "average_pool") X(kMatMul, "matmul") X(kLinear, "linear")      \
  X(kAttention, "attention")                                                                                              \
  X(kBatchNorm, "batch_norm") X(kLayerNorm, "layer_norm") X(kInstanceNorm, "instance_norm") X(kReduce, "reduce")          \
  X(kReshape, "reshape") X(kTranspose, "transpose") X(kSqueeze, "squeeze") X(kExpandDims, "expand_dims")                  \
  X(kConcat, "concat") X(kSplit, "split") X(kSlice, "slice") X(kGather, "gather") X(kGatherNd, "gather_nd")               \
  X(kExpand, "expand") X(kLstm, "lstm") X(kGru, "gru") X(kIsNan, "is_nan")                                 \
  X(kConvTranspose, "conv_transpose") X(kPad, "pad") X(kResize, "resize") X(kDequantize, "dequantize")
// clang-format on

enum class OpKind : std::uint16_t {
#define SMELT_IR_KIND(kind, word) kind,
  SMELT_IR_OPS(SMELT_IR_KIND)
#undef SMELT_IR_KIND
};

/// The op's word in the text form.
[[nodiscard]] std::string_view op_name(OpKind kind);
[[nodiscard]] std::span<const OpKind> all_op_kinds();

/// What a shape rule sees, and where it puts the types of the results.
struct InferContext {
  std::span<const TensorType* const> inputs;  ///< nullptr for an absent operand
  SymbolTable& symbols;
  std::vector<TensorType>& outputs;

  [[nodiscard]] const TensorType& input(std::size_t index) const { return *inputs[index]; }
  [[nodiscard]] bool has(std::size_t index) const { return index < inputs.size() && inputs[index] != nullptr; }
};

/// The checks that shape rules share. Each is `kMalformedInput` with the two things that disagree.
namespace rule {

[[nodiscard]] Error malformed(std::string message);
/// The first `min_count` operands are there, and none after the first `max_count`.
[[nodiscard]] Status operands(const InferContext& cx, std::size_t min_count, std::size_t max_count);
/// Every operand that is there has the dtype of operand 0.
[[nodiscard]] Status one_dtype(const InferContext& cx);
/// The same, and that dtype is a float.
[[nodiscard]] Status one_float_dtype(const InferContext& cx);
[[nodiscard]] Status rank_between(const InferContext& cx, std::size_t index, std::size_t min_rank, std::size_t max_rank);
/// Operand `index` is of this shape, or symbols leave that open.
[[nodiscard]] Status shape_is(const InferContext& cx, std::size_t index, const Shape& shape);
[[nodiscard]] Status axis_in_rank(std::int64_t axis, std::size_t rank);
/// Attribute `name` has a value for each of `axes` spatial axes, each at least `least`.
[[nodiscard]] Status one_per_axis(std::string_view name, std::span<const std::int64_t> values, std::size_t axes,
                                  std::int64_t least);
/// Strictly ascending, each 0 to rank - 1.
[[nodiscard]] Status axes_in_rank(std::span<const std::int64_t> axes, std::size_t rank);

}  // namespace rule

/// Reads an op's attributes one by one: printing, hashing.
class AttributeVisitor {
 public:
  virtual ~AttributeVisitor() = default;
  virtual void visit(std::string_view name, std::int64_t value) = 0;
  virtual void visit(std::string_view name, float value) = 0;
  virtual void visit(std::string_view name, bool value) = 0;
  virtual void visit(std::string_view name, std::string_view value) = 0;  ///< enumerations, as their word
  virtual void visit(std::string_view name, const std::vector<std::int64_t>& value) = 0;
};

/// The static side of an op. One for each op, never destroyed.
struct OpDefinition {
  OpKind kind;
  std::size_t min_inputs, max_inputs;
  Status (*infer)(const void* attributes, InferContext& cx);
  bool (*equal)(const void* a, const void* b);
  void (*visit)(const void* attributes, AttributeVisitor& visitor);
};

/// An op as an immutable value: which op, and its attributes. Cheap to copy.
class Op {
 public:
  template <typename T>
  // NOLINTNEXTLINE(google-explicit-constructor): an op's struct is an op.
  Op(T attributes);

  [[nodiscard]] OpKind kind() const { return definition_->kind; }
  [[nodiscard]] std::string_view name() const { return op_name(kind()); }
  [[nodiscard]] const OpDefinition& definition() const { return *definition_; }
  [[nodiscard]] const void* attributes() const { return attributes_.get(); }

  /// The attributes if this is a T, else nullptr.
  template <typename T>
  [[nodiscard]] const T* as() const {
    return kind() == T::kKind ? static_cast<const T*>(attributes_.get()) : nullptr;
  }

  bool operator==(const Op& other) const {
    return definition_ == other.definition_ && definition_->equal(attributes(), other.attributes());
  }

 private:
  const OpDefinition* definition_;
  std::shared_ptr<const void> attributes_;
};

/// The attributes' text, ", "-separated "name = value", as the text form has it.
[[nodiscard]] std::string attributes_text(const Op& op);

namespace detail {

template <typename T>
constexpr OpDefinition kDefinition{
    .kind = T::kKind,
    .min_inputs = T::kMinInputs,
    .max_inputs = T::kMaxInputs,
    .infer = [](const void* attributes, InferContext& cx) { return infer(*static_cast<const T*>(attributes), cx); },
    .equal = [](const void* a, const void* b) { return *static_cast<const T*>(a) == *static_cast<const T*>(b); },
    .visit =
        [](const void* attributes, AttributeVisitor& visitor) {
          static_cast<const T*>(attributes)->fields([&](std::string_view name, const auto& value) {
            if constexpr (requires { word(value); }) {
              visitor.visit(name, std::string_view(word(value)));
            } else {
              visitor.visit(name, value);
            }
          });
        },
};

}  // namespace detail

template <typename T>
Op::Op(T attributes)
    : definition_(&detail::kDefinition<T>), attributes_(std::make_shared<const T>(std::move(attributes))) {}

}  // namespace smelt::ir
