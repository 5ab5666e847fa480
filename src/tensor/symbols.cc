#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "tensor/dim.h"

namespace smelt {

Dim SymbolTable::symbol(std::string_view name) {
  const auto [found, is_new] = index_.try_emplace(std::string(name), names_.size());
  if (is_new) names_.emplace_back(name);
  return Dim::symbol(found->second);
}

Dim SymbolTable::unknown() { return symbol(fmt::format("?{}", names_.size())); }

Dim SymbolTable::add(Dim a, std::int64_t b) {
  if (b == 0) return a;
  if (a.is_static()) {
    std::int64_t result = 0;
    if (__builtin_add_overflow(a.extent(), b, &result)) return unknown();
    return Dim(std::max<std::int64_t>(result, 0));
  }
  return symbol(b > 0 ? fmt::format("({} + {})", text(a), b) : fmt::format("({} - {})", text(a), -b));
}

Dim SymbolTable::sum(Dim a, Dim b) {
  if (b.is_static()) return add(a, b.extent());
  if (a.is_static()) return add(b, a.extent());
  return symbol(fmt::format("({} + {})", std::min(text(a), text(b)), std::max(text(a), text(b))));
}

Dim SymbolTable::multiply(Dim a, Dim b) {
  if (a.is_static() && b.is_static()) {
    std::int64_t result = 0;
    if (__builtin_mul_overflow(a.extent(), b.extent(), &result)) return unknown();
    return Dim(result);
  }
  if (a == Dim(1)) return b;
  if (b == Dim(1)) return a;
  if (a == Dim(0) || b == Dim(0)) return Dim(0);
  return symbol(fmt::format("{} * {}", std::min(text(a), text(b)), std::max(text(a), text(b))));
}

Dim SymbolTable::floor_divide(Dim a, std::int64_t b) {
  SMELT_CHECK(b > 0);
  if (b == 1) return a;
  if (a.is_static()) return Dim(a.extent() / b);
  return symbol(fmt::format("floor({} / {})", text(a), b));
}

std::string SymbolTable::text(Dim dim) const {
  if (dim.is_static()) return std::to_string(dim.extent());
  return names_[static_cast<std::size_t>(-1 - dim.code_)];
}

std::string SymbolTable::text(const Shape& shape) const {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + text(shape[i]);
  return out + "]";
}

}  // namespace smelt
