#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "convert/passes/optimize.h"
#include "eval/evaluate.h"
#include "ir/graph.h"
#include "ir/ops/all.h"
#include "tensor/constant.h"
#include "tensor/host_tensor.h"

namespace smelt::passes {

using ir::ValueId;

/// A tensor of `dtype`: bool by coin, integers in [0, 8), floats normal.
inline HostTensor random_tensor(DType dtype, std::vector<std::int64_t> shape, std::uint32_t seed) {
  std::mt19937 engine(seed);
  const std::int64_t count = element_count(shape).value();
  if (is_float(dtype)) {
    std::vector<float> values;
    for (std::int64_t k = 0; k < count; ++k) {  // by hand: distributions differ between standard libraries
      const double u = (static_cast<double>(engine()) + 0.5) / 4294967296.0, v = static_cast<double>(engine()) / 4294967296.0;
      values.push_back(static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v)));
    }
    HostTensor tensor = f32_tensor(std::move(shape), values);
    if (dtype == DType::kF32) return tensor;
    const std::vector<const HostTensor*> operands = {&tensor};
    return eval::evaluate(ir::Op(ir::Cast{.to = dtype}), operands).value()[0];
  }
  std::vector<std::int64_t> values;
  for (std::int64_t k = 0; k < count; ++k) values.push_back(static_cast<std::int64_t>(engine() % (dtype == DType::kBool ? 2 : 8)));
  HostTensor tensor = i64_tensor(std::move(shape), values);
  const std::vector<const HostTensor*> operands = {&tensor};
  return eval::evaluate(ir::Op(ir::Cast{.to = dtype}), operands).value()[0];
}

/// A graph under test.
class GraphBuilder {
 public:
  ValueId input(Shape shape, DType dtype = DType::kF32) {
    return graph.add_input(fmt::format("x{}", graph.inputs().size()), {.dtype = dtype, .shape = std::move(shape)});
  }
  ValueId constant(HostTensor tensor) { return graph.add_constant("c", make_constant(std::move(tensor))); }
  ValueId random(std::vector<std::int64_t> shape, DType dtype = DType::kF32) {
    return constant(random_tensor(dtype, std::move(shape), ++seed_));
  }
  /// Every element `value`.
  ValueId full(std::vector<std::int64_t> shape, float value, DType dtype = DType::kF32) {
    const std::vector<float> values(static_cast<std::size_t>(element_count(shape).value()), value);
    HostTensor tensor = f32_tensor(std::move(shape), values);
    const std::vector<const HostTensor*> operands = {&tensor};
    return constant(eval::evaluate(ir::Op(ir::Cast{.to = dtype}), operands).value()[0]);
  }
  ValueId scalar(float value) { return full({}, value); }
  ValueId node(ir::Op op, std::vector<ValueId> inputs) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return id.ok() ? graph.node(*id).outputs[0] : ValueId{};
  }
  void output(ValueId id) { graph.add_output(fmt::format("y{}", graph.outputs().size()), id); }

  ir::Graph graph{"main"};

 private:
  std::uint32_t seed_ = 0;
};

/// The words of a list, "conv, relu", in alphabetical order.
inline std::vector<std::string> sorted_words(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(", ", begin), list.size());
    words.push_back(list.substr(begin, end - begin));
    begin = end + 2;
  }
  std::ranges::sort(words);
  return words;
}

/// The ops in topological order, "conv, relu".
inline std::string op_list(const ir::Graph& graph) {
  std::string out;
  for (const ir::NodeId id : graph.topological_order()) out += (out.empty() ? "" : ", ") + std::string(graph.node(id).op.name());
  return out;
}

/// Random inputs; every open extent is 2.
inline std::vector<HostTensor> random_inputs(const ir::Graph& graph) {
  std::vector<HostTensor> inputs;
  for (const ValueId id : graph.inputs()) {
    std::vector<std::int64_t> shape;
    for (const Dim dim : graph.value(id).type.shape) shape.push_back(dim.is_static() ? dim.extent() : 2);
    inputs.push_back(random_tensor(graph.value(id).type.dtype, std::move(shape), 1000 + id.index));
  }
  return inputs;
}

/// Within 1e-5 of the largest magnitude; infinities and NaN in the same places.
inline void expect_near(const HostTensor& before, const HostTensor& after, double tolerance) {
  ASSERT_EQ(type_text(before.dtype, before.shape), type_text(after.dtype, after.shape));
  const std::vector<double> a = to_doubles(before), b = to_doubles(after);
  double peak = 0;
  for (const double value : a) peak = std::isfinite(value) ? std::max(peak, std::abs(value)) : peak;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (std::isfinite(a[k])) {
      EXPECT_LE(std::abs(a[k] - b[k]), tolerance * peak) << "element " << k << ": " << a[k] << " became " << b[k];
    } else {
      EXPECT_TRUE(a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k]))) << "element " << k << ": " << a[k] << " became " << b[k];
    }
  }
}

/// Optimizes, and expects these ops in any order, results equal before and after, and nothing to do the second time. Gives what was applied.
inline std::map<std::string, std::uint64_t> expect_optimized(ir::Graph& graph, const std::string& ops, double tolerance = 1e-5) {
  const ir::Graph before = graph;
  const Result<OptimizeStats> stats = optimize(graph, {});
  if (!stats.ok()) {
    ADD_FAILURE() << stats.error().to_string();
    return {};
  }
  EXPECT_EQ(sorted_words(op_list(graph)), sorted_words(ops)) << ir::to_text(graph);
  const std::vector<HostTensor> inputs = random_inputs(graph);
  const Result<std::vector<HostTensor>> expected = eval::evaluate(before, inputs), actual = eval::evaluate(graph, inputs);
  if (!expected.ok() || !actual.ok()) {
    ADD_FAILURE() << (expected.ok() ? actual.error() : expected.error()).to_string();
    return {};
  }
  for (std::size_t k = 0; k < expected->size(); ++k) {
    EXPECT_EQ(graph.outputs()[k].name, before.outputs()[k].name);
    expect_near((*expected)[k], (*actual)[k], tolerance);
  }
  const std::string text = ir::to_text(graph);
  const Result<OptimizeStats> again = optimize(graph, {});
  EXPECT_TRUE(again.ok() && again->applied.empty() && ir::to_text(graph) == text) << "twice is not once";
  return stats->applied;
}

}  // namespace smelt::passes
