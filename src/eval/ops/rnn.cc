#include <cmath>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The operands of a recurrent op as doubles, an absent one as zeros; its extents.
struct Recurrent {
  std::size_t steps, batch, features, hidden, directions, gates;
  std::vector<double> x, w, r, b;
  std::vector<std::vector<double>> states;  ///< h, and c of Lstm: [D, B, H], updated in place
  std::vector<double> y;

  Recurrent(const Frame& frame, std::int64_t hidden_size, ir::RnnDirection direction, std::size_t gate_count, std::size_t state_count)
      : steps(static_cast<std::size_t>(frame.input(0).shape[0])),
        batch(static_cast<std::size_t>(frame.input(0).shape[1])),
        features(static_cast<std::size_t>(frame.input(0).shape[2])),
        hidden(static_cast<std::size_t>(hidden_size)),
        directions(static_cast<std::size_t>(ir::direction_count(direction))),
        gates(gate_count),
        x(to_doubles(frame.input(0))), w(to_doubles(frame.input(1))), r(to_doubles(frame.input(2))),
        b(frame.has(3) ? to_doubles(frame.input(3)) : std::vector<double>(directions * 2 * gates * hidden)),
        y(steps * directions * batch * hidden) {
    for (std::size_t k = 4; k < 4 + state_count; ++k) {
      states.push_back(frame.has(k) ? to_doubles(frame.input(k)) : std::vector<double>(directions * batch * hidden));
    }
  }

  /// Row `row` of w times x at a step, plus its bias.
  [[nodiscard]] double from_input(std::size_t d, std::size_t row, std::size_t step, std::size_t n) const {
    const std::size_t rows = gates * hidden;
    double sum = b[d * 2 * rows + row];
    for (std::size_t k = 0; k < features; ++k) {
      sum += w[(d * rows + row) * features + k] * x[(step * batch + n) * features + k];
    }
    return sum;
  }
  /// Row `row` of r times a state of one sample, plus its bias.
  [[nodiscard]] double from_state(std::size_t d, std::size_t row, std::span<const double> state) const {
    const std::size_t rows = gates * hidden;
    double sum = b[d * 2 * rows + rows + row];
    for (std::size_t k = 0; k < hidden; ++k) sum += r[(d * rows + row) * hidden + k] * state[k];
    return sum;
  }
};

/// Calls `cell(d, n, step)`, which updates the states, in processing order, and collects h; then stores the results.
template <typename Cell>
Status run_recurrent(Recurrent& net, ir::RnnDirection direction, const Frame& frame, const Cell& cell) {
  for (std::size_t d = 0; d < net.directions; ++d) {
    const bool is_backward = d == 1 || direction == ir::RnnDirection::kReverse;
    for (std::size_t k = 0; k < net.steps; ++k) {
      const std::size_t step = is_backward ? net.steps - 1 - k : k;
      for (std::size_t n = 0; n < net.batch; ++n) {
        cell(d, n, step);
        const auto* const h = &net.states[0][(d * net.batch + n) * net.hidden];
        std::copy(h, h + net.hidden, &net.y[((step * net.directions + d) * net.batch + n) * net.hidden]);
      }
    }
  }
  store(frame.outputs[0], net.y);
  for (std::size_t k = 0; k < net.states.size(); ++k) store(frame.outputs[k + 1], net.states[k]);
  return {};
}

}  // namespace

Status run(const ir::Lstm& op, const Frame& frame) {
  Recurrent net(frame, op.hidden_size, op.direction, 4, 2);
  const std::size_t hidden = net.hidden;
  return run_recurrent(net, op.direction, frame, [&](std::size_t d, std::size_t n, std::size_t step) {
    double* const h = &net.states[0][(d * net.batch + n) * hidden];
    double* const c = &net.states[1][(d * net.batch + n) * hidden];
    const std::vector<double> before(h, h + hidden);
    const auto gate = [&](std::size_t row) { return net.from_input(d, row, step, n) + net.from_state(d, row, before); };
    for (std::size_t k = 0; k < hidden; ++k) {  // rows: i, o, f, c
      c[k] = sigmoid(gate(2 * hidden + k)) * c[k] + sigmoid(gate(k)) * std::tanh(gate(3 * hidden + k));
      h[k] = sigmoid(gate(hidden + k)) * std::tanh(c[k]);
    }
  });
}

Status run(const ir::Gru& op, const Frame& frame) {
  Recurrent net(frame, op.hidden_size, op.direction, 3, 1);
  const std::size_t hidden = net.hidden;
  return run_recurrent(net, op.direction, frame, [&](std::size_t d, std::size_t n, std::size_t step) {
    double* const h = &net.states[0][(d * net.batch + n) * hidden];
    const std::vector<double> before(h, h + hidden);
    std::vector<double> reset(hidden), scaled(hidden);
    for (std::size_t k = 0; k < hidden; ++k) {  // rows: z, r, h
      reset[k] = sigmoid(net.from_input(d, hidden + k, step, n) + net.from_state(d, hidden + k, before));
      scaled[k] = reset[k] * before[k];
    }
    for (std::size_t k = 0; k < hidden; ++k) {
      const std::size_t row = 2 * hidden + k;
      const double z = sigmoid(net.from_input(d, k, step, n) + net.from_state(d, k, before));
      const double recurrent = op.resets_after ? reset[k] * net.from_state(d, row, before) : net.from_state(d, row, scaled);
      h[k] = (1 - z) * std::tanh(net.from_input(d, row, step, n) + recurrent) + z * before[k];
    }
  });
}

}  // namespace smelt::eval
