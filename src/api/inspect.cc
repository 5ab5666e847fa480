#include "smelt/inspect.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "convert/coreml/export.h"
#include "convert/coreml/import.h"
#include "convert/coreml/legalize.h"
#include "convert/coreml/mil.h"
#include "convert/coreml/package.h"
#include "convert/onnx/import.h"
#include "convert/onnx/wire.h"
#include "manifest/manifest.h"

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

/// An error as a list of lines: a message that lists several things gives one line each.
void add_lines(std::vector<std::string>& lines, const Error& error) {
  std::string text = fmt::format("{}: {}", code_name(error.code()), error.message());
  if (!error.hint_text().empty()) text += " (" + error.hint_text() + ")";
  if (const std::string& node = error.location().node; !node.empty()) text += fmt::format(", node \"{}\"", node);
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

/// Tries the conversion as far as it goes, at the newest target, open extents assumed where they are what stops it.
std::vector<std::string> blockers_of(const std::filesystem::path& model) {
  std::vector<std::string> lines;
  onnx_format::ImportOptions options;
  const auto import = [&]() -> Result<onnx_format::ImportResult> {
    SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(model));
    return onnx_format::import_model(std::make_shared<const MappedFile>(std::move(file)), model, options);
  };
  Result<onnx_format::ImportResult> imported = import();
  if (!imported.ok() && imported.error().code() == ErrorCode::kOpenShape) {
    add_lines(lines, imported.error());
    options.assumed_extent = 64;
    imported = import();
  }
  const auto rest = [&]() -> Status {
    if (!imported.ok()) return imported.error();
    constexpr auto kTarget = coreml_format::Target::kIos18;
    SMELT_ASSIGN_OR_RETURN(const ir::Graph legal, coreml_format::legalize(imported->graph, kTarget));
    const auto checked = coreml_format::check_export(legal, {.target = kTarget, .if_exists = {}, .user_defined = {}});
    return checked.ok() ? Status() : Status(checked.error());
  }();
  if (!rest.ok()) add_lines(lines, rest.error());
  return lines;
}

/// Values stored in a program, nested blocks included.
struct StoredValues {
  std::map<std::string, std::uint64_t> operations;
  std::map<std::string, WeightTotal> weights;

  void add(const coreml_format::MilValue& value) {
    if (std::holds_alternative<std::vector<std::string>>(value.data)) return;
    const std::string dtype = coreml_format::mil_type_name(value.type.dtype);
    std::uint64_t elements = 1;
    for (const auto& dim : value.type.dims) elements *= static_cast<std::uint64_t>(std::max<std::int64_t>(dim.value_or(1), 0));
    WeightTotal& total = weights[dtype];
    total.dtype = dtype;
    ++total.tensors;
    total.elements += elements;
    total.bytes += (elements * coreml_format::mil_bits(value.type.dtype) + 7) / 8;
  }
  void add(const coreml_format::MilBlock& block) {
    for (const auto& operation : block.operations) {
      if (operation.type != "const") ++operations[operation.type];
      for (const auto& [name, value] : operation.attributes) add(value);
      for (const auto& [name, bindings] : operation.inputs) {
        for (const auto& binding : bindings) {
          if (const auto* value = std::get_if<coreml_format::MilValue>(&binding)) add(*value);
        }
      }
      for (const auto& nested : operation.blocks) add(nested);
    }
  }
};

InspectedValue inspected(const coreml_format::Feature& feature) {
  InspectedValue value{.name = feature.name, .dtype = coreml_format::mil_type_name(feature.dtype), .has_shape = feature.shape.has_value(), .shape = {}};
  if (feature.shape) {
    for (const std::int64_t extent : *feature.shape) value.shape.push_back(std::to_string(extent));
  }
  return value;
}

Result<InspectReport> inspect_package(const std::filesystem::path& package) {
  SMELT_ASSIGN_OR_RETURN(const coreml_format::PackageFiles files, coreml_format::open_package(package));
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open_inside(files.root, files.model));
  SMELT_ASSIGN_OR_RETURN(const coreml_format::MilModel model, coreml_format::decode_model(file.bytes(), files.model.string(), {}));
  InspectReport report;
  report.file = package.filename().string();
  report.format = "mlpackage";
  SMELT_ASSIGN_OR_RETURN(const manifest::FileDigest digest, manifest::digest_file(files.model, {}));
  report.sha256 = digest.sha256;
  report.specification_version = model.specification_version;
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::string> parts, coreml_format::list_package_files(package));
  for (const std::string& part : parts) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(package / part, error);
    if (!error) report.bytes += size;
  }
  for (const auto& input : model.inputs) report.inputs.push_back(inspected(input));
  for (const auto& output : model.outputs) report.outputs.push_back(inspected(output));
  StoredValues stored;
  for (const auto& [name, function] : model.functions) {
    stored.add(function.block);
    report.opsets.emplace_back(function.opset, model.specification_version);
  }
  for (const auto& [type, count] : stored.operations) {
    report.operators.push_back({.domain = {}, .op_type = type, .count = count});
    report.nodes += count;
  }
  std::stable_sort(report.operators.begin(), report.operators.end(), [](const OperatorCount& a, const OperatorCount& b) { return a.count > b.count; });
  for (const auto& [dtype, total] : stored.weights) report.weights.push_back(total);
  std::stable_sort(report.weights.begin(), report.weights.end(), [](const WeightTotal& a, const WeightTotal& b) { return a.bytes > b.bytes; });
  if (const auto lifted = coreml_format::import_package(package); !lifted.ok()) add_lines(report.blockers, lifted.error());
  return report;
}

Result<InspectReport> inspect_onnx(const std::filesystem::path& model) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(model));
  SMELT_ASSIGN_OR_RETURN(const onnx_format::Model parsed,
                         onnx_format::read_model(file.bytes(), model.string(), onnx_format::Limits{}));

  InspectReport report;
  report.file = model.filename().string();
  report.format = "onnx";
  SMELT_ASSIGN_OR_RETURN(const manifest::FileDigest digest, manifest::digest_file(model, report.file));
  report.bytes = digest.bytes;
  report.sha256 = digest.sha256;
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
  report.blockers = blockers_of(model);
  return report;
}

}  // namespace

Result<InspectReport> inspect(const std::filesystem::path& model) {
  std::error_code error;
  if (std::filesystem::is_directory(model, error) && std::filesystem::exists(model / "Manifest.json", error)) return inspect_package(model);
  return inspect_onnx(model);
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
  json["format"] = report.format;
  json["bytes"] = report.bytes;
  json["sha256"] = report.sha256;
  json["ir_version"] = report.format == "onnx" ? Json(report.ir_version) : Json(nullptr);
  json["specification_version"] = report.format == "onnx" ? Json(nullptr) : Json(report.specification_version);
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
  json["blockers"] = report.blockers;
  // A model's names may hold any bytes: what is not UTF-8 is replaced, never an exception.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace smelt
