#include "convert/onnx/skeleton.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace smelt::onnx_format {
namespace {

enum class Kind : std::uint8_t {
  kModel, kOpset, kGraph, kNode, kAttribute, kTensor, kEntry, kSparse, kValueInfo, kType, kTensorType, kShape, kDim, kElement,
  kMap, kOpaque, kFunction, kNone,
};
enum class Form : std::uint8_t { kVarint, kFixed32, kText, kVarints, kFloats, kPayload32, kPayload64, kPayloadVarint, kPayloadBytes, kMessage };

/// A field that is kept; every other one is dropped: documentation, metadata, training, placement.
struct Row {
  std::uint32_t number;
  Form form;
  Kind child = Kind::kNone;
};

// Source: onnx.proto of IR 14.
constexpr std::array kModelRows{Row{1, Form::kVarint}, Row{2, Form::kText}, Row{3, Form::kText}, Row{7, Form::kMessage, Kind::kGraph},
                                Row{8, Form::kMessage, Kind::kOpset}, Row{25, Form::kMessage, Kind::kFunction}};
constexpr std::array kOpsetRows{Row{1, Form::kText}, Row{2, Form::kVarint}};
constexpr std::array kGraphRows{Row{1, Form::kMessage, Kind::kNode}, Row{2, Form::kText}, Row{5, Form::kMessage, Kind::kTensor},
                                Row{11, Form::kMessage, Kind::kValueInfo}, Row{12, Form::kMessage, Kind::kValueInfo},
                                Row{13, Form::kMessage, Kind::kValueInfo}, Row{15, Form::kMessage, Kind::kSparse}};
constexpr std::array kNodeRows{Row{1, Form::kText}, Row{2, Form::kText}, Row{3, Form::kText}, Row{4, Form::kText},
                               Row{5, Form::kMessage, Kind::kAttribute}, Row{7, Form::kText}, Row{8, Form::kText}};
constexpr std::array kAttributeRows{
    Row{1, Form::kText}, Row{2, Form::kFixed32}, Row{3, Form::kVarint}, Row{4, Form::kText}, Row{5, Form::kMessage, Kind::kTensor},
    Row{6, Form::kMessage, Kind::kGraph}, Row{7, Form::kFloats}, Row{8, Form::kVarints}, Row{9, Form::kText},
    Row{10, Form::kMessage, Kind::kTensor}, Row{11, Form::kMessage, Kind::kGraph}, Row{14, Form::kMessage, Kind::kType},
    Row{15, Form::kMessage, Kind::kType}, Row{20, Form::kVarint}, Row{21, Form::kText}, Row{22, Form::kMessage, Kind::kSparse},
    Row{23, Form::kMessage, Kind::kSparse}};
constexpr std::array kTensorRows{Row{1, Form::kVarints}, Row{2, Form::kVarint}, Row{3, Form::kText}, Row{4, Form::kPayload32},
                                 Row{5, Form::kPayloadVarint}, Row{6, Form::kPayloadBytes}, Row{7, Form::kPayloadVarint},
                                 Row{8, Form::kText}, Row{9, Form::kPayloadBytes}, Row{10, Form::kPayload64},
                                 Row{11, Form::kPayloadVarint}, Row{13, Form::kMessage, Kind::kEntry}, Row{14, Form::kVarint}};
constexpr std::array kTextRows{Row{1, Form::kText}, Row{2, Form::kText}};  // an entry of strings, an opaque type
constexpr std::array kSparseRows{Row{1, Form::kMessage, Kind::kTensor}, Row{2, Form::kMessage, Kind::kTensor}, Row{3, Form::kVarints}};
constexpr std::array kValueInfoRows{Row{1, Form::kText}, Row{2, Form::kMessage, Kind::kType}};
constexpr std::array kTypeRows{Row{1, Form::kMessage, Kind::kTensorType}, Row{4, Form::kMessage, Kind::kElement},
                               Row{5, Form::kMessage, Kind::kMap}, Row{7, Form::kMessage, Kind::kOpaque},
                               Row{8, Form::kMessage, Kind::kTensorType}, Row{9, Form::kMessage, Kind::kElement}};
constexpr std::array kTensorTypeRows{Row{1, Form::kVarint}, Row{2, Form::kMessage, Kind::kShape}};
constexpr std::array kShapeRows{Row{1, Form::kMessage, Kind::kDim}};
constexpr std::array kDimRows{Row{1, Form::kVarint}, Row{2, Form::kText}};
constexpr std::array kElementRows{Row{1, Form::kMessage, Kind::kType}};
constexpr std::array kMapRows{Row{1, Form::kVarint}, Row{2, Form::kMessage, Kind::kType}};
constexpr std::array kFunctionRows{Row{1, Form::kText}, Row{4, Form::kText}, Row{5, Form::kText}, Row{6, Form::kText},
                                   Row{7, Form::kMessage, Kind::kNode}, Row{9, Form::kMessage, Kind::kOpset}, Row{10, Form::kText},
                                   Row{11, Form::kMessage, Kind::kAttribute}, Row{12, Form::kMessage, Kind::kValueInfo},
                                   Row{13, Form::kText}};

struct KindRows {
  std::span<const Row> rows;
  std::size_t size;  ///< of an object of the generated class, for the budget; protobuf 3.21 takes no more
};

KindRows rows_of(Kind kind) {
  switch (kind) {
    case Kind::kModel: return {kModelRows, 256};
    case Kind::kOpset: return {kOpsetRows, 48};
    case Kind::kGraph: return {kGraphRows, 248};
    case Kind::kNode: return {kNodeRows, 200};
    case Kind::kAttribute: return {kAttributeRows, 328};
    case Kind::kTensor: return {kTensorRows, 344 + sizeof(Elided)};
    case Kind::kEntry: return {kTextRows, 48};
    case Kind::kSparse: return {kSparseRows, 72};
    case Kind::kValueInfo: return {kValueInfoRows, 80};
    case Kind::kType: return {kTypeRows, 48};
    case Kind::kTensorType: return {kTensorTypeRows, 40};
    case Kind::kShape: return {kShapeRows, 48};
    case Kind::kDim: return {kDimRows, 48};
    case Kind::kElement: return {kElementRows, 32};
    case Kind::kMap: return {kMapRows, 40};
    case Kind::kOpaque: return {kTextRows, 48};
    case Kind::kFunction: return {kFunctionRows, 320};
    case Kind::kNone: break;
  }
  return {{}, 0};
}

/// Copies a ModelProto without payloads, in one pass. Lengths of messages are written as varints of five bytes, so that they
/// can be filled in when the message is through.
class Elider {
 public:
  Elider(std::span<const std::byte> bytes, const std::string& file, const Limits& limits)
      : bytes_(bytes), file_(file), limits_(limits), budget_(std::min(limits.max_structure_bytes, kMaxSkeleton)) {}

  Result<Skeleton> run() {
    SMELT_RETURN_IF_ERROR(message(bytes_, Kind::kModel, 1));
    return std::move(out_);
  }

 private:
  struct Field {
    std::uint32_t number = 0, wire = 0;
    std::span<const std::byte> whole{};  ///< with its tag and length
    std::span<const std::byte> body{};
  };

  [[nodiscard]] Error error(ErrorCode code, const std::byte* position, std::string message) const {
    return Error(code, std::move(message)).at({.file = file_, .byte_offset = static_cast<std::uint64_t>(position - bytes_.data())});
  }

  Status varint(const std::byte*& in, const std::byte* end, std::uint64_t& value) const {
    const std::byte* const start = in;
    value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (in == end) return error(ErrorCode::kTruncatedInput, start, "a number reaches past the end of its message");
      const auto byte = std::to_integer<std::uint64_t>(*in++);
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return {};
    }
    return error(ErrorCode::kMalformedInput, start, "a number is longer than 64 bits");
  }

  /// Reads the field at `in`, advancing it.
  Status next(const std::byte*& in, const std::byte* end, Field& field) const {
    const std::byte* const start = in;
    std::uint64_t tag = 0, length = 0;
    SMELT_RETURN_IF_ERROR(varint(in, end, tag));
    if (tag > std::numeric_limits<std::uint32_t>::max() || tag >> 3 == 0) {
      return error(ErrorCode::kMalformedInput, start, fmt::format("field tag {} is not one of protobuf's", tag));
    }
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.wire = static_cast<std::uint32_t>(tag & 7);
    const std::byte* body = in;
    switch (field.wire) {
      case 0: {
        SMELT_RETURN_IF_ERROR(varint(in, end, length));
        length = static_cast<std::uint64_t>(in - body);
        in = body;
        break;
      }
      case 1: length = 8; break;
      case 2:
        SMELT_RETURN_IF_ERROR(varint(in, end, length));
        body = in;
        break;
      case 5: length = 4; break;
      default: return error(ErrorCode::kMalformedInput, start, fmt::format("wire type {} never occurs in ONNX", field.wire));
    }
    if (const auto left = static_cast<std::uint64_t>(end - in); length > left) {
      return error(ErrorCode::kTruncatedInput, start, fmt::format("field {} needs {} bytes, {} remain", field.number, length, left));
    }
    in += length;
    field.body = {body, static_cast<std::size_t>(length)};
    field.whole = {start, in};
    return {};
  }

  /// Takes `bytes` from the budget for structure, before they are allocated.
  Status charge(const Field& field, std::uint64_t bytes) {
    if (bytes > budget_ - charged_) {
      return error(ErrorCode::kLimitReached, field.whole.data(),
                   fmt::format("the structure, without weights, needs more than {} bytes", budget_));
    }
    charged_ += bytes;
    return {};
  }

  static bool fits(Form form, std::uint32_t wire) {
    switch (form) {
      case Form::kVarint: return wire == 0;
      case Form::kFixed32: return wire == 5;
      case Form::kText:
      case Form::kPayloadBytes:
      case Form::kMessage: return wire == 2;
      case Form::kVarints:
      case Form::kPayloadVarint: return wire == 0 || wire == 2;
      case Form::kFloats:
      case Form::kPayload32: return wire == 5 || wire == 2;
      case Form::kPayload64: return wire == 1 || wire == 2;
    }
    return false;
  }

  Status message(std::span<const std::byte> body, Kind kind, int depth) {
    const std::span<const Row> rows = rows_of(kind).rows;
    Elided payload;
    const std::byte* in = body.data();
    for (const std::byte* const end = in + body.size(); in != end;) {
      Field field;
      SMELT_RETURN_IF_ERROR(next(in, end, field));
      const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.number == field.number; });
      if (row == rows.end()) continue;
      if (!fits(row->form, field.wire)) {
        return error(ErrorCode::kMalformedInput, field.whole.data(), fmt::format("field {} has wire type {}", field.number, field.wire));
      }
      switch (row->form) {
        case Form::kMessage: SMELT_RETURN_IF_ERROR(nested(field, row->child, depth)); break;
        case Form::kPayload32:
        case Form::kPayload64:
        case Form::kPayloadVarint:
        case Form::kPayloadBytes: SMELT_RETURN_IF_ERROR(leave_out(field, payload)); break;
        case Form::kVarints: SMELT_RETURN_IF_ERROR(keep(field, sizeof(std::int64_t) * field.body.size())); break;
        default: SMELT_RETURN_IF_ERROR(keep(field, sizeof(std::string) + field.body.size())); break;
      }
      if (kind == Kind::kEntry && row->form == Form::kText && text(field.body).substr(0, kMarker.size()) == kMarker) {
        return error(ErrorCode::kMalformedInput, field.whole.data(), fmt::format("external data begins with \"{}\"", kMarker));
      }
    }
    if (payload.field != 0) mark(std::move(payload));
    return {};
  }

  static std::string_view text(std::span<const std::byte> body) {
    return {reinterpret_cast<const char*>(body.data()), body.size()};  // NOLINT: bytes as characters
  }

  Status keep(const Field& field, std::uint64_t size) {
    SMELT_RETURN_IF_ERROR(charge(field, size));
    out_.bytes += text(field.whole);
    return {};
  }

  Status nested(const Field& field, Kind kind, int depth) {
    if (depth >= max_message_depth(limits_)) return error(ErrorCode::kLimitReached, field.whole.data(), "messages are nested too deep");
    SMELT_RETURN_IF_ERROR(charge(field, rows_of(kind).size + sizeof(void*)));
    put_varint(field.number << 3 | 2);
    const std::size_t at = out_.bytes.size();
    out_.bytes.append(5, '\0');
    SMELT_RETURN_IF_ERROR(message(field.body, kind, depth + 1));
    std::uint64_t length = out_.bytes.size() - at - 5;
    for (std::size_t k = 0; k < 5; ++k, length >>= 7) out_.bytes[at + k] = static_cast<char>((length & 0x7f) | (k < 4 ? 0x80 : 0));
    return {};
  }

  Status leave_out(const Field& field, Elided& payload) {
    const auto number = static_cast<int>(field.number);
    if (payload.field != 0 && payload.field != number) {
      return error(ErrorCode::kMalformedInput, field.whole.data(), fmt::format("a tensor has data in fields {} and {}", payload.field, number));
    }
    if (payload.field == 9) return error(ErrorCode::kMalformedInput, field.whole.data(), "a tensor has raw_data twice");
    SMELT_RETURN_IF_ERROR(charge(field, sizeof(Payload)));
    payload.field = number;
    const std::byte* const start = field.body.empty() ? field.whole.data() : field.body.data();
    payload.runs.push_back({.offset = static_cast<std::uint64_t>(start - bytes_.data()), .length = field.body.size()});
    return {};
  }

  /// data_location EXTERNAL and one entry of external_data, in the tensor that is being written.
  void mark(Elided payload) {
    const std::string location = fmt::format("{}{}", kMarker, out_.elided.size());
    const std::string entry = fmt::format("\x0a\x08location\x12{}{}", static_cast<char>(location.size()), location);
    out_.bytes += fmt::format("\x6a{}{}\x70\x01", static_cast<char>(entry.size()), entry);
    out_.elided.push_back(std::move(payload));
  }

  void put_varint(std::uint32_t value) {
    for (; value >= 0x80; value >>= 7) out_.bytes += static_cast<char>(value | 0x80);
    out_.bytes += static_cast<char>(value);
  }

  static constexpr std::uint64_t kMaxSkeleton = std::uint64_t{1} << 30;  // protobuf ends at 2 GiB

  std::span<const std::byte> bytes_;
  const std::string& file_;
  const Limits& limits_;
  std::uint64_t budget_;  ///< more than the skeleton's own bytes: objects are larger than their wire form
  std::uint64_t charged_ = 0;
  Skeleton out_;
};

}  // namespace

int max_message_depth(const Limits& limits) { return 3 * limits.max_graph_depth + 32; }

Result<Skeleton> elide(std::span<const std::byte> bytes, const std::string& file, const Limits& limits) {
  return Elider(bytes, file, limits).run();
}

}  // namespace smelt::onnx_format
