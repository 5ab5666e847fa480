#include "tensor/host_tensor.h"

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/float16.h"

namespace smelt {
namespace {

template <typename To, typename From>
std::vector<To> widen(std::span<const std::byte> bytes) {
  std::vector<To> out(bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    out[i] = static_cast<To>(value);  // NOLINT(bugprone-signed-char-misuse): an int8 is a number
  }
  return out;
}

std::vector<double> widen_16(std::span<const std::byte> bytes, bool is_bfloat) {
  std::vector<double> out(bytes.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t value;
    std::memcpy(&value, bytes.data() + i * 2, 2);
    out[i] = is_bfloat ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16))
                       : static_cast<double>(f16_value(value));
  }
  return out;
}

/// 4-bit elements, two a byte, the first in the low half.
template <typename To>
std::vector<To> widen_4(const HostTensor& tensor) {
  const Result<std::int64_t> count = element_count(tensor.shape);
  SMELT_CHECK(count.ok());
  std::vector<To> out(static_cast<std::size_t>(*count));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int nibble = std::to_integer<int>(tensor.bytes[i / 2] >> (i % 2 * 4)) & 15;
    out[i] = static_cast<To>(tensor.dtype == DType::kI4 && nibble > 7 ? nibble - 16 : nibble);
  }
  return out;
}

/// The elements of an integer or bool tensor.
template <typename To>
std::vector<To> widen_integers(const HostTensor& tensor) {
  switch (tensor.dtype) {
    case DType::kI8: return widen<To, std::int8_t>(tensor.bytes);
    case DType::kU8:
    case DType::kBool: return widen<To, std::uint8_t>(tensor.bytes);
    case DType::kI16: return widen<To, std::int16_t>(tensor.bytes);
    case DType::kU16: return widen<To, std::uint16_t>(tensor.bytes);
    case DType::kI32: return widen<To, std::int32_t>(tensor.bytes);
    case DType::kU32: return widen<To, std::uint32_t>(tensor.bytes);
    case DType::kI64: return widen<To, std::int64_t>(tensor.bytes);
    case DType::kU64: return widen<To, std::uint64_t>(tensor.bytes);
    case DType::kI4:
    case DType::kU4: return widen_4<To>(tensor);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF64: break;
  }
  SMELT_CHECK(false);
}

template <typename T>
HostTensor make(DType dtype, std::vector<std::int64_t> shape, std::span<const T> values) {
  const Result<std::int64_t> count = element_count(shape);
  SMELT_CHECK(count.ok() && static_cast<std::size_t>(*count) == values.size());
  HostTensor tensor{.dtype = dtype, .shape = std::move(shape), .bytes = std::vector<std::byte>(values.size_bytes())};
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
  return tensor;
}

}  // namespace

Result<std::int64_t> element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    SMELT_CHECK(extent >= 0);
    if (extent == 0) return std::int64_t{0};
  }
  for (const std::int64_t extent : shape) {
    if (count > std::numeric_limits<std::int64_t>::max() / extent) {
      return Error(ErrorCode::kLimitReached, fmt::format("a tensor of shape [{}] has more than 2^63 elements",
                                                         fmt::join(shape, ", ")));
    }
    count *= extent;
  }
  return count;
}

std::string type_text(DType dtype, std::span<const std::int64_t> shape) {
  return fmt::format("{}[{}]", name(dtype), fmt::join(shape, ", "));
}

std::vector<double> to_doubles(const HostTensor& tensor) {
  switch (tensor.dtype) {
    case DType::kF32: return widen<double, float>(tensor.bytes);
    case DType::kF64: return widen<double, double>(tensor.bytes);
    case DType::kF16: return widen_16(tensor.bytes, false);
    case DType::kBF16: return widen_16(tensor.bytes, true);
    default: return widen_integers<double>(tensor);
  }
}

std::vector<std::int64_t> to_int64s(const HostTensor& tensor) {
  std::vector<std::int64_t> values = widen_integers<std::int64_t>(tensor);
  if (tensor.dtype == DType::kBool) {
    for (std::int64_t& value : values) value = value != 0 ? 1 : 0;
  }
  return values;
}

HostTensor f32_tensor(std::vector<std::int64_t> shape, std::span<const float> values) {
  return make(DType::kF32, std::move(shape), values);
}

HostTensor float_scalar(DType dtype, float value) {
  SMELT_CHECK(dtype == DType::kF16 || dtype == DType::kF32);
  if (dtype == DType::kF32) return f32_tensor({}, std::span(&value, 1));
  const std::uint16_t half = f16_bits(value);
  return make(DType::kF16, {}, std::span(&half, 1));
}

HostTensor i64_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values) {
  return make(DType::kI64, std::move(shape), values);
}

}  // namespace smelt
