#include "convert/coreml/export.h"

#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"

namespace smelt::coreml_format {
namespace {

/// Builds the program and its description, and knows what goes into weight.bin.
class Exporter {
 public:
  Exporter(const ir::Graph& graph, const ExportOptions& options) : graph_(graph), options_(options), builder_(graph, options.target) {}

  Result<MilModel> model(ExportResult& result) {
    MilModel model{.specification_version = specification_version(options_.target), .inputs = {}, .outputs = {},
                   .user_defined = options_.user_defined, .functions = {}};
    MilFunction function{.inputs = {}, .opset = std::string(opset_name(options_.target)), .block = {}};
    for (const ir::ValueId id : graph_.inputs()) {
      const ir::Value& input = graph_.value(id);
      const std::string name = border_name(input.name, result);
      builder_.bind(id, name);
      model.inputs.push_back(feature(name, input.type));
      function.inputs.push_back({name, to_mil(input.type)});
    }
    name_outputs(model, result);
    SMELT_RETURN_IF_ERROR(lower_nodes());
    SMELT_RETURN_IF_ERROR(add_copies());
    function.block = std::move(builder_.block());
    for (const Feature& output : model.outputs) function.block.outputs.push_back(output.name);
    for (const MilOperation& operation : function.block.operations) if (operation.type != "const") ++result.operations;
    model.functions.emplace("main", std::move(function));
    return model;
  }

  [[nodiscard]] const FunctionBuilder& builder() const { return builder_; }

 private:
  std::string border_name(const std::string& source, ExportResult& result) {
    std::string name = builder_.names().take(source);
    if (name != source) result.renamed.emplace_back(source, name);
    return name;
  }

  static Feature feature(const std::string& name, const TensorType& type) {
    Feature out{.name = name, .dtype = to_mil(type.dtype), .shape = {}};
    if (!type.shape.empty()) out.shape = *static_shape(type.shape);
    return out;
  }

  /// An output's name is that of the operation that computes it; one that is an input, a constant, or a second name of the same
  /// value is copied at the end.
  void name_outputs(MilModel& model, ExportResult& result) {
    for (const ir::GraphOutput& output : graph_.outputs()) {
      const std::string name = border_name(output.name, result);
      model.outputs.push_back(feature(name, graph_.value(output.value).type));
      const bool is_computed = graph_.value(output.value).producer.valid();
      if (is_computed && named_.insert(output.value).second) {
        builder_.bind(output.value, name);
      } else {
        copies_.emplace_back(name, output.value);
      }
    }
  }

  Status lower_nodes() {
    std::vector<std::string> problems;
    for (const ir::NodeId id : graph_.topological_order()) {
      const ir::Node& node = graph_.node(id);
      for (std::size_t k = 0; k < node.outputs.size(); ++k) {
        if (named_.contains(node.outputs[k])) continue;
        const std::string& source = graph_.value(node.outputs[k]).name;
        builder_.bind(node.outputs[k], builder_.names().take(source.empty() ? fmt::format("{}_{}", node.op.name(), id.index) : source));
      }
      SMELT_ASSIGN_OR_RETURN(const std::string hint, builder_.name_of(node.outputs.front()));
      LowerContext cx(builder_, node, hint);
      const Lower lower = find_lowering(node.op.kind());
      SMELT_CHECK(lower != nullptr);
      const Status status = lower(node.op, cx);
      if (status.ok()) continue;
      if (status.error().code() != ErrorCode::kNotRepresentable) return status;
      problems.push_back(fmt::format("{} (node \"{}\")", status.error().message(), node.source));
    }
    if (problems.empty()) return {};
    std::string message = fmt::format("no Core ML form at {}:", target_name(options_.target));
    for (const std::string& problem : problems) message += "\n  " + problem;
    return Error(ErrorCode::kNotRepresentable, std::move(message)).hint("try a newer --target");
  }

  Status add_copies() {
    for (const auto& [name, id] : copies_) {
      SMELT_ASSIGN_OR_RETURN(const std::string source, builder_.name_of(id));
      MilOperation copy{.type = "identity", .inputs = {}, .outputs = {{name, to_mil(graph_.value(id).type)}}, .blocks = {}, .attributes = {}};
      copy.inputs["x"] = {MilBinding(source)};
      copy.attributes.emplace("name", string_value(name));
      builder_.add(std::move(copy));
    }
    return {};
  }

  const ir::Graph& graph_;
  const ExportOptions& options_;
  FunctionBuilder builder_;
  std::set<ir::ValueId> named_;  ///< values that carry an output's name
  std::vector<std::pair<std::string, ir::ValueId>> copies_;
};

Status write_weights(const FunctionBuilder& builder, unsigned jobs, const PackageWriter::SinkAt& sink) {
  const BlobWriter writer(builder.layout(), sink);
  SMELT_CHECK(builder.blobs().size() == builder.layout().records().size());
  SMELT_RETURN_IF_ERROR(writer.start());
  return parallel_for(builder.blobs().size(), jobs, [&](std::size_t k) {
    std::vector<std::byte> scratch(std::size_t{256} << 10);
    return writer.write(k, *builder.blobs()[k].bytes, scratch);
  });
}

}  // namespace

Result<ExportResult> export_package(const ir::Graph& graph, const std::filesystem::path& path, const ExportOptions& options) {
  ExportResult result;
  Exporter exporter(graph, options);
  SMELT_ASSIGN_OR_RETURN(const MilModel model, exporter.model(result));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, encode_model(model));
  SMELT_ASSIGN_OR_RETURN(PackageWriter writer, PackageWriter::create(path, options.if_exists));
  const FunctionBuilder& builder = exporter.builder();
  SMELT_RETURN_IF_ERROR(writer.write_weights(builder.layout().file_size(), [&](const PackageWriter::SinkAt& sink) { return write_weights(builder, options.jobs, sink); }));
  SMELT_RETURN_IF_ERROR(writer.write_model(bytes));
  SMELT_RETURN_IF_ERROR(writer.commit());
  return result;
}

Result<ExportResult> check_export(const ir::Graph& graph, const ExportOptions& options) {
  ExportResult result;
  const Result<MilModel> model = Exporter(graph, options).model(result);
  if (!model.ok()) return model.error();
  return result;
}

}  // namespace smelt::coreml_format
