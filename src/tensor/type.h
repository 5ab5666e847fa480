#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/dim.h"
#include "tensor/dtype.h"

namespace smelt {

/// Element type and shape of a value.
struct TensorType {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const TensorType&) const = default;
};

/// The extents, when every one is known.
[[nodiscard]] inline std::optional<std::vector<std::int64_t>> static_shape(const Shape& shape) {
  std::vector<std::int64_t> extents;
  extents.reserve(shape.size());
  for (const Dim dim : shape) {
    if (!dim.is_static()) return std::nullopt;
    extents.push_back(dim.extent());
  }
  return extents;
}

[[nodiscard]] inline Shape to_shape(const std::vector<std::int64_t>& extents) { return {extents.begin(), extents.end()}; }

}  // namespace smelt
