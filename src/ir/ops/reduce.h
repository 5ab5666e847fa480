#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace smelt::ir {

enum class ReduceFunction { kSum, kMean, kMax, kMin, kProd, kL1, kL2, kSumSquare, kLogSumExp };
[[nodiscard]] std::string_view word(ReduceFunction function);  ///< "sum", "mean", "l2", ...

/// Reduces the named axes to one element each. Spec: ONNX ReduceSum-13, ReduceMean-18 and so on. MIL: reduce_sum and so on.
struct Reduce {
  static constexpr OpKind kKind = OpKind::kReduce;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  ReduceFunction function = ReduceFunction::kSum;
  std::vector<std::int64_t> axes;  ///< ascending, each 0 to rank - 1, at least one
  bool keeps_axes = true;          ///< reduced axes stay with extent 1
  template <typename V> void fields(V&& v) const {
    v("function", function); v("axes", axes); v("keeps_axes", keeps_axes);
  }
  bool operator==(const Reduce&) const = default;
};
Status infer(const Reduce& op, InferContext& cx);

}  // namespace smelt::ir
