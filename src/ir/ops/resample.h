#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace smelt::ir {

/// The longest axis that a reflected or repeated pad, or a resize, may give: a table of it is held. Past it, `kLimitReached`.
inline constexpr std::int64_t kMaxSampledExtent = std::int64_t{1} << 22;

/// What new elements are: a constant, the mirror image without the edge, or the edge.
enum class PadMode { kConstant, kReflect, kEdge };
[[nodiscard]] std::string_view word(PadMode mode);

/// More elements before and after x. out[i] = begin[i] + x[i] + end[i]. reflect needs begin, end < extent; edge an element.
/// Any dtype; `value` is of x's dtype, rounded. Cropping is a Slice. Spec: ONNX Pad-19, pads >= 0. MIL: pad.
struct Pad {
  static constexpr OpKind kKind = OpKind::kPad;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  PadMode mode = PadMode::kConstant;
  std::vector<std::int64_t> begin, end;  ///< one for each axis, each >= 0
  float value = 0;                       ///< of mode constant; of an integer dtype whole, of bool 0 or 1
  template <typename V> void fields(V&& v) const { v("mode", mode); v("begin", begin); v("end", end); v("value", value); }
  bool operator==(const Pad&) const = default;
};
Status infer(const Pad& op, InferContext& cx);

/// The index in x, 0 to extent - 1, of each index along an axis of the result; -1 where it is the constant.
[[nodiscard]] std::vector<std::int64_t> pad_sources(const Pad& op, std::size_t axis, std::int64_t extent);

enum class ResizeMode { kNearest, kLinear };
[[nodiscard]] std::string_view word(ResizeMode mode);

/// Where in x (n elements) index i of the result (m elements) lies, s being the scale:
/// half_pixel (i + 0.5)/s - 0.5, asymmetric i/s, align_corners i (n-1)/(m-1) or 0, pytorch_half_pixel as half_pixel but 0 if m is 1.
enum class ResizeCoordinates { kHalfPixel, kAsymmetric, kAlignCorners, kPytorchHalfPixel };
[[nodiscard]] std::string_view word(ResizeCoordinates coordinates);  ///< ONNX's words

/// How a place between two elements becomes one of them.
enum class ResizeRounding { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil };
[[nodiscard]] std::string_view word(ResizeRounding rounding);  ///< ONNX's words

/// Samples the last two axes anew; places outside are those of the edge. An axis of scale 1 stays as it is. Computed per axis in
/// float32, as ONNX Runtime does: on ties it decides. linear: floats only. Spec: ONNX Resize-19 without roi, antialias and
/// cubic. MIL: upsample_nearest_neighbor, upsample_bilinear, resize_bilinear, or a gather or product for each axis.
struct Resize {
  static constexpr OpKind kKind = OpKind::kResize;
  static constexpr std::size_t kMinInputs = 1, kMaxInputs = 1;
  ResizeMode mode = ResizeMode::kNearest;
  ResizeCoordinates coordinates = ResizeCoordinates::kHalfPixel;
  ResizeRounding rounding = ResizeRounding::kRoundPreferFloor;  ///< of mode nearest
  std::vector<std::int64_t> sizes;                              ///< the two extents of the result, each >= 1
  float scale_y = 0, scale_x = 0;                               ///< s where it is not size / extent; else 0
  template <typename V> void fields(V&& v) const {
    v("mode", mode); v("coordinates", coordinates); v("rounding", rounding); v("sizes", sizes);
    v("scale_y", scale_y); v("scale_x", scale_x);
  }
  bool operator==(const Resize&) const = default;
};
Status infer(const Resize& op, InferContext& cx);

/// An element of the result along one axis: (1 - weight) x[low] + weight x[high]. nearest: low alone, weight 0.
struct ResizeTap {
  std::int64_t low = 0, high = 0;
  float weight = 0;
  bool operator==(const ResizeTap&) const = default;
};
/// The taps of the result's axis rank - 2 (`which` 0) or rank - 1 (1), over `extent` elements of x.
[[nodiscard]] std::vector<ResizeTap> resize_taps(const Resize& op, std::size_t which, std::int64_t extent);

}  // namespace smelt::ir
