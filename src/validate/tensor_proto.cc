#include "validate/tensor_proto.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "base/proto_reader.h"

namespace smelt::parity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNameBytes = 64 * 1024;

using proto::Field;
using enum proto::WireType;

// Fields of TensorProto.
constexpr std::uint32_t kDims = 1, kDataType = 2, kSegment = 3, kFloatData = 4, kInt32Data = 5, kStringData = 6, kInt64Data = 7,
                        kName = 8, kRawData = 9, kDoubleData = 10, kUint64Data = 11, kExternalData = 13, kDataLocation = 14;

/// One of TensorProto.DataType: its number, the member of typed data, and the range of that member's elements.
struct TypeRow {
  std::uint64_t number;
  DType dtype;
  std::uint32_t member;
  std::int64_t low, high;
};
constexpr std::int64_t kMin64 = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax64 = std::numeric_limits<std::int64_t>::max();
// Halves are bit patterns in int32_data; 4-bit elements stand there two a number, the first in the low half.
constexpr std::array<TypeRow, 15> kTypes{{
    {1, DType::kF32, kFloatData, 0, 0},
    {2, DType::kU8, kInt32Data, 0, 255},
    {3, DType::kI8, kInt32Data, -128, 127},
    {4, DType::kU16, kInt32Data, 0, 65535},
    {5, DType::kI16, kInt32Data, -32768, 32767},
    {6, DType::kI32, kInt32Data, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()},
    {7, DType::kI64, kInt64Data, kMin64, kMax64},
    {9, DType::kBool, kInt32Data, 0, 1},
    {10, DType::kF16, kInt32Data, 0, 65535},
    {11, DType::kF64, kDoubleData, 0, 0},
    {12, DType::kU32, kUint64Data, 0, std::numeric_limits<std::uint32_t>::max()},
    {13, DType::kU64, kUint64Data, kMin64, kMax64},
    {16, DType::kBF16, kInt32Data, 0, 65535},
    {21, DType::kU4, kInt32Data, 0, 255},
    {22, DType::kI4, kInt32Data, 0, 255},
}};

std::uint32_t wire_of(std::uint32_t member) {
  return member == kFloatData ? kFixed32 : member == kDoubleData ? kFixed64 : kVarint;
}

bool is_data(std::uint32_t number) {
  return number == kFloatData || number == kInt32Data || number == kInt64Data || number == kRawData || number == kDoubleData ||
         number == kUint64Data;
}

/// Two passes: the type, the shape and which member holds the data; then the data, which may stand before them.
class Reader : private proto::Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file, const NpyLimits& limits)
      : proto::Reader(bytes, file, "ONNX", "is the file an ONNX tensor?"), limits_(limits) {}

  Result<ProtoTensor> read() {
    SMELT_RETURN_IF_ERROR(each_field(bytes_, [&](const Field& field) { return describe(field); }));
    SMELT_RETURN_IF_ERROR(measure());
    SMELT_RETURN_IF_ERROR(each_field(bytes_, [&](const Field& field) -> Status {
      if (!is_data(field.number)) return {};
      return field.number == kRawData ? raw_data(field) : typed_data(field);
    }));
    std::vector<std::byte>& bytes = out_.tensor.bytes;
    if (bytes.size() != size_) {
      return error(ErrorCode::kTruncatedInput, bytes_.size(),
                   fmt::format("a tensor of {} needs {} bytes of data, there are {}",
                               type_text(type_->dtype, out_.tensor.shape), size_, bytes.size()));
    }
    if (type_->dtype == DType::kBool && std::ranges::any_of(bytes, [](std::byte b) { return b > std::byte{1}; })) {
      return error(ErrorCode::kMalformedInput, 0, "a bool is neither 0 nor 1");
    }
    return std::move(out_);
  }

 private:
  /// Calls `visit` with the 64 bits of each element of a repeated number, packed or alone.
  template <typename Visit>
  Status each_element(const Field& field, std::uint32_t wire, const Visit& visit) const {
    if (wire == kVarint) return each_varint(field, visit);
    if (field.wire != wire) SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    const std::size_t width = wire == kFixed32 ? 4 : 8;
    if (field.body.size() % width != 0) {
      return malformed(field, fmt::format("{} bytes are not a whole number of {}-byte elements", field.body.size(), width));
    }
    for (std::size_t at = 0; at < field.body.size(); at += width) {
      std::uint64_t value = 0;
      std::memcpy(&value, field.body.data() + at, width);  // both little-endian
      SMELT_RETURN_IF_ERROR(visit(value));
    }
    return {};
  }

  Status describe(const Field& field) {
    switch (field.number) {
      case kDims: return each_element(field, kVarint, [&](std::uint64_t extent) { return dim(field, extent); });
      case kDataType: return data_type(field);
      case kName: return name(field);
      case kSegment:
      case kExternalData: return unsupported(field, "its data is in another file or in segments");
      case kDataLocation:
        if (field.wire == kVarint && field.value == 0) return {};
        return unsupported(field, "its data is in another file");
      case kStringData: return unsupported(field, "it holds strings");
      default: break;
    }
    if (!is_data(field.number)) return {};
    if (member_ != 0 && (member_ != field.number || member_ == kRawData)) {
      return malformed(field, fmt::format("the data stands in field {} and again in field {}", member_, field.number));
    }
    member_ = field.number;
    return {};
  }

  [[nodiscard]] Error unsupported(const Field& field, std::string_view what) const {
    return error(ErrorCode::kUnsupported, field.offset, fmt::format("the tensor cannot be read: {}", what))
        .hint("save it with raw_data");
  }

  Status dim(const Field& field, std::uint64_t extent) {
    if (extent > static_cast<std::uint64_t>(kMax64)) {
      return malformed(field, fmt::format("an extent is {}", static_cast<std::int64_t>(extent)));
    }
    if (out_.tensor.shape.size() == limits_.max_rank) {
      return error(ErrorCode::kLimitReached, field.offset, fmt::format("the tensor has more than {} axes, which is the limit", limits_.max_rank));
    }
    out_.tensor.shape.push_back(static_cast<std::int64_t>(extent));
    return {};
  }

  Status data_type(const Field& field) {
    if (field.wire != kVarint) return malformed(field, "data_type is not a number");
    type_ = nullptr;
    const auto* const row = std::ranges::find(kTypes, field.value, &TypeRow::number);
    if (row == kTypes.end()) return unsupported(field, fmt::format("it is of ONNX data type {}", field.value));
    type_ = row;
    return {};
  }

  Status name(const Field& field) {
    if (field.wire != kBytes) return malformed(field, "the name is not text");
    if (field.body.size() > kMaxNameBytes) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("a name has {} bytes, the limit is {}", field.body.size(), kMaxNameBytes));
    }
    out_.name.clear();
    for (const std::byte byte : field.body) out_.name += static_cast<char>(byte);
    return {};
  }

  /// How many bytes there must be, and whether the right member has them.
  Status measure() {
    if (type_ == nullptr) {
      return error(ErrorCode::kMalformedInput, 0, "the tensor has no data type").hint("is the file an ONNX tensor?");
    }
    if (member_ != 0 && member_ != kRawData && member_ != type_->member) {
      return error(ErrorCode::kMalformedInput, 0,
                   fmt::format("the data of a tensor of {} stands in field {}, not {}", name_of_type(), member_, type_->member));
    }
    SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(out_.tensor.shape));
    SMELT_ASSIGN_OR_RETURN(size_, packed_bytes(type_->dtype, static_cast<std::uint64_t>(count)));
    if (size_ > limits_.max_bytes) {
      return error(ErrorCode::kLimitReached, 0, fmt::format("the tensor has {} bytes, the limit leaves {}", size_, limits_.max_bytes));
    }
    out_.tensor.dtype = type_->dtype;
    return {};
  }

  [[nodiscard]] std::string_view name_of_type() const { return smelt::name(type_->dtype); }

  [[nodiscard]] Error too_much(const Field& field) const {
    return malformed(field, fmt::format("a tensor of {} has more than its {} bytes of data",
                                        type_text(type_->dtype, out_.tensor.shape), size_));
  }

  Status raw_data(const Field& field) {
    if (field.wire != kBytes) return malformed(field, "raw_data is not bytes");
    if (field.body.size() > size_) return too_much(field);
    out_.tensor.bytes.assign(field.body.begin(), field.body.end());
    return {};
  }

  Status typed_data(const Field& field) {
    const std::size_t width = std::max<std::size_t>(1, bits(type_->dtype) / 8);
    return each_element(field, wire_of(field.number), [&](std::uint64_t value) -> Status {
      const auto number = static_cast<std::int64_t>(value);
      if (wire_of(field.number) == kVarint && (number < type_->low || number > type_->high)) {
        return malformed(field, fmt::format("an element is {}, which {} does not hold", number, name_of_type()));
      }
      if (size_ - out_.tensor.bytes.size() < width) return too_much(field);
      for (std::size_t i = 0; i < width; ++i) out_.tensor.bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
      return {};
    });
  }

  const NpyLimits& limits_;
  ProtoTensor out_;
  const TypeRow* type_ = nullptr;
  std::uint32_t member_ = 0;  ///< the field that holds the data; 0 for none
  std::uint64_t size_ = 0;    ///< of the data, in bytes
};

/// The N of "PREFIXNSUFFIX", written without leading zeros.
std::optional<std::uint64_t> number_in(std::string_view text, std::string_view prefix, std::string_view suffix) {
  if (text.size() <= prefix.size() + suffix.size() || !text.starts_with(prefix) || !text.ends_with(suffix)) return std::nullopt;
  text = text.substr(prefix.size(), text.size() - prefix.size() - suffix.size());
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || stop != text.data() + text.size() || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  return value;
}

/// The entries of a folder that have the form, by number.
Result<std::map<std::uint64_t, fs::path>> numbered(const fs::path& folder, std::string_view prefix, std::string_view suffix) {
  std::map<std::uint64_t, fs::path> found;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (const auto number = number_in(entry->path().filename().string(), prefix, suffix)) found[*number] = entry->path();
  }
  if (code) {
    return Error(ErrorCode::kReadFailed, fmt::format("the folder cannot be listed: {}", code.message())).at({.file = folder.string()});
  }
  return found;
}

}  // namespace

Result<ProtoTensor> parse_tensor_proto(std::span<const std::byte> bytes, const std::string& file, const NpyLimits& limits) {
  return Reader(bytes, file, limits).read();
}

Result<ProtoTensor> read_tensor_proto(const fs::path& path, const NpyLimits& limits) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  return parse_tensor_proto(mapped.bytes(), path.string(), limits);
}

Result<std::vector<fs::path>> tensor_files(const fs::path& folder, const std::string& stem) {
  SMELT_ASSIGN_OR_RETURN(const auto found, numbered(folder, stem + "_", ".pb"));
  std::vector<fs::path> files;
  for (const auto& [number, path] : found) {
    if (number != files.size()) {
      return Error(ErrorCode::kInvalidArgument, fmt::format("{}_{}.pb is missing, {} is there", stem, files.size(), path.filename().string()))
          .at({.file = folder.string()});
    }
    files.push_back(path);
  }
  return files;
}

Result<std::vector<fs::path>> test_data_sets(const fs::path& folder) {
  SMELT_ASSIGN_OR_RETURN(const auto inputs, numbered(folder, "input_", ".pb"));
  if (!inputs.empty()) return std::vector<fs::path>{folder};
  SMELT_ASSIGN_OR_RETURN(const auto found, numbered(folder, "test_data_set_", ""));
  std::vector<fs::path> sets;
  for (const auto& [number, path] : found) {
    std::error_code code;
    if (fs::is_directory(path, code)) sets.push_back(path);
  }
  return sets;
}

}  // namespace smelt::parity
