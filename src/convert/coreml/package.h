#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"

/// The .mlpackage directory: Manifest.json, Data/com.apple.CoreML/model.mlmodel, Data/com.apple.CoreML/weights/weight.bin.
namespace smelt::coreml_format {

/// A package that appears whole or not at all: built in a folder beside the target, renamed into place by `commit`.
/// An object that goes away without `commit` leaves nothing behind; what a run that was killed left, the next one for the same target
/// removes. Move-only.
class PackageWriter {
 public:
  enum class IfExists { kFail, kReplace };
  /// Puts bytes at a place of a file; from several threads at once.
  using SinkAt = std::function<Status(std::uint64_t offset, std::span<const std::byte>)>;

  /// `kInvalidArgument` unless the name ends in .mlpackage; `kOutputExists` when the target is there and must not be
  /// replaced; under kReplace a target that is not a package (no Manifest.json in it) is refused all the same.
  [[nodiscard]] static Result<PackageWriter> create(const std::filesystem::path& target, IfExists if_exists);

  PackageWriter(PackageWriter&&) noexcept;
  PackageWriter& operator=(PackageWriter&&) = delete;
  PackageWriter(const PackageWriter&) = delete;
  PackageWriter& operator=(const PackageWriter&) = delete;
  ~PackageWriter();

  /// Writes weights/weight.bin of `size` bytes: `fill` puts them into place; what it leaves out is zero. At most once.
  [[nodiscard]] Status write_weights(std::uint64_t size, const std::function<Status(const SinkAt&)>& fill);

  /// Writes model.mlmodel. Exactly once.
  [[nodiscard]] Status write_model(std::span<const std::byte> bytes);

  /// Writes Manifest.json (the weights item only when weights were written), flushes everything to the disk and renames.
  [[nodiscard]] Status commit();

 private:
  struct State;
  explicit PackageWriter(State state);
  std::unique_ptr<State> state_;
};

/// Removes what runs that were killed left of a package. If one died while it moved the old package aside, that is put back.
void remove_leftovers(const std::filesystem::path& target);

/// Where the parts of a package on disk are. Every path was resolved and lies inside the package.
struct PackageFiles {
  std::filesystem::path root;
  std::filesystem::path model;         ///< the specification
  std::filesystem::path weights_dir;   ///< empty when the manifest has no weights item
};

/// Opens a package: checks Manifest.json (size bounded, fileFormatVersion, entries, root) and that every item exists inside Data/.
/// Absolute paths, "..", and symbolic links that leave the package are `kUnsafePath`.
[[nodiscard]] Result<PackageFiles> open_package(const std::filesystem::path& root);

/// The file that a blob's file name refers to: "@model_path/weights/weight.bin" beside the model, else the base name inside
/// the weights item. `kUnsafePath` for a path that leaves the package, `kReadFailed` when there is none.
[[nodiscard]] Result<std::filesystem::path> resolve_blob_file(const PackageFiles& package, const std::string& file_name);

/// Every regular file of a package, relative to its root with '/', sorted bytewise.
[[nodiscard]] Result<std::vector<std::string>> list_package_files(const std::filesystem::path& root);

}  // namespace smelt::coreml_format
