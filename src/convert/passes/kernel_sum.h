#pragma once

#include <cstdint>
#include <vector>

#include "smelt/result.h"
#include "tensor/byte_source.h"

/// Sums of convolution kernels, as functions of the sources, which stay where they are. Each element is computed in double and rounded
/// once.
namespace smelt::passes {

/// Kernels of f32, read as [rows, *extents], and a factor on all of them.
struct Kernels {
  BytesRef bytes;
  std::vector<std::int64_t> extents;
  double factor = 1.0;
};

/// Of each row, `large` plus `small` moved by `offset`: an element for each of `large`'s. Holds `small` whole while it streams.
/// `kInvalidArgument` when the rows do not match or `small` does not lie within.
[[nodiscard]] Result<BytesRef> sum_kernels(Kernels large, Kernels small, const std::vector<std::int64_t>& offset);

/// Kernels [C_out, C_in/groups, *extents] plus those that scale each channel: `scales[o]` more where input and output channel are one,
/// at `tap`, counted row-major. As many output channels as input channels. `kInvalidArgument` when the sizes do not fit.
[[nodiscard]] Result<BytesRef> add_channel_scales(Kernels kernels, std::uint64_t inputs_per_group, std::uint64_t tap,
                                                  std::vector<double> scales);

}  // namespace smelt::passes
