#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "smelt/result.h"

namespace smelt {

/// An immutable run of bytes that need not be in memory: a file range, owned bytes, a repeated
/// pattern, or a pure function of other sources (cast, permute, scale, quantize, concat).
class ByteSource {
 public:
  using Sink = std::function<Status(std::span<const std::byte>)>;
  virtual ~ByteSource() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Calls `sink` with consecutive chunks covering [0, size()), in order. Allocates nothing
  /// beyond `scratch` and `working_set()`. A chunk is valid during its call only, may split an element,
  /// and is never empty. The first error of `sink` ends the stream and is returned.
  /// `kInvalidArgument` when `scratch` is too small to use. Safe to call from several threads at once.
  [[nodiscard]] virtual Status stream(std::span<std::byte> scratch, const Sink& sink) const = 0;
  [[nodiscard]] virtual std::uint64_t working_set() const { return 0; }
};
using BytesRef = std::shared_ptr<const ByteSource>;

/// Bytes in memory, held by the source. Needs no scratch.
[[nodiscard]] BytesRef owned_bytes(std::vector<std::byte> bytes);

/// A range of a mapped file, whose pages are given back as they were read: streaming a weight leaves nothing resident.
[[nodiscard]] BytesRef file_bytes(std::shared_ptr<const MappedFile> file, std::span<const std::byte> range);

/// `pattern`, `count` times. Needs no scratch, but makes larger chunks with it.
/// `kLimitReached` when the size does not fit in 64 bits.
[[nodiscard]] Result<BytesRef> splat_bytes(std::vector<std::byte> pattern, std::uint64_t count);

/// From here on a finite float32 means "minus infinity" in a mask, whatever its exact value.
inline constexpr float kMaskSentinel = 1e38F;

struct F16Cast {
  bool keeps_nonzero = false;    ///< what would round to 0 becomes +-2^-24
  bool bounds_infinity = false;  ///< an infinity becomes +-40000, as the sentinel does
};

/// f32 elements as f16, rounded as `f16_bits` does, but a finite value of kMaskSentinel or more in magnitude becomes +-40000. Whether
/// any other value may be out of range is the caller's to check. `kInvalidArgument` when `source` is null or not whole elements.
[[nodiscard]] Result<BytesRef> cast_f32_to_f16(BytesRef source, const F16Cast& options = {});

/// f16 elements as f32, exact.
[[nodiscard]] Result<BytesRef> cast_f16_to_f32(BytesRef source);

/// A row-major [rows, columns] matrix of elements of `element_bytes` as [columns, rows]. Holds the whole source while it streams.
[[nodiscard]] Result<BytesRef> transpose_2d(BytesRef source, std::uint64_t rows, std::uint64_t columns, std::uint64_t element_bytes);

/// f32 elements as signed 8-bit codes: clamp(round_half_even(x / scale), -127, 127), the scale that of the element's slice
/// along one axis. The source is read as [outer, scales.size(), inner]; scales are > 0 and finite.
[[nodiscard]] Result<BytesRef> quantize_i8(BytesRef source, std::vector<float> scales, std::uint64_t inner);

/// The inverse: f32 elements code * scale, in float32.
[[nodiscard]] Result<BytesRef> dequantize_i8(BytesRef source, std::vector<float> scales, std::uint64_t inner);

/// Gives whole elements of T to `visit`, in order, as spans of any length, whatever chunks the source makes.
/// `kInvalidArgument` when the source is not whole elements.
template <typename T>
[[nodiscard]] Status stream_elements(const ByteSource& source, std::span<std::byte> scratch,
                                     const std::function<Status(std::span<const T>)>& visit);

extern template Status stream_elements<float>(const ByteSource&, std::span<std::byte>,
                                              const std::function<Status(std::span<const float>)>&);

}  // namespace smelt
