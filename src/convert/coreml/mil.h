#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "smelt/result.h"

/// A Core ML model of the ML-program kind as plain data: Model.proto, FeatureTypes.proto and MIL.proto, the part that smelt
/// reads and writes. Encoded and decoded by hand, so that maps are sorted, bytes reproducible and hostile input bounded.
namespace smelt::coreml_format {

/// Element types of MIL. The numbers are MIL.proto's DataType.
enum class MilDataType : int {
  kBool = 1, kString = 2, kFloat16 = 10, kFloat32 = 11, kFloat64 = 12, kInt8 = 21, kInt16 = 22, kInt32 = 23, kInt64 = 24,
  kInt4 = 25, kUInt8 = 31, kUInt16 = 32, kUInt32 = 33, kUInt64 = 34, kUInt4 = 35, kUInt2 = 36, kUInt1 = 37, kUInt6 = 38,
  kUInt3 = 39,
};

/// Bits of one element; 0 for strings.
[[nodiscard]] std::uint64_t mil_bits(MilDataType type);

/// "fp16", "int32": the words of MIL's own text form and of `cast`'s dtype parameter.
[[nodiscard]] const char* mil_type_name(MilDataType type);

struct MilType {
  MilDataType dtype = MilDataType::kFloat32;
  std::vector<std::optional<std::int64_t>> dims;  ///< empty: a scalar; nullopt: an unknown extent
  bool operator==(const MilType&) const = default;
};

/// Product of the extents; nullopt when one is unknown or negative, or when it is over 2^56 (whose bits still fit 64 bits).
[[nodiscard]] std::optional<std::uint64_t> mil_element_count(const MilType& type);

/// Data in a file of the package. `file_name` begins with "@model_path/".
struct BlobReference {
  std::string file_name;
  std::uint64_t offset = 0;  ///< of the blob's record
  bool operator==(const BlobReference&) const = default;
};

/// A constant: its elements little-endian and row-major (bool: a byte each; sub-byte types packed from the least significant
/// bit), or strings, or a reference into a weight file. An immediate value holds exactly the elements that its type asks for.
struct MilValue {
  MilType type;
  std::variant<std::vector<std::byte>, std::vector<std::string>, BlobReference> data;
  bool operator==(const MilValue&) const = default;
};

/// What feeds a parameter: a value by name, or one given in place.
using MilBinding = std::variant<std::string, MilValue>;

struct MilNamedType {
  std::string name;
  MilType type;
  bool operator==(const MilNamedType&) const = default;
};

struct MilBlock;

struct MilOperation {
  std::string type;                                      ///< "conv", "const", ...
  std::map<std::string, std::vector<MilBinding>> inputs; ///< by parameter; several bindings for tuples such as `values`
  std::vector<MilNamedType> outputs;
  std::vector<MilBlock> blocks;                          ///< of cond and while_loop
  std::map<std::string, MilValue> attributes;            ///< "name" on every op; "val" of const; parameters of old constexpr ops
  bool operator==(const MilOperation&) const;
};

struct MilBlock {
  std::vector<MilNamedType> inputs;
  std::vector<MilOperation> operations;
  std::vector<std::string> outputs;
  bool operator==(const MilBlock&) const = default;
};

struct MilFunction {
  std::vector<MilNamedType> inputs;
  std::string opset;  ///< "CoreML6"
  MilBlock block;     ///< the specialization for that opset
  bool operator==(const MilFunction&) const = default;
};

/// A multi-array at the border of the model.
struct Feature {
  std::string name;
  MilDataType dtype = MilDataType::kFloat32;         ///< float16, float32, float64, int8 or int32
  /// The default shape where several are allowed (which ones is not kept). Absent, and never empty after decoding: an
  /// output that states none, such as a scalar.
  std::optional<std::vector<std::int64_t>> shape;
  bool operator==(const Feature&) const = default;
};

struct MilModel {
  int specification_version = 0;
  std::vector<Feature> inputs, outputs;
  std::map<std::string, std::string> user_defined;  ///< metadata
  std::map<std::string, MilFunction> functions;
  bool operator==(const MilModel&) const = default;
};

/// What a file may ask for. Reaching a bound is `kLimitReached`.
struct MilLimits {
  std::uint64_t max_operations = 4'000'000;
  std::uint64_t max_name_bytes = 64 * 1024;
  std::uint64_t max_structure_bytes = std::uint64_t{512} << 20;  ///< everything decoded, immediates included
  std::size_t max_rank = 32;
  int max_block_depth = 32;
};

/// The bytes of model.mlmodel. Same model, same bytes. `kInternal` when a value's data does not fit its type, a string is not
/// UTF-8 or a feature's dtype is not one of the border's; `kNotRepresentable` from 2 GiB on, protobuf's own bound.
[[nodiscard]] Result<std::vector<std::byte>> encode_model(const MilModel& model);

/// Reads model.mlmodel; `file` is for messages. Refused, with a code: other kinds of model (kUnsupported, named), image, dictionary
/// or sequence features, optional inputs, states, multi-function and classifier descriptions, types and values that are not
/// tensors (kUnsupported); data that is malformed. Unknown fields, build information and descriptive metadata are skipped.
[[nodiscard]] Result<MilModel> decode_model(std::span<const std::byte> bytes, const std::string& file, const MilLimits& limits);

/// Whether protobuf's string fields may hold these bytes.
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace smelt::coreml_format
