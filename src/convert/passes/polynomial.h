#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "ir/graph.h"
#include "ir/op.h"

namespace smelt::passes {

/// sum of c[i][j] * x^i * e^j over one value x and the result e of one op: exporters write the same formula in any order, and as a
/// polynomial all orders are equal.
struct Polynomial {
  static constexpr std::size_t kXPowers = 4, kEPowers = 2;
  std::array<std::array<double, kEPowers>, kXPowers> c{};

  /// Whether exactly these coefficients, each within the tolerance of `is_close`, are not 0.
  [[nodiscard]] bool is_close_to(const Polynomial& expected) const;
};

/// A tree of add, sub, mul, div and pow, read as a polynomial. A node within is of `x`'s shape or broadcasts to it, and used by the
/// tree only; its result would otherwise be needed anyway. So x, which is used twice or more, is where the tree ends.
struct PolynomialMatch {
  Polynomial outer;                 ///< of the root, in x and e
  Polynomial inner;                 ///< of e's operand, in x
  ir::ValueId x;
  const ir::Node* e = nullptr;      ///< the node that computes e
};

/// `root` as a polynomial with one `e`, of a kind in `e_kinds`; nothing when it is not, or when its type is not x's.
[[nodiscard]] std::optional<PolynomialMatch> match_polynomial(const ir::Graph& graph, const ir::Node& root,
                                                              std::initializer_list<ir::OpKind> e_kinds);

}  // namespace smelt::passes
