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
  remove_leftovers(target);
  SMELT_ASSIGN_OR_RETURN(Temporary temporary, Temporary::file(target));
  // An output is an ordinary file, readable by all whom the folder lets in.
  if (::fchmod(temporary.descriptor(), 0644) != 0) return failed(target, "the output's permissions cannot be set", errno);
  return OutputFile(target, std::move(temporary), if_exists);
}

OutputFile::OutputFile(std::filesystem::path target, Temporary temporary, IfExists if_exists)
    : target_(std::move(target)), temporary_(std::move(temporary)), if_exists_(if_exists) {}

Status OutputFile::write(std::span<const std::byte> bytes) {
  SMELT_CHECK(!temporary_.path().empty());
  while (!bytes.empty()) {
    const ssize_t count = ::write(temporary_.descriptor(), bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return failed(target_, "the output cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status OutputFile::commit() {
  SMELT_CHECK(!temporary_.path().empty());
  if (::fsync(temporary_.descriptor()) != 0) return failed(target_, "the output cannot be flushed", errno);
  if (if_exists_ == IfExists::kReplace) {
    if (::rename(temporary_.path().c_str(), target_.c_str()) != 0) return failed(target_, "the output cannot be renamed", errno);
    temporary_.release();
    return {};
  }
  // link, unlike rename, refuses a target that is there.
  if (::link(temporary_.path().c_str(), target_.c_str()) != 0) {
    const int code = errno;
    if (code == EEXIST) return already_there(target_);
    return failed(target_, "the output cannot be named", code);
  }
  temporary_.remove();
  return {};
}

}  // namespace smelt
