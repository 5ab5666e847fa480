#include "convert/coreml/ops/window.h"

#include <fmt/format.h>

namespace smelt::coreml_format {

std::vector<std::int64_t> interleaved(const std::vector<std::int64_t>& begin, const std::vector<std::int64_t>& end) {
  std::vector<std::int64_t> out;
  for (std::size_t k = 0; k < begin.size(); ++k) {
    out.push_back(begin[k]);
    out.push_back(end[k]);
  }
  return out;
}

Result<Pads> read_pads(const LiftContext& cx, std::size_t axes) {
  SMELT_ASSIGN_OR_RETURN(const std::string type, cx.text("pad_type"));
  Pads pads{.begin = std::vector<std::int64_t>(axes, 0), .end = std::vector<std::int64_t>(axes, 0)};
  if (type == "valid") return pads;
  if (type != "custom") return cx.unsupported(fmt::format("pad_type \"{}\"", type));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> given, cx.ints("pad"));
  if (given.size() != 2 * axes) return cx.malformed(fmt::format("{} pads for {} axes", given.size(), axes));
  for (std::size_t k = 0; k < axes; ++k) {
    pads.begin[k] = given[2 * k];
    pads.end[k] = given[2 * k + 1];
  }
  return pads;
}

}  // namespace smelt::coreml_format
