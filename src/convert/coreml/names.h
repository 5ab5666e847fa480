#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

namespace smelt::coreml_format {

/// A name as MIL takes it: every character outside [A-Za-z0-9_] becomes '_'; a name that then starts with neither a letter nor
/// '_' gets the prefix "var_"; a reserved word the suffix "_workaround"; an empty one is "var". Source: what Apple's converter does.
[[nodiscard]] std::string legal_name(std::string_view name);

/// Gives out legal names that are unique in one function. The same requests in the same order give the same names.
class NameTable {
 public:
  /// `name`, made legal, with "_0", "_1", ... behind it where that is taken.
  [[nodiscard]] std::string take(std::string_view name);

 private:
  std::unordered_set<std::string> taken_;
};

}  // namespace smelt::coreml_format
