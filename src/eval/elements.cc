#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "eval/ops/families.h"
#include "tensor/float16.h"

namespace smelt::eval {
namespace {

template <typename T, typename Values, typename Convert>
void narrow(HostTensor& out, Values values, Convert convert) {
  SMELT_CHECK(out.bytes.size() == values.size() * sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = convert(values[i]);
    std::memcpy(out.bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

template <typename T>
void narrow_integers(HostTensor& out, std::span<const std::int64_t> values) {
  narrow<T>(out, values, [](std::int64_t value) { return static_cast<T>(value); });
}

/// `value` cut to float32, the last bit set where something was cut off ("round to odd"). Rounding this further, to a format
/// of two bits less or fewer, is rounding the double itself: no tie is made or lost on the way.
float cut_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  const bool is_away = std::fabs(static_cast<double>(nearest)) > std::fabs(value);
  const float cut = is_away ? std::nextafterf(nearest, 0.0F) : nearest;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(cut) | 1U);
}

/// bfloat16 bits of a float, half to even.
std::uint16_t bf16_bits(float value) {
  const auto whole = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(whole >> 16 | 0x40U);  // quiet, as the payload may be cut to 0
  return static_cast<std::uint16_t>((whole + 0x7fffU + (whole >> 16 & 1U)) >> 16);
}

std::vector<std::byte> pack_nibbles(std::span<const std::int64_t> values) {
  std::vector<std::byte> bytes((values.size() + 1) / 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto nibble = static_cast<std::uint8_t>(static_cast<std::uint64_t>(values[i]) & 15U);
    bytes[i / 2] |= static_cast<std::byte>(nibble << (i % 2 * 4));
  }
  return bytes;
}

}  // namespace

Error invalid(std::string message) { return Error(ErrorCode::kInvalidArgument, std::move(message)); }

void store(HostTensor& out, std::span<const double> values) {
  switch (out.dtype) {
    case DType::kF64: return narrow<double>(out, values, [](double value) { return value; });
    case DType::kF32: return narrow<float>(out, values, [](double value) { return static_cast<float>(value); });
    case DType::kF16: return narrow<std::uint16_t>(out, values, [](double value) { return f16_bits(cut_to_odd(value)); });
    case DType::kBF16:
      return narrow<std::uint16_t>(out, values, [](double value) { return bf16_bits(cut_to_odd(value)); });
    default: SMELT_CHECK(false);
  }
}

void store(HostTensor& out, std::span<const std::int64_t> values) {
  switch (out.dtype) {
    case DType::kI8: return narrow_integers<std::int8_t>(out, values);
    case DType::kU8: return narrow_integers<std::uint8_t>(out, values);
    case DType::kI16: return narrow_integers<std::int16_t>(out, values);
    case DType::kU16: return narrow_integers<std::uint16_t>(out, values);
    case DType::kI32: return narrow_integers<std::int32_t>(out, values);
    case DType::kU32: return narrow_integers<std::uint32_t>(out, values);
    case DType::kI64: return narrow_integers<std::int64_t>(out, values);
    case DType::kU64: return narrow_integers<std::uint64_t>(out, values);
    case DType::kBool:
      return narrow<std::uint8_t>(out, values, [](std::int64_t value) { return static_cast<std::uint8_t>(value != 0); });
    case DType::kI4:
    case DType::kU4: {
      std::vector<std::byte> packed = pack_nibbles(values);
      SMELT_CHECK(packed.size() == out.bytes.size());
      out.bytes = std::move(packed);
      return;
    }
    default: SMELT_CHECK(false);
  }
}

std::pair<std::int64_t, std::int64_t> integer_range(DType dtype) {
  SMELT_CHECK(is_integer(dtype));
  const std::uint32_t width = bits(dtype);
  const bool is_signed = dtype == DType::kI4 || dtype == DType::kI8 || dtype == DType::kI16 || dtype == DType::kI32 ||
                         dtype == DType::kI64;
  const std::uint64_t ones = ~std::uint64_t{0} >> (64 - width);
  if (!is_signed) return {0, static_cast<std::int64_t>(ones)};
  const auto highest = static_cast<std::int64_t>(ones >> 1);
  return {-highest - 1, highest};
}

bool is_less(DType dtype, std::int64_t a, std::int64_t b) {
  return dtype == DType::kU64 ? static_cast<std::uint64_t>(a) < static_cast<std::uint64_t>(b) : a < b;
}

std::int64_t divide(DType dtype, std::int64_t a, std::int64_t b) {
  SMELT_CHECK(b != 0);
  if (dtype == DType::kU64) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) / static_cast<std::uint64_t>(b));
  }
  return b == -1 ? wrap_subtract(0, a) : a / b;  // the lowest value by -1 wraps
}

std::size_t extent_product(std::span<const std::int64_t> shape, std::size_t begin, std::size_t end) {
  std::size_t product = 1;
  for (std::size_t i = begin; i < end; ++i) product *= static_cast<std::size_t>(shape[i]);
  return product;
}

std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride = wrap_multiply(stride, shape[axis]);
  }
  return strides;
}

std::vector<std::int64_t> broadcast_strides(std::span<const std::int64_t> from, std::span<const std::int64_t> to) {
  const std::vector<std::int64_t> strides = row_major_strides(from);
  std::vector<std::int64_t> out(to.size(), 0);
  const std::size_t new_axes = to.size() - from.size();
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    if (from[axis] != 1) out[new_axes + axis] = strides[axis];
  }
  return out;
}

HostTensor unpack_4_bit(const HostTensor& tensor) {
  if (!is_4_bit(tensor.dtype)) return tensor;
  HostTensor out{.dtype = tensor.dtype == DType::kI4 ? DType::kI8 : DType::kU8, .shape = tensor.shape, .bytes = {}};
  out.bytes.resize(extent_product(tensor.shape, 0, tensor.shape.size()));
  store(out, to_int64s(tensor));
  return out;
}

void pack_4_bit(const HostTensor& whole, HostTensor& out) { store(out, to_int64s(whole)); }

}  // namespace smelt::eval
