#include "ir/ops/attention.h"

#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ir/ops/elementwise.h"

namespace smelt::ir {
namespace {

/// That an extent of one operand is not known to differ from that of another.
Status same_extent(std::string_view what, Dim a, Dim b) {
  if (compare(a, b) != Comparison::kDifferent) return {};
  return rule::malformed(fmt::format("{} differ: {} against {}", what, a.extent(), b.extent()));
}

}  // namespace

Status infer(const Attention&, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 3, 4));
  // ONNX Attention-23: Q, K, V of float types; the IR's own: one type for all, the mask too
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  const Shape& query = cx.input(0).shape;
  // MIL scaled_dot_product_attention: ranks >= 3, equal
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 3, SIZE_MAX));
  const std::size_t rank = query.size();
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, rank, rank));
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 2, rank, rank));
  const Shape& key = cx.input(1).shape;
  const Shape& value = cx.input(2).shape;
  // MIL scaled_dot_product_attention: the axes before the last two are equal
  for (std::size_t k = 0; k + 2 < rank; ++k) {
    SMELT_RETURN_IF_ERROR(same_extent("batch extents of query and key", query[k], key[k]));
    SMELT_RETURN_IF_ERROR(same_extent("batch extents of query and value", query[k], value[k]));
  }
  // ONNX Attention-23: Q and K have one head size, K and V one sequence length
  SMELT_RETURN_IF_ERROR(same_extent("last extents of query and key", query[rank - 1], key[rank - 1]));
  SMELT_RETURN_IF_ERROR(same_extent("sequence lengths of key and value", key[rank - 2], value[rank - 2]));
  if (cx.has(3)) {
    // ONNX Attention-23: attn_mask broadcasts to the scores, not the other way round
    Shape scores(query.begin(), query.end() - 1);
    scores.push_back(key[rank - 2]);
    SMELT_ASSIGN_OR_RETURN(const Shape both, broadcast(scores, cx.input(3).shape, cx.symbols));
    bool grows = both.size() != scores.size();
    for (std::size_t k = 0; !grows && k < scores.size(); ++k) grows = compare(both[k], scores[k]) == Comparison::kDifferent;
    if (grows) {
      return rule::malformed(fmt::format("a mask of shape {} does not broadcast to the scores' {}", cx.symbols.text(cx.input(3).shape), cx.symbols.text(scores)));
    }
  }
  Shape shape(query.begin(), query.end() - 1);
  shape.push_back(value[rank - 1]);
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace smelt::ir
