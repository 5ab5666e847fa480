#include <cmath>
#include <numbers>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "convert/passes/polynomial.h"
#include "ir/ops/all.h"

// %a = div(%x, 1.41421)
// %b = erf(%a)
// %c = add(%b, 1)
// %d = mul(%x, %c)
// %y = mul(%d, 0.5)     ->  %y = gelu(%x) {is_tanh = false}
//
// and x * 0.5 * (1 + tanh(0.797885 * (x + 0.044715 * x^3)))  ->  gelu {is_tanh = true}; in any order of the factors and terms.
//
// The fused op has exact constants where the graph's are within 1e-3 of them (exporters write 1.4142, or round to float16), and fewer
// roundings: as close to gelu as those constants are, and with exact ones within a few ulp.

namespace smelt::passes {
namespace {

using ir::NoMatch;
using ir::Rewrite;

Polynomial half_of_x_times_one_plus_e() {
  Polynomial p;
  p.c[1][0] = 0.5;
  p.c[1][1] = 0.5;
  return p;
}

Polynomial erf_operand() {
  Polynomial p;
  p.c[1][0] = 1.0 / std::numbers::sqrt2;
  return p;
}

Polynomial tanh_operand() {
  Polynomial p;
  p.c[1][0] = std::sqrt(2.0 / std::numbers::pi);
  p.c[3][0] = 0.044715 * p.c[1][0];
  return p;
}

Result<Rewrite> fuse_gelu(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  if (!is_float(graph.value(root.outputs[0]).type.dtype)) return Rewrite{NoMatch{"not a float"}};
  const auto match = match_polynomial(graph, root, {ir::OpKind::kErf, ir::OpKind::kTanh});
  if (!match || !match->outer.is_close_to(half_of_x_times_one_plus_e())) return Rewrite{NoMatch{"not x (1 + e) / 2"}};
  const bool is_tanh = match->e->op.as<ir::Tanh>() != nullptr;
  if (!match->inner.is_close_to(is_tanh ? tanh_operand() : erf_operand())) return Rewrite{NoMatch{"other constants"}};
  return replace_with(graph, root, ir::Gelu{.is_tanh = is_tanh}, {match->x});
}

}  // namespace

std::vector<ir::Rule> fuse_gelu_rules() {
  using ir::OpKind;
  return {
      {.name = "fuse-gelu", .root = OpKind::kMul, .apply = fuse_gelu},
      {.name = "fuse-gelu", .root = OpKind::kDiv, .apply = fuse_gelu},
      {.name = "fuse-gelu", .root = OpKind::kAdd, .apply = fuse_gelu},
  };
}

}  // namespace smelt::passes
