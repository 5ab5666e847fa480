#pragma once

#include <map>
#include <string>
#include <vector>

#include "convert/coreml/lowering.h"
#include "ir/graph.h"
#include "smelt/result.h"

namespace smelt::coreml_format {

/// Rewrites a graph into one whose every value a MIL program of the target can hold, nothing else changed:
///
/// - int64, other integers wider or narrower than int32 become int32 (constants are range-checked: `kNotRepresentable`, never a wrap);
///   float64 becomes float32; bool inputs and outputs become int32 at the border, float16 ones float32 below iOS 16
/// - constant negative indices of gathers count from the start
/// - refused with `kNotRepresentable`, all of them listed: ranks over 5, extents of 0, inputs of rank 0
///
/// `input_dtypes`: other dtypes at the border than these rules give, by input name: f16 or f32 for a float input, cast inside;
/// `kInvalidArgument` for an input that is not there or of another kind, `kNotRepresentable` for f16 below iOS 16.
[[nodiscard]] Result<ir::Graph> legalize(const ir::Graph& graph, Target target, const std::map<std::string, DType>& input_dtypes = {});

}  // namespace smelt::coreml_format
