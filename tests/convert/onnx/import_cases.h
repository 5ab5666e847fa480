#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "convert/onnx/model_builder.h"
#include "tensor/host_tensor.h"

/// One operator at one opset, its operands, and what ONNX Runtime 1.32 gives for them.
namespace smelt::onnx_format {

using Ints = std::vector<std::int64_t>;

struct Arg {
  enum class Kind { kInput, kConstant, kAbsent };
  HostTensor tensor;
  Kind kind = Kind::kInput;
};

struct Out {
  std::string type;            ///< "f32[2, 3]"
  std::vector<double> values;
};

struct Case {
  std::string op_type, what;
  std::int64_t opset = 7;
  std::vector<Arg> args;
  std::vector<Attr> attributes;
  std::vector<Out> expected;  ///< one for each output
};

// Operands with fixed elements. Halves between -2.5 and 2.5 (x), quarters above 0 (p), small integers (i), by coin (b).
[[nodiscard]] Arg x(Ints shape, DType dtype = DType::kF32, int first = 3);
[[nodiscard]] Arg p(Ints shape, DType dtype = DType::kF32);
[[nodiscard]] Arg i(Ints shape, DType dtype = DType::kI64, int first = 3);
[[nodiscard]] Arg b(Ints shape, int first = 3);
[[nodiscard]] Arg of(DType dtype, Ints shape, const std::vector<double>& values);  ///< exactly these
[[nodiscard]] Arg absent();
[[nodiscard]] Arg constant(Arg arg);                        ///< the same, as an initializer
[[nodiscard]] Arg list(const Ints& values);                 ///< an int64 initializer of rank 1
[[nodiscard]] Arg scalar(double value, DType dtype = DType::kF32);  ///< an initializer of rank 0

[[nodiscard]] std::vector<Case> unary_cases();
[[nodiscard]] std::vector<Case> elementwise_cases();
[[nodiscard]] std::vector<Case> layer_cases();
[[nodiscard]] std::vector<Case> shape_cases();
[[nodiscard]] std::vector<Case> rnn_cases();
[[nodiscard]] std::vector<Case> resample_cases();  ///< transposed convolution, pads, resizes, tiles and others

/// The model of a case: inputs "in0", ..., outputs "out0", ...
[[nodiscard]] ModelBuilder model_of(const Case& c);
[[nodiscard]] std::vector<HostTensor> inputs_of(const Case& c);

}  // namespace smelt::onnx_format
