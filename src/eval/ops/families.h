#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ir/ops/all.h"
#include "smelt/result.h"
#include "tensor/host_tensor.h"

/// What the files of the evaluator share, and the entry of each op family. Internal to src/eval.
namespace smelt::eval {

/// One evaluation. The shape rule has accepted the inputs; the outputs have their dtype and shape, at least one of them has
/// an element, and their bytes are zero.
struct Frame {
  std::span<const HostTensor* const> inputs;
  std::vector<HostTensor>& outputs;

  [[nodiscard]] const HostTensor& input(std::size_t index) const { return *inputs[index]; }
  [[nodiscard]] bool has(std::size_t index) const { return index < inputs.size() && inputs[index] != nullptr; }
  [[nodiscard]] HostTensor& output() const { return outputs.front(); }
};

// --- Elements (elements.cc) ---

/// Fills the bytes of a float tensor, rounding each value once, half to even.
void store(HostTensor& out, std::span<const double> values);
/// Fills the bytes of an integer tensor, wrapping to its width, or of a bool one: not 0.
void store(HostTensor& out, std::span<const std::int64_t> values);
/// Lowest and highest value of an integer dtype, in the form of `to_int64s`.
[[nodiscard]] std::pair<std::int64_t, std::int64_t> integer_range(DType dtype);
/// a < b, of integers in the form of `to_int64s`.
[[nodiscard]] bool is_less(DType dtype, std::int64_t a, std::int64_t b);
/// Quotient toward zero, wrapping. `b` is not 0.
[[nodiscard]] std::int64_t divide(DType dtype, std::int64_t a, std::int64_t b);

/// Arithmetic modulo 2^64, which signed overflow is not.
[[nodiscard]] constexpr std::int64_t wrap_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
[[nodiscard]] constexpr std::int64_t wrap_subtract(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
[[nodiscard]] constexpr std::int64_t wrap_multiply(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

// --- Index spaces (elements.cc) ---

/// The product of extents from axis `begin` to before `end`, wrapping (only an empty tensor can wrap).
[[nodiscard]] std::size_t extent_product(std::span<const std::int64_t> shape, std::size_t begin, std::size_t end);
/// Elements from one index to the next, by axis, row-major.
[[nodiscard]] std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape);
/// The strides of a tensor of shape `from` over the axes of its broadcast `to`: 0 where it repeats.
[[nodiscard]] std::vector<std::int64_t> broadcast_strides(std::span<const std::int64_t> from,
                                                          std::span<const std::int64_t> to);

/// Walks an index space in row-major order and keeps an offset for each of N operands.
template <std::size_t N>
class Walk {
 public:
  Walk(std::span<const std::int64_t> shape, std::array<std::vector<std::int64_t>, N> strides)
      : shape_(shape.begin(), shape.end()), index_(shape.size(), 0), strides_(std::move(strides)) {}

  [[nodiscard]] std::size_t offset(std::size_t operand) const { return static_cast<std::size_t>(offsets_[operand]); }

  /// To the next index; after the last, back to the first.
  void next() {
    for (std::size_t axis = shape_.size(); axis-- > 0;) {
      const bool is_carry = ++index_[axis] == shape_[axis];
      for (std::size_t k = 0; k < N; ++k) offsets_[k] += strides_[k][axis] * (is_carry ? 1 - shape_[axis] : 1);
      if (!is_carry) return;
      index_[axis] = 0;
    }
  }

 private:
  std::vector<std::int64_t> shape_, index_;
  std::array<std::vector<std::int64_t>, N> strides_;
  std::array<std::int64_t, N> offsets_{};
};

/// Bytes of one element of a dtype of whole bytes.
[[nodiscard]] inline std::size_t element_bytes(const HostTensor& tensor) { return bits(tensor.dtype) / 8; }
/// A 4-bit tensor as i8 or u8, any other as it is; and back, into a tensor that has its dtype and shape.
[[nodiscard]] HostTensor unpack_4_bit(const HostTensor& tensor);
void pack_4_bit(const HostTensor& whole, HostTensor& out);
[[nodiscard]] inline bool is_4_bit(DType dtype) { return bits(dtype) == 4; }

[[nodiscard]] Error invalid(std::string message);

// --- Families ---

[[nodiscard]] Status run_unary(ir::OpKind kind, const Frame& frame);
[[nodiscard]] Status run_binary(ir::OpKind kind, const Frame& frame);
[[nodiscard]] Status run(const ir::LeakyRelu& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Elu& op, const Frame& frame);
[[nodiscard]] Status run(const ir::HardSigmoid& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Gelu& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Clip& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Cast& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Softmax& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Where& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Conv& op, const Frame& frame);
[[nodiscard]] Status run(const ir::MaxPool& op, const Frame& frame);
[[nodiscard]] Status run(const ir::AveragePool& op, const Frame& frame);
[[nodiscard]] Status run(const ir::MatMul& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Linear& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Attention& op, const Frame& frame);
[[nodiscard]] Status run(const ir::BatchNorm& op, const Frame& frame);
[[nodiscard]] Status run(const ir::LayerNorm& op, const Frame& frame);
[[nodiscard]] Status run(const ir::InstanceNorm& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Reduce& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Reshape& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Transpose& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Squeeze& op, const Frame& frame);
[[nodiscard]] Status run(const ir::ExpandDims& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Concat& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Split& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Slice& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Gather& op, const Frame& frame);
[[nodiscard]] Status run(const ir::GatherNd& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Expand& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Lstm& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Gru& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Dequantize& op, const Frame& frame);
[[nodiscard]] Status run(const ir::ConvTranspose& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Pad& op, const Frame& frame);
[[nodiscard]] Status run(const ir::Resize& op, const Frame& frame);

}  // namespace smelt::eval
