#include "eval/ops/families.h"

namespace smelt::eval {

Status run(const ir::Dequantize& op, const Frame& frame) {
  std::vector<double> values = to_doubles(frame.input(0));
  const std::vector<double> scale = to_doubles(frame.input(1));
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const std::size_t inner =
      scale.size() == 1 ? values.size() : extent_product(shape, static_cast<std::size_t>(op.axis) + 1, shape.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= scale[i / inner % scale.size()];
  store(frame.output(), values);
  return {};
}

}  // namespace smelt::eval
