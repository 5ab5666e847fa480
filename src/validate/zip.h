#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"

/// The part of zip archives (PKWARE APPNOTE 6.3.10) that .npz files need.
namespace smelt::parity {

constexpr std::uint64_t kLocalSignature = 0x04034b50;
constexpr std::uint64_t kCentralSignature = 0x02014b50;
constexpr std::uint64_t kEndSignature = 0x06054b50;
constexpr std::uint64_t kIn64 = 0xffffffff;  ///< the value is in the zip64 extra field
constexpr std::uint64_t kStored = 0, kDeflated = 8;

struct ZipEntry {
  std::string name;
  std::uint64_t offset = 0;  ///< of its record in the directory, for messages
  std::uint64_t flags = 0, method = 0, crc = 0, packed = 0, unpacked = 0, local_offset = 0;
};

/// An archive in memory, read by its directory.
class Zip {
 public:
  /// `bytes` and `file`, for messages, outlive the object.
  Zip(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  /// Every entry, in the directory's order.
  [[nodiscard]] Result<std::vector<ZipEntry>> entries(std::uint64_t max_entries);

  /// The packed bytes of an entry. Only after `entries`.
  [[nodiscard]] Result<std::span<const std::byte>> packed(const ZipEntry& entry) const;

 private:
  [[nodiscard]] Error error(ErrorCode code, std::uint64_t offset, std::string message) const;
  [[nodiscard]] Result<std::uint64_t> find_end() const;
  Status find_directory();
  Status central(std::uint64_t& at, ZipEntry& entry) const;

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::uint64_t begin_ = 0, end_ = 0, count_ = 0;  ///< the directory
};

/// `unpacked` bytes out of all of `packed`, a raw deflate stream.
[[nodiscard]] Result<std::vector<std::byte>> inflate_all(std::span<const std::byte> packed, std::uint64_t unpacked,
                                                         const std::string& file);

}  // namespace smelt::parity
