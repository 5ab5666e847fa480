#include "convert/coreml/round_trip.h"

namespace smelt::coreml_format {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test

constexpr DType kF16 = DType::kF16, kF32 = DType::kF32, kI32 = DType::kI32;
constexpr Target kNever = Target::kIos18;  // with an end of ios15: refused everywhere
using Extents = std::vector<std::int64_t>;

Conv conv(Extents stride, Extents dilation, Extents begin, Extents end, std::int64_t groups = 1) {
  return {.stride = std::move(stride), .dilation = std::move(dilation), .pads_begin = std::move(begin), .pads_end = std::move(end), .groups = groups};
}

void add_conv(std::vector<Case>& cases) {
  const Conv plain = conv({1, 1}, {1, 1}, {0, 0}, {0, 0});
  cases.push_back({"plain", plain, {in({1, 3, 5, 6}), weight({4, 3, 2, 3})}});
  cases.push_back({"bias", plain, {in({2, 3, 5, 6}), weight({4, 3, 2, 3}), weight({4})}});
  cases.push_back({"a large bias", plain, {in({1, 2, 4, 4}), weight({12, 2, 1, 1}), weight({12})}});
  cases.push_back({"every attribute", conv({2, 1}, {1, 2}, {1, 0}, {2, 3}), {in({1, 2, 7, 8}), weight({3, 2, 3, 2}), weight({3})}});
  cases.push_back({"groups", conv({1, 1}, {1, 1}, {1, 1}, {1, 1}, 2), {in({1, 4, 4, 4}), weight({6, 2, 3, 3}), weight({6})}});
  cases.push_back({"depthwise", conv({2, 2}, {1, 1}, {1, 1}, {1, 1}, 4), {in({1, 4, 6, 6}), weight({4, 1, 3, 3})}});
  cases.push_back({"f16", plain, {in({1, 3, 5, 6}, kF16), weight({4, 3, 2, 3}, kF16), weight({4}, kF16)}});
  cases.push_back({"1-D", conv({2}, {1}, {1}, {0}), {in({1, 3, 9}), weight({4, 3, 3}), weight({4})}});
  cases.push_back({"3-D", conv({1, 2, 1}, {1, 1, 1}, {0, 1, 0}, {1, 0, 0}), {in({1, 2, 3, 4, 5}), weight({3, 2, 2, 2, 2}), weight({3})}});
  cases.push_back({"a computed weight", plain, {in({1, 3, 5, 6}), in({4, 3, 2, 3}), weight({4})}});
  cases.push_back({"a computed bias", plain, {in({1, 3, 5, 6}), weight({4, 3, 2, 3}), in({4})}, 0, Target::kIos17});
  cases.push_back({"a computed weight, dilated", conv({1, 1}, {2, 1}, {0, 0}, {0, 0}), {in({1, 3, 5, 6}), in({4, 3, 2, 3})}, 0, kNever, Target::kIos15});
}

template <typename T>
T pool(Extents kernel, Extents stride, Extents begin, Extents end) {
  T op;
  op.kernel = std::move(kernel);
  op.stride = std::move(stride);
  op.pads_begin = std::move(begin);
  op.pads_end = std::move(end);
  return op;
}

template <typename T, typename Adjust>
void add_pool(std::vector<Case>& cases, const std::string& what, Adjust adjust) {
  const auto add = [&](const std::string& name, T op, Operand x) { cases.push_back({name + what, adjust(std::move(op)), {std::move(x)}}); };
  add("plain", pool<T>({2, 2}, {2, 2}, {0, 0}, {0, 0}), in({1, 3, 6, 6}));
  add("asymmetric pads", pool<T>({3, 2}, {2, 1}, {1, 0}, {2, 1}), in({1, 3, 6, 5}));
  add("f16", pool<T>({3, 3}, {1, 1}, {1, 1}, {1, 1}), in({1, 2, 4, 4}, kF16));
  add("1-D", pool<T>({3}, {2}, {1}, {1}), in({1, 3, 8}));
  add("3-D", pool<T>({2, 2, 2}, {1, 2, 1}, {0, 1, 0}, {0, 1, 1}), in({1, 2, 3, 4, 4}));
}

void add_pools(std::vector<Case>& cases) {
  add_pool<MaxPool>(cases, "", [](MaxPool op) { return op; });
  add_pool<AveragePool>(cases, "", [](AveragePool op) { return op; });
  add_pool<AveragePool>(cases, ", pads count", [](AveragePool op) {
    op.counts_padding = true;
    return op;
  });
}

void add_products(std::vector<Case>& cases) {
  cases.push_back({"matrices", MatMul{}, {in({2, 3}), in({3, 4})}});
  cases.push_back({"a weight", MatMul{}, {in({2, 3}), weight({3, 4})}});
  cases.push_back({"x transposed", MatMul{.transpose_x = true, .transpose_y = false}, {in({3, 2}), in({3, 4})}});
  cases.push_back({"y transposed", MatMul{.transpose_x = false, .transpose_y = true}, {in({2, 3}), in({4, 3})}});
  cases.push_back({"both transposed", MatMul{.transpose_x = true, .transpose_y = true}, {in({3, 2}), in({4, 3})}});
  cases.push_back({"a batch", MatMul{}, {in({2, 5, 2, 3}), in({5, 3, 4})}});
  cases.push_back({"both batches broadcast", MatMul{}, {in({2, 1, 2, 3}), in({1, 5, 3, 4})}});
  cases.push_back({"f16", MatMul{}, {in({2, 3}, kF16), in({3, 4}, kF16)}});
  cases.push_back({"i32", MatMul{}, {in({2, 3}, kI32), in({3, 4}, kI32)}});
  cases.push_back({"no bias", Linear{}, {in({2, 3}), weight({4, 3})}});
  cases.push_back({"no bias, many columns", Linear{}, {in({2, 3}), weight({12, 3})}});
  cases.push_back({"bias", Linear{}, {in({2, 3}), weight({4, 3}), weight({4})}});
  cases.push_back({"rank 3", Linear{}, {in({2, 5, 3}), weight({4, 3}), weight({4})}});
  cases.push_back({"rank 4", Linear{}, {in({2, 1, 5, 3}), weight({4, 3}), weight({4})}, kF32Rounding * 10});
  cases.push_back({"rank 4, no bias", Linear{}, {in({2, 1, 5, 3}), weight({4, 3})}});
  cases.push_back({"f16", Linear{}, {in({2, 3}, kF16), weight({4, 3}, kF16), weight({4}, kF16)}});
  cases.push_back({"f16, no bias", Linear{}, {in({2, 3}, kF16), weight({4, 3}, kF16)}});
  cases.push_back({"a computed weight", Linear{}, {in({2, 3}), in({4, 3}), weight({4})}, kF32Rounding * 10});
  cases.push_back({"a computed bias", Linear{}, {in({2, 3}), weight({4, 3}), in({4})}, kF32Rounding * 10});
}

void add_norms(std::vector<Case>& cases) {
  const auto batch_norm = [&](const std::string& what, Extents shape, DType dtype) {
    const Operand c = weight({shape[1]}, dtype), positive = weight({shape[1]}, dtype, Fill::kPositive);
    cases.push_back({what, BatchNorm{.epsilon = 1e-3F}, {in(shape, dtype), c, c, c, positive}, dtype == kF16 ? 2 * kF16Rounding : 0.0});
  };
  batch_norm("rank 3", {2, 3, 5}, kF32);
  batch_norm("rank 4", {2, 3, 4, 5}, kF32);
  batch_norm("many channels", {1, 12, 2, 2}, kF32);
  batch_norm("rank 5", {1, 3, 2, 2, 3}, kF32);
  batch_norm("f16", {2, 3, 5}, kF16);
  for (const std::int64_t axis : {0, 1, 2}) {
    const Extents shape{2, 3, 4}, normalized(shape.begin() + axis, shape.end());
    cases.push_back({"gamma and beta", LayerNorm{.axis = axis, .epsilon = 1e-5F}, {in(shape), weight(normalized), weight(normalized)}});
    cases.push_back({"gamma", LayerNorm{.axis = axis, .epsilon = 1e-5F}, {in(shape), weight(normalized)}});
    cases.push_back({"neither", LayerNorm{.axis = axis, .epsilon = 1e-2F}, {in(shape)}});
  }
  cases.push_back({"f16", LayerNorm{.axis = 1, .epsilon = 1e-2F}, {in({3, 6}, kF16), weight({6}, kF16), weight({6}, kF16)}, 2 * kF16Rounding});
  cases.push_back({"f16, an epsilon that vanishes", LayerNorm{.axis = 1, .epsilon = 1e-12F}, {in({3, 6}, kF16)}, 2 * kF16Rounding});
  cases.push_back({"computed gamma", LayerNorm{.axis = 1, .epsilon = 1e-5F}, {in({3, 6}), in({6}), weight({6})}, 0, kNever, Target::kIos15});
  cases.push_back({"computed gamma", InstanceNorm{.epsilon = 1e-3F}, {in({2, 3, 5}), in({3}), weight({3})}, 0, kNever, Target::kIos15});
  cases.push_back({"computed mean", BatchNorm{.epsilon = 1e-3F}, {in({2, 3, 5}), weight({3}), weight({3}), in({3}), weight({3}, kF32, Fill::kPositive)}, 0, kNever, Target::kIos15});
  cases.push_back({"rank 2", BatchNorm{}, {in({2, 3}), weight({3}), weight({3}), weight({3}), weight({3}, kF32, Fill::kPositive)}, 0, kNever, Target::kIos15});
  cases.push_back({"rank 5", InstanceNorm{}, {in({1, 3, 2, 2, 2}), weight({3}), weight({3})}, 0, kNever, Target::kIos15});
  cases.push_back({"rank 3", InstanceNorm{.epsilon = 1e-3F}, {in({2, 3, 5}), weight({3}), weight({3})}});
  cases.push_back({"rank 4", InstanceNorm{.epsilon = 1e-3F}, {in({2, 3, 4, 5}), weight({3}), weight({3})}});
  cases.push_back({"f16", InstanceNorm{.epsilon = 1e-3F}, {in({2, 3, 5}, kF16), weight({3}, kF16), weight({3}, kF16)}, 2 * kF16Rounding});
}

void add_reductions(std::vector<Case>& cases) {
  using F = ReduceFunction;
  for (const F f : {F::kSum, F::kMean, F::kMax, F::kMin, F::kProd, F::kL1, F::kL2, F::kSumSquare, F::kLogSumExp}) {
    const std::string what(word(f));
    cases.push_back({what, Reduce{.function = f, .axes = {1}, .keeps_axes = true}, {in({2, 3, 4})}});
    cases.push_back({what + ", axes dropped", Reduce{.function = f, .axes = {0, 2}, .keeps_axes = false}, {in({2, 3, 4})}});
    cases.push_back({what + " of all", Reduce{.function = f, .axes = {0, 1}, .keeps_axes = false}, {in({2, 3})}});
    cases.push_back({what + ", f16", Reduce{.function = f, .axes = {1}, .keeps_axes = true}, {in({2, 3}, kF16)}});
    if (f == F::kL2 || f == F::kLogSumExp || f == F::kMean) continue;  // of integers: none, or an open rounding
    cases.push_back({what + ", i32", Reduce{.function = f, .axes = {1}, .keeps_axes = true}, {in({2, 3}, kI32)}});
  }
}

void add_attention(std::vector<Case>& cases) {
  const Operand q = in({2, 3, 4}), k = in({2, 5, 4}), v = in({2, 5, 6});
  const auto add = [&](const std::string& what, float scale, std::vector<Operand> operands, double tolerance = 1e-5) {
    cases.push_back({what, Attention{.scale = scale}, std::move(operands), tolerance});
  };
  add("MIL's own scale", 0.5F, {q, k, v});
  add("another scale", 0.125F, {q, k, v});
  add("no scale", 1, {q, k, v});
  add("a mask", 0.5F, {q, k, v, in({2, 3, 5})});
  add("a mask of lower rank", 0.5F, {q, k, v, in({3, 5})});
  add("one mask for every query", 0.5F, {q, k, v, in({5})});
  add("one number for every key", 0.5F, {q, k, v, in({2, 3, 1})});
  add("heads", 0.25F, {in({1, 2, 3, 4}), in({1, 2, 5, 4}), in({1, 2, 5, 4}), in({1, 1, 1, 5})});
  add("rank 5", 0.5F, {in({1, 2, 2, 3, 4}), in({1, 2, 2, 5, 4}), in({1, 2, 2, 5, 3})});
  add("a constant mask", 0.5F, {q, k, v, weight({1, 3, 5})});
  add("f16", 0.5F, {in({2, 3, 4}, kF16), in({2, 5, 4}, kF16), in({2, 5, 6}, kF16), in({3, 5}, kF16)}, 4 * kF16Rounding);
}

void add_dequantize(std::vector<Case>& cases) {
  const auto add = [&](const std::string& what, Extents shape, std::int64_t axis, std::int64_t scales, DType dtype) {
    cases.push_back({what, Dequantize{.axis = axis}, {weight(std::move(shape), DType::kI8, Fill::kIndex, 127), weight({scales}, dtype, Fill::kPositive)},
                     0, Target::kIos16});
  };
  add("rows", {3, 4}, 0, 3, kF32);
  add("columns", {3, 12}, 1, 12, kF32);
  add("channels", {12, 2, 3, 3}, 0, 12, kF32);
  add("the whole tensor", {3, 4}, 0, 1, kF32);
  add("f16", {12, 4}, 0, 12, kF16);
  add("f16, the whole tensor", {12, 4}, 1, 1, kF16);
  add("few codes", {2, 2}, 0, 2, kF32);
  add("a row", {1, 12}, 0, 1, kF32);
}

}  // namespace

std::vector<Case> layer_cases() {
  std::vector<Case> cases;
  add_conv(cases);
  add_pools(cases);
  add_products(cases);
  add_norms(cases);
  add_reductions(cases);
  add_dequantize(cases);
  add_attention(cases);
  return cases;
}

}  // namespace smelt::coreml_format
