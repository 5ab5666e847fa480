#include <cstring>

#include <fmt/format.h>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// These ops move elements and never look at them, so they work on bytes; 4-bit elements are unpacked around them.
template <typename Move>
Status on_whole_bytes(const Frame& frame, Move move) {
  if (!is_4_bit(frame.output().dtype)) return move(frame);
  std::vector<HostTensor> inputs;
  std::vector<HostTensor> outputs;
  for (const HostTensor* input : frame.inputs) inputs.push_back(unpack_4_bit(*input));
  for (const HostTensor& output : frame.outputs) {
    HostTensor whole{.dtype = inputs.front().dtype, .shape = output.shape, .bytes = {}};
    whole.bytes.resize(extent_product(output.shape, 0, output.shape.size()));
    outputs.push_back(std::move(whole));
  }
  std::vector<const HostTensor*> operands;
  for (const HostTensor& input : inputs) operands.push_back(&input);
  SMELT_RETURN_IF_ERROR(move(Frame{.inputs = operands, .outputs = outputs}));
  for (std::size_t k = 0; k < outputs.size(); ++k) pack_4_bit(outputs[k], frame.outputs[k]);
  return {};
}

/// memcpy, but of nothing too.
void copy(std::byte* to, const std::byte* from, std::size_t size) {
  if (size != 0) std::memcpy(to, from, size);
}

/// `out[index] = source[start + sum(index * strides)]`. Trailing axes that lie together in both are copied as one block.
void copy_strided(const HostTensor& source, std::int64_t start, std::vector<std::int64_t> strides, HostTensor& out) {
  std::vector<std::int64_t> shape = out.shape;
  std::int64_t block = 1;
  while (!shape.empty() && (shape.back() == 1 || strides.back() == block)) {
    block *= shape.back();
    shape.pop_back();
    strides.pop_back();
  }
  const std::size_t size = element_bytes(source);
  const std::size_t block_bytes = static_cast<std::size_t>(block) * size;
  Walk<1> walk(shape, {std::move(strides)});
  for (std::size_t to = 0; to < out.bytes.size(); to += block_bytes) {
    // Going backwards along an axis the walk's own offset wraps below zero, and the sum back.
    const std::size_t from = static_cast<std::size_t>(start) + walk.offset(0);
    std::memcpy(&out.bytes[to], &source.bytes[from * size], block_bytes);
    walk.next();
  }
}

Status copy_all(const Frame& frame) {
  frame.output().bytes = frame.input(0).bytes;
  return {};
}

Status transpose(const ir::Transpose& op, const Frame& frame) {
  const std::vector<std::int64_t> strides = row_major_strides(frame.input(0).shape);
  std::vector<std::int64_t> moved;
  for (const std::int64_t axis : op.perm) moved.push_back(strides[static_cast<std::size_t>(axis)]);
  copy_strided(frame.input(0), 0, std::move(moved), frame.output());
  return {};
}

Status slice(const ir::Slice& op, const Frame& frame) {
  std::vector<std::int64_t> strides = row_major_strides(frame.input(0).shape);
  std::int64_t start = 0;
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    start += op.begin[axis] * strides[axis];
    // A step past the end is never taken, and might not fit.
    strides[axis] = frame.output().shape[axis] > 1 ? op.step[axis] * strides[axis] : 0;
  }
  copy_strided(frame.input(0), start, std::move(strides), frame.output());
  return {};
}

Status concat(const ir::Concat& op, const Frame& frame) {
  const auto axis = static_cast<std::size_t>(op.axis);
  HostTensor& out = frame.output();
  const std::size_t outer = extent_product(out.shape, 0, axis);
  const std::size_t row = out.bytes.size() / outer;
  std::size_t begin = 0;
  for (const HostTensor* input : frame.inputs) {
    const std::size_t piece = input->bytes.size() / outer;
    for (std::size_t i = 0; i < outer; ++i) copy(out.bytes.data() + i * row + begin, input->bytes.data() + i * piece, piece);
    begin += piece;
  }
  return {};
}

Status split(const ir::Split& op, const Frame& frame) {
  const auto axis = static_cast<std::size_t>(op.axis);
  const HostTensor& x = frame.input(0);
  const std::size_t outer = extent_product(x.shape, 0, axis);
  const std::size_t row = x.bytes.size() / outer;
  std::size_t begin = 0;
  for (HostTensor& out : frame.outputs) {
    const std::size_t piece = out.bytes.size() / outer;
    for (std::size_t i = 0; i < outer; ++i) copy(out.bytes.data() + i * piece, x.bytes.data() + i * row + begin, piece);
    begin += piece;
  }
  return {};
}

/// An index as it counts from the front.
Result<std::size_t> resolve_index(std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent) {
    return invalid(fmt::format("index {} is not in [{}, {})", index, -extent, extent));
  }
  return static_cast<std::size_t>(index < 0 ? index + extent : index);
}

Status gather(const ir::Gather& op, const Frame& frame, const std::vector<std::int64_t>& indices) {
  const HostTensor& x = frame.input(0);
  const auto axis = static_cast<std::size_t>(op.axis);
  const std::size_t outer = extent_product(x.shape, 0, axis);
  const std::size_t block = extent_product(x.shape, axis + 1, x.shape.size()) * element_bytes(x);
  const auto extent = static_cast<std::size_t>(x.shape[axis]);
  std::byte* to = frame.output().bytes.data();
  for (std::size_t i = 0; i < outer; ++i) {
    for (const std::int64_t index : indices) {
      SMELT_ASSIGN_OR_RETURN(const std::size_t at, resolve_index(index, x.shape[axis]));
      std::memcpy(to, x.bytes.data() + (i * extent + at) * block, block);
      to += block;
    }
  }
  return {};
}

Status gather_nd(const ir::GatherNd& op, const Frame& frame, const std::vector<std::int64_t>& indices) {
  const HostTensor& x = frame.input(0);
  const std::vector<std::int64_t>& index_shape = frame.input(1).shape;
  const auto batch_axes = static_cast<std::size_t>(op.batch_axes);
  const auto length = static_cast<std::size_t>(index_shape.back());
  const std::size_t batches = extent_product(index_shape, 0, batch_axes);
  const std::size_t tuples = extent_product(index_shape, batch_axes, index_shape.size() - 1);
  const std::size_t block = extent_product(x.shape, batch_axes + length, x.shape.size()) * element_bytes(x);
  const std::int64_t* index = indices.data();
  std::byte* to = frame.output().bytes.data();
  for (std::size_t batch = 0; batch < batches; ++batch) {
    for (std::size_t tuple = 0; tuple < tuples; ++tuple) {
      std::size_t at = batch;
      for (std::size_t k = 0; k < length; ++k) {
        const std::int64_t extent = x.shape[batch_axes + k];
        SMELT_ASSIGN_OR_RETURN(const std::size_t resolved, resolve_index(*index++, extent));
        at = at * static_cast<std::size_t>(extent) + resolved;
      }
      std::memcpy(to, x.bytes.data() + at * block, block);
      to += block;
    }
  }
  return {};
}

}  // namespace

Status run(const ir::Reshape&, const Frame& frame) { return copy_all(frame); }
Status run(const ir::Squeeze&, const Frame& frame) { return copy_all(frame); }
Status run(const ir::ExpandDims&, const Frame& frame) { return copy_all(frame); }

Status run(const ir::Transpose& op, const Frame& frame) {
  return on_whole_bytes(frame, [&op](const Frame& whole) { return transpose(op, whole); });
}

Status run(const ir::Concat& op, const Frame& frame) {
  return on_whole_bytes(frame, [&op](const Frame& whole) { return concat(op, whole); });
}

Status run(const ir::Split& op, const Frame& frame) {
  return on_whole_bytes(frame, [&op](const Frame& whole) { return split(op, whole); });
}

Status run(const ir::Slice& op, const Frame& frame) {
  return on_whole_bytes(frame, [&op](const Frame& whole) { return slice(op, whole); });
}

Status run(const ir::Gather& op, const Frame& frame) {
  const std::vector<std::int64_t> indices = to_int64s(frame.input(1));
  return on_whole_bytes(frame, [&op, &indices](const Frame& whole) { return gather(op, whole, indices); });
}

Status run(const ir::GatherNd& op, const Frame& frame) {
  const std::vector<std::int64_t> indices = to_int64s(frame.input(1));
  return on_whole_bytes(frame, [&op, &indices](const Frame& whole) { return gather_nd(op, whole, indices); });
}

Status run(const ir::Expand&, const Frame& frame) {
  return on_whole_bytes(frame, [](const Frame& whole) {
    copy_strided(whole.input(0), 0, broadcast_strides(whole.input(0).shape, whole.output().shape), whole.output());
    return Status();
  });
}

}  // namespace smelt::eval
