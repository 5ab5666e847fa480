#include "convert/coreml/ops/broadcast.h"

#include <algorithm>

namespace smelt::coreml_format {

std::vector<std::int64_t> repeats(const Shape& from, const Shape& shape) {
  std::vector<std::int64_t> reps;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const std::size_t missing = shape.size() - from.size();
    const std::int64_t have = k < missing ? 1 : from[k - missing].extent();
    reps.push_back(have == shape[k].extent() ? 1 : shape[k].extent());
  }
  return reps;
}

std::string with_rank(LowerContext& cx, std::string x, const TensorType& type, std::size_t rank) {
  if (type.shape.size() >= rank) return x;
  std::vector<std::int64_t> extents(rank - type.shape.size(), 1);
  for (const Dim dim : type.shape) extents.push_back(dim.extent());
  return cx.step("reshape", {{"x", x}, {"shape", cx.param("shape", ints_value(extents))}}, {.dtype = type.dtype, .shape = to_shape(extents)});
}

std::string repeated(LowerContext& cx, std::string x, const TensorType& type, const Shape& shape) {
  const std::vector<std::int64_t> reps = repeats(type.shape, shape);
  x = with_rank(cx, std::move(x), type, shape.size());
  if (std::all_of(reps.begin(), reps.end(), [](std::int64_t r) { return r == 1; })) return x;
  return cx.step("tile", {{"x", x}, {"reps", cx.param("reps", ints_value(reps))}}, {.dtype = type.dtype, .shape = shape});
}

}  // namespace smelt::coreml_format
