#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace smelt {

/// Fields of a protobuf message, appended in the order of the calls. The bytes are canonical when the caller goes by field number.
class ProtoWriter {
 public:
  /// int32, int64, uint64, bool and enums; a negative number takes ten bytes, as protobuf has it.
  void integer(std::uint32_t field, std::int64_t value) {
    tag(field, 0);
    varint(static_cast<std::uint64_t>(value));
  }
  void real(std::uint32_t field, float value) {
    tag(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) data_ += static_cast<char>(bits >> shift & 0xff);
  }
  /// Strings and bytes.
  void text(std::uint32_t field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    data_ += value;
  }
  void message(std::uint32_t field, const ProtoWriter& value) { text(field, value.data_); }
  /// The fields of `other`, as fields of this message.
  void append(const ProtoWriter& other) { data_ += other.data_; }

  [[nodiscard]] const std::string& data() const { return data_; }

 private:
  void tag(std::uint32_t field, std::uint32_t wire_type) { varint(std::uint64_t{field} << 3 | wire_type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) data_ += static_cast<char>(value | 0x80);
    data_ += static_cast<char>(value);
  }

  std::string data_;
};

}  // namespace smelt
