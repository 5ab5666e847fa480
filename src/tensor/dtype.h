#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "smelt/result.h"

namespace smelt {

/// Element types. The names are those of the text form ("f32", "bool", "i4").
enum class DType : std::uint8_t { kF32, kF16, kBF16, kF64, kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kBool, kI4, kU4 };

[[nodiscard]] std::string_view name(DType dtype);
/// Bits of one element when packed; `bool` takes a whole byte.
[[nodiscard]] std::uint32_t bits(DType dtype);
/// The inverse of `name`; exact and case-sensitive.
[[nodiscard]] std::optional<DType> parse_dtype(std::string_view text);
[[nodiscard]] bool is_float(DType dtype);
/// True for signed and unsigned integers of every width; false for `bool`.
[[nodiscard]] bool is_integer(DType dtype);
/// Bytes of `element_count` elements, 4-bit ones two a byte, rounded up to whole bytes.
/// `kLimitReached` when the size does not fit in 64 bits.
[[nodiscard]] Result<std::uint64_t> packed_bytes(DType dtype, std::uint64_t element_count);

}  // namespace smelt
