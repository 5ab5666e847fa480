#include "manifest/manifest.h"

#include <cerrno>
#include <cstring>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/output_file.h"

namespace smelt::manifest {
namespace {

namespace fs = std::filesystem;

/// An advisory lock on `folder`/.manifest.lock, held by this open file until the object goes away; a process that dies lets go.
///
/// The empty file stays. Were it removed, a process that waits on the removed file and one that creates the name anew would
/// both hold "the" lock, and one would overwrite what the other wrote.
class FolderLock {
 public:
  /// Waits until the lock is free.
  [[nodiscard]] static Result<FolderLock> take(const fs::path& folder) {
    const fs::path path = folder / ".manifest.lock";
    const auto failed = [&path](const char* what) {
      return Error(ErrorCode::kWriteFailed, fmt::format("{}: {}", what, std::strerror(errno))).at({.file = path.string()});
    };
    FolderLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644));
    if (lock.fd_ < 0) return failed("the manifest's lock cannot be opened");
    while (::flock(lock.fd_, LOCK_EX) != 0) {
      if (errno != EINTR) return failed("the manifest cannot be locked");
    }
    return lock;
  }

  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit FolderLock(int fd) : fd_(fd) {}

  int fd_ = -1;
};

/// The entries as a reader will see them. A manifest that cannot be read back must not be written: it would block each later
/// update of the folder.
Result<std::vector<Entry>> as_read_back(const std::vector<Entry>& entries, const fs::path& path) {
  std::set<std::string_view> models;
  for (const Entry& entry : entries) {
    if (!models.insert(entry.model).second) {
      return Error(ErrorCode::kInvalidArgument, fmt::format("two manifest entries have the model \"{}\"", entry.model))
          .at({.file = path.string()});
    }
  }
  Result<Manifest> manifest = parse(to_json(Manifest{entries}), path.string());
  if (manifest.ok()) return std::move(manifest).value().models;
  return Error(ErrorCode::kInternal, fmt::format("a new manifest entry does not read back: {}", manifest.error().message()))
      .at({.file = path.string()});
}

}  // namespace

Status update(const fs::path& folder, const std::vector<Entry>& entries) {
  const fs::path path = folder / "manifest.json";
  SMELT_ASSIGN_OR_RETURN(std::vector<Entry> added, as_read_back(entries, path));
  SMELT_ASSIGN_OR_RETURN(const FolderLock lock, FolderLock::take(folder));
  SMELT_ASSIGN_OR_RETURN(Manifest manifest, read(folder));
  std::set<std::string> replaced;
  for (const Entry& entry : added) replaced.insert(entry.model);
  std::erase_if(manifest.models, [&replaced](const Entry& entry) { return replaced.contains(entry.model); });
  for (Entry& entry : added) manifest.models.push_back(std::move(entry));
  const std::string text = to_json(manifest);
  if (const Result<Manifest> again = parse(text, path.string()); !again.ok()) return again.error();  // grown past the size limit
  SMELT_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, OutputFile::IfExists::kReplace));
  SMELT_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

}  // namespace smelt::manifest
