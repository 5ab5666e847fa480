#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "smelt/result.h"

namespace smelt {

/// A regular file mapped read-only and privately. Move-only; the bytes live as long as the object.
class MappedFile {
 public:
  /// `kReadFailed` when the path is missing, unreadable, or a folder, pipe, socket or device (a pipe does not hang).
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);

  /// `path` below `folder`, both without links when they were looked at. No link is followed, so that one which was put there
  /// meanwhile leads nowhere: `kUnsafePath`.
  [[nodiscard]] static Result<MappedFile> open_inside(const std::filesystem::path& folder, const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Empty for an empty file.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// Gives the pages of the whole file back to the system; reading again maps them anew. Never fails: it is advice.
  void release_pages() const;
  /// The same for the pages that lie wholly inside a range.
  void release_pages(std::span<const std::byte> range) const;

 private:
  static Result<MappedFile> map(int fd, const std::filesystem::path& path);
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace smelt
