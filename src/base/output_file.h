#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/temporary.h"
#include "smelt/result.h"

namespace smelt {

/// A file that appears whole or not at all: bytes go to a temporary beside the target, `commit` renames it into place.
/// An object that goes away without `commit` leaves nothing behind; what a run that was killed left, the next one removes. Move-only.
class OutputFile {
 public:
  enum class IfExists { kFail, kReplace };

  /// `kOutputExists` when the target is there and must not be replaced; `kWriteFailed` when the folder cannot be written.
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& target, IfExists if_exists);

  [[nodiscard]] Status write(std::span<const std::byte> bytes);

  /// Flushes to the disk and renames. Under `kFail` a target that appeared meanwhile is `kOutputExists`, never overwritten.
  [[nodiscard]] Status commit();

 private:
  OutputFile(std::filesystem::path target, Temporary temporary, IfExists if_exists);

  std::filesystem::path target_;
  Temporary temporary_;
  IfExists if_exists_;
};

}  // namespace smelt
