#include <limits>

#include "convert/coreml/round_trip.h"

namespace smelt::coreml_format {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test

constexpr DType kF16 = DType::kF16, kF32 = DType::kF32, kI32 = DType::kI32, kI64 = DType::kI64, kBool = DType::kBool;
constexpr Target kNever = Target::kIos18;  // with an end of ios15: refused everywhere
using Extents = std::vector<std::int64_t>;

ConvTranspose transposed(Extents stride, Extents begin, Extents end, Extents output_padding, std::int64_t groups = 1) {
  Extents ones(stride.size(), 1);
  return {.stride = std::move(stride), .dilation = std::move(ones), .pads_begin = std::move(begin), .pads_end = std::move(end),
          .output_padding = std::move(output_padding), .groups = groups};
}

void add_transposed(std::vector<Case>& cases) {
  const Operand x = in({2, 4, 3, 4}), w = weight({4, 3, 3, 2}), b = weight({3});
  cases.push_back({"plain", transposed({1, 1}, {0, 0}, {0, 0}, {0, 0}), {x, w}});
  cases.push_back({"bias, strides, symmetric pads", transposed({2, 3}, {1, 0}, {1, 0}, {0, 0}), {x, w, b}});
  cases.push_back({"asymmetric pads", transposed({2, 3}, {1, 0}, {0, 1}, {0, 0}), {x, w, b}});
  cases.push_back({"output_padding within the pads", transposed({2, 3}, {1, 1}, {1, 1}, {1, 0}), {x, w, b}});
  cases.push_back({"output_padding over the pads", transposed({2, 3}, {1, 0}, {0, 0}, {1, 2}), {x, w, b}, kF32Rounding});
  cases.push_back({"output_padding, no bias", transposed({2, 3}, {0, 0}, {0, 0}, {1, 2}), {x, w}});
  cases.push_back({"dilation", ConvTranspose{.stride = {1, 2}, .dilation = {2, 3}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .output_padding = {0, 0}}, {x, w, b}});
  cases.push_back({"groups", transposed({2, 2}, {0, 0}, {0, 0}, {0, 0}, 2), {x, weight({4, 3, 2, 2}), weight({6})}});
  cases.push_back({"depthwise", transposed({2, 2}, {0, 0}, {1, 1}, {0, 0}, 4), {x, weight({4, 1, 3, 3})}});
  cases.push_back({"1-D", transposed({2}, {1}, {0}, {1}), {in({1, 3, 4}), weight({3, 2, 3}), weight({2})}, kF32Rounding});
  cases.push_back({"3-D", transposed({1, 2, 1}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}), {in({1, 2, 2, 2, 3}), weight({2, 2, 1, 2, 2})}});
  cases.push_back({"f16", transposed({2, 2}, {1, 1}, {1, 1}, {0, 0}), {in({1, 4, 3, 3}, kF16), weight({4, 3, 3, 3}, kF16), weight({3}, kF16)}});
  cases.push_back({"a computed weight and bias", transposed({2, 2}, {1, 1}, {1, 1}, {0, 0}), {x, in({4, 3, 2, 3}), in({3})}, kF32Rounding, Target::kIos17});
  cases.push_back({"a computed bias", transposed({2, 2}, {1, 1}, {1, 1}, {0, 0}), {x, w, in({3})}, kF32Rounding});
  cases.push_back({"a computed bias, asymmetric pads", transposed({2, 2}, {1, 1}, {1, 0}, {0, 0}), {x, w, in({3})}, kF32Rounding});
  cases.push_back({"a computed bias, no pads", transposed({2, 2}, {0, 0}, {0, 0}, {1, 0}), {x, w, in({3})}, kF32Rounding});
}

Pad pad(PadMode mode, Extents begin, Extents end, float value = 0) { return {.mode = mode, .begin = std::move(begin), .end = std::move(end), .value = value}; }

void add_pads(std::vector<Case>& cases) {
  const auto zero = PadMode::kConstant, reflect = PadMode::kReflect, edge = PadMode::kEdge;
  cases.push_back({"zeros", pad(zero, {0, 0, 1, 0}, {0, 0, 0, 2}), {in({1, 2, 3, 3})}});
  cases.push_back({"a value on every axis", pad(zero, {1, 0, 1}, {0, 2, 1}, 1.5F), {in({2, 2, 2})}});
  cases.push_back({"minus infinity", pad(zero, {1}, {2}, -std::numeric_limits<float>::infinity()), {in({3})}});
  cases.push_back({"f16", pad(zero, {0, 1}, {1, 0}, 0.5F), {in({2, 2}, kF16)}});
  cases.push_back({"i32", pad(zero, {1, 0, 2}, {0, 0, 1}, 7), {in({2, 2, 2}, kI32)}});
  cases.push_back({"i32, the end only", pad(zero, {0}, {3}, -1), {in({2}, kI32)}});
  cases.push_back({"i64", pad(zero, {2}, {0}, 0), {in({2}, kI64)}});
  cases.push_back({"bool", pad(zero, {1}, {2}, 1), {in({4}, kBool)}});
  cases.push_back({"nothing", pad(zero, {0}, {0}), {in({4})}});
  cases.push_back({"more new integers than are written", pad(zero, {0, 0}, {40'000'000, 0}), {in({2, 2}, kI32)}, 0, kNever, Target::kIos15});
  cases.push_back({"two axes", pad(reflect, {0, 0, 1, 2}, {0, 0, 2, 0}), {in({1, 2, 3, 3})}});
  cases.push_back({"rank 1", pad(reflect, {2}, {1}), {in({3})}});
  cases.push_back({"the first axis", pad(reflect, {1, 0, 0}, {1, 0, 2}), {in({2, 2, 3})}});
  cases.push_back({"f16", pad(reflect, {0, 1}, {0, 1}), {in({2, 2}, kF16)}});
  cases.push_back({"reflected i32", pad(reflect, {0, 1}, {1, 1}), {in({2, 2}, kI32)}});
  cases.push_back({"reflected bool", pad(reflect, {0, 1}, {1, 1}), {in({2, 2}, kBool)}});
  cases.push_back({"two axes", pad(edge, {0, 0, 1, 2}, {0, 0, 2, 0}), {in({1, 2, 3, 3})}});
  cases.push_back({"further than the extent", pad(edge, {0, 5}, {0, 1}), {in({2, 2})}});
  cases.push_back({"channels", pad(edge, {0, 1, 0, 0}, {0, 0, 0, 0}), {in({1, 2, 2, 2})}});
  cases.push_back({"edge of i32", pad(edge, {2}, {1}), {in({3}, kI32)}});
}

void add_resizes(std::vector<Case>& cases) {
  using C = ResizeCoordinates;
  using R = ResizeRounding;
  const double rounding = 4 * kF32Rounding;
  for (const C c : {C::kHalfPixel, C::kAsymmetric, C::kAlignCorners, C::kPytorchHalfPixel}) {
    const std::string what(word(c));
    const std::vector<Extents> sizes{{6, 8}, {5, 7}, {3, 8}, {2, 2}, {1, 3}, {1, 1}, {3, 2}, {2, 9}};
    for (const Extents& size : sizes) {
      for (const R r : {R::kRoundPreferFloor, R::kRoundPreferCeil, R::kFloor, R::kCeil}) {
        cases.push_back({what, Resize{.mode = ResizeMode::kNearest, .coordinates = c, .rounding = r, .sizes = size}, {in({1, 2, 3, 4})}});
      }
      cases.push_back({what, Resize{.mode = ResizeMode::kLinear, .coordinates = c, .sizes = size}, {in({1, 2, 3, 4})}, rounding});
    }
    cases.push_back({what + ", a broken scale", Resize{.mode = ResizeMode::kNearest, .coordinates = c, .sizes = {4, 2}, .scale_y = 1.5F, .scale_x = 0.6F}, {in({1, 2, 3, 4})}});
    cases.push_back({what + ", a broken scale", Resize{.mode = ResizeMode::kLinear, .coordinates = c, .sizes = {4, 2}, .scale_y = 1.5F, .scale_x = 0.6F}, {in({1, 2, 3, 4})}, rounding});
  }
  cases.push_back({"a matrix larger than is written", Resize{.mode = ResizeMode::kLinear, .coordinates = C::kHalfPixel, .sizes = {1, 1001}, .scale_x = 0.5F}, {in({1, 1, 1, 100000})}, 0, kNever, Target::kIos15});
  const Resize twice{.mode = ResizeMode::kNearest, .coordinates = C::kAsymmetric, .rounding = R::kFloor, .sizes = {6, 4}};
  const Resize linear{.mode = ResizeMode::kLinear, .coordinates = C::kHalfPixel, .sizes = {6, 5}};
  cases.push_back({"f16", twice, {in({1, 2, 3, 2}, kF16)}});
  cases.push_back({"i32", twice, {in({1, 2, 3, 2}, kI32)}});
  cases.push_back({"bool", twice, {in({1, 2, 3, 2}, kBool)}});
  cases.push_back({"rank 2", twice, {in({3, 2})}});
  cases.push_back({"rank 5", twice, {in({1, 2, 2, 3, 2})}});
  cases.push_back({"f16, linear", linear, {in({1, 2, 3, 2}, kF16)}, 2 * kF16Rounding});
  cases.push_back({"rank 2, linear", linear, {in({3, 2})}, rounding});
  cases.push_back({"rank 3, linear", linear, {in({1, 3, 2})}, rounding});
}

}  // namespace

std::vector<Case> resample_cases() {
  std::vector<Case> cases;
  add_transposed(cases);
  add_pads(cases);
  add_resizes(cases);
  cases.push_back({"f32", IsNan{}, {in({4}, kF32)}});
  cases.push_back({"f16", IsNan{}, {in({4}, kF16)}});
  return cases;
}

}  // namespace smelt::coreml_format
