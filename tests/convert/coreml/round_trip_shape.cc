#include "convert/coreml/round_trip.h"

#include <limits>

namespace smelt::coreml_format {
namespace {

using namespace smelt::ir;  // NOLINT(google-build-using-namespace): the ops under test

constexpr DType kF16 = DType::kF16, kF32 = DType::kF32, kI32 = DType::kI32, kI64 = DType::kI64, kBool = DType::kBool;
constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();

void add_reshapes(std::vector<Case>& cases) {
  for (const DType dtype : {kF32, kF16, kI32, kBool}) {
    const std::string what(name(dtype));
    cases.push_back({what, Reshape{.shape = {4, 6}}, {in({2, 3, 4}, dtype)}});
    cases.push_back({what, Transpose{.perm = {2, 0, 1}}, {in({2, 3, 4}, dtype)}});
    cases.push_back({what, Squeeze{.axes = {1}}, {in({2, 1, 4}, dtype)}});
    cases.push_back({what, ExpandDims{.axes = {0, 2}}, {in({2, 4}, dtype)}});
    cases.push_back({what, Slice{.begin = {0, 1}, .end = {2, 4}, .step = {1, 2}}, {in({2, 5}, dtype)}});
    cases.push_back({what, Expand{.shape = {2, 4}}, {in({1, 4}, dtype)}});
    cases.push_back({what, Concat{.axis = 1}, {in({2, 3}, dtype), in({2, 1}, dtype)}});
    cases.push_back({what, Split{.axis = 1, .sizes = {1, 3, 2}}, {in({2, 6}, dtype)}});
  }
  cases.push_back({"the rest", Reshape{.shape = {2, -1}}, {in({2, 3, 4})}});
  cases.push_back({"to a scalar", Reshape{.shape = {}}, {in({1, 1})}});
  cases.push_back({"of a scalar", Reshape{.shape = {1, 1}}, {in({})}});
  cases.push_back({"a scalar to a scalar", Reshape{.shape = {}}, {in({})}});
  cases.push_back({"rank 5", Transpose{.perm = {4, 3, 2, 1, 0}}, {in({1, 2, 3, 2, 2})}});
  cases.push_back({"rank 1", Transpose{.perm = {0}}, {in({4})}});
  cases.push_back({"a scalar", Transpose{.perm = {}}, {in({})}});
  cases.push_back({"no axes", Squeeze{.axes = {}}, {in({1, 4})}});
  cases.push_back({"every axis", Squeeze{.axes = {0, 1}}, {in({1, 1})}});
  cases.push_back({"no axes", ExpandDims{.axes = {}}, {in({1, 4})}});
  cases.push_back({"a scalar", ExpandDims{.axes = {0}}, {in({})}});
  cases.push_back({"a scalar, three axes", ExpandDims{.axes = {0, 1, 2}}, {in({})}});
  cases.push_back({"of one", Concat{.axis = 0}, {in({2, 3})}});
  cases.push_back({"of four", Concat{.axis = 0}, {in({2, 3}), weight({4, 3}), in({1, 3}), weight({2, 3})}});
  cases.push_back({"one piece", Split{.axis = 0, .sizes = {2}}, {in({2, 3})}});
}

void add_slices(std::vector<Case>& cases) {
  const auto add = [&](const std::string& what, std::vector<std::int64_t> begin, std::vector<std::int64_t> end, std::vector<std::int64_t> step) {
    cases.push_back({what, Slice{.begin = std::move(begin), .end = std::move(end), .step = std::move(step)}, {in({4, 6})}});
  };
  add("a part", {1, 2}, {3, 5}, {1, 1});
  add("backwards, all", {3, 5}, {-1, -1}, {-1, -1});
  add("backwards, steps", {3, 5}, {0, 1}, {-2, -3});
  add("backwards, steps to the start", {3, 4}, {-1, -1}, {-2, -3});
  add("full axes", {0, 1}, {kToTheEnd, 3}, {1, 1});
  add("large steps", {1, 5}, {4, -1}, {std::int64_t{1} << 40, -(std::int64_t{1} << 40)});
  add("one element", {3, 0}, {4, 1}, {1, 1});
  cases.push_back({"rank 5", Slice{.begin = {0, 0, 1, 0, 0}, .end = {1, 2, 2, 1, 3}, .step = {1, 1, 1, 1, 2}}, {in({1, 2, 2, 1, 3})}});
}

void add_gathers(std::vector<Case>& cases) {
  for (const DType dtype : {kF32, kF16, kI32, kBool}) {
    const std::string what(name(dtype));
    cases.push_back({what, Gather{.axis = 0}, {in({5, 3}, dtype), weight({2, 2}, kI64, Fill::kIndex, 5)}});
    cases.push_back({what + ", computed indices", Gather{.axis = 1}, {in({2, 5, 3}, dtype), in({4}, kI64, Fill::kIndex, 5)}});
    cases.push_back({what + ", one index", Gather{.axis = 1}, {in({2, 5, 3}, dtype), weight({}, kI64, Fill::kIndex, 5)}});
    cases.push_back({what + ", a table", Gather{.axis = 0}, {weight({5, 3}, dtype), in({2, 3}, kI32, Fill::kCount, 5)}});
    cases.push_back({what, GatherNd{}, {in({3, 3, 2}, dtype), weight({4, 2}, kI64, Fill::kIndex, 3)}});
    cases.push_back({what + ", elements", GatherNd{}, {in({3, 3}, dtype), weight({2, 4, 2}, kI64, Fill::kIndex, 3)}});
    cases.push_back({what + ", a batch", GatherNd{.batch_axes = 1}, {in({2, 3, 3}, dtype), weight({2, 4, 1}, kI32, Fill::kIndex, 3)}, 0, Target::kIos16});
  }
  cases.push_back({"the last axis", Gather{.axis = 2}, {in({2, 3, 4}), weight({2}, kI32, Fill::kIndex, 4)}});
  cases.push_back({"many indices", Gather{.axis = 0}, {in({5, 2}), weight({12}, kI32, Fill::kIndex, 5)}});
  cases.push_back({"one index of a vector", Gather{.axis = 0}, {in({5}), weight({}, kI32, Fill::kIndex, 5)}});
  cases.push_back({"a computed scalar index", Gather{.axis = 0}, {in({5}), in({}, kI32, Fill::kIndex, 5)}, 0, Target::kIos18, Target::kIos15});
  cases.push_back({"computed indices", GatherNd{}, {in({3, 3, 2}), in({4, 2}, kI32, Fill::kCount, 3)}, 0, Target::kIos15, Target::kIos16});
}

void add_expands(std::vector<Case>& cases) {
  cases.push_back({"the same shape", Expand{.shape = {2, 4}}, {in({2, 4})}});
  cases.push_back({"ones", Expand{.shape = {1, 1}}, {in({2, 4})}});
  cases.push_back({"a longer shape", Expand{.shape = {2, 3, 4}}, {in({4})}});
  cases.push_back({"more axes only", Expand{.shape = {1, 1, 4}}, {in({4})}});
  cases.push_back({"both ways", Expand{.shape = {3, 1}}, {in({1, 4})}});
  cases.push_back({"a scalar", Expand{.shape = {2, 3}}, {in({})}});
  cases.push_back({"a scalar stays", Expand{.shape = {}}, {in({})}});
  cases.push_back({"a scalar, ones", Expand{.shape = {1}}, {in({})}});
}

}  // namespace

std::vector<Case> shape_cases() {
  std::vector<Case> cases;
  add_reshapes(cases);
  add_slices(cases);
  add_gathers(cases);
  add_expands(cases);
  return cases;
}

}  // namespace smelt::coreml_format
