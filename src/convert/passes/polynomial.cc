#include "convert/passes/polynomial.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "convert/passes/match.h"
#include "ir/ops/all.h"

namespace smelt::passes {
namespace {

using MaybePolynomial = std::optional<Polynomial>;

Polynomial constant_polynomial(double value) {
  Polynomial p;
  p.c[0][0] = value;
  return p;
}

Polynomial combine(const Polynomial& a, const Polynomial& b, double factor) {
  Polynomial sum;
  for (std::size_t i = 0; i < Polynomial::kXPowers; ++i) {
    for (std::size_t j = 0; j < Polynomial::kEPowers; ++j) sum.c[i][j] = a.c[i][j] + factor * b.c[i][j];
  }
  return sum;
}

/// Nothing when a power is too high.
MaybePolynomial product(const Polynomial& a, const Polynomial& b) {
  Polynomial result;
  for (std::size_t i = 0; i < Polynomial::kXPowers * Polynomial::kXPowers; ++i) {
    const std::size_t ai = i / Polynomial::kXPowers, bi = i % Polynomial::kXPowers;
    for (std::size_t j = 0; j < Polynomial::kEPowers * Polynomial::kEPowers; ++j) {
      const std::size_t aj = j / Polynomial::kEPowers, bj = j % Polynomial::kEPowers;
      const double term = a.c[ai][aj] * b.c[bi][bj];
      if (a.c[ai][aj] == 0.0 || b.c[bi][bj] == 0.0) continue;
      if (ai + bi >= Polynomial::kXPowers || aj + bj >= Polynomial::kEPowers) return std::nullopt;
      result.c[ai + bi][aj + bj] += term;
    }
  }
  return result;
}

class Reader {
 public:
  Reader(const ir::Graph& graph, std::initializer_list<ir::OpKind> e_kinds) : graph_(graph), e_kinds_(e_kinds) {}

  MaybePolynomial read_node(const ir::Node& node, int depth) {
    switch (node.op.kind()) {
      case ir::OpKind::kAdd: return read_sum(node, 1.0, depth);
      case ir::OpKind::kSub: return read_sum(node, -1.0, depth);
      case ir::OpKind::kMul: return read_product(node, depth);
      case ir::OpKind::kDiv: return read_quotient(node, depth);
      case ir::OpKind::kPow: return read_power(node, depth);
      default: return std::nullopt;
    }
  }

  MaybePolynomial read(ir::ValueId id, int depth) {
    constexpr int kMaxDepth = 8;
    if (depth > kMaxDepth) return std::nullopt;
    if (constant_of(graph_, id) != nullptr) {
      const std::optional<double> value = uniform_value(graph_, id);
      return value && std::isfinite(*value) ? MaybePolynomial(constant_polynomial(*value)) : std::nullopt;
    }
    const ir::Node* node = producer(graph_, id);
    if (node != nullptr && is_read_by_one(id)) {
      if (std::ranges::find(e_kinds_, node->op.kind()) != e_kinds_.end() && e_ == nullptr) {
        e_ = node;
        Polynomial p;
        p.c[0][1] = 1.0;
        return p;
      }
      if (is_arithmetic(node->op.kind())) return read_node(*node, depth);
    }
    if (x_.valid() && x_ != id) return std::nullopt;
    x_ = id;
    Polynomial p;
    p.c[1][0] = 1.0;
    return p;
  }

  [[nodiscard]] ir::ValueId x() const { return x_; }
  [[nodiscard]] const ir::Node* e() const { return e_; }

 private:
  static bool is_arithmetic(ir::OpKind kind) {
    return kind == ir::OpKind::kAdd || kind == ir::OpKind::kSub || kind == ir::OpKind::kMul || kind == ir::OpKind::kDiv ||
           kind == ir::OpKind::kPow;
  }

  /// One node reads it (twice in mul(v, v)), and the graph does not give it out.
  [[nodiscard]] bool is_read_by_one(ir::ValueId id) const {
    const std::vector<ir::Use>& uses = graph_.value(id).uses;
    if (uses.empty() || graph_.use_count(id) != uses.size()) return false;
    return std::ranges::all_of(uses, [&uses](const ir::Use& use) { return use.node == uses[0].node; });
  }

  MaybePolynomial read_sum(const ir::Node& node, double factor, int depth) {
    const MaybePolynomial a = read(node.inputs[0], depth + 1);
    if (!a) return std::nullopt;
    const MaybePolynomial b = read(node.inputs[1], depth + 1);
    return b ? MaybePolynomial(combine(*a, *b, factor)) : std::nullopt;
  }

  MaybePolynomial read_product(const ir::Node& node, int depth) {
    const MaybePolynomial a = read(node.inputs[0], depth + 1);
    if (!a) return std::nullopt;
    const MaybePolynomial b = node.inputs[0] == node.inputs[1] ? a : read(node.inputs[1], depth + 1);
    return b ? product(*a, *b) : std::nullopt;
  }

  MaybePolynomial read_quotient(const ir::Node& node, int depth) {
    const std::optional<double> divisor = uniform_value(graph_, node.inputs[1]);
    if (!divisor || *divisor == 0.0 || !std::isfinite(*divisor)) return std::nullopt;
    const MaybePolynomial a = read(node.inputs[0], depth + 1);
    return a ? product(*a, constant_polynomial(1.0 / *divisor)) : std::nullopt;
  }

  MaybePolynomial read_power(const ir::Node& node, int depth) {
    const std::optional<double> power = uniform_value(graph_, node.inputs[1]);
    if (power != std::optional(2.0) && power != std::optional(3.0)) return std::nullopt;
    const MaybePolynomial a = read(node.inputs[0], depth + 1);
    MaybePolynomial result = a ? product(*a, *a) : std::nullopt;
    return result && *power == 3.0 ? product(*result, *a) : result;
  }

  const ir::Graph& graph_;
  std::vector<ir::OpKind> e_kinds_;
  ir::ValueId x_;
  const ir::Node* e_ = nullptr;
};

}  // namespace

bool Polynomial::is_close_to(const Polynomial& expected) const {
  for (std::size_t i = 0; i < kXPowers; ++i) {
    for (std::size_t j = 0; j < kEPowers; ++j) {
      if (expected.c[i][j] == 0.0 ? c[i][j] != 0.0 : !is_close(c[i][j], expected.c[i][j])) return false;
    }
  }
  return true;
}

std::optional<PolynomialMatch> match_polynomial(const ir::Graph& graph, const ir::Node& root,
                                                std::initializer_list<ir::OpKind> e_kinds) {
  Reader reader(graph, e_kinds);
  const std::optional<Polynomial> outer = reader.read_node(root, 0);
  if (!outer || reader.e() == nullptr) return std::nullopt;
  const ir::Node* e = reader.e();
  const std::optional<Polynomial> inner = reader.read(e->inputs[0], 0);
  if (!inner || !reader.x().valid()) return std::nullopt;
  if (!is_same(graph.value(reader.x()).type, graph.value(root.outputs[0]).type)) return std::nullopt;
  return PolynomialMatch{.outer = *outer, .inner = *inner, .x = reader.x(), .e = e};
}

}  // namespace smelt::passes
