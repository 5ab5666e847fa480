#include "convert/coreml/weight_blob.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace smelt::coreml_format {
namespace {

constexpr std::uint64_t kAlignment = 64;  // of records; also the size of the header and of a record
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kSentinel = 0xdeadbeef;

using Block = std::array<std::byte, kAlignment>;

// Index: BlobDataType.
constexpr std::array<std::uint8_t, 18> kBits{0, 16, 32, 8, 8, 16, 16, 16, 4, 1, 2, 4, 3, 6, 32, 32, 8, 8};

constexpr std::uint64_t align_up(std::uint64_t value) { return (value + kAlignment - 1) / kAlignment * kAlignment; }

void store(Block& block, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) block[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
}

std::uint64_t load(std::span<const std::byte> bytes, std::uint64_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(at) + i]) << (8 * i);
  }
  return value;
}

Error bad(ErrorCode code, std::uint64_t offset, std::string message) {
  return Error(code, std::move(message)).at({.file = "weight.bin", .byte_offset = offset});
}

/// The number of blobs that a valid header states.
Result<std::uint64_t> read_header(std::span<const std::byte> file) {
  if (file.size() < kAlignment) {
    return bad(ErrorCode::kTruncatedInput, 0, fmt::format("the header needs 64 bytes, the file has {}", file.size()));
  }
  if (const std::uint64_t version = load(file, 4, 4); version != kVersion) {
    return bad(ErrorCode::kMalformedInput, 4, fmt::format("blob storage version {}, not {}", version, kVersion));
  }
  return load(file, 0, 4);
}

}  // namespace

std::uint64_t bits_of(BlobDataType type) { return kBits.at(static_cast<std::size_t>(type)); }

Result<std::uint64_t> BlobLayout::add(BlobDataType type, std::uint64_t element_count) {
  if (element_count == 0) return Error(ErrorCode::kInvalidArgument, "a blob cannot be empty");
  // 2^50 elements of 32 bits, and files up to 2^62 bytes, leave room in every sum below.
  constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 50;
  constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 62;
  if (element_count > kMaxElements || file_size() > kMaxFile || records_.size() == std::numeric_limits<std::uint32_t>::max()) {
    return Error(ErrorCode::kLimitReached, "the weight file is over its limits");
  }
  const std::uint64_t bits = element_count * bits_of(type);
  const std::uint64_t size = (bits + 7) / 8;
  const std::uint64_t offset = align_up(file_size());
  records_.push_back({.type = type,
                      .metadata_offset = offset,
                      .data_offset = offset + kAlignment,
                      .size = size,
                      .padding_bits = size * 8 - bits});
  return offset;
}

std::uint64_t BlobLayout::file_size() const {
  return records_.empty() ? kAlignment : records_.back().data_offset + records_.back().size;
}

Status BlobWriter::start() const {
  Block header{};
  store(header, 0, layout_.records().size(), 4);
  store(header, 4, kVersion, 4);
  return sink_(0, header);
}

Status BlobWriter::write(std::size_t k, const ByteSource& data, std::span<std::byte> scratch) const {
  SMELT_CHECK(k < layout_.records().size());
  const BlobRecord& record = layout_.records()[k];
  Block block{};
  store(block, 0, kSentinel, 4);
  store(block, 4, static_cast<std::uint32_t>(record.type), 4);
  store(block, 8, record.size, 8);
  store(block, 16, record.data_offset, 8);
  store(block, 24, record.padding_bits, 8);
  SMELT_RETURN_IF_ERROR(sink_(record.metadata_offset, block));
  std::uint64_t written = 0;
  const auto place = [&](std::span<const std::byte> chunk) -> Status {
    if (chunk.size() > record.size - written) {
      return Error(ErrorCode::kInternal, fmt::format("blob {} has room for {} bytes, {} were given", k, record.size, written + chunk.size()));
    }
    SMELT_RETURN_IF_ERROR(sink_(record.data_offset + written, chunk));
    written += chunk.size();
    return {};
  };
  SMELT_RETURN_IF_ERROR(data.stream(scratch, place));
  if (written != record.size) return Error(ErrorCode::kInternal, fmt::format("blob {} lacks {} bytes", k, record.size - written));
  return {};
}

namespace {

/// The record at `metadata_offset` of a file whose header was read.
Result<BlobRecord> record_at(std::span<const std::byte> file, std::uint64_t metadata_offset) {
  if (metadata_offset % kAlignment != 0 || metadata_offset == 0) {
    return bad(ErrorCode::kMalformedInput, metadata_offset, "a blob record must stand at a multiple of 64, after the header");
  }
  if (metadata_offset > file.size() || file.size() - metadata_offset < kAlignment) {
    return bad(ErrorCode::kTruncatedInput, metadata_offset,
               fmt::format("a blob record needs 64 bytes, the file has {} in all", file.size()));
  }
  const std::uint64_t type = load(file, metadata_offset + 4, 4);
  if (load(file, metadata_offset, 4) != kSentinel) {
    return bad(ErrorCode::kMalformedInput, metadata_offset, "no blob record stands here: its sentinel is missing");
  }
  if (type == 0 || type >= kBits.size()) {
    return bad(ErrorCode::kMalformedInput, metadata_offset + 4, fmt::format("unknown blob data type {}", type));
  }
  BlobRecord record{.type = static_cast<BlobDataType>(type),
                    .metadata_offset = metadata_offset,
                    .data_offset = load(file, metadata_offset + 16, 8),
                    .size = load(file, metadata_offset + 8, 8),
                    .padding_bits = 0};
  if (record.data_offset != metadata_offset + kAlignment) {
    return bad(ErrorCode::kMalformedInput, metadata_offset + 16,
               fmt::format("data offset {} is not right behind the record", record.data_offset));
  }
  const std::uint64_t left = file.size() - record.data_offset;
  if (record.size > left) {
    return bad(ErrorCode::kTruncatedInput, metadata_offset + 8,
               fmt::format("a blob needs {} bytes, {} remain", record.size, left))
        .hint("the package may be a partial copy");
  }
  const std::uint64_t bits = bits_of(record.type);
  if (record.size == 0 || (bits > 8 && record.size % (bits / 8) != 0)) {
    return bad(ErrorCode::kMalformedInput, metadata_offset + 8,
               fmt::format("{} bytes hold no whole number of {}-bit elements", record.size, bits));
  }
  if (bits < 8) {  // whole-byte types leave garbage here in files of older writers
    record.padding_bits = load(file, metadata_offset + 24, 8);
    if (record.padding_bits > 7 || (record.size * 8 - record.padding_bits) % bits != 0) {
      return bad(ErrorCode::kMalformedInput, metadata_offset + 24,
                 fmt::format("{} padding bits do not fit {}-bit elements", record.padding_bits, bits));
    }
  }
  return record;
}

}  // namespace

Result<BlobRecord> read_record(std::span<const std::byte> file, std::uint64_t metadata_offset) {
  if (const Result<std::uint64_t> count = read_header(file); !count.ok()) return count.error();
  return record_at(file, metadata_offset);
}

Result<std::vector<BlobRecord>> list_records(std::span<const std::byte> file) {
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t count, read_header(file));
  std::vector<BlobRecord> records;
  std::uint64_t offset = kAlignment;
  for (std::uint64_t i = 0; i < count; ++i) {
    SMELT_ASSIGN_OR_RETURN(const BlobRecord record, record_at(file, offset));
    records.push_back(record);
    offset = align_up(record.data_offset + record.size);
  }
  return records;
}

}  // namespace smelt::coreml_format
