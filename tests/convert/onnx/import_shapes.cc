#include <limits>

#include "convert/onnx/import_cases.h"

namespace smelt::onnx_format {
namespace {

constexpr DType kF32 = DType::kF32, kI32 = DType::kI32, kI64 = DType::kI64;
constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max(), kStart = std::numeric_limits<std::int64_t>::min();

Attr axis(std::int64_t value) { return {"axis", value}; }
Attr axes(const Ints& values) { return {"axes", values}; }
Attr starts(const Ints& values) { return {"starts", values}; }
Attr ends(const Ints& values) { return {"ends", values}; }

std::vector<Case> reshapes() {
  return {
      {"Reshape", "static", 7, {x({2, 3}), list({3, 2})}, {}, {{"f32[3, 2]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Reshape", "the rest", 13, {x({2, 3}), list({-1})}, {}, {{"f32[6]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Reshape", "0 keeps", 7, {x({2, 3, 1}), list({0, -1})}, {}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Reshape", "0 keeps, in the middle", 13, {x({2, 3, 1}), list({1, 0, 2})}, {}, {{"f32[1, 3, 2]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Reshape", "allowzero without zeros", 14, {x({2, 3}), list({6})}, {{"allowzero", std::int64_t{1}}}, {{"f32[6]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Reshape", "to a scalar", 13, {x({1, 1}), list({})}, {}, {{"f32[]", {-1}}}},
      {"Reshape", "a constant", 13, {constant(x({2, 2})), list({4})}, {}, {{"f32[4]", {-1, 2.5, 0.5, -1.5}}}},
      {"Flatten", "default axis", 7, {x({2, 3, 1})}, {}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Flatten", "axis 0", 9, {x({2, 3})}, {axis(0)}, {{"f32[1, 6]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Flatten", "axis past the last", 9, {x({2, 3})}, {axis(2)}, {{"f32[6, 1]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Flatten", "a negative axis", 13, {x({2, 1, 3})}, {axis(-1)}, {{"f32[2, 3]", {-1, 2.5, 0.5, -1.5, 2, 0}}}},
      {"Transpose", "reversed", 7, {x({2, 1, 3})}, {}, {{"f32[3, 1, 2]", {-1, -1.5, 2.5, 2, 0.5, 0}}}},
      {"Transpose", "a permutation", 13, {x({2, 1, 3})}, {{"perm", Ints{2, 0, 1}}}, {{"f32[3, 2, 1]", {-1, -1.5, 2.5, 2, 0.5, 0}}}},
      {"Squeeze", "an attribute", 7, {x({1, 2, 1})}, {axes({0})}, {{"f32[2, 1]", {-1, 2.5}}}},
      {"Squeeze", "no axes", 7, {x({1, 2, 1})}, {}, {{"f32[2]", {-1, 2.5}}}},
      {"Squeeze", "negative axes", 11, {x({1, 2, 1})}, {axes({-1, 0})}, {{"f32[2]", {-1, 2.5}}}},
      {"Squeeze", "13: an operand", 13, {x({1, 2, 1}), list({-1})}, {}, {{"f32[1, 2]", {-1, 2.5}}}},
      {"Squeeze", "13: no axes", 13, {x({1, 2, 1})}, {}, {{"f32[2]", {-1, 2.5}}}},
      {"Unsqueeze", "an attribute", 7, {x({2})}, {axes({0, 2})}, {{"f32[1, 2, 1]", {-1, 2.5}}}},
      {"Unsqueeze", "negative axes", 11, {x({2})}, {axes({-1})}, {{"f32[2, 1]", {-1, 2.5}}}},
      {"Unsqueeze", "13: an operand", 13, {x({2}), list({-1, 0})}, {}, {{"f32[1, 2, 1]", {-1, 2.5}}}},
      {"Unsqueeze", "a scalar", 13, {of(kF32, {}, {2}), list({0})}, {}, {{"f32[1]", {2}}}},
      {"Concat", "two", 7, {x({2, 1}), x({2, 2}, kF32, 1)}, {axis(1)}, {{"f32[2, 3]", {-1, -2, 1.5, 2.5, -0.5, -2.5}}}},
      {"Concat", "a negative axis and a constant", 11, {x({1, 2}), constant(x({1, 1}, kF32, 1)), x({1, 1}, kF32, 5)}, {axis(-1)}, {{"f32[1, 4]", {-1, 2.5, -2, 0}}}},
      {"Concat", "one", 13, {x({2})}, {axis(0)}, {{"f32[2]", {-1, 2.5}}}},
      {"Concat", "i64", 13, {i({2}), list({7})}, {axis(0)}, {{"i64[3]", {-2, 5, 7}}}},
      {"Expand", "both ways", 8, {x({2, 1}), list({1, 3})}, {}, {{"f32[2, 3]", {-1, -1, -1, 2.5, 2.5, 2.5}}}},
      {"Expand", "more axes", 13, {x({2}), list({2, 1, 1})}, {}, {{"f32[2, 1, 2]", {-1, 2.5, -1, 2.5}}}},
      {"Expand", "a scalar", 13, {of(kF32, {}, {2}), list({2})}, {}, {{"f32[2]", {2, 2}}}},
  };
}

std::vector<Case> pieces() {
  return {
      {"Split", "2: equal parts", 7, {x({4})}, {}, {{"f32[2]", {-1, 2.5}}, {"f32[2]", {0.5, -1.5}}}},
      {"Split", "2: sizes", 11, {x({2, 3})}, {axis(-1), {"split", Ints{1, 2}}}, {{"f32[2, 1]", {-1, -1.5}}, {"f32[2, 2]", {2.5, 0.5, 2, 0}}}},
      {"Split", "13: sizes", 13, {x({2, 3}), list({2, 1})}, {axis(1)}, {{"f32[2, 2]", {-1, 2.5, -1.5, 2}}, {"f32[2, 1]", {0.5, 0}}}},
      {"Split", "13: equal parts", 13, {x({2, 4})}, {axis(1)}, {{"f32[2, 2]", {-1, 2.5, 2, 0}}, {"f32[2, 2]", {0.5, -1.5, -2, 1.5}}}},
      {"Split", "18: num_outputs, a smaller last part", 18, {x({5})}, {{"num_outputs", std::int64_t{2}}}, {{"f32[3]", {-1, 2.5, 0.5}}, {"f32[2]", {-1.5, 2}}}},
      {"Split", "18: num_outputs", 18, {x({4})}, {{"num_outputs", std::int64_t{2}}}, {{"f32[2]", {-1, 2.5}}, {"f32[2]", {0.5, -1.5}}}},
      {"Slice", "1: attributes", 7, {x({4, 3})}, {starts({1, 0}), ends({3, 2})}, {{"f32[2, 2]", {-1.5, 2, -2, 1.5}}}},
      {"Slice", "1: axes, a sentinel", 9, {x({2, 4})}, {starts({-3}), ends({kEnd}), axes({1})}, {{"f32[2, 3]", {2.5, 0.5, -1.5, 0, -2, 1.5}}}},
      {"Slice", "10: operands", 10, {x({6}), list({1}), list({5})}, {}, {{"f32[4]", {2.5, 0.5, -1.5, 2}}}},
      {"Slice", "10: steps", 10, {x({6}), list({0}), list({6}), list({0}), list({2})}, {}, {{"f32[3]", {-1, 0.5, 2}}}},
      {"Slice", "negative bounds", 11, {x({2, 4}), list({-3}), list({-1}), list({-1})}, {}, {{"f32[2, 2]", {2.5, 0.5, 0, -2}}}},
      {"Slice", "a sentinel", 13, {x({4}), list({1}), list({kEnd})}, {}, {{"f32[3]", {2.5, 0.5, -1.5}}}},
      {"Slice", "backwards", 13, {x({4}), list({-1}), list({kStart}), list({0}), list({-1})}, {}, {{"f32[4]", {-1.5, 0.5, 2.5, -1}}}},
      {"Slice", "backwards, a sentinel of 32 bits", 13, {x({4}), list({3}), list({-2147483648}), list({0}), list({-1})}, {}, {{"f32[4]", {-1.5, 0.5, 2.5, -1}}}},
      {"Slice", "backwards, a part", 13, {x({6}), list({4}), list({0}), list({0}), list({-2})}, {}, {{"f32[2]", {2, 0.5}}}},
      {"Slice", "backwards, from beyond", 13, {x({4}), list({100}), list({-100}), list({0}), list({-3})}, {}, {{"f32[2]", {-1.5, -1}}}},
      {"Slice", "from beyond", 13, {x({4}), list({-100}), list({100})}, {}, {{"f32[4]", {-1, 2.5, 0.5, -1.5}}}},
      {"Slice", "a large step", 13, {x({4}), list({1}), list({4}), list({0}), list({kEnd})}, {}, {{"f32[1]", {2.5}}}},
      {"Slice", "axes out of order", 13, {x({3, 3}), list({1, 0}), list({3, 2}), list({1, 0})}, {}, {{"f32[2, 2]", {2.5, 0.5, 2, 0}}}},
      {"Slice", "i32 bounds", 13, {x({4}), constant(of(kI32, {1}, {1})), constant(of(kI32, {1}, {3}))}, {}, {{"f32[2]", {2.5, 0.5}}}},
      {"Gather", "rows", 7, {x({3, 2}), list({2, 0})}, {}, {{"f32[2, 2]", {2, 0, -1, 2.5}}}},
      {"Gather", "a negative axis, negative indices", 11, {x({2, 3}), constant(of(kI64, {1, 2}, {-1, 1}))}, {axis(-1)}, {{"f32[2, 1, 2]", {0.5, 2.5, 0, 2}}}},
      {"Gather", "a scalar index", 13, {x({2, 3}), scalar(1, kI64)}, {axis(1)}, {{"f32[2]", {2.5, 2}}}},
      {"Gather", "computed indices", 13, {x({3, 2}), of(kI32, {2}, {1, -1})}, {}, {{"f32[2, 2]", {0.5, -1.5, 2, 0}}}},
      {"GatherND", "elements", 11, {x({2, 2}), constant(of(kI64, {2, 2}, {0, 1, -1, 0}))}, {}, {{"f32[2]", {2.5, 0.5}}}},
      {"GatherND", "rows", 12, {x({2, 2}), constant(of(kI64, {2, 1}, {1, 0}))}, {}, {{"f32[2, 2]", {0.5, -1.5, -1, 2.5}}}},
      {"GatherND", "a batch", 12, {x({2, 2, 2}), constant(of(kI64, {2, 1}, {1, 0}))}, {{"batch_dims", std::int64_t{1}}}, {{"f32[2, 2]", {0.5, -1.5, 2, 0}}}},
      {"GatherND", "computed indices", 13, {x({2, 2}), of(kI64, {1, 2}, {1, 1})}, {}, {{"f32[1]", {-1.5}}}},
  };
}

std::vector<Case> constants() {
  const auto value = [](const std::string& name, auto v) { return Attr{name, v}; };
  return {
      {"Constant", "a tensor", 7, {}, {value("value", x({2, 2}).tensor)}, {{"f32[2, 2]", {-1, 2.5, 0.5, -1.5}}}},
      {"Constant", "a float", 12, {}, {value("value_float", 1.5F)}, {{"f32[]", {1.5}}}},
      {"Constant", "an integer", 12, {}, {value("value_int", std::int64_t{-7})}, {{"i64[]", {-7}}}},
      {"Constant", "floats", 13, {}, {value("value_floats", std::vector<float>{1.5F, -2.0F})}, {{"f32[2]", {1.5, -2}}}},
      {"Constant", "integers", 13, {}, {value("value_ints", Ints{3, -4})}, {{"i64[2]", {3, -4}}}},
      {"ConstantOfShape", "default", 9, {list({2, 2})}, {}, {{"f32[2, 2]", {0, 0, 0, 0}}}},
      {"ConstantOfShape", "an i64", 9, {list({3})}, {value("value", of(kI64, {1}, {7}).tensor)}, {{"i64[3]", {7, 7, 7}}}},
      {"ConstantOfShape", "a scalar", 9, {list({})}, {value("value", of(kF32, {1}, {2}).tensor)}, {{"f32[]", {2}}}},
      {"Range", "i64", 11, {scalar(1, kI64), scalar(8, kI64), scalar(3, kI64)}, {}, {{"i64[3]", {1, 4, 7}}}},
      {"Range", "backwards", 11, {scalar(5, kI64), scalar(0, kI64), scalar(-2, kI64)}, {}, {{"i64[3]", {5, 3, 1}}}},
      {"Range", "f32", 11, {scalar(0), scalar(1), scalar(0.375)}, {}, {{"f32[3]", {0, 0.375, 0.75}}}},
      {"Shape", "7", 7, {x({2, 3})}, {}, {{"i64[2]", {2, 3}}}},
      {"Shape", "15: a part", 15, {x({2, 3, 4})}, {{"start", std::int64_t{-2}}, {"end", std::int64_t{2}}}, {{"i64[1]", {3}}}},
      {"Shape", "15: bounds beyond", 15, {x({2, 3})}, {{"start", std::int64_t{-9}}, {"end", std::int64_t{9}}}, {{"i64[2]", {2, 3}}}},
      {"Shape", "a scalar", 13, {of(kF32, {}, {2})}, {}, {{"i64[0]", {}}}},
      {"Size", "7", 7, {x({2, 3})}, {}, {{"i64[]", {6}}}},
      {"Size", "i32", 13, {i({3}, kI32)}, {}, {{"i64[]", {3}}}},
  };
}

}  // namespace

std::vector<Case> shape_cases() {
  std::vector<Case> cases = reshapes();
  for (const auto& more : {pieces(), constants()}) cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

}  // namespace smelt::onnx_format
