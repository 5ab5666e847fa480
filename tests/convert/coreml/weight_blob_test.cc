#include "convert/coreml/weight_blob.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace smelt::coreml_format {
namespace {

std::span<const std::byte> view(const std::string& text) { return std::as_bytes(std::span(text)); }

/// `size` bytes of the letter x, in chunks of `step`.
class Letters final : public ByteSource {
 public:
  Letters(std::size_t size, std::size_t step) : size_(size), step_(step) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] Status stream(std::span<std::byte> /*scratch*/, const ByteSource::Sink& sink) const override {
    const std::string letters(size_, 'x');
    for (std::size_t at = 0; at < size_; at += step_) SMELT_RETURN_IF_ERROR(sink(view(letters).subspan(at, std::min(step_, size_ - at))));
    return {};
  }

 private:
  std::size_t size_, step_;
};

/// The file of a layout whose blobs get `sizes` letters, in pieces of `step`; the last blob first if `backwards`.
Result<std::string> written(const BlobLayout& layout, const std::vector<std::size_t>& sizes, std::size_t step, bool backwards = false) {
  std::string file(layout.file_size(), '\0');
  const BlobWriter writer(layout, [&file](std::uint64_t offset, std::span<const std::byte> bytes) -> Status {
    EXPECT_LE(offset + bytes.size(), file.size());
    std::memcpy(file.data() + offset, bytes.data(), bytes.size());
    return {};
  });
  SMELT_RETURN_IF_ERROR(writer.start());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t k = backwards ? sizes.size() - 1 - i : i;
    SMELT_RETURN_IF_ERROR(writer.write(k, Letters(sizes[k], step), {}));
  }
  return file;
}

BlobLayout two_blobs() {  // 5 halves, 9 values of 3 bits
  BlobLayout layout;
  EXPECT_EQ(*layout.add(BlobDataType::kFloat16, 5), 64U);
  EXPECT_EQ(*layout.add(BlobDataType::kUInt3, 9), 192U);
  return layout;
}
const std::vector<std::size_t> kTwoSizes{10, 4};

// The format note's example: header + one blob of 96 bytes = 224 bytes.
TEST(WeightBlob, OneBlobOf96BytesMakes224) {
  BlobLayout layout;
  ASSERT_TRUE(layout.add(BlobDataType::kFloat32, 24).ok());
  EXPECT_EQ(layout.file_size(), 224U);
}

TEST(WeightBlob, ExactBytesWhateverThePiecesAndTheOrder) {
  std::string golden = std::string("\x02\0\0\0\x02\0\0\0", 8) + std::string(56, '\0');
  golden += std::string("\xef\xbe\xad\xde\x01\0\0\0\x0a\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0", 24) + std::string(40, '\0');
  golden += "xxxxxxxxxx" + std::string(54, '\0');
  golden += std::string("\xef\xbe\xad\xde\x0c\0\0\0\x04\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x05", 25) + std::string(39, '\0');
  golden += "xxxx";
  for (const std::size_t step : {1U, 3U, 14U}) {
    for (const bool backwards : {false, true}) {
      const Result<std::string> file = written(two_blobs(), kTwoSizes, step, backwards);
      ASSERT_TRUE(file.ok());
      EXPECT_EQ(*file, golden) << step;
    }
  }
}

TEST(WeightBlob, WhatWasWrittenReadsBackEqual) {
  const BlobLayout layout = two_blobs();
  const Result<std::string> file = written(layout, kTwoSizes, 5);
  ASSERT_TRUE(file.ok());
  const auto records = list_records(view(*file));
  ASSERT_TRUE(records.ok()) << records.error().to_string();
  ASSERT_EQ(records->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const BlobRecord &got = (*records)[i], &want = layout.records()[i];
    EXPECT_EQ(got.type, want.type);
    EXPECT_EQ(got.metadata_offset, want.metadata_offset);
    EXPECT_EQ(got.data_offset, want.data_offset);
    EXPECT_EQ(got.size, want.size);
    EXPECT_EQ(got.padding_bits, want.padding_bits);
  }
}

TEST(WeightBlob, TooMuchOrTooLittleDataIsNeverAFile) {
  const std::vector<std::vector<std::size_t>> wrong{{10, 3}, {10, 5}, {8, 4}, {14, 4}, {10, 0}};
  for (const auto& sizes : wrong) {
    const Result<std::string> file = written(two_blobs(), sizes, 4);
    ASSERT_FALSE(file.ok()) << sizes.size();
    EXPECT_EQ(file.error().code(), ErrorCode::kInternal);
  }
  EXPECT_TRUE(written(BlobLayout(), {}, 1).ok());
  BlobLayout layout;
  EXPECT_EQ(layout.add(BlobDataType::kInt8, 0).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(layout.add(BlobDataType::kInt8, ~0ULL).error().code(), ErrorCode::kLimitReached);
}

TEST(WeightBlob, AnErrorOfTheSinkComesBack) {
  const BlobLayout layout = two_blobs();
  for (int failing = 0; failing < 5; ++failing) {  // header, record, data, record, data
    int call = 0;
    const BlobWriter writer(layout, [&](std::uint64_t, std::span<const std::byte>) -> Status {
      if (call++ == failing) return Error(ErrorCode::kWriteFailed, "disk full");
      return {};
    });
    std::vector<Status> results{writer.start()};
    for (std::size_t k = 0; k < kTwoSizes.size(); ++k) results.push_back(writer.write(k, Letters(kTwoSizes[k], 16), {}));
    EXPECT_EQ(std::ranges::count_if(results, [](const Status& status) { return !status.ok(); }), 1) << failing;
    for (const Status& status : results) {
      EXPECT_TRUE(status.ok() || status.error().code() == ErrorCode::kWriteFailed) << failing;
    }
  }
}

TEST(WeightBlob, EveryPrefixIsRefused) {
  const std::string file = *written(two_blobs(), kTwoSizes, 14);
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(list_records(view(file.substr(0, size))).ok()) << size;
  }
}

TEST(WeightBlob, EachDamageHasItsCode) {
  const std::string good = *written(two_blobs(), kTwoSizes, 14);
  struct Damage {
    std::size_t at;
    char byte;
    ErrorCode code;
  };
  const Damage damages[] = {
      {4, 3, ErrorCode::kMalformedInput},       // version
      {64, 0, ErrorCode::kMalformedInput},      // sentinel
      {68, 99, ErrorCode::kMalformedInput},     // type
      {72, 9, ErrorCode::kMalformedInput},      // 9 bytes of halves
      {72, 0, ErrorCode::kMalformedInput},      // no data
      {79, '\x7f', ErrorCode::kTruncatedInput},  // 2^62 bytes
      {87, '\x7f', ErrorCode::kMalformedInput},  // data offset
      {216, 6, ErrorCode::kMalformedInput},     // 26 bits of 3-bit values
      {0, 3, ErrorCode::kTruncatedInput},       // a third blob
  };
  for (const Damage& damage : damages) {
    std::string file = good;
    file[damage.at] = damage.byte;
    const auto records = list_records(view(file));
    ASSERT_FALSE(records.ok()) << damage.at;
    EXPECT_EQ(records.error().code(), damage.code) << damage.at << ": " << records.error().to_string();
  }
  EXPECT_EQ(read_record(view(good), 0).error().code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(read_record(view(good), 65).error().code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(read_record(view(good), ~63ULL).error().code(), ErrorCode::kTruncatedInput);
}

}  // namespace
}  // namespace smelt::coreml_format
