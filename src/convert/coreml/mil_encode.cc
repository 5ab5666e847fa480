#include "convert/coreml/mil.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace smelt::coreml_format {
namespace {

/// FeatureTypes.proto's ArrayDataType; 0 for types that the border of a model does not have.
std::uint64_t array_data_type(MilDataType type) {
  switch (type) {
    case MilDataType::kFloat16: return 0x10010;
    case MilDataType::kFloat32: return 0x10020;
    case MilDataType::kFloat64: return 0x10040;
    case MilDataType::kInt8: return 0x20008;
    case MilDataType::kInt32: return 0x20020;
    default: return 0;
  }
}

/// Finds what no Core ML file can hold, so that encoding itself cannot fail.
class Checker {
 public:
  [[nodiscard]] Status model(const MilModel& model) const {
    if (model.specification_version <= 0) return bad("the specification version is not positive");
    for (const Feature& f : model.inputs) SMELT_RETURN_IF_ERROR(feature(f));
    for (const Feature& f : model.outputs) SMELT_RETURN_IF_ERROR(feature(f));
    for (const auto& [key, text] : model.user_defined) {
      SMELT_RETURN_IF_ERROR(name(key));
      SMELT_RETURN_IF_ERROR(name(text));
    }
    for (const auto& [key, function] : model.functions) {
      SMELT_RETURN_IF_ERROR(name(key));
      SMELT_RETURN_IF_ERROR(name(function.opset));
      SMELT_RETURN_IF_ERROR(named_types(function.inputs));
      SMELT_RETURN_IF_ERROR(block(function.block));
    }
    return {};
  }

 private:
  static Error bad(std::string message) { return Error(ErrorCode::kInternal, std::move(message)); }

  [[nodiscard]] Status name(std::string_view text) const {
    if (!is_utf8(text)) return bad("a string for the Core ML model is not UTF-8");
    return {};
  }

  [[nodiscard]] Status feature(const Feature& feature) const {
    SMELT_RETURN_IF_ERROR(name(feature.name));
    if (array_data_type(feature.dtype) == 0) {
      return bad(fmt::format("feature \"{}\" is {}, which no multi-array is", feature.name, mil_type_name(feature.dtype)));
    }
    if (feature.shape && std::any_of(feature.shape->begin(), feature.shape->end(), [](auto extent) { return extent < 0; })) {
      return bad(fmt::format("feature \"{}\" has a negative extent", feature.name));
    }
    return {};
  }

  [[nodiscard]] Status named_types(const std::vector<MilNamedType>& list) const {
    for (const MilNamedType& item : list) {
      SMELT_RETURN_IF_ERROR(name(item.name));
      if (std::any_of(item.type.dims.begin(), item.type.dims.end(), [](auto extent) { return extent && *extent < 0; })) {
        return bad(fmt::format("value \"{}\" has a negative extent", item.name));
      }
    }
    return {};
  }

  [[nodiscard]] Status block(const MilBlock& block) const {
    SMELT_RETURN_IF_ERROR(named_types(block.inputs));
    for (const std::string& output : block.outputs) SMELT_RETURN_IF_ERROR(name(output));
    for (const MilOperation& op : block.operations) SMELT_RETURN_IF_ERROR(operation(op));
    return {};
  }

  [[nodiscard]] Status operation(const MilOperation& op) const {
    SMELT_RETURN_IF_ERROR(name(op.type));
    SMELT_RETURN_IF_ERROR(named_types(op.outputs));
    for (const auto& [key, bindings] : op.inputs) {
      SMELT_RETURN_IF_ERROR(name(key));
      for (const MilBinding& binding : bindings) {
        if (const auto* source = std::get_if<std::string>(&binding)) SMELT_RETURN_IF_ERROR(name(*source));
        if (const auto* given = std::get_if<MilValue>(&binding)) SMELT_RETURN_IF_ERROR(value(*given));
      }
    }
    for (const auto& [key, given] : op.attributes) {
      SMELT_RETURN_IF_ERROR(name(key));
      SMELT_RETURN_IF_ERROR(value(given));
    }
    for (const MilBlock& child : op.blocks) SMELT_RETURN_IF_ERROR(block(child));
    return {};
  }

  [[nodiscard]] Status value(const MilValue& value) const {
    const std::optional<std::uint64_t> count = mil_element_count(value.type);
    if (!count) return bad("a constant's type has an extent that is unknown, negative or too large");
    if (const auto* blob = std::get_if<BlobReference>(&value.data)) return name(blob->file_name);
    const bool wants_strings = value.type.dtype == MilDataType::kString;
    if (const auto* strings = std::get_if<std::vector<std::string>>(&value.data)) {
      if (!wants_strings) return bad(fmt::format("a {} constant holds strings", mil_type_name(value.type.dtype)));
      if (strings->size() != *count) return bad(fmt::format("a constant of {} strings holds {}", *count, strings->size()));
      for (const std::string& text : *strings) SMELT_RETURN_IF_ERROR(name(text));
      return {};
    }
    const auto& bytes = std::get<std::vector<std::byte>>(value.data);
    const std::uint64_t needed = (*count * mil_bits(value.type.dtype) + 7) / 8;
    if (wants_strings || bytes.size() != needed) {
      return bad(fmt::format("a {} constant of {} elements holds {} bytes", mil_type_name(value.type.dtype), *count,
                             bytes.size()));
    }
    if (value.type.dtype == MilDataType::kBool && std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; })) {
      return bad("a bool constant holds a byte that is neither 0 nor 1");
    }
    return {};
  }
};

/// Appends protobuf to one buffer. Fields are written in ascending order, so equal models give equal bytes.
class Encoder {
 public:
  std::vector<std::byte> take() { return std::move(out_); }

  // Model.proto and FeatureTypes.proto.

  void model(const MilModel& model) {
    number(1, static_cast<std::uint64_t>(model.specification_version));
    message(2, [&] { description(model); });
    message(502, [&] { program(model.functions); });
  }

 private:
  enum WireType : std::uint64_t { kVarint = 0, kBytes = 2 };

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    out_.push_back(static_cast<std::byte>(value));
  }

  void tag(std::uint64_t field, WireType wire) { varint(field << 3 | wire); }

  /// A proto3 scalar: left out when it is the default.
  void number(std::uint64_t field, std::uint64_t value) {
    if (value == 0) return;
    tag(field, kVarint);
    varint(value);
  }

  /// A length-delimited field, present even if empty: submessages, elements of lists, members of a oneof, map keys.
  template <typename Body>
  void message(std::uint64_t field, const Body& body) {
    tag(field, kBytes);
    const std::size_t start = out_.size();
    body();
    // The length is known only now. Putting it in front moves the body once for each level, and levels are few.
    std::uint64_t length = out_.size() - start;
    std::byte head[10];
    std::size_t size = 0;
    for (; length >= 0x80; length >>= 7) head[size++] = static_cast<std::byte>((length & 0x7f) | 0x80);
    head[size++] = static_cast<std::byte>(length);
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(start), head, head + size);
  }

  void raw(std::uint64_t field, std::span<const std::byte> bytes) {
    tag(field, kBytes);
    varint(bytes.size());
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  void text(std::uint64_t field, std::string_view value) { raw(field, std::as_bytes(std::span(value))); }

  /// A proto3 string or bytes field, or a packed list of fixed-size elements: left out when it is empty.
  void raw_unless_empty(std::uint64_t field, std::span<const std::byte> bytes) {
    if (!bytes.empty()) raw(field, bytes);
  }
  void text_unless_empty(std::uint64_t field, std::string_view value) {
    if (!value.empty()) text(field, value);
  }

  /// A packed list of varints; left out when it is empty.
  template <typename At>
  void packed(std::uint64_t field, std::size_t count, const At& at) {
    if (count == 0) return;
    message(field, [&] {
      for (std::size_t i = 0; i < count; ++i) varint(at(i));
    });
  }

  /// The entries of a protobuf map; std::map orders them bytewise.
  template <typename T, typename Write>
  void map(std::uint64_t field, const std::map<std::string, T>& entries, const Write& write) {
    for (const auto& entry : entries) {
      message(field, [&] {
        text(1, entry.first);
        write(entry.second);
      });
    }
  }

  void description(const MilModel& model) {
    for (const Feature& f : model.inputs) message(1, [&] { feature(f); });
    for (const Feature& f : model.outputs) message(10, [&] { feature(f); });
    if (model.user_defined.empty()) return;
    message(100, [&] { map(100, model.user_defined, [&](const std::string& value) { text(2, value); }); });
  }

  void feature(const Feature& feature) {
    text_unless_empty(1, feature.name);
    message(3, [&] {
      message(5, [&] {
        if (feature.shape) {
          const auto& shape = *feature.shape;
          packed(1, shape.size(), [&](std::size_t i) { return static_cast<std::uint64_t>(shape[i]); });
        }
        number(2, array_data_type(feature.dtype));
      });
    });
  }

  // MIL.proto.

  void program(const std::map<std::string, MilFunction>& functions) {
    number(1, 1);  // version
    map(2, functions, [&](const MilFunction& f) { message(2, [&] { function(f); }); });
  }

  void function(const MilFunction& function) {
    for (const MilNamedType& input : function.inputs) message(1, [&] { named_type(input); });
    text_unless_empty(2, function.opset);
    message(3, [&] {
      text(1, function.opset);
      message(2, [&] { block(function.block); });
    });
  }

  void block(const MilBlock& block) {
    for (const MilNamedType& input : block.inputs) message(1, [&] { named_type(input); });
    for (const std::string& output : block.outputs) text(2, output);
    for (const MilOperation& op : block.operations) message(3, [&] { operation(op); });
  }

  void operation(const MilOperation& op) {
    text_unless_empty(1, op.type);
    map(2, op.inputs, [&](const std::vector<MilBinding>& bindings) {
      message(2, [&] {
        for (const MilBinding& b : bindings) message(1, [&] { binding(b); });
      });
    });
    for (const MilNamedType& output : op.outputs) message(3, [&] { named_type(output); });
    for (const MilBlock& child : op.blocks) message(4, [&] { block(child); });
    map(5, op.attributes, [&](const MilValue& v) { message(2, [&] { value(v); }); });
  }

  void binding(const MilBinding& binding) {
    if (const auto* name = std::get_if<std::string>(&binding)) return text(1, *name);
    message(2, [&] { value(std::get<MilValue>(binding)); });
  }

  void named_type(const MilNamedType& item) {
    text_unless_empty(1, item.name);
    message(2, [&] { value_type(item.type); });
  }

  void value_type(const MilType& type) {
    message(1, [&] {
      number(1, static_cast<std::uint64_t>(type.dtype));
      number(2, type.dims.size());
      for (const auto& extent : type.dims) {
        message(3, [&] {
          // Both are submessages that must be there even if empty: an extent of 0 has no field in its own.
          if (extent) message(1, [&] { number(1, static_cast<std::uint64_t>(*extent)); });
          else message(2, [] {});
        });
      }
    });
  }

  void value(const MilValue& value) {
    message(2, [&] { value_type(value.type); });
    if (const auto* blob = std::get_if<BlobReference>(&value.data)) {
      message(5, [&] {
        text_unless_empty(1, blob->file_name);
        number(2, blob->offset);
      });
      return;
    }
    message(3, [&] { message(1, [&] { immediate(value); }); });
  }

  /// A TensorValue: the member that Core ML uses for the element type.
  void immediate(const MilValue& value) {
    if (const auto* strings = std::get_if<std::vector<std::string>>(&value.data)) {
      message(4, [&] {
        for (const std::string& item : *strings) text(1, item);
      });
      return;
    }
    const std::span<const std::byte> bytes = std::get<std::vector<std::byte>>(value.data);
    switch (value.type.dtype) {
      case MilDataType::kFloat32: return message(1, [&] { raw_unless_empty(1, bytes); });
      case MilDataType::kFloat64: return message(6, [&] { raw_unless_empty(1, bytes); });
      case MilDataType::kInt16: return integers(2, bytes, 2, true);
      case MilDataType::kUInt16: return integers(2, bytes, 2, false);
      case MilDataType::kInt32: return integers(2, bytes, 4, true);
      case MilDataType::kBool: return integers(3, bytes, 1, false);
      case MilDataType::kInt64:
      case MilDataType::kUInt64: return integers(5, bytes, 8, false);  // 64 bits are the same varint either way
      default: return message(7, [&] { raw_unless_empty(1, bytes); });
    }
  }

  void integers(std::uint64_t member, std::span<const std::byte> bytes, std::size_t width, bool is_signed) {
    const auto element = [&](std::size_t i) {
      std::uint64_t value = 0;
      for (std::size_t k = 0; k < width; ++k) value |= std::to_integer<std::uint64_t>(bytes[i * width + k]) << (8 * k);
      const std::uint64_t sign = std::uint64_t{1} << (8 * width - 1);
      if (is_signed) value = (value ^ sign) - sign;  // a negative int32 is a varint of all 64 bits
      return value;
    };
    message(member, [&] { packed(1, bytes.size() / width, element); });
  }

  std::vector<std::byte> out_;
};

}  // namespace

Result<std::vector<std::byte>> encode_model(const MilModel& model) {
  SMELT_RETURN_IF_ERROR(Checker().model(model));
  Encoder encoder;
  encoder.model(model);
  std::vector<std::byte> bytes = encoder.take();
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return Error(ErrorCode::kNotRepresentable,
                 fmt::format("the Core ML specification has {} bytes, protobuf's bound is 2147483647", bytes.size()))
        .hint("keep large constants in the weight file");
  }
  return bytes;
}

}  // namespace smelt::coreml_format
