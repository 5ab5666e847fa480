#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "smelt/result.h"

namespace smelt {

/// A file that appears whole or not at all: bytes go to a temporary beside the target, `commit` renames it into place.
/// An object that goes away without `commit` leaves nothing behind. Move-only.
class OutputFile {
 public:
  enum class IfExists { kFail, kReplace };

  /// `kOutputExists` when the target is there and must not be replaced; `kWriteFailed` when the folder cannot be written.
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& target, IfExists if_exists);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  [[nodiscard]] Status write(std::span<const std::byte> bytes);

  /// Flushes to the disk and renames. Under `kFail` a target that appeared meanwhile is `kOutputExists`, never overwritten.
  [[nodiscard]] Status commit();

 private:
  OutputFile(std::filesystem::path target, std::filesystem::path temporary, int fd, IfExists if_exists);

  std::filesystem::path target_;
  std::filesystem::path temporary_;  ///< empty when there is nothing to remove
  int fd_ = -1;
  IfExists if_exists_;
};

}  // namespace smelt
