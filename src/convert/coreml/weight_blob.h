#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "smelt/result.h"
#include "tensor/byte_source.h"

/// Core ML's weights/weight.bin: MIL blob storage, version 2. Little-endian; a 64-byte header, then for each blob a 64-byte
/// record at a multiple of 64, directly followed by its data. The last blob is not padded.
namespace smelt::coreml_format {

/// Element types of blobs. The numbers are the file's own, not those of MIL's DataType.
enum class BlobDataType : std::uint32_t {
  kFloat16 = 1, kFloat32 = 2, kUInt8 = 3, kInt8 = 4, kBFloat16 = 5, kInt16 = 6, kUInt16 = 7, kInt4 = 8, kUInt1 = 9,
  kUInt2 = 10, kUInt4 = 11, kUInt3 = 12, kUInt6 = 13, kInt32 = 14, kUInt32 = 15, kFloat8E4M3FN = 16, kFloat8E5M2 = 17,
};

/// Bits of one element, 1 to 32. Sub-byte elements form one bit stream, least significant bits first.
[[nodiscard]] std::uint64_t bits_of(BlobDataType type);

struct BlobRecord {
  BlobDataType type = BlobDataType::kFloat32;
  std::uint64_t metadata_offset = 0;  ///< what a MIL BlobFileValue refers to; a multiple of 64
  std::uint64_t data_offset = 0;      ///< metadata_offset + 64
  std::uint64_t size = 0;             ///< bytes of data, without padding to the next record
  std::uint64_t padding_bits = 0;     ///< unused high bits of the last byte, 0 to 7
};

/// Every offset of a file, known before a byte is written.
class BlobLayout {
 public:
  /// Appends a blob and returns its record's offset. `kInvalidArgument` for no elements (a blob cannot be empty: such a
  /// tensor is written inline), `kLimitReached` when the size does not fit.
  [[nodiscard]] Result<std::uint64_t> add(BlobDataType type, std::uint64_t element_count);

  [[nodiscard]] const std::vector<BlobRecord>& records() const { return records_; }
  [[nodiscard]] std::uint64_t file_size() const;

 private:
  std::vector<BlobRecord> records_;
};

/// Puts bytes at a place of a file; from several threads at once.
using SinkAt = std::function<Status(std::uint64_t offset, std::span<const std::byte>)>;

/// Writes the file of a layout, each blob to its planned place: in any order, also several at a time. What lies between them is left to
/// be zeros. The methods may be called from several threads.
class BlobWriter {
 public:
  BlobWriter(const BlobLayout& layout, SinkAt sink) : layout_(layout), sink_(std::move(sink)) {}

  /// The header.
  [[nodiscard]] Status start() const;
  /// Blob `k`: its record, and `data` streamed. `kInternal` unless that is exactly the planned number of bytes, so that no blob can
  /// reach into another.
  [[nodiscard]] Status write(std::size_t k, const ByteSource& data, std::span<std::byte> scratch) const;

 private:
  const BlobLayout& layout_;
  SinkAt sink_;
};

/// The record at `metadata_offset`, checked: version, sentinel, a known type, data inside the file and right behind the
/// record, not empty, and padding that fits the type. Reserved words are ignored, as older writers left garbage in them.
[[nodiscard]] Result<BlobRecord> read_record(std::span<const std::byte> file, std::uint64_t metadata_offset);

/// All records, walking from offset 64 as many times as the header counts.
[[nodiscard]] Result<std::vector<BlobRecord>> list_records(std::span<const std::byte> file);

}  // namespace smelt::coreml_format
