#include "convert/coreml/round_trip.h"

#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "eval/evaluate.h"

namespace smelt::coreml_format {

HostTensor as_dtype(const HostTensor& tensor, DType dtype) {
  const std::vector<const HostTensor*> operands{&tensor};
  return eval::evaluate(ir::Op(ir::Cast{.to = dtype}), operands).value().front();
}

HostTensor fixed_tensor(const Operand& operand, std::uint32_t seed) {
  std::mt19937 engine(seed);
  const std::int64_t count = element_count(operand.shape).value();
  if (is_float(operand.dtype)) {
    std::vector<float> values;
    for (std::int64_t k = 0; k < count; ++k) {  // by hand: distributions differ between standard libraries
      const float unit = static_cast<float>(engine() >> 8) / 16777216.0F;
      values.push_back(operand.fill == Fill::kPositive ? 0.25F + 2.75F * unit : 6.0F * unit - 3.0F);
    }
    return as_dtype(f32_tensor(operand.shape, values), operand.dtype);
  }
  std::vector<std::int64_t> values;
  for (std::int64_t k = 0; k < count; ++k) {
    const auto number = static_cast<std::int64_t>(engine());
    switch (operand.fill) {
      case Fill::kPlain: values.push_back(operand.dtype == DType::kBool ? number % 2 : number % 11 - 5); break;
      case Fill::kPositive: values.push_back(number % 5 + 1); break;
      case Fill::kIndex: values.push_back(number % (2 * operand.bound) - operand.bound); break;
      case Fill::kCount: values.push_back(number % operand.bound); break;
    }
  }
  return as_dtype(i64_tensor(operand.shape, values), operand.dtype);
}

void CaseGraph::add(const Case& c) {
  const std::string source = fmt::format("{} {}", c.op.name(), c.name);
  std::vector<ir::ValueId> operands;
  const auto node = [&](ir::Op op, std::vector<ir::ValueId> given) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(given), source);
    EXPECT_TRUE(id.ok()) << source << ": " << (id.ok() ? "" : id.error().to_string());
    return id.ok() ? graph.node(*id).outputs : std::vector<ir::ValueId>();
  };
  for (std::size_t k = 0; k < c.operands.size(); ++k) {
    Operand operand = c.operands[k];
    const auto seed = static_cast<std::uint32_t>(k + 1);
    if (operand.is_constant) {
      operands.push_back(graph.add_constant(fmt::format("w{}", k), make_constant(fixed_tensor(operand, seed))));
      continue;
    }
    const bool is_scalar = operand.shape.empty();
    if (is_scalar) operand.shape = {1};
    inputs.push_back(fixed_tensor(operand, seed));
    ir::ValueId id = graph.add_input(fmt::format("x{}", k), {.dtype = operand.dtype, .shape = to_shape(operand.shape)});
    if (is_scalar) id = node(ir::Squeeze{.axes = {0}}, {id}).at(0);
    operands.push_back(id);
  }
  for (const ir::ValueId result : node(c.op, operands)) {
    graph.add_output(fmt::format("y{}", outputs.size()), result);
    outputs.push_back(&c);
  }
}

}  // namespace smelt::coreml_format
