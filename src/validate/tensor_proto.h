#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/host_tensor.h"
#include "validate/npy.h"

/// The tensors of ONNX test data: test_data_set_N/input_K.pb and output_K.pb, each a bare TensorProto (onnx.proto of IR 13).
namespace smelt::parity {

struct ProtoTensor {
  std::string name;  ///< may be empty
  HostTensor tensor;
};

/// A whole file that is one TensorProto. Strings, complex and 8-bit float types, segments and external data are `kUnsupported`;
/// data of another member, size or range than dims and data_type ask for is `kMalformedInput` or `kTruncatedInput`.
[[nodiscard]] Result<ProtoTensor> parse_tensor_proto(std::span<const std::byte> bytes, const std::string& file,
                                                     const NpyLimits& limits);

/// STEM_0.pb, STEM_1.pb, ... of a folder, in that order: none is no error, a gap in the numbers is `kInvalidArgument`.
[[nodiscard]] Result<std::vector<std::filesystem::path>> tensor_files(const std::filesystem::path& folder, const std::string& stem);

/// `folder` itself when it holds input_0.pb, or else its subfolders test_data_set_N, ordered by N. Empty when there are none.
[[nodiscard]] Result<std::vector<std::filesystem::path>> test_data_sets(const std::filesystem::path& folder);

[[nodiscard]] Result<ProtoTensor> read_tensor_proto(const std::filesystem::path& path, const NpyLimits& limits);

}  // namespace smelt::parity
