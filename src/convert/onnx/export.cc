#include "convert/onnx/export.h"

#include <array>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/output_file.h"
#include "convert/onnx/graph_writer.h"
#include "convert/onnx/ops_export.h"
#include "convert/onnx/payload.h"
#include "ir/ops/all.h"
#include "tensor/type.h"

namespace smelt::onnx_format {
namespace {

constexpr std::size_t kScratchBytes = std::size_t{256} << 10;

/// Every name at the border, each once: they stay, so nothing else may have them. An output may have the name of the input that
/// it is.
Result<std::unordered_set<std::string>> border_names(const ir::Graph& graph) {
  std::unordered_map<std::string, std::optional<ir::ValueId>> names;  // of inputs: which
  const auto bad = [&](const std::string& name) -> Error {
    return Error(ErrorCode::kNotRepresentable, name.empty() ? "an input or output has no name, which ONNX needs"
                                                            : fmt::format("two inputs or outputs are named \"{}\"", name))
        .at({.graph = graph.name()});
  };
  for (const ir::ValueId id : graph.inputs()) {
    const std::string& name = graph.value(id).name;
    if (name.empty() || !names.emplace(name, id).second) return bad(name);
  }
  for (const ir::GraphOutput& output : graph.outputs()) {
    const auto [entry, is_new] = names.emplace(output.name, std::nullopt);
    const bool is_the_input = !is_new && entry->second == output.value;
    if (output.name.empty() || (!is_new && !is_the_input)) return bad(output.name);
    entry->second = std::nullopt;  // a second output of the name is one too many
  }
  std::unordered_set<std::string> out;
  for (const auto& entry : names) out.insert(entry.first);
  return out;
}

class Exporter {
 public:
  Exporter(const ir::Graph& graph, const ExportOptions& options, std::unordered_set<std::string> reserved)
      : graph_(graph), widens_f16_(options.simulates_f16), out_(std::move(reserved)), names_(graph.value_count()) {}

  Status run() {
    for (const ir::ValueId id : graph_.inputs()) SMELT_RETURN_IF_ERROR(input(id));
    for (std::size_t index = 0; index < graph_.value_count(); ++index) {
      const ir::ValueId id{static_cast<std::uint32_t>(index)};
      if (graph_.value(id).constant != nullptr && graph_.use_count(id) != 0) SMELT_RETURN_IF_ERROR(constant(id));
    }
    for (const ir::GraphOutput& output : graph_.outputs()) {
      // The first output of a node's result gives it its name; a widened one is narrowed under that name later.
      const ir::Value& value = graph_.value(output.value);
      std::string& name = names_[output.value.index];
      if (value.producer.valid() && name.empty() && !is_widened(output.value)) name = output.name;
    }
    for (const ir::NodeId id : graph_.topological_order()) SMELT_RETURN_IF_ERROR(node(graph_.node(id)));
    for (const ir::GraphOutput& output : graph_.outputs()) SMELT_RETURN_IF_ERROR(this->output(output));
    return {};
  }

  [[nodiscard]] const GraphWriter& out() const { return out_; }

 private:
  [[nodiscard]] bool is_widened(ir::ValueId id) const { return widens_f16_ && graph_.value(id).type.dtype == DType::kF16; }

  void cast(const std::string& from, DType to, const std::string& name) {
    out_.node("Cast", {from}, {name}, {{"to", std::int64_t{from_dtype(to)}}});
  }

  /// That the file can hold the value's type. `what` and `where` are for the message.
  [[nodiscard]] Status check(const TensorType& type, const std::string& what, const std::string& where) const {
    if (!static_shape(type.shape)) {
      return Error(ErrorCode::kOpenShape, fmt::format("{} has the open shape {}", what, graph_.symbols().text(type.shape)))
          .at({.graph = graph_.name(), .node = where});
    }
    if (bits(type.dtype) < 8) {
      return Error(ErrorCode::kNotRepresentable,
                   fmt::format("{} is of {}, which ONNX opset 20 does not have", what, name(type.dtype)))
          .at({.graph = graph_.name(), .node = where});
    }
    return {};
  }

  Status input(ir::ValueId id) {
    const ir::Value& value = graph_.value(id);
    SMELT_RETURN_IF_ERROR(check(value.type, fmt::format("input \"{}\"", value.name), ""));
    out_.input(value.name, value.type.dtype, *static_shape(value.type.shape));
    names_[id.index] = value.name;
    if (is_widened(id)) {
      names_[id.index] = out_.fresh();
      cast(value.name, DType::kF32, names_[id.index]);
    }
    return {};
  }

  Status constant(ir::ValueId id) {
    const ir::Value& value = graph_.value(id);
    SMELT_RETURN_IF_ERROR(check(value.type, fmt::format("constant \"{}\"", value.name), ""));
    std::string& shared = constants_[value.constant.get()];
    if (shared.empty()) {
      shared = out_.fresh();
      if (is_widened(id)) {
        SMELT_ASSIGN_OR_RETURN(BytesRef bytes, cast_f16_to_f32(value.constant->bytes));
        SMELT_RETURN_IF_ERROR(
            out_.constant(shared, {.dtype = DType::kF32, .shape = value.constant->shape, .bytes = std::move(bytes)}));
      } else {
        SMELT_RETURN_IF_ERROR(out_.constant(shared, *value.constant));
      }
    }
    names_[id.index] = shared;
    return {};
  }

  Status node(const ir::Node& node) {
    const bool rounds = !is_exact(node.op.kind());
    NodeExport cx{.graph = graph_, .node = node, .inputs = {}, .results = {}, .widens_f16 = widens_f16_, .out = out_};
    for (const ir::ValueId id : node.inputs) {
      if (!id.valid()) {
        cx.inputs.emplace_back();
        continue;
      }
      SMELT_RETURN_IF_ERROR(check(graph_.value(id).type, fmt::format("an operand of {}", node.op.name()), node.source));
      cx.inputs.push_back(names_[id.index]);
    }
    for (const ir::ValueId id : node.outputs) {
      SMELT_RETURN_IF_ERROR(check(graph_.value(id).type, fmt::format("the result of {}", node.op.name()), node.source));
      std::string& name = names_[id.index];
      if (name.empty()) name = out_.fresh();
      cx.results.push_back(rounds && is_widened(id) ? out_.fresh() : name);
    }
    SMELT_RETURN_IF_ERROR(export_op(cx));
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (!rounds || !is_widened(node.outputs[i])) continue;
      const std::string narrow = out_.fresh();
      cast(cx.results[i], DType::kF16, narrow);
      cast(narrow, DType::kF32, names_[node.outputs[i].index]);
    }
    return {};
  }

  Status output(const ir::GraphOutput& output) {
    const ir::Value& value = graph_.value(output.value);
    SMELT_RETURN_IF_ERROR(check(value.type, fmt::format("output \"{}\"", output.name), ""));
    const std::string& name = names_[output.value.index];
    const bool is_the_input = graph_.is_input(output.value) && value.name == output.name;
    if (is_widened(output.value) && !is_the_input) {
      cast(name, DType::kF16, output.name);
    } else if (name != output.name && !is_the_input) {
      out_.node("Identity", {name}, {output.name});
    }
    out_.output(output.name, value.type.dtype, *static_shape(value.type.shape));
    return {};
  }

  const ir::Graph& graph_;
  bool widens_f16_;
  GraphWriter out_;
  std::vector<std::string> names_;                     ///< in the file, by value; empty: not yet there
  std::map<const Constant*, std::string> constants_;  ///< looked up only: its order is that of addresses
};

Status write_data(const GraphWriter& graph, OutputFile& file) {
  std::vector<std::byte> scratch(kScratchBytes);
  constexpr std::array<std::byte, 64> kZeros{};
  std::uint64_t written = 0;
  const auto write = [&](std::span<const std::byte> chunk) {
    written += chunk.size();
    return file.write(chunk);
  };
  for (const GraphWriter::DataRange& range : graph.data_ranges()) {
    SMELT_CHECK(range.offset >= written && range.offset - written < kZeros.size());
    SMELT_RETURN_IF_ERROR(write(std::span(kZeros).first(static_cast<std::size_t>(range.offset - written))));
    SMELT_RETURN_IF_ERROR(range.bytes->stream(scratch, write));
    SMELT_CHECK(written == range.offset + range.bytes->size());
  }
  return {};
}

}  // namespace

Status export_model(const ir::Graph& graph, const std::filesystem::path& folder, const ExportOptions& options) {
  SMELT_ASSIGN_OR_RETURN(std::unordered_set<std::string> reserved, border_names(graph));
  Exporter exporter(graph, options, std::move(reserved));
  SMELT_RETURN_IF_ERROR(exporter.run());
  const std::string model = exporter.out().model(graph.name());
  SMELT_ASSIGN_OR_RETURN(OutputFile model_file, OutputFile::create(folder / kModelFile, OutputFile::IfExists::kReplace));
  SMELT_RETURN_IF_ERROR(model_file.write(std::as_bytes(std::span(model))));
  if (!exporter.out().data_ranges().empty()) {
    SMELT_ASSIGN_OR_RETURN(OutputFile data_file, OutputFile::create(folder / kDataFile, OutputFile::IfExists::kReplace));
    SMELT_RETURN_IF_ERROR(write_data(exporter.out(), data_file));
    SMELT_RETURN_IF_ERROR(data_file.commit());
  }
  return model_file.commit();  // last: it names the data file
}

}  // namespace smelt::onnx_format
