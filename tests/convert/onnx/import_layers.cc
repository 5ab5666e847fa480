#include "convert/onnx/import_cases.h"

namespace smelt::onnx_format {
namespace {

constexpr DType kF32 = DType::kF32, kI32 = DType::kI32, kI64 = DType::kI64;
constexpr std::int64_t kOn = 1, kOff = 0;

Attr kernel(const Ints& values) { return {"kernel_shape", values}; }
Attr strides(const Ints& values) { return {"strides", values}; }
Attr pads(const Ints& values) { return {"pads", values}; }
Attr auto_pad(const std::string& word) { return {"auto_pad", word}; }

std::vector<Case> windows() {
  return {
      {"Conv", "plain", 7, {x({1, 1, 3, 3}), constant(x({1, 1, 2, 2}, kF32, 1))}, {}, {{"f32[1, 1, 2, 2]", {1.5, -5.25, 3.25, -3.5}}}},
      {"Conv", "bias, kernel_shape", 11, {x({1, 2, 2, 2}), constant(x({2, 2, 1, 1}, kF32, 1)), constant(x({2}, kF32, 5))}, {kernel({1, 1})}, {{"f32[1, 2, 2, 2]", {5, -5, -4, 5.25, -6.5, -3.25, 2.75, -5}}}},
      {"Conv", "strides, dilations, asymmetric pads", 11, {x({1, 1, 4, 5}), constant(x({1, 1, 2, 2}, kF32, 1))},
       {strides({2, 1}), {"dilations", Ints{1, 2}}, pads({1, 0, 0, 2})}, {{"f32[1, 1, 2, 5]", {-0.75, 2.5, -5.25, 0.75, -1, -4.5, 2.5, -4.25, 0.75, 5.75}}}},
      {"Conv", "groups", 11, {x({1, 4, 2, 2}), constant(x({2, 2, 2, 2}, kF32, 1))}, {{"group", std::int64_t{2}}}, {{"f32[1, 2, 1, 1]", {7, 7}}}},
      {"Conv", "1-D", 11, {x({1, 2, 4}), constant(x({1, 2, 3}, kF32, 1))}, {pads({1, 1})}, {{"f32[1, 1, 4]", {-0.75, 2.5, -7, 3.25}}}},
      {"Conv", "3-D", 11, {x({1, 1, 2, 2, 3}), constant(x({1, 1, 2, 2, 2}, kF32, 1))}, {}, {{"f32[1, 1, 1, 1, 2]", {-7.75, -1.25}}}},
      {"Conv", "SAME_UPPER", 11, {x({1, 1, 5}), constant(x({1, 1, 2}, kF32, 1))}, {auto_pad("SAME_UPPER"), strides({2})}, {{"f32[1, 1, 3]", {5.75, -3.25, -4}}}},
      {"Conv", "SAME_UPPER, an odd pad", 11, {x({1, 1, 4}), constant(x({1, 1, 2}, kF32, 1))}, {auto_pad("SAME_UPPER")}, {{"f32[1, 1, 4]", {5.75, -4.25, -3.25, 3}}}},
      {"Conv", "SAME_LOWER, an odd pad", 11, {x({1, 1, 4}), constant(x({1, 1, 2}, kF32, 1))}, {auto_pad("SAME_LOWER")}, {{"f32[1, 1, 4]", {-1.5, 5.75, -4.25, -3.25}}}},
      {"Conv", "SAME_UPPER, a stride over the kernel", 11, {x({1, 1, 7}), constant(x({1, 1, 2}, kF32, 1))}, {auto_pad("SAME_UPPER"), strides({3})}, {{"f32[1, 1, 3]", {5.75, 6, 4}}}},
      {"Conv", "VALID", 11, {x({1, 1, 4}), constant(x({1, 1, 3}, kF32, 1))}, {auto_pad("VALID"), strides({2})}, {{"f32[1, 1, 1]", {5.5}}}},
      {"Conv", "NOTSET", 11, {x({1, 1, 4}), constant(x({1, 1, 3}, kF32, 1))}, {auto_pad("NOTSET"), pads({1, 0})}, {{"f32[1, 1, 3]", {-2.75, 5.5, -3.5}}}},
      {"MaxPool", "plain", 7, {x({1, 1, 3, 3})}, {kernel({2, 2})}, {{"f32[1, 1, 2, 2]", {2.5, 2.5, 2, 2}}}},
      {"MaxPool", "strides and pads", 8, {x({1, 1, 4, 4})}, {kernel({3, 3}), strides({2, 2}), pads({1, 0, 1, 1})}, {{"f32[1, 1, 2, 2]", {2.5, 1.5, 2.5, 2}}}},
      {"MaxPool", "ceil_mode", 10, {x({1, 1, 6})}, {kernel({3}), strides({2}), {"ceil_mode", kOn}}, {{"f32[1, 1, 3]", {2.5, 2, 2}}}},
      {"MaxPool", "ceil_mode, a window in the pads", 12, {x({1, 1, 4})}, {kernel({2}), strides({2}), pads({1, 1}), {"ceil_mode", kOn}}, {{"f32[1, 1, 3]", {-1, 2.5, -1.5}}}},
      {"MaxPool", "SAME_LOWER", 12, {x({1, 1, 4})}, {kernel({2}), auto_pad("SAME_LOWER")}, {{"f32[1, 1, 4]", {-1, 2.5, 2.5, 0.5}}}},
      {"MaxPool", "dilations of 1", 12, {x({1, 1, 4})}, {kernel({2}), {"dilations", Ints{1}}}, {{"f32[1, 1, 3]", {2.5, 2.5, 0.5}}}},
      {"AveragePool", "plain", 7, {x({1, 1, 3, 3})}, {kernel({2, 2})}, {{"f32[1, 1, 2, 2]", {0.5, 1.25, 0, 0.75}}}},
      {"AveragePool", "pads", 7, {x({1, 1, 4})}, {kernel({3}), pads({1, 1})}, {{"f32[1, 1, 4]", {0.75, 0.666666687, 0.5, -0.5}}}},
      {"AveragePool", "pads that count", 7, {x({1, 1, 4})}, {kernel({3}), pads({1, 1}), {"count_include_pad", kOn}}, {{"f32[1, 1, 4]", {0.5, 0.666666687, 0.5, -0.333333343}}}},
      {"AveragePool", "ceil_mode", 10, {x({1, 1, 6})}, {kernel({3}), strides({2}), {"ceil_mode", kOn}}, {{"f32[1, 1, 3]", {0.666666687, 0.333333343, 1}}}},
      {"AveragePool", "ceil_mode, pads", 19, {x({1, 1, 6})}, {kernel({3}), strides({2}), pads({1, 1}), {"ceil_mode", kOn}}, {{"f32[1, 1, 4]", {0.75, 0.5, 0.166666672, 0}}}},
      {"AveragePool", "ceil_mode, no pads to count", 19, {x({1, 1, 6})}, {kernel({3}), strides({2}), {"ceil_mode", kOn}, {"count_include_pad", kOn}}, {{"f32[1, 1, 3]", {0.666666687, 0.333333343, 1}}}},
      {"AveragePool", "ceil_mode fits, pads that count", 19, {x({1, 1, 5})}, {kernel({3}), strides({2}), pads({1, 1}), {"ceil_mode", kOn}, {"count_include_pad", kOn}}, {{"f32[1, 1, 3]", {0.5, 0.5, 0.166666672}}}},
      {"AveragePool", "SAME_UPPER", 11, {x({1, 1, 4})}, {kernel({2}), auto_pad("SAME_UPPER")}, {{"f32[1, 1, 4]", {0.75, 1.5, -0.5, -1.5}}}},
      {"AveragePool", "SAME_UPPER, pads that count", 11, {x({1, 1, 4})}, {kernel({2}), auto_pad("SAME_UPPER"), {"count_include_pad", kOn}}, {{"f32[1, 1, 4]", {0.75, 1.5, -0.5, -0.75}}}},
      {"GlobalAveragePool", "2-D", 7, {x({1, 2, 2, 2})}, {}, {{"f32[1, 2, 1, 1]", {0.125, 0.375}}}},
      {"GlobalAveragePool", "1-D", 7, {x({1, 2, 3})}, {}, {{"f32[1, 2, 1]", {0.666666687, 0.166666672}}}},
      {"GlobalMaxPool", "2-D", 7, {x({1, 2, 2, 2})}, {}, {{"f32[1, 2, 1, 1]", {2.5, 2}}}},
  };
}

std::vector<Case> products() {
  return {
      {"MatMul", "matrices", 7, {x({2, 3}), x({3, 2}, kF32, 1)}, {}, {{"f32[2, 2]", {1.25, -8.25, 2, -7.25}}}},
      {"MatMul", "a batch, broadcast", 9, {x({2, 1, 1, 2}), x({2, 2, 2}, kF32, 1)}, {}, {{"f32[2, 2, 1, 2]", {0.75, -7.75, 5.25, 2.25, -0.25, 4.5, -3.25, -1.25}}}},
      {"MatMul", "rank 1 and 2", 13, {x({3}), x({3, 2}, kF32, 1)}, {}, {{"f32[2]", {1.25, -8.25}}}},
      {"MatMul", "rank 2 and 1", 13, {x({2, 3}), x({3}, kF32, 1)}, {}, {{"f32[2]", {5.5, 6}}}},
      {"MatMul", "rank 1 and 1", 13, {x({3}), x({3}, kF32, 1)}, {}, {{"f32[]", {5.5}}}},
      {"MatMul", "rank 1 and 3", 13, {x({3}), x({2, 3, 2}, kF32, 1)}, {}, {{"f32[2, 2]", {1.25, -8.25, -6.25, 3.5}}}},
      {"MatMul", "rank 3 and 1", 13, {x({2, 2, 3}), x({3}, kF32, 1)}, {}, {{"f32[2, 2]", {5.5, 6, 6.5, 7}}}},
      {"MatMul", "i32", 9, {i({2, 2}, kI32), i({2, 2}, kI32, 1)}, {}, {{"i32[2, 2]", {3, -31, -1, 18}}}},
      {"Gemm", "a weight and a bias", 7, {x({2, 3}), constant(x({3, 2}, kF32, 1)), constant(x({2}, kF32, 5))}, {}, {{"f32[2, 2]", {1.25, -10.25, 2, -9.25}}}},
      {"Gemm", "transB", 9, {x({2, 3}), constant(x({2, 3}, kF32, 1)), constant(x({2}, kF32, 5))}, {{"transB", kOn}}, {{"f32[2, 2]", {5.5, 2.5, 6, 3.75}}}},
      {"Gemm", "transA, alpha and beta", 11, {x({3, 2}), constant(x({3, 2}, kF32, 1)), constant(x({2}, kF32, 5))},
       {{"transA", kOn}, {"alpha", 0.5F}, {"beta", 2.0F}}, {{"f32[2, 2]", {1.875, -6.375, -2.125, -0.25}}}},
      {"Gemm", "no bias", 11, {x({2, 3}), constant(x({3, 2}, kF32, 1))}, {}, {{"f32[2, 2]", {1.25, -8.25, 2, -7.25}}}},
      {"Gemm", "a scalar bias", 11, {x({2, 3}), constant(x({3, 2}, kF32, 1)), scalar(0.5)}, {}, {{"f32[2, 2]", {1.75, -7.75, 2.5, -6.75}}}},
      {"Gemm", "a row", 11, {x({2, 3}), constant(x({3, 2}, kF32, 1)), constant(x({1, 2}, kF32, 5))}, {}, {{"f32[2, 2]", {1.25, -10.25, 2, -9.25}}}},
      {"Gemm", "a column", 11, {x({2, 3}), constant(x({3, 2}, kF32, 1)), constant(x({2, 1}, kF32, 5))}, {}, {{"f32[2, 2]", {1.25, -8.25, 0, -9.25}}}},
      {"Gemm", "one number, one column", 11, {x({2, 3}), constant(x({3, 1}, kF32, 1)), constant(x({1}, kF32, 5))}, {}, {{"f32[2, 1]", {5.5, 6}}}},
      {"Gemm", "a computed weight and bias", 11, {x({2, 3}), x({2, 3}, kF32, 1), x({2}, kF32, 5)}, {{"transB", kOn}, {"alpha", 0.5F}, {"beta", 2.0F}}, {{"f32[2, 2]", {2.75, -1.75, 3, -1.125}}}},
      {"Gemm", "computed, transA", 13, {x({3, 2}), x({3, 2}, kF32, 1)}, {{"transA", kOn}}, {{"f32[2, 2]", {3.75, -4.75, -4.25, 7.5}}}},
      {"Gemm", "a computed bias", 13, {x({2, 3}), constant(x({3, 2}, kF32, 1)), x({2}, kF32, 5)}, {{"beta", 0.5F}}, {{"f32[2, 2]", {1.25, -9.25, 2, -8.25}}}},
      {"Gemm", "beta 0", 13, {x({2, 3}), constant(x({3, 2}, kF32, 1)), constant(x({2}, kF32, 5))}, {{"beta", 0.0F}}, {{"f32[2, 2]", {1.25, -8.25, 2, -7.25}}}},
  };
}

std::vector<Case> norms() {
  const Arg scale = constant(p({2})), shift = constant(x({2}, kF32, 1)), mean = constant(x({2}, kF32, 5)), variance = constant(p({2}));
  return {
      {"BatchNormalization", "7", 7, {x({1, 2, 2}), scale, shift, mean, variance}, {}, {{"f32[1, 2, 2]", {-2.99999499, 0.499987602, 5.64577341, 2.32915497}}}},
      {"BatchNormalization", "epsilon", 9, {x({1, 2, 2}), scale, shift, mean, variance}, {{"epsilon", 0.25F}, {"momentum", 0.9F}}, {{"f32[1, 2, 2]", {-2.8944273, 0.23606801, 5.4692831, 2.29385662}}}},
      {"BatchNormalization", "15, rank 4", 15, {x({1, 2, 1, 2}), scale, shift, mean, variance}, {{"training_mode", kOff}}, {{"f32[1, 2, 1, 2]", {-2.99999499, 0.499987602, 5.64577341, 2.32915497}}}},
      {"BatchNormalization", "rank 2", 15, {x({2, 2}), scale, shift, mean, variance}, {}, {{"f32[2, 2]", {-2.99999499, 8.96239281, -1.5000025, 2.32915497}}}},
      {"LayerNormalization", "default axis", 17, {x({2, 3}), constant(p({3})), constant(x({3}, kF32, 1))}, {}, {{"f32[2, 3]", {-3.16247368, 5.01648235, -0.703432918, -3.16247368, 5.01648235, -0.703432858}}}},
      {"LayerNormalization", "axis 1 of 3", 17, {x({1, 2, 2}), constant(p({2, 2})), constant(x({2, 2}, kF32, 1))}, {{"axis", std::int64_t{1}}}, {{"f32[1, 2, 2]", {-2.72289586, 5.69681215, -0.0783107281, -3.28313732}}}},
      {"LayerNormalization", "no shift, epsilon", 17, {x({2, 3}), constant(p({3}))}, {{"axis", std::int64_t{-1}}, {"epsilon", 0.25F}}, {{"f32[2, 3]", {-1.09764266, 3.32036901, -0.192087486, -1.09764266, 3.32036901, -0.192087442}}}},
      {"InstanceNormalization", "2-D", 7, {x({1, 2, 2, 2}), scale, shift}, {}, {{"f32[1, 2, 2, 2]", {-2.72289586, -0.47388649, -1.75903475, -3.04418302, 4.37150335, 0.837345421, -2.69681239, 3.48796368}}}},
      {"InstanceNormalization", "1-D, epsilon", 7, {x({2, 2, 2}), scale, shift}, {{"epsilon", 0.25F}}, {{"f32[2, 2, 2]", {-2.96152401, -1.03847611, 3.95967484, -0.959674835, -1.10557294, -2.8944273, -1.14419079, 4.14419079}}}},
  };
}

std::vector<Case> reductions() {
  const Attr axis_1{"axes", Ints{1}}, dropped{"keepdims", kOff};
  return {
      {"ReduceSum", "an attribute", 7, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {2, 0.5}}}},
      {"ReduceSum", "a negative axis, dropped", 11, {x({2, 3})}, {{"axes", Ints{-2}}, dropped}, {{"f32[3]", {-2.5, 4.5, 0.5}}}},
      {"ReduceSum", "every axis", 7, {x({2, 3})}, {}, {{"f32[1, 1]", {2.5}}}},
      {"ReduceSum", "13: an operand", 13, {x({2, 3}), list({1})}, {}, {{"f32[2, 1]", {2, 0.5}}}},
      {"ReduceSum", "13: no axes", 13, {x({2, 3})}, {dropped}, {{"f32[]", {2.5}}}},
      {"ReduceSum", "13: empty axes", 13, {x({2, 3}), list({})}, {}, {{"f32[1, 1]", {2.5}}}},
      {"ReduceSum", "13: empty axes keep it", 13, {x({2, 3}), list({})}, {{"noop_with_empty_axes", kOn}}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"ReduceSum", "13: no axes keep it", 13, {x({2, 3})}, {{"noop_with_empty_axes", kOn}}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"ReduceSum", "i64", 13, {i({2, 3}), list({0, 1})}, {dropped}, {{"i64[]", {5}}}},
      {"ReduceMean", "17: an attribute", 17, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {0.666666687, 0.166666672}}}},
      {"ReduceMean", "18: an operand", 18, {x({2, 3}), list({-1})}, {dropped}, {{"f32[2]", {0.666666687, 0.166666672}}}},
      {"ReduceMean", "18: no axes keep it", 18, {x({2, 3})}, {{"noop_with_empty_axes", kOn}}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"ReduceMax", "12", 12, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {2.5, 2}}}},
      {"ReduceMax", "18", 18, {x({2, 3}), list({0})}, {dropped}, {{"f32[3]", {-1, 2.5, 0.5}}}},
      {"ReduceMax", "i32", 13, {i({2, 3}, kI32)}, {axis_1}, {{"i32[2, 1]", {5, 4}}}},
      {"ReduceMin", "11", 11, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {-1, -1.5}}}},
      {"ReduceMin", "18", 18, {x({2, 3}), list({0})}, {}, {{"f32[1, 3]", {-1.5, 2, 0}}}},
      {"ReduceProd", "7", 7, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {-1.25, -0}}}},
      {"ReduceProd", "18", 18, {x({2, 3}), list({0})}, {dropped}, {{"f32[3]", {1.5, 5, 0}}}},
      {"ReduceL1", "13", 13, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {4, 3.5}}}},
      {"ReduceL1", "18", 18, {x({2, 3}), list({0, 1})}, {}, {{"f32[1, 1]", {7.5}}}},
      {"ReduceL2", "13", 13, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {2.73861289, 2.5}}}},
      {"ReduceL2", "18", 18, {x({2, 3}), list({0})}, {dropped}, {{"f32[3]", {1.80277562, 3.20156217, 0.5}}}},
      {"ReduceSumSquare", "13", 13, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {7.5, 6.25}}}},
      {"ReduceSumSquare", "18", 18, {x({2, 3}), list({0})}, {dropped}, {{"f32[3]", {3.25, 10.25, 0.25}}}},
      {"ReduceLogSumExp", "13", 13, {x({2, 3})}, {axis_1}, {{"f32[2, 1]", {2.65317822, 2.15317822}}}},
      {"ReduceLogSumExp", "18", 18, {x({2, 3}), list({0})}, {dropped}, {{"f32[3]", {-0.525923014, 2.97407699, 0.974076986}}}},
      {"ReduceSum", "a scalar", 13, {of(kF32, {}, {2})}, {}, {{"f32[]", {2}}}},
      {"ReduceSum", "i64, an attribute of three axes", 11, {i({1, 2, 2}, kI64)}, {{"axes", Ints{0, 1, 2}}}, {{"i64[1, 1, 1]", {1}}}},
  };
}

}  // namespace

std::vector<Case> layer_cases() {
  std::vector<Case> cases = windows();
  for (const auto& more : {products(), norms(), reductions()}) cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

}  // namespace smelt::onnx_format
