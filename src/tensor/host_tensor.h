#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/dtype.h"

namespace smelt {

/// A tensor in memory: row-major, little-endian, bool one byte each (0 or 1). Every extent is >= 0; rank 0 is a scalar.
struct HostTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;  ///< exactly packed_bytes(dtype, element_count(shape))

  bool operator==(const HostTensor&) const = default;
};

/// Product of the extents; 1 for a scalar. `kLimitReached` when it does not fit in 63 bits; extents must be >= 0.
[[nodiscard]] Result<std::int64_t> element_count(std::span<const std::int64_t> shape);

/// "f32[1, 3, 8, 8]".
[[nodiscard]] std::string type_text(DType dtype, std::span<const std::int64_t> shape);

/// The elements of a tensor of f16, bf16, f32, f64, any integer or bool, as doubles (64-bit integers over 2^53 round).
[[nodiscard]] std::vector<double> to_doubles(const HostTensor& tensor);

/// The elements of an integer or bool tensor, exact; u64 as its two's complement, bool as 0 or 1.
[[nodiscard]] std::vector<std::int64_t> to_int64s(const HostTensor& tensor);

/// A tensor of the float32 values, shape as given. The count must fit.
[[nodiscard]] HostTensor f32_tensor(std::vector<std::int64_t> shape, std::span<const float> values);
/// A scalar of f16 or f32, rounded half to even.
[[nodiscard]] HostTensor float_scalar(DType dtype, float value);
[[nodiscard]] HostTensor i64_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values);

}  // namespace smelt
