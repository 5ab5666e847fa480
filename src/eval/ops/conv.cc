#include <optional>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// One spatial axis. A missing one is of extent 1 throughout, so that every convolution has three.
struct Axis {
  std::int64_t in = 1, kernel = 1, out = 1;
  std::int64_t stride = 1, dilation = 1, pad = 0;

  /// The input index under kernel index `k` of output index `o`, if it is not padding.
  [[nodiscard]] std::optional<std::int64_t> index(std::int64_t o, std::int64_t k) const {
    const std::int64_t i = o * stride - pad + k * dilation;
    if (i < 0 || i >= in) return std::nullopt;
    return i;
  }
};

template <typename Op>
std::array<Axis, 3> spatial_axes(const Op& op, const Frame& frame) {
  std::array<Axis, 3> axes{};
  const std::size_t count = op.stride.size();
  for (std::size_t i = 0; i < count; ++i) {
    axes[3 - count + i] = {.in = frame.input(0).shape[i + 2], .kernel = frame.input(1).shape[i + 2],
                           .out = frame.output().shape[i + 2], .stride = op.stride[i], .dilation = op.dilation[i],
                           .pad = op.pads_begin[i]};
  }
  return axes;
}

/// One channel of x under one kernel, at one output index.
double correlate(const double* x, const double* w, const std::array<Axis, 3>& axes, const std::array<std::int64_t, 3>& at) {
  double sum = 0;
  for (std::int64_t a = 0; a < axes[0].kernel; ++a) {
    const std::optional<std::int64_t> plane = axes[0].index(at[0], a);
    if (!plane) continue;
    for (std::int64_t b = 0; b < axes[1].kernel; ++b) {
      const std::optional<std::int64_t> row = axes[1].index(at[1], b);
      if (!row) continue;
      const double* line = x + (*plane * axes[1].in + *row) * axes[2].in;
      const double* weights = w + (a * axes[1].kernel + b) * axes[2].kernel;
      for (std::int64_t c = 0; c < axes[2].kernel; ++c) {
        if (const std::optional<std::int64_t> column = axes[2].index(at[2], c)) sum += line[*column] * weights[c];
      }
    }
  }
  return sum;
}

/// All output indices of one output channel of one sample. `channels` of x from `x` on, as many kernels from `w` on.
void convolve_channel(const double* x, const double* w, std::int64_t channels, double bias, const std::array<Axis, 3>& axes,
                      double* out) {
  const std::int64_t x_size = axes[0].in * axes[1].in * axes[2].in;
  const std::int64_t w_size = axes[0].kernel * axes[1].kernel * axes[2].kernel;
  for (std::int64_t a = 0; a < axes[0].out; ++a) {
    for (std::int64_t b = 0; b < axes[1].out; ++b) {
      for (std::int64_t c = 0; c < axes[2].out; ++c) {
        double sum = bias;
        for (std::int64_t k = 0; k < channels; ++k) sum += correlate(x + k * x_size, w + k * w_size, axes, {a, b, c});
        *out++ = sum;
      }
    }
  }
}

/// One channel of x through one kernel, added to one channel of y. `pad` and `out` of the axes are those of the result.
void scatter(const double* x, const double* w, const std::array<Axis, 3>& axes, double* y) {
  const auto target = [](const Axis& axis, std::int64_t i, std::int64_t k) -> std::optional<std::int64_t> {
    const std::int64_t o = i * axis.stride + k * axis.dilation - axis.pad;
    if (o < 0 || o >= axis.out) return std::nullopt;
    return o;
  };
  for (std::int64_t a = 0; a < axes[0].in * axes[0].kernel; ++a) {
    const std::optional<std::int64_t> plane = target(axes[0], a / axes[0].kernel, a % axes[0].kernel);
    if (!plane) continue;
    for (std::int64_t b = 0; b < axes[1].in * axes[1].kernel; ++b) {
      const std::optional<std::int64_t> row = target(axes[1], b / axes[1].kernel, b % axes[1].kernel);
      if (!row) continue;
      const double* line = x + (a / axes[0].kernel * axes[1].in + b / axes[1].kernel) * axes[2].in;
      const double* weights = w + (a % axes[0].kernel * axes[1].kernel + b % axes[1].kernel) * axes[2].kernel;
      double* to = y + (*plane * axes[1].out + *row) * axes[2].out;
      for (std::int64_t i = 0; i < axes[2].in; ++i) {
        for (std::int64_t k = 0; k < axes[2].kernel; ++k) {
          if (const std::optional<std::int64_t> column = target(axes[2], i, k)) to[*column] += line[i] * weights[k];
        }
      }
    }
  }
}

}  // namespace

Status run(const ir::Conv& op, const Frame& frame) {
  const std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> w = to_doubles(frame.input(1));
  const std::vector<double> b = frame.has(2) ? to_doubles(frame.input(2)) : std::vector<double>();
  const std::array<Axis, 3> axes = spatial_axes(op, frame);
  const std::vector<std::int64_t>& w_shape = frame.input(1).shape;
  const std::size_t x_size = extent_product(frame.input(0).shape, 2, frame.input(0).shape.size());
  const std::size_t w_size = extent_product(w_shape, 1, w_shape.size());
  const std::size_t out_size = extent_product(frame.output().shape, 2, frame.output().shape.size());
  const auto channels_in = static_cast<std::size_t>(frame.input(0).shape[1]);
  const auto channels_out = static_cast<std::size_t>(w_shape[0]);
  const std::size_t group_in = static_cast<std::size_t>(w_shape[1]);
  const std::size_t group_out = channels_out / static_cast<std::size_t>(op.groups);
  const auto samples = static_cast<std::size_t>(frame.output().shape[0]);
  std::vector<double> out(samples * channels_out * out_size);
  for (std::size_t n = 0; n < samples; ++n) {
    for (std::size_t channel = 0; channel < channels_out; ++channel) {
      const std::size_t first_in = n * channels_in + channel / group_out * group_in;
      convolve_channel(x.data() + first_in * x_size, w.data() + channel * w_size, w_shape[1], b.empty() ? 0.0 : b[channel],
                       axes, out.data() + (n * channels_out + channel) * out_size);
    }
  }
  store(frame.output(), out);
  return {};
}

Status run(const ir::ConvTranspose& op, const Frame& frame) {
  const std::vector<double> x = to_doubles(frame.input(0));
  const std::vector<double> w = to_doubles(frame.input(1));
  const std::vector<double> b = frame.has(2) ? to_doubles(frame.input(2)) : std::vector<double>();
  const std::array<Axis, 3> axes = spatial_axes(op, frame);
  const std::vector<std::int64_t>& w_shape = frame.input(1).shape;
  const std::size_t x_size = extent_product(frame.input(0).shape, 2, frame.input(0).shape.size());
  const std::size_t w_size = extent_product(w_shape, 2, w_shape.size());
  const std::size_t out_size = extent_product(frame.output().shape, 2, frame.output().shape.size());
  const auto channels_in = static_cast<std::size_t>(w_shape[0]);
  const auto group_out = static_cast<std::size_t>(w_shape[1]);
  const auto groups = static_cast<std::size_t>(op.groups);
  const std::size_t channels_out = group_out * groups;
  const auto samples = static_cast<std::size_t>(frame.output().shape[0]);
  std::vector<double> out(samples * channels_out * out_size, 0.0);
  for (std::size_t n = 0; n < samples; ++n) {
    for (std::size_t in = 0; in < channels_in; ++in) {
      for (std::size_t k = 0; k < group_out; ++k) {
        const std::size_t channel = in / (channels_in / groups) * group_out + k;
        scatter(x.data() + (n * channels_in + in) * x_size, w.data() + (in * group_out + k) * w_size, axes,
                out.data() + (n * channels_out + channel) * out_size);
      }
    }
  }
  for (std::size_t k = 0; k < out.size() && !b.empty(); ++k) out[k] += b[k / out_size % channels_out];
  store(frame.output(), out);
  return {};
}

}  // namespace smelt::eval
