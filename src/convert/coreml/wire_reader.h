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

#include "base/proto_reader.h"
#include "convert/coreml/mil.h"
#include "smelt/result.h"

/// What the decoder of model.mlmodel needs beyond the wire format: the bounds of `MilLimits`. Internal to it.
namespace smelt::coreml_format {

using proto::Field;
using enum proto::WireType;

/// What reading any message of a Core ML model needs. Keeps references: file name and limits must outlive it.
class WireReader : protected proto::Reader {
 protected:
  WireReader(std::span<const std::byte> bytes, const std::string& file, const MilLimits& limits)
      : proto::Reader(bytes, file, "Core ML", ""), limits_(limits) {}

  [[nodiscard]] Error unsupported(const Field& field, std::string message) const {
    return error(ErrorCode::kUnsupported, field.offset, std::move(message));
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

  const MilLimits& limits_;

 private:
  std::uint64_t structure_bytes_ = 0;
};

}  // namespace smelt::coreml_format
