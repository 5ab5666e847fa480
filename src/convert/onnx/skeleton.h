#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/onnx/wire.h"
#include "smelt/result.h"

namespace smelt::onnx_format {

/// Begins the external location of a tensor whose payload was left out; the index into `Skeleton::elided` follows.
inline constexpr std::string_view kMarker = "#smelt:";

/// The payload of one tensor, as `Tensor` has it: field and runs, in the file that was elided.
struct Elided {
  int field = 0;
  std::vector<Payload> runs;
};

/// A ModelProto in which every tensor that had data is external, at a marker. Function bodies are in it; documentation,
/// metadata, training graphs and device placement are not.
struct Skeleton {
  std::string bytes;
  std::vector<Elided> elided;
};

/// Copies the structure of a model, in one pass that skips over payloads. The result parses in no more memory than
/// `limits.max_structure_bytes`, or it is `kLimitReached`. Whether data fits its shape is not looked at.
[[nodiscard]] Result<Skeleton> elide(std::span<const std::byte> bytes, const std::string& file, const Limits& limits);

/// Messages inside messages that a skeleton may have: a graph is in an attribute of a node.
[[nodiscard]] int max_message_depth(const Limits& limits);

}  // namespace smelt::onnx_format
