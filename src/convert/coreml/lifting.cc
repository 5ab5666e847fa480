#include "convert/coreml/lifting.h"

#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "tensor/float16.h"

namespace smelt::coreml_format {
namespace {

std::optional<BlobDataType> blob_type(MilDataType type) {
  switch (type) {
    case MilDataType::kFloat16: return BlobDataType::kFloat16;
    case MilDataType::kFloat32: return BlobDataType::kFloat32;
    case MilDataType::kInt8: return BlobDataType::kInt8;
    case MilDataType::kUInt8: return BlobDataType::kUInt8;
    case MilDataType::kInt16: return BlobDataType::kInt16;
    case MilDataType::kUInt16: return BlobDataType::kUInt16;
    case MilDataType::kInt32: return BlobDataType::kInt32;
    default: return std::nullopt;
  }
}

}  // namespace

Result<ConstantRef> BlobReader::read(const MilValue& value) {
  const std::optional<DType> dtype = from_mil(value.type.dtype);
  if (!dtype) return Error(ErrorCode::kUnsupported, fmt::format("a constant of type {}", mil_type_name(value.type.dtype)));
  Constant constant{.dtype = *dtype, .shape = {}, .bytes = nullptr};
  for (const auto& dim : value.type.dims) {
    if (!dim || *dim < 0) return Error(ErrorCode::kMalformedInput, "a constant with an unknown extent");
    constant.shape.push_back(*dim);
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(constant.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(*dtype, static_cast<std::uint64_t>(count)));
  if (const auto* bytes = std::get_if<std::vector<std::byte>>(&value.data)) {
    if (bytes->size() != size) return Error(ErrorCode::kMalformedInput, fmt::format("a constant of {} bytes, its type needs {}", bytes->size(), size));
    constant.bytes = owned_bytes(*bytes);
    return ConstantRef(std::make_shared<const Constant>(std::move(constant)));
  }
  const auto* reference = std::get_if<BlobReference>(&value.data);
  if (reference == nullptr) return Error(ErrorCode::kUnsupported, "a constant of strings as an operand");
  std::shared_ptr<const MappedFile>& file = files_[reference->file_name];
  if (file == nullptr) {
    SMELT_ASSIGN_OR_RETURN(const std::filesystem::path path, resolve_blob_file(package_, reference->file_name));
    SMELT_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open_inside(package_.root, path));
    file = std::make_shared<const MappedFile>(std::move(mapped));
  }
  SMELT_ASSIGN_OR_RETURN(const BlobRecord record, read_record(file->bytes(), reference->offset));
  if (record.type != blob_type(value.type.dtype) || record.size != size) {
    return Error(ErrorCode::kMalformedInput, fmt::format("the blob at {} has type {} and {} bytes, the program wants {} and {}", reference->offset,
                                                         static_cast<int>(record.type), record.size, mil_type_name(value.type.dtype), size))
        .at({.file = reference->file_name, .byte_offset = reference->offset, .graph = {}, .node = {}});
  }
  constant.bytes = file_bytes(file, file->bytes().subspan(static_cast<std::size_t>(record.data_offset), static_cast<std::size_t>(size)));
  return ConstantRef(std::make_shared<const Constant>(std::move(constant)));
}

Error LiftContext::malformed(std::string message) const {
  return Error(ErrorCode::kMalformedInput, fmt::format("{}: {}", operation_.type, message))
      .at({.file = {}, .byte_offset = {}, .graph = "main", .node = operation_.outputs.empty() ? "" : operation_.outputs.front().name});
}

Error LiftContext::unsupported(std::string message) const {
  return Error(ErrorCode::kUnsupported, fmt::format("{}: {}", operation_.type, message))
      .at({.file = {}, .byte_offset = {}, .graph = "main", .node = operation_.outputs.empty() ? "" : operation_.outputs.front().name});
}

bool LiftContext::has(std::string_view parameter) const {
  return operation_.inputs.contains(std::string(parameter)) || operation_.attributes.contains(std::string(parameter));
}

Result<ir::ValueId> LiftContext::named(const std::string& name) {
  if (const auto found = scope_.values.find(name); found != scope_.values.end()) return found->second;
  const auto constant = scope_.constants.find(name);
  if (constant == scope_.constants.end()) return malformed(fmt::format("nothing defines \"{}\" before it is used", name));
  SMELT_ASSIGN_OR_RETURN(ConstantRef read, blobs_.read(*constant->second));
  const ir::ValueId id = scope_.graph.add_constant(name, std::move(read));
  scope_.values.emplace(name, id);
  return id;
}

Result<std::vector<ir::ValueId>> LiftContext::operands(std::string_view parameter) {
  const auto found = operation_.inputs.find(std::string(parameter));
  if (found == operation_.inputs.end()) return malformed(fmt::format("no parameter \"{}\"", parameter));
  std::vector<ir::ValueId> out;
  for (const MilBinding& binding : found->second) {
    if (const auto* name = std::get_if<std::string>(&binding)) {
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, named(*name));
      out.push_back(id);
    } else {
      SMELT_ASSIGN_OR_RETURN(ConstantRef constant, blobs_.read(std::get<MilValue>(binding)));
      out.push_back(scope_.graph.add_constant({}, std::move(constant)));
    }
  }
  return out;
}

Result<ir::ValueId> LiftContext::operand(std::string_view parameter) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<ir::ValueId> found, operands(parameter));
  if (found.size() != 1) return malformed(fmt::format("{} values for parameter \"{}\"", found.size(), parameter));
  return found.front();
}

Result<const MilValue*> LiftContext::value(std::string_view parameter) const {
  if (const auto found = operation_.attributes.find(std::string(parameter)); found != operation_.attributes.end()) return &found->second;
  const auto found = operation_.inputs.find(std::string(parameter));
  if (found == operation_.inputs.end() || found->second.size() != 1) return malformed(fmt::format("no parameter \"{}\"", parameter));
  if (const auto* name = std::get_if<std::string>(&found->second.front())) {
    const auto constant = scope_.constants.find(*name);
    if (constant == scope_.constants.end()) return unsupported(fmt::format("parameter \"{}\" is not a constant", parameter));
    return constant->second;
  }
  return &std::get<MilValue>(found->second.front());
}

Result<std::vector<std::int64_t>> LiftContext::ints(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const MilValue* found, value(parameter));
  SMELT_ASSIGN_OR_RETURN(const ConstantRef constant, blobs_.read(*found));
  if (!is_integer(constant->dtype)) return malformed(fmt::format("parameter \"{}\" is {}", parameter, name(constant->dtype)));
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*constant));
  return to_int64s(tensor);
}

Result<std::vector<bool>> LiftContext::bools(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const MilValue* found, value(parameter));
  const auto* bytes = std::get_if<std::vector<std::byte>>(&found->data);
  if (found->type.dtype != MilDataType::kBool || bytes == nullptr) return malformed(fmt::format("parameter \"{}\" is not bool", parameter));
  std::vector<bool> out;
  for (const std::byte byte : *bytes) out.push_back(byte != std::byte{0});
  return out;
}

Result<std::int64_t> LiftContext::integer(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> values, ints(parameter));
  if (values.size() != 1) return malformed(fmt::format("parameter \"{}\" has {} elements", parameter, values.size()));
  return values.front();
}

Result<bool> LiftContext::boolean(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const std::vector<bool> values, bools(parameter));
  if (values.size() != 1) return malformed(fmt::format("parameter \"{}\" has {} elements", parameter, values.size()));
  return static_cast<bool>(values.front());
}

Result<float> LiftContext::number(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const MilValue* found, value(parameter));
  SMELT_ASSIGN_OR_RETURN(const ConstantRef constant, blobs_.read(*found));
  SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*constant));
  const std::vector<double> values = to_doubles(tensor);
  if (values.size() != 1) return malformed(fmt::format("parameter \"{}\" has {} elements", parameter, values.size()));
  return static_cast<float>(values.front());
}

Result<std::string> LiftContext::text(std::string_view parameter) const {
  SMELT_ASSIGN_OR_RETURN(const MilValue* found, value(parameter));
  const auto* strings = std::get_if<std::vector<std::string>>(&found->data);
  if (strings == nullptr || strings->size() != 1) return malformed(fmt::format("parameter \"{}\" is not a string", parameter));
  return strings->front();
}

Result<std::vector<ir::ValueId>> LiftContext::emit_all(ir::Op op, std::vector<ir::ValueId> inputs) {
  Result<ir::NodeId> node = scope_.graph.add_node(std::move(op), std::move(inputs), operation_.outputs.empty() ? "" : operation_.outputs.front().name);
  if (!node.ok()) return malformed(node.error().message());
  return scope_.graph.node(*node).outputs;
}

Result<ir::ValueId> LiftContext::emit(ir::Op op, std::vector<ir::ValueId> inputs) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<ir::ValueId> results, emit_all(std::move(op), std::move(inputs)));
  return results.front();
}

Status LiftContext::define(const std::vector<ir::ValueId>& results) {
  if (results.size() != operation_.outputs.size()) {
    return malformed(fmt::format("{} results are declared, the operation gives {}", operation_.outputs.size(), results.size()));
  }
  for (std::size_t k = 0; k < results.size(); ++k) {
    const MilNamedType& declared = operation_.outputs[k];
    const TensorType& actual = type(results[k]);
    bool agrees = from_mil(declared.type.dtype) == actual.dtype && declared.type.dims.size() == actual.shape.size();
    for (std::size_t axis = 0; agrees && axis < actual.shape.size(); ++axis) {
      const auto& dim = declared.type.dims[axis];
      agrees = !dim || (*dim >= 0 && Dim(*dim) == actual.shape[axis]);
    }
    if (!agrees) {
      return malformed(fmt::format("result \"{}\" is declared {}, but is {}{}", declared.name, mil_type_name(declared.type.dtype),
                                   name(actual.dtype), scope_.graph.symbols().text(actual.shape)));
    }
    if (scope_.constants.contains(declared.name) || !scope_.values.emplace(declared.name, results[k]).second) {
      return malformed(fmt::format("\"{}\" is defined twice", declared.name));
    }
    if (scope_.graph.value(results[k]).name.empty()) scope_.graph.set_value_name(results[k], declared.name);
  }
  return {};
}

Status LiftContext::define(Result<ir::ValueId> result) {
  if (!result.ok()) return result.error();
  return define(std::vector<ir::ValueId>{*result});
}

}  // namespace smelt::coreml_format
