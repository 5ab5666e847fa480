#include "ir/ops/shape.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/ops/elementwise.h"

namespace smelt::ir {
namespace {

/// The product of extents; 0 when one is 0; nothing when it does not fit in 63 bits.
std::optional<std::int64_t> product(std::span<const std::int64_t> extents) {
  if (std::ranges::find(extents, 0) != extents.end()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) {
    if (__builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  }
  return count;
}

std::string text(const std::vector<std::int64_t>& values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

/// The elements of x: the product of its known extents, and its symbols.
struct Elements {
  std::int64_t known = 1;
  Shape symbols;
};

Result<Elements> count_elements(const Shape& x, const SymbolTable& symbols) {
  Elements elements;
  std::vector<std::int64_t> known;
  for (const Dim dim : x) {
    if (dim.is_static()) {
      known.push_back(dim.extent());
    } else {
      elements.symbols.push_back(dim);
    }
  }
  const std::optional<std::int64_t> count = product(known);
  if (!count) return rule::malformed(fmt::format("{} has more than 2^63 elements", symbols.text(x)));
  elements.known = *count;
  return elements;
}

/// The extent of the axis that a Reshape leaves open, `rest` elements being in the others.
Result<Dim> remaining_extent(const Elements& elements, std::int64_t rest, const Shape& x, const Reshape& op,
                             SymbolTable& symbols) {
  // ONNX Reshape-14: -1 is inferred from the remaining extents, which 0 does not allow
  if (rest == 0) return rule::malformed(fmt::format("-1 beside an extent of 0 in {} is open", text(op.shape)));
  const bool divides = elements.known % rest == 0;
  if (elements.symbols.empty() && !divides) {
    // ONNX Reshape-14: the element count stays
    return rule::malformed(fmt::format("{} has {} elements, {} takes a multiple of {}", symbols.text(x), elements.known,
                                       text(op.shape), rest));
  }
  Dim open(divides ? elements.known / rest : elements.known);
  for (const Dim symbol : elements.symbols) open = symbols.multiply(open, symbol);
  return divides ? open : symbols.floor_divide(open, rest);
}

/// A full axis, also of an open extent.
bool is_full(std::int64_t begin, std::int64_t end, std::int64_t step) {
  return begin == 0 && end == std::numeric_limits<std::int64_t>::max() && step == 1;
}

/// The extent of x[begin : end : step].
Result<Dim> slice_extent(Dim in, std::int64_t begin, std::int64_t end, std::int64_t step, const SymbolTable& symbols) {
  if (is_full(begin, end, step)) return in;
  // ONNX Slice-13: steps are not 0
  if (step == 0) return rule::malformed("step is 0");
  // The IR's own: only a full axis may be open
  if (!in.is_static()) {
    return rule::malformed(fmt::format("{} : {} : {} of an axis of open extent {}", begin, end, step, symbols.text(in)));
  }
  const std::int64_t extent = in.extent();
  // ONNX Slice-13: bounds are clamped to [0, extent], or [-1, extent - 1] going down, here by the importer
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? extent : extent - 1;
  if (begin < low || begin > high || end < low || end > high) {
    return rule::malformed(fmt::format("{} : {} : {} leaves [{}, {}] of extent {}", begin, end, step, low, high, extent));
  }
  const std::int64_t span = step > 0 ? end - begin : begin - end;
  if (span <= 0) return Dim(0);
  const std::uint64_t stride = step > 0 ? static_cast<std::uint64_t>(step) : 0U - static_cast<std::uint64_t>(step);
  return Dim(static_cast<std::int64_t>((static_cast<std::uint64_t>(span) - 1) / stride + 1));
}

Status check_indices(DType dtype) {
  // ONNX Gather-13: Tind is int32 or int64
  if (dtype == DType::kI32 || dtype == DType::kI64) return {};
  return rule::malformed(fmt::format("indices are {}, i32 or i64 required", name(dtype)));
}

}  // namespace

Status infer(const Reshape& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  std::vector<std::int64_t> fixed;
  for (const std::int64_t extent : op.shape) {
    // ONNX Reshape-14: extents are >= -1, 0 resolved by the importer
    if (extent < -1) return rule::malformed(fmt::format("extent {} in {}, at least -1 required", extent, text(op.shape)));
    if (extent >= 0) fixed.push_back(extent);
  }
  const std::size_t open_count = op.shape.size() - fixed.size();
  // ONNX Reshape-14: at most one extent is -1
  if (open_count > 1) {
    return rule::malformed(fmt::format("{} extents of {} are -1, at most 1 allowed", open_count, text(op.shape)));
  }
  SMELT_ASSIGN_OR_RETURN(const Elements elements, count_elements(x, cx.symbols));
  const std::optional<std::int64_t> rest = product(fixed);
  if (!rest) return rule::malformed(fmt::format("{} has more than 2^63 elements", text(op.shape)));
  Dim open(1);
  if (open_count == 1) {
    SMELT_ASSIGN_OR_RETURN(open, remaining_extent(elements, *rest, x, op, cx.symbols));
  } else {
    // ONNX Reshape-14: the element count stays
    const bool may_agree = elements.symbols.empty() ? elements.known == *rest
                           : elements.known == 0    ? *rest == 0
                                                    : *rest % elements.known == 0;
    if (!may_agree) {
      return rule::malformed(fmt::format("{} has {}{} elements, {} has {}", cx.symbols.text(x),
                                         elements.symbols.empty() ? "" : "a multiple of ", elements.known,
                                         text(op.shape), *rest));
    }
  }
  Shape shape;
  for (const std::int64_t extent : op.shape) shape.push_back(extent < 0 ? open : Dim(extent));
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Transpose& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  // ONNX Transpose-13: perm has the length of the rank
  if (op.perm.size() != x.size()) {
    return rule::malformed(fmt::format("perm has {} axes, x has {}", op.perm.size(), x.size()));
  }
  std::vector<bool> is_taken(x.size(), false);
  Shape shape;
  for (const std::int64_t axis : op.perm) {
    SMELT_RETURN_IF_ERROR(rule::axis_in_rank(axis, x.size()));
    const auto index = static_cast<std::size_t>(axis);
    // ONNX Transpose-13: perm is a permutation
    if (is_taken[index]) return rule::malformed(fmt::format("axis {} is twice in perm {}", axis, text(op.perm)));
    is_taken[index] = true;
    shape.push_back(x[index]);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Squeeze& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  // ONNX Squeeze-13: axes in [-r, r-1], made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axes_in_rank(op.axes, x.size()));
  Shape shape;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::ranges::binary_search(op.axes, static_cast<std::int64_t>(i))) {
      shape.push_back(x[i]);
    } else if (compare(x[i], Dim(1)) == Comparison::kDifferent) {
      // ONNX Squeeze-13: a squeezed axis has extent 1
      return rule::malformed(fmt::format("axis {} of {} has extent {}, 1 required", i, cx.symbols.text(x), x[i].extent()));
    }
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const ExpandDims& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  const std::size_t rank = x.size() + op.axes.size();
  // ONNX Unsqueeze-13: axes are in the output's rank, without a duplicate
  SMELT_RETURN_IF_ERROR(rule::axes_in_rank(op.axes, rank));
  Shape shape;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool is_new = std::ranges::binary_search(op.axes, static_cast<std::int64_t>(i));
    shape.push_back(is_new ? Dim(1) : x[next++]);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Concat& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, std::max<std::size_t>(cx.inputs.size(), 1), Concat::kMaxInputs));
  // ONNX Concat-13: all operands are of one type T
  SMELT_RETURN_IF_ERROR(rule::one_dtype(cx));
  Shape shape = cx.input(0).shape;
  // ONNX Concat-13: axis in [-r, r-1], made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axis_in_rank(op.axis, shape.size()));
  const auto axis = static_cast<std::size_t>(op.axis);
  for (std::size_t operand = 1; operand < cx.inputs.size(); ++operand) {
    const Shape& other = cx.input(operand).shape;
    // ONNX Concat-13: all operands have one rank
    SMELT_RETURN_IF_ERROR(rule::rank_between(cx, operand, shape.size(), shape.size()));
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (i == axis) continue;
      // ONNX Concat-13: the extents are equal but along the axis
      if (compare(shape[i], other[i]) == Comparison::kDifferent) {
        return rule::malformed(fmt::format("axis {} of operand {} has extent {}, of those before {}", i, operand,
                                           other[i].extent(), shape[i].extent()));
      }
      if (other[i].is_static()) shape[i] = other[i];
    }
    const bool is_static = shape[axis].is_static() && other[axis].is_static();
    if (is_static && shape[axis].extent() > std::numeric_limits<std::int64_t>::max() - other[axis].extent()) {
      return rule::malformed(fmt::format("extents {} and {} do not add up in 64 bits", shape[axis].extent(),
                                         other[axis].extent()));
    }
    shape[axis] = cx.symbols.sum(shape[axis], other[axis]);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Split& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  // ONNX Split-18: axis in [-r, r-1], made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axis_in_rank(op.axis, x.size()));
  const auto axis = static_cast<std::size_t>(op.axis);
  // ONNX Split-18: at least one output
  if (op.sizes.empty()) return rule::malformed("0 sizes, at least 1 required");
  std::int64_t total = 0;
  std::vector<TensorType> outputs;
  for (const std::int64_t size : op.sizes) {
    // ONNX Split-18: sizes are >= 0 and sum to the extent
    if (size < 0) return rule::malformed(fmt::format("size is {}, at least 0 required", size));
    if (__builtin_add_overflow(total, size, &total)) {
      return rule::malformed(fmt::format("sizes {} do not add up in 64 bits", text(op.sizes)));
    }
    Shape shape = x;
    shape[axis] = Dim(size);
    outputs.push_back({.dtype = cx.input(0).dtype, .shape = std::move(shape)});
  }
  if (compare(x[axis], Dim(total)) == Comparison::kDifferent) {
    return rule::malformed(fmt::format("sizes {} sum to {}, axis {} has extent {}", text(op.sizes), total, axis,
                                       x[axis].extent()));
  }
  cx.outputs = std::move(outputs);
  return {};
}

Status infer(const Slice& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const Shape& x = cx.input(0).shape;
  // The IR's own: begin, end and step have a value for each axis
  for (const std::size_t size : {op.begin.size(), op.end.size(), op.step.size()}) {
    if (size != x.size()) {
      return rule::malformed(fmt::format("begin, end and step have {}, {} and {} values for {} axes", op.begin.size(),
                                         op.end.size(), op.step.size(), x.size()));
    }
  }
  Shape shape;
  for (std::size_t i = 0; i < x.size(); ++i) {
    SMELT_ASSIGN_OR_RETURN(const Dim extent, slice_extent(x[i], op.begin[i], op.end[i], op.step[i], cx.symbols));
    shape.push_back(extent);
  }
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Gather& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 2));
  const Shape& x = cx.input(0).shape;
  const Shape& indices = cx.input(1).shape;
  SMELT_RETURN_IF_ERROR(check_indices(cx.input(1).dtype));
  // ONNX Gather-13: axis in [-r, r-1], made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axis_in_rank(op.axis, x.size()));
  Shape shape(x.begin(), x.begin() + op.axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), x.begin() + op.axis + 1, x.end());
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const GatherNd& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 2));
  const Shape& x = cx.input(0).shape;
  const Shape& indices = cx.input(1).shape;
  SMELT_RETURN_IF_ERROR(check_indices(cx.input(1).dtype));
  // ONNX GatherND-13: q >= 1 and r >= 1
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 1, SIZE_MAX));
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, 1, SIZE_MAX));
  // ONNX GatherND-13: b < min(q, r)
  const std::size_t limit = std::min(x.size(), indices.size());
  if (op.batch_axes < 0 || static_cast<std::size_t>(op.batch_axes) >= limit) {
    return rule::malformed(fmt::format("batch_axes is {}, in [0, {}) required", op.batch_axes, limit));
  }
  const auto batch_axes = static_cast<std::size_t>(op.batch_axes);
  for (std::size_t i = 0; i < batch_axes; ++i) {
    // ONNX GatherND-13: the first b extents are equal
    if (compare(x[i], indices[i]) == Comparison::kDifferent) {
      return rule::malformed(fmt::format("batch axis {} has extent {} in x, {} in indices", i, x[i].extent(),
                                         indices[i].extent()));
    }
  }
  // ONNX GatherND-13: indices_shape[-1] in [1, r - b], known
  const Dim length = indices.back();
  const std::size_t most = x.size() - batch_axes;
  if (!length.is_static() || length.extent() < 1 || static_cast<std::uint64_t>(length.extent()) > most) {
    return rule::malformed(fmt::format("index tuples have {} values, 1 to {} required", cx.symbols.text(length), most));
  }
  Shape shape(indices.begin(), indices.end() - 1);
  shape.insert(shape.end(), x.begin() + op.batch_axes + length.extent(), x.end());
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Expand& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  // The IR's own: extents >= 1
  for (const std::int64_t extent : op.shape) {
    if (extent < 1) return rule::malformed(fmt::format("extent {} in {}, at least 1 required", extent, text(op.shape)));
  }
  // ONNX Expand-13: the shapes broadcast
  SMELT_ASSIGN_OR_RETURN(Shape shape, broadcast(cx.input(0).shape, to_shape(op.shape), cx.symbols));
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace smelt::ir
