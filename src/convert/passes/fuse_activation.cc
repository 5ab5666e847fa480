#include <optional>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "convert/passes/polynomial.h"
#include "ir/ops/all.h"

// %s = sigmoid(%x)
// %y = mul(%x, %s)                    ->  %y = silu(%x)
//
// %s = hard_sigmoid(%x) {alpha = 0.166667, beta = 0.5}
// %y = mul(%x, %s)                    ->  %y = hard_swish(%x)
//
// %a = add(%x, 3)
// %b = clip(%a) {min = 0, max = 6}
// %c = mul(%x, %b)
// %y = div(%c, 6)                     ->  %y = hard_swish(%x)
//
// silu: one rounding fewer, within 1 ulp. hard_swish: the same where the constants are exact; 1/6 within 1e-3 is taken for 1/6,
// since it is written with three to seven digits.

namespace smelt::passes {
namespace {

using ir::NoMatch;
using ir::Rewrite;

Result<Rewrite> fuse_silu(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  for (const std::size_t k : {0U, 1U}) {
    const ir::Node* sigmoid = produced_by<ir::Sigmoid>(graph, root.inputs[k]);
    if (sigmoid == nullptr || !is_single_use(graph, root.inputs[k]) || sigmoid->inputs[0] != root.inputs[1 - k]) continue;
    return replace_with(graph, root, ir::Silu{}, {sigmoid->inputs[0]});
  }
  return Rewrite{NoMatch{"not x sigmoid(x)"}};
}

/// min(max(slope * x + offset, 0), top).
struct Ramp {
  double slope = 0, offset = 0, top = 0;
};

std::optional<Ramp> ramp_of(const PolynomialMatch& match) {
  Polynomial linear;
  linear.c[0][0] = match.inner.c[0][0];
  linear.c[1][0] = match.inner.c[1][0];
  if (match.inner.c != linear.c) return std::nullopt;
  Ramp ramp{.slope = linear.c[1][0], .offset = linear.c[0][0], .top = 1.0};
  if (const auto* hard_sigmoid = match.e->op.as<ir::HardSigmoid>()) {
    const auto alpha = static_cast<double>(hard_sigmoid->alpha);
    ramp.slope *= alpha;
    ramp.offset = ramp.offset * alpha + static_cast<double>(hard_sigmoid->beta);
    return ramp;
  }
  const ir::Clip& clip = *match.e->op.as<ir::Clip>();
  if (clip.min != 0.0F) return std::nullopt;
  ramp.top = static_cast<double>(clip.max);
  return ramp;
}

Result<Rewrite> fuse_hard_swish(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& root = graph.node(id);
  const auto match = match_polynomial(graph, root, {ir::OpKind::kHardSigmoid, ir::OpKind::kClip});
  if (!match) return Rewrite{NoMatch{"no ramp"}};
  Polynomial only_xe;
  only_xe.c[1][1] = match->outer.c[1][1];
  const std::optional<Ramp> ramp = ramp_of(*match);
  if (match->outer.c != only_xe.c || !ramp) return Rewrite{NoMatch{"not x ramp(x)"}};
  const double factor = only_xe.c[1][1];
  if (ramp->top <= 0) return Rewrite{NoMatch{"the bounds are not in order"}};
  if (!is_close(factor * ramp->top, 1.0) || !is_close(factor * ramp->slope, 1.0 / 6.0) || !is_close(factor * ramp->offset, 0.5)) {
    return Rewrite{NoMatch{"other constants"}};
  }
  return replace_with(graph, root, ir::HardSwish{}, {match->x});
}

}  // namespace

std::vector<ir::Rule> fuse_activation_rules() {
  using ir::OpKind;
  return {
      {.name = "fuse-silu", .root = OpKind::kMul, .apply = fuse_silu},
      {.name = "fuse-hard-swish", .root = OpKind::kMul, .apply = fuse_hard_swish},
      {.name = "fuse-hard-swish", .root = OpKind::kDiv, .apply = fuse_hard_swish},
  };
}

}  // namespace smelt::passes
