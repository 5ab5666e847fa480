#include "convert/onnx/checker.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "convert/onnx/skeleton.h"

namespace smelt::onnx_format {
namespace {

std::span<const std::byte> as_bytes(const std::string& file) { return std::as_bytes(std::span(file)); }

Result<Model> read(const std::string& file, const Limits& limits = {}) { return read_checked_model(as_bytes(file), "m.onnx", limits); }

onnx::NodeProto& add_node(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, const std::string& op, const std::vector<std::string>& inputs,
                          const std::vector<std::string>& outputs, const std::string& domain = "") {
  onnx::NodeProto& node = *nodes.Add();
  node.set_op_type(op);
  node.set_domain(domain);
  for (const std::string& name : inputs) node.add_input(name);
  for (const std::string& name : outputs) node.add_output(name);
  return node;
}

void add_value(onnx::ValueInfoProto& value, const std::string& name) {
  value.set_name(name);
  value.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  value.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(4);
}

void add_opset(google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports, const std::string& domain, int version) {
  onnx::OperatorSetIdProto& import = *imports.Add();
  import.set_domain(domain);
  import.set_version(version);
}

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

/// A Constant with `values` as its value, raw or in float_data.
onnx::NodeProto& add_constant(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, const std::string& name, const std::vector<float>& values, bool is_raw) {
  onnx::NodeProto& node = add_node(nodes, "Constant", {}, {name});
  onnx::TensorProto& tensor = *add_attribute(node, "value", onnx::AttributeProto::TENSOR).mutable_t();
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  if (is_raw) tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  for (const float value : values) {
    if (!is_raw) tensor.add_float_data(value);
  }
  return node;
}

/// x[4] -> y[4]; the nodes are the test's.
onnx::ModelProto model(int opset = 17) {
  onnx::ModelProto out;
  out.set_ir_version(9);
  add_opset(*out.mutable_opset_import(), "", opset);
  out.mutable_graph()->set_name("main");
  add_value(*out.mutable_graph()->add_input(), "x");
  add_value(*out.mutable_graph()->add_output(), "y");
  return out;
}

onnx::ModelProto with_node(const std::string& op, const std::string& domain = "", int opset = 17) {
  onnx::ModelProto out = model(opset);
  add_node(*out.mutable_graph()->mutable_node(), op, {"x"}, {"y"}, domain);
  return out;
}

onnx::FunctionProto& add_function(onnx::ModelProto& out, const std::string& name, int opset = 17) {
  onnx::FunctionProto& function = *out.add_functions();
  function.set_domain("local");
  function.set_name(name);
  function.add_input("a");
  function.add_output("b");
  add_opset(*function.mutable_opset_import(), "", opset);
  add_opset(*function.mutable_opset_import(), "local", 1);
  return function;
}

/// y = F(x), F(a) = LeakyRelu(a, alpha) + constant; "alpha" has the default 0.25.
onnx::ModelProto with_function() {
  onnx::ModelProto out = with_node("F", "local");
  add_opset(*out.mutable_opset_import(), "local", 1);
  onnx::FunctionProto& function = add_function(out, "F");
  onnx::AttributeProto& fallback = *function.add_attribute_proto();
  fallback.set_name("slope");
  fallback.set_type(onnx::AttributeProto::FLOAT);
  fallback.set_f(0.25F);
  onnx::NodeProto& leaky = add_node(*function.mutable_node(), "LeakyRelu", {"a"}, {"t"});
  add_attribute(leaky, "alpha", onnx::AttributeProto::FLOAT).set_ref_attr_name("slope");
  add_constant(*function.mutable_node(), "raw", {1.5F, 2.5F, 3.5F, 4.5F}, true);
  add_constant(*function.mutable_node(), "typed", {10.F, 20.F, 30.F, 40.F}, false);
  add_node(*function.mutable_node(), "Add", {"t", "raw"}, {"u"});
  add_node(*function.mutable_node(), "Add", {"u", "typed"}, {"b"});
  return out;
}

Error error_of(const onnx::ModelProto& proto, const Limits& limits = {}) {
  const Result<Model> result = read(proto.SerializeAsString(), limits);
  if (result.ok()) return {ErrorCode::kInternal, "it was accepted"};
  return result.error();
}

void expect_refused(const onnx::ModelProto& proto, ErrorCode code, const std::string& part, const Limits& limits = {}) {
  const Error error = error_of(proto, limits);
  EXPECT_EQ(code_name(error.code()), code_name(code)) << error.to_string();
  EXPECT_NE(error.message().find(part), std::string::npos) << error.to_string();
}

void expect_accepted(const onnx::ModelProto& proto) {
  const Result<Model> result = read(proto.SerializeAsString());
  EXPECT_TRUE(result.ok()) << result.error().to_string();
}

std::vector<std::string> op_types(const Graph& graph) {
  std::vector<std::string> out;
  for (const Node& node : graph.nodes) out.push_back(node.op_type);
  return out;
}

/// The bytes of a tensor, joined.
std::string data_of(const std::string& file, const Tensor& tensor) {
  std::string out;
  for (const Payload& run : tensor.payloads) out += file.substr(run.offset, run.length);
  return out;
}

std::string bytes_of(const std::vector<float>& values) {
  std::string out(values.size() * sizeof(float), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(SMELT_FIXTURES) + "/models/" + name + ".onnx", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
const std::vector<std::string> kFixtures{"digits_cnn/model", "fastvit_tiny/reparam", "sentiment/model"};

TEST(Checker, PassesTheFixturesAndReadsThemAsReadModelDoes) {
  for (const std::string& name : kFixtures) {
    SCOPED_TRACE(name);
    const std::string file = fixture(name);
    ASSERT_FALSE(file.empty());
    const Result<Model> checked = read(file);
    ASSERT_TRUE(checked.ok()) << checked.error().to_string();
    const Result<Model> plain = read_model(as_bytes(file), "m.onnx", {});
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(op_types(checked->graph), op_types(plain->graph));
    ASSERT_EQ(checked->graph.initializers.size(), plain->graph.initializers.size());
    for (std::size_t k = 0; k < plain->graph.initializers.size(); ++k) {
      EXPECT_EQ(checked->graph.initializers[k].payloads.front().offset, plain->graph.initializers[k].payloads.front().offset);
    }
  }
}

TEST(Checker, SkeletonHoldsNoPayload) {
  const std::string file = fixture("sentiment/model");
  const Result<Skeleton> skeleton = elide(as_bytes(file), "m.onnx", {});
  ASSERT_TRUE(skeleton.ok());
  EXPECT_LT(skeleton->bytes.size(), 120'000U);  // of 5.8 MB
  onnx::ModelProto parsed;
  ASSERT_TRUE(parsed.ParseFromString(skeleton->bytes));
  for (const onnx::TensorProto& tensor : parsed.graph().initializer()) {
    EXPECT_FALSE(tensor.has_raw_data());
    EXPECT_EQ(tensor.data_location(), onnx::TensorProto::EXTERNAL);
  }
}

TEST(Checker, NamesEveryUnknownOperator) {
  onnx::ModelProto proto = model();
  add_node(*proto.mutable_graph()->mutable_node(), "FrobnicateX", {"x"}, {"t"}).set_name("first");
  add_node(*proto.mutable_graph()->mutable_node(), "FrobnicateX", {"t"}, {"u"});
  add_node(*proto.mutable_graph()->mutable_node(), "ATen", {"u"}, {"y"});  // once experimental: the library would print about it
  testing::internal::CaptureStdout();
  const Error error = error_of(proto);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.message(),
            "2 operators are not in the ONNX standard:\n  ATen@17 (1 node, first \"\")\n  FrobnicateX@17 (2 nodes, first \"first\")");
}

TEST(Checker, AnOperatorYoungerThanTheOpsetIsUnknown) {
  expect_refused(with_node("Gelu", "", 17), ErrorCode::kUnsupported, "Gelu@17");
  expect_accepted(with_node("Gelu", "", 20));
}

TEST(Checker, RefusesVersionsThatTheLibraryDoesNotKnow) {
  expect_refused(with_node("Relu", "", 99), ErrorCode::kUnsupported, "opset 99 of ai.onnx, the newest known is 28");
  expect_refused(with_node("Relu", "", 0), ErrorCode::kMalformedInput, "opset 0 of ai.onnx");
  onnx::ModelProto proto = with_node("Relu");
  proto.set_ir_version(99);
  expect_refused(proto, ErrorCode::kUnsupported, "IR version 99");
  proto = with_node("Relu");
  add_opset(*proto.mutable_opset_import(), "ai.onnx", 18);
  expect_refused(proto, ErrorCode::kMalformedInput, "opsets 17 and 18 of ai.onnx");
  proto = with_node("Relu");
  proto.clear_opset_import();
  expect_refused(proto, ErrorCode::kMalformedInput, "no opset");
}

TEST(Checker, RefusesWhatASchemaDoesNotAllow) {
  onnx::ModelProto proto = with_node("Relu");
  add_attribute(*proto.mutable_graph()->mutable_node(0), "alpha", onnx::AttributeProto::FLOAT).set_f(1);
  expect_refused(proto, ErrorCode::kMalformedInput, "Unrecognized attribute: alpha for operator Relu");
  proto = with_node("LeakyRelu");
  add_attribute(*proto.mutable_graph()->mutable_node(0), "alpha", onnx::AttributeProto::INT).set_i(1);
  expect_refused(proto, ErrorCode::kMalformedInput, "Expected: 'FLOAT', actual: 'INT'");
  expect_refused(with_node("Cast"), ErrorCode::kMalformedInput, "Required attribute 'to' is missing");
  expect_refused(with_node("Add"), ErrorCode::kMalformedInput, "has input size 1 not in range [min=2, max=2]");
}

TEST(Checker, RefusesBrokenGraphs) {
  onnx::ModelProto proto = with_node("Relu");
  proto.mutable_graph()->mutable_node(0)->set_input(0, "nothing\n\x01");
  expect_refused(proto, ErrorCode::kMalformedInput, "however input 'nothing ?' of node");
  proto = with_node("Relu");
  add_node(*proto.mutable_graph()->mutable_node(), "Relu", {"x"}, {"y"});
  expect_refused(proto, ErrorCode::kMalformedInput, "single static assignment");
}

TEST(Checker, LeavesOperatorsOfOtherDomainsToTheImporter) {
  onnx::ModelProto proto = with_node("FusedGate", "com.example");
  add_opset(*proto.mutable_opset_import(), "com.example", 1);
  add_attribute(*proto.mutable_graph()->mutable_node(0), "anything", onnx::AttributeProto::INT).set_i(3);
  expect_accepted(proto);
}

TEST(Checker, IsLenientWhereReadersNeedNotCare) {
  onnx::ModelProto proto = with_node("Relu");
  proto.mutable_graph()->clear_name();
  proto.mutable_graph()->mutable_output(0)->clear_type();
  proto.mutable_opset_import(0)->set_domain("ai.onnx");
  expect_accepted(proto);
  proto.mutable_graph()->mutable_node(0)->set_domain("ai.onnx");
  expect_accepted(proto);

  proto = model(10);  // deprecated since 10
  add_constant(*proto.mutable_graph()->mutable_node(), "scales", {2}, true);
  add_node(*proto.mutable_graph()->mutable_node(), "Upsample", {"x", "scales"}, {"y"});
  expect_accepted(proto);

  proto = model(18);  // deprecated in the standard by accident
  proto.set_ir_version(3);
  for (const char* name : {"scale", "bias"}) {  // initializers that are no inputs
    onnx::TensorProto& tensor = *proto.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(1);
    tensor.add_float_data(1);
  }
  add_attribute(add_node(*proto.mutable_graph()->mutable_node(), "GroupNormalization", {"x", "scale", "bias"}, {"y"}), "num_groups", onnx::AttributeProto::INT).set_i(1);
  expect_accepted(proto);
}

TEST(Checker, ExternalTensorsNeedNoFile) {
  onnx::ModelProto proto = model();
  onnx::TensorProto& tensor = *proto.mutable_graph()->add_initializer();
  tensor.set_name("w");
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.add_dims(4);
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  onnx::StringStringEntryProto& entry = *tensor.add_external_data();
  entry.set_key("location");
  entry.set_value("not/there.bin");
  add_node(*proto.mutable_graph()->mutable_node(), "Add", {"x", "w"}, {"y"});
  expect_accepted(proto);
  entry.set_value("#smelt:0");  // what the skeleton writes itself
  expect_refused(proto, ErrorCode::kMalformedInput, "#smelt:");
}

TEST(Checker, InlinesFunctionsAndFindsTheirPayloadsInTheFile) {
  onnx::ModelProto proto = with_function();
  add_node(*proto.mutable_graph()->mutable_node(), "F", {"y"}, {"z"}, "local");
  add_attribute(*proto.mutable_graph()->mutable_node(1), "slope", onnx::AttributeProto::FLOAT).set_f(0.5F);
  const std::string file = proto.SerializeAsString();
  const Result<Model> result = read(file);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_FALSE(result->has_functions);
  const std::vector<std::string> once{"LeakyRelu", "Constant", "Constant", "Add", "Add"};
  std::vector<std::string> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  ASSERT_EQ(op_types(result->graph), twice);
  EXPECT_EQ(result->graph.nodes[0].inputs, std::vector<std::string>{"x"});
  EXPECT_EQ(result->graph.nodes[4].outputs, std::vector<std::string>{"y"});
  EXPECT_EQ(result->graph.nodes[0].attributes.front().f, 0.25F);  // the function's default, not LeakyRelu's
  EXPECT_EQ(result->graph.nodes[5].attributes.front().f, 0.5F);
  for (const std::size_t at : {std::size_t{1}, std::size_t{6}}) {
    const Tensor& raw = *result->graph.nodes[at].attributes.front().tensor;
    const Tensor& typed = *result->graph.nodes[at + 1].attributes.front().tensor;
    EXPECT_FALSE(raw.is_external);
    EXPECT_EQ(raw.payload_field, 9);
    EXPECT_EQ(data_of(file, raw), bytes_of({1.5F, 2.5F, 3.5F, 4.5F}));
    EXPECT_EQ(typed.payload_field, 4);
    EXPECT_EQ(data_of(file, typed), bytes_of({10.F, 20.F, 30.F, 40.F}));
  }
  EXPECT_NE(result->graph.nodes[1].outputs, result->graph.nodes[6].outputs);
}

/// Every node of a real model, moved into a function of its own: inlining gives the model back.
TEST(Checker, InliningUndoesAFunctionAroundEveryNode) {
  for (const std::string& name : kFixtures) {
    SCOPED_TRACE(name);
    onnx::ModelProto proto;
    ASSERT_TRUE(proto.ParseFromString(fixture(name)));
    add_opset(*proto.mutable_opset_import(), "local", 1);
    const std::string before = proto.SerializeAsString();
    int count = 0;
    for (onnx::NodeProto& node : *proto.mutable_graph()->mutable_node()) {
      onnx::FunctionProto& function = *proto.add_functions();
      function.set_domain("local");
      function.set_name("F" + std::to_string(count++));
      *function.mutable_opset_import() = proto.opset_import();
      std::set<std::string> inputs;
      for (const std::string& input : node.input()) {
        if (!input.empty() && inputs.insert(input).second) function.add_input(input);
      }
      *function.mutable_output() = node.output();
      *function.add_node() = node;
      node.clear_attribute();
      node.set_domain("local");
      node.set_op_type(function.name());
      *node.mutable_input() = function.input();
    }
    const std::string file = proto.SerializeAsString();
    const Result<Model> original = read(before);
    const Result<Model> inlined = read(file);
    ASSERT_TRUE(original.ok()) << original.error().to_string();
    ASSERT_TRUE(inlined.ok()) << inlined.error().to_string();
    ASSERT_EQ(op_types(inlined->graph), op_types(original->graph));
    for (std::size_t k = 0; k < original->graph.nodes.size(); ++k) {
      const Node& a = original->graph.nodes[k];
      const Node& b = inlined->graph.nodes[k];
      EXPECT_EQ(a.inputs, b.inputs);
      EXPECT_EQ(a.outputs, b.outputs);
      ASSERT_EQ(a.attributes.size(), b.attributes.size());
      for (std::size_t j = 0; j < a.attributes.size(); ++j) {
        EXPECT_EQ(a.attributes[j].ints, b.attributes[j].ints);
        ASSERT_EQ(a.attributes[j].tensor.has_value(), b.attributes[j].tensor.has_value());
        if (!a.attributes[j].tensor) continue;
        EXPECT_EQ(a.attributes[j].tensor->dims, b.attributes[j].tensor->dims);
        EXPECT_EQ(data_of(before, *a.attributes[j].tensor), data_of(file, *b.attributes[j].tensor));
      }
    }
    for (std::size_t k = 0; k < original->graph.initializers.size(); ++k) {
      EXPECT_EQ(data_of(before, original->graph.initializers[k]), data_of(file, inlined->graph.initializers[k]));
    }
  }
}

TEST(Checker, InlinesCallsInFunctionsAndBranches) {
  onnx::ModelProto proto = with_function();
  onnx::FunctionProto& outer = add_function(proto, "Outer");
  onnx::NodeProto& condition = add_node(*outer.mutable_node(), "Constant", {}, {"c"});
  onnx::TensorProto& tensor = *add_attribute(condition, "value", onnx::AttributeProto::TENSOR).mutable_t();
  tensor.set_data_type(onnx::TensorProto::BOOL);
  tensor.add_int32_data(1);
  onnx::NodeProto& choice = add_node(*outer.mutable_node(), "If", {"c"}, {"b"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    onnx::GraphProto& graph = *add_attribute(choice, branch, onnx::AttributeProto::GRAPH).mutable_g();
    add_node(*graph.mutable_node(), "F", {"a"}, {"r"}, "local");  // takes a name from around it
    graph.add_output()->set_name("r");
  }
  proto.mutable_graph()->mutable_node(0)->set_op_type("Outer");
  const std::string file = proto.SerializeAsString();
  const Result<Model> result = read(file);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  ASSERT_EQ(op_types(result->graph), (std::vector<std::string>{"Constant", "If"}));
  ASSERT_EQ(result->graph.nodes[1].attributes.size(), 2U);
  for (const Attribute& branch : result->graph.nodes[1].attributes) {
    const Graph& graph = branch.graphs.front();
    ASSERT_EQ(op_types(graph), (std::vector<std::string>{"LeakyRelu", "Constant", "Constant", "Add", "Add"}));
    EXPECT_EQ(graph.nodes[0].inputs, std::vector<std::string>{"x"});
    EXPECT_EQ(data_of(file, *graph.nodes[1].attributes.front().tensor), bytes_of({1.5F, 2.5F, 3.5F, 4.5F}));
  }
}

TEST(Checker, AFunctionMayPassAnInputThrough) {
  onnx::ModelProto proto = with_node("F", "local");
  onnx::FunctionProto& function = add_function(proto, "F");
  function.set_output(0, "a");
  const Result<Model> result = read(proto.SerializeAsString());
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  ASSERT_EQ(op_types(result->graph), std::vector<std::string>{"Identity"});
  EXPECT_EQ(result->graph.nodes[0].inputs, std::vector<std::string>{"x"});
  EXPECT_EQ(result->graph.nodes[0].outputs, std::vector<std::string>{"y"});
}

TEST(Checker, AFunctionOfAnotherOpsetIsInlinedWhereItsOperatorsAreTheSame) {
  onnx::ModelProto proto = with_node("F", "local", 18);
  onnx::FunctionProto& function = add_function(proto, "F", 17);
  add_node(*function.mutable_node(), "Relu", {"a"}, {"b"});
  expect_accepted(proto);
  function.clear_node();
  add_node(*function.mutable_node(), "ReduceMean", {"a"}, {"b"});  // its axes became an input in 18
  expect_refused(proto, ErrorCode::kUnsupported, "function \"F\" uses opset 17 of ai.onnx, the model 18, and ReduceMean differs");
}

TEST(Checker, RefusesFunctionsThatCannotBeInlined) {
  onnx::ModelProto proto = with_node("F", "local");
  add_node(*add_function(proto, "F").mutable_node(), "G", {"a"}, {"b"}, "local");
  add_node(*add_function(proto, "G").mutable_node(), "F", {"a"}, {"b"}, "local");
  expect_refused(proto, ErrorCode::kMalformedInput, "Cycle detected");
  proto = with_function();
  *proto.add_functions() = proto.functions(0);
  expect_refused(proto, ErrorCode::kMalformedInput, "function \"F\" is defined twice");
  proto = with_function();
  proto.mutable_graph()->mutable_node(0)->add_input("x");  // one more than the function has
  expect_refused(proto, ErrorCode::kMalformedInput, "Number of actual parameters");
  proto = with_function();
  add_attribute(*proto.mutable_graph()->mutable_node(0), "body", onnx::AttributeProto::GRAPH).mutable_g()->set_name("g");
  expect_refused(proto, ErrorCode::kUnsupported, "is given a graph");
  proto = with_function();
  proto.mutable_functions(0)->mutable_node(1)->mutable_attribute(0)->mutable_t()->set_raw_data("123");
  expect_refused(proto, ErrorCode::kMalformedInput, "holds 3 values or bytes, its shape needs 16");
}

TEST(Checker, BoundsWhatFunctionsGrowTo) {
  onnx::ModelProto proto = with_node("F60", "local");  // each calls the one before it twice: 2^60 nodes
  add_node(*add_function(proto, "F0").mutable_node(), "Relu", {"a"}, {"b"});
  for (int k = 1; k <= 60; ++k) {
    onnx::FunctionProto& function = add_function(proto, "F" + std::to_string(k));
    const std::string callee = "F" + std::to_string(k - 1);
    add_node(*function.mutable_node(), callee, {"a"}, {"t"}, "local");
    add_node(*function.mutable_node(), callee, {"t"}, {"b"}, "local");
  }
  expect_refused(proto, ErrorCode::kLimitReached, "nodes when its functions are inlined");
  proto.mutable_graph()->mutable_node(0)->set_op_type("F3");
  expect_accepted(proto);

  proto = with_node("Outer", "local");  // few nodes, each with a copy of a large attribute
  onnx::FunctionProto& function = add_function(proto, "Outer");
  for (int k = 0; k < 1000; ++k) {
    const std::string input = k == 0 ? "a" : "t" + std::to_string(k - 1);
    onnx::NodeProto& node = add_node(*function.mutable_node(), "Custom", {input}, {k == 999 ? "b" : "t" + std::to_string(k)}, "local");
    add_attribute(node, "text", onnx::AttributeProto::STRING).set_ref_attr_name("text");
  }
  add_attribute(*proto.mutable_graph()->mutable_node(0), "text", onnx::AttributeProto::STRING).set_s(std::string(1'000'000, 'x'));
  expect_refused(proto, ErrorCode::kLimitReached, "the structure may need");
}

TEST(Checker, BoundsTheSkeleton) {
  const onnx::ModelProto proto = with_function();
  expect_refused(proto, ErrorCode::kLimitReached, "", {.max_structure_bytes = 2000});
  onnx::ModelProto wide = with_node("Relu");
  for (int k = 0; k < 300; ++k) add_opset(*wide.mutable_opset_import(), "d" + std::to_string(k), 1);
  expect_refused(wide, ErrorCode::kLimitReached, "more than 256 domains");
  wide = with_node("Relu");
  for (int k = 0; k < 5000; ++k) add_attribute(*wide.mutable_graph()->mutable_node(0), "__" + std::to_string(k), onnx::AttributeProto::INT);
  expect_refused(wide, ErrorCode::kLimitReached, "more than 4096 attributes");
  onnx::ModelProto deep = with_node("If");
  onnx::NodeProto* node = deep.mutable_graph()->mutable_node(0);
  for (int k = 0; k < 100; ++k) node = &add_node(*add_attribute(*node, "g", onnx::AttributeProto::GRAPH).mutable_g()->mutable_node(), "If", {"x"}, {"y"});
  expect_refused(deep, ErrorCode::kLimitReached, "nested");
}

TEST(Checker, SurvivesEveryTruncationAndEveryChangedByte) {
  const std::string file = with_function().SerializeAsString();
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Result<Model> result = read(file.substr(0, size));
    if (result.ok()) continue;  // cut between two fields
    EXPECT_NE(result.error().code(), ErrorCode::kInternal) << size << ": " << result.error().to_string();
  }
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const int change : {0x01, 0x08, 0x80, 0xff}) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const Result<Model> result = read(damaged);
      if (result.ok()) continue;
      EXPECT_NE(result.error().code(), ErrorCode::kInternal) << at << ": " << result.error().to_string();
    }
  }
}

}  // namespace
}  // namespace smelt::onnx_format
