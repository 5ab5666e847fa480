#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// A matrix inside a tensor: elements from one row, and one column, to the next.
struct Steps {
  std::size_t row = 0, column = 0;
};

struct Extents {
  std::size_t rows = 0, inner = 0, columns = 0;
};

/// `out = initial + x * y`, row-major. T wraps or is a double.
template <typename T>
void multiply(const T* x, Steps x_steps, const T* y, Steps y_steps, Extents extents, const T* initial, T* out) {
  for (std::size_t i = 0; i < extents.rows; ++i) {
    for (std::size_t j = 0; j < extents.columns; ++j) {
      T sum = initial == nullptr ? T{0} : initial[j];
      for (std::size_t k = 0; k < extents.inner; ++k) {
        sum += x[i * x_steps.row + k * x_steps.column] * y[k * y_steps.row + j * y_steps.column];
      }
      *out++ = sum;
    }
  }
}

std::vector<std::uint64_t> load_wrapping(const HostTensor& tensor) {
  const std::vector<std::int64_t> values = to_int64s(tensor);
  return {values.begin(), values.end()};
}

/// The steps of a row-major matrix of `columns` columns, or of its transpose.
Steps matrix_steps(std::int64_t columns, bool is_transposed) {
  const auto step = static_cast<std::size_t>(columns);
  return is_transposed ? Steps{.row = 1, .column = step} : Steps{.row = step, .column = 1};
}

template <typename T>
std::vector<T> multiply_batches(const ir::MatMul& op, const Frame& frame, const std::vector<T>& x, const std::vector<T>& y) {
  const std::span<const std::int64_t> x_shape = frame.input(0).shape;
  const std::span<const std::int64_t> y_shape = frame.input(1).shape;
  const std::span<const std::int64_t> out_shape = frame.output().shape;
  const std::size_t batch_axes = out_shape.size() - 2;
  const Extents extents{
      .rows = static_cast<std::size_t>(out_shape[batch_axes]),
      .inner = static_cast<std::size_t>(x_shape[x_shape.size() - (op.transpose_x ? 2 : 1)]),
      .columns = static_cast<std::size_t>(out_shape[batch_axes + 1]),
  };
  const Steps x_steps = matrix_steps(x_shape.back(), op.transpose_x);
  const Steps y_steps = matrix_steps(y_shape.back(), op.transpose_y);
  const auto batches = out_shape.first(batch_axes);
  Walk<2> walk(batches, {broadcast_strides(x_shape.first(x_shape.size() - 2), batches),
                         broadcast_strides(y_shape.first(y_shape.size() - 2), batches)});
  const std::size_t out_size = extents.rows * extents.columns;
  std::vector<T> out(extent_product(out_shape, 0, out_shape.size()));
  for (std::size_t offset = 0; offset < out.size(); offset += out_size) {
    multiply<T>(x.data() + walk.offset(0) * extents.rows * extents.inner, x_steps,
                y.data() + walk.offset(1) * extents.inner * extents.columns, y_steps, extents, nullptr, out.data() + offset);
    walk.next();
  }
  return out;
}

}  // namespace

Status run(const ir::MatMul& op, const Frame& frame) {
  if (is_float(frame.input(0).dtype)) {
    store(frame.output(), multiply_batches(op, frame, to_doubles(frame.input(0)), to_doubles(frame.input(1))));
    return {};
  }
  const std::vector<std::uint64_t> out =
      multiply_batches(op, frame, load_wrapping(frame.input(0)), load_wrapping(frame.input(1)));
  store(frame.output(), std::vector<std::int64_t>(out.begin(), out.end()));
  return {};
}

Status run(const ir::Linear&, const Frame& frame) {
  const std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> w = to_doubles(frame.input(1));
  const std::vector<double> b = frame.has(2) ? to_doubles(frame.input(2)) : std::vector<double>();
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const Extents extents{.rows = extent_product(shape, 0, shape.size() - 1),
                        .inner = static_cast<std::size_t>(shape.back()),
                        .columns = static_cast<std::size_t>(frame.input(1).shape[0])};
  std::vector<double> out(extents.rows * extents.columns);
  multiply<double>(x.data(), {.row = extents.inner, .column = 1}, w.data(), {.row = 1, .column = extents.inner}, extents,
                   b.empty() ? nullptr : b.data(), out.data());
  store(frame.output(), out);
  return {};
}

}  // namespace smelt::eval
