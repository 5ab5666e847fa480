#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "convert/onnx/wire.h"
#include "smelt/result.h"

/// The adapter to the official onnx library. None of its types, and none of its exceptions, leaves checker.cc.
namespace smelt::onnx_format {

/// Reads a model as `read_model` does, holds it against the operator schemas of the onnx library, and inlines the functions
/// that it defines: the result has no call of one and `has_functions` is false. `bytes` is the whole file; payloads of the
/// result are ranges of it, also those that come from function bodies. No payload is read or copied: the library gets a
/// skeleton in which every tensor is a marker, and memory follows `limits.max_structure_bytes`.
///
/// Beyond the errors of `read_model`:
/// - kUnsupported: an operator of a standard domain, an opset or an IR version that the library does not know; a function
///   whose operators mean something else at the model's opset, or that is given a graph as an attribute.
/// - kMalformedInput: what the library refuses, in its words: attributes, operand counts, order, names assigned twice.
/// - kLimitReached: the functions would expand past `limits`.
///
/// More lenient than onnx's own checker, where ONNX Runtime is and a reader need not care: no graph name; inputs and outputs
/// without type or shape; IR 3 initializers that are no inputs; "ai.onnx" for the default domain; operators that the opset
/// has deprecated (Upsample-10, Scatter-11, GroupNormalization-18), which are checked as their nearest living version.
/// Operators of other domains pass; the importer judges them.
[[nodiscard]] Result<Model> read_checked_model(std::span<const std::byte> bytes, const std::string& file, const Limits& limits);

/// Of the onnx library: "1.23.2".
[[nodiscard]] std::string_view onnx_library_version();

}  // namespace smelt::onnx_format
