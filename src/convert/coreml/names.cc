#include "convert/coreml/names.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace smelt::coreml_format {
namespace {

constexpr std::array<std::string_view, 25> kReserved{
    "any",  "bool", "program", "func", "tensor", "list",  "dict",  "tuple", "true",   "false",  "string", "bf16", "fp16",
    "fp32", "fp64", "int8",    "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "state",  "const"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

}  // namespace

std::string legal_name(std::string_view name) {
  std::string out;
  for (const char c : name) out += is_letter(c) || (c >= '0' && c <= '9') ? c : '_';
  if (out.empty()) return "var";
  if (!is_letter(out.front())) out = "var_" + out;
  if (std::find(kReserved.begin(), kReserved.end(), out) != kReserved.end()) out += "_workaround";
  return out;
}

std::string NameTable::take(std::string_view name) {
  const std::string base = legal_name(name);
  if (taken_.insert(base).second) return base;
  for (std::size_t k = 0;; ++k) {
    std::string candidate = fmt::format("{}_{}", base, k);
    if (taken_.insert(candidate).second) return candidate;
  }
}

}  // namespace smelt::coreml_format
