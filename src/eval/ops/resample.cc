#include <cstring>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// Elements of x along an axis; -1: the fill.
using Sources = std::vector<std::vector<std::int64_t>>;

/// `out[index] = x[sources[0][index[0]], ...]`, or the fill where one of them is -1. Elements of whole bytes.
void pick(const HostTensor& x, const Sources& sources, const std::vector<std::byte>& fill, HostTensor& out) {
  const std::vector<std::int64_t> strides = row_major_strides(x.shape);
  const std::size_t size = element_bytes(x);
  std::vector<std::size_t> index(out.shape.size(), 0);
  for (std::size_t to = 0; to < out.bytes.size(); to += size) {
    std::int64_t from = 0;
    for (std::size_t axis = 0; axis < index.size() && from >= 0; ++axis) {
      const std::int64_t source = sources[axis][index[axis]];
      from = source < 0 ? -1 : from + source * strides[axis];
    }
    std::memcpy(&out.bytes[to], from < 0 ? fill.data() : &x.bytes[static_cast<std::size_t>(from) * size], size);
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < sources[axis].size()) break;
      index[axis] = 0;
    }
  }
}

/// The same for every dtype.
void pick_any(const HostTensor& x, const Sources& sources, const HostTensor& fill, HostTensor& out) {
  if (!is_4_bit(x.dtype)) {
    pick(x, sources, fill.bytes, out);
    return;
  }
  const HostTensor whole_x = unpack_4_bit(x);
  HostTensor whole{.dtype = whole_x.dtype, .shape = out.shape, .bytes = {}};
  whole.bytes.resize(extent_product(out.shape, 0, out.shape.size()));
  pick(whole_x, sources, unpack_4_bit(fill).bytes, whole);
  pack_4_bit(whole, out);
}

HostTensor one_element(DType dtype, float value) {
  HostTensor tensor{.dtype = dtype, .shape = {}, .bytes = std::vector<std::byte>(std::max<std::size_t>(bits(dtype) / 8, 1))};
  if (is_float(dtype)) {
    const double number = static_cast<double>(value);
    store(tensor, std::span(&number, 1));
  } else {
    const auto number = static_cast<std::int64_t>(value);
    store(tensor, std::span(&number, 1));
  }
  return tensor;
}

}  // namespace

Status run(const ir::Pad& op, const Frame& frame) {
  const HostTensor& x = frame.input(0);
  Sources sources;
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis) sources.push_back(ir::pad_sources(op, axis, x.shape[axis]));
  pick_any(x, sources, one_element(x.dtype, op.value), frame.output());
  return {};
}

Status run(const ir::Resize& op, const Frame& frame) {
  const HostTensor& x = frame.input(0);
  const std::size_t rank = x.shape.size();
  const std::vector<ir::ResizeTap> rows = ir::resize_taps(op, 0, x.shape[rank - 2]);
  const std::vector<ir::ResizeTap> columns = ir::resize_taps(op, 1, x.shape[rank - 1]);
  if (op.mode == ir::ResizeMode::kNearest) {
    Sources sources(rank);
    for (std::size_t axis = 0; axis + 2 < rank; ++axis) {
      for (std::int64_t i = 0; i < x.shape[axis]; ++i) sources[axis].push_back(i);
    }
    for (const ir::ResizeTap& tap : rows) sources[rank - 2].push_back(tap.low);
    for (const ir::ResizeTap& tap : columns) sources[rank - 1].push_back(tap.low);
    pick_any(x, sources, one_element(x.dtype, 0), frame.output());
    return {};
  }
  const std::vector<double> values = to_doubles(x);
  const std::int64_t width = x.shape[rank - 1], height = x.shape[rank - 2];
  const auto between = [](double low, double high, float weight) {
    return weight == 0.0F ? low : low * (1.0 - static_cast<double>(weight)) + high * static_cast<double>(weight);
  };
  std::vector<double> out;
  for (std::size_t image = 0; image < extent_product(x.shape, 0, rank - 2); ++image) {
    const double* from = values.data() + static_cast<std::int64_t>(image) * height * width;
    for (const ir::ResizeTap& row : rows) {
      for (const ir::ResizeTap& column : columns) {
        const auto along = [&](std::int64_t y) { return between(from[y * width + column.low], from[y * width + column.high], column.weight); };
        out.push_back(between(along(row.low), along(row.high), row.weight));
      }
    }
  }
  store(frame.output(), out);
  return {};
}

}  // namespace smelt::eval
