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

template <typename T>
std::vector<double> widen(std::span<const std::byte> bytes) {
  std::vector<double> out(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
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
std::vector<double> widen_4(std::span<const std::byte> bytes, std::size_t count, bool is_signed) {
  std::vector<double> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int nibble = std::to_integer<int>(bytes[i / 2] >> (i % 2 * 4)) & 15;
    out[i] = is_signed && nibble > 7 ? nibble - 16 : nibble;
  }
  return out;
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
    case DType::kF32: return widen<float>(tensor.bytes);
    case DType::kF64: return widen<double>(tensor.bytes);
    case DType::kF16: return widen_16(tensor.bytes, false);
    case DType::kBF16: return widen_16(tensor.bytes, true);
    case DType::kI8: return widen<std::int8_t>(tensor.bytes);
    case DType::kU8:
    case DType::kBool: return widen<std::uint8_t>(tensor.bytes);
    case DType::kI16: return widen<std::int16_t>(tensor.bytes);
    case DType::kU16: return widen<std::uint16_t>(tensor.bytes);
    case DType::kI32: return widen<std::int32_t>(tensor.bytes);
    case DType::kU32: return widen<std::uint32_t>(tensor.bytes);
    case DType::kI64: return widen<std::int64_t>(tensor.bytes);
    case DType::kU64: return widen<std::uint64_t>(tensor.bytes);
    case DType::kI4:
    case DType::kU4: {
      const Result<std::int64_t> count = element_count(tensor.shape);
      SMELT_CHECK(count.ok());
      return widen_4(tensor.bytes, static_cast<std::size_t>(*count), tensor.dtype == DType::kI4);
    }
  }
  SMELT_CHECK(false);
}

HostTensor f32_tensor(std::vector<std::int64_t> shape, std::span<const float> values) {
  return make(DType::kF32, std::move(shape), values);
}

HostTensor i64_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values) {
  return make(DType::kI64, std::move(shape), values);
}

}  // namespace smelt
