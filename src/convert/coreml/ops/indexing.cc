#include "convert/coreml/ops/indexing.h"

#include <utility>

namespace smelt::coreml_format {

LowerContext::Inputs slice_parameters(LowerContext& cx, const std::vector<std::int64_t>& begin, std::vector<std::int64_t> end,
                                      const std::vector<std::int64_t>& step) {
  const std::vector<bool> none(begin.size(), false);
  std::vector<bool> open_end = none;
  for (std::size_t k = 0; k < end.size(); ++k) {
    if (end[k] >= 0) continue;
    open_end[k] = true;
    end[k] = 0;
  }
  return {{"begin", cx.param("begin", ints_value(begin))},
          {"end", cx.param("end", ints_value(end))},
          {"stride", cx.param("stride", ints_value(step))},
          {"begin_mask", cx.param("begin_mask", bools_value(none))},
          {"end_mask", cx.param("end_mask", bools_value(open_end))},
          {"squeeze_mask", cx.param("squeeze_mask", bools_value(none))}};
}

LowerContext::Inputs gather_parameters(LowerContext& cx, std::optional<std::int64_t> axis, std::int64_t batch_axes) {
  LowerContext::Inputs inputs;
  if (axis) inputs.emplace_back("axis", cx.param("axis", int_value(static_cast<std::int32_t>(*axis))));
  if (cx.target() >= Target::kIos16) inputs.emplace_back("batch_dims", cx.param("batch_dims", int_value(static_cast<std::int32_t>(batch_axes))));
  if (cx.target() >= Target::kIos17) inputs.emplace_back("validate_indices", cx.param("validate_indices", bool_value(false)));
  return inputs;
}

}  // namespace smelt::coreml_format
