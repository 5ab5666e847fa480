#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "convert/coreml/mil.h"
#include "smelt/result.h"

/// Protobuf's wire format, read within the bounds of `MilLimits`. Internal to the decoder of model.mlmodel.
namespace smelt::coreml_format {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field of a message: its number, and its value as a number and as a range of bytes.
struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire = kBytes;
  std::uint64_t offset = 0;           ///< of the tag, from the start of the file
  std::uint64_t value = 0;            ///< of a varint
  std::span<const std::byte> body{};  ///< the bytes of the value; of a length-delimited one, without its length
};

/// What reading any message of a Core ML model needs. Keeps references: file name and limits must outlive it.
class WireReader {
 protected:
  WireReader(std::span<const std::byte> bytes, const std::string& file, const MilLimits& limits)
      : bytes_(bytes), file_(file), limits_(limits) {}

  // Errors and bounds.

  [[nodiscard]] std::uint64_t offset_of(const std::byte* position) const {
    return static_cast<std::uint64_t>(position - bytes_.data());
  }

  [[nodiscard]] Error error(ErrorCode code, std::uint64_t offset, std::string message) const {
    return Error(code, std::move(message)).at({.file = file_, .byte_offset = offset});
  }
  [[nodiscard]] Error malformed(const Field& field, std::string message) const {
    return error(ErrorCode::kMalformedInput, field.offset, std::move(message));
  }
  [[nodiscard]] Error unsupported(const Field& field, std::string message) const {
    return error(ErrorCode::kUnsupported, field.offset, std::move(message));
  }
  [[nodiscard]] Error truncated(std::uint64_t offset, std::string message) const {
    return error(ErrorCode::kTruncatedInput, offset, std::move(message))
        .hint("the file may be a partial download; compare its size with the publisher's");
  }

  /// Takes `bytes` from the budget for everything decoded, before they are allocated.
  Status charge(const Field& field, std::uint64_t bytes) {
    if (bytes > limits_.max_structure_bytes - structure_bytes_) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("the model, without its weight file, needs more than {} bytes", limits_.max_structure_bytes));
    }
    structure_bytes_ += bytes;
    return {};
  }

  // The wire format.

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
    field.offset = offset_of(in);
    std::uint64_t tag = 0;
    SMELT_RETURN_IF_ERROR(varint(in, end, tag));
    if (tag > std::numeric_limits<std::uint32_t>::max() || tag >> 3 == 0) {
      return malformed(field, fmt::format("field tag {} is not one of protobuf's", tag));
    }
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.wire = static_cast<std::uint32_t>(tag & 7);
    const std::byte* const start = in;
    std::uint64_t length = 0;
    switch (field.wire) {
      case kVarint:
        SMELT_RETURN_IF_ERROR(varint(in, end, field.value));
        field.body = {start, in};
        return {};
      case kFixed32: length = 4; break;
      case kFixed64: length = 8; break;
      case kBytes: SMELT_RETURN_IF_ERROR(varint(in, end, length)); break;
      default: return malformed(field, fmt::format("wire type {} never occurs in Core ML", field.wire));
    }
    const auto left = static_cast<std::uint64_t>(end - in);
    if (length > left) {
      return truncated(field.offset, fmt::format("field {} needs {} bytes, {} remain", field.number, length, left));
    }
    field.body = {in, static_cast<std::size_t>(length)};
    in += length;
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

  /// Keeps a singular message for later. Protobuf would merge two of them; no writer makes two.
  Status once(const Field& field, std::optional<Field>& out) const {
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    if (out) return malformed(field, fmt::format("field {} occurs twice in one message", field.number));
    out = field;
    return {};
  }

  /// An int32 that is not negative.
  Status small_integer(const Field& field, int& out) const {
    SMELT_RETURN_IF_ERROR(expect(field, kVarint));
    if (field.value > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
      return malformed(field, fmt::format("field {} holds {}", field.number, static_cast<std::int64_t>(field.value)));
    }
    out = static_cast<int>(field.value);
    return {};
  }

  /// A string of any length that the budget allows.
  Status text(const Field& field, std::string& out) {
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    SMELT_RETURN_IF_ERROR(charge(field, field.body.size()));
    out.clear();
    if (!field.body.empty()) out.assign(reinterpret_cast<const char*>(field.body.data()), field.body.size());
    if (!is_utf8(out)) return malformed(field, "a string is not UTF-8");
    return {};
  }

  Status name(const Field& field, std::string& out) {
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    if (field.body.size() > limits_.max_name_bytes) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("a name has {} bytes, the limit is {}", field.body.size(), limits_.max_name_bytes));
    }
    return text(field, out);
  }

  /// Appends an element to `list` and lets `read` fill it.
  template <typename T, typename Read>
  Status append(const Field& field, std::vector<T>& list, const Read& read) {
    SMELT_RETURN_IF_ERROR(charge(field, sizeof(T)));
    return read(list.emplace_back());
  }

  /// An entry of a protobuf map; `read` gets the field of its value (an empty message when missing) and the entry to fill.
  template <typename T, typename Read>
  Status map_entry(const Field& outer, std::map<std::string, T>& map, const Read& read) {
    constexpr std::uint64_t kTreeNode = 4 * sizeof(void*);
    std::string key;
    Field value{.offset = outer.offset};
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return name(field, key);
      if (field.number == 2) value = field;
      return {};
    }));
    SMELT_RETURN_IF_ERROR(charge(outer, sizeof(std::pair<const std::string, T>) + kTreeNode));
    const auto [entry, is_new] = map.try_emplace(std::move(key));
    if (!is_new) return malformed(outer, fmt::format("a map has two entries \"{}\"", entry->first));
    return read(value, *entry);
  }

  std::span<const std::byte> bytes_;  ///< the whole file
  const std::string& file_;
  const MilLimits& limits_;

 private:
  std::uint64_t structure_bytes_ = 0;
};

}  // namespace smelt::coreml_format
