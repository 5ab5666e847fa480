#include "convert/coreml/lowering.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "tensor/float16.h"

namespace smelt::coreml_format {
namespace {

struct TargetRow {
  Target target;
  std::string_view name, opset;
  int specification;
};
constexpr std::array<TargetRow, 4> kTargets{{{Target::kIos15, "ios15", "CoreML5", 6},
                                             {Target::kIos16, "ios16", "CoreML6", 7},
                                             {Target::kIos17, "ios17", "CoreML7", 8},
                                             {Target::kIos18, "ios18", "CoreML8", 9}}};

const TargetRow& row(Target target) {
  return *std::find_if(kTargets.begin(), kTargets.end(), [target](const TargetRow& r) { return r.target == target; });
}

template <typename T>
std::vector<std::byte> bytes_of(std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

/// Apple's rule: an array of 10 elements or more, of a type that weight.bin holds at this version.
std::optional<BlobDataType> blob_type(const Constant& constant, Target target) {
  if (element_count(constant) < 10) return std::nullopt;
  switch (constant.dtype) {
    case DType::kF16: return BlobDataType::kFloat16;
    case DType::kF32: return BlobDataType::kFloat32;
    case DType::kI8: return BlobDataType::kInt8;
    case DType::kU8: return BlobDataType::kUInt8;
    case DType::kI32: return target >= Target::kIos18 ? std::optional(BlobDataType::kInt32) : std::nullopt;
    default: return std::nullopt;
  }
}

std::string key_of(const MilValue& value) {
  std::string key = fmt::format("{}", static_cast<int>(value.type.dtype));
  for (const auto& dim : value.type.dims) key += fmt::format("x{}", dim.value_or(-1));
  key += ':';
  if (const auto* bytes = std::get_if<std::vector<std::byte>>(&value.data)) {
    for (const std::byte byte : *bytes) key += static_cast<char>(byte);
  } else {
    for (const std::string& text : std::get<std::vector<std::string>>(value.data)) key += text + '\0';
  }
  return key;
}

}  // namespace

std::string_view target_name(Target target) { return row(target).name; }

std::optional<Target> parse_target(std::string_view text) {
  for (const TargetRow& r : kTargets) {
    if (r.name == text) return r.target;
  }
  return std::nullopt;
}

int specification_version(Target target) { return row(target).specification; }
std::string_view opset_name(Target target) { return row(target).opset; }

MilDataType to_mil(DType dtype) {
  switch (dtype) {
    case DType::kF16: return MilDataType::kFloat16;
    case DType::kF32: return MilDataType::kFloat32;
    case DType::kI8: return MilDataType::kInt8;
    case DType::kU8: return MilDataType::kUInt8;
    case DType::kI32: return MilDataType::kInt32;
    case DType::kBool: return MilDataType::kBool;
    default: SMELT_CHECK(false);
  }
}

std::optional<DType> from_mil(MilDataType type) {
  switch (type) {
    case MilDataType::kFloat16: return DType::kF16;
    case MilDataType::kFloat32: return DType::kF32;
    case MilDataType::kInt8: return DType::kI8;
    case MilDataType::kUInt8: return DType::kU8;
    case MilDataType::kInt16: return DType::kI16;
    case MilDataType::kUInt16: return DType::kU16;
    case MilDataType::kInt32: return DType::kI32;
    case MilDataType::kBool: return DType::kBool;
    default: return std::nullopt;
  }
}

MilType to_mil(const TensorType& type) {
  MilType out{.dtype = to_mil(type.dtype), .dims = {}};
  for (const Dim dim : type.shape) out.dims.emplace_back(dim.extent());
  return out;
}

MilValue string_value(std::string_view text) {
  return {.type = {.dtype = MilDataType::kString, .dims = {}}, .data = std::vector<std::string>{std::string(text)}};
}

MilValue bool_value(bool value) {
  return {.type = {.dtype = MilDataType::kBool, .dims = {}}, .data = std::vector<std::byte>{static_cast<std::byte>(value)}};
}

MilValue int_value(std::int32_t value) {
  return {.type = {.dtype = MilDataType::kInt32, .dims = {}}, .data = bytes_of(std::span<const std::int32_t>(&value, 1))};
}

MilValue ints_value(std::span<const std::int64_t> values) {
  std::vector<std::int32_t> narrow;
  for (const std::int64_t value : values) {
    SMELT_CHECK(value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max());
    narrow.push_back(static_cast<std::int32_t>(value));
  }
  return {.type = {.dtype = MilDataType::kInt32, .dims = {static_cast<std::int64_t>(narrow.size())}},
          .data = bytes_of(std::span<const std::int32_t>(narrow))};
}

MilValue bools_value(const std::vector<bool>& values) {
  std::vector<std::byte> bytes;
  for (const bool value : values) bytes.push_back(static_cast<std::byte>(value));
  return {.type = {.dtype = MilDataType::kBool, .dims = {static_cast<std::int64_t>(values.size())}}, .data = std::move(bytes)};
}

MilValue float_value(DType dtype, double value) {
  const auto single = static_cast<float>(value);
  if (dtype == DType::kF16) {
    std::uint16_t bits = f16_bits(single);
    // A parameter such as epsilon must not vanish: the smallest half stands for it, as Apple's converter has it.
    if ((bits & 0x7fff) == 0 && single != 0.0F) bits = static_cast<std::uint16_t>((bits & 0x8000) | 1);
    return {.type = {.dtype = MilDataType::kFloat16, .dims = {}}, .data = bytes_of(std::span<const std::uint16_t>(&bits, 1))};
  }
  return {.type = {.dtype = MilDataType::kFloat32, .dims = {}}, .data = bytes_of(std::span<const float>(&single, 1))};
}

Result<std::string> FunctionBuilder::name_of(ir::ValueId id) {
  if (const auto found = names_of_.find(id); found != names_of_.end()) return found->second;
  const ir::Value& value = graph_.value(id);
  SMELT_CHECK(value.constant != nullptr);  // everything else was bound by its producer
  SMELT_ASSIGN_OR_RETURN(MilValue data, weight_value(*value.constant));
  const std::string name = add_constant(value.name.empty() ? "const" : value.name, std::move(data));
  bind(id, name);
  return name;
}

Result<MilValue> FunctionBuilder::weight_value(const Constant& constant) {
  MilValue value{.type = to_mil(TensorType{.dtype = constant.dtype, .shape = to_shape(constant.shape)}), .data = {}};
  if (const auto type = blob_type(constant, target_)) {
    SMELT_ASSIGN_OR_RETURN(const std::uint64_t offset, layout_.add(*type, element_count(constant)));
    blobs_.push_back({constant.bytes});
    value.data = BlobReference{.file_name = "@model_path/weights/weight.bin", .offset = offset};
    return value;
  }
  SMELT_ASSIGN_OR_RETURN(HostTensor tensor, load(constant));
  value.data = std::move(tensor.bytes);
  return value;
}

std::string FunctionBuilder::add_constant(std::string_view hint, MilValue value) {
  std::string name = names_.take(hint);
  MilOperation operation{.type = "const", .inputs = {}, .outputs = {{name, value.type}}, .blocks = {}, .attributes = {}};
  operation.attributes.emplace("name", string_value(name));
  operation.attributes.emplace("val", std::move(value));
  add(std::move(operation));
  return name;
}

std::string FunctionBuilder::parameter(std::string_view hint, MilValue value) {
  const std::string key = key_of(value);
  if (const auto found = parameters_.find(key); found != parameters_.end()) return found->second;
  const std::string name = add_constant(fmt::format("{}_0", hint), std::move(value));
  parameters_.emplace(key, name);
  return name;
}

void LowerContext::emit(std::string_view type, const Inputs& inputs) {
  std::map<std::string, std::vector<MilBinding>> bindings;
  for (const auto& [parameter, value] : inputs) bindings[parameter] = {MilBinding(value)};
  emit(type, std::move(bindings));
}

void LowerContext::emit(std::string_view type, std::map<std::string, std::vector<MilBinding>> inputs) {
  MilOperation operation{.type = std::string(type), .inputs = std::move(inputs), .outputs = {}, .blocks = {}, .attributes = {}};
  for (std::size_t k = 0; k < node_.outputs.size(); ++k) {
    Result<std::string> name = builder_.name_of(node_.outputs[k]);
    SMELT_CHECK(name.ok());  // bound before lowering
    operation.outputs.push_back({*name, to_mil(result_type(k))});
  }
  operation.attributes.emplace("name", string_value(operation.outputs.front().name));
  builder_.add(std::move(operation));
}

std::string LowerContext::step(std::string_view type, const Inputs& inputs, const TensorType& result) {
  std::map<std::string, std::vector<MilBinding>> bindings;
  for (const auto& [parameter, value] : inputs) bindings[parameter] = {MilBinding(value)};
  return tuple_step(type, std::move(bindings), result);
}

std::string LowerContext::tuple_step(std::string_view type, std::map<std::string, std::vector<MilBinding>> inputs, const TensorType& result) {
  MilOperation operation{.type = std::string(type), .inputs = std::move(inputs), .outputs = {}, .blocks = {}, .attributes = {}};
  const std::string name = builder_.names().take(fmt::format("{}_{}", hint_, type));
  operation.outputs.push_back({name, to_mil(result)});
  operation.attributes.emplace("name", string_value(name));
  builder_.add(std::move(operation));
  return name;
}

bool LowerContext::is_known(std::size_t k) const {
  if (constant(k) != nullptr) return true;
  const ir::NodeId producer = builder_.graph().value(node_.inputs[k]).producer;
  return producer.valid() && builder_.graph().node(producer).op.kind() == ir::OpKind::kDequantize;
}

Error LowerContext::unsupported(std::string message) const {
  return Error(ErrorCode::kNotRepresentable, fmt::format("{}: {}", node_.op.name(), message))
      .at({.file = {}, .byte_offset = {}, .graph = builder_.graph().name(), .node = node_.source});
}

Lower find_lowering(ir::OpKind kind) {
  for (const auto table : {attention_lowerings(), conv_lowerings(), elementwise_lowerings(), matmul_lowerings(), norm_lowerings(), pool_lowerings(),
                           quant_lowerings(), reduce_lowerings(), resample_lowerings(), rnn_lowerings(),
                           shape_lowerings()}) {
    for (const LoweringRow& r : table) {
      if (r.kind == kind) return r.lower;
    }
  }
  return nullptr;
}

Lift find_lift(std::string_view mil_type) {
  for (const auto table : {attention_lifts(), conv_lifts(), elementwise_lifts(), matmul_lifts(), norm_lifts(), pool_lifts(), quant_lifts(),
                           reduce_lifts(), resample_lifts(), rnn_lifts(), shape_lifts()}) {
    for (const LiftRow& r : table) {
      if (r.type == mil_type) return r.lift;
    }
  }
  return nullptr;
}

}  // namespace smelt::coreml_format
