#include "convert/onnx/import.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "convert/onnx/checker.h"
#include "convert/onnx/node_context.h"
#include "convert/onnx/payload.h"

namespace smelt::onnx_format {
namespace {

bool is_default_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

std::string qualified(const Node& node) {
  return is_default_domain(node.domain) ? node.op_type : node.domain + "::" + node.op_type;
}

/// An extent that is given for an open one, as a flag would write it: "1x3x224x224".
std::string flag_shape(const std::vector<std::int64_t>& extents) { return fmt::format("{}", fmt::join(extents, "x")); }

/// Fixes the open extents of the inputs: what the user gave, then the batch.
class InputShapes {
 public:
  InputShapes(const Graph& graph, const ImportOptions& options, const std::string& file) : options_(options), file_(file) {
    std::set<std::string> initializers;
    for (const Tensor& tensor : graph.initializers) initializers.insert(tensor.name);
    for (const ValueInfo& info : graph.inputs) {
      if (!initializers.contains(info.name)) inputs_.push_back(&info);
    }
  }

  [[nodiscard]] const std::vector<const ValueInfo*>& inputs() const { return inputs_; }

  Status fix(ImportResult& result, std::map<std::string, std::vector<std::int64_t>>& shapes) {
    SMELT_RETURN_IF_ERROR(take_given());
    SMELT_RETURN_IF_ERROR(fix_batch(result.notes));
    return resolve(result, shapes);
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, std::string message) const { return Error(code, std::move(message)).at({.file = file_}); }

  Status take_given() {
    for (const auto& [name, extents] : options_.input_shapes) {
      const auto found = std::find_if(inputs_.begin(), inputs_.end(), [&name = name](const ValueInfo* info) { return info->name == name; });
      if (found == inputs_.end()) {
        std::vector<std::string> names;
        for (const ValueInfo* info : inputs_) names.push_back(info->name);
        return error(ErrorCode::kInvalidArgument, fmt::format("the model has no input \"{}\"", name))
            .hint(fmt::format("its inputs are: {}", fmt::join(names, ", ")));
      }
      const ValueInfo& info = **found;
      for (const std::int64_t extent : extents) {
        if (extent < 1) return error(ErrorCode::kInvalidArgument, fmt::format("extent {} of input \"{}\"", extent, name));
      }
      if (!info.shape) continue;
      if (info.shape->size() != extents.size()) {
        return error(ErrorCode::kInvalidArgument, fmt::format("input \"{}\" has rank {}, the shape given {}", name, info.shape->size(), extents.size()));
      }
      for (std::size_t k = 0; k < extents.size(); ++k) {
        const onnx_format::Dim& dim = (*info.shape)[k];
        if (dim.extent && *dim.extent != extents[k]) {
          return error(ErrorCode::kInvalidArgument,
                       fmt::format("axis {} of input \"{}\" is {} in the model, {} was given", k, name, *dim.extent, extents[k]));
        }
        if (!dim.extent && !dim.symbol.empty()) SMELT_RETURN_IF_ERROR(bind(dim.symbol, extents[k]));
      }
    }
    return {};
  }

  Status bind(const std::string& symbol, std::int64_t extent) {
    const auto [found, is_new] = symbols_.try_emplace(symbol, extent);
    if (!is_new && found->second != extent) {
      return error(ErrorCode::kInvalidArgument, fmt::format("extent \"{}\" is {} for one input and {} for another", symbol, found->second, extent));
    }
    return {};
  }

  /// The open first extent that every input shares is the batch; unnamed, it is only where there is one input.
  Status fix_batch(std::vector<std::string>& notes) {
    if (inputs_.empty()) return {};
    std::optional<std::string> batch;
    for (const ValueInfo* info : inputs_) {
      if (!info->shape || info->shape->empty() || info->shape->front().extent) return {};
      const std::string& symbol = info->shape->front().symbol;
      if (batch && (*batch != symbol || symbol.empty())) return {};
      batch = symbol;
    }
    if (batch->empty()) {
      if (options_.input_shapes.contains(inputs_.front()->name)) return {};
      unnamed_batch_ = true;
      notes.push_back("the open batch extent of the input became 1");
    } else if (symbols_.try_emplace(*batch, 1).second) {
      notes.push_back(fmt::format("the open batch extent \"{}\" became 1", *batch));
    }
    return {};
  }

  Status resolve(ImportResult& result, std::map<std::string, std::vector<std::int64_t>>& shapes) {
    std::vector<std::string> flags, open;
    for (const ValueInfo* info : inputs_) {
      const auto given = options_.input_shapes.find(info->name);
      if (!info->shape && given == options_.input_shapes.end()) {
        return error(ErrorCode::kOpenShape, fmt::format("input \"{}\" states no shape", info->name))
            .hint(fmt::format("give one, for example --input {}:1x3x224x224", info->name));
      }
      std::vector<std::int64_t> extents;
      std::vector<std::string> missing;
      if (given != options_.input_shapes.end()) {
        extents = given->second;
      } else {
        for (std::size_t k = 0; k < info->shape->size(); ++k) extents.push_back(extent(*info, k, missing));
      }
      if (!missing.empty()) {
        open.push_back(fmt::format("\"{}\" ({})", info->name, fmt::join(missing, ", ")));
        flags.push_back(fmt::format("--input {}:{}", info->name, flag_shape(extents)));
      }
      const bool was_open = !info->shape || std::any_of(info->shape->begin(), info->shape->end(), [](const onnx_format::Dim& d) { return !d.extent; });
      if (was_open) result.fixed_inputs[info->name] = extents;
      shapes[info->name] = std::move(extents);
    }
    if (open.empty()) return {};
    return error(ErrorCode::kOpenShape, fmt::format("these inputs have open extents: {}", fmt::join(open, "; ")))
        .hint(fmt::format("fix them, for example {}", fmt::join(flags, " ")));
  }

  /// The extent of one axis; an open one that nothing fixes is named in `missing` and stands at 128.
  std::int64_t extent(const ValueInfo& info, std::size_t axis, std::vector<std::string>& missing) const {
    const onnx_format::Dim& dim = (*info.shape)[axis];
    if (dim.extent) return *dim.extent;
    if (const auto bound = symbols_.find(dim.symbol); bound != symbols_.end()) return bound->second;
    if (axis == 0 && unnamed_batch_) return 1;
    if (options_.assumed_extent) return *options_.assumed_extent;
    missing.push_back(dim.symbol.empty() ? fmt::format("axis {}", axis) : dim.symbol);
    return 128;
  }

  const ImportOptions& options_;
  const std::string& file_;
  std::vector<const ValueInfo*> inputs_;
  std::map<std::string, std::int64_t> symbols_;
  bool unnamed_batch_ = false;
};

class Importer {
 public:
  Importer(const Model& model, std::string file, PayloadReader& payloads, const ImportOptions& options, ImportResult& result)
      : model_(model), file_(std::move(file)), payloads_(payloads), options_(options), result_(result) {}

  Status run() {
    SMELT_RETURN_IF_ERROR(check_model());
    InputShapes input_shapes(model_.graph, options_, file_);
    std::map<std::string, std::vector<std::int64_t>> shapes;
    SMELT_RETURN_IF_ERROR(input_shapes.fix(result_, shapes));
    for (const ValueInfo* info : input_shapes.inputs()) SMELT_RETURN_IF_ERROR(add_input(*info, shapes));
    for (const Tensor& tensor : model_.graph.initializers) {
      if (!initializers_.emplace(tensor.name, &tensor).second) {
        return error(ErrorCode::kMalformedInput, fmt::format("two initializers are named \"{}\"", tensor.name));
      }
    }
    for (const Node& node : model_.graph.nodes) {
      ++result_.operator_counts[qualified(node)];
      SMELT_RETURN_IF_ERROR(import_node(node));
    }
    SMELT_RETURN_IF_ERROR(report_unsupported());
    return add_outputs();
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, std::string message) const { return Error(code, std::move(message)).at({.file = file_}); }

  Status check_model() {
    for (const OpsetImport& import : model_.opset_imports) {
      if (is_default_domain(import.domain)) result_.opset = std::max(result_.opset, import.version);
    }
    if (result_.opset < 7) {
      return error(ErrorCode::kUnsupported, fmt::format("the model uses opset {}, the oldest that is read is 7", result_.opset))
          .hint("upgrade it with onnx.version_converter");
    }
    if (model_.has_functions) return error(ErrorCode::kUnsupported, "the model defines functions of its own").hint("inline them with onnx.inliner");
    if (model_.graph.has_sparse_initializers) return error(ErrorCode::kUnsupported, "the model has sparse initializers");
    return {};
  }

  Status add_input(const ValueInfo& info, const std::map<std::string, std::vector<std::int64_t>>& shapes) {
    const std::optional<DType> dtype = to_dtype(info.elem_type);
    if (!dtype) return error(ErrorCode::kUnsupported, fmt::format("input \"{}\" is of type {}", info.name, data_type_name(info.elem_type)));
    if (!values_.emplace(info.name, result_.graph.add_input(info.name, {.dtype = *dtype, .shape = to_shape(shapes.at(info.name))})).second) {
      return error(ErrorCode::kMalformedInput, fmt::format("two inputs are named \"{}\"", info.name));
    }
    return {};
  }

  /// The value of a name: computed, given, or an initializer, which is opened at its first use. Invalid: it comes from a node
  /// that could not be imported.
  Result<ir::ValueId> value(const std::string& name) {
    if (const auto found = values_.find(name); found != values_.end()) return found->second;
    if (const auto found = initializers_.find(name); found != initializers_.end()) {
      SMELT_ASSIGN_OR_RETURN(ConstantRef constant, payloads_.read(*found->second));
      read_bytes_ += byte_count(*constant);
      const ir::ValueId id = result_.graph.add_constant(name, std::move(constant));
      values_.emplace(name, id);
      return id;
    }
    return error(ErrorCode::kMalformedInput, fmt::format("nothing defines \"{}\" before it is used", name));
  }

  Status import_node(const Node& node) {
    std::vector<ir::ValueId> inputs;
    bool is_poisoned = false;
    for (const std::string& name : node.inputs) {
      if (name.empty()) {
        inputs.emplace_back();
        continue;
      }
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, value(name));
      is_poisoned = is_poisoned || !id.valid();
      inputs.push_back(id);
    }
    const OperatorImport* found = is_default_domain(node.domain) ? find_import(node.op_type) : nullptr;
    if (found == nullptr || result_.opset < found->since) {
      note_unsupported(node, found == nullptr ? "no import" : fmt::format("not before opset {}", found->since));
      return define(node, std::vector<ir::ValueId>(node.outputs.size()));
    }
    if (is_poisoned) return define(node, std::vector<ir::ValueId>(node.outputs.size()));
    NodeContext cx(node, result_.opset, std::move(inputs), result_.graph, payloads_, options_.fold_budget_bytes);
    const std::size_t first = result_.graph.value_count();
    const Status status = found->import(cx);
    SMELT_RETURN_IF_ERROR(charge(node, first));
    if (!status.ok() && status.error().code() == ErrorCode::kUnsupported) {
      note_unsupported(node, status.error().message());
      return define(node, std::vector<ir::ValueId>(node.outputs.size()));
    }
    if (!status.ok()) {
      Error located = status.error();
      return std::move(located).at({.file = file_, .byte_offset = {}, .graph = model_.graph.name, .node = node.name});
    }
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      if (!node.outputs[k].empty() && !cx.results()[k].valid()) return error(ErrorCode::kMalformedInput, fmt::format("{} gives no output {}", node.op_type, k));
    }
    return define(node, cx.results());
  }

  /// Counts the constants that a node made, which stay in memory: a small file must not fill it. Those of Constant stay in the file;
  /// those of ConstantOfShape are one element, but are written in full, and must not fill the disk.
  Status charge(const Node& node, std::size_t first) {
    if (node.op_type == "Constant") return {};
    const bool is_repeated = node.op_type == "ConstantOfShape";
    const std::uint64_t free = is_repeated ? kMostRepeated : std::uint64_t{256} * options_.fold_budget_bytes;
    std::uint64_t& sum = is_repeated ? repeated_bytes_ : folded_bytes_;
    for (std::size_t k = first; k < result_.graph.value_count(); ++k) {
      const ConstantRef& constant = result_.graph.value({static_cast<std::uint32_t>(k)}).constant;
      if (constant == nullptr) continue;
      const std::uint64_t bytes = byte_count(*constant), most = free + 4 * read_bytes_;
      if (bytes <= most && sum + bytes <= most) {
        sum += bytes;
        continue;
      }
      return Error(ErrorCode::kLimitReached, fmt::format("the graph computes constants of more than {} bytes", most))
          .at({.file = file_, .byte_offset = {}, .graph = model_.graph.name, .node = node.name});
    }
    return {};
  }

  Status define(const Node& node, const std::vector<ir::ValueId>& results) {
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      const std::string& name = node.outputs[k];
      if (name.empty()) continue;
      if (initializers_.contains(name) || !values_.emplace(name, results[k]).second) {
        return error(ErrorCode::kMalformedInput, fmt::format("\"{}\" is defined twice", name));
      }
      if (results[k].valid() && result_.graph.value(results[k]).name.empty()) result_.graph.set_value_name(results[k], name);
    }
    return {};
  }

  void note_unsupported(const Node& node, const std::string& reason) {
    auto& entry = unsupported_[fmt::format("{}@{}", qualified(node), version_of(node.domain))];
    if (entry.count++ == 0) entry = {.count = 1, .first = node.name, .reason = reason};
  }

  std::int64_t version_of(const std::string& domain) const {
    std::int64_t version = 0;
    for (const OpsetImport& import : model_.opset_imports) {
      if (import.domain == domain || (is_default_domain(domain) && is_default_domain(import.domain))) version = import.version;
    }
    return version;
  }

  /// Every operator that could not come in, grouped, in one error.
  Status report_unsupported() const {
    if (unsupported_.empty()) return {};
    std::string message = fmt::format("{} not supported:", unsupported_.size() == 1 ? "an operator is" : fmt::format("{} operators are", unsupported_.size()));
    for (const auto& [name, entry] : unsupported_) {
      message += fmt::format("\n  {} ({} node{}, first \"{}\"): {}", name, entry.count, entry.count == 1 ? "" : "s", entry.first, entry.reason);
    }
    return error(ErrorCode::kUnsupported, std::move(message)).hint("export the model without them, or split them off before conversion");
  }

  Status add_outputs() {
    std::set<std::string> names;
    for (const ValueInfo& info : model_.graph.outputs) {
      if (!names.insert(info.name).second) return error(ErrorCode::kMalformedInput, fmt::format("two outputs are named \"{}\"", info.name));
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, value(info.name));
      SMELT_CHECK(id.valid());
      result_.graph.add_output(info.name, id);
    }
    if (names.empty()) return error(ErrorCode::kMalformedInput, "the graph has no outputs");
    return {};
  }

  static constexpr std::uint64_t kMostRepeated = std::uint64_t{4} << 30;

  struct Unsupported {
    std::uint64_t count = 0;
    std::string first, reason;
  };

  const Model& model_;
  std::string file_;
  PayloadReader& payloads_;
  const ImportOptions& options_;
  ImportResult& result_;
  std::unordered_map<std::string, ir::ValueId> values_;
  std::unordered_map<std::string, const Tensor*> initializers_;
  std::map<std::string, Unsupported> unsupported_;
  std::uint64_t read_bytes_ = 0;    ///< of initializers in use
  std::uint64_t folded_bytes_ = 0, repeated_bytes_ = 0;  ///< of constants that nodes made
};

}  // namespace

Result<ImportResult> import_model(std::shared_ptr<const MappedFile> file, const std::filesystem::path& path, const ImportOptions& options) {
  SMELT_ASSIGN_OR_RETURN(const Model model, read_checked_model(file->bytes(), path.string(), options.limits));
  PayloadReader payloads(std::move(file), path);
  ImportResult result{.graph = ir::Graph("main"), .opset = 0, .notes = {}, .fixed_inputs = {}, .operator_counts = {}};
  SMELT_RETURN_IF_ERROR(Importer(model, path.string(), payloads, options, result).run());
  SMELT_RETURN_IF_ERROR(ir::verify(result.graph));
  return result;
}

}  // namespace smelt::onnx_format
