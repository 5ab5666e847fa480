#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "smelt/result.h"

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

using Sink = std::function<Status(std::span<const std::byte>)>;

/// Gives a layout's file to a sink in order: header, then for each blob its record and the data that `append` is given.
class BlobWriter {
 public:
  BlobWriter(BlobLayout layout, Sink sink) : layout_(std::move(layout)), sink_(std::move(sink)) {}

  /// The next bytes of the current blob, in pieces of any size. More than the layout planned for it is `kInternal`.
  [[nodiscard]] Status append(std::span<const std::byte> data);

  /// Ends the current blob. `kInternal` unless exactly its planned bytes were appended, so that no blob can shift another.
  [[nodiscard]] Status end_blob();

  /// Ends the file. `kInternal` unless every blob was ended. Any earlier error, the sink's too, is returned again by every
  /// later call: a file that went wrong is never completed.
  [[nodiscard]] Status finish();

 private:
  [[nodiscard]] Status give(std::span<const std::byte> bytes);  ///< to the sink
  [[nodiscard]] Status start();                                 ///< the header, once
  [[nodiscard]] Status open_blob();                             ///< the gap and the record of blob `current_`, once
  [[nodiscard]] Status fail(Status status);                     ///< remembers the first error

  BlobLayout layout_;
  Sink sink_;
  Status status_;                ///< the first error
  std::size_t current_ = 0;      ///< blob being filled
  bool is_open_ = false;         ///< whether its record was given
  std::uint64_t left_ = 0;       ///< bytes of it still to come, while open
  std::uint64_t position_ = 0;   ///< bytes given to the sink
};

/// The record at `metadata_offset`, checked: version, sentinel, a known type, data inside the file and right behind the
/// record, not empty, and padding that fits the type. Reserved words are ignored, as older writers left garbage in them.
[[nodiscard]] Result<BlobRecord> read_record(std::span<const std::byte> file, std::uint64_t metadata_offset);

/// All records, walking from offset 64 as many times as the header counts.
[[nodiscard]] Result<std::vector<BlobRecord>> list_records(std::span<const std::byte> file);

}  // namespace smelt::coreml_format
