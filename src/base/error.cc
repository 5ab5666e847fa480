#include "smelt/error.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "smelt/result.h"

namespace smelt {

int exit_status(ErrorCode code) {
  switch (static_cast<int>(code) / 100) {
    case 0: return 2;
    case 2: return 4;
    case 5:
    case 6: return 3;
    case 7: return 5;
    case 8: return 6;
    case 9: return 70;
    default: return 1;
  }
}

std::string code_name(ErrorCode code) { return fmt::format("E{:04}", static_cast<int>(code)); }

Error::Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

Error&& Error::at(ErrorLocation location) && {
  location_ = std::move(location);
  return std::move(*this);
}

Error&& Error::hint(std::string text) && {
  hint_ = std::move(text);
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text = fmt::format("error[{}]: {}", code_name(code_), message_);
  std::string where = location_.file;
  const auto append = [&where](const std::string& part) {
    if (!where.empty()) where += ", ";
    where += part;
  };
  if (location_.byte_offset) append(fmt::format("byte {}", *location_.byte_offset));
  if (!location_.graph.empty()) append("graph " + location_.graph);
  if (!location_.node.empty()) append(fmt::format("node \"{}\"", location_.node));
  if (!where.empty()) text += "\n  --> " + where;
  if (!hint_.empty()) text += "\n   = help: " + hint_;
  return text;
}

void check_failed(const char* condition, const char* file, int line) {
  fmt::print(stderr, "error[E0901]: broken invariant {} at {}:{}\n", condition, file, line);
  std::abort();
}

}  // namespace smelt
