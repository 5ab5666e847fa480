#include "base/output_file.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace smelt {
namespace {

Error failed(const std::filesystem::path& target, const char* what, int code) {
  return Error(ErrorCode::kWriteFailed, fmt::format("{}: {}", what, std::strerror(code)))
      .at({.file = target.string()});
}

Error already_there(const std::filesystem::path& target) {
  return Error(ErrorCode::kOutputExists, "the output is already there")
      .at({.file = target.string()})
      .hint("name another output, or remove this one");
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::filesystem::path& target, IfExists if_exists) {
  struct stat info {};
  if (if_exists == IfExists::kFail && ::lstat(target.c_str(), &info) == 0) return already_there(target);
  std::string pattern = target.string() + ".tmp-XXXXXX";
  const int fd = ::mkostemp(pattern.data(), O_CLOEXEC);  // creates with O_EXCL: never follows or opens what is there
  if (fd < 0) return failed(target, "the output cannot be created", errno);
  OutputFile file(target, pattern, fd, if_exists);
  // mkostemp gives 0600; an output is an ordinary file, readable by all whom the folder lets in.
  if (::fchmod(fd, 0644) != 0) return failed(target, "the output's permissions cannot be set", errno);
  return file;
}

OutputFile::OutputFile(std::filesystem::path target, std::filesystem::path temporary, int fd, IfExists if_exists)
    : target_(std::move(target)), temporary_(std::move(temporary)), fd_(fd), if_exists_(if_exists) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      if_exists_(other.if_exists_) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  SMELT_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return failed(target_, "the output cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status OutputFile::commit() {
  SMELT_CHECK(fd_ >= 0);
  if (::fsync(fd_) != 0) return failed(target_, "the output cannot be flushed", errno);
  if (::close(std::exchange(fd_, -1)) != 0) return failed(target_, "the output cannot be closed", errno);
  if (if_exists_ == IfExists::kReplace) {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) return failed(target_, "the output cannot be renamed", errno);
    temporary_.clear();
    return {};
  }
  // link, unlike rename, refuses a target that is there.
  if (::link(temporary_.c_str(), target_.c_str()) != 0) {
    const int code = errno;
    if (code == EEXIST) return already_there(target_);
    return failed(target_, "the output cannot be named", code);
  }
  ::unlink(std::exchange(temporary_, {}).c_str());
  return {};
}

}  // namespace smelt
