#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "ir/rewrite/patch.h"
#include "smelt/result.h"

/// What the rules ask of a graph.
namespace smelt::passes {

/// The node that computes a value; nullptr for an input, a constant and an absent operand.
[[nodiscard]] const ir::Node* producer(const ir::Graph& graph, ir::ValueId id);

/// The same, if its op is a T.
template <typename T>
[[nodiscard]] const ir::Node* produced_by(const ir::Graph& graph, ir::ValueId id) {
  const ir::Node* node = producer(graph, id);
  return node != nullptr && node->op.as<T>() != nullptr ? node : nullptr;
}

/// Read once, and not a result of the graph: nothing but the one reader sees it go.
[[nodiscard]] inline bool is_single_use(const ir::Graph& graph, ir::ValueId id) { return graph.use_count(id) == 1; }

/// Every extent known equal.
[[nodiscard]] bool is_same(const Shape& a, const Shape& b);
/// And the dtype.
[[nodiscard]] bool is_same(const TensorType& a, const TensorType& b);

/// The constant of a value, or nullptr.
[[nodiscard]] const Constant* constant_of(const ir::Graph& graph, ir::ValueId id);

/// The one value that every element of a constant has (bit for bit); nothing when they differ, there is none, or the constant is over
/// 16 MiB or costs as much to read.
[[nodiscard]] std::optional<double> uniform_value(const ir::Graph& graph, ir::ValueId id);

/// Within 1e-3 of `expected`, relative: formulas are written with constants of three to seven digits, or in float16.
[[nodiscard]] bool is_close(double value, double expected);

/// The elements of a small constant as doubles.
[[nodiscard]] Result<std::vector<double>> load_doubles(const Constant& constant);

/// A f32[C] constant, each value rounded once.
[[nodiscard]] ConstantRef f32_vector(const std::vector<double>& values);

/// The same bytes under another shape of as many elements.
[[nodiscard]] ConstantRef with_shape(const Constant& constant, std::vector<std::int64_t> shape);

/// Extents of `shape` after leading ones, as many as `rank`; nothing when more than ones would go or fewer are there.
[[nodiscard]] std::optional<std::vector<std::int64_t>> without_leading_ones(const std::vector<std::int64_t>& shape, std::size_t rank);

/// A patch that gives the root's only result another value.
[[nodiscard]] ir::Rewrite replace_with(const ir::Graph& graph, const ir::Node& root, ir::ValueId value);

/// A patch that gives the root's only result that of another op; no match when the type would not stay the same.
[[nodiscard]] Result<ir::Rewrite> replace_with(const ir::Graph& graph, const ir::Node& root, ir::Op op, std::vector<ir::ValueId> inputs);
/// The same with constants already in the patch.
[[nodiscard]] Result<ir::Rewrite> replace_with(const ir::Graph& graph, ir::Patch patch, const ir::Node& root, ir::Op op,
                                               std::vector<ir::ValueId> inputs);

}  // namespace smelt::passes
