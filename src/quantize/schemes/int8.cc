#include "quantize/schemes/int8.h"

#include <algorithm>
#include <bit>

#include "tensor/float16.h"

namespace smelt::quantize::int8 {

std::uint64_t inner_elements(const std::vector<std::int64_t>& shape, std::int64_t axis) {
  std::uint64_t inner = 1;
  for (std::size_t k = static_cast<std::size_t>(axis) + 1; k < shape.size(); ++k) inner *= static_cast<std::uint64_t>(shape[k]);
  return inner;
}

Result<Scales> scales(const Constant& weight, std::int64_t axis, bool stores_f16) {
  SMELT_CHECK(weight.dtype == DType::kF32);
  const auto channels = static_cast<std::size_t>(weight.shape[static_cast<std::size_t>(axis)]);
  const std::uint64_t inner = inner_elements(weight.shape, axis);
  std::vector<float> peaks(channels, 0.0F);
  bool is_finite = true;
  std::uint64_t left = inner;     // elements of the current slice's run still to come
  std::size_t channel = 0;
  std::vector<std::byte> scratch(std::size_t{64} << 10);
  const auto look = [&](std::span<const float> elements) -> Status {
    while (!elements.empty()) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, elements.size()));
      // Of numbers without their sign, the bits order as the numbers do; infinity and NaN are above all others.
      std::uint32_t peak = 0;
      for (const float element : elements.first(count)) peak = std::max(peak, std::bit_cast<std::uint32_t>(element) & 0x7fffffffU);
      is_finite = is_finite && peak < 0x7f800000U;
      peaks[channel] = std::max(peaks[channel], std::bit_cast<float>(peak));
      elements = elements.subspan(count);
      left -= count;
      if (left != 0) continue;
      left = inner;
      channel = channel + 1 == channels ? 0 : channel + 1;
    }
    return {};
  };
  SMELT_RETURN_IF_ERROR(stream_elements<float>(*weight.bytes, scratch, look));
  Scales result;
  if (!is_finite) {
    result.refusal = "values that are not finite";
    return result;
  }
  constexpr float kSmallestNormalF16 = 6.103515625e-5F;
  const float largest = peaks.empty() ? 0.0F : *std::max_element(peaks.begin(), peaks.end());
  if (stores_f16 && largest != 0.0F && largest / 127.0F < kSmallestNormalF16 / 4) {
    result.refusal = "scales below float16's normal range";
  } else if (stores_f16 && !fits_f16(largest / 127.0F)) {
    result.refusal = "scales above float16's range";
  } else if (largest != 0.0F && largest / 127.0F == 0.0F) {
    result.refusal = "scales that vanish";
  }
  for (const float peak : peaks) {
    float scale = peak / 127.0F;
    if (stores_f16) scale = std::max(f16_value(f16_bits(scale)), kSmallestNormalF16);
    result.values.push_back(peak == 0.0F || scale == 0.0F ? 1.0F : scale);
  }
  return result;
}

Result<ConstantRef> encode(const Constant& weight, std::int64_t axis, const std::vector<float>& scales) {
  SMELT_ASSIGN_OR_RETURN(BytesRef codes, quantize_i8(weight.bytes, scales, inner_elements(weight.shape, axis)));
  return ConstantRef(std::make_shared<const Constant>(Constant{.dtype = DType::kI8, .shape = weight.shape, .bytes = std::move(codes)}));
}

}  // namespace smelt::quantize::int8
