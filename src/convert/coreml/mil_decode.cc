#include "convert/coreml/mil.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "convert/coreml/wire_reader.h"

namespace smelt::coreml_format {
namespace {

struct Kind {
  std::uint64_t number;
  std::string_view name;
};

// The other members of the oneof in Model, FeatureType, ValueType and ImmediateValue, for messages.
constexpr Kind kOtherModels[] = {
    {200, "pipelineClassifier"}, {201, "pipelineRegressor"}, {202, "pipeline"}, {300, "glmRegressor"},
    {301, "supportVectorRegressor"}, {302, "treeEnsembleRegressor"}, {303, "neuralNetworkRegressor"},
    {304, "bayesianProbitRegressor"}, {400, "glmClassifier"}, {401, "supportVectorClassifier"},
    {402, "treeEnsembleClassifier"}, {403, "neuralNetworkClassifier"}, {404, "kNearestNeighborsClassifier"},
    {500, "neuralNetwork"}, {501, "itemSimilarityRecommender"}, {555, "customModel"}, {556, "linkedModel"},
    {560, "classConfidenceThresholding"}, {600, "oneHotEncoder"}, {601, "imputer"}, {602, "featureVectorizer"},
    {603, "dictVectorizer"}, {604, "scaler"}, {606, "categoricalMapping"}, {607, "normalizer"},
    {609, "arrayFeatureExtractor"}, {610, "nonMaximumSuppression"}, {900, "identity"}, {2000, "textClassifier"},
    {2001, "wordTagger"}, {2002, "visionFeaturePrint"}, {2003, "soundAnalysisPreprocessing"}, {2004, "gazetteer"},
    {2005, "wordEmbedding"}, {2006, "audioFeaturePrint"}, {3000, "serializedModel"},
};
constexpr Kind kOtherFeatures[] = {{1, "an int64"}, {2, "a double"},     {3, "a string"}, {4, "an image"},
                                   {6, "a dictionary"}, {7, "a sequence"}, {8, "a state"}};
constexpr Kind kOtherTypes[] = {{2, "a list"}, {3, "a tuple"}, {4, "a dictionary"}, {5, "a state"}};
constexpr Kind kOtherImmediates[] = {{2, "a tuple"}, {3, "a list"}, {4, "a dictionary"}};
constexpr Kind kOtherDataTypes[] = {{13, "bfloat16"}, {40, "float8e4m3fn"}, {41, "float8e5m2"}};

/// Empty when `number` is none of them.
std::string_view kind_name(std::span<const Kind> kinds, std::uint64_t number) {
  const auto found = std::find_if(kinds.begin(), kinds.end(), [number](const Kind& kind) { return kind.number == number; });
  return found == kinds.end() ? std::string_view() : found->name;
}

bool is_data_type(std::uint64_t number) {
  return number == 1 || number == 2 || (number >= 10 && number <= 12) || (number >= 21 && number <= 25) ||
         (number >= 31 && number <= 39);
}

std::optional<MilDataType> array_element_type(std::uint64_t number) {
  switch (number) {
    case 0x10010: return MilDataType::kFloat16;
    case 0x10020: return MilDataType::kFloat32;
    case 0x10040: return MilDataType::kFloat64;
    case 0x20008: return MilDataType::kInt8;
    case 0x20020: return MilDataType::kInt32;
    default: return std::nullopt;
  }
}

/// Members of TensorValue's oneof.
enum Member : std::uint32_t { kFloats = 1, kInts = 2, kBools = 3, kStrings = 4, kLongInts = 5, kDoubles = 6, kRawBytes = 7 };

/// Whether elements of `type` may be stored in `member`. Core ML has one member for each type; other writers use the wider
/// ones for small integers, which holds the same.
bool may_hold(std::uint32_t member, MilDataType type) {
  const bool is_integer = mil_bits(type) >= 8 && type >= MilDataType::kInt8;
  switch (member) {
    case kFloats: return type == MilDataType::kFloat32;
    case kDoubles: return type == MilDataType::kFloat64;
    case kBools: return type == MilDataType::kBool;
    case kStrings: return type == MilDataType::kString;
    case kInts:
    case kLongInts: return is_integer;
    default: return type != MilDataType::kBool && type != MilDataType::kString;
  }
}

/// The error of reading an operation or a function, with the name of what it was found in.
Status within(const std::string& graph, const std::string& node, const Status& status) {
  if (status.ok()) return status;
  ErrorLocation location = status.error().location();
  if (location.graph.empty()) location.graph = graph;
  if (location.node.empty()) location.node = node;
  return Error(status.error()).at(std::move(location));
}

class Reader : private WireReader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file, const MilLimits& limits) : WireReader(bytes, file, limits) {}

  Result<MilModel> model() {
    MilModel model;
    std::optional<Field> description, program;
    SMELT_RETURN_IF_ERROR(each_field(bytes_, [&](const Field& field) -> Status {
      if (const std::string_view kind = kind_name(kOtherModels, field.number); !kind.empty()) {
        return unsupported(field, fmt::format("the model is of the kind {}, not an ML program", kind));
      }
      switch (field.number) {
        case 1: return small_integer(field, model.specification_version);
        case 2: return once(field, description);
        case 10: return field.value == 0 ? Status() : unsupported(field, "an updatable model");
        case 502: return once(field, program);
        default: return {};
      }
    }));
    if (!program) {
      return Error(ErrorCode::kMalformedInput, "the file holds no model")
          .at({.file = file_})
          .hint("is it a Core ML specification? a package keeps it in Data/com.apple.CoreML/model.mlmodel");
    }
    if (model.specification_version == 0) return malformed(*program, "the model has no specification version");
    if (!description) return malformed(*program, "the model has no description");
    SMELT_RETURN_IF_ERROR(read_description(*description, model));
    SMELT_RETURN_IF_ERROR(read_program(*program, model));
    return model;
  }

 private:
  // Model.proto and FeatureTypes.proto.

  Status read_description(const Field& outer, MilModel& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return append(field, out.inputs, [&](Feature& child) { return feature(field, child); });
        case 10: return append(field, out.outputs, [&](Feature& child) { return feature(field, child); });
        case 11:
        case 12: return field.body.empty() ? Status() : unsupported(field, "a classifier");
        case 13: return unsupported(field, "a model with a state");
        case 20: return unsupported(field, "a model with several functions");
        case 50: return unsupported(field, "an updatable model");
        case 100: return metadata(field, out);
        default: return {};
      }
    });
  }

  Status metadata(const Field& outer, MilModel& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      if (field.number != 100) return {};
      return map_entry(field, out.user_defined, [&](const Field& content, auto& entry) { return text(content, entry.second); });
    });
  }

  Status feature(const Field& outer, Feature& out) {
    std::optional<Field> type, array;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return name(field, out.name);
      return field.number == 3 ? once(field, type) : Status();
    }));
    if (!type) return malformed(outer, fmt::format("feature \"{}\" has no type", out.name));
    SMELT_RETURN_IF_ERROR(each_field(*type, [&](const Field& field) -> Status {
      if (const std::string_view kind = kind_name(kOtherFeatures, field.number); !kind.empty()) {
        return unsupported(field, fmt::format("feature \"{}\" is {}, not a multi-array", out.name, kind));
      }
      if (field.number == 1000 && field.value != 0) {
        return unsupported(field, fmt::format("feature \"{}\" is optional", out.name));
      }
      return field.number == 5 ? once(field, array) : Status();
    }));
    if (!array) return malformed(*type, fmt::format("feature \"{}\" has no type", out.name));
    return multi_array(*array, out);
  }

  Status multi_array(const Field& outer, Feature& out) {
    std::uint64_t dtype = 0;
    std::vector<std::int64_t> shape;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return each_varint(field, [&](std::uint64_t extent) { return shape_extent(field, extent, shape); });
        case 2: dtype = field.value; return expect(field, kVarint);
        default: return {};
      }
    }));
    const std::optional<MilDataType> known = array_element_type(dtype);
    if (!known) return malformed(outer, fmt::format("feature \"{}\" has the unknown data type {}", out.name, dtype));
    out.dtype = *known;
    if (!shape.empty()) out.shape = std::move(shape);
    return {};
  }

  Status shape_extent(const Field& field, std::uint64_t raw, std::vector<std::int64_t>& shape) {
    const auto extent = static_cast<std::int64_t>(raw);
    if (extent < 0) return malformed(field, fmt::format("an extent is {}", extent));
    if (shape.size() == limits_.max_rank) return rank_limit(field);
    shape.push_back(extent);
    return {};
  }

  // MIL.proto.

  Status read_program(const Field& outer, MilModel& out) {
    std::uint64_t version = 0;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) version = field.value;
      if (field.number != 2) return {};
      return map_entry(field, out.functions, [&](const Field& content, auto& entry) {
        return within(entry.first, "", function(content, entry.second));
      });
    }));
    if (version != 1) return unsupported(outer, fmt::format("the program has version {}, not 1", version));
    if (out.functions.empty()) return malformed(outer, "the program has no function");
    return {};
  }

  Status function(const Field& outer, MilFunction& out) {
    std::vector<std::pair<std::string, Field>> blocks;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return append(field, out.inputs, [&](MilNamedType& child) { return named_type(field, child); });
        case 2: return name(field, out.opset);
        case 3: return append(field, blocks, [&](auto& child) { return specialization(field, child); });
        default: return {};
      }
    }));
    const auto chosen = std::find_if(blocks.begin(), blocks.end(), [&](const auto& child) { return child.first == out.opset; });
    if (chosen == blocks.end()) {
      return malformed(outer, fmt::format("a function has no block for its opset \"{}\"", out.opset));
    }
    return block(chosen->second, out.block, 1);
  }

  Status specialization(const Field& outer, std::pair<std::string, Field>& out) {
    out.second.offset = outer.offset;
    return each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return name(field, out.first);
      if (field.number == 2) out.second = field;
      return {};
    });
  }

  Status block(const Field& outer, MilBlock& out, int depth) {
    if (depth > limits_.max_block_depth) {
      return error(ErrorCode::kLimitReached, outer.offset,
                   fmt::format("blocks are nested deeper than {}", limits_.max_block_depth));
    }
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return append(field, out.inputs, [&](MilNamedType& child) { return named_type(field, child); });
        case 2: return append(field, out.outputs, [&](std::string& child) { return name(field, child); });
        case 3: return append(field, out.operations, [&](MilOperation& child) { return operation(field, child, depth); });
        default: return {};
      }
    });
  }

  Status operation(const Field& outer, MilOperation& out, int depth) {
    if (++operations_ > limits_.max_operations) {
      return error(ErrorCode::kLimitReached, outer.offset, fmt::format("more than {} operations", limits_.max_operations));
    }
    const Status status = each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return name(field, out.type);
        case 2: return map_entry(field, out.inputs, [&](const Field& v, auto& entry) { return argument(v, entry.second); });
        case 3: return append(field, out.outputs, [&](MilNamedType& child) { return named_type(field, child); });
        case 4: return append(field, out.blocks, [&](MilBlock& child) { return block(field, child, depth + 1); });
        case 5: return map_entry(field, out.attributes, [&](const Field& v, auto& entry) { return value(v, entry.second); });
        default: return {};
      }
    });
    if (status.ok() && out.type.empty()) return malformed(outer, "an operation has no type");
    return within("", out.outputs.empty() ? out.type : out.outputs.front().name, status);
  }

  Status argument(const Field& outer, std::vector<MilBinding>& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      if (field.number != 1) return {};
      return append(field, out, [&](MilBinding& child) { return binding(field, child); });
    });
  }

  Status binding(const Field& outer, MilBinding& out) {
    std::optional<Field> source, given;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return once(field, source);
      return field.number == 2 ? once(field, given) : Status();
    }));
    if (source.has_value() == given.has_value()) return malformed(outer, "an argument is not exactly one of name and value");
    if (given) return value(*given, out.emplace<MilValue>());
    return name(*source, out.emplace<std::string>());
  }

  Status named_type(const Field& outer, MilNamedType& out) {
    std::optional<Field> type;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return name(field, out.name);
      return field.number == 2 ? once(field, type) : Status();
    }));
    if (!type) return malformed(outer, fmt::format("value \"{}\" has no type", out.name));
    return value_type(*type, out.type);
  }

  Status value_type(const Field& outer, MilType& out) {
    std::optional<Field> tensor;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (const std::string_view kind = kind_name(kOtherTypes, field.number); !kind.empty()) {
        return unsupported(field, fmt::format("a value is {}, not a tensor", kind));
      }
      return field.number == 1 ? once(field, tensor) : Status();
    }));
    if (!tensor) return malformed(outer, "a type is empty");
    return tensor_type(*tensor, out);
  }

  Status tensor_type(const Field& outer, MilType& out) {
    std::uint64_t dtype = 0, rank = 0;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: dtype = field.value; return expect(field, kVarint);
        case 2: rank = field.value; return expect(field, kVarint);
        case 3:
          if (out.dims.size() == limits_.max_rank) return rank_limit(field);
          return append(field, out.dims, [&](std::optional<std::int64_t>& child) { return dimension(field, child); });
        default: return {};
      }
    }));
    if (const std::string_view kind = kind_name(kOtherDataTypes, dtype); !kind.empty()) {
      return unsupported(outer, fmt::format("a tensor is of the data type {}", kind));
    }
    if (!is_data_type(dtype)) return malformed(outer, fmt::format("a tensor has the unknown data type {}", dtype));
    out.dtype = static_cast<MilDataType>(dtype);
    if (static_cast<std::int64_t>(rank) == -1) return unsupported(outer, "a tensor is of unknown rank");
    if (rank != out.dims.size()) {
      return malformed(outer, fmt::format("a tensor of rank {} has {} extents", rank, out.dims.size()));
    }
    return {};
  }

  [[nodiscard]] Error rank_limit(const Field& field) const {
    return error(ErrorCode::kLimitReached, field.offset, fmt::format("a rank is over {}", limits_.max_rank));
  }

  Status dimension(const Field& outer, std::optional<std::int64_t>& out) const {
    std::optional<Field> constant, unknown;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return once(field, constant);
      return field.number == 2 ? once(field, unknown) : Status();
    }));
    if (constant.has_value() == unknown.has_value()) return malformed(outer, "an extent is not exactly one of constant and unknown");
    std::uint64_t number = 0;
    SMELT_RETURN_IF_ERROR(each_field(constant ? *constant : *unknown, [&](const Field& field) -> Status {
      if (field.number != 1) return {};
      number = field.value;
      return expect(field, kVarint);
    }));
    if (unknown) return number == 0 ? Status() : unsupported(outer, "a tensor has a variadic extent");
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return malformed(outer, fmt::format("an extent is {}", number));
    }
    out = static_cast<std::int64_t>(number);
    return {};
  }

  // Values. The type is needed to read the data, and nothing says that it comes first.

  Status value(const Field& outer, MilValue& out) {
    std::optional<Field> type, immediate, blob;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 2: return once(field, type);
        case 3: return once(field, immediate);
        case 5: return once(field, blob);
        default: return {};
      }
    }));
    if (!type) return malformed(outer, "a constant has no type");
    if (immediate.has_value() == blob.has_value()) return malformed(outer, "a constant is not exactly one of immediate and in a file");
    SMELT_RETURN_IF_ERROR(value_type(*type, out.type));
    const std::optional<std::uint64_t> count = mil_element_count(out.type);
    if (!count) return malformed(outer, "a constant has an unknown extent, or more than 2^56 elements");
    if (immediate) return immediate_value(*immediate, *count, out);
    if (out.type.dtype == MilDataType::kString) return malformed(outer, "a string constant is in a weight file");
    return blob_reference(*blob, out.data.emplace<BlobReference>());
  }

  Status blob_reference(const Field& outer, BlobReference& out) {
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (field.number == 1) return name(field, out.file_name);
      if (field.number != 2) return {};
      out.offset = field.value;
      return expect(field, kVarint);
    }));
    if (out.file_name.empty()) return malformed(outer, "a constant in a weight file names none");
    return {};
  }

  Status immediate_value(const Field& outer, std::uint64_t count, MilValue& out) {
    std::optional<Field> tensor, member;
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      if (const std::string_view kind = kind_name(kOtherImmediates, field.number); !kind.empty()) {
        return unsupported(field, fmt::format("a constant is {}, not a tensor", kind));
      }
      return field.number == 1 ? once(field, tensor) : Status();
    }));
    if (!tensor) return malformed(outer, "an immediate constant has no data");
    SMELT_RETURN_IF_ERROR(each_field(*tensor, [&](const Field& field) -> Status {
      if (field.number > kRawBytes) return {};
      if (member) return malformed(field, fmt::format("a constant has data in fields {} and {}", member->number, field.number));
      return once(field, member);
    }));
    if (!member) return malformed(*tensor, "an immediate constant has no data");
    if (!may_hold(member->number, out.type.dtype)) {
      return malformed(*member, fmt::format("a {} constant has its data in field {}", mil_type_name(out.type.dtype), member->number));
    }
    if (member->number == kStrings) return strings(*member, count, out.data.emplace<std::vector<std::string>>());
    return elements(*member, count, out.type.dtype, out.data.emplace<std::vector<std::byte>>());
  }

  Status strings(const Field& member, std::uint64_t count, std::vector<std::string>& out) {
    SMELT_RETURN_IF_ERROR(each_field(member, [&](const Field& field) -> Status {
      if (field.number != 1) return {};
      return append(field, out, [&](std::string& child) { return text(field, child); });
    }));
    if (out.size() == count) return {};
    return malformed(member, fmt::format("a constant of {} strings holds {}", count, out.size()));
  }

  Status elements(const Field& member, std::uint64_t count, MilDataType dtype, std::vector<std::byte>& out) {
    const std::uint64_t needed = (count * mil_bits(dtype) + 7) / 8;
    const bool is_varint = member.number == kInts || member.number == kBools || member.number == kLongInts;
    SMELT_RETURN_IF_ERROR(each_field(member, [&](const Field& field) -> Status {
      if (field.number != 1) return {};
      if (!is_varint) return raw_elements(field, member.number, out);
      return each_varint(field, [&](std::uint64_t raw) { return integer_element(field, member.number, raw, dtype, out); });
    }));
    if (out.size() == needed) return {};
    return malformed(member, fmt::format("a {} constant of {} elements needs {} bytes, it holds {}", mil_type_name(dtype), count,
                                         needed, out.size()));
  }

  /// Appends elements that the file holds as Core ML wants them in memory: little-endian, one after another.
  Status raw_elements(const Field& field, std::uint32_t member, std::vector<std::byte>& out) {
    const bool is_alone = (field.wire == kFixed32 && member == kFloats) || (field.wire == kFixed64 && member == kDoubles);
    if (!is_alone) SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    SMELT_RETURN_IF_ERROR(charge(field, field.body.size()));
    out.insert(out.end(), field.body.begin(), field.body.end());
    return {};
  }

  /// Appends one element of `ints`, `bools` or `longInts` as the little-endian bytes of `dtype`.
  Status integer_element(const Field& field, std::uint32_t member, std::uint64_t raw, MilDataType dtype, std::vector<std::byte>& out) {
    const std::uint64_t bits = mil_bits(dtype);
    auto value = static_cast<std::int64_t>(raw);
    if (member == kBools) value = raw == 0 ? 0 : 1;
    if (member == kInts) value = static_cast<std::int32_t>(static_cast<std::uint32_t>(raw));  // protobuf cuts an int32 so
    const bool is_signed = dtype >= MilDataType::kInt8 && dtype <= MilDataType::kInt64;
    const std::int64_t high = value >> (is_signed ? bits - 1 : bits % 64);  // for signed types, copies of the sign
    const bool any_fits = bits == 64 && (is_signed || member == kLongInts);
    const bool fits = any_fits || high == 0 || (is_signed ? high == -1 : bits == 64 && value >= 0);
    if (!fits) return malformed(field, fmt::format("{} is not a value of {}", value, mil_type_name(dtype)));
    SMELT_RETURN_IF_ERROR(charge(field, bits / 8));
    for (std::uint64_t shift = 0; shift < bits; shift += 8) {
      out.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> shift & 0xff));
    }
    return {};
  }

  std::uint64_t operations_ = 0;
};

}  // namespace

Result<MilModel> decode_model(std::span<const std::byte> bytes, const std::string& file, const MilLimits& limits) {
  return Reader(bytes, file, limits).model();
}

}  // namespace smelt::coreml_format
