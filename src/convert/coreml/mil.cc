#include "convert/coreml/mil.h"

#include <algorithm>
#include <array>

namespace smelt::coreml_format {
namespace {

struct TypeRow {
  MilDataType type;
  std::uint64_t bits;
  const char* name;
};

constexpr std::array<TypeRow, 19> kTypes{{
    {MilDataType::kBool, 8, "bool"},       {MilDataType::kString, 0, "string"},   {MilDataType::kFloat16, 16, "fp16"},
    {MilDataType::kFloat32, 32, "fp32"},   {MilDataType::kFloat64, 64, "fp64"},   {MilDataType::kInt8, 8, "int8"},
    {MilDataType::kInt16, 16, "int16"},    {MilDataType::kInt32, 32, "int32"},    {MilDataType::kInt64, 64, "int64"},
    {MilDataType::kInt4, 4, "int4"},       {MilDataType::kUInt8, 8, "uint8"},     {MilDataType::kUInt16, 16, "uint16"},
    {MilDataType::kUInt32, 32, "uint32"},  {MilDataType::kUInt64, 64, "uint64"},  {MilDataType::kUInt4, 4, "uint4"},
    {MilDataType::kUInt2, 2, "uint2"},     {MilDataType::kUInt1, 1, "uint1"},     {MilDataType::kUInt6, 6, "uint6"},
    {MilDataType::kUInt3, 3, "uint3"},
}};

const TypeRow& row(MilDataType type) {
  const auto* const found = std::find_if(kTypes.begin(), kTypes.end(), [type](const TypeRow& r) { return r.type == type; });
  SMELT_CHECK(found != kTypes.end());
  return *found;
}

/// Bytes of the UTF-8 sequence at the start of `text`, 0 when there is none (overlong, surrogate, past U+10FFFF, cut).
std::size_t sequence_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  const unsigned second = at(1);
  const bool is_bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return is_bad ? 0 : length;
}

}  // namespace

std::uint64_t mil_bits(MilDataType type) { return row(type).bits; }

const char* mil_type_name(MilDataType type) { return row(type).name; }

std::optional<std::uint64_t> mil_element_count(const MilType& type) {
  constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 56;
  bool is_empty = false;
  for (const auto& extent : type.dims) {
    if (!extent || *extent < 0) return std::nullopt;
    is_empty = is_empty || *extent == 0;
  }
  if (is_empty) return 0;
  std::uint64_t count = 1;
  for (const auto& extent : type.dims) {
    const auto factor = static_cast<std::uint64_t>(*extent);
    if (factor > kMaxElements / count) return std::nullopt;
    count *= factor;
  }
  return count;
}

// Not in the class: MilBlock, and so its comparison, is incomplete there.
bool MilOperation::operator==(const MilOperation& other) const {
  return type == other.type && inputs == other.inputs && outputs == other.outputs && blocks == other.blocks &&
         attributes == other.attributes;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace smelt::coreml_format
