#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "smelt/result.h"

namespace smelt {

/// An extent that is known, or a symbol of a SymbolTable. 8 bytes, compared by value: two equal symbols are the same
/// extent, two different ones may or may not be.
class Dim {
 public:
  constexpr Dim() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an extent is a dim.
  constexpr Dim(std::int64_t extent) : code_(extent) { SMELT_CHECK(extent >= 0); }

  [[nodiscard]] constexpr bool is_static() const { return code_ >= 0; }
  [[nodiscard]] constexpr std::int64_t extent() const {
    SMELT_CHECK(is_static());
    return code_;
  }
  constexpr bool operator==(const Dim&) const = default;

 private:
  friend class SymbolTable;
  static constexpr Dim symbol(std::size_t index) {
    Dim dim;
    dim.code_ = -1 - static_cast<std::int64_t>(index);
    return dim;
  }
  std::int64_t code_ = 0;
};

using Shape = std::vector<Dim>;

/// What a comparison of extents can say.
enum class Comparison { kEqual, kDifferent, kUnknown };

[[nodiscard]] constexpr Comparison compare(Dim a, Dim b) {
  if (a == b) return Comparison::kEqual;
  return a.is_static() && b.is_static() ? Comparison::kDifferent : Comparison::kUnknown;
}

/// Interned names of open extents ("batch") and expressions over them ("floor((h + 1) / 2)"): the same expression gives the
/// same Dim, so that equal arithmetic on a symbol compares equal.
class SymbolTable {
 public:
  [[nodiscard]] Dim symbol(std::string_view name);
  /// A new symbol that equals no other.
  [[nodiscard]] Dim unknown();
  /// The arithmetic of shape rules; static operands give a static result. Results below zero clamp to zero.
  [[nodiscard]] Dim add(Dim a, std::int64_t b);
  [[nodiscard]] Dim sum(Dim a, Dim b);
  [[nodiscard]] Dim multiply(Dim a, Dim b);
  [[nodiscard]] Dim floor_divide(Dim a, std::int64_t b);  ///< b > 0

  /// "8", "batch".
  [[nodiscard]] std::string text(Dim dim) const;
  [[nodiscard]] std::string text(const Shape& shape) const;  ///< "[1, batch]"

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace smelt
