#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "smelt/result.h"

/// Protobuf's wire format, read by hand: every number checked against the message that holds it, nothing allocated. What a field
/// means, and what a file may ask for, is the reader's that derives from this.
namespace smelt::proto {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field of a message: its number, and its value as a number and as a range of bytes.
struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire = kBytes;
  std::uint64_t offset = 0;            ///< of the tag, from the start of the file
  std::uint64_t value = 0;             ///< of a varint
  std::span<const std::byte> body{};   ///< the bytes of the value; of a length-delimited one, without its length
  std::span<const std::byte> whole{};  ///< with its tag and length
};

/// The messages of one file. Keeps a reference: the file's name must outlive it.
class Reader {
 protected:
  /// `format`: what the file should be, for messages ("ONNX"). `damaged_hint`: what to say of a tag that is none; may be empty.
  Reader(std::span<const std::byte> bytes, const std::string& file, std::string_view format, std::string_view damaged_hint)
      : bytes_(bytes), file_(file), format_(format), damaged_hint_(damaged_hint) {}

  [[nodiscard]] std::uint64_t offset_of(const std::byte* position) const {
    return static_cast<std::uint64_t>(position - bytes_.data());
  }
  [[nodiscard]] Error error(ErrorCode code, std::uint64_t offset, std::string message) const {
    return Error(code, std::move(message)).at({.file = file_, .byte_offset = offset});
  }
  [[nodiscard]] Error malformed(const Field& field, std::string message) const {
    return error(ErrorCode::kMalformedInput, field.offset, std::move(message));
  }
  [[nodiscard]] Error truncated(std::uint64_t offset, std::string message) const {
    return error(ErrorCode::kTruncatedInput, offset, std::move(message))
        .hint("the file may be a partial download; compare its size with the publisher's");
  }

  /// Reads a varint at `in`, advancing it. `end` is the end of the enclosing message.
  Status varint(const std::byte*& in, const std::byte* end, std::uint64_t& value) const {
    value = 0;
    const std::byte* const start = in;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (in == end) return truncated(offset_of(start), "a number reaches past the end of its message");
      const auto byte = std::to_integer<std::uint64_t>(*in++);
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return {};
    }
    return error(ErrorCode::kMalformedInput, offset_of(start), "a number is longer than 64 bits");
  }

  /// Reads one field at `in`, advancing it.
  Status next_field(const std::byte*& in, const std::byte* end, Field& field) const {
    const std::byte* const tag_at = in;
    field.offset = offset_of(in);
    std::uint64_t tag = 0;
    SMELT_RETURN_IF_ERROR(varint(in, end, tag));
    if (tag > std::numeric_limits<std::uint32_t>::max() || tag >> 3 == 0) {
      return malformed(field, fmt::format("field tag {} is not one of protobuf's", tag)).hint(std::string(damaged_hint_));
    }
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.wire = static_cast<std::uint32_t>(tag & 7);
    const std::byte* body = in;
    std::uint64_t length = 0;
    switch (field.wire) {
      case kVarint:
        SMELT_RETURN_IF_ERROR(varint(in, end, field.value));
        length = static_cast<std::uint64_t>(in - body);
        in = body;
        break;
      case kFixed32: length = 4; break;
      case kFixed64: length = 8; break;
      case kBytes:
        SMELT_RETURN_IF_ERROR(varint(in, end, length));
        body = in;
        break;
      default: return malformed(field, fmt::format("wire type {} never occurs in {}", field.wire, format_));
    }
    const auto left = static_cast<std::uint64_t>(end - in);
    if (length > left) {
      return truncated(field.offset, fmt::format("field {} needs {} bytes, {} remain", field.number, length, left));
    }
    in += length;
    field.body = {body, static_cast<std::size_t>(length)};
    field.whole = {tag_at, in};
    return {};
  }

  /// Calls `visit` with every field of a message. Stops at the first error.
  template <typename Visit>
  Status each_field(std::span<const std::byte> message, const Visit& visit) const {
    const std::byte* in = message.data();
    const std::byte* const end = in + message.size();
    while (in != end) {
      Field field;
      SMELT_RETURN_IF_ERROR(next_field(in, end, field));
      SMELT_RETURN_IF_ERROR(visit(field));
    }
    return {};
  }
  /// The same with a field that must be a message.
  template <typename Visit>
  Status each_field(const Field& outer, const Visit& visit) const {
    SMELT_RETURN_IF_ERROR(expect(outer, kBytes));
    return each_field(outer.body, visit);
  }

  /// Calls `visit` with every element of a repeated varint, in either form: packed, or an element a field.
  template <typename Visit>
  Status each_varint(const Field& field, const Visit& visit) const {
    if (field.wire == kVarint) return visit(field.value);
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    const std::byte* in = field.body.data();
    const std::byte* const end = in + field.body.size();
    while (in != end) {
      std::uint64_t value = 0;
      SMELT_RETURN_IF_ERROR(varint(in, end, value));
      SMELT_RETURN_IF_ERROR(visit(value));
    }
    return {};
  }

  Status expect(const Field& field, std::uint32_t wire) const {
    if (field.wire == wire) return {};
    return malformed(field, fmt::format("field {} has wire type {}, not {}", field.number, field.wire, wire));
  }

  std::span<const std::byte> bytes_;  ///< the whole file
  const std::string& file_;

 private:
  std::string_view format_, damaged_hint_;
};

}  // namespace smelt::proto
