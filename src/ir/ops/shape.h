#pragma once

#include <cstdint>
#include <vector>

#include "ir/op.h"

namespace smelt::ir {

/// The same elements in another shape. `shape`: the new extents, one of which may be -1, what remains. The importer has
/// resolved ONNX's 0. Spec: ONNX Reshape-14, Flatten-13. MIL: reshape.
struct Reshape {
  static constexpr OpKind kKind = OpKind::kReshape;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> shape;
  template <typename V> void fields(V&& v) const { v("shape", shape); }
  bool operator==(const Reshape&) const = default;
};
Status infer(const Reshape& op, InferContext& cx);

/// out.shape[i] = x.shape[perm[i]]. Spec: ONNX Transpose-13. MIL: transpose.
struct Transpose {
  static constexpr OpKind kKind = OpKind::kTranspose;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> perm;  ///< a permutation of 0 to rank - 1
  template <typename V> void fields(V&& v) const { v("perm", perm); }
  bool operator==(const Transpose&) const = default;
};
Status infer(const Transpose& op, InferContext& cx);

/// Drops axes of extent 1. Spec: ONNX Squeeze-13. MIL: squeeze.
struct Squeeze {
  static constexpr OpKind kKind = OpKind::kSqueeze;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> axes;  ///< ascending, each 0 to rank - 1
  template <typename V> void fields(V&& v) const { v("axes", axes); }
  bool operator==(const Squeeze&) const = default;
};
Status infer(const Squeeze& op, InferContext& cx);

/// Inserts axes of extent 1. Spec: ONNX Unsqueeze-13. MIL: expand_dims.
struct ExpandDims {
  static constexpr OpKind kKind = OpKind::kExpandDims;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> axes;  ///< ascending, in the output's rank
  template <typename V> void fields(V&& v) const { v("axes", axes); }
  bool operator==(const ExpandDims&) const = default;
};
Status infer(const ExpandDims& op, InferContext& cx);

/// Operands of one dtype, equal but along the axis. Spec: ONNX Concat-13. MIL: concat.
struct Concat {
  static constexpr OpKind kKind = OpKind::kConcat;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 65536;
  std::int64_t axis = 0;  ///< 0 to rank - 1
  template <typename V> void fields(V&& v) const { v("axis", axis); }
  bool operator==(const Concat&) const = default;
};
Status infer(const Concat& op, InferContext& cx);

/// Consecutive pieces along an axis, an output for each. Spec: ONNX Split-18 with sizes. MIL: split.
struct Split {
  static constexpr OpKind kKind = OpKind::kSplit;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::int64_t axis = 0;
  std::vector<std::int64_t> sizes;  ///< each >= 0, summing to the extent
  template <typename V> void fields(V&& v) const { v("axis", axis); v("sizes", sizes); }
  bool operator==(const Split&) const = default;
};
Status infer(const Split& op, InferContext& cx);

/// x[begin : end : step] on every axis, resolved by the importer: 0 <= begin, end <= extent for a positive step; for a
/// negative one begin <= extent - 1 and end >= -1, where -1 is before the first. Static axes only, but full ones (0, extent, 1).
/// On any axis (0, INT64_MAX, 1) is the full one, and the only form for a symbol.
/// Spec: ONNX Slice-13. MIL: slice_by_index.
struct Slice {
  static constexpr OpKind kKind = OpKind::kSlice;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> begin, end, step;  ///< one for each axis
  template <typename V> void fields(V&& v) const { v("begin", begin); v("end", end); v("step", step); }
  bool operator==(const Slice&) const = default;
};
Status infer(const Slice& op, InferContext& cx);

/// Rows of x along an axis: out.shape = x.shape[:axis] + indices.shape + x.shape[axis+1:]. Indices int32 or int64, each in
/// [-extent, extent). Spec: ONNX Gather-13. MIL: gather.
struct Gather {
  static constexpr OpKind kKind = OpKind::kGather;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 2;
  std::int64_t axis = 0;
  template <typename V> void fields(V&& v) const { v("axis", axis); }
  bool operator==(const Gather&) const = default;
};
Status infer(const Gather& op, InferContext& cx);

/// Slices of x by index tuples: out.shape = indices.shape[:-1] + x.shape[batch_axes + indices.shape[-1]:].
/// Spec: ONNX GatherND-13. MIL: gather_nd.
struct GatherNd {
  static constexpr OpKind kKind = OpKind::kGatherNd;
  static constexpr std::size_t kMinInputs = 2, kMaxInputs = 2;
  std::int64_t batch_axes = 0;
  template <typename V> void fields(V&& v) const { v("batch_axes", batch_axes); }
  bool operator==(const GatherNd&) const = default;
};
Status infer(const GatherNd& op, InferContext& cx);

/// Repeats x to the broadcast of its shape and `shape` (extents >= 1). Spec: ONNX Expand-13. MIL: tile.
struct Expand {
  static constexpr OpKind kKind = OpKind::kExpand;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  std::vector<std::int64_t> shape;
  template <typename V> void fields(V&& v) const { v("shape", shape); }
  bool operator==(const Expand&) const = default;
};
Status infer(const Expand& op, InferContext& cx);

}  // namespace smelt::ir
