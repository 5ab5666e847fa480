#include "convert/onnx/import.h"

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "convert/onnx/import_cases.h"
#include "eval/evaluate.h"
#include "temp_folder.h"

namespace smelt::onnx_format {
namespace {

using Shapes = std::map<std::string, Ints>;

class ImportModel : public TempFolderTest {
 protected:
  Result<ImportResult> import(const ModelBuilder& model, const ImportOptions& options = {}) {
    const std::filesystem::path path = folder_ / "m.onnx";
    model.write(path);
    SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
    return import_model(std::make_shared<const MappedFile>(std::move(file)), path, options);
  }
  Result<ImportResult> import(const ModelBuilder& model, const Shapes& shapes) {
    ImportOptions options;
    options.input_shapes = shapes;
    return import(model, options);
  }
  Error error_of(const ModelBuilder& model, const Shapes& shapes = {}) {
    const Result<ImportResult> result = import(model, shapes);
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error(ErrorCode::kInternal, "accepted") : result.error();
  }
  /// The error of a node with these operands.
  Error error_of(const Case& c) { return error_of(model_of(c)); }
};

/// The inputs' extents: "[1, 3] [1, 128]".
std::string shapes_text(const ImportResult& result) {
  std::string out;
  for (const ir::ValueId id : result.graph.inputs()) out += (out.empty() ? "" : " ") + result.graph.symbols().text(result.graph.value(id).type.shape);
  return out;
}

ModelBuilder two_inputs(const std::vector<Extent>& a, const std::vector<Extent>& b) {
  ModelBuilder model(13);
  model.input("a", DType::kF32, a).input("b", DType::kF32, b).node("Add", {"a", "b"}, {"y"}).output("y");
  return model;
}
ModelBuilder one_input(const std::vector<Extent>& a) {
  ModelBuilder model(13);
  model.input("a", DType::kF32, a).node("Neg", {"a"}, {"y"}).output("y");
  return model;
}

TEST_F(ImportModel, TheOpenBatchBecomesOne) {
  for (const ModelBuilder& model : {two_inputs({"batch", 3}, {"batch", 3}), one_input({"batch", 3})}) {
    const Result<ImportResult> result = import(model);
    ASSERT_TRUE(result.ok()) << result.error().to_string();
    EXPECT_EQ(result->notes, (std::vector<std::string>{"the open batch extent \"batch\" became 1"}));
    EXPECT_EQ(result->fixed_inputs.at("a"), (Ints{1, 3}));
    EXPECT_EQ(shapes_text(*result).substr(0, 6), "[1, 3]");
  }
  const Result<ImportResult> unnamed = import(one_input({"", 3}));
  ASSERT_TRUE(unnamed.ok()) << unnamed.error().to_string();
  EXPECT_EQ(unnamed->notes, (std::vector<std::string>{"the open batch extent of the input became 1"}));
  EXPECT_EQ(unnamed->fixed_inputs, (Shapes{{"a", {1, 3}}}));
}

TEST_F(ImportModel, AStaticModelHasNoNotes) {
  const Result<ImportResult> result = import(two_inputs({2, 3}, {3}));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->notes.empty() && result->fixed_inputs.empty());
  EXPECT_EQ(result->operator_counts, (std::map<std::string, std::uint64_t>{{"Add", 1}}));
}

TEST_F(ImportModel, OtherOpenExtentsAreNamedWithTheFlagsToGive) {
  const Error one = error_of(one_input({"batch", 3, "height", ""}));
  EXPECT_EQ(one.code(), ErrorCode::kOpenShape);
  EXPECT_EQ(one.message(), "these inputs have open extents: \"a\" (height, axis 3)");
  EXPECT_EQ(one.hint_text(), "fix them, for example --input a:1x3x128x128");
  const Error two = error_of(two_inputs({"batch", "seq"}, {"batch", "other"}));
  EXPECT_EQ(two.message(), "these inputs have open extents: \"a\" (seq); \"b\" (other)");
  EXPECT_EQ(two.hint_text(), "fix them, for example --input a:1x128 --input b:1x128");
  // First extents that differ are no batch.
  EXPECT_EQ(error_of(two_inputs({"n", 3}, {"m", 3})).message(), "these inputs have open extents: \"a\" (n); \"b\" (m)");
  EXPECT_EQ(error_of(two_inputs({"", 3}, {"", 3})).message(), "these inputs have open extents: \"a\" (axis 0); \"b\" (axis 0)");
  EXPECT_EQ(error_of(two_inputs({"n", 3}, {1, 3})).code(), ErrorCode::kOpenShape);
}

TEST_F(ImportModel, AShapeGivenForOneInputFixesTheSymbolsOfAll) {
  const ModelBuilder model = two_inputs({"batch", "seq"}, {"batch", "seq"});
  const Result<ImportResult> result = import(model, Shapes{{"a", {2, 5}}});
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(shapes_text(*result), "[2, 5] [2, 5]");
  EXPECT_TRUE(result->notes.empty());
  EXPECT_EQ(result->fixed_inputs, (Shapes{{"a", {2, 5}}, {"b", {2, 5}}}));
  const Result<ImportResult> unnamed = import(one_input({"", ""}), Shapes{{"a", {4, 5}}});
  ASSERT_TRUE(unnamed.ok()) << unnamed.error().to_string();
  EXPECT_EQ(shapes_text(*unnamed), "[4, 5]");
  EXPECT_TRUE(unnamed->notes.empty());
}

TEST_F(ImportModel, ContradictoryShapesAreRefused) {
  const ModelBuilder model = two_inputs({"batch", "seq"}, {"batch", "seq"});
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [what, shapes] : std::vector<std::pair<std::string, Shapes>>{{"two numbers for a symbol", {{"a", {1, 5}}, {"b", {1, 6}}}},
                                                                                {"rank", {{"a", {1, 5, 1}}}},
                                                                                {"no extents", {{"a", {}}}},
                                                                                {"extent 0", {{"a", {0, 5}}}},
                                                                                {"a negative extent", {{"a", {1, -5}}}},
                                                                                {"no such input", {{"c", {1, 5}}}}}) {
    EXPECT_EQ(error_of(model, shapes).code(), ErrorCode::kInvalidArgument) << what;
  }
  EXPECT_EQ(error_of(model, {{"c", {1}}}).hint_text(), "its inputs are: a, b");
  EXPECT_EQ(error_of(one_input({1, 3}), {{"a", {1, 4}}}).code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(import(one_input({1, 3}), Shapes{{"a", {1, 3}}}).ok());
  ModelBuilder square(13);  // one symbol twice in one input
  square.input("a", DType::kF32, {"n", "n"}).node("Neg", {"a"}, {"y"}).output("y");
  EXPECT_EQ(error_of(square, {{"a", {2, 3}}}).code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(import(square, Shapes{{"a", {2, 2}}}).ok());
  EXPECT_TRUE(import(one_input({"n", "m"}), Shapes{{"a", {most, most}}}).ok());
}

TEST_F(ImportModel, AnInputWithoutAShapeNeedsOne) {
  ModelBuilder model(13);
  model.shapeless_input("a", DType::kF32).node("Neg", {"a"}, {"y"}).output("y");
  const Error error = error_of(model);
  EXPECT_EQ(error.code(), ErrorCode::kOpenShape);
  EXPECT_EQ(error.message(), "input \"a\" states no shape");
  EXPECT_EQ(error.hint_text(), "give one, for example --input a:1x3x224x224");
  const Result<ImportResult> given = import(model, Shapes{{"a", {2, 3}}});
  ASSERT_TRUE(given.ok()) << given.error().to_string();
  EXPECT_EQ(given->fixed_inputs, (Shapes{{"a", {2, 3}}}));
  EXPECT_EQ(error_of(model, {{"a", {2, -3}}}).code(), ErrorCode::kInvalidArgument);
}

TEST_F(ImportModel, EveryUnsupportedOperatorIsListed) {
  ModelBuilder model(7);
  model.domain("com.example", 3).input("x", DType::kF32, {1, 2, 2});
  const Attr size{"size", std::int64_t{3}};
  model.node("Neg", {"x"}, {"a"}).node("LRN", {"a"}, {"b"}, {size}).node("Fused", {"x"}, {"c"}, {}, "com.example");
  model.node("LRN", {"c"}, {"d"}, {size}).node("Max", {"x", "x"}, {"e"});
  model.node("Relu", {"b"}, {"f"});  // only its operand is missing
  model.node("Cast", {"x"}, {"g"}, {{"to", std::int64_t{8}}}).node("Neg", {"x"}, {"h"}, {}, "com.example");
  for (const char* name : {"f", "d", "e", "g", "h"}) model.output(name);
  const Error error = error_of(model);
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.message(),
            "5 operators are not supported:"
            "\n  Cast@7 (1 node, first \"node_6\"): Cast: a cast to string"
            "\n  LRN@7 (2 nodes, first \"node_1\"): no import"
            "\n  Max@7 (1 node, first \"node_4\"): not before opset 8"
            "\n  com.example::Fused@3 (1 node, first \"node_2\"): no import"
            "\n  com.example::Neg@3 (1 node, first \"node_7\"): no import");
  ModelBuilder one(13);
  one.input("x", DType::kF32, {2}).node("Hardmax", {"x"}, {"y"}).output("y");
  EXPECT_EQ(error_of(one).message().substr(0, 31), "an operator is not supported:\n ");
}

TEST_F(ImportModel, OldModelsAreRefused) {
  ModelBuilder model(6);
  model.input("x", DType::kF32, {2}).node("Neg", {"x"}, {"y"}).output("y");
  const Error error = error_of(model);
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.message(), "the model uses opset 6, the oldest that is read is 7");
}

TEST_F(ImportModel, TheDefaultDomainHasTwoNames) {
  ModelBuilder model(13, "ai.onnx");
  model.input("x", DType::kF32, {2}).node("Neg", {"x"}, {"y"}, {}, "ai.onnx").output("y");
  const Result<ImportResult> result = import(model);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->opset, 13);
  EXPECT_EQ(result->operator_counts, (std::map<std::string, std::uint64_t>{{"Neg", 1}}));
}

TEST_F(ImportModel, NamesAreDefinedOnceAndBeforeUse) {
  const HostTensor w = f32_tensor({2}, std::vector<float>{1, 2});
  const auto expect_malformed = [&](const std::string& what, const std::function<void(ModelBuilder&)>& edit, const std::string& name) {
    ModelBuilder model(13);
    model.input("x", DType::kF32, {2}).initializer("w", w).node("Add", {"x", "w"}, {"y"});
    edit(model);
    model.output("y");
    const Error error = error_of(model);
    EXPECT_EQ(error.code(), ErrorCode::kMalformedInput) << what << ": " << error.to_string();
    EXPECT_NE(error.message().find(name), std::string::npos) << what << ": " << error.message();
  };
  expect_malformed("undefined", [](ModelBuilder& m) { m.node("Neg", {"nobody"}, {"z"}); }, "nobody");
  expect_malformed("used before", [](ModelBuilder& m) { m.node("Neg", {"b"}, {"a"}).node("Neg", {"x"}, {"b"}); }, "b");
  expect_malformed("itself", [](ModelBuilder& m) { m.node("Neg", {"z"}, {"z"}); }, "z");
  expect_malformed("two nodes", [](ModelBuilder& m) { m.node("Neg", {"x"}, {"y"}); }, "y");
  expect_malformed("a node and an input", [](ModelBuilder& m) { m.node("Neg", {"x"}, {"x"}); }, "x");
  expect_malformed("a node and an initializer", [](ModelBuilder& m) { m.node("Neg", {"x"}, {"w"}); }, "w");
  expect_malformed("two results of a node", [](ModelBuilder& m) { m.node("Split", {"x"}, {"z", "z"}); }, "z");
  expect_malformed("two inputs", [](ModelBuilder& m) { m.input("x", DType::kF32, {2}); }, "x");
  expect_malformed("two initializers", [&](ModelBuilder& m) { m.initializer("w", w); }, "w");
  expect_malformed("two outputs", [](ModelBuilder& m) { m.output("y"); }, "y");
  expect_malformed("an undefined output", [](ModelBuilder& m) { m.output("nobody"); }, "nobody");
  ModelBuilder none(13);
  none.input("x", DType::kF32, {2}).node("Neg", {"x"}, {"y"});
  EXPECT_EQ(error_of(none).code(), ErrorCode::kMalformedInput);
}

TEST_F(ImportModel, AnErrorNamesTheNode) {
  ModelBuilder model(13);
  model.input("x", DType::kF32, {2}).node("Neg", {"x"}, {"y"}).node("Softmax", {"y"}, {"z"}, {{"axis", std::int64_t{4}}}).output("z");
  const Error error = error_of(model);
  EXPECT_EQ(error.code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(error.location().node, "node_1");
  EXPECT_EQ(error.location().graph, "g");
  EXPECT_EQ(error.location().file, (folder_ / "m.onnx").string());
}

TEST_F(ImportModel, BordersMayBeInitializersAndInputs) {
  const HostTensor w = f32_tensor({2}, std::vector<float>{1, 2});
  ModelBuilder model(13);
  model.input("w", DType::kF32, {2}).input("x", DType::kF32, {2});  // older files list their initializers
  model.initializer("w", w).initializer("unused", w).node("Add", {"x", "w"}, {"y"});
  for (const char* name : {"x", "w", "y"}) model.output(name);
  const Result<ImportResult> result = import(model);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  ASSERT_EQ(result->graph.inputs().size(), 1U);
  EXPECT_EQ(result->graph.value(result->graph.inputs()[0]).name, "x");
  const std::vector<HostTensor> inputs{w};
  EXPECT_EQ(eval::evaluate(result->graph, inputs).value(), (std::vector<HostTensor>{w, w, f32_tensor({2}, std::vector<float>{2, 4})}));
}

TEST_F(ImportModel, FoldingKeepsToItsBudget) {
  ModelBuilder model(13);
  model.input("x", DType::kF32, {64}).initializer("w", f32_tensor({4}, std::vector<float>{1, 2, 3, 4}));
  model.initializer("shape", i64_tensor({2}, Ints{4, 4})).initializer("rows", i64_tensor({1}, Ints{64}));
  model.node("Neg", {"w"}, {"as large"}).node("Expand", {"w", "shape"}, {"larger"}).node("Neg", {"larger"}, {"behind"});
  model.node("ConstantOfShape", {"rows"}, {"repeated"}).node("Add", {"x", "repeated"}, {"sum"});
  for (const char* name : {"as large", "behind", "sum"}) model.output(name);
  const auto ops = [&](std::uint64_t budget) {
    ImportOptions options;
    options.fold_budget_bytes = budget;
    const Result<ImportResult> result = import(model, options);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().to_string());
    std::string out;
    for (const ir::NodeId id : result->graph.topological_order()) out += std::string(result->graph.node(id).op.name()) + " ";
    return out;
  };
  EXPECT_EQ(ops(0), "expand neg add ");
  EXPECT_EQ(ops(63), "expand neg add ");
  EXPECT_EQ(ops(64), "add ");
}

TEST_F(ImportModel, ASmallFileDoesNotFillTheMemory) {
  const auto repeated = [this](std::int64_t elements) {
    ModelBuilder huge(13);
    huge.initializer("shape", i64_tensor({1}, Ints{elements})).node("ConstantOfShape", {"shape"}, {"y"}).node("Neg", {"y"}, {"z"}).output("z");
    return import(huge);
  };
  const Result<ImportResult> lazy = repeated(std::int64_t{1} << 29);  // neither the constant nor its negation is ever in memory
  ASSERT_TRUE(lazy.ok()) << lazy.error().to_string();
  EXPECT_EQ(repeated(std::int64_t{1} << 40).error().code(), ErrorCode::kLimitReached);  // nor may it fill the disk
  EXPECT_EQ(lazy->graph.topological_order().size(), 1U);
  ModelBuilder doubling(13);  // 2^40 elements from 16
  doubling.initializer("c0", f32_tensor({16}, std::vector<float>(16, 1.0F)));
  for (int k = 0; k < 36; ++k) {
    const std::string c = "c" + std::to_string(k), n = "n" + std::to_string(k);
    doubling.node("Neg", {c}, {n}).node("Concat", {c, n}, {"c" + std::to_string(k + 1)}, {{"axis", std::int64_t{0}}});
  }
  doubling.output("c36");
  ImportOptions options;
  options.fold_budget_bytes = 1024;  // 256 times that, and 4 times the initializers, in all
  const Result<ImportResult> result = import(doubling, options);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kLimitReached);
  EXPECT_EQ(result.error().message(), "the graph computes constants of more than 262400 bytes");
}

TEST_F(ImportModel, WhatDependsOnTheInputsIsUnsupported) {
  const Arg shape = of(DType::kI64, {1}, {4}), number = of(DType::kI64, {}, {1});
  const std::vector<Out> one{{}};
  for (const Case& c : std::vector<Case>{{"Reshape", "shape", 13, {x({2, 2}), shape}, {}, one},
                                         {"Expand", "shape", 13, {x({1}), shape}, {}, one},
                                         {"Slice", "starts", 13, {x({2}), shape, list({1})}, {}, one},
                                         {"Slice", "steps", 13, {x({2}), list({0}), list({2}), list({0}), shape}, {}, one},
                                         {"Squeeze", "axes", 13, {x({1, 2}), shape}, {}, one},
                                         {"Unsqueeze", "axes", 13, {x({2}), shape}, {}, one},
                                         {"Split", "sizes", 13, {x({4}), shape}, {}, one},
                                         {"ReduceSum", "axes", 13, {x({2}), shape}, {}, one},
                                         {"ConstantOfShape", "shape", 13, {shape}, {}, one},
                                         {"Range", "limit", 13, {scalar(0, DType::kI64), number, scalar(1, DType::kI64)}, {}, one},
                                         {"Dropout", "training_mode", 13, {x({2}), scalar(0.5), of(DType::kBool, {}, {0})}, {}, one}}) {
    const Error error = error_of(c);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << c.op_type << ": " << error.to_string();
    EXPECT_NE(error.message().find("must be known at conversion"), std::string::npos) << error.message();
  }
}

TEST_F(ImportModel, FormsWithoutAnImportAreUnsupported) {
  const Arg c1 = constant(p({1})), image = x({1, 1, 4, 4});
  const Attr kernel{"kernel_shape", Ints{2, 2}}, on{"ceil_mode", std::int64_t{1}};
  const std::vector<Out> one{{}}, two{{}, {}};
  for (const Case& c : std::vector<Case>{
           {"Conv", "negative pads", 13, {image, constant(x({1, 1, 1, 1}))}, {{"pads", Ints{-1, 0, 0, 0}}}, one},
           {"MaxPool", "indices", 13, {image}, {kernel}, two},
           {"MaxPool", "dilations", 13, {image}, {kernel, {"dilations", Ints{2, 1}}}, one},
           {"MaxPool", "integers", 12, {i({1, 1, 2, 2}, DType::kI8)}, {kernel}, one},
           {"AveragePool", "ceil_mode and counted pads", 13, {image}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 0, 0}}, on, {"count_include_pad", std::int64_t{1}}}, one},
           {"Pad", "wrap", 19, {x({3}), list({1, 1})}, {{"mode", std::string("wrap")}}, one},
           {"Pad", "a long reflection", 13, {x({3}), list({3, 0})}, {{"mode", std::string("reflect")}}, one},
           {"Resize", "antialias", 18, {image, absent(), absent(), list({1, 1, 2, 2})}, {{"mode", std::string("linear")}, {"antialias", std::int64_t{1}}}, one},
           {"Resize", "channels", 13, {image, absent(), absent(), list({1, 2, 4, 4})}, {}, one},
           {"Resize", "by a region", 13, {image, absent(), absent(), list({1, 1, 2, 2})}, {{"coordinate_transformation_mode", std::string("tf_crop_and_resize")}}, one},
           {"Resize", "an aspect ratio", 18, {image, absent(), absent(), list({1, 1, 2, 3})}, {{"keep_aspect_ratio_policy", std::string("not_larger")}}, one},
           {"Dropout", "training", 13, {x({2}), scalar(0.5), scalar(1, DType::kBool)}, {}, one},
           {"BatchNormalization", "training", 14, {x({1, 1, 2}), c1, c1, c1, c1}, {{"training_mode", std::int64_t{1}}}, one},
           {"BatchNormalization", "spatial", 7, {x({1, 1, 2}), c1, c1, c1, c1}, {{"spatial", std::int64_t{0}}}, one},
           {"BatchNormalization", "outputs", 14, {x({1, 1, 2}), c1, c1, c1, c1}, {}, {{}, {}, {}}},
           {"BatchNormalization", "mixed types", 15, {x({1, 1, 2}, DType::kF16), constant(p({1}, DType::kF16)), constant(p({1}, DType::kF16)), c1, c1}, {}, one},
           {"LayerNormalization", "outputs", 17, {x({1, 1}), c1}, {}, two},
           {"ReduceL1", "an empty list that keeps", 18, {x({2}), list({})}, {{"noop_with_empty_axes", std::int64_t{1}}}, one},
           {"ReduceL2", "integers", 13, {i({2}, DType::kI32)}, {}, one},
           {"Gemm", "integers", 11, {i({2, 2}, DType::kI32), constant(i({2, 2}, DType::kI32))}, {}, one},
           {"Cast", "strings", 13, {x({2})}, {{"to", std::int64_t{8}}}, one},
           {"Constant", "strings", 13, {}, {{"value_string", std::string("s")}}, one},
           {"Constant", "nothing", 13, {}, {}, one},
           {"ConstantOfShape", "4 bits", 21, {list({3})}, {{"value", HostTensor{.dtype = DType::kI4, .shape = {1}, .bytes = {std::byte{1}}}}}, one},
           {"Range", "too many", 13, {scalar(0), scalar(1e30), scalar(1)}, {}, one}}) {
    const Error error = error_of(c);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << c.op_type << ": " << c.what << ": " << error.to_string();
  }
}

TEST_F(ImportModel, HostileAttributesGiveACode) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max(), kLeast = std::numeric_limits<std::int64_t>::min();
  const Arg image = x({1, 1, 4}), w = constant(x({1, 1, 2}));
  const Attr kernel{"kernel_shape", Ints{2}}, same{"auto_pad", std::string("SAME_UPPER")}, ceil{"ceil_mode", std::int64_t{1}};
  const std::vector<Out> one{{}}, two{{}, {}};
  std::vector<Case> cases{
      {"Conv", "stride", 13, {image, w}, {{"strides", Ints{0}}}, one},
      {"Conv", "stride", 13, {image, w}, {{"strides", Ints{kMost}}, same}, one},
      {"Conv", "dilation", 13, {image, w}, {{"dilations", Ints{kMost}}, same}, one},
      {"Conv", "pads", 13, {image, w}, {{"pads", Ints{kMost, kMost}}}, one},
      {"Conv", "pads", 13, {image, w}, {{"pads", Ints{1}}}, one},
      {"Conv", "groups", 13, {image, w}, {{"group", std::int64_t{0}}}, one},
      {"Conv", "groups", 13, {image, w}, {{"group", kMost}}, one},
      {"Conv", "kernel_shape", 13, {image, w}, {{"kernel_shape", Ints{3}}}, one},
      {"Conv", "auto_pad", 13, {image, w}, {{"auto_pad", std::string("SOME")}}, one},
      {"Conv", "ranks", 13, {x({4}), w}, {}, one},
      {"MaxPool", "no kernel", 13, {image}, {}, one},
      {"MaxPool", "kernel", 13, {image}, {{"kernel_shape", Ints{kMost}}, ceil}, one},
      {"MaxPool", "kernel", 13, {image}, {{"kernel_shape", Ints{5}}, ceil}, one},
      {"MaxPool", "stride", 13, {image}, {kernel, {"strides", Ints{kMost}}, ceil}, one},
      {"MaxPool", "pads", 13, {image}, {kernel, {"pads", Ints{kMost, kMost}}, ceil}, one},
      {"MaxPool", "pads", 13, {image}, {kernel, {"pads", Ints{2, 0}}}, one},
      {"Softmax", "axis", 13, {x({2})}, {{"axis", kMost}}, one},
      {"Softmax", "axis", 11, {x({2})}, {{"axis", kLeast}}, one},
      {"Flatten", "axis", 13, {x({2})}, {{"axis", kLeast}}, one},
      {"Concat", "no axis", 13, {x({2}), x({2})}, {}, one},
      {"Concat", "no operands", 13, {}, {{"axis", std::int64_t{0}}}, one},
      {"Split", "sizes", 13, {x({4}), list({kMost, kMost})}, {}, two},
      {"Split", "count", 13, {x({4}), list({4})}, {}, two},
      {"Split", "unequal", 13, {x({5})}, {}, two},
      {"Slice", "step 0", 13, {x({4}), list({0}), list({4}), list({0}), list({0})}, {}, one},
      {"Slice", "a step of -2^63", 13, {x({4}), list({0}), list({4}), list({0}), list({kLeast})}, {}, one},
      {"Slice", "lengths", 13, {x({4}), list({0, 1}), list({4})}, {}, one},
      {"Slice", "no bounds", 13, {x({4})}, {}, one},
      {"Slice", "axes", 13, {x({4}), list({0}), list({4}), list({1})}, {}, one},
      {"Squeeze", "extent", 13, {x({2, 1}), list({0})}, {}, one},
      {"Squeeze", "twice", 13, {x({1, 1}), list({0, -2})}, {}, one},
      {"Unsqueeze", "no axes", 13, {x({2})}, {}, one},
      {"Unsqueeze", "axes", 13, {x({2}), list({kMost})}, {}, one},
      {"Transpose", "perm", 13, {x({2, 2})}, {{"perm", Ints{0, 0}}}, one},
      {"Transpose", "perm", 13, {x({2, 2})}, {{"perm", Ints{-1, 0}}}, one},
      {"Reshape", "count", 13, {x({2, 2}), list({3})}, {}, one},
      {"Reshape", "0 beyond the rank", 13, {x({4}), list({4, 0})}, {}, one},
      {"Reshape", "allowzero", 14, {x({4}), list({0, 4})}, {{"allowzero", std::int64_t{1}}}, one},
      {"Reshape", "extents", 13, {x({4}), list({kMost, kMost, kMost})}, {}, one},
      {"Reshape", "floats", 13, {x({4}), constant(x({1}))}, {}, one},
      {"Reshape", "rank of the shape", 13, {x({4}), constant(of(DType::kI64, {1, 1}, {4}))}, {}, one},
      {"Expand", "shapes", 13, {x({2}), list({3})}, {}, one},
      {"Gather", "index", 13, {constant(x({2})), list({2})}, {}, one},
      {"Gather", "floats", 13, {x({2}), x({1})}, {}, one},
      {"GatherND", "tuples", 13, {x({2, 2}), list({0, 0, 0})}, {}, one},
      {"GatherND", "batch_dims", 13, {x({2, 2}), list({0})}, {{"batch_dims", kMost}}, one},
      {"ConstantOfShape", "extent", 13, {list({-1})}, {}, one},
      {"ConstantOfShape", "extents", 13, {list({kMost, kMost})}, {}, one},
      {"ConstantOfShape", "value", 13, {list({2})}, {{"value", x({2}).tensor}}, one},
      {"Range", "step 0", 13, {scalar(0), scalar(1), scalar(0)}, {}, one},
      {"Div", "by zero", 13, {scalar(1, DType::kI64), scalar(0, DType::kI64)}, {}, one},
      {"Add", "types", 13, {x({2}), i({2})}, {}, one},
      {"Add", "shapes", 13, {x({2}), x({3})}, {}, one},
      {"Add", "one operand", 13, {x({2})}, {}, one},
      {"Add", "an absent operand", 13, {x({2}), absent()}, {}, one},
      {"Relu", "two results", 13, {x({2})}, {}, two},
      {"Gelu", "approximate", 20, {x({2})}, {{"approximate", std::string("half")}}, one},
      {"Clip", "bounds", 13, {x({2}), constant(x({2}))}, {}, one},
      {"MatMul", "inner", 13, {x({2, 3}), x({2, 3})}, {}, one},
      {"MatMul", "scalars", 13, {of(DType::kF32, {}, {1}), x({2})}, {}, one},
      {"Gemm", "rank", 13, {x({2}), constant(x({2, 2}))}, {}, one},
      {"Gemm", "the bias", 13, {x({2, 2}), constant(x({2, 2})), constant(x({3}))}, {}, one},
      {"ReduceSum", "axes", 13, {x({2}), list({5})}, {}, one},
      {"ReduceMean", "twice", 13, {x({2})}, {{"axes", Ints{0, -1}}}, one},
      {"LayerNormalization", "scale", 17, {x({2, 3}), constant(p({2}))}, {}, one},
      {"GlobalAveragePool", "rank", 13, {x({2, 2})}, {}, one},
      {"Where", "condition", 13, {x({2}), x({2}), x({2})}, {}, one}};
  for (const Case& c : cases) {
    const Error error = error_of(c);
    const int status = exit_status(error.code());
    EXPECT_TRUE(status == 4 || error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kLimitReached) << c.op_type << ": " << c.what << ": " << error.to_string();
  }
  ModelBuilder wide(11);  // the rows of a matrix that do not fit in 64 bits
  wide.input("x", DType::kF32, {kMost, kMost, 2, 2}).node("Softmax", {"x"}, {"y"}, {{"axis", std::int64_t{2}}}).output("y");
  EXPECT_NE(error_of(wide).code(), ErrorCode::kInternal);
  ModelBuilder large(13);
  large.input("x", DType::kF32, {1, 1, kMost}).initializer("w", x({1, 1, 2}).tensor).node("Conv", {"x", "w"}, {"y"}, {same}).output("y");
  EXPECT_NE(error_of(large).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace smelt::onnx_format
