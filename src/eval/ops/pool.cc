#include <cmath>
#include <limits>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// One spatial axis. A missing one is of extent 1 throughout, so that every pool has three.
struct Axis {
  std::int64_t in = 1, kernel = 1, out = 1;
  std::int64_t stride = 1, pad = 0;

  /// The window's first input index and the one after its last, without the padding.
  [[nodiscard]] std::int64_t begin(std::int64_t o) const { return std::max<std::int64_t>(o * stride - pad, 0); }
  [[nodiscard]] std::int64_t end(std::int64_t o) const { return std::min(o * stride - pad + kernel, in); }
};

template <typename T>
std::array<Axis, 3> spatial_axes(const T& op, const Frame& frame) {
  std::array<Axis, 3> axes{};
  const std::size_t count = op.kernel.size();
  for (std::size_t i = 0; i < count; ++i) {
    axes[3 - count + i] = {.in = frame.input(0).shape[i + 2], .kernel = op.kernel[i], .out = frame.output().shape[i + 2],
                           .stride = op.stride[i], .pad = op.pads_begin[i]};
  }
  return axes;
}

/// Calls `visit` with every element of one window.
template <typename Visit>
void visit_window(const double* x, const std::array<Axis, 3>& axes, const std::array<std::int64_t, 3>& at, Visit visit) {
  for (std::int64_t a = axes[0].begin(at[0]); a < axes[0].end(at[0]); ++a) {
    for (std::int64_t b = axes[1].begin(at[1]); b < axes[1].end(at[1]); ++b) {
      for (std::int64_t c = axes[2].begin(at[2]); c < axes[2].end(at[2]); ++c) {
        visit(x[(a * axes[1].in + b) * axes[2].in + c]);
      }
    }
  }
}

/// `window(x, at)` for every output index of every channel.
template <typename Window>
void pool(const Frame& frame, const std::array<Axis, 3>& axes, Window window) {
  const std::vector<double> x = to_doubles(frame.input(0));
  const std::size_t x_size = extent_product(frame.input(0).shape, 2, frame.input(0).shape.size());
  const std::size_t channels = extent_product(frame.input(0).shape, 0, 2);
  std::vector<double> out;
  out.reserve(channels * extent_product(frame.output().shape, 2, frame.output().shape.size()));
  for (std::size_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t a = 0; a < axes[0].out; ++a) {
      for (std::int64_t b = 0; b < axes[1].out; ++b) {
        for (std::int64_t c = 0; c < axes[2].out; ++c) {
          out.push_back(window(x.data() + channel * x_size, std::array<std::int64_t, 3>{a, b, c}));
        }
      }
    }
  }
  store(frame.output(), out);
}

}  // namespace

Status run(const ir::MaxPool& op, const Frame& frame) {
  const std::array<Axis, 3> axes = spatial_axes(op, frame);
  pool(frame, axes, [&axes](const double* x, const std::array<std::int64_t, 3>& at) {
    double highest = -std::numeric_limits<double>::infinity();
    visit_window(x, axes, at, [&highest](double value) {
      if (std::isnan(value) || value > highest) highest = value;  // a NaN stays: nothing is greater
    });
    return highest;
  });
  return {};
}

Status run(const ir::AveragePool& op, const Frame& frame) {
  const std::array<Axis, 3> axes = spatial_axes(op, frame);
  double whole = 1;
  for (const Axis& axis : axes) whole *= static_cast<double>(axis.kernel);
  const bool counts_padding = op.counts_padding;
  pool(frame, axes, [&axes, whole, counts_padding](const double* x, const std::array<std::int64_t, 3>& at) {
    double sum = 0;
    double count = 0;
    visit_window(x, axes, at, [&sum, &count](double value) {
      sum += value;
      ++count;
    });
    return sum / (counts_padding ? whole : count);
  });
  return {};
}

}  // namespace smelt::eval
