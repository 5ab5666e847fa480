#include "convert/onnx/graph_writer.h"

#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "convert/onnx/payload.h"
#include "tensor/float16.h"

namespace smelt::onnx_format {
namespace {

constexpr std::int64_t kIrVersion = 9;
constexpr std::int64_t kOpset = 20;
constexpr std::uint64_t kInlineBytes = 1024;  ///< constants from this size on stand in the data file
constexpr std::uint64_t kAlignment = 64;      ///< of the data file: what kernels may rely on when it is mapped

ProtoWriter attribute_proto(const AttributeValue& attribute) {
  ProtoWriter out;
  out.text(1, attribute.name);
  if (const auto* number = std::get_if<std::int64_t>(&attribute.value)) {
    out.integer(3, *number);
    out.integer(20, 2);
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    out.real(2, *real);
    out.integer(20, 1);
  } else if (const auto* text = std::get_if<std::string_view>(&attribute.value)) {
    out.text(4, *text);
    out.integer(20, 3);
  } else {
    for (const std::int64_t value : *std::get_if<std::vector<std::int64_t>>(&attribute.value)) out.integer(8, value);
    out.integer(20, 7);
  }
  return out;
}

ProtoWriter value_info(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
  ProtoWriter dims, tensor, type, out;
  for (const std::int64_t extent : shape) {
    ProtoWriter dim;
    dim.integer(1, extent);
    dims.message(1, dim);
  }
  tensor.integer(1, from_dtype(dtype));
  tensor.message(2, dims);
  type.message(1, tensor);
  out.text(1, name);
  out.message(2, type);
  return out;
}

ProtoWriter text_pair(std::string_view key, std::string_view value) {
  ProtoWriter out;
  out.text(1, key);
  out.text(2, value);
  return out;
}

template <typename T>
std::vector<std::byte> bytes_of(T value) {
  std::vector<std::byte> out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

/// The value, which is not a NaN, as an element.
std::vector<std::byte> element(DType dtype, float value) {
  switch (dtype) {
    case DType::kF16: return bytes_of(f16_bits(value));
    case DType::kBF16: {  // the upper half of binary32, ties to even
      const auto bits = std::bit_cast<std::uint32_t>(value);
      return bytes_of(static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
    }
    case DType::kF64: return bytes_of(static_cast<double>(value));
    default: SMELT_CHECK(dtype == DType::kF32); return bytes_of(value);
  }
}

}  // namespace

std::string GraphWriter::fresh() {
  while (true) {
    std::string name = fmt::format("v{}", next_name_++);
    if (!reserved_.contains(name)) return name;
  }
}

void GraphWriter::node(std::string_view op_type, const std::vector<std::string>& inputs,
                       const std::vector<std::string>& outputs, const AttributeValues& attributes) {
  ProtoWriter out;
  for (const std::string& name : inputs) out.text(1, name);
  for (const std::string& name : outputs) out.text(2, name);
  out.text(4, op_type);
  for (const AttributeValue& attribute : attributes) out.message(5, attribute_proto(attribute));
  nodes_.message(1, out);
}

std::string GraphWriter::add(std::string_view op_type, const std::vector<std::string>& inputs,
                             const AttributeValues& attributes) {
  std::string name = fresh();
  node(op_type, inputs, {name}, attributes);
  return name;
}

Status GraphWriter::constant(const std::string& name, const Constant& constant) {
  ProtoWriter out;
  for (const std::int64_t extent : constant.shape) out.integer(1, extent);
  out.integer(2, from_dtype(constant.dtype));
  out.text(8, name);
  const std::uint64_t size = byte_count(constant);
  if (size < kInlineBytes) {
    SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(constant));
    std::string raw;
    for (const std::byte byte : tensor.bytes) raw += static_cast<char>(byte);
    out.text(9, raw);
  } else {
    const std::uint64_t offset = (data_end_ + kAlignment - 1) / kAlignment * kAlignment;
    data_end_ = offset + size;
    data_ranges_.push_back({.offset = offset, .bytes = constant.bytes});
    out.message(13, text_pair("location", kDataFile));
    out.message(13, text_pair("offset", fmt::format("{}", offset)));
    out.message(13, text_pair("length", fmt::format("{}", size)));
    out.integer(14, 1);
  }
  initializers_.message(5, out);
  return {};
}

Result<std::string> GraphWriter::integers(const std::vector<std::int64_t>& values) {
  std::string name = fresh();
  SMELT_RETURN_IF_ERROR(constant(name, *make_constant(i64_tensor({static_cast<std::int64_t>(values.size())}, values))));
  return name;
}

Result<std::string> GraphWriter::filled(DType dtype, const std::vector<std::int64_t>& shape, float value) {
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(shape));
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, splat_bytes(element(dtype, value), static_cast<std::uint64_t>(count)));
  std::string name = fresh();
  SMELT_RETURN_IF_ERROR(constant(name, {.dtype = dtype, .shape = shape, .bytes = std::move(bytes)}));
  return name;
}

void GraphWriter::input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
  inputs_.message(11, value_info(name, dtype, shape));
}

void GraphWriter::output(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
  outputs_.message(12, value_info(name, dtype, shape));
}

std::string GraphWriter::model(const std::string& graph_name) const {
  ProtoWriter graph, opset, out;
  graph.append(nodes_);
  graph.text(2, graph_name.empty() ? "main" : graph_name);
  graph.append(initializers_);
  graph.append(inputs_);
  graph.append(outputs_);
  opset.text(1, "");
  opset.integer(2, kOpset);
  out.integer(1, kIrVersion);
  out.text(2, "smelt");
  out.message(7, graph);
  out.message(8, opset);
  return out.data();
}

}  // namespace smelt::onnx_format
