#include "tensor/byte_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "tensor/float16.h"

namespace smelt {
namespace {

class OwnedBytes final : public ByteSource {
 public:
  explicit OwnedBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  [[nodiscard]] Status stream(std::span<std::byte> /*scratch*/, const Sink& sink) const override {
    if (bytes_.empty()) return {};
    return sink(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

class FileBytes final : public ByteSource {
 public:
  FileBytes(std::shared_ptr<const MappedFile> file, std::span<const std::byte> range) : file_(std::move(file)), range_(range) {}
  [[nodiscard]] std::uint64_t size() const override { return range_.size(); }
  [[nodiscard]] Status stream(std::span<std::byte> /*scratch*/, const Sink& sink) const override {
    constexpr std::size_t kChunk = std::size_t{1} << 20;
    for (std::span<const std::byte> rest = range_; !rest.empty();) {
      const std::span<const std::byte> chunk = rest.first(std::min(rest.size(), kChunk));
      SMELT_RETURN_IF_ERROR(sink(chunk));
      file_->release_pages(chunk);
      rest = rest.subspan(chunk.size());
    }
    return {};
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::span<const std::byte> range_;
};

class SplatBytes final : public ByteSource {
 public:
  SplatBytes(std::vector<std::byte> pattern, std::uint64_t count) : pattern_(std::move(pattern)), count_(count) {}
  [[nodiscard]] std::uint64_t size() const override { return pattern_.size() * count_; }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    if (size() == 0) return {};
    std::span<const std::byte> chunk(pattern_);
    const std::uint64_t repeats = std::min<std::uint64_t>(scratch.size() / pattern_.size(), count_);
    if (repeats > 1) {
      for (std::size_t i = 0; i < repeats; ++i) {
        std::ranges::copy(pattern_, scratch.subspan(i * pattern_.size()).begin());
      }
      chunk = scratch.first(static_cast<std::size_t>(repeats) * pattern_.size());
    }
    for (std::uint64_t left = size(); left != 0;) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk.size()));
      SMELT_RETURN_IF_ERROR(sink(chunk.first(part)));
      left -= part;
    }
    return {};
  }

 private:
  std::vector<std::byte> pattern_;
  std::uint64_t count_;
};

/// Elements that a function turns into other elements one for one, in order: function(in, position of the first, out). It sees whole
/// runs, so that its loop is one that the compiler can vectorize.
template <typename In, typename Out, typename Function>
class MappedElements final : public ByteSource {
 public:
  MappedElements(BytesRef source, Function function) : source_(std::move(source)), function_(std::move(function)) {}
  [[nodiscard]] std::uint64_t size() const override { return source_->size() / sizeof(In) * sizeof(Out); }
  [[nodiscard]] std::uint64_t working_set() const override { return source_->working_set() + kBuffer * (sizeof(In) + sizeof(Out)); }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    std::vector<Out> out;
    std::uint64_t position = 0;
    return stream_elements<In>(*source_, scratch, [&](std::span<const In> elements) -> Status {
      while (!elements.empty()) {
        const std::size_t count = std::min(elements.size(), kBuffer);
        out.resize(count);
        function_(elements.first(count), position, std::span(out));
        SMELT_RETURN_IF_ERROR(sink(std::as_bytes(std::span(out))));
        position += count;
        elements = elements.subspan(count);
      }
      return {};
    });
  }

 private:
  static constexpr std::size_t kBuffer = 16384;
  BytesRef source_;
  Function function_;
};

template <typename In, typename Out, typename Function>
Result<BytesRef> map_elements(BytesRef source, Function function) {
  if (source == nullptr) return Error(ErrorCode::kInvalidArgument, "a derived constant needs a source");
  if (source->size() % sizeof(In) != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} bytes are not a whole number of {}-byte elements", source->size(), sizeof(In)));
  }
  return BytesRef(std::make_shared<const MappedElements<In, Out, Function>>(std::move(source), std::move(function)));
}

class Transposed2d final : public ByteSource {
 public:
  Transposed2d(BytesRef source, std::size_t rows, std::size_t columns, std::size_t element)
      : source_(std::move(source)), rows_(rows), columns_(columns), element_(element) {}
  [[nodiscard]] std::uint64_t size() const override { return source_->size(); }
  [[nodiscard]] std::uint64_t working_set() const override { return source_->working_set() + source_->size(); }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    std::vector<std::byte> whole;
    whole.reserve(static_cast<std::size_t>(size()));
    SMELT_RETURN_IF_ERROR(source_->stream(scratch, [&](std::span<const std::byte> chunk) {
      whole.insert(whole.end(), chunk.begin(), chunk.end());
      return Status();
    }));
    switch (element_) {  // a copy of a size known here is one instruction
      case 1: return give<1>(whole, sink);
      case 2: return give<2>(whole, sink);
      case 4: return give<4>(whole, sink);
      case 8: return give<8>(whole, sink);
      default: return give<0>(whole, sink);
    }
  }

 private:
  /// Several output rows at a time, so that a cache line of the source serves more than one of its elements. Size 0: any other.
  template <std::size_t Size>
  Status give(const std::vector<std::byte>& whole, const Sink& sink) const {
    constexpr std::size_t kBlock = 16;
    const std::size_t element = Size == 0 ? element_ : Size;
    std::vector<std::byte> out(rows_ * element * kBlock);
    for (std::size_t first = 0; first < columns_; first += kBlock) {
      const std::size_t count = std::min(kBlock, columns_ - first);
      for (std::size_t row = 0; row < rows_; ++row) {
        for (std::size_t c = 0; c < count; ++c) {
          std::memcpy(out.data() + (c * rows_ + row) * element, whole.data() + (row * columns_ + first + c) * element, element);
        }
      }
      if (rows_ != 0) SMELT_RETURN_IF_ERROR(sink(std::span(out).first(count * rows_ * element)));
    }
    return {};
  }

  BytesRef source_;
  std::size_t rows_, columns_, element_;
};

/// Without branches, for the vectorizer.
std::uint16_t f16_of_weight(float value, const F16Cast& options) {
  constexpr std::uint32_t kSentinelBits = std::bit_cast<std::uint32_t>(kMaskSentinel), kInfinityBits = 0x7f800000U;
  constexpr std::uint32_t kMaskBound = 0x78e2;  // 40000
  const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(value) & 0x7fffffffU;
  std::uint32_t bits = f16_bits(value);
  const std::uint32_t end = options.bounds_infinity ? kInfinityBits + 1 : kInfinityBits;
  bits = magnitude >= kSentinelBits && magnitude < end ? (bits & 0x8000U) | kMaskBound : bits;
  const bool vanished = (bits & 0x7fffU) == 0 && magnitude != 0;
  return static_cast<std::uint16_t>(options.keeps_nonzero && vanished ? bits | 1U : bits);
}

/// Calls f(scale, run) for each run of elements that have one scale; `position` is that of the first element in [outer, scales, inner].
template <typename In, typename Out, typename Function>
void for_each_scale(const std::vector<float>& scales, std::uint64_t inner, std::span<const In> in, std::uint64_t position, std::span<Out> out, const Function& f) {
  while (!in.empty()) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), inner - position % inner));
    f(scales[static_cast<std::size_t>(position / inner % scales.size())], in.first(count), out.first(count));
    in = in.subspan(count);
    out = out.subspan(count);
    position += count;
  }
}

/// clamp(round_half_even(value / scale), -127, 127). Rounding is by the addition of 1.5 * 2^23, whose ulp is 1: exact for what is within
/// the bounds, which are whole numbers. NaN becomes -127.
std::int8_t code_of(float value, float scale) {
  constexpr float kUlpOne = 12582912.0F;
  const float ratio = value / scale;
  const float bounded = ratio > -127.0F ? (ratio < 127.0F ? ratio : 127.0F) : -127.0F;
  return static_cast<std::int8_t>(static_cast<std::int32_t>((bounded + kUlpOne) - kUlpOne));
}

}  // namespace

BytesRef owned_bytes(std::vector<std::byte> bytes) { return std::make_shared<const OwnedBytes>(std::move(bytes)); }

BytesRef file_bytes(std::shared_ptr<const MappedFile> file, std::span<const std::byte> range) {
  return std::make_shared<const FileBytes>(std::move(file), range);
}

Result<BytesRef> splat_bytes(std::vector<std::byte> pattern, std::uint64_t count) {
  if (!pattern.empty() && count > std::numeric_limits<std::uint64_t>::max() / pattern.size()) {
    return Error(ErrorCode::kLimitReached,
                 fmt::format("{} copies of {} bytes do not fit in a 64-bit byte count", count, pattern.size()));
  }
  return BytesRef(std::make_shared<const SplatBytes>(std::move(pattern), count));
}

Result<BytesRef> cast_f32_to_f16(BytesRef source, const F16Cast& options) {
  return map_elements<float, std::uint16_t>(
      std::move(source), [options](std::span<const float> in, std::uint64_t, std::span<std::uint16_t> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = f16_of_weight(in[i], options);
      });
}

Result<BytesRef> cast_f16_to_f32(BytesRef source) {
  return map_elements<std::uint16_t, float>(std::move(source), [](std::span<const std::uint16_t> in, std::uint64_t, std::span<float> out) {
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = f16_value(in[i]);
  });
}

Result<BytesRef> transpose_2d(BytesRef source, std::uint64_t rows, std::uint64_t columns, std::uint64_t element_bytes) {
  if (source == nullptr) return Error(ErrorCode::kInvalidArgument, "a derived constant needs a source");
  std::uint64_t total = 0;
  if (__builtin_mul_overflow(rows, columns, &total) || __builtin_mul_overflow(total, element_bytes, &total) ||
      total != source->size()) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} bytes are not a [{}, {}] matrix of {}-byte elements", source->size(),
                                                          rows, columns, element_bytes));
  }
  return BytesRef(std::make_shared<const Transposed2d>(std::move(source), rows, columns, element_bytes));
}

Result<BytesRef> quantize_i8(BytesRef source, std::vector<float> scales, std::uint64_t inner) {
  SMELT_CHECK(!scales.empty() && inner > 0);
  return map_elements<float, std::int8_t>(
      std::move(source), [scales = std::move(scales), inner](std::span<const float> in, std::uint64_t position, std::span<std::int8_t> out) {
        for_each_scale(scales, inner, in, position, out, [](float scale, std::span<const float> values, std::span<std::int8_t> codes) {
          for (std::size_t i = 0; i < values.size(); ++i) codes[i] = code_of(values[i], scale);
        });
      });
}

Result<BytesRef> dequantize_i8(BytesRef source, std::vector<float> scales, std::uint64_t inner) {
  SMELT_CHECK(!scales.empty() && inner > 0);
  return map_elements<std::int8_t, float>(
      std::move(source), [scales = std::move(scales), inner](std::span<const std::int8_t> in, std::uint64_t position, std::span<float> out) {
        for_each_scale(scales, inner, in, position, out, [](float scale, std::span<const std::int8_t> codes, std::span<float> values) {
          for (std::size_t i = 0; i < codes.size(); ++i) values[i] = static_cast<float>(codes[i]) * scale;
        });
      });
}

template <typename T>
Status stream_elements(const ByteSource& source, std::span<std::byte> scratch,
                       const std::function<Status(std::span<const T>)>& visit) {
  if (source.size() % sizeof(T) != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} bytes are not a whole number of {}-byte elements", source.size(), sizeof(T)));
  }
  std::vector<T> aligned;            // a chunk may have any alignment and may split an element
  std::array<std::byte, sizeof(T)> split{};
  std::size_t split_size = 0;
  return source.stream(scratch, [&](std::span<const std::byte> chunk) -> Status {
    if (split_size != 0) {
      const std::size_t take = std::min(sizeof(T) - split_size, chunk.size());
      std::copy_n(chunk.begin(), take, split.begin() + static_cast<std::ptrdiff_t>(split_size));
      split_size += take;
      chunk = chunk.subspan(take);
      if (split_size < sizeof(T)) return {};
      split_size = 0;
      const T element = std::bit_cast<T>(split);
      SMELT_RETURN_IF_ERROR(visit(std::span(&element, 1)));
    }
    constexpr std::size_t kMost = 16384;
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(chunk.data()) % alignof(T) == 0;
    while (chunk.size() >= sizeof(T)) {
      const std::size_t count = std::min(chunk.size() / sizeof(T), kMost);
      if (is_aligned) {
        SMELT_RETURN_IF_ERROR(visit(std::span(reinterpret_cast<const T*>(chunk.data()), count)));
      } else {
        aligned.resize(count);
        std::memcpy(aligned.data(), chunk.data(), count * sizeof(T));
        SMELT_RETURN_IF_ERROR(visit(std::span<const T>(aligned)));
      }
      chunk = chunk.subspan(count * sizeof(T));
    }
    std::copy(chunk.begin(), chunk.end(), split.begin());
    split_size = chunk.size();
    return {};
  });
}

template Status stream_elements<float>(const ByteSource&, std::span<std::byte>,
                                       const std::function<Status(std::span<const float>)>&);

}  // namespace smelt
