#include <cmath>
#include <limits>

#include "eval/ops/families.h"

namespace smelt::eval {
namespace {

/// Softmax in place; a row of minus infinities, or with a NaN, becomes NaN.
void softmax(std::vector<double>& row) {
  double highest = -std::numeric_limits<double>::infinity();
  for (const double x : row) highest = std::isnan(x) || x > highest ? x : highest;
  double sum = 0;
  for (double& x : row) sum += x = std::exp(x - highest);
  for (double& x : row) x /= sum;
}

}  // namespace

Status run(const ir::Attention& op, const Frame& frame) {
  const std::vector<double> query = to_doubles(frame.input(0)), key = to_doubles(frame.input(1)), value = to_doubles(frame.input(2));
  const std::vector<double> mask = frame.has(3) ? to_doubles(frame.input(3)) : std::vector<double>();
  const std::vector<std::int64_t>& shape = frame.input(0).shape;
  const std::size_t rank = shape.size();
  const auto rows = static_cast<std::size_t>(shape[rank - 2]), depth = static_cast<std::size_t>(shape[rank - 1]);
  const auto keys = static_cast<std::size_t>(frame.input(1).shape[rank - 2]);
  const auto columns = static_cast<std::size_t>(frame.input(2).shape[rank - 1]);
  // One step of the walk is one row of scores: [*B, L, S] without its last axis.
  std::vector<std::int64_t> scores(shape.begin(), shape.end() - 1);
  scores.push_back(static_cast<std::int64_t>(keys));
  std::vector<std::int64_t> mask_strides = frame.has(3) ? broadcast_strides(frame.input(3).shape, scores) : std::vector<std::int64_t>(rank, 0);
  const auto mask_step = static_cast<std::size_t>(mask_strides.back());
  mask_strides.pop_back();
  scores.pop_back();
  Walk<1> walk(scores, {mask_strides});
  std::vector<double> out(extent_product(frame.output().shape, 0, rank)), row(keys);
  for (std::size_t line = 0; line < extent_product(shape, 0, rank - 1); ++line) {
    const std::size_t batch = line / rows;
    for (std::size_t j = 0; j < keys; ++j) {
      double sum = 0;
      for (std::size_t e = 0; e < depth; ++e) sum += query[line * depth + e] * key[(batch * keys + j) * depth + e];
      row[j] = sum * static_cast<double>(op.scale) + (mask.empty() ? 0.0 : mask[walk.offset(0) + j * mask_step]);
    }
    softmax(row);
    for (std::size_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (std::size_t j = 0; j < keys; ++j) sum += row[j] * value[(batch * keys + j) * columns + c];
      out[line * columns + c] = sum;
    }
    walk.next();
  }
  store(frame.output(), out);
  return {};
}

}  // namespace smelt::eval
