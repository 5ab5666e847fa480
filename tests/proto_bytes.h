#pragma once

#include <cstdint>
#include <string>

namespace smelt {

// Protobuf's wire format, written out by hand, so that a reader of ours is judged by something that is not ours.

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

/// A field that holds a number.
template <typename Field, typename Value>
std::string number(Field field, Value value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(static_cast<std::uint64_t>(value));
}

/// A field that holds bytes: a string, a message, packed numbers.
template <typename Field>
std::string block(Field field, const std::string& body) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(body.size()) + body;
}

}  // namespace smelt
