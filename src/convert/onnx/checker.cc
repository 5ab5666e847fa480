#include "convert/onnx/checker.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdint>
#include <map>
#include <new>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/checker.h>
#include <onnx/common/constants.h>
#include <onnx/common/proto_util.h>
#include <onnx/common/version.h>
#include <onnx/defs/schema.h>
#include <onnx/inliner/inliner.h>
#include <onnx/onnx_pb.h>

#include "convert/onnx/skeleton.h"

namespace smelt::onnx_format {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
using Versions = std::map<std::string, std::int64_t>;  ///< opset version by domain; the default domain is ""

/// Text from the library or the file as one printable line of at most 300 bytes.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (out.size() == 300) return out + "...";
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += c > ' ' && c < '\x7f' ? c : '?';
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

/// Calls `on_graph` for each graph inside `nodes` and `on_node` for each node, nested ones included.
template <typename OnNode, typename OnGraph>
void walk(Nodes& nodes, const OnNode& on_node, const OnGraph& on_graph) {
  for (onnx::NodeProto& node : nodes) {
    on_node(node);
    const auto enter = [&](onnx::GraphProto& graph) {
      on_graph(graph);
      walk(*graph.mutable_node(), on_node, on_graph);
    };
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) enter(*attribute.mutable_g());
      for (onnx::GraphProto& graph : *attribute.mutable_graphs()) enter(graph);
    }
  }
}

template <typename OnNode>
void each_node(Nodes& nodes, const OnNode& on_node) {
  walk(nodes, on_node, [](onnx::GraphProto&) {});
}

/// The library's schemas, those of deprecated operators replaced: by the version before, or else the newest.
class Schemas final : public onnx::ISchemaRegistry {
 public:
  const onnx::OpSchema* GetSchema(const std::string& op, int version, const std::string& domain) const override {
    using Registry = onnx::OpSchemaRegistry;
    const onnx::OpSchema* const found = Registry::Schema(op, version, domain);
    if (found == nullptr || !found->Deprecated()) return found;
    const onnx::OpSchema* const older = Registry::Schema(op, found->since_version() - 1, domain);
    return older != nullptr && !older->Deprecated() ? older : Registry::Schema(op, domain);
  }
};

const std::unordered_map<std::string, std::pair<int, int>>& standard_domains() {
  return onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
}

std::string shown(const std::string& domain) { return domain.empty() ? "ai.onnx" : printable(domain); }

/// Turns a tensor without its data into one that the library has no questions about: an empty one.
void stub(onnx::TensorProto& tensor) {
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return;
  tensor.clear_dims();
  tensor.add_dims(0);
  tensor.clear_external_data();
  tensor.clear_data_location();
}

void stub(onnx::SparseTensorProto& sparse) {
  stub(*sparse.mutable_values());
  sparse.clear_indices();
}

void stub_tensors(onnx::GraphProto& graph) {
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) stub(tensor);
  for (onnx::SparseTensorProto& sparse : *graph.mutable_sparse_initializer()) stub(sparse);
}

void stub_tensors(Nodes& nodes) {
  const auto on_node = [](onnx::NodeProto& node) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) stub(*attribute.mutable_t());
      for (onnx::TensorProto& tensor : *attribute.mutable_tensors()) stub(tensor);
      if (attribute.has_sparse_tensor()) stub(*attribute.mutable_sparse_tensor());
      for (onnx::SparseTensorProto& sparse : *attribute.mutable_sparse_tensors()) stub(sparse);
    }
  };
  walk(nodes, on_node, [](onnx::GraphProto& graph) { stub_tensors(graph); });
}

/// Lists that the library copies, or walks again, for each graph or attribute. No real model comes near.
constexpr std::size_t kMaxDomains = 256;
constexpr int kMaxAttributes = 4096;

/// Sums and products that stay at the top instead of wrapping.
constexpr std::uint64_t kMany = std::uint64_t{1} << 60;
std::uint64_t add(std::uint64_t a, std::uint64_t b) { return std::min(a + b, kMany); }
std::uint64_t times(std::uint64_t a, std::uint64_t b) { return a != 0 && b > kMany / a ? kMany : a * b; }

/// What nodes become once every call in them is expanded.
struct Expanded {
  std::uint64_t nodes = 0, names = 0, references = 0;
  std::uint64_t bytes = 0;  ///< in memory, names and references as they are in the functions
  int depth = 0;            ///< graphs inside graphs

  void operator+=(const Expanded& other) {
    nodes = add(nodes, other.nodes);
    names = add(names, other.names);
    references = add(references, other.references);
    bytes = add(bytes, other.bytes);
    depth = std::max(depth, other.depth);
  }
};

/// One model on its way through the library. Its members may throw what the library throws.
class Checker {
 public:
  Checker(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  Status parse(const std::string& skeleton) {
    google::protobuf::io::ArrayInputStream in(skeleton.data(), static_cast<int>(skeleton.size()));
    google::protobuf::io::CodedInputStream coded(&in);
    coded.SetRecursionLimit(max_message_depth(limits_) + 1);
    if (!model_.ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage()) return malformed("protobuf does not parse the model");
    return {};
  }

  [[nodiscard]] bool has_functions() const { return model_.functions_size() != 0; }

  /// Everything about versions, then the functions, each for itself.
  Status check_frame() {
    if (model_.ir_version() < 1) return malformed("the model states no ir_version");
    if (model_.ir_version() > onnx::IR_VERSION) {
      return error(ErrorCode::kUnsupported, fmt::format("the model is of IR version {}, the newest known is {}", model_.ir_version(),
                                                        static_cast<int>(onnx::IR_VERSION)));
    }
    normalize();
    SMELT_RETURN_IF_ERROR(read_versions());
    for (const onnx::FunctionProto& function : model_.functions()) {
      if (!functions_.emplace(onnx::GetFunctionImplId(function), &function).second) {
        return malformed(fmt::format("function \"{}\" is defined twice", printable(function.name())));
      }
    }
    for (onnx::FunctionProto& function : *model_.mutable_functions()) SMELT_RETURN_IF_ERROR(unify_versions(function));
    SMELT_RETURN_IF_ERROR(check_operators());
    onnx::checker::check_function_call_cycles(model_);
    const onnx::checker::CheckerContext cx = context();
    const onnx::checker::LexicalScopeContext scope;
    for (const onnx::FunctionProto& function : model_.functions()) {
      onnx::FunctionProto copy(function);
      stub_tensors(*copy.mutable_node());
      onnx::checker::check_function(copy, cx, scope);
    }
    return {};
  }

  /// Ends the use of the model: its tensors become stubs.
  void check_graph() {
    stub_tensors(*model_.mutable_graph());
    stub_tensors(*model_.mutable_graph()->mutable_node());
    onnx::checker::check_graph(model_.graph(), context(), onnx::checker::LexicalScopeContext());
  }

  /// Inlines every function and gives the model's bytes, in which `read_model` finds the markers.
  Result<std::string> inlined() {
    std::vector<Nodes*> bodies{model_.mutable_graph()->mutable_node()};
    for (onnx::FunctionProto& function : *model_.mutable_functions()) bodies.push_back(function.mutable_node());
    for (Nodes* nodes : bodies) SMELT_RETURN_IF_ERROR(complete_calls(*nodes));
    SMELT_RETURN_IF_ERROR(check_growth());
    for (onnx::FunctionProto& function : *model_.mutable_functions()) SMELT_RETURN_IF_ERROR(part_outputs_from_inputs(function));
    functions_.clear();  // the library moves them
    onnx::inliner::InlineLocalFunctions(model_, false);
    if (has_functions()) return error(ErrorCode::kInternal, "a function was left over by the inliner");
    std::string bytes;
    if (!model_.SerializeToString(&bytes)) return error(ErrorCode::kLimitReached, "the model is too large after inlining");
    return bytes;
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, std::string message) const { return Error(code, std::move(message)).at({.file = file_}); }
  [[nodiscard]] Error malformed(std::string message) const { return error(ErrorCode::kMalformedInput, std::move(message)); }

  [[nodiscard]] onnx::checker::CheckerContext context() const {
    onnx::checker::CheckerContext cx;
    cx.set_ir_version(static_cast<int>(std::max<std::int64_t>(model_.ir_version(), 4)));  // an initializer need be no input
    cx.set_is_main_graph(false);                                                          // inputs may have no type
    cx.set_skip_opset_compatibility_check(true);                                          // `unify_versions` did it
    cx.set_schema_registry(&schemas_);
    std::unordered_map<std::string, int> versions;
    for (const auto& [domain, version] : versions_) versions.emplace(domain, static_cast<int>(version));
    cx.set_opset_imports(std::move(versions));
    return cx;
  }

  /// Spellings that mean the same, made the one that the library takes.
  void normalize() {
    const auto domain = [](auto& holder) {
      if (onnx::IsOnnxDomain(holder.domain())) holder.set_domain("");
    };
    const auto on_graph = [](onnx::GraphProto& graph) {
      if (graph.name().empty()) graph.set_name("graph");
    };
    const auto on_nodes = [&](Nodes& nodes) {
      const auto on_node = [&](onnx::NodeProto& node) {
        domain(node);
        for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
          if (attribute.ref_attr_name().empty()) attribute.clear_ref_attr_name();
        }
      };
      walk(nodes, on_node, on_graph);
    };
    for (onnx::OperatorSetIdProto& import : *model_.mutable_opset_import()) domain(import);
    on_graph(*model_.mutable_graph());
    on_nodes(*model_.mutable_graph()->mutable_node());
    for (onnx::FunctionProto& function : *model_.mutable_functions()) {
      domain(function);
      for (onnx::OperatorSetIdProto& import : *function.mutable_opset_import()) domain(import);
      on_nodes(*function.mutable_node());
    }
  }

  Status check_version(const onnx::OperatorSetIdProto& import) const {
    const auto known = standard_domains().find(import.domain());
    if (import.version() < (known == standard_domains().end() ? INT_MIN : 1) || import.version() > INT_MAX) {
      return malformed(fmt::format("opset {} of {}", import.version(), shown(import.domain())));
    }
    if (known == standard_domains().end() || import.version() <= known->second.second) return {};
    Error error(ErrorCode::kUnsupported, fmt::format("the model uses opset {} of {}, the newest known is {}", import.version(),
                                                     shown(import.domain()), known->second.second));
    return std::move(error).at({.file = file_}).hint("export it for an older opset, or downgrade it with onnx.version_converter");
  }

  /// The opsets of the model; of its functions, those of domains that it does not import itself. All become the model's.
  Status read_versions() {
    for (const onnx::OperatorSetIdProto& import : model_.opset_import()) {
      SMELT_RETURN_IF_ERROR(check_version(import));
      const auto [found, is_new] = versions_.emplace(import.domain(), import.version());
      if (!is_new && found->second != import.version()) {
        return malformed(fmt::format("the model imports opsets {} and {} of {}", found->second, import.version(), shown(import.domain())));
      }
    }
    if (versions_.empty() && model_.ir_version() < 3) versions_.emplace("", 1);
    if (versions_.empty()) return malformed("the model imports no opset");
    for (const onnx::FunctionProto& function : model_.functions()) {
      for (const onnx::OperatorSetIdProto& import : function.opset_import()) {
        SMELT_RETURN_IF_ERROR(check_version(import));
        versions_.emplace(import.domain(), import.version());
      }
    }
    if (versions_.size() > kMaxDomains) return error(ErrorCode::kLimitReached, fmt::format("more than {} domains are imported", kMaxDomains));
    model_.clear_opset_import();
    for (const auto& [domain, version] : versions_) {
      onnx::OperatorSetIdProto& import = *model_.add_opset_import();
      import.set_domain(domain);
      import.set_version(version);
    }
    return {};
  }

  /// Puts a function on the model's opsets, when its operators are the same there.
  Status unify_versions(onnx::FunctionProto& function) const {
    Versions own;
    for (const onnx::OperatorSetIdProto& import : function.opset_import()) own[import.domain()] = import.version();
    Status status;
    each_node(*function.mutable_node(), [&](const onnx::NodeProto& node) {
      const auto version = own.find(node.domain());
      if (!status.ok() || version == own.end() || functions_.contains(onnx::GetCalleeId(node))) return;
      const std::int64_t of_model = versions_.at(node.domain());
      if (version->second == of_model) return;
      const auto* a = schemas_.GetSchema(node.op_type(), static_cast<int>(version->second), node.domain());
      const auto* b = schemas_.GetSchema(node.op_type(), static_cast<int>(of_model), node.domain());
      if (a == b) return;
      status = error(ErrorCode::kUnsupported, fmt::format("function \"{}\" uses opset {} of {}, the model {}, and {} differs between them",
                                                          printable(function.name()), version->second, shown(node.domain()), of_model,
                                                          printable(node.op_type())));
    });
    for (onnx::OperatorSetIdProto& import : *function.mutable_opset_import()) import.set_version(versions_.at(import.domain()));
    return status;
  }

  /// Every operator of a standard domain has a schema. Names all that have none.
  Status check_operators() {
    struct Use {
      std::uint64_t count = 0;
      std::string first;
    };
    std::map<std::string, Use> unknown;
    int most_attributes = 0;
    const auto on_node = [&](const onnx::NodeProto& node) {
      most_attributes = std::max(most_attributes, node.attribute_size());
      const auto version = versions_.find(node.domain());
      if (version == versions_.end() || !standard_domains().contains(node.domain()) || functions_.contains(onnx::GetCalleeId(node))) return;
      const bool is_known = !onnx::checker::check_is_experimental_op(node) &&  // about which the library would print
                            schemas_.GetSchema(node.op_type(), static_cast<int>(version->second), node.domain()) != nullptr;
      if (is_known) return;
      const std::string name = fmt::format("{}{}@{}", node.domain().empty() ? "" : node.domain() + "::", printable(node.op_type()), version->second);
      Use& use = unknown[name];
      if (use.count++ == 0) use.first = printable(node.name());
    };
    each_node(*model_.mutable_graph()->mutable_node(), on_node);
    for (onnx::FunctionProto& function : *model_.mutable_functions()) each_node(*function.mutable_node(), on_node);
    if (most_attributes > kMaxAttributes) return error(ErrorCode::kLimitReached, fmt::format("a node has more than {} attributes", kMaxAttributes));
    if (unknown.empty()) return {};
    std::string message = unknown.size() == 1 ? "an operator is not in the ONNX standard:"
                                              : fmt::format("{} operators are not in the ONNX standard:", unknown.size());
    for (const auto& [name, use] : unknown) {
      message += fmt::format("\n  {} ({} node{}, first \"{}\")", name, use.count, use.count == 1 ? "" : "s", use.first);
    }
    return error(ErrorCode::kUnsupported, std::move(message)).hint("an operator of another tool belongs to a domain of its own");
  }

  /// Gives calls the attributes that they leave at the function's default; the inliner does not.
  Status complete_calls(Nodes& nodes) {
    Status status;
    each_node(nodes, [&](onnx::NodeProto& node) {
      const auto callee = functions_.find(onnx::GetCalleeId(node));
      if (callee == functions_.end()) return;
      std::unordered_set<std::string> given;
      for (const onnx::AttributeProto& attribute : node.attribute()) given.insert(attribute.name());
      for (const onnx::AttributeProto& attribute : callee->second->attribute_proto()) {
        if (!status.ok() || !given.insert(attribute.name()).second) continue;
        *node.add_attribute() = attribute;
        added_bytes_ += attribute.SpaceUsedLong();
        if (added_bytes_ > limits_.max_structure_bytes) status = error(ErrorCode::kLimitReached, "the defaults of functions are too large too often");
      }
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        largest_attribute_ = std::max<std::uint64_t>(largest_attribute_, attribute.SpaceUsedLong());
        const bool has_graph = attribute.has_g() || attribute.graphs_size() != 0;  // growth would have no simple bound
        if (!has_graph || !status.ok()) continue;
        status = error(ErrorCode::kUnsupported, fmt::format("function \"{}\" is given a graph as its attribute \"{}\"",
                                                            printable(node.op_type()), printable(attribute.name())));
      }
    });
    return status;
  }

  /// Functions that call functions can grow beyond all memory.
  Status check_growth() {
    const Expanded all = expand(model_.graph().node());
    const std::uint64_t bytes = add(all.bytes, add(times(all.names, longest_name_ + sizeof(std::string)), times(all.references, largest_attribute_)));
    if (all.nodes > limits_.max_nodes) return error(ErrorCode::kLimitReached, fmt::format("more than {} nodes when its functions are inlined", limits_.max_nodes));
    if (all.depth >= limits_.max_graph_depth) {
      return error(ErrorCode::kLimitReached, fmt::format("graphs are nested deeper than {} when functions are inlined", limits_.max_graph_depth));
    }
    if (bytes > limits_.max_structure_bytes) {
      return error(ErrorCode::kLimitReached, fmt::format("the structure may need {} bytes when functions are inlined, the limit is {}", bytes, limits_.max_structure_bytes));
    }
    return {};
  }

  Expanded expand(const Nodes& nodes) {
    Expanded sum;
    const auto count = [](int size) { return static_cast<std::uint64_t>(size); };
    for (const onnx::NodeProto& node : nodes) {
      Expanded one{.nodes = 1, .names = count(node.input_size()) + count(node.output_size()) + 1};
      for (const std::string& name : node.input()) longest_name_ = std::max<std::uint64_t>(longest_name_, name.size());
      for (const std::string& name : node.output()) longest_name_ = std::max<std::uint64_t>(longest_name_, name.size());
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        if (!attribute.ref_attr_name().empty()) ++one.references;
        const auto enter = [&](const onnx::GraphProto& graph) {
          Expanded inside = expand(graph.node());
          ++inside.depth;
          inside.names = add(inside.names, count(graph.input_size()) + count(graph.output_size()) + count(graph.initializer_size()));
          one += inside;
        };
        if (attribute.has_g()) enter(attribute.g());
        for (const onnx::GraphProto& graph : attribute.graphs()) enter(graph);
      }
      if (const auto callee = functions_.find(onnx::GetCalleeId(node)); callee != functions_.end()) one += expand(*callee->second);
      sum += one;
    }
    return sum;
  }

  /// Each function once. They do not call themselves, and not more than 100 deep: `check_function_call_cycles`.
  const Expanded& expand(const onnx::FunctionProto& function) {
    if (const auto found = expanded_.find(&function); found != expanded_.end()) return found->second;
    Expanded sum = expand(function.node());
    sum.bytes = add(sum.bytes, function.SpaceUsedLong());
    sum.names = add(sum.names, static_cast<std::uint64_t>(function.value_info_size()));
    return expanded_.emplace(&function, sum).first->second;
  }

  /// An output that is an input gets a node of its own: the inliner would give both the same name.
  Status part_outputs_from_inputs(onnx::FunctionProto& function) const {
    const std::unordered_set<std::string> inputs(function.input().begin(), function.input().end());
    std::unordered_set<std::string> taken = inputs;
    taken.insert(function.output().begin(), function.output().end());
    each_node(*function.mutable_node(), [&](const onnx::NodeProto& node) {
      taken.insert(node.input().begin(), node.input().end());
      taken.insert(node.output().begin(), node.output().end());
    });
    for (std::string& output : *function.mutable_output()) {
      if (!inputs.contains(output)) continue;
      if (!versions_.contains("")) return malformed(fmt::format("function \"{}\" needs Identity and imports no opset", printable(function.name())));
      std::string fresh = output + "_out";
      while (!taken.insert(fresh).second) fresh += '_';
      onnx::NodeProto& identity = *function.add_node();
      identity.set_op_type("Identity");
      identity.add_input(output);
      identity.add_output(fresh);
      output = fresh;
    }
    return {};
  }

  const std::string& file_;
  const Limits& limits_;
  Schemas schemas_;
  onnx::ModelProto model_;
  Versions versions_;
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  std::unordered_map<const onnx::FunctionProto*, Expanded> expanded_;
  std::uint64_t longest_name_ = 0, largest_attribute_ = 0, added_bytes_ = 0;
};

/// Puts the payloads of the original file where an inlined model has markers.
class Restorer {
 public:
  Restorer(std::span<const std::byte> bytes, const std::vector<Elided>& elided, const std::string& file, const Limits& limits)
      : bytes_(bytes), elided_(elided), file_(file), limits_(limits) {}

  Status graph(Graph& graph) {
    for (Tensor& tensor : graph.initializers) SMELT_RETURN_IF_ERROR(restore(tensor));
    for (Node& node : graph.nodes) {
      for (Attribute& attribute : node.attributes) {
        if (attribute.tensor) SMELT_RETURN_IF_ERROR(restore(*attribute.tensor));
        for (Graph& child : attribute.graphs) SMELT_RETURN_IF_ERROR(this->graph(child));
      }
    }
    return {};
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, const Tensor& tensor, std::string_view message) const {
    return Error(code, fmt::format("tensor \"{}\" {}", printable(tensor.name), message)).at({.file = file_});
  }

  Status restore(Tensor& tensor) {
    const std::string_view location = tensor.external_location;
    if (!tensor.is_external || location.substr(0, kMarker.size()) != kMarker) {
      return tensor.payload_field == 0 ? Status() : error(ErrorCode::kInternal, tensor, "came with data of its own");
    }
    std::size_t index = elided_.size();
    std::from_chars(location.data() + kMarker.size(), location.data() + location.size(), index);
    if (index >= elided_.size()) return error(ErrorCode::kInternal, tensor, "has an unknown marker");
    const Elided& data = elided_[index];
    run_bytes_ += data.runs.size() * sizeof(Payload);
    if (run_bytes_ > limits_.max_structure_bytes) return error(ErrorCode::kLimitReached, tensor, "is in too many pieces too often");
    tensor.is_external = false;
    tensor.external_location.clear();
    tensor.external_offset = 0;
    tensor.external_length.reset();
    tensor.payload_field = data.field;
    tensor.payloads = data.runs;
    return check(tensor);
  }

  /// The rules of `read_model`, which has not seen the tensors of functions: the right member, exactly full.
  Status check(const Tensor& tensor) const {
    const std::uint64_t bits = data_type_bits(tensor.data_type);
    const bool is_string = tensor.data_type == onnx::TensorProto::STRING;
    const int member = member_of(tensor.data_type);
    if (tensor.payload_field != member && (tensor.payload_field != 9 || is_string)) {
      return error(ErrorCode::kMalformedInput, tensor, fmt::format("of {} has its data in field {}", data_type_name(tensor.data_type), tensor.payload_field));
    }
    std::uint64_t needed = tensor.element_count, found = 0;
    if (tensor.payload_field == 9) {
      needed = (needed * bits + 7) / 8;
    } else {
      if (bits != 0 && bits < 8) needed = (needed * bits + 7) / 8;
      if (tensor.data_type == onnx::TensorProto::COMPLEX64 || tensor.data_type == onnx::TensorProto::COMPLEX128) needed *= 2;
    }
    for (const Payload& run : tensor.payloads) {
      const std::uint64_t size = tensor.payload_field == 9 ? 1 : member == 4 ? 4 : member == 10 ? 8 : 0;
      if (size != 0 && run.length % size != 0) return error(ErrorCode::kMalformedInput, tensor, "has a part of a value");
      if (size != 0) {
        found += run.length / size;
      } else if (is_string) {
        ++found;
      } else if (!count_varints(bytes_.subspan(run.offset, run.length), found)) {
        return error(ErrorCode::kMalformedInput, tensor, "has a number that does not end");
      }
    }
    if (found == needed) return {};
    return error(ErrorCode::kMalformedInput, tensor, fmt::format("holds {} values or bytes, its shape needs {}", found, needed));
  }

  static int member_of(int data_type) {
    switch (data_type) {
      case onnx::TensorProto::FLOAT:
      case onnx::TensorProto::COMPLEX64: return 4;
      case onnx::TensorProto::STRING: return 6;
      case onnx::TensorProto::INT64: return 7;
      case onnx::TensorProto::DOUBLE:
      case onnx::TensorProto::COMPLEX128: return 10;
      case onnx::TensorProto::UINT32:
      case onnx::TensorProto::UINT64: return 11;
      default: return 5;
    }
  }

  static bool count_varints(std::span<const std::byte> run, std::uint64_t& count) {
    unsigned length = 0;
    for (const std::byte byte : run) {
      if (++length == 10 && std::to_integer<unsigned>(byte) > 1) return false;
      if ((byte & std::byte{0x80}) != std::byte{0}) continue;
      length = 0;
      ++count;
    }
    return length == 0;
  }

  std::span<const std::byte> bytes_;
  const std::vector<Elided>& elided_;
  const std::string& file_;
  const Limits& limits_;
  std::uint64_t run_bytes_ = 0;
};

Result<Model> check_and_inline(std::span<const std::byte> bytes, Model model, const std::string& file, const Limits& limits) {
  SMELT_ASSIGN_OR_RETURN(const Skeleton skeleton, elide(bytes, file, limits));
  Checker checker(file, limits);
  SMELT_RETURN_IF_ERROR(checker.parse(skeleton.bytes));
  SMELT_RETURN_IF_ERROR(checker.check_frame());
  if (checker.has_functions()) {
    SMELT_ASSIGN_OR_RETURN(const std::string inlined, checker.inlined());
    Result<Model> read = read_model(std::as_bytes(std::span(inlined)), file, limits);
    if (!read.ok()) {  // its offsets are of no file
      return Error(read.error().code(), fmt::format("after inlining: {}", read.error().message())).at({.file = file});
    }
    model = std::move(read).value();
    SMELT_RETURN_IF_ERROR(Restorer(bytes, skeleton.elided, file, limits).graph(model.graph));
  }
  checker.check_graph();
  return model;
}

}  // namespace

std::string_view onnx_library_version() { return ONNX_VERSION_STRING; }

Result<Model> read_checked_model(std::span<const std::byte> bytes, const std::string& file, const Limits& limits) {
  SMELT_ASSIGN_OR_RETURN(Model model, read_model(bytes, file, limits));
  const auto refused = [&](ErrorCode code, std::string_view text) {
    return Error(code, fmt::format("the onnx library refuses the model: {}", printable(text))).at({.file = file});
  };
  try {
    return check_and_inline(bytes, std::move(model), file, limits);
  } catch (const std::bad_alloc&) {
    return refused(ErrorCode::kLimitReached, "it asks for too much memory");
  } catch (const std::exception& exception) {
    return refused(ErrorCode::kMalformedInput, exception.what());
  } catch (...) {
    return refused(ErrorCode::kInternal, "it gives no reason");
  }
}

}  // namespace smelt::onnx_format
