#include "base/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

namespace smelt {
namespace {

Error read_failed(const std::filesystem::path& path, std::string message) {
  return Error(ErrorCode::kReadFailed, std::move(message))
      .at({.file = path.string()});
}

// O_NONBLOCK keeps a pipe without a writer from hanging; `map` then refuses it by its type.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

const char* kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

/// Closes the descriptor at the end of the scope; the mapping outlives it.
struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), kReadFlags));
  if (file.fd >= 0) return map(file.fd, path);
  const int code = errno;
  Error error = read_failed(path, fmt::format("the file cannot be opened: {}", std::strerror(code)));
  if (code == ENOENT) return std::move(error).hint("check the path; it is relative to the current folder");
  return error;
}

Result<MappedFile> MappedFile::open_inside(const std::filesystem::path& folder, const std::filesystem::path& path) {
  const Descriptor root(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.fd < 0) return read_failed(folder, fmt::format("the folder cannot be opened: {}", std::strerror(errno)));
  struct open_how how {};
  how.flags = kReadFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const std::filesystem::path relative = path.lexically_relative(folder);
  const Descriptor file(static_cast<int>(::syscall(SYS_openat2, root.fd, relative.c_str(), &how, sizeof how)));
  if (file.fd >= 0) return map(file.fd, path);
  const int code = errno;
  if (code == ELOOP || code == EXDEV) {
    return Error(ErrorCode::kUnsafePath, "a symbolic link took the place of the file").at({.file = path.string()});
  }
  if (code == ENOSYS || code == EPERM) return open(path);  // an older kernel, or a sandbox that does not know the call
  return read_failed(path, fmt::format("the file cannot be opened: {}", std::strerror(code)));
}

Result<MappedFile> MappedFile::map(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return read_failed(path, fmt::format("the file cannot be examined: {}", std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) return read_failed(path, fmt::format("{}, not a file", kind_name(info.st_mode)));
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    return read_failed(path, fmt::format("{} bytes cannot be mapped: {}", size, std::strerror(errno)));
  }
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  // munmap takes a non-const pointer by its C signature; nothing is written.
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release_pages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

void MappedFile::release_pages(std::span<const std::byte> range) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = static_cast<std::size_t>(range.data() - data_);
  const std::size_t first = (begin + page - 1) / page * page, last = (begin + range.size()) / page * page;
  if (data_ != nullptr && first < last) ::madvise(const_cast<std::byte*>(data_ + first), last - first, MADV_DONTNEED);
}

}  // namespace smelt
