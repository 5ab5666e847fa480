#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "convert/coreml/lowering.h"
#include "ir/graph.h"
#include "ir/ops/all.h"
#include "tensor/host_tensor.h"

/// Graphs that go through a package and back, an op each.
namespace smelt::coreml_format {

/// How the elements of an operand are chosen.
enum class Fill {
  kPlain,     ///< floats in [-3, 3), integers in [-5, 5], bool by coin
  kPositive,  ///< floats in [0.25, 3), integers in [1, 5]
  kIndex,     ///< integers in [-bound, bound)
  kCount,     ///< integers in [0, bound)
};

struct Operand {
  std::vector<std::int64_t> shape;
  DType dtype = DType::kF32;
  bool is_constant = false;
  Fill fill = Fill::kPlain;
  std::int64_t bound = 0;
};

struct Case {
  std::string name;
  ir::Op op;
  std::vector<Operand> operands;  ///< an input of rank 0 is an input of one element, squeezed
  double tolerance = 0;           ///< of the largest of 1 and the expected magnitude
  Target since = Target::kIos15;  ///< after `until`: refused everywhere
  Target until = Target::kIos18;
};

inline constexpr double kF32Rounding = 1e-6;
inline constexpr double kF16Rounding = 1.0 / 1024;  ///< an ulp of float16 in [1, 2)

inline Operand in(std::vector<std::int64_t> shape, DType dtype = DType::kF32, Fill fill = Fill::kPlain, std::int64_t bound = 0) {
  return {.shape = std::move(shape), .dtype = dtype, .is_constant = false, .fill = fill, .bound = bound};
}
inline Operand weight(std::vector<std::int64_t> shape, DType dtype = DType::kF32, Fill fill = Fill::kPlain, std::int64_t bound = 0) {
  return {.shape = std::move(shape), .dtype = dtype, .is_constant = true, .fill = fill, .bound = bound};
}

[[nodiscard]] std::vector<Case> elementwise_cases();
[[nodiscard]] std::vector<Case> layer_cases();  ///< conv, pool, matmul, norm, reduce, quant
[[nodiscard]] std::vector<Case> shape_cases();
[[nodiscard]] std::vector<Case> rnn_cases();
[[nodiscard]] std::vector<Case> resample_cases();  ///< conv_transpose, pad, resize, is_nan

/// Fixed elements: the same seed, the same tensor.
[[nodiscard]] HostTensor fixed_tensor(const Operand& operand, std::uint32_t seed);

/// Cases side by side in one graph, a tensor for each input, and for each output its case.
struct CaseGraph {
  ir::Graph graph{"main"};
  std::vector<HostTensor> inputs;
  std::vector<const Case*> outputs;

  void add(const Case& c);
};

/// A tensor as another dtype, by the reference evaluator's cast.
[[nodiscard]] HostTensor as_dtype(const HostTensor& tensor, DType dtype);

}  // namespace smelt::coreml_format
