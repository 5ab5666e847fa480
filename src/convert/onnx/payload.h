#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "convert/onnx/wire.h"
#include "smelt/result.h"
#include "tensor/constant.h"
#include "tensor/dtype.h"

namespace smelt::onnx_format {

/// The IR's dtype for an ONNX TensorProto.DataType; nullopt for one that smelt cannot hold (strings, complex, float8, 2-bit).
[[nodiscard]] std::optional<DType> to_dtype(int data_type);
/// The inverse.
[[nodiscard]] int from_dtype(DType dtype);

/// Turns tensors of one ONNX file into constants whose bytes stay in the file, or in a file beside it.
class PayloadReader {
 public:
  /// `file` is the mapped model; `model_path` is where it came from: external data is looked for under its folder.
  PayloadReader(std::shared_ptr<const MappedFile> file, std::filesystem::path model_path);

  /// raw_data becomes a file range; typed members are decoded into memory (their files are small). External data is opened
  /// safely: the location is relative, has no "..", resolves (symbolic links too) under the model's folder, names a regular file,
  /// and holds offset + length bytes, where the length is exactly what dtype and shape ask for; else `kUnsafePath`, `kReadFailed`,
  /// `kTruncatedInput` or `kMalformedInput`. `kUnsupported` for a data type without an IR dtype, which it names.
  [[nodiscard]] Result<ConstantRef> read(const Tensor& tensor);

 private:
  [[nodiscard]] Result<BytesRef> external(const Tensor& tensor, std::uint64_t size);

  std::shared_ptr<const MappedFile> file_;
  std::filesystem::path model_path_;
  std::map<std::string, std::shared_ptr<const MappedFile>> external_;  ///< by location, each mapped once
};

}  // namespace smelt::onnx_format
