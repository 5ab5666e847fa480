#include "convert/onnx/payload.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tensor/byte_source.h"

namespace smelt::onnx_format {
namespace {

struct DTypeRow {
  int data_type;  ///< ONNX TensorProto.DataType
  DType dtype;
};
constexpr std::array<DTypeRow, 15> kDTypes{{
    {1, DType::kF32}, {2, DType::kU8},   {3, DType::kI8},  {4, DType::kU16}, {5, DType::kI16},
    {6, DType::kI32}, {7, DType::kI64},  {9, DType::kBool}, {10, DType::kF16}, {11, DType::kF64},
    {12, DType::kU32}, {13, DType::kU64}, {16, DType::kBF16}, {21, DType::kU4}, {22, DType::kI4},
}};

/// The values that an entry of a varint member may have, as the member's own signed or unsigned number.
struct Range {
  std::int64_t min;
  std::uint64_t max;
};

/// For the dtypes of int32_data. Floats and 4-bit integers are bit patterns there.
Range entry_range(DType dtype) {
  switch (dtype) {
    case DType::kI8: return {-128, 127};
    case DType::kI16: return {-32768, 32767};
    case DType::kI32: return {-(std::int64_t{1} << 31), (std::uint64_t{1} << 31) - 1};
    case DType::kU32: return {0, (std::uint64_t{1} << 32) - 1};
    case DType::kBool: return {0, 1};
    case DType::kU8:
    case DType::kI4:
    case DType::kU4: return {0, 255};
    default: return {0, 65535};  // u16, f16, bf16
  }
}

/// Decodes the varints of `run`, which `read_model` has walked before, and appends each as `width` little-endian bytes.
/// 64-bit members hold any varint; narrower ones only what `dtype` can.
Status append_varints(std::span<const std::byte> run, DType dtype, std::size_t width, std::vector<std::byte>& out) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (const std::byte byte : run) {
    SMELT_CHECK(shift < 64);
    value |= std::to_integer<std::uint64_t>(byte & std::byte{0x7f}) << shift;
    shift += 7;
    if ((byte & std::byte{0x80}) != std::byte{0}) continue;
    if (width < 8) {
      const auto number = static_cast<std::int64_t>(value);
      const Range range = entry_range(dtype);
      if (number < range.min || (number > 0 && value > range.max)) {
        return Error(ErrorCode::kMalformedInput, fmt::format("an element is {}, {} goes from {} to {}", number, name(dtype),
                                                             range.min, range.max));
      }
    }
    for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
    value = 0;
    shift = 0;
  }
  SMELT_CHECK(shift == 0);
  return {};
}

/// The typed member of `tensor`, decoded to packed little-endian bytes.
Result<std::vector<std::byte>> decode(std::span<const std::byte> file, const Tensor& tensor, DType dtype, std::uint64_t size) {
  std::vector<std::byte> out;
  out.reserve(static_cast<std::size_t>(size));
  const bool is_fixed = tensor.payload_field == 4 || tensor.payload_field == 10;
  const std::size_t width = bits(dtype) < 8 ? 1 : bits(dtype) / 8;
  for (const Payload& payload : tensor.payloads) {
    const auto run = file.subspan(static_cast<std::size_t>(payload.offset), static_cast<std::size_t>(payload.length));
    if (is_fixed) {
      out.insert(out.end(), run.begin(), run.end());
    } else {
      SMELT_RETURN_IF_ERROR(append_varints(run, dtype, width, out));
    }
  }
  SMELT_CHECK(out.size() == size);
  return out;
}

/// bool is 0 or 1 in smelt; ONNX takes any other byte for true, and a stranger may write one.
Result<BytesRef> normalized_bools(BytesRef source) {
  std::vector<std::byte> out;
  out.reserve(static_cast<std::size_t>(source->size()));
  std::array<std::byte, 4096> scratch{};
  SMELT_RETURN_IF_ERROR(source->stream(scratch, [&](std::span<const std::byte> chunk) {
    for (const std::byte byte : chunk) out.push_back(byte == std::byte{0} ? byte : std::byte{1});
    return Status();
  }));
  return owned_bytes(std::move(out));
}

Error unsafe(std::string_view location, std::string_view why) {
  return Error(ErrorCode::kUnsafePath, fmt::format("the path of external data, \"{}\", {}", location.substr(0, 200), why))
      .hint("external data must be a file in the model's own folder");
}

/// The file that a location names, below `folder`; `folder` has no symbolic links in it.
Result<std::filesystem::path> resolve(const std::filesystem::path& folder, const std::string& location) {
  if (location.find('\0') != std::string::npos) return unsafe(location.substr(0, location.find('\0')), "has a NUL byte");
  const std::filesystem::path relative(location);
  if (relative.empty()) return unsafe(location, "is empty");
  if (relative.is_absolute()) return unsafe(location, "is absolute");
  for (const std::filesystem::path& part : relative) {
    if (part == "..") return unsafe(location, "leaves the model's folder");
  }
  std::error_code code;
  // Not weakly: a missing file ends here, so that what is checked is what is opened.
  const std::filesystem::path resolved = std::filesystem::canonical(folder / relative, code);
  if (code) {
    Error error = Error(ErrorCode::kReadFailed, fmt::format("external data cannot be opened: {}", code.message()))
                      .at({.file = (folder / relative).string()});
    if (location.find('\\') != std::string::npos) return std::move(error).hint("the location has a backslash; rename it");
    return std::move(error).hint("the model needs this file beside it");
  }
  const std::filesystem::path inside = resolved.lexically_relative(folder);
  if (inside.empty() || *inside.begin() == "..") return unsafe(location, "leads out of the model's folder through a symbolic link");
  return resolved;
}

}  // namespace

std::optional<DType> to_dtype(int data_type) {
  for (const DTypeRow& row : kDTypes) {
    if (row.data_type == data_type) return row.dtype;
  }
  return std::nullopt;
}

int from_dtype(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row.data_type;
  }
  SMELT_CHECK(false);
  return 0;
}

PayloadReader::PayloadReader(std::shared_ptr<const MappedFile> file, std::filesystem::path model_path)
    : file_(std::move(file)), model_path_(std::move(model_path)) {}

Result<ConstantRef> PayloadReader::read(const Tensor& tensor) {
  const std::optional<DType> dtype = to_dtype(tensor.data_type);
  if (!dtype) {
    return Error(ErrorCode::kUnsupported, fmt::format("tensor \"{}\" is of {}, which smelt has no dtype for", tensor.name,
                                                      data_type_name(tensor.data_type)))
        .at({.file = model_path_.string()});
  }
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(*dtype, tensor.element_count));
  BytesRef bytes;
  if (tensor.is_external) {
    SMELT_ASSIGN_OR_RETURN(bytes, external(tensor, size));
  } else if (tensor.payload_field == 9) {
    const Payload& payload = tensor.payloads.front();
    SMELT_CHECK(payload.length == size);
    bytes = file_bytes(file_, file_->bytes().subspan(static_cast<std::size_t>(payload.offset),
                                                       static_cast<std::size_t>(payload.length)));
  } else {
    Result<std::vector<std::byte>> decoded = decode(file_->bytes(), tensor, *dtype, size);
    if (!decoded.ok()) {
      return Error(decoded.error().code(), fmt::format("in tensor \"{}\", {}", tensor.name, decoded.error().message()))
          .at({.file = model_path_.string(), .byte_offset = tensor.payloads.front().offset});
    }
    bytes = owned_bytes(std::move(decoded).value());
  }
  if (*dtype == DType::kBool && tensor.payload_field != 5) {
    SMELT_ASSIGN_OR_RETURN(bytes, normalized_bools(std::move(bytes)));
  }
  return std::make_shared<const Constant>(Constant{.dtype = *dtype, .shape = tensor.dims, .bytes = std::move(bytes)});
}

Result<BytesRef> PayloadReader::external(const Tensor& tensor, std::uint64_t size) {
  const auto here = [&](Error error) { return std::move(error).at({.file = model_path_.string(), .node = tensor.name}); };
  if (tensor.external_length && *tensor.external_length != size) {
    return here(Error(ErrorCode::kMalformedInput, fmt::format("external tensor \"{}\" has {} bytes, its shape needs {}",
                                                              tensor.name, *tensor.external_length, size)));
  }
  auto& mapped = external_[tensor.external_location];
  if (mapped == nullptr) {
    std::error_code code;
    // Of a bare file name the parent is empty, which must not mean "anywhere".
    const std::filesystem::path parent = model_path_.parent_path();
    const std::filesystem::path folder = std::filesystem::canonical(parent.empty() ? std::filesystem::path(".") : parent, code);
    if (code) return here(Error(ErrorCode::kReadFailed, fmt::format("the model's folder cannot be read: {}", code.message())));
    Result<std::filesystem::path> path = resolve(folder, tensor.external_location);
    if (!path.ok()) return path.error().code() == ErrorCode::kUnsafePath ? here(path.error()) : path.error();
    SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open_inside(folder, *path));
    mapped = std::make_shared<const MappedFile>(std::move(file));
  }
  const std::uint64_t offset = tensor.external_offset;
  if (offset > mapped->size() || size > mapped->size() - offset) {
    return here(Error(ErrorCode::kTruncatedInput, fmt::format("external tensor \"{}\" needs {} bytes at {} of \"{}\", which has {}",
                                                              tensor.name, size, offset, tensor.external_location, mapped->size()))
                    .hint("the file may be a partial download; compare its size with the publisher's"));
  }
  return file_bytes(mapped, mapped->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)));
}

}  // namespace smelt::onnx_format
