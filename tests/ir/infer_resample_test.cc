#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/ops/all.h"

namespace smelt::ir {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
using Extents = std::vector<std::int64_t>;

class InferResample : public testing::Test {
 protected:
  /// The type of the result as text, or the error, which is `kMalformedInput`.
  std::string text(const Op& op, const std::vector<TensorType>& types) {
    std::vector<const TensorType*> inputs;
    for (const TensorType& type : types) inputs.push_back(&type);
    const Result<std::vector<TensorType>> result = infer_types(op, inputs, symbols_);
    if (result.ok()) return std::string(name(result->at(0).dtype)) + symbols_.text(result->at(0).shape);
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformedInput);
    return result.error().message();
  }
  Dim h() { return symbols_.symbol("h"); }
  SymbolTable symbols_;
};

TensorType f32(Shape shape) { return {.dtype = DType::kF32, .shape = std::move(shape)}; }
TensorType i32(Shape shape) { return {.dtype = DType::kI32, .shape = std::move(shape)}; }

TEST_F(InferResample, IsNan) {
  EXPECT_EQ(text(IsNan{}, {f32({2, h()})}), "bool[2, h]");
  EXPECT_EQ(text(IsNan{}, {i32({2})}), "is_nan of i32, a float required");
}

ConvTranspose transposed(Extents stride, Extents dilation, Extents begin, Extents end, Extents output_padding, std::int64_t groups = 1) {
  return {.stride = std::move(stride), .dilation = std::move(dilation), .pads_begin = std::move(begin), .pads_end = std::move(end),
          .output_padding = std::move(output_padding), .groups = groups};
}

TEST_F(InferResample, ConvTranspose) {
  const ConvTranspose plain = transposed({2}, {1}, {1}, {0}, {1});
  EXPECT_EQ(text(plain, {f32({1, 4, 5}), f32({4, 3, 3}), f32({3})}), "f32[1, 3, 11]");
  EXPECT_EQ(text(plain, {f32({1, 4, h()}), f32({4, 3, 3})}), "f32[1, 3, (2 * h + 1)]");
  EXPECT_EQ(text(transposed({1, 3}, {2, 1}, {0, 0}, {0, 0}, {0, 0}, 2), {f32({1, 4, 2, 2}), f32({4, 3, 3, 2})}), "f32[1, 6, 6, 5]");
  EXPECT_EQ(text(plain, {f32({1, 4, 5}), f32({3, 4, 3})}), "x has 4 channels, w takes 3");
  EXPECT_EQ(text(plain, {f32({1, 4, 5}), f32({4, 3, 3, 3})}), "operand 1 has rank 4, 3 required");
  EXPECT_EQ(text(plain, {f32({1, 4, 5}), f32({4, 3, 3}), f32({4})}), "operand 2 has shape [4], [3] required");
  EXPECT_EQ(text(plain, {f32({4, 5}), f32({4, 3})}), "operand 0 has rank 2, 3 to 5 required");
  EXPECT_EQ(text(plain, {i32({1, 4, 5}), i32({4, 3, 3})}), "operand 0 is i32, a float is required");
  EXPECT_EQ(text(plain, {f32({1, 4, 5}), f32({4, 3, 0})}), "kernel has extent 0, at least 1 required");
  EXPECT_EQ(text(plain, {f32({1, 4, 0}), f32({4, 3, 3})}), "spatial axis 0 has extent 0, at least 1 required");
  EXPECT_EQ(text(transposed({2}, {1}, {6}, {5}, {0}), {f32({1, 4, 5}), f32({4, 3, 3})}), "pads 6 and 5 leave nothing of spatial axis 0");
  EXPECT_EQ(text(transposed({kHuge}, {1}, {0}, {0}, {0}), {f32({1, 4, 5}), f32({4, 3, 3})}), "the extent of spatial axis 0 does not fit in 64 bits");
  EXPECT_EQ(text(transposed({1}, {kHuge}, {0}, {0}, {0}), {f32({1, 4, h()}), f32({4, 3, 3})}), "the extent of spatial axis 0 does not fit in 64 bits");
  EXPECT_EQ(text(transposed({1}, {1}, {0}, {0}, {0}, 3), {f32({1, 4, 5}), f32({4, 3, 3})}), "4 input channels do not divide into 3 groups");
  EXPECT_EQ(text(transposed({1}, {1}, {0}, {0}, {0}, 0), {f32({1, 4, 5}), f32({4, 3, 3})}), "groups is 0, at least 1 required");
  EXPECT_EQ(text(transposed({1}, {1}, {0}, {0}, {-1}), {f32({1, 4, 5}), f32({4, 3, 3})}), "output_padding is -1, at least 0 required");
  EXPECT_EQ(text(transposed({1}, {1}, {0}, {0}, {}), {f32({1, 4, 5}), f32({4, 3, 3})}), "output_padding has 0 values for 1 spatial axes");
}

TEST_F(InferResample, Pad) {
  const auto pad = [](PadMode mode, Extents begin, Extents end, float value = 0) {
    return Pad{.mode = mode, .begin = std::move(begin), .end = std::move(end), .value = value};
  };
  const PadMode constant = PadMode::kConstant, reflect = PadMode::kReflect, edge = PadMode::kEdge;
  EXPECT_EQ(text(pad(constant, {1, 0}, {2, 3}), {f32({2, h()})}), "f32[5, (h + 3)]");
  EXPECT_EQ(text(pad(constant, {1}, {0}, 1), {{.dtype = DType::kBool, .shape = {0}}}), "bool[1]");
  EXPECT_EQ(text(pad(reflect, {2}, {2}), {f32({3})}), "f32[7]");
  EXPECT_EQ(text(pad(edge, {5}, {0}), {f32({1})}), "f32[6]");
  EXPECT_EQ(text(pad(constant, {1}, {0}), {f32({2, 2})}), "1 pads for rank 2");
  EXPECT_EQ(text(pad(constant, {1}, {-1}), {f32({2})}), "a pad of -1, at least 0 required");
  EXPECT_EQ(text(pad(constant, {kHuge}, {1}), {f32({2})}), "pads 9223372036854775807 and 1 do not fit in 64 bits");
  EXPECT_EQ(text(pad(constant, {kHuge}, {0}), {f32({2})}), "pads 9223372036854775807 and 0 do not fit in 64 bits");
  EXPECT_EQ(text(pad(constant, {1}, {0}, 0.5F), {i32({2})}), "value 0.5 in a tensor of i32");
  EXPECT_EQ(text(pad(constant, {1}, {0}, 2), {{.dtype = DType::kBool, .shape = {2}}}), "value 2 in a tensor of bool");
  EXPECT_EQ(text(pad(reflect, {0}, {3}), {f32({3})}), "reflect pad of 3 on an extent of 3");
  EXPECT_EQ(text(pad(edge, {1}, {0}), {f32({0})}), "edge pad of 1 on an extent of 0");
  EXPECT_EQ(attributes_text(pad(edge, {1}, {0})), "mode = edge, begin = [1], end = [0], value = 0");
}

TEST_F(InferResample, Resize) {
  const auto resize = [](ResizeMode mode, Extents sizes, float scale_y = 0) {
    return Resize{.mode = mode, .coordinates = {}, .rounding = {}, .sizes = std::move(sizes), .scale_y = scale_y};
  };
  const ResizeMode nearest = ResizeMode::kNearest, linear = ResizeMode::kLinear;
  EXPECT_EQ(text(resize(nearest, {4, 5}), {i32({1, h(), 2, h()})}), "i32[1, h, 4, 5]");
  EXPECT_EQ(text(resize(linear, {4, 5}), {f32({2, 2})}), "f32[4, 5]");
  EXPECT_EQ(text(resize(linear, {4, 5}), {i32({2, 2})}), "operand 0 is i32, a float is required");
  EXPECT_EQ(text(resize(nearest, {4, 5}), {f32({2})}), "operand 0 has rank 1, at least 2 required");
  EXPECT_EQ(text(resize(nearest, {4}), {f32({2, 2})}), "1 sizes, 2 required");
  EXPECT_EQ(text(resize(nearest, {4, 0}), {f32({2, 2})}), "a size of 0, at least 1 required");
  EXPECT_EQ(text(resize(nearest, {4, 1}), {f32({2, 0})}), "an extent of 0 to resize");
  EXPECT_EQ(text(resize(nearest, {4, 1}, -1), {f32({2, 2})}), "a scale of -1");
  EXPECT_EQ(attributes_text(resize(linear, {4, 5}, 1.5F)),
            "mode = linear, coordinates = half_pixel, rounding = round_prefer_floor, sizes = [4, 5], scale_y = 1.5, scale_x = 0");
}

TEST_F(InferResample, AnAxisThatIsSampledIsBounded) {
  const std::int64_t most = kMaxSampledExtent;
  const auto code = [&](const Op& op) {
    const TensorType x = f32({2, 3});
    const std::vector<const TensorType*> inputs{&x};
    const auto result = infer_types(op, inputs, symbols_);
    return result.ok() ? std::string("ok") : std::string(code_name(result.error().code()));
  };
  const std::string limit(code_name(ErrorCode::kLimitReached));
  const auto pad = [](PadMode mode, std::int64_t end) { return Pad{.mode = mode, .begin = {0, 0}, .end = {end, 0}}; };
  EXPECT_EQ(code(pad(PadMode::kEdge, most - 2)), "ok");
  EXPECT_EQ(code(pad(PadMode::kEdge, most - 1)), limit);
  EXPECT_EQ(code(pad(PadMode::kConstant, most)), "ok");
  const auto resize = [](Extents sizes) { return Resize{.mode = {}, .coordinates = {}, .rounding = {}, .sizes = std::move(sizes)}; };
  EXPECT_EQ(code(resize({1, most})), "ok");
  EXPECT_EQ(code(resize({1, most + 1})), limit);
}

}  // namespace
}  // namespace smelt::ir
