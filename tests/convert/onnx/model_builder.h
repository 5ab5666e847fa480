#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/proto_writer.h"
#include "convert/onnx/payload.h"
#include "tensor/host_tensor.h"

/// Small ONNX files for tests, field by field. Source of the numbers: onnx.proto of IR 13.
namespace smelt::onnx_format {

/// An attribute of a node.
struct Attr {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>, std::vector<std::string>, HostTensor> value;
};

/// An extent of a value: a number, a symbol, or (an empty symbol) neither.
using Extent = std::variant<std::int64_t, std::string>;

class ModelBuilder {
 public:
  explicit ModelBuilder(std::int64_t opset, const std::string& domain = {}) { opsets_.emplace_back(domain, opset); }

  ModelBuilder& domain(const std::string& name, std::int64_t version) {
    opsets_.emplace_back(name, version);
    return *this;
  }
  ModelBuilder& input(const std::string& name, DType dtype, const std::vector<Extent>& shape) {
    ProtoWriter extents;
    for (const Extent& extent : shape) {
      ProtoWriter dim;
      if (const auto* number = std::get_if<std::int64_t>(&extent)) dim.integer(1, *number);
      if (const auto* symbol = std::get_if<std::string>(&extent); symbol != nullptr && !symbol->empty()) dim.text(2, *symbol);
      extents.message(1, dim);
    }
    ProtoWriter tensor;
    tensor.integer(1, from_dtype(dtype));
    tensor.message(2, extents);
    return value_info(11, name, tensor);
  }
  /// An input whose shape is not stated.
  ModelBuilder& shapeless_input(const std::string& name, DType dtype) {
    ProtoWriter tensor;
    tensor.integer(1, from_dtype(dtype));
    return value_info(11, name, tensor);
  }
  ModelBuilder& initializer(const std::string& name, const HostTensor& value) {
    graph_.message(5, tensor(name, value));
    return *this;
  }
  ModelBuilder& node(const std::string& op_type, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                     const std::vector<Attr>& attributes = {}, const std::string& domain = {}) {
    ProtoWriter node;
    for (const std::string& name : inputs) node.text(1, name);
    for (const std::string& name : outputs) node.text(2, name);
    node.text(3, "node_" + std::to_string(node_count_++));
    node.text(4, op_type);
    for (const Attr& attribute : attributes) node.message(5, attribute_of(attribute));
    if (!domain.empty()) node.text(7, domain);
    graph_.message(1, node);
    return *this;
  }
  ModelBuilder& output(const std::string& name) { return value_info(12, name, {}); }

  [[nodiscard]] std::string bytes() const {
    ProtoWriter graph = graph_;
    graph.text(2, "g");
    ProtoWriter model;
    model.integer(1, 8);
    model.message(7, graph);
    for (const auto& [domain, version] : opsets_) {
      ProtoWriter opset;
      if (!domain.empty()) opset.text(1, domain);
      opset.integer(2, version);
      model.message(8, opset);
    }
    return model.data();
  }
  void write(const std::filesystem::path& path) const { std::ofstream(path, std::ios::binary) << bytes(); }

 private:
  ModelBuilder& value_info(std::uint32_t field, const std::string& name, const ProtoWriter& tensor) {
    ProtoWriter info;
    info.text(1, name);
    if (!tensor.data().empty()) {
      ProtoWriter type;
      type.message(1, tensor);
      info.message(2, type);
    }
    graph_.message(field, info);
    return *this;
  }

  static ProtoWriter tensor(const std::string& name, const HostTensor& value) {
    ProtoWriter out;
    for (const std::int64_t extent : value.shape) out.integer(1, extent);
    out.integer(2, from_dtype(value.dtype));
    if (!name.empty()) out.text(8, name);
    std::string raw;
    for (const std::byte byte : value.bytes) raw += static_cast<char>(byte);
    out.text(9, raw);
    return out;
  }

  static ProtoWriter attribute_of(const Attr& attribute) {
    ProtoWriter out;
    out.text(1, attribute.name);
    if (const auto* f = std::get_if<float>(&attribute.value)) {
      out.real(2, *f);
      out.integer(20, 1);
    } else if (const auto* i = std::get_if<std::int64_t>(&attribute.value)) {
      out.integer(3, *i);
      out.integer(20, 2);
    } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
      out.text(4, *s);
      out.integer(20, 3);
    } else if (const auto* t = std::get_if<HostTensor>(&attribute.value)) {
      out.message(5, tensor({}, *t));
      out.integer(20, 4);
    } else if (const auto* floats = std::get_if<std::vector<float>>(&attribute.value)) {
      for (const float value : *floats) out.real(7, value);
      out.integer(20, 6);
    } else if (const auto* words = std::get_if<std::vector<std::string>>(&attribute.value)) {
      for (const std::string& value : *words) out.text(9, value);
      out.integer(20, 8);
    } else {
      for (const std::int64_t value : std::get<std::vector<std::int64_t>>(attribute.value)) out.integer(8, value);
      out.integer(20, 7);
    }
    return out;
  }

  std::vector<std::pair<std::string, std::int64_t>> opsets_;
  ProtoWriter graph_;
  int node_count_ = 0;
};

}  // namespace smelt::onnx_format
