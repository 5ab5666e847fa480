#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "smelt/result.h"

/// What the readers of .npy and .zip files share.
namespace smelt::parity {

using Bytes = std::span<const std::byte>;

inline Error error_at(const std::string& file, ErrorCode code, std::uint64_t offset, std::string message) {
  return Error(code, std::move(message)).at({.file = file, .byte_offset = offset});
}

inline std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// The little-endian number of `size` bytes at `offset`, which must be inside.
inline std::uint64_t number_at(Bytes bytes, std::uint64_t offset, std::size_t size) {
  SMELT_CHECK(offset <= bytes.size() && size <= bytes.size() - offset);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, size);
  return value;
}

}  // namespace smelt::parity
