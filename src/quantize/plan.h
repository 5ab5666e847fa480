#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "smelt/result.h"

/// Weight compression in steps: plan, apply. The plan is data; only `apply` touches the graph.
namespace smelt::quantize {

/// Weights of at most this size are left alone.
struct Threshold {
  std::uint64_t amount = 512;
  bool is_bytes = false;  ///< else elements; bytes are those of the float32 weight
};

/// "512" (elements), "512B", "2KiB", "1MiB". `kInvalidArgument` otherwise.
[[nodiscard]] Result<Threshold> parse_threshold(const std::string& text);
[[nodiscard]] std::string threshold_text(const Threshold& threshold);  ///< "512 elements", "2048 bytes"

struct Policy {
  Threshold threshold;
  bool stores_f16_scales = false;  ///< the package computes in float16
  unsigned jobs = 1;               ///< weights looked at at a time; the plan is the same for any number
};

/// What happens to one weight, and why.
struct Decision {
  ir::ValueId weight;
  std::string name;
  std::uint64_t elements = 0;
  bool is_quantized = false;       ///< int8 per channel; else float
  std::int64_t axis = 0;           ///< of the scales
  std::vector<float> scales;
  std::string reason;              ///< "policy", or why it stays: "not above the threshold of 512 elements", ...
};

struct Plan {
  std::vector<Decision> decisions;  ///< every float weight of a convolution, product or table, by value id
};

/// Decides for every float32 constant of rank 2 or more that is the weight of a conv, linear, matmul or gather. `kInvalidArgument`
/// when nothing is above the threshold, naming the largest weight.
[[nodiscard]] Result<Plan> plan_int8(const ir::Graph& graph, const Policy& policy);

/// Puts dequantize nodes in place of the weights that the plan quantizes.
[[nodiscard]] Status apply(ir::Graph& graph, const Plan& plan);

}  // namespace smelt::quantize
