#include "smelt/inspect.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/sha256.h"
#include "convert/onnx/wire.h"

namespace smelt {
namespace {

/// Collects over a graph and everything nested in it.
struct Totals {
  std::map<std::pair<std::string, std::string>, std::uint64_t> operators;  ///< (op_type, domain) → count
  std::map<std::string, WeightTotal> weights;
  std::uint64_t nodes = 0;
  bool has_external_data = false;

  void add(const onnx_format::Tensor& tensor) {
    const std::string dtype(onnx_format::data_type_name(tensor.data_type));
    WeightTotal& total = weights[dtype];
    total.dtype = dtype;
    ++total.tensors;
    total.elements += tensor.element_count;
    total.bytes += (tensor.element_count * onnx_format::data_type_bits(tensor.data_type) + 7) / 8;
    has_external_data = has_external_data || tensor.is_external;
  }

  void add(const onnx_format::Graph& graph) {
    for (const auto& tensor : graph.initializers) add(tensor);
    for (const auto& node : graph.nodes) {
      ++nodes;
      const bool is_default = node.domain.empty() || node.domain == "ai.onnx";
      ++operators[{node.op_type, is_default ? std::string() : node.domain}];
      for (const auto& attribute : node.attributes) {
        if (attribute.tensor) add(*attribute.tensor);
        for (const auto& nested : attribute.graphs) add(nested);
      }
    }
  }
};

/// SHA-256 of a whole file. Its pages are given back as it goes, so that a large model does not fill the memory.
std::string digest(const MappedFile& file) {
  constexpr std::size_t kChunk = std::size_t{4} << 20;
  Sha256 sha256;
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const std::span<const std::byte> chunk = rest.first(std::min(rest.size(), kChunk));
    sha256.update(chunk);
    file.release_pages();
    rest = rest.subspan(chunk.size());
  }
  return sha256.finish_hex();
}

InspectedValue inspected(const onnx_format::ValueInfo& info) {
  InspectedValue value{.name = info.name,
                       .dtype = std::string(onnx_format::data_type_name(info.elem_type)),
                       .has_shape = info.shape.has_value(),
                       .shape = {}};
  if (info.shape) {
    for (const auto& dim : *info.shape) {
      value.shape.push_back(dim.extent ? std::to_string(*dim.extent) : dim.symbol.empty() ? "?" : dim.symbol);
    }
  }
  return value;
}

}  // namespace

Result<InspectReport> inspect(const std::filesystem::path& model) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(model));
  SMELT_ASSIGN_OR_RETURN(const onnx_format::Model parsed,
                         onnx_format::read_model(file.bytes(), model.string(), onnx_format::Limits{}));

  InspectReport report;
  report.file = model.filename().string();
  report.bytes = file.size();
  report.sha256 = digest(file);
  report.ir_version = parsed.ir_version;
  report.producer = parsed.producer_name;
  if (!parsed.producer_version.empty()) report.producer += " " + parsed.producer_version;
  for (const auto& opset : parsed.opset_imports) {
    report.opsets.emplace_back(opset.domain == "ai.onnx" ? std::string() : opset.domain, opset.version);
  }
  std::sort(report.opsets.begin(), report.opsets.end());

  std::set<std::string> initializers;
  for (const auto& tensor : parsed.graph.initializers) initializers.insert(tensor.name);
  for (const auto& input : parsed.graph.inputs) {
    if (!initializers.contains(input.name)) report.inputs.push_back(inspected(input));
  }
  for (const auto& output : parsed.graph.outputs) report.outputs.push_back(inspected(output));

  Totals totals;
  totals.add(parsed.graph);
  report.nodes = totals.nodes;
  report.has_external_data = totals.has_external_data;
  for (const auto& [key, count] : totals.operators) {
    report.operators.push_back({.domain = key.second, .op_type = key.first, .count = count});
  }
  std::stable_sort(report.operators.begin(), report.operators.end(),
                   [](const OperatorCount& a, const OperatorCount& b) { return a.count > b.count; });
  for (const auto& [dtype, total] : totals.weights) report.weights.push_back(total);
  std::stable_sort(report.weights.begin(), report.weights.end(),
                   [](const WeightTotal& a, const WeightTotal& b) { return a.bytes > b.bytes; });
  return report;
}

std::string to_json(const InspectReport& report) {
  using Json = nlohmann::ordered_json;
  const auto values = [](const std::vector<InspectedValue>& list) {
    Json array = Json::array();
    for (const auto& value : list) {
      array.push_back({{"name", value.name},
                       {"dtype", value.dtype},
                       {"shape", value.has_shape ? Json(value.shape) : Json(nullptr)}});
    }
    return array;
  };
  Json json;
  json["file"] = report.file;
  json["bytes"] = report.bytes;
  json["sha256"] = report.sha256;
  json["ir_version"] = report.ir_version;
  json["producer"] = report.producer;
  json["opsets"] = Json::array();
  for (const auto& [domain, version] : report.opsets) {
    json["opsets"].push_back({{"domain", domain}, {"version", version}});
  }
  json["inputs"] = values(report.inputs);
  json["outputs"] = values(report.outputs);
  json["nodes"] = report.nodes;
  json["operators"] = Json::array();
  for (const auto& op : report.operators) {
    json["operators"].push_back({{"domain", op.domain}, {"op_type", op.op_type}, {"count", op.count}});
  }
  json["weights"] = Json::array();
  for (const auto& weight : report.weights) {
    json["weights"].push_back({{"dtype", weight.dtype},
                               {"tensors", weight.tensors},
                               {"elements", weight.elements},
                               {"bytes", weight.bytes}});
  }
  json["has_external_data"] = report.has_external_data;
  // A model's names may hold any bytes: what is not UTF-8 is replaced, never an exception.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace smelt
