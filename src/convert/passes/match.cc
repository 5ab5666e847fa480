#include "convert/passes/match.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace smelt::passes {
namespace {

constexpr std::uint64_t kMaxUniformBytes = std::uint64_t{16} << 20;

}  // namespace

const ir::Node* producer(const ir::Graph& graph, ir::ValueId id) {
  if (!id.valid() || !graph.value(id).producer.valid()) return nullptr;
  return &graph.node(graph.value(id).producer);
}

bool is_same(const Shape& a, const Shape& b) {
  return std::ranges::equal(a, b, [](Dim x, Dim y) { return compare(x, y) == Comparison::kEqual; });
}

bool is_same(const TensorType& a, const TensorType& b) { return a.dtype == b.dtype && is_same(a.shape, b.shape); }

const Constant* constant_of(const ir::Graph& graph, ir::ValueId id) {
  return id.valid() ? graph.value(id).constant.get() : nullptr;
}

std::optional<double> uniform_value(const ir::Graph& graph, ir::ValueId id) {
  const Constant* constant = constant_of(graph, id);
  if (constant == nullptr || bits(constant->dtype) % 8 != 0 || element_count(*constant) == 0) return std::nullopt;
  if (byte_count(*constant) > kMaxUniformBytes || constant->bytes->working_set() > (std::uint64_t{1} << 20)) return std::nullopt;
  HostTensor first{.dtype = constant->dtype, .shape = {}, .bytes = {}};
  const std::size_t width = bits(constant->dtype) / 8;
  std::size_t position = 0;
  std::vector<std::byte> scratch(4096);
  const Status status = constant->bytes->stream(scratch, [&](std::span<const std::byte> chunk) -> Status {
    for (const std::byte byte : chunk) {
      if (first.bytes.size() < width) {
        first.bytes.push_back(byte);
      } else if (byte != first.bytes[position % width]) {
        return Error(ErrorCode::kInvalidArgument, "not uniform");  // ends the stream
      }
      ++position;
    }
    return {};
  });
  if (!status.ok()) return std::nullopt;
  return to_doubles(first)[0];
}

bool is_close(double value, double expected) { return std::abs(value - expected) <= 1e-3 * std::abs(expected); }

Result<std::vector<double>> load_doubles(const Constant& constant) {
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(constant));
  return to_doubles(tensor);
}

ConstantRef f32_vector(const std::vector<double>& values) {
  std::vector<float> rounded;
  rounded.reserve(values.size());
  for (const double value : values) rounded.push_back(static_cast<float>(value));
  return make_constant(f32_tensor({static_cast<std::int64_t>(values.size())}, rounded));
}

ConstantRef with_shape(const Constant& constant, std::vector<std::int64_t> shape) {
  return std::make_shared<const Constant>(Constant{.dtype = constant.dtype, .shape = std::move(shape), .bytes = constant.bytes});
}

std::optional<std::vector<std::int64_t>> without_leading_ones(const std::vector<std::int64_t>& shape, std::size_t rank) {
  if (shape.size() < rank) return std::nullopt;
  const auto kept = shape.end() - static_cast<std::ptrdiff_t>(rank);
  if (std::any_of(shape.begin(), kept, [](std::int64_t extent) { return extent != 1; })) return std::nullopt;
  return std::vector<std::int64_t>(kept, shape.end());
}

ir::Rewrite replace_with(const ir::Graph& graph, const ir::Node& root, ir::ValueId value) {
  ir::Patch patch(graph);
  patch.replace(root.outputs[0], value);
  return patch;
}

Result<ir::Rewrite> replace_with(const ir::Graph& graph, ir::Patch patch, const ir::Node& root, ir::Op op,
                                 std::vector<ir::ValueId> inputs) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId value, patch.add(std::move(op), std::move(inputs)));
  if (!is_same(patch.type(value), graph.value(root.outputs[0]).type)) return ir::Rewrite{ir::NoMatch{"the type would change"}};
  patch.replace(root.outputs[0], value);
  return ir::Rewrite{std::move(patch)};
}

Result<ir::Rewrite> replace_with(const ir::Graph& graph, const ir::Node& root, ir::Op op, std::vector<ir::ValueId> inputs) {
  return replace_with(graph, ir::Patch(graph), root, std::move(op), std::move(inputs));
}

}  // namespace smelt::passes
