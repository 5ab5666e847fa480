#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "ir/graph.h"

/// The entry that libFuzzer, or replay.cc, calls: a reader on any bytes. It ends the process where a promise is broken.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace smelt::fuzz {

/// A folder of this process in $TMPDIR, removed at the end, for readers that take files.
class ScratchFolder {
 public:
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Writes a file, and the folders above it. The same path may be written again.
  void write(const std::filesystem::path& relative, std::span<const std::byte> bytes) const;

 private:
  std::filesystem::path path_;
};

/// Reads every constant of a graph that has at most a MiB: weights are opened late, so a reader's work ends here only.
void load_constants(const ir::Graph& graph);

}  // namespace smelt::fuzz
