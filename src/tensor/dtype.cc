#include "tensor/dtype.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <limits>

namespace smelt {
namespace {

enum class Kind : std::uint8_t { kFloat, kInteger, kBool };

struct Info {
  DType dtype;
  std::string_view name;
  std::uint32_t bits;
  Kind kind;
};

constexpr std::array<Info, 15> kInfos{{
    {DType::kF32, "f32", 32, Kind::kFloat},   {DType::kF16, "f16", 16, Kind::kFloat},
    {DType::kBF16, "bf16", 16, Kind::kFloat}, {DType::kF64, "f64", 64, Kind::kFloat},
    {DType::kI8, "i8", 8, Kind::kInteger},    {DType::kU8, "u8", 8, Kind::kInteger},
    {DType::kI16, "i16", 16, Kind::kInteger}, {DType::kU16, "u16", 16, Kind::kInteger},
    {DType::kI32, "i32", 32, Kind::kInteger}, {DType::kU32, "u32", 32, Kind::kInteger},
    {DType::kI64, "i64", 64, Kind::kInteger}, {DType::kU64, "u64", 64, Kind::kInteger},
    {DType::kBool, "bool", 8, Kind::kBool},   {DType::kI4, "i4", 4, Kind::kInteger},
    {DType::kU4, "u4", 4, Kind::kInteger},
}};

constexpr bool in_enum_order() {
  for (std::size_t i = 0; i < kInfos.size(); ++i) {
    if (static_cast<std::size_t>(kInfos[i].dtype) != i) return false;
  }
  return true;
}
static_assert(in_enum_order(), "kInfos is indexed by DType");

const Info& info(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  SMELT_CHECK(index < kInfos.size());
  return kInfos[index];
}

}  // namespace

std::string_view name(DType dtype) { return info(dtype).name; }

std::uint32_t bits(DType dtype) { return info(dtype).bits; }

std::optional<DType> parse_dtype(std::string_view text) {
  for (const Info& entry : kInfos) {
    if (entry.name == text) return entry.dtype;
  }
  return std::nullopt;
}

bool is_float(DType dtype) { return info(dtype).kind == Kind::kFloat; }

bool is_integer(DType dtype) { return info(dtype).kind == Kind::kInteger; }

Result<std::uint64_t> packed_bytes(DType dtype, std::uint64_t element_count) {
  const std::uint64_t width = bits(dtype);
  if (width < 8) {
    const std::uint64_t per_byte = 8 / width;
    return element_count / per_byte + (element_count % per_byte != 0 ? 1U : 0U);
  }
  const std::uint64_t bytes = width / 8;
  if (element_count > std::numeric_limits<std::uint64_t>::max() / bytes) {
    return Error(ErrorCode::kLimitReached,
                 fmt::format("{} elements of {} do not fit in a 64-bit byte count", element_count, name(dtype)));
  }
  return element_count * bytes;
}

}  // namespace smelt
