#include "convert/coreml/import.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "convert/coreml/lifting.h"

namespace smelt::coreml_format {
namespace {

Error malformed(const std::filesystem::path& file, std::string message) {
  return Error(ErrorCode::kMalformedInput, std::move(message)).at({.file = file.string()});
}

std::optional<Target> target_of(const std::string& opset) {
  for (const Target target : {Target::kIos15, Target::kIos16, Target::kIos17, Target::kIos18}) {
    if (opset_name(target) == opset) return target;
  }
  return std::nullopt;
}

class Importer {
 public:
  Importer(const MilModel& model, PackageFiles files, ImportResult& result)
      : model_(model), file_(files.model), blobs_(std::move(files)), result_(result) {}

  Status run() {
    if (model_.functions.size() != 1) return malformed(file_, fmt::format("{} functions, one is expected", model_.functions.size()));
    const MilFunction& function = model_.functions.begin()->second;
    const std::optional<Target> target = target_of(function.opset);
    if (!target) return Error(ErrorCode::kUnsupported, fmt::format("opset \"{}\"", function.opset)).at({.file = file_.string()});
    result_.target = *target;
    SMELT_RETURN_IF_ERROR(add_inputs(function));
    for (const MilOperation& operation : function.block.operations) SMELT_RETURN_IF_ERROR(add(operation));
    SMELT_RETURN_IF_ERROR(report_unsupported());
    SMELT_RETURN_IF_ERROR(add_outputs(function));
    result_.graph = std::move(scope_.graph);
    return {};
  }

 private:
  [[nodiscard]] static Result<TensorType> type_of(const MilType& type, const std::filesystem::path& file, const std::string& name) {
    const std::optional<DType> dtype = from_mil(type.dtype);
    if (!dtype) return Error(ErrorCode::kUnsupported, fmt::format("\"{}\" is of type {}", name, mil_type_name(type.dtype))).at({.file = file.string()});
    TensorType out{.dtype = *dtype, .shape = {}};
    for (const auto& dim : type.dims) {
      if (!dim || *dim < 0) return Error(ErrorCode::kUnsupported, fmt::format("\"{}\" has a flexible shape", name)).at({.file = file.string()});
      out.shape.emplace_back(*dim);
    }
    return out;
  }

  Status add_inputs(const MilFunction& function) {
    if (function.inputs.size() != model_.inputs.size()) {
      return malformed(file_, fmt::format("the description has {} inputs, the program {}", model_.inputs.size(), function.inputs.size()));
    }
    for (const MilNamedType& input : function.inputs) {
      const auto feature = std::find_if(model_.inputs.begin(), model_.inputs.end(), [&](const Feature& f) { return f.name == input.name; });
      SMELT_ASSIGN_OR_RETURN(TensorType type, type_of(input.type, file_, input.name));
      if (feature == model_.inputs.end() || !agrees(*feature, type)) {
        return malformed(file_, fmt::format("the description and the program disagree about input \"{}\"", input.name));
      }
      if (!scope_.values.emplace(input.name, scope_.graph.add_input(input.name, std::move(type))).second) {
        return malformed(file_, fmt::format("two inputs are named \"{}\"", input.name));
      }
    }
    return {};
  }

  static bool agrees(const Feature& feature, const TensorType& type) {
    return from_mil(feature.dtype) == type.dtype && (!feature.shape || to_shape(*feature.shape) == type.shape);
  }

  Status add(const MilOperation& operation) {
    if (operation.type == "const") {
      const auto value = operation.attributes.find("val");
      if (value == operation.attributes.end() || operation.outputs.size() != 1 || value->second.type != operation.outputs.front().type) {
        return malformed(file_, "a const without a value of its type");
      }
      const std::string& name = operation.outputs.front().name;
      if (scope_.values.contains(name) || !scope_.constants.emplace(name, &value->second).second) {
        return malformed(file_, fmt::format("\"{}\" is defined twice", name));
      }
      return {};
    }
    ++result_.operation_counts[operation.type];
    const Lift lift = find_lift(operation.type);
    if (lift == nullptr || !operation.blocks.empty()) {
      ++unsupported_[operation.type];
      return {};
    }
    if (!unsupported_.empty()) return {};  // its operands may be missing; only the list goes on
    LiftContext cx(operation, scope_, blobs_, result_.target);
    const Status status = lift(cx);
    if (status.ok()) return {};
    Error located = status.error();
    return std::move(located).at({.file = file_.string(), .byte_offset = {}, .graph = "main", .node = operation.outputs.empty() ? "" : operation.outputs.front().name});
  }

  Status report_unsupported() const {
    if (unsupported_.empty()) return {};
    std::string message = "operations that smelt does not read yet:";
    for (const auto& [type, count] : unsupported_) message += fmt::format(" {} ({})", type, count);
    return Error(ErrorCode::kUnsupported, std::move(message)).at({.file = file_.string()});
  }

  Status add_outputs(const MilFunction& function) {
    if (function.block.outputs.size() != model_.outputs.size()) {
      return malformed(file_, fmt::format("the description has {} outputs, the program {}", model_.outputs.size(), function.block.outputs.size()));
    }
    std::set<std::string> names;
    for (const Feature& feature : model_.outputs) {
      if (std::find(function.block.outputs.begin(), function.block.outputs.end(), feature.name) == function.block.outputs.end()) {
        return malformed(file_, fmt::format("the program gives no output \"{}\"", feature.name));
      }
      if (!names.insert(feature.name).second) return malformed(file_, fmt::format("two outputs are named \"{}\"", feature.name));
      auto found = scope_.values.find(feature.name);
      if (const auto constant = scope_.constants.find(feature.name); found == scope_.values.end() && constant != scope_.constants.end()) {
        SMELT_ASSIGN_OR_RETURN(ConstantRef read, blobs_.read(*constant->second));
        found = scope_.values.emplace(feature.name, scope_.graph.add_constant(feature.name, std::move(read))).first;
      }
      if (found == scope_.values.end()) return malformed(file_, fmt::format("nothing computes output \"{}\"", feature.name));
      if (!agrees(feature, scope_.graph.value(found->second).type)) {
        return malformed(file_, fmt::format("the description and the program disagree about output \"{}\"", feature.name));
      }
      scope_.graph.add_output(feature.name, found->second);
    }
    return {};
  }

  const MilModel& model_;
  std::filesystem::path file_;
  BlobReader blobs_;
  ImportResult& result_;
  LiftScope scope_;
  std::map<std::string, std::uint64_t> unsupported_;
};

}  // namespace

Result<ImportResult> import_package(const std::filesystem::path& path) {
  SMELT_ASSIGN_OR_RETURN(PackageFiles files, open_package(path));
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open_inside(files.root, files.model));
  SMELT_ASSIGN_OR_RETURN(const MilModel model, decode_model(file.bytes(), files.model.string(), MilLimits{}));
  ImportResult result{.graph = ir::Graph("main"), .target = Target::kIos16, .specification_version = model.specification_version,
                      .operation_counts = {}, .user_defined = model.user_defined};
  SMELT_RETURN_IF_ERROR(Importer(model, std::move(files), result).run());
  SMELT_RETURN_IF_ERROR(ir::verify(result.graph));
  return result;
}

}  // namespace smelt::coreml_format
