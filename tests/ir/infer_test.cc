#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/op.h"
#include "ir/ops/all.h"

namespace smelt::ir {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
using Types = std::vector<std::optional<TensorType>>;

class InferTest : public testing::Test {
 protected:
  Result<std::vector<TensorType>> infer_all(const Op& op, const Types& types) {
    std::vector<const TensorType*> inputs;
    for (const std::optional<TensorType>& type : types) inputs.push_back(type ? &*type : nullptr);
    std::vector<TensorType> outputs;
    InferContext cx{.inputs = inputs, .symbols = symbols_, .outputs = outputs};
    SMELT_RETURN_IF_ERROR(op.definition().infer(op.attributes(), cx));
    return outputs;
  }

  /// The types of the results as text, "f32[1, 2]; f32[3]", or the error.
  std::string text(const Op& op, const Types& types) {
    const Result<std::vector<TensorType>> result = infer_all(op, types);
    if (!result.ok()) return "error: " + result.error().message();
    std::string out;
    for (const TensorType& type : *result) {
      out += (out.empty() ? "" : "; ") + std::string(name(type.dtype)) + symbols_.text(type.shape);
    }
    return out;
  }

  /// Expects `kMalformedInput` with this message.
  void refuses(const Op& op, const Types& types, const std::string& message) {
    const Result<std::vector<TensorType>> result = infer_all(op, types);
    if (result.ok()) {
      ADD_FAILURE() << op.name() << " gives " << text(op, types) << ", not: " << message;
      return;
    }
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformedInput);
    EXPECT_EQ(result.error().message(), message) << op.name();
  }

  Dim n() { return symbols_.symbol("n"); }
  Dim h() { return symbols_.symbol("h"); }

  SymbolTable symbols_;
};

TensorType f32(Shape shape) { return {.dtype = DType::kF32, .shape = std::move(shape)}; }
TensorType f16(Shape shape) { return {.dtype = DType::kF16, .shape = std::move(shape)}; }
TensorType i64(Shape shape) { return {.dtype = DType::kI64, .shape = std::move(shape)}; }
TensorType i8(Shape shape) { return {.dtype = DType::kI8, .shape = std::move(shape)}; }
TensorType u8(Shape shape) { return {.dtype = DType::kU8, .shape = std::move(shape)}; }
TensorType boolean(Shape shape) { return {.dtype = DType::kBool, .shape = std::move(shape)}; }

// --- op.cc ---

TEST(OpTest, EveryKindHasItsOwnName) {
  std::set<std::string_view> names;
  for (const OpKind kind : all_op_kinds()) names.insert(op_name(kind));
  EXPECT_EQ(names.size(), all_op_kinds().size());
  EXPECT_EQ(op_name(OpKind::kGreaterOrEqual), "greater_or_equal");
  EXPECT_EQ(all_op_kinds().front(), OpKind::kIdentity);
  EXPECT_EQ(all_op_kinds().back(), OpKind::kDequantize);
}

TEST(OpTest, AttributesText) {
  EXPECT_EQ(attributes_text(Abs{}), "");
  EXPECT_EQ(attributes_text(Conv{.stride = {1, 1}, .dilation = {}, .pads_begin = {0}, .pads_end = {2, -1}, .groups = 1}),
            "stride = [1, 1], dilation = [], pads_begin = [0], pads_end = [2, -1], groups = 1");
  EXPECT_EQ(attributes_text(Clip{}), "min = -inf, max = inf");
  EXPECT_EQ(attributes_text(LeakyRelu{.alpha = 0.01F}), "alpha = 0.01");
  EXPECT_EQ(attributes_text(BatchNorm{}), "epsilon = 1e-05");
  EXPECT_EQ(attributes_text(Gelu{.is_tanh = true}), "is_tanh = true");
  EXPECT_EQ(attributes_text(Cast{.to = DType::kBF16}), "to = bf16");
  EXPECT_EQ(attributes_text(Reduce{.function = ReduceFunction::kLogSumExp, .axes = {0, 2}, .keeps_axes = false}),
            "function = log_sum_exp, axes = [0, 2], keeps_axes = false");
}

TEST(OpTest, EqualityIsOfKindAndAttributes) {
  EXPECT_EQ(Op(LeakyRelu{.alpha = 2}), Op(LeakyRelu{.alpha = 2}));
  EXPECT_FALSE(Op(LeakyRelu{.alpha = 2}) == Op(LeakyRelu{.alpha = 3}));
  EXPECT_FALSE(Op(Abs{}) == Op(Neg{}));
}

TEST(OpTest, EveryReduceFunctionHasAWord) {
  std::set<std::string_view> words;
  for (int i = 0; i <= static_cast<int>(ReduceFunction::kLogSumExp); ++i) words.insert(word(static_cast<ReduceFunction>(i)));
  EXPECT_EQ(words, (std::set<std::string_view>{"sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum_exp"}));
}

// --- elementwise ---

TEST_F(InferTest, Unary) {
  EXPECT_EQ(text(Exp{}, {f16({2, n()})}), "f16[2, n]");
  EXPECT_EQ(text(Identity{}, {boolean({})}), "bool[]");
  EXPECT_EQ(text(Abs{}, {i8({3})}), "i8[3]");
  EXPECT_EQ(text(Relu{}, {i64({0})}), "i64[0]");
  EXPECT_EQ(text(Not{}, {boolean({3})}), "bool[3]");
  refuses(Exp{}, {i64({2})}, "exp of i64, a float required");
  refuses(Sigmoid{}, {boolean({2})}, "sigmoid of bool, a float required");
  refuses(Neg{}, {u8({2})}, "neg of u8, a float or signed integer required");
  refuses(Not{}, {f32({2})}, "not of f32, bool required");
  refuses(Abs{}, {std::nullopt}, "operand 0 is absent, the first 1 are required");
  refuses(Abs{}, {f32({}), f32({})}, "2 operands, at most 1 allowed");
}

TEST_F(InferTest, FloatUnaryWithAttributes) {
  for (const Op& op : {Op(LeakyRelu{}), Op(Elu{}), Op(HardSigmoid{}), Op(Gelu{}), Op(Clip{})}) {
    EXPECT_EQ(text(op, {f16({2, n()})}), "f16[2, n]");
    refuses(op, {i64({2})}, "operand 0 is i64, a float is required");
  }
}

TEST_F(InferTest, Cast) {
  EXPECT_EQ(text(Cast{.to = DType::kI4}, {f32({2, n()})}), "i4[2, n]");
  EXPECT_EQ(text(Cast{.to = DType::kBool}, {i64({})}), "bool[]");
}

TEST_F(InferTest, Softmax) {
  EXPECT_EQ(text(Softmax{.axis = 1}, {f32({2, n()})}), "f32[2, n]");
  refuses(Softmax{.axis = 2}, {f32({2, 3})}, "axis 2 is not in [0, 2)");
  refuses(Softmax{.axis = -1}, {f32({2, 3})}, "axis -1 is not in [0, 2)");
  refuses(Softmax{.axis = 0}, {f32({})}, "axis 0 is not in [0, 0)");
  refuses(Softmax{.axis = 0}, {i64({2})}, "operand 0 is i64, a float is required");
}

TEST_F(InferTest, Binary) {
  EXPECT_EQ(text(Add{}, {f32({2, 1, 4}), f32({3, 1})}), "f32[2, 3, 4]");
  EXPECT_EQ(text(Less{}, {i64({2}), i64({})}), "bool[2]");
  EXPECT_EQ(text(Equal{}, {boolean({2}), boolean({1})}), "bool[2]");
  EXPECT_EQ(text(And{}, {boolean({2}), boolean({0, 1})}), "bool[0, 2]");
  EXPECT_EQ(text(Div{}, {u8({1}), u8({0})}), "u8[0]");
  refuses(Add{}, {f32({2}), f16({2})}, "operand 1 is f16, operand 0 is f32");
  refuses(Add{}, {f32({2}), f32({3})}, "shapes [2] and [3] do not broadcast: 2 against 3");
  refuses(Add{}, {f32({0}), f32({3})}, "shapes [0] and [3] do not broadcast: 0 against 3");
  refuses(Mul{}, {boolean({}), boolean({})}, "mul of bool, a float or integer required");
  refuses(Less{}, {boolean({}), boolean({})}, "less of bool, a float or integer required");
  refuses(Xor{}, {i64({}), i64({})}, "xor of i64, bool required");
  refuses(Add{}, {f32({2})}, "operand 1 is absent, the first 2 are required");
}

TEST_F(InferTest, BroadcastOfSymbols) {
  EXPECT_EQ(text(Add{}, {f32({n(), 4}), f32({n(), 1})}), "f32[n, 4]");
  EXPECT_EQ(text(Add{}, {f32({n()}), f32({1})}), "f32[n]");
  EXPECT_EQ(text(Add{}, {f32({1}), f32({n()})}), "f32[n]");
  EXPECT_EQ(text(Add{}, {f32({n()}), f32({7})}), "f32[7]");
  EXPECT_EQ(text(Add{}, {f32({7}), f32({n()})}), "f32[7]");
  EXPECT_EQ(text(Add{}, {f32({n()}), f32({h()})}), "f32[n]");
}

TEST_F(InferTest, Where) {
  EXPECT_EQ(text(Where{}, {boolean({n(), 1}), f32({3}), f32({})}), "f32[n, 3]");
  refuses(Where{}, {i64({}), f32({}), f32({})}, "where of i64, a bool condition required");
  refuses(Where{}, {boolean({}), f32({}), f16({})}, "operand 2 is f16, operand 1 is f32");
  refuses(Where{}, {boolean({}), f32({2}), f32({3})}, "shapes [2] and [3] do not broadcast: 2 against 3");
  refuses(Where{}, {boolean({4}), f32({2}), f32({2})}, "shapes [4] and [2] do not broadcast: 4 against 2");
}

// --- conv and pool ---

Conv conv_2d(std::int64_t stride, std::int64_t pad, std::int64_t groups) {
  return {.stride = {stride, stride}, .dilation = {1, 1}, .pads_begin = {pad, pad}, .pads_end = {pad, pad}, .groups = groups};
}

TEST_F(InferTest, Conv) {
  EXPECT_EQ(text(conv_2d(1, 1, 1), {f32({1, 3, 8, 9}), f32({5, 3, 3, 3}), f32({5})}), "f32[1, 5, 8, 9]");
  EXPECT_EQ(text(conv_2d(2, 1, 4), {f16({1, 4, 8, 9}), f16({8, 1, 3, 3})}), "f16[1, 8, 4, 5]");
  EXPECT_EQ(text(conv_2d(1, 0, 1), {f32({0, 3, 3, 3}), f32({0, 3, 3, 3})}), "f32[0, 0, 1, 1]");
  EXPECT_EQ(text(conv_2d(1, 1, 1), {f32({n(), 3, h(), 8}), f32({5, 3, 3, 3})}), "f32[n, 5, h, 8]");
  EXPECT_EQ(text(conv_2d(2, 1, 1), {f32({n(), 3, h(), 8}), f32({5, 3, 3, 3})}), "f32[n, 5, floor((h + 1) / 2), 4]");
  const Conv dilated{.stride = {2}, .dilation = {3}, .pads_begin = {1}, .pads_end = {2}, .groups = 1};
  EXPECT_EQ(text(dilated, {f32({1, 1, 10}), f32({1, 1, 3})}), "f32[1, 1, 4]");  // (10 + 3 - 6 - 1) / 2 + 1
}

TEST_F(InferTest, ConvRefusesTypes) {
  refuses(conv_2d(1, 0, 1), {i64({1, 1, 3, 3}), i64({1, 1, 3, 3})}, "operand 0 is i64, a float is required");
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f16({1, 1, 3, 3})}, "operand 1 is f16, operand 0 is f32");
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f32({1, 1, 3, 3}), f16({1})}, "operand 2 is f16, operand 0 is f32");
  refuses(conv_2d(1, 0, 1), {f32({1, 1}), f32({1, 1})}, "operand 0 has rank 2, 3 to 5 required");
  refuses(conv_2d(1, 0, 1), {f32({}), f32({1, 1})}, "operand 0 has rank 0, 3 to 5 required");
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f32({1, 1, 3})}, "operand 1 has rank 3, 4 required");
  // ONNX Conv-22: C == W[1] * group
  refuses(conv_2d(1, 0, 2), {f32({1, 4, 3, 3}), f32({2, 4, 3, 3})}, "x has 4 channels, w takes 4 in each of 2 groups");
  refuses(conv_2d(1, 0, kHuge), {f32({1, 4, 3, 3}), f32({2, 4, 3, 3})},
          "x has 4 channels, w takes 4 in each of 9223372036854775807 groups");
  // ONNX Conv-22: M is a multiple of group
  refuses(conv_2d(1, 0, 2), {f32({1, 4, 3, 3}), f32({3, 2, 3, 3})}, "3 output channels do not divide into 2 groups");
  // ONNX Conv-22: B has shape [M]
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f32({2, 1, 3, 3}), f32({3})}, "operand 2 has shape [3], [2] required");
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f32({2, 1, 3, 3}), f32({})}, "operand 2 has shape [], [2] required");
}

TEST_F(InferTest, ConvRefusesAttributes) {
  const Types types{f32({1, 1, 3, 3}), f32({1, 1, 3, 3})};
  Conv op = conv_2d(1, 0, 0);
  refuses(op, types, "groups is 0, at least 1 required");
  op = conv_2d(0, 0, 1);
  refuses(op, types, "stride is 0, at least 1 required");
  op = conv_2d(1, -1, 1);
  refuses(op, types, "pads_begin is -1, at least 0 required");
  op = conv_2d(1, 0, 1);
  op.pads_end = {0};
  refuses(op, types, "pads_end has 1 values for 2 spatial axes");
  op = conv_2d(1, 0, 1);
  op.stride = {};
  refuses(op, types, "stride has 0 values for 2 spatial axes");
  op = conv_2d(1, 0, 1);
  op.dilation = {1, 0};
  refuses(op, types, "dilation is 0, at least 1 required");
}

TEST_F(InferTest, ConvRefusesWindows) {
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 2, 3}), f32({1, 1, 3, 3})},
          "kernel 3 with dilation 1 does not fit in extent 2 with pads 0 and 0");
  refuses(conv_2d(1, 0, 1), {f32({1, 1, 3, 3}), f32({1, 1, 0, 3})}, "kernel has extent 0, at least 1 required");
  Conv op = conv_2d(1, 0, 1);
  op.dilation = {kHuge, 1};
  refuses(op, {f32({1, 1, 3, 3}), f32({1, 1, 3, 3})},
          "kernel 3 with dilation 9223372036854775807, pads 0 and 0 does not fit in 64 bits");
  op = conv_2d(1, kHuge, 1);
  refuses(op, {f32({1, 1, 3, 3}), f32({1, 1, 3, 3})},
          "kernel 3 with dilation 1, pads 9223372036854775807 and 9223372036854775807 does not fit in 64 bits");
  op = conv_2d(1, 0, 1);
  op.pads_end = {kHuge, 0};
  refuses(op, {f32({1, 1, 3, 3}), f32({1, 1, 3, 3})}, "extent 3 with pads 0 and 9223372036854775807 does not fit in 64 bits");
}

TEST_F(InferTest, ConvOfOpenKernelIsOpen) {
  const Result<std::vector<TensorType>> result =
      infer_all(conv_2d(1, 0, 1), {f32({1, n(), 3, 3}), f32({h(), 1, n(), 3})});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)[0].shape[1], h());
  EXPECT_FALSE((*result)[0].shape[2].is_static());
  EXPECT_EQ((*result)[0].shape[3], Dim(1));
}

TEST_F(InferTest, Pools) {
  const MaxPool max{.kernel = {3, 2}, .stride = {2, 2}, .pads_begin = {1, 0}, .pads_end = {1, 1}};
  const AveragePool average{.kernel = {3, 2}, .stride = {2, 2}, .pads_begin = {1, 0}, .pads_end = {1, 1}};
  for (const Op& op : {Op(max), Op(average)}) {
    EXPECT_EQ(text(op, {f32({n(), 3, 8, 9})}), "f32[n, 3, 4, 5]");
    EXPECT_EQ(text(op, {f32({1, 3, h(), 8})}), "f32[1, 3, floor((h + 1) / 2), 4]");
    refuses(op, {i64({1, 1, 3, 3})}, "operand 0 is i64, a float is required");
    refuses(op, {f32({1, 1, 3})}, "kernel has 2 values for 1 spatial axes");
    refuses(op, {f32({1, 1})}, "operand 0 has rank 2, 3 to 5 required");
    refuses(op, {f32({1, 1, 0, 9})}, "kernel 3 with dilation 1 does not fit in extent 0 with pads 1 and 1");
  }
  MaxPool wrong = max;
  wrong.kernel = {0, 2};
  refuses(wrong, {f32({1, 1, 3, 3})}, "kernel is 0, at least 1 required");
  wrong = max;
  wrong.stride = {2, -2};
  refuses(wrong, {f32({1, 1, 3, 3})}, "stride is -2, at least 1 required");
  wrong = max;
  wrong.pads_begin = {3, 0};
  refuses(wrong, {f32({1, 1, 3, 3})}, "pads_begin is 3, less than the kernel's 3 required");
  wrong = max;
  wrong.pads_end = {0, 2};
  refuses(wrong, {f32({1, 1, 3, 3})}, "pads_end is 2, less than the kernel's 2 required");
  wrong.pads_end = {0, -2};
  refuses(wrong, {f32({1, 1, 3, 3})}, "pads_end is -2, at least 0 required");
}

// --- matmul ---

TEST_F(InferTest, MatMul) {
  EXPECT_EQ(text(MatMul{}, {f32({2, 3}), f32({3, 4})}), "f32[2, 4]");
  EXPECT_EQ(text(MatMul{.transpose_x = true, .transpose_y = true}, {f32({3, 2}), f32({4, 3})}), "f32[2, 4]");
  EXPECT_EQ(text(MatMul{}, {f32({n(), 1, h(), 3}), f32({5, 3, 4})}), "f32[n, 5, h, 4]");
  EXPECT_EQ(text(MatMul{}, {i64({2, n()}), i64({0, 4})}), "i64[2, 4]");
  refuses(MatMul{}, {f32({2, 3}), f32({2, 3})}, "inner extents differ: 3 in [2, 3] against 2 in [2, 3]");
  refuses(MatMul{}, {f32({3}), f32({3, 4})}, "operand 0 has rank 1, at least 2 required");
  refuses(MatMul{}, {f32({3, 4}), f32({})}, "operand 1 has rank 0, at least 2 required");
  refuses(MatMul{}, {f32({2, 3}), f16({3, 4})}, "operand 1 is f16, operand 0 is f32");
  refuses(MatMul{}, {boolean({2, 3}), boolean({3, 4})}, "matmul of bool, a float or integer required");
  refuses(MatMul{}, {f32({2, 2, 3}), f32({3, 3, 4})}, "shapes [2] and [3] do not broadcast: 2 against 3");
}

TEST_F(InferTest, Attention) {
  EXPECT_EQ(text(Attention{}, {f32({n(), 3, 4}), f32({n(), 5, 4}), f32({n(), 5, 6})}), "f32[n, 3, 6]");
  EXPECT_EQ(text(Attention{}, {f16({1, 2, 3, 4}), f16({1, 2, 5, 4}), f16({1, 2, 5, 4}), f16({1, 1, 1, 5})}), "f16[1, 2, 3, 4]");
  const TensorType q = f32({2, 3, 4}), k = f32({2, 5, 4}), v = f32({2, 5, 6});
  EXPECT_EQ(text(Attention{}, {q, k, v, f32({3, 5})}), "f32[2, 3, 6]");
  refuses(Attention{}, {f32({3, 4}), k, v}, "operand 0 has rank 2, at least 3 required");
  refuses(Attention{}, {q, f32({1, 2, 5, 4}), v}, "operand 1 has rank 4, 3 required");
  refuses(Attention{}, {q, k, f32({5, 6})}, "operand 2 has rank 2, 3 required");
  refuses(Attention{}, {q, f16({2, 5, 4}), v}, "operand 1 is f16, operand 0 is f32");
  refuses(Attention{}, {q, f32({1, 5, 4}), v}, "batch extents of query and key differ: 2 against 1");
  refuses(Attention{}, {q, k, f32({3, 5, 6})}, "batch extents of query and value differ: 2 against 3");
  refuses(Attention{}, {q, f32({2, 5, 3}), v}, "last extents of query and key differ: 4 against 3");
  refuses(Attention{}, {q, k, f32({2, 4, 6})}, "sequence lengths of key and value differ: 5 against 4");
  refuses(Attention{}, {q, k, v, f32({4, 5})}, "shapes [2, 3, 5] and [4, 5] do not broadcast: 3 against 4");
  refuses(Attention{}, {q, k, v, f32({1, 2, 3, 5})}, "a mask of shape [1, 2, 3, 5] does not broadcast to the scores' [2, 3, 5]");
  refuses(Attention{}, {f32({2, 1, 4}), k, v, f32({3, 5})}, "a mask of shape [3, 5] does not broadcast to the scores' [2, 1, 5]");
}

TEST_F(InferTest, Linear) {
  EXPECT_EQ(text(Linear{}, {f32({n(), 7, 3}), f32({4, 3}), f32({4})}), "f32[n, 7, 4]");
  EXPECT_EQ(text(Linear{}, {f32({2, h()}), f32({4, 3})}), "f32[2, 4]");
  refuses(Linear{}, {f32({2, 3}), f32({3, 4})}, "x has 3 features, w takes 4");
  refuses(Linear{}, {f32({3}), f32({4, 3})}, "operand 0 has rank 1, at least 2 required");
  refuses(Linear{}, {f32({2, 3}), f32({1, 4, 3})}, "operand 1 has rank 3, 2 required");
  refuses(Linear{}, {f32({2, 3}), f32({4, 3}), f32({3})}, "operand 2 has shape [3], [4] required");
  refuses(Linear{}, {i64({2, 3}), i64({4, 3})}, "operand 0 is i64, a float is required");
}

// --- norm ---

TEST_F(InferTest, BatchNorm) {
  EXPECT_EQ(text(BatchNorm{}, {f32({n(), 3, 8}), f32({3}), f32({3}), f32({3}), f32({h()})}), "f32[n, 3, 8]");
  refuses(BatchNorm{}, {f32({2, 3}), f32({3}), f32({3}), f32({3}), f32({2})}, "operand 4 has shape [2], [3] required");
  refuses(BatchNorm{}, {f32({3}), f32({3}), f32({3}), f32({3}), f32({3})}, "operand 0 has rank 1, 2 to 5 required");
  refuses(BatchNorm{}, {f32({2, 3}), f32({3}), f32({3}), f16({3}), f32({3})}, "operand 3 is f16, operand 0 is f32");
  refuses(BatchNorm{}, {f32({2, 3}), f32({3}), f32({3}), std::nullopt, f32({3})},
          "operand 3 is absent, the first 5 are required");
  refuses(BatchNorm{}, {i64({2, 3}), i64({3}), i64({3}), i64({3}), i64({3})}, "operand 0 is i64, a float is required");
}

TEST_F(InferTest, LayerNorm) {
  EXPECT_EQ(text(LayerNorm{.axis = 1}, {f32({n(), 3, 4}), f32({3, 4}), f32({3, 4})}), "f32[n, 3, 4]");
  EXPECT_EQ(text(LayerNorm{.axis = 2}, {f32({n(), 3, 4}), std::nullopt, f32({4})}), "f32[n, 3, 4]");
  EXPECT_EQ(text(LayerNorm{.axis = 0}, {f16({3})}), "f16[3]");
  refuses(LayerNorm{.axis = 1}, {f32({2, 3}), f32({2})}, "operand 1 has shape [2], [3] required");
  refuses(LayerNorm{.axis = 1}, {f32({2, 3}), f32({3}), f32({1, 3})}, "operand 2 has shape [1, 3], [3] required");
  refuses(LayerNorm{.axis = 2}, {f32({2, 3})}, "axis 2 is not in [0, 2)");
  refuses(LayerNorm{.axis = 0}, {f32({})}, "axis 0 is not in [0, 0)");
  refuses(LayerNorm{.axis = 0}, {i64({2})}, "operand 0 is i64, a float is required");
}

TEST_F(InferTest, InstanceNorm) {
  EXPECT_EQ(text(InstanceNorm{}, {f32({n(), 3, h()}), f32({3}), f32({3})}), "f32[n, 3, h]");
  refuses(InstanceNorm{}, {f32({2, 3}), f32({3}), f32({3})}, "operand 0 has rank 2, at least 3 required");
  refuses(InstanceNorm{}, {f32({2, 3, 4}), f32({3}), f32({4})}, "operand 2 has shape [4], [3] required");
  refuses(InstanceNorm{}, {f32({2, 3, 4}), f16({3}), f32({3})}, "operand 1 is f16, operand 0 is f32");
}

// --- reduce ---

TEST_F(InferTest, Reduce) {
  Reduce op{.function = ReduceFunction::kMean, .axes = {1, 2}, .keeps_axes = true};
  EXPECT_EQ(text(op, {f32({n(), h(), 4, 5})}), "f32[n, 1, 1, 5]");
  op.keeps_axes = false;
  EXPECT_EQ(text(op, {i64({n(), h(), 0, 5})}), "i64[n, 5]");
  refuses(op, {boolean({2, 3, 4})}, "mean of bool, a float or integer required");
  refuses(op, {f32({2, 3})}, "axis 2 is not in [0, 2)");
  op.function = ReduceFunction::kL2;
  refuses(op, {i64({2, 3, 4})}, "l2 of i64, a float required");
  op.axes = {};
  refuses(op, {f32({2, 3})}, "no axes of 2 are reduced, at least 1 required");
  op.axes = {1, 1};
  refuses(op, {f32({2, 3})}, "axes are not ascending: 1 after 1");
  op.axes = {-1};
  refuses(op, {f32({2, 3})}, "axis -1 is not in [0, 2)");
}

// --- shape ---

TEST_F(InferTest, Reshape) {
  EXPECT_EQ(text(Reshape{.shape = {3, -1}}, {f32({2, 6})}), "f32[3, 4]");
  EXPECT_EQ(text(Reshape{.shape = {}}, {f32({1, 1})}), "f32[]");
  EXPECT_EQ(text(Reshape{.shape = {0, 7}}, {i64({5, 0})}), "i64[0, 7]");
  EXPECT_EQ(text(Reshape{.shape = {-1, 4}}, {i64({5, 0})}), "i64[0, 4]");
  EXPECT_EQ(text(Reshape{.shape = {-1, 12}}, {f32({n(), 3, 4})}), "f32[n, 12]");
  EXPECT_EQ(text(Reshape{.shape = {-1, 24}}, {f32({n(), 3, 4})}), "f32[floor(12 * n / 24), 24]");
  EXPECT_EQ(text(Reshape{.shape = {2, 12}}, {f32({n(), 3, 4})}), "f32[2, 12]");
  refuses(Reshape{.shape = {5}}, {f32({2, 3})}, "[2, 3] has 6 elements, [5] has 5");
  refuses(Reshape{.shape = {5, -1}}, {f32({2, 3})}, "[2, 3] has 6 elements, [5, -1] takes a multiple of 5");
  refuses(Reshape{.shape = {5}}, {f32({n(), 3})}, "[n, 3] has a multiple of 3 elements, [5] has 5");
  refuses(Reshape{.shape = {5}}, {f32({n(), 0})}, "[n, 0] has a multiple of 0 elements, [5] has 5");
  refuses(Reshape{.shape = {-1, -1}}, {f32({2, 3})}, "2 extents of [-1, -1] are -1, at most 1 allowed");
  refuses(Reshape{.shape = {-2, -3}}, {f32({2, 3})}, "extent -2 in [-2, -3], at least -1 required");
  refuses(Reshape{.shape = {0, -1}}, {f32({0, 3})}, "-1 beside an extent of 0 in [0, -1] is open");
  refuses(Reshape{.shape = {kHuge, 2}}, {f32({2})}, "[9223372036854775807, 2] has more than 2^63 elements");
  refuses(Reshape{.shape = {-1}}, {f32({kHuge, 2})}, "[9223372036854775807, 2] has more than 2^63 elements");
}

TEST_F(InferTest, Transpose) {
  EXPECT_EQ(text(Transpose{.perm = {2, 0, 1}}, {f32({n(), 3, h()})}), "f32[h, n, 3]");
  EXPECT_EQ(text(Transpose{.perm = {}}, {f32({})}), "f32[]");
  refuses(Transpose{.perm = {0}}, {f32({2, 3})}, "perm has 1 axes, x has 2");
  refuses(Transpose{.perm = {0, 0}}, {f32({2, 3})}, "axis 0 is twice in perm [0, 0]");
  refuses(Transpose{.perm = {0, 2}}, {f32({2, 3})}, "axis 2 is not in [0, 2)");
  refuses(Transpose{.perm = {0, -1}}, {f32({2, 3})}, "axis -1 is not in [0, 2)");
}

TEST_F(InferTest, Squeeze) {
  EXPECT_EQ(text(Squeeze{.axes = {0, 2}}, {f32({1, n(), 1, 4})}), "f32[n, 4]");
  EXPECT_EQ(text(Squeeze{.axes = {0}}, {f32({n(), 4})}), "f32[4]");
  refuses(Squeeze{.axes = {1}}, {f32({1, 2})}, "axis 1 of [1, 2] has extent 2, 1 required");
  refuses(Squeeze{.axes = {0}}, {f32({0})}, "axis 0 of [0] has extent 0, 1 required");
  refuses(Squeeze{.axes = {2}}, {f32({1, 1})}, "axis 2 is not in [0, 2)");
  refuses(Squeeze{.axes = {1, 0}}, {f32({1, 1})}, "axes are not ascending: 0 after 1");
}

TEST_F(InferTest, ExpandDims) {
  EXPECT_EQ(text(ExpandDims{.axes = {0, 2, 3}}, {f32({n(), 4})}), "f32[1, n, 1, 1, 4]");
  refuses(ExpandDims{.axes = {3}}, {f32({2, 3})}, "axis 3 is not in [0, 3)");
  refuses(ExpandDims{.axes = {0, 0}}, {f32({2, 3})}, "axes are not ascending: 0 after 0");
}

TEST_F(InferTest, Concat) {
  EXPECT_EQ(text(Concat{.axis = 1}, {f32({2, 3}), f32({2, 0}), f32({2, 4})}), "f32[2, 7]");
  EXPECT_EQ(text(Concat{.axis = 1}, {f32({n(), 3}), f32({2, h()})}), "f32[2, (h + 3)]");
  EXPECT_EQ(text(Concat{.axis = 0}, {f32({n()}), f32({h()})}), "f32[(h + n)]");
  refuses(Concat{.axis = 0}, {}, "operand 0 is absent, the first 1 are required");
  refuses(Concat{.axis = 0}, {f32({1}), std::nullopt}, "operand 1 is absent, the first 2 are required");
  refuses(Concat{.axis = 0}, {f32({1}), f16({1})}, "operand 1 is f16, operand 0 is f32");
  refuses(Concat{.axis = 1}, {f32({1})}, "axis 1 is not in [0, 1)");
  refuses(Concat{.axis = 0}, {f32({1}), f32({1, 1})}, "operand 1 has rank 2, 1 required");
  refuses(Concat{.axis = 0}, {f32({1, 2}), f32({1, 3})}, "axis 1 of operand 1 has extent 3, of those before 2");
  refuses(Concat{.axis = 1}, {f32({n(), 2}), f32({4, 2}), f32({5, 2})}, "axis 0 of operand 2 has extent 5, of those before 4");
  refuses(Concat{.axis = 0}, {f32({kHuge}), f32({1})}, "extents 9223372036854775807 and 1 do not add up in 64 bits");
}

TEST_F(InferTest, Split) {
  EXPECT_EQ(text(Split{.axis = 1, .sizes = {1, 0, 3}}, {f32({n(), 4})}), "f32[n, 1]; f32[n, 0]; f32[n, 3]");
  EXPECT_EQ(text(Split{.axis = 0, .sizes = {2, 3}}, {f32({n()})}), "f32[2]; f32[3]");
  refuses(Split{.axis = 0, .sizes = {2, 3}}, {f32({4})}, "sizes [2, 3] sum to 5, axis 0 has extent 4");
  refuses(Split{.axis = 0, .sizes = {}}, {f32({0})}, "0 sizes, at least 1 required");
  refuses(Split{.axis = 0, .sizes = {5, -1}}, {f32({4})}, "size is -1, at least 0 required");
  refuses(Split{.axis = 0, .sizes = {kHuge, 1}}, {f32({4})}, "sizes [9223372036854775807, 1] do not add up in 64 bits");
  refuses(Split{.axis = 1, .sizes = {4}}, {f32({4})}, "axis 1 is not in [0, 1)");
}

TEST_F(InferTest, Slice) {
  EXPECT_EQ(text(Slice{.begin = {1, 0}, .end = {6, 5}, .step = {2, 1}}, {f32({6, 5})}), "f32[3, 5]");
  EXPECT_EQ(text(Slice{.begin = {4}, .end = {-1}, .step = {-1}}, {f32({5})}), "f32[5]");
  EXPECT_EQ(text(Slice{.begin = {4}, .end = {0}, .step = {-3}}, {f32({5})}), "f32[2]");
  EXPECT_EQ(text(Slice{.begin = {4}, .end = {-1}, .step = {std::numeric_limits<std::int64_t>::min()}}, {f32({5})}), "f32[1]");
  EXPECT_EQ(text(Slice{.begin = {0}, .end = {5}, .step = {kHuge}}, {f32({5})}), "f32[1]");
  EXPECT_EQ(text(Slice{.begin = {3}, .end = {2}, .step = {1}}, {f32({5})}), "f32[0]");
  EXPECT_EQ(text(Slice{.begin = {-1}, .end = {-1}, .step = {-1}}, {f32({0})}), "f32[0]");
  EXPECT_EQ(text(Slice{.begin = {0, 1}, .end = {kHuge, 2}, .step = {1, 1}}, {f32({n(), 5})}), "f32[n, 1]");
  EXPECT_EQ(text(Slice{.begin = {0}, .end = {kHuge}, .step = {1}}, {f32({5})}), "f32[5]");
  refuses(Slice{.begin = {0}, .end = {5}, .step = {0}}, {f32({5})}, "step is 0");
  refuses(Slice{.begin = {0}, .end = {6}, .step = {1}}, {f32({5})}, "0 : 6 : 1 leaves [0, 5] of extent 5");
  refuses(Slice{.begin = {-1}, .end = {5}, .step = {1}}, {f32({5})}, "-1 : 5 : 1 leaves [0, 5] of extent 5");
  refuses(Slice{.begin = {5}, .end = {-1}, .step = {-1}}, {f32({5})}, "5 : -1 : -1 leaves [-1, 4] of extent 5");
  refuses(Slice{.begin = {4}, .end = {-2}, .step = {-1}}, {f32({5})}, "4 : -2 : -1 leaves [-1, 4] of extent 5");
  refuses(Slice{.begin = {0}, .end = {3}, .step = {1}}, {f32({n()})}, "0 : 3 : 1 of an axis of open extent n");
  refuses(Slice{.begin = {0}, .end = {5, 5}, .step = {1}}, {f32({5})}, "begin, end and step have 1, 2 and 1 values for 1 axes");
}

TEST_F(InferTest, Gather) {
  EXPECT_EQ(text(Gather{.axis = 1}, {f16({n(), 5, 4}), i64({2, h()})}), "f16[n, 2, h, 4]");
  EXPECT_EQ(text(Gather{.axis = 0}, {boolean({5}), i64({})}), "bool[]");
  refuses(Gather{.axis = 1}, {f32({5}), i64({})}, "axis 1 is not in [0, 1)");
  refuses(Gather{.axis = 0}, {f32({}), i64({})}, "axis 0 is not in [0, 0)");
  refuses(Gather{.axis = 0}, {f32({5}), u8({})}, "indices are u8, i32 or i64 required");
}

TEST_F(InferTest, GatherNd) {
  EXPECT_EQ(text(GatherNd{}, {f32({3, n(), 4}), i64({5, h(), 2})}), "f32[5, h, 4]");
  EXPECT_EQ(text(GatherNd{.batch_axes = 1}, {f32({2, 3, 4}), i64({2, 1})}), "f32[2, 4]");
  refuses(GatherNd{}, {f32({3}), f32({1})}, "indices are f32, i32 or i64 required");
  refuses(GatherNd{}, {f32({}), i64({1})}, "operand 0 has rank 0, at least 1 required");
  refuses(GatherNd{}, {f32({3}), i64({})}, "operand 1 has rank 0, at least 1 required");
  refuses(GatherNd{.batch_axes = 1}, {f32({3}), i64({3, 1})}, "batch_axes is 1, in [0, 1) required");
  refuses(GatherNd{.batch_axes = -1}, {f32({3}), i64({3, 1})}, "batch_axes is -1, in [0, 1) required");
  refuses(GatherNd{.batch_axes = 1}, {f32({2, 3}), i64({4, 1})}, "batch axis 0 has extent 2 in x, 4 in indices");
  refuses(GatherNd{}, {f32({2, 3}), i64({4, 3})}, "index tuples have 3 values, 1 to 2 required");
  refuses(GatherNd{}, {f32({2, 3}), i64({4, 0})}, "index tuples have 0 values, 1 to 2 required");
  refuses(GatherNd{}, {f32({2, 3}), i64({4, n()})}, "index tuples have n values, 1 to 2 required");
}

TEST_F(InferTest, Expand) {
  EXPECT_EQ(text(Expand{.shape = {2, 1, 4}}, {f32({3, 1})}), "f32[2, 3, 4]");
  EXPECT_EQ(text(Expand{.shape = {1, 5}}, {f32({n(), 1})}), "f32[n, 5]");
  refuses(Expand{.shape = {4}}, {f32({3})}, "shapes [3] and [4] do not broadcast: 3 against 4");
  refuses(Expand{.shape = {0}}, {f32({1})}, "extent 0 in [0], at least 1 required");
  refuses(Expand{.shape = {2, -1}}, {f32({1})}, "extent -1 in [2, -1], at least 1 required");
}

// --- quant ---

TEST_F(InferTest, Dequantize) {
  EXPECT_EQ(text(Dequantize{.axis = 1}, {i8({2, 3}), f16({3})}), "f16[2, 3]");
  EXPECT_EQ(text(Dequantize{.axis = 0}, {i8({n(), 3}), f32({1})}), "f32[n, 3]");
  EXPECT_EQ(text(Dequantize{.axis = 0}, {i8({n(), 3}), f32({4})}), "f32[n, 3]");
  refuses(Dequantize{.axis = 0}, {u8({2}), f32({2})}, "q is u8, i8 required");
  refuses(Dequantize{.axis = 0}, {i8({2}), i64({2})}, "scale is i64, a float required");
  refuses(Dequantize{.axis = 0}, {i8({2}), f32({})}, "operand 1 has rank 0, 1 required");
  refuses(Dequantize{.axis = 0}, {i8({2, 3}), f32({3})}, "operand 1 has shape [3], [2] required");
  refuses(Dequantize{.axis = 2}, {i8({2, 3}), f32({3})}, "axis 2 is not in [0, 2)");
}

}  // namespace
}  // namespace smelt::ir
