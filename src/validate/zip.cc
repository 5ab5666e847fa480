#include "validate/zip.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#define ZLIB_CONST
#include <zlib.h>

#include "validate/bytes.h"

namespace smelt::parity {
namespace {

constexpr std::uint64_t kZip64EndSignature = 0x06064b50;
constexpr std::uint64_t kZip64LocatorSignature = 0x07064b50;
constexpr std::uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kZip64EndSize = 56, kZip64LocatorSize = 20;
constexpr std::uint64_t kMaxComment = 65535;
constexpr std::uint64_t kSupportedFlags = 0x080e;  // deflate's level (1, 2), a data descriptor (3), UTF-8 names (11)
constexpr std::uint64_t kMaxDeflateRatio = 1032;   // 258 bytes out of 2 bits

/// The 64-bit values of the extra field 1, for those that do not fit in 32 bits. False when it lacks one or is cut short.
bool read_zip64(Bytes extra, ZipEntry& entry) {
  while (extra.size() >= 4) {
    const std::uint64_t id = number_at(extra, 0, 2), size = number_at(extra, 2, 2);
    extra = extra.subspan(4);
    if (size > extra.size()) return false;
    if (id == 1) {
      Bytes field = extra.first(size);
      for (std::uint64_t* const value : {&entry.unpacked, &entry.packed, &entry.local_offset}) {
        if (*value != kIn64) continue;
        if (field.size() < 8) return false;
        *value = number_at(field, 0, 8);
        field = field.subspan(8);
      }
      return true;
    }
    extra = extra.subspan(size);
  }
  return true;
}

struct Inflater {
  Inflater() { SMELT_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
};

}  // namespace

Result<std::vector<ZipEntry>> Zip::entries(std::uint64_t max_entries) {
  SMELT_RETURN_IF_ERROR(find_directory());
  if (count_ > max_entries) {
    return error(ErrorCode::kLimitReached, begin_, fmt::format("the archive has {} entries, the limit is {}", count_, max_entries));
  }
  std::vector<ZipEntry> entries;
  std::uint64_t at = begin_;
  for (std::uint64_t i = 0; i < count_; ++i) {
    ZipEntry entry;
    SMELT_RETURN_IF_ERROR(central(at, entry));
    entries.push_back(std::move(entry));
  }
  if (at != end_) {
    return error(ErrorCode::kMalformedInput, at, fmt::format("the directory has {} bytes after its last entry", end_ - at));
  }
  return entries;
}

Result<Bytes> Zip::packed(const ZipEntry& entry) const {
  const std::uint64_t at = entry.local_offset;
  if (at > begin_ || begin_ - at < kLocalSize) {
    return error(ErrorCode::kTruncatedInput, entry.offset, fmt::format("an entry begins at byte {}, the directory at {}", at, begin_));
  }
  const std::uint64_t name_size = number_at(bytes_, at + 26, 2);
  const std::uint64_t skip = kLocalSize + name_size + number_at(bytes_, at + 28, 2);  // what local fields say is not used
  const std::uint64_t room = begin_ - at;
  if (number_at(bytes_, at, 4) != kLocalSignature || number_at(bytes_, at + 8, 2) != entry.method || skip > room ||
      text_of(bytes_.subspan(at + kLocalSize, name_size)) != entry.name) {
    return error(ErrorCode::kMalformedInput, at, "an entry and its record in the directory disagree");
  }
  if (entry.packed > room - skip) {
    return error(ErrorCode::kTruncatedInput, at, fmt::format("an entry needs {} bytes, {} remain", entry.packed, room - skip));
  }
  return bytes_.subspan(at + skip, entry.packed);
}

Error Zip::error(ErrorCode code, std::uint64_t offset, std::string message) const {
  return error_at(file_, code, offset, std::move(message));
}

/// The offset of the end record, which only a comment may follow.
Result<std::uint64_t> Zip::find_end() const {
  const std::string_view start = text_of(bytes_.first(std::min<std::size_t>(4, bytes_.size())));
  if (!std::string_view("PK\x03\x04").starts_with(start) && !std::string_view("PK\x05\x06").starts_with(start)) {
    return Error(ErrorCode::kNotThisFormat, "the file is not a zip archive, which an .npz is").at({.file = file_});
  }
  for (std::uint64_t back = 0; back <= kMaxComment && kEndSize + back <= bytes_.size(); ++back) {
    const std::uint64_t at = bytes_.size() - kEndSize - back;
    if (number_at(bytes_, at, 4) == kEndSignature && number_at(bytes_, at + 20, 2) == back) return at;
  }
  return error(ErrorCode::kTruncatedInput, bytes_.size(), "the archive has no end record")
      .hint("the file may be a partial download; compare its size with the publisher's");
}

Status Zip::find_directory() {
  SMELT_ASSIGN_OR_RETURN(std::uint64_t end, find_end());
  const std::uint64_t disks = number_at(bytes_, end + 4, 4);
  const std::uint64_t here = number_at(bytes_, end + 8, 2);
  count_ = number_at(bytes_, end + 10, 2);
  std::uint64_t size = number_at(bytes_, end + 12, 4);
  begin_ = number_at(bytes_, end + 16, 4);
  if (disks != 0 || here != count_) return error(ErrorCode::kUnsupported, end, "the archive is split over several files");
  if ((count_ == 0xffff || size == kIn64 || begin_ == kIn64) && end >= kZip64LocatorSize &&
      number_at(bytes_, end - kZip64LocatorSize, 4) == kZip64LocatorSignature) {
    const std::uint64_t locator = end - kZip64LocatorSize;
    end = number_at(bytes_, locator + 8, 8);
    if (end > locator || locator - end < kZip64EndSize || number_at(bytes_, end, 4) != kZip64EndSignature) {
      return error(ErrorCode::kMalformedInput, locator, "the zip64 end record is not where its locator says");
    }
    count_ = number_at(bytes_, end + 32, 8);
    size = number_at(bytes_, end + 40, 8);
    begin_ = number_at(bytes_, end + 48, 8);
  }
  if (begin_ > end || size > end - begin_ || count_ > size / kCentralSize) {
    return error(ErrorCode::kMalformedInput, end,
                 fmt::format("a directory of {} entries in {} bytes at byte {} has no place before its end record", count_, size, begin_));
  }
  end_ = begin_ + size;
  return {};
}

/// Reads the directory record at `at` and advances.
Status Zip::central(std::uint64_t& at, ZipEntry& entry) const {
  const Bytes rest = bytes_.subspan(at, end_ - at);
  if (rest.size() < kCentralSize || number_at(rest, 0, 4) != kCentralSignature) {
    return error(ErrorCode::kMalformedInput, at, "the directory has something else where an entry should be");
  }
  entry.offset = at;
  entry.flags = number_at(rest, 8, 2);
  entry.method = number_at(rest, 10, 2);
  entry.crc = number_at(rest, 16, 4);
  entry.packed = number_at(rest, 20, 4);
  entry.unpacked = number_at(rest, 24, 4);
  const std::uint64_t name_size = number_at(rest, 28, 2), extra_size = number_at(rest, 30, 2);
  const std::uint64_t size = kCentralSize + name_size + extra_size + number_at(rest, 32, 2);
  entry.local_offset = number_at(rest, 42, 4);
  if (size > rest.size()) {
    return error(ErrorCode::kTruncatedInput, at, fmt::format("a directory entry needs {} bytes, {} remain", size, rest.size()));
  }
  entry.name = text_of(rest.subspan(kCentralSize, name_size));
  if (!read_zip64(rest.subspan(kCentralSize + name_size, extra_size), entry)) {
    return error(ErrorCode::kMalformedInput, at, "the extra fields of an entry are cut short");
  }
  if ((entry.flags & ~kSupportedFlags) != 0 || (entry.method != kStored && entry.method != kDeflated)) {
    return error(ErrorCode::kUnsupported, at,
                 fmt::format("an entry has method {} and flags {:#x}, known are stored and deflated ones, not encrypted",
                             entry.method, entry.flags));
  }
  at += size;
  return {};
}

Result<std::vector<std::byte>> inflate_all(Bytes packed, std::uint64_t unpacked, const std::string& file) {
  const auto malformed = [&](std::string_view what) {
    return Error(ErrorCode::kMalformedInput, fmt::format("{} packed bytes should give {}: {}", packed.size(), unpacked, what))
        .at({.file = file});
  };
  if (unpacked / kMaxDeflateRatio > packed.size()) return malformed("no deflate stream expands so much");
  constexpr std::size_t kPiece = std::size_t{1} << 30;  // zlib counts in 32 bits
  std::vector<std::byte> out(unpacked + 1);             // room for one too many, so that it shows
  std::size_t in_left = packed.size(), out_left = out.size();
  Inflater inflater;
  z_stream& stream = inflater.stream;
  stream.next_in = reinterpret_cast<const Bytef*>(packed.data());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  for (int code = Z_OK; code != Z_STREAM_END;) {
    stream.avail_in = static_cast<uInt>(std::min(in_left, kPiece));
    stream.avail_out = static_cast<uInt>(std::min(out_left, kPiece));
    const uInt in_given = stream.avail_in, out_given = stream.avail_out;
    code = inflate(&stream, Z_NO_FLUSH);
    in_left -= in_given - stream.avail_in;
    out_left -= out_given - stream.avail_out;
    if (out_left == 0) return malformed("there is more");
    if (code == Z_BUF_ERROR) return Error(ErrorCode::kTruncatedInput, "a packed array is cut short").at({.file = file});
    if (code != Z_OK && code != Z_STREAM_END) return malformed(stream.msg != nullptr ? stream.msg : "the stream is damaged");
  }
  if (in_left != 0) return malformed("something follows the packed array");
  if (out_left != 1) return malformed(fmt::format("there are {}", out.size() - out_left));
  out.pop_back();
  return out;
}

}  // namespace smelt::parity
