#include "tensor/byte_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <span>

#include "temp_folder.h"

namespace smelt {
namespace {

using Bytes = std::vector<std::byte>;

Bytes make(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

Result<Bytes> collect(const ByteSource& source, std::size_t scratch_bytes) {
  Bytes scratch(scratch_bytes);
  Bytes out;
  SMELT_RETURN_IF_ERROR(source.stream(scratch, [&](std::span<const std::byte> chunk) -> Status {
    EXPECT_FALSE(chunk.empty());
    out.insert(out.end(), chunk.begin(), chunk.end());
    return {};
  }));
  return out;
}

/// Gives its bytes in chunks of a chosen size, and claims a chosen size.
class Chunked final : public ByteSource {
 public:
  Chunked(Bytes bytes, std::size_t chunk, std::uint64_t claimed)
      : bytes_(std::move(bytes)), chunk_(chunk), claimed_(claimed) {}
  [[nodiscard]] std::uint64_t size() const override { return claimed_; }
  [[nodiscard]] Status stream(std::span<std::byte> /*scratch*/, const Sink& sink) const override {
    const std::span<const std::byte> all(bytes_);
    for (std::size_t at = 0; at < all.size(); at += chunk_) {
      SMELT_RETURN_IF_ERROR(sink(all.subspan(at, std::min(chunk_, all.size() - at))));
    }
    return {};
  }

 private:
  Bytes bytes_;
  std::size_t chunk_;
  std::uint64_t claimed_;
};

// 1.0, -2.0, 65520.0 (infinity in f16), 2^-24
Bytes f32s() { return make({0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0xF0, 0x7F, 0x47, 0, 0, 0x80, 0x33}); }
Bytes f16s() { return make({0, 0x3C, 0, 0xC0, 0, 0x7C, 1, 0}); }

TEST(ByteSource, Owned) {
  const BytesRef owned = owned_bytes(f32s());
  EXPECT_EQ(owned->size(), 16U);
  EXPECT_EQ(collect(*owned, 0).value(), f32s());

}

class FileBytesTest : public TempFolderTest {};

TEST_F(FileBytesTest, KeepTheirFileMapped) {
  const Bytes bytes = f32s();
  std::ofstream(folder_ / "weights", std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  auto file = std::make_shared<const MappedFile>(MappedFile::open(folder_ / "weights").value());
  const std::weak_ptr<const MappedFile> watch = file;
  BytesRef range = file_bytes(file, file->bytes().subspan(2, 2));
  file.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(range->size(), 2U);
  EXPECT_EQ(collect(*range, 0).value(), make({0x80, 0x3F}));
  EXPECT_EQ(collect(*range, 0).value(), make({0x80, 0x3F}));  // pages given back are read anew
  range.reset();
  EXPECT_TRUE(watch.expired());
}

TEST_F(FileBytesTest, AreWholeOverManyPages) {
  Bytes bytes((std::size_t{5} << 19) + 7);  // two and a half of the source's chunks, and a bit
  for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<std::byte>(k * 31 + k / 4096);
  std::ofstream(folder_ / "weights", std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto file = std::make_shared<const MappedFile>(MappedFile::open(folder_ / "weights").value());
  const BytesRef range = file_bytes(file, file->bytes().subspan(3));
  for (int time = 0; time < 2; ++time) EXPECT_EQ(collect(*range, 0).value(), Bytes(bytes.begin() + 3, bytes.end()));
}

TEST(ByteSource, ZeroSizeNeedsNothing) {
  EXPECT_TRUE(collect(*owned_bytes({}), 0).value().empty());
  EXPECT_TRUE(collect(*file_bytes(nullptr, {}), 0).value().empty());
  EXPECT_TRUE(collect(*splat_bytes(make({1}), 0).value(), 0).value().empty());
  EXPECT_TRUE(collect(*splat_bytes({}, std::numeric_limits<std::uint64_t>::max()).value(), 0).value().empty());
  EXPECT_TRUE(collect(*cast_f32_to_f16(owned_bytes({})).value(), 0).value().empty());
}

TEST(ByteSource, SplatAtEveryScratchSize) {
  const BytesRef splat = splat_bytes(make({1, 2, 3}), 5).value();
  EXPECT_EQ(splat->size(), 15U);
  for (std::size_t scratch = 0; scratch < 20; ++scratch) {
    EXPECT_EQ(collect(*splat, scratch).value(), make({1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3})) << scratch;
  }
  const auto over = splat_bytes(make({1, 2}), std::numeric_limits<std::uint64_t>::max());
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code(), ErrorCode::kLimitReached);
}

TEST(ByteSource, CastAtEveryChunkAndScratchSize) {
  for (std::size_t chunk = 1; chunk <= 17; ++chunk) {
    const BytesRef cast = cast_f32_to_f16(std::make_shared<const Chunked>(f32s(), chunk, 16)).value();
    EXPECT_EQ(cast->size(), 8U);
    for (std::size_t scratch = 2; scratch < 40; ++scratch) {
      EXPECT_EQ(collect(*cast, scratch).value(), f16s()) << chunk << " " << scratch;
    }
  }
}

TEST(ByteSource, CastRefusesWhatItCannotUse) {
  EXPECT_EQ(cast_f32_to_f16(owned_bytes(make({1, 2, 3}))).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(cast_f32_to_f16(nullptr).error().code(), ErrorCode::kInvalidArgument);
}

Bytes of_floats(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

TEST(ByteSource, CastBoundsMasksAndKeepsSmallValuesOnRequest) {
  const Bytes input = of_floats({-3.4e38F, 1e38F, -std::numeric_limits<float>::infinity(), 1e-10F, -1e-10F, 0.0F});
  // -40000 is 0xF8E2, 40000 is 0x78E2.
  EXPECT_EQ(collect(*cast_f32_to_f16(owned_bytes(input)).value(), 0).value(), make({0xE2, 0xF8, 0xE2, 0x78, 0, 0xFC, 0, 0, 0, 0x80, 0, 0}));
  EXPECT_EQ(collect(*cast_f32_to_f16(owned_bytes(input), {.keeps_nonzero = true}).value(), 0).value(), make({0xE2, 0xF8, 0xE2, 0x78, 0, 0xFC, 1, 0, 1, 0x80, 0, 0}));
  EXPECT_EQ(collect(*cast_f32_to_f16(owned_bytes(input), {.bounds_infinity = true}).value(), 0).value(),
            make({0xE2, 0xF8, 0xE2, 0x78, 0xE2, 0xF8, 0, 0, 0, 0x80, 0, 0}));
}

TEST(ByteSource, CastBackIsExact) {
  EXPECT_EQ(collect(*cast_f16_to_f32(owned_bytes(make({0, 0x3C, 0, 0xC0, 1, 0}))).value(), 0).value(), of_floats({1.0F, -2.0F, 5.9604644775390625e-8F}));
}

TEST(ByteSource, TransposesAMatrixOfAnyElement) {
  const Bytes matrix = make({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(collect(*transpose_2d(owned_bytes(matrix), 2, 3, 1).value(), 0).value(), make({1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(collect(*transpose_2d(owned_bytes(matrix), 3, 1, 2).value(), 0).value(), matrix);
  EXPECT_EQ(transpose_2d(owned_bytes(matrix), 2, 2, 1).error().code(), ErrorCode::kInvalidArgument);
  Bytes wide(40 * 33);
  for (std::size_t k = 0; k < wide.size(); ++k) wide[k] = static_cast<std::byte>(k * 7);
  const BytesRef back = transpose_2d(transpose_2d(owned_bytes(wide), 40, 33, 1).value(), 33, 40, 1).value();
  EXPECT_EQ(collect(*back, 0).value(), wide);
  for (const std::size_t element : {1U, 2U, 3U, 4U, 8U}) {
    constexpr std::size_t kRows = 19, kColumns = 35;  // over a block, and not whole blocks
    Bytes source(kRows * kColumns * element), expected(source.size());
    for (std::size_t k = 0; k < source.size(); ++k) source[k] = static_cast<std::byte>(k * 31 + k / 256);
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t column = 0; column < kColumns; ++column) {
        std::copy_n(source.begin() + static_cast<std::ptrdiff_t>((row * kColumns + column) * element), element,
                    expected.begin() + static_cast<std::ptrdiff_t>((column * kRows + row) * element));
      }
    }
    EXPECT_EQ(collect(*transpose_2d(owned_bytes(source), kRows, kColumns, element).value(), 0).value(), expected) << element;
  }
}

TEST(ByteSource, QuantizesEachSliceWithItsScaleHalfToEven) {
  // Two slices of three elements: scales 1 and 2.
  const Bytes input = of_floats({0.5F, 1.5F, -200.0F, 3.0F, -5.0F, 254.0F});
  const BytesRef codes = quantize_i8(owned_bytes(input), {1.0F, 2.0F}, 3).value();
  EXPECT_EQ(collect(*codes, 0).value(), make({0, 2, 0x81, 2, 0xFE, 127}));
  EXPECT_EQ(collect(*dequantize_i8(codes, {1.0F, 2.0F}, 3).value(), 0).value(), of_floats({0.0F, 2.0F, -127.0F, 4.0F, -4.0F, 254.0F}));
}

/// Every code, what lies half way between two, the floats next to that, and far outside: as nearbyint and clamp have it.
TEST(ByteSource, CodesAreRoundedAsNearbyintDoes) {
  std::vector<float> values{0.0F, -0.0F, 1e30F, -1e30F, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for (int halves = -300; halves <= 300; ++halves) {
    const float value = 0.5F * static_cast<float>(halves);
    values.insert(values.end(), {value, std::nextafter(value, 1e9F), std::nextafter(value, -1e9F)});
  }
  for (const float scale : {1.0F, 0.37F, 6.1e-5F}) {
    for (const std::uint64_t inner : {std::uint64_t{1}, std::uint64_t{values.size()}}) {
      std::vector<float> scaled;
      Bytes expected;
      for (const float value : values) {
        scaled.push_back(value * scale);
        const float code = std::clamp(std::nearbyint(scaled.back() / scale), -127.0F, 127.0F);
        expected.push_back(static_cast<std::byte>(static_cast<std::int8_t>(code)));
      }
      const auto bytes = std::as_bytes(std::span(scaled));
      EXPECT_EQ(collect(*quantize_i8(owned_bytes({bytes.begin(), bytes.end()}), {scale}, inner).value(), 0).value(), expected);
    }
  }
}

TEST(ByteSource, ElementsComeWholeFromAnyChunks) {
  for (std::size_t chunk = 1; chunk <= 17; ++chunk) {
    std::vector<float> seen;
    const Chunked source(of_floats({1.0F, 2.0F, 3.0F, 4.0F}), chunk, 16);
    const Status status = stream_elements<float>(source, {}, [&](std::span<const float> elements) {
      seen.insert(seen.end(), elements.begin(), elements.end());
      return Status();
    });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(seen, (std::vector<float>{1.0F, 2.0F, 3.0F, 4.0F})) << chunk;
  }
}

TEST(ByteSource, SinkErrorEndsTheStream) {
  const std::vector<BytesRef> sources{owned_bytes(f32s()), file_bytes(nullptr, {}),
                                      splat_bytes(make({1}), 9).value(),
                                      cast_f32_to_f16(owned_bytes(f32s())).value()};
  for (const BytesRef& source : sources) {
    if (source->size() == 0) continue;
    int calls = 0;
    Bytes scratch(2);
    const Status status = source->stream(scratch, [&](std::span<const std::byte>) -> Status {
      ++calls;
      return Error(ErrorCode::kWriteFailed, "disk full");
    });
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kWriteFailed);
    EXPECT_EQ(calls, 1);
  }
}

}  // namespace
}  // namespace smelt
