#pragma once

#include <filesystem>
#include <functional>
#include <mutex>

#include "smelt/result.h"

namespace smelt {

/// A file or folder that exists for as long as its object: "<target>.smelt-tmp-XXXXXX", beside what it will become. Its owner holds a
/// lock on it (flock), which a process that dies lets go: so a later run can tell what was left behind from what is in use.
/// Move-only.
class Temporary {
 public:
  /// `kWriteFailed` when it cannot be created. Open for writing; mode 0600.
  [[nodiscard]] static Result<Temporary> file(const std::filesystem::path& target);
  /// Mode 0700.
  [[nodiscard]] static Result<Temporary> folder(const std::filesystem::path& target);

  Temporary(Temporary&& other) noexcept;
  Temporary& operator=(Temporary&&) = delete;
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] int descriptor() const { return fd_; }

  /// Removes it now.
  void remove();
  /// It was renamed, or is to stay: nothing is removed.
  void release();

 private:
  Temporary(std::filesystem::path path, int fd);
  template <typename Make>
  static Result<Temporary> create(const std::filesystem::path& target, const Make& make);

  std::filesystem::path path_;  ///< empty when there is nothing to remove
  int fd_ = -1;                 ///< holds the lock
};

/// Calls `visit` with the path of each temporary of `target` whose owner died, and removes it afterwards. Those in use, of other users,
/// or in a folder that cannot be read, stay.
void remove_leftovers(const std::filesystem::path& target, const std::function<void(const std::filesystem::path&)>& visit = {});

/// While it is held, `remove_unfinished` waits: for renames of which none may be the last.
[[nodiscard]] std::unique_lock<std::mutex> hold_off_interruption();

}  // namespace smelt
