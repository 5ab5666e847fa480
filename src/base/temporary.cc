#include "base/temporary.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "smelt/interrupt.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInfix = ".smelt-tmp-";
constexpr std::size_t kRandom = 6;  // characters of mkstemp and mkdtemp

/// The temporaries of this process. The one global state of the library: a signal knows no object.
struct Registry {
  std::mutex mutex;
  std::set<fs::path> paths;
};

/// Never destroyed: a signal may come while the program ends.
Registry& registry() {
  static Registry& instance = *std::make_unique<Registry>().release();
  return instance;
}

void remove_path(const fs::path& path) {
  // Again, should another thread make a file in it meanwhile.
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::error_code code;
    fs::remove_all(path, code);
    if (!code || !fs::exists(fs::symlink_status(path, code))) return;
  }
}

bool is_same(const fs::path& path, const struct stat& opened) {
  struct stat named {};
  return ::lstat(path.c_str(), &named) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

int lock(int fd, int operation) {
  int result = 0;
  do {
    result = ::flock(fd, operation);
  } while (result != 0 && errno == EINTR);
  return result;
}

/// Removes `path` when nobody holds its lock.
void remove_if_left(const fs::path& path, const std::function<void(const fs::path&)>& visit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  struct stat info {};
  const bool is_ours = ::fstat(fd, &info) == 0 && info.st_uid == ::geteuid() && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
  // The name is looked up again under the lock: its owner may have renamed it just now.
  if (is_ours && lock(fd, LOCK_EX | LOCK_NB) == 0 && is_same(path, info)) {
    if (visit) visit(path);
    remove_path(path);
  }
  ::close(fd);
}

}  // namespace

/// `make` creates what the pattern is to name and opens it, or gives -1 and errno.
template <typename Make>
Result<Temporary> Temporary::create(const fs::path& target, const Make& make) {
  const auto failed = [&target](int code) {
    return Error(ErrorCode::kWriteFailed, fmt::format("the output cannot be created: {}", std::strerror(code))).at({.file = target.string()});
  };
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string pattern = fmt::format("{}{}{}", target.string(), kInfix, std::string(kRandom, 'X'));
    const std::unique_lock guard(registry().mutex);
    const int fd = make(pattern);
    if (fd < 0 && errno != ENOENT) return failed(errno);
    if (fd < 0 && !fs::exists(target.has_parent_path() ? target.parent_path() : ".")) return failed(ENOENT);
    if (fd < 0) continue;
    registry().paths.insert(pattern);
    Temporary made(pattern, fd);
    // Between its creation and its lock, another run may have taken it for left behind. Some file systems have no locks; there,
    // nothing is ever removed, and nothing needs one.
    struct stat info {};
    static_cast<void>(lock(fd, LOCK_EX));
    if (::fstat(fd, &info) == 0 && is_same(pattern, info)) return made;
    registry().paths.erase(pattern);
    made.path_.clear();
  }
  return failed(EAGAIN);
}

Result<Temporary> Temporary::file(const fs::path& target) {
  // O_EXCL: what is there is never followed or opened.
  return create(target, [](std::string& pattern) { return ::mkostemp(pattern.data(), O_CLOEXEC); });
}

Result<Temporary> Temporary::folder(const fs::path& target) {
  return create(target, [](std::string& pattern) {
    if (::mkdtemp(pattern.data()) == nullptr) return -1;
    return ::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  });
}

Temporary::Temporary(fs::path path, int fd) : path_(std::move(path)), fd_(fd) {}

Temporary::Temporary(Temporary&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::exchange(other.fd_, -1)) {}

Temporary::~Temporary() {
  remove();
  if (fd_ >= 0) ::close(fd_);
}

void Temporary::remove() {
  if (path_.empty()) return;
  const std::unique_lock guard(registry().mutex);
  registry().paths.erase(path_);
  remove_path(std::exchange(path_, {}));
}

void Temporary::release() {
  const std::unique_lock guard(registry().mutex);
  registry().paths.erase(std::exchange(path_, {}));
}

void remove_leftovers(const fs::path& target, const std::function<void(const fs::path&)>& visit) {
  const std::string prefix = target.filename().string() + std::string(kInfix);
  std::vector<fs::path> found;
  std::error_code code;
  fs::directory_iterator entry(target.has_parent_path() ? target.parent_path() : fs::path("."), code);
  for (; !code && entry != fs::directory_iterator(); entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && name.size() == prefix.size() + kRandom) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) remove_if_left(path, visit);
}

std::unique_lock<std::mutex> hold_off_interruption() { return std::unique_lock(registry().mutex); }

void remove_unfinished() {
  Registry& all = registry();
  all.mutex.lock();  // and never unlocked: what has not begun to end now must not
  for (const fs::path& path : all.paths) remove_path(path);
}

}  // namespace smelt
