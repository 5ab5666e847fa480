#include "convert/onnx/skeleton.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/proto_reader.h"

namespace smelt::onnx_format {
namespace {

using proto::Field;
using enum proto::WireType;

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
class Elider : private proto::Reader {
 public:
  Elider(std::span<const std::byte> bytes, const std::string& file, const Limits& limits)
      : proto::Reader(bytes, file, "ONNX", ""), limits_(limits), budget_(std::min(limits.max_structure_bytes, kMaxSkeleton)) {}

  Result<Skeleton> run() {
    SMELT_RETURN_IF_ERROR(message(bytes_, Kind::kModel, 1));
    return std::move(out_);
  }

 private:
  /// Takes `bytes` from the budget for structure, before they are allocated.
  Status charge(const Field& field, std::uint64_t bytes) {
    if (bytes > budget_ - charged_) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("the structure, without weights, needs more than {} bytes", budget_));
    }
    charged_ += bytes;
    return {};
  }

  static bool fits(Form form, std::uint32_t wire) {
    switch (form) {
      case Form::kVarint: return wire == kVarint;
      case Form::kFixed32: return wire == kFixed32;
      case Form::kText:
      case Form::kPayloadBytes:
      case Form::kMessage: return wire == kBytes;
      case Form::kVarints:
      case Form::kPayloadVarint: return wire == kVarint || wire == kBytes;
      case Form::kFloats:
      case Form::kPayload32: return wire == kFixed32 || wire == kBytes;
      case Form::kPayload64: return wire == kFixed64 || wire == kBytes;
    }
    return false;
  }

  Status message(std::span<const std::byte> body, Kind kind, int depth) {
    Elided payload;
    SMELT_RETURN_IF_ERROR(each_field(body, [&](const Field& field) { return copy(field, kind, depth, payload); }));
    if (payload.field != 0) mark(std::move(payload));
    return {};
  }

  /// One field of a message of `kind`: kept, gone through, or, where it is a payload, left out.
  Status copy(const Field& field, Kind kind, int depth, Elided& payload) {
    const std::span<const Row> rows = rows_of(kind).rows;
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.number == field.number; });
    if (row == rows.end()) return {};
    if (!fits(row->form, field.wire)) {
      return malformed(field, fmt::format("field {} has wire type {}", field.number, field.wire));
    }
    if (kind == Kind::kEntry && row->form == Form::kText && text(field.body).substr(0, kMarker.size()) == kMarker) {
      return malformed(field, fmt::format("external data begins with \"{}\"", kMarker));
    }
    switch (row->form) {
      case Form::kMessage: return nested(field, row->child, depth);
      case Form::kPayload32:
      case Form::kPayload64:
      case Form::kPayloadVarint:
      case Form::kPayloadBytes: return leave_out(field, payload);
      case Form::kVarints: return keep(field, sizeof(std::int64_t) * field.body.size());
      default: return keep(field, sizeof(std::string) + field.body.size());
    }
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
    if (depth >= max_message_depth(limits_)) return error(ErrorCode::kLimitReached, field.offset, "messages are nested too deep");
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
      return malformed(field, fmt::format("a tensor has data in fields {} and {}", payload.field, number));
    }
    if (payload.field == 9) return malformed(field, "a tensor has raw_data twice");
    SMELT_RETURN_IF_ERROR(charge(field, sizeof(Payload)));
    payload.field = number;
    payload.runs.push_back({.offset = field.body.empty() ? field.offset : offset_of(field.body.data()), .length = field.body.size()});
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
