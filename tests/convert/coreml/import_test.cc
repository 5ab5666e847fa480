#include "convert/coreml/import.h"

#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "convert/coreml/lowering.h"
#include "convert/coreml/package.h"
#include "convert/coreml/weight_blob.h"
#include "eval/evaluate.h"
#include "temp_folder.h"

namespace smelt::coreml_format {
namespace {

namespace fs = std::filesystem;
using Ints = std::vector<std::int64_t>;

constexpr const char* kWeights = "@model_path/weights/weight.bin";
constexpr std::int64_t kHuge = std::int64_t{1} << 62;

MilType type_of(MilDataType dtype, const Ints& extents) {
  return {.dtype = dtype, .dims = {extents.begin(), extents.end()}};
}
MilType f32(const Ints& extents) { return type_of(MilDataType::kFloat32, extents); }

MilValue floats(const Ints& extents, const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {.type = f32(extents), .data = std::vector<std::byte>(bytes.begin(), bytes.end())};
}
MilValue ints(const Ints& values) { return ints_value(values); }
MilValue blob(MilType type, std::uint64_t offset) { return {.type = std::move(type), .data = BlobReference{.file_name = kWeights, .offset = offset}}; }

MilOperation constant(const std::string& name, MilValue value) {
  MilOperation operation{.type = "const", .inputs = {}, .outputs = {{name, value.type}}, .blocks = {}, .attributes = {}};
  operation.attributes.emplace("val", std::move(value));
  return operation;
}

MilOperation operation(const std::string& type, std::map<std::string, std::vector<MilBinding>> inputs, std::vector<MilNamedType> outputs) {
  return {.type = type, .inputs = std::move(inputs), .outputs = std::move(outputs), .blocks = {}, .attributes = {}};
}
std::vector<MilBinding> named(const std::string& name) { return {MilBinding(name)}; }
std::vector<MilBinding> given(MilValue value) { return {MilBinding(std::move(value))}; }

/// x[2, 3] times w[4, 3] (12 floats of the weight file, at 64) plus b[4], relu: y[2, 4]. Operations: w, b, linear, relu.
MilModel sound_model() {
  MilFunction function{.inputs = {{"x", f32({2, 3})}}, .opset = "CoreML7", .block = {}};
  std::vector<MilOperation>& operations = function.block.operations;
  operations.push_back(constant("w", blob(f32({4, 3}), 64)));
  operations.push_back(constant("b", floats({4}, {1, 2, 3, 4})));
  operations.push_back(operation("linear", {{"x", named("x")}, {"weight", named("w")}, {"bias", named("b")}}, {{"h", f32({2, 4})}}));
  operations.push_back(operation("relu", {{"x", named("h")}}, {{"y", f32({2, 4})}}));
  function.block.outputs = {"y"};
  MilModel model{.specification_version = 8, .inputs = {}, .outputs = {}, .user_defined = {}, .functions = {}};
  model.inputs.push_back({.name = "x", .dtype = MilDataType::kFloat32, .shape = Ints{2, 3}});
  model.outputs.push_back({.name = "y", .dtype = MilDataType::kFloat32, .shape = Ints{2, 4}});
  model.functions.emplace("main", std::move(function));
  return model;
}

std::vector<MilOperation>& operations_of(MilModel& model) { return model.functions.at("main").block.operations; }

class Import : public TempFolderTest {
 protected:
  [[nodiscard]] bool leaves_packages() const override { return false; }

  /// The model as a package with a weight file of one record: `count` ones of `type`.
  Result<ImportResult> import(const MilModel& model, BlobDataType type = BlobDataType::kFloat32, std::uint64_t count = 12) {
    const Status status = write(model, type, count);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().to_string());
    return import_package(path());
  }

  Error error_of(const MilModel& model, BlobDataType type = BlobDataType::kFloat32, std::uint64_t count = 12) {
    const Result<ImportResult> result = import(model, type, count);
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error(ErrorCode::kInternal, "accepted") : result.error();
  }

  using Edit = std::function<void(MilModel&)>;
  void expect_code(ErrorCode code, const std::vector<std::pair<std::string, Edit>>& edits) {
    for (const auto& [what, edit] : edits) {
      MilModel model = sound_model();
      edit(model);
      const Error error = error_of(model);
      EXPECT_EQ(error.code(), code) << what << ": " << error.to_string();
    }
  }

  /// The code for an operation on x[2, 3] in place of the others, whose result is declared as y[2, 3].
  Result<ImportResult> import_operation(const std::string& type, std::map<std::string, std::vector<MilBinding>> inputs, const Ints& result = {2, 3},
                                        const std::map<std::string, MilValue>& attributes = {}) {
    MilModel model = sound_model();
    if (!attributes.contains("val") && !inputs.contains("x") && !inputs.contains("values") && attributes.empty()) inputs["x"] = named("x");
    MilOperation one = operation(type, std::move(inputs), {{"y", f32(result)}});
    one.attributes = attributes;
    operations_of(model) = {constant("t", {.type = {.dtype = MilDataType::kString, .dims = {}}, .data = std::vector<std::string>{"text"}}), std::move(one)};
    model.outputs[0].shape = result;
    return import(model);
  }

  [[nodiscard]] fs::path path() const { return folder_ / "m.mlpackage"; }

 private:
  /// The first model with a weight file makes the package; the next ones take its place.
  Status write(const MilModel& model, BlobDataType type, std::uint64_t count) {
    SMELT_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, encode_model(model));
    if (written_ == std::pair(type, count)) {
      std::ofstream file(path() / "Data/com.apple.CoreML/model.mlmodel", std::ios::binary | std::ios::trunc);
      for (const std::byte byte : bytes) file.put(static_cast<char>(byte));
      return {};
    }
    written_ = {type, count};
    SMELT_ASSIGN_OR_RETURN(PackageWriter writer, PackageWriter::create(path(), PackageWriter::IfExists::kReplace));
    BlobLayout layout;
    SMELT_ASSIGN_OR_RETURN(const std::uint64_t offset, layout.add(type, count));
    EXPECT_EQ(offset, 64U);
    std::vector<std::byte> data(layout.records()[0].size);
    for (std::size_t k = 0; type == BlobDataType::kFloat32 && k < data.size(); k += 4) {
      const float one = 1;
      std::memcpy(data.data() + k, &one, 4);
    }
    const BytesRef source = owned_bytes(std::move(data));
    const auto fill = [&](const PackageWriter::SinkAt& sink) -> Status {
      const BlobWriter blobs(layout, sink);
      SMELT_RETURN_IF_ERROR(blobs.start());
      return blobs.write(0, *source, {});
    };
    SMELT_RETURN_IF_ERROR(writer.write_weights(layout.file_size(), fill));
    SMELT_RETURN_IF_ERROR(writer.write_model(bytes));
    return writer.commit();
  }

  std::pair<BlobDataType, std::uint64_t> written_{BlobDataType::kFloat32, 0};
};

TEST_F(Import, ASoundModelComesIn) {
  const Result<ImportResult> result = import(sound_model());
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->target, Target::kIos17);
  EXPECT_EQ(result->operation_counts, (std::map<std::string, std::uint64_t>{{"linear", 1}, {"relu", 1}}));
  const std::vector<HostTensor> inputs{f32_tensor({2, 3}, std::vector<float>{1, 1, 1, -2, -2, -2})};
  const Result<std::vector<HostTensor>> outputs = eval::evaluate(result->graph, inputs);
  ASSERT_TRUE(outputs.ok());
  EXPECT_EQ(outputs->front(), f32_tensor({2, 4}, std::vector<float>{4, 5, 6, 7, 0, 0, 0, 0}));
}

TEST_F(Import, DeclaredTypesMustBeTheInferredOnes) {
  expect_code(ErrorCode::kMalformedInput,
              {{"dtype", [](MilModel& m) { operations_of(m)[2].outputs[0].type.dtype = MilDataType::kFloat16; }},
               {"int64", [](MilModel& m) { operations_of(m)[2].outputs[0].type.dtype = MilDataType::kInt64; }},
               {"extent", [](MilModel& m) { operations_of(m)[2].outputs[0].type = f32({2, 5}); }},
               {"rank", [](MilModel& m) { operations_of(m)[2].outputs[0].type = f32({2, 4, 1}); }},
               {"one result too many", [](MilModel& m) { operations_of(m)[3].outputs.push_back({"z", f32({2, 4})}); }},
               {"no result", [](MilModel& m) { operations_of(m)[3].outputs.clear(); }},
               {"an operand that does not fit", [](MilModel& m) { operations_of(m)[1] = constant("b", floats({3}, {1, 2, 3})); }}});
  MilModel open = sound_model();
  operations_of(open)[2].outputs[0].type.dims[0] = std::nullopt;  // an unknown extent agrees with any
  EXPECT_TRUE(import(open).ok());
}

TEST_F(Import, EveryOperandMustBeDefinedBefore) {
  expect_code(ErrorCode::kMalformedInput, {{"nobody", [](MilModel& m) { operations_of(m)[3].inputs["x"] = named("nobody"); }},
                                           {"empty", [](MilModel& m) { operations_of(m)[3].inputs["x"] = named(""); }},
                                           {"itself", [](MilModel& m) { operations_of(m)[3].inputs["x"] = named("y"); }},
                                           {"later", [](MilModel& m) { std::swap(operations_of(m)[2], operations_of(m)[3]); }},
                                           {"a constant later", [](MilModel& m) { std::swap(operations_of(m)[1], operations_of(m)[2]); }},
                                           {"absent", [](MilModel& m) { operations_of(m)[2].inputs.erase("weight"); }},
                                           {"two of them", [](MilModel& m) { operations_of(m)[3].inputs["x"].emplace_back("h"); }},
                                           {"none of them", [](MilModel& m) { operations_of(m)[3].inputs["x"].clear(); }}});
  MilModel model = sound_model();
  operations_of(model)[3].inputs["x"] = named("nobody");
  const Error error = error_of(model);
  EXPECT_EQ(error.location().node, "y");
  EXPECT_EQ(error.location().file, (fs::canonical(path()) / "Data/com.apple.CoreML/model.mlmodel").string());
}

TEST_F(Import, ANameIsDefinedOnce) {
  expect_code(ErrorCode::kMalformedInput,
              {{"two results", [](MilModel& m) { operations_of(m)[3].outputs[0].name = "h"; }},
               {"a result and an input", [](MilModel& m) { operations_of(m)[2].outputs[0].name = "x"; }},
               {"a result and a used constant", [](MilModel& m) { operations_of(m)[2].outputs[0].name = "w"; }},
               {"a result and an unused constant", [](MilModel& m) { operations_of(m).insert(operations_of(m).begin(), constant("h", floats({1}, {1}))); }},
               {"two constants", [](MilModel& m) { operations_of(m)[1].outputs[0].name = "w"; }},
               {"a constant and an input", [](MilModel& m) { operations_of(m)[1].outputs[0].name = "x"; }},
               {"two inputs", [](MilModel& m) {
                  m.functions.at("main").inputs.push_back({"x", f32({2, 3})});
                  m.inputs.push_back(m.inputs[0]);
                }},
               {"two outputs", [](MilModel& m) {
                  m.outputs.push_back(m.outputs[0]);
                  m.functions.at("main").block.outputs = {"y", "h"};
                }}});
}

TEST_F(Import, UnknownOperationsAreAllListed) {
  MilModel model = sound_model();
  operations_of(model)[2].type = "einsum";
  operations_of(model).push_back(operation("topk", {{"x", named("y")}}, {{"z", f32({2, 4})}}));
  operations_of(model).push_back(operation("topk", {{"x", named("nobody")}}, {{"z2", f32({2, 4})}}));
  MilOperation branch = operation("relu", {{"x", named("h")}}, {{"z3", f32({2, 4})}});
  branch.blocks.emplace_back();
  operations_of(model).push_back(branch);
  const Error error = error_of(model);
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.message(), "operations that smelt does not read yet: einsum (1) relu (1) topk (2)");
}

TEST_F(Import, WeightReferencesAreChecked) {
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{65}, std::uint64_t{128}, std::uint64_t{192}, std::uint64_t{1} << 40,
                                     std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 63}) {
    MilModel model = sound_model();
    operations_of(model)[0] = constant("w", blob(f32({4, 3}), offset));
    EXPECT_EQ(exit_status(error_of(model).code()), 4) << offset;
  }
  for (const auto& [file, code] : std::vector<std::pair<std::string, ErrorCode>>{{"@model_path/weights/none.bin", ErrorCode::kReadFailed},
                                                                                 {"@model_path/../../../secret", ErrorCode::kUnsafePath},
                                                                                 {"/etc/passwd", ErrorCode::kUnsafePath}}) {
    MilModel model = sound_model();
    operations_of(model)[0] = constant("w", {.type = f32({4, 3}), .data = BlobReference{.file_name = file, .offset = 64}});
    EXPECT_EQ(error_of(model).code(), code) << file;
  }
}

TEST_F(Import, WeightsAreOfTheTypeThatTheProgramWants) {
  EXPECT_EQ(error_of(sound_model(), BlobDataType::kFloat16, 24).code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(error_of(sound_model(), BlobDataType::kInt8, 48).code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(error_of(sound_model(), BlobDataType::kInt32, 12).code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(error_of(sound_model(), BlobDataType::kFloat32, 11).code(), ErrorCode::kMalformedInput);
  EXPECT_EQ(error_of(sound_model(), BlobDataType::kFloat32, 13).code(), ErrorCode::kMalformedInput);
  expect_code(ErrorCode::kMalformedInput,
              {{"more elements", [](MilModel& m) { operations_of(m)[0] = constant("w", blob(f32({4, 4}), 64)); }},
               {"another dtype", [](MilModel& m) { operations_of(m)[0] = constant("w", blob(type_of(MilDataType::kFloat16, {4, 6}), 64)); }},
               {"no elements", [](MilModel& m) { operations_of(m)[0] = constant("w", blob(f32({4, 0}), 64)); }}});
  expect_code(ErrorCode::kUnsupported, {{"int64", [](MilModel& m) { operations_of(m)[0] = constant("w", blob(type_of(MilDataType::kInt64, {6}), 64)); }},
                                        {"int4", [](MilModel& m) { operations_of(m)[0] = constant("w", blob(type_of(MilDataType::kInt4, {96}), 64)); }}});
}

TEST_F(Import, ATruncatedWeightFileIsRefused) {
  ASSERT_TRUE(import(sound_model()).ok());
  const fs::path file = path() / "Data/com.apple.CoreML/weights/weight.bin";
  for (const std::uintmax_t size : {std::uintmax_t{175}, std::uintmax_t{128}, std::uintmax_t{100}, std::uintmax_t{64}, std::uintmax_t{10}, std::uintmax_t{0}}) {
    fs::resize_file(file, size);
    const Result<ImportResult> result = import_package(path());
    ASSERT_FALSE(result.ok()) << size;
    EXPECT_EQ(exit_status(result.error().code()), 4) << size << ": " << result.error().to_string();
  }
}

TEST_F(Import, TheDescriptionMustAgreeWithTheProgram) {
  expect_code(
      ErrorCode::kMalformedInput,
      {{"no inputs", [](MilModel& m) { m.inputs.clear(); }},
       {"one input too many", [](MilModel& m) { m.inputs.push_back({.name = "z", .dtype = MilDataType::kFloat32, .shape = Ints{1}}); }},
       {"another input", [](MilModel& m) { m.inputs[0].name = "z"; }},
       {"the input's dtype", [](MilModel& m) { m.inputs[0].dtype = MilDataType::kInt32; }},
       {"the input's extent", [](MilModel& m) { m.inputs[0].shape = Ints{2, 4}; }},
       {"the input's rank", [](MilModel& m) { m.inputs[0].shape = Ints{6}; }},
       {"no outputs", [](MilModel& m) { m.outputs.clear(); }},
       {"one output too many", [](MilModel& m) { m.outputs.push_back({.name = "h", .dtype = MilDataType::kFloat32, .shape = Ints{2, 4}}); }},
       {"another output", [](MilModel& m) { m.outputs[0].name = "h"; }},
       {"the output's dtype", [](MilModel& m) { m.outputs[0].dtype = MilDataType::kFloat16; }},
       {"the output's shape", [](MilModel& m) { m.outputs[0].shape = Ints{4, 2}; }},
       {"the program gives no output", [](MilModel& m) { m.functions.at("main").block.outputs.clear(); }},
       {"the program gives another", [](MilModel& m) { m.functions.at("main").block.outputs = {"h"}; }},
       {"nothing computes it", [](MilModel& m) { operations_of(m).pop_back(); }},
       {"two functions", [](MilModel& m) { m.functions.emplace("other", m.functions.at("main")); }},
       {"a constant without a value", [](MilModel& m) { operations_of(m)[1].attributes.clear(); }},
       {"a constant of another type", [](MilModel& m) { operations_of(m)[1].outputs[0].type = f32({2, 2}); }},
       {"a constant of two results", [](MilModel& m) { operations_of(m)[1].outputs.push_back({"c", f32({4})}); }}});
  expect_code(ErrorCode::kUnsupported, {{"another opset", [](MilModel& m) { m.functions.at("main").opset = "CoreML4"; }},
                                        {"a flexible input", [](MilModel& m) { m.functions.at("main").inputs[0].type.dims[0] = std::nullopt; }},
                                        {"an int64 input", [](MilModel& m) { m.functions.at("main").inputs[0].type.dtype = MilDataType::kInt64; }}});
}

TEST_F(Import, AnOutputMayBeAnInputOrAConstant) {
  MilModel model = sound_model();
  operations_of(model).push_back(constant("unused", floats({2}, {1, 2})));
  model.functions.at("main").block.outputs = {"x", "w", "b", "unused", "y"};
  model.outputs = {{.name = "x", .dtype = MilDataType::kFloat32, .shape = Ints{2, 3}},
                   {.name = "b", .dtype = MilDataType::kFloat32, .shape = std::nullopt},
                   {.name = "w", .dtype = MilDataType::kFloat32, .shape = Ints{4, 3}},
                   {.name = "unused", .dtype = MilDataType::kFloat32, .shape = Ints{2}},
                   {.name = "y", .dtype = MilDataType::kFloat32, .shape = Ints{2, 4}}};
  const Result<ImportResult> result = import(model);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  std::vector<std::string> names;
  for (const ir::GraphOutput& output : result->graph.outputs()) names.push_back(output.name);
  EXPECT_EQ(names, (std::vector<std::string>{"x", "b", "w", "unused", "y"}));
}

/// What Apple's converter writes and smelt does not: parameters in place, left out, counted from the end.
TEST_F(Import, OtherWritersFormsComeIn) {
  const auto expect_ok = [&](const std::string& what, const Result<ImportResult>& result) {
    EXPECT_TRUE(result.ok()) << what << ": " << (result.ok() ? "" : result.error().to_string());
  };
  expect_ok("axes left out", import_operation("reduce_sum", {{"keep_dims", given(bool_value(false))}}, {}));
  expect_ok("keep_dims left out", import_operation("reduce_sum", {{"axes", given(ints({-1}))}}, {2}));
  expect_ok("a negative axis", import_operation("softmax", {{"axis", given(int_value(-1))}}));
  expect_ok("a negative permutation", import_operation("transpose", {{"perm", given(ints({-1, 0}))}}, {3, 2}));
  expect_ok("negative axes in any order", import_operation("expand_dims", {{"axes", given(ints({-1, 0}))}}, {1, 2, 3, 1}));
  expect_ok("slice masks left out", import_operation("slice_by_index", {{"begin", given(ints({0, -2}))}, {"end", given(ints({2, 3}))}}, {2, 2}));
  expect_ok("slice masks", import_operation("slice_by_index",
                                            {{"begin", given(ints({1, 0}))}, {"end", given(ints({0, 0}))}, {"stride", given(ints({1, -1}))},
                                             {"begin_mask", given(bools_value({false, true}))}, {"end_mask", given(bools_value({false, true}))},
                                             {"squeeze_mask", given(bools_value({true, false}))}},
                                            {3}));
  expect_ok("interleave left out", import_operation("concat", {{"values", {MilBinding("x"), MilBinding("x")}}, {"axis", given(int_value(-1))}}, {2, 6}));
  expect_ok("the rest", import_operation("reshape", {{"shape", given(ints({-1}))}}, {6}));
  expect_ok("an operand in place", import_operation("add", {{"x", named("x")}, {"y", given(floats({3}, {1, 2, 3}))}}));
  expect_ok("attributes", import_operation("softmax", {{"x", named("x")}}, {2, 3}, {{"axis", int_value(0)}}));
}

TEST_F(Import, WhatSmeltDoesNotReadIsUnsupported) {
  const auto code = [](const Result<ImportResult>& result) { return result.ok() ? std::optional<ErrorCode>() : result.error().code(); };
  EXPECT_EQ(code(import_operation("log", {{"epsilon", given(floats({}, {1e-3F}))}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("gelu", {{"mode", given(string_value("SIGMOID_APPROXIMATION"))}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("cast", {{"dtype", given(string_value("int64"))}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("softmax", {{"axis", named("x")}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("add", {{"x", named("x")}, {"y", named("t")}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("tile", {{"reps", given(ints({2, 1}))}}, {4, 3})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("reshape", {{"shape", given(ints({0, 3}))}})), ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("concat", {{"values", named("x")}, {"axis", given(int_value(0))}, {"interleave", given(bool_value(true))}})),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code(import_operation("layer_norm", {{"axes", given(ints({0}))}, {"epsilon", given(floats({}, {1e-3F}))}})), ErrorCode::kUnsupported);
  const auto affine = [&](MilValue data, MilValue scale, std::int32_t zero_point) {
    return code(import_operation("constexpr_affine_dequantize", {}, {2, 3},
                                 {{"quantized_data", std::move(data)}, {"scale", std::move(scale)}, {"axis", int_value(0)}, {"zero_point", int_value(zero_point)}}));
  };
  const MilValue signed_codes{.type = type_of(MilDataType::kInt8, {2, 3}), .data = std::vector<std::byte>(6)};
  const MilValue unsigned_codes{.type = type_of(MilDataType::kUInt8, {2, 3}), .data = std::vector<std::byte>(6)};
  EXPECT_EQ(affine(signed_codes, floats({2}, {1, 2}), 0), std::nullopt);
  EXPECT_EQ(affine(signed_codes, floats({2}, {1, 2}), 3), ErrorCode::kUnsupported);
  EXPECT_EQ(affine(unsigned_codes, floats({2}, {1, 2}), 0), ErrorCode::kUnsupported);
}

TEST_F(Import, HostileParametersAreMalformed) {
  const auto expect_malformed = [&](const std::string& what, const Result<ImportResult>& result) {
    EXPECT_TRUE(!result.ok() && result.error().code() == ErrorCode::kMalformedInput) << what << ": " << (result.ok() ? "accepted" : result.error().to_string());
  };
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max(), kLeast = std::numeric_limits<std::int32_t>::min();
  expect_malformed("axis", import_operation("softmax", {{"axis", given(int_value(2))}}));
  expect_malformed("axis", import_operation("softmax", {{"axis", given(int_value(static_cast<std::int32_t>(kLeast)))}}));
  expect_malformed("axis of floats", import_operation("softmax", {{"axis", given(floats({}, {1}))}}));
  expect_malformed("two axes", import_operation("softmax", {{"axis", given(ints({0, 1}))}}));
  expect_malformed("perm", import_operation("transpose", {{"perm", given(ints({0, 0}))}}));
  expect_malformed("perm", import_operation("transpose", {{"perm", given(ints({kLeast, 0}))}}));
  expect_malformed("long perm", import_operation("transpose", {{"perm", given(ints({0, 1, 2, 3}))}}));
  expect_malformed("shape", import_operation("reshape", {{"shape", given(ints({-1, -1}))}}));
  expect_malformed("shape", import_operation("reshape", {{"shape", given(ints({kMost, kMost, kMost}))}}));
  expect_malformed("axes", import_operation("expand_dims", {{"axes", given(ints({7}))}}));
  expect_malformed("axes", import_operation("squeeze", {{"axes", given(ints({0, 0}))}}));
  expect_malformed("axes", import_operation("reduce_sum", {{"axes", given(ints({}))}}));
  expect_malformed("axes", import_operation("layer_norm", {{"axes", given(ints({}))}, {"epsilon", given(floats({}, {1e-3F}))}}));
  expect_malformed("axes", import_operation("layer_norm", {{"axes", given(ints({-3, -2, -1}))}, {"epsilon", given(floats({}, {1e-3F}))}}));
  expect_malformed("sizes", import_operation("split", {{"axis", given(int_value(0))}, {"split_sizes", given(ints({3, -1}))}}));
  expect_malformed("sizes", import_operation("split", {{"axis", given(int_value(-5))}, {"split_sizes", given(ints({2}))}}));
  expect_malformed("stride 0", import_operation("slice_by_index", {{"begin", given(ints({0, 0}))}, {"end", given(ints({2, 3}))}, {"stride", given(ints({0, 1}))}}));
  expect_malformed("begin", import_operation("slice_by_index", {{"begin", given(ints({kMost, kLeast}))}, {"end", given(ints({kMost, kLeast}))}}));
  expect_malformed("short begin", import_operation("slice_by_index", {{"begin", given(ints({0}))}, {"end", given(ints({2, 3}))}}));
  expect_malformed("squeeze", import_operation("slice_by_index", {{"begin", given(ints({kMost, 0}))}, {"end", given(ints({2, 3}))}, {"squeeze_mask", given(bools_value({true, false}))}}));
  expect_malformed("mask of ints", import_operation("slice_by_index", {{"begin", given(ints({0, 0}))}, {"end", given(ints({2, 3}))}, {"end_mask", given(ints({0, 0}))}}));
  expect_malformed("reps", import_operation("tile", {{"reps", given(ints({0, 1}))}}));
  expect_malformed("reps", import_operation("tile", {{"reps", given(ints({1}))}}));
  expect_malformed("gather", import_operation("gather", {{"indices", given(ints({0}))}, {"axis", given(int_value(2))}}));
  expect_malformed("gather of floats", import_operation("gather", {{"indices", named("x")}, {"axis", given(int_value(0))}}));
  expect_malformed("gather_nd", import_operation("gather_nd", {{"indices", given(ints({0, 1, 2}))}}));
  expect_malformed("batch_dims", import_operation("gather_nd", {{"indices", given(ints({0}))}, {"batch_dims", given(int_value(-1))}}));
  expect_malformed("no values", import_operation("concat", {{"values", {}}, {"axis", given(int_value(0))}}));
  expect_malformed("no axis", import_operation("concat", {{"values", named("x")}}));
  expect_malformed("mode of ints", import_operation("gelu", {{"mode", given(ints({1}))}}));
  expect_malformed("x alone", import_operation("matmul", {{"y", named("x")}, {"transpose_x", given(bool_value(false))}, {"transpose_y", given(bool_value(false))}}));
  const auto conv = [&](const Ints& strides, const Ints& pad, std::int32_t groups) {
    return import_operation("conv", {{"x", given(floats({1, 1, 2}, {1, 2}))}, {"weight", given(floats({1, 1, 1}, {1}))}, {"strides", given(ints(strides))},
                                     {"dilations", given(ints({1}))}, {"pad_type", given(string_value("custom"))}, {"pad", given(ints(pad))},
                                     {"groups", given(int_value(groups))}}, {1, 1, 2});
  };
  EXPECT_TRUE(conv({1}, {0, 0}, 1).ok());
  expect_malformed("strides", conv({0}, {0, 0}, 1));
  expect_malformed("strides", conv({}, {}, 1));
  expect_malformed("strides", conv({1, 1}, {0, 0, 0, 0}, 1));
  expect_malformed("pads", conv({1}, {0}, 1));
  expect_malformed("pads", conv({1}, {-1, 0}, 1));
  expect_malformed("groups", conv({1}, {0, 0}, 0));
  expect_malformed("groups", conv({1}, {0, 0}, 7));
  const MilValue codes{.type = type_of(MilDataType::kInt8, {2, 3}), .data = std::vector<std::byte>(6)};
  for (const Ints& shape : {Ints{0}, Ints{3}, Ints{kHuge, kHuge, 0}}) {
    expect_malformed("scales", import_operation("constexpr_affine_dequantize", {}, {2, 3},
                                                {{"quantized_data", codes}, {"scale", floats(shape, std::vector<float>(shape.size() == 1 ? static_cast<std::size_t>(shape[0]) : 0))},
                                                 {"axis", int_value(0)}, {"zero_point", int_value(0)}}));
  }
  expect_malformed("axis", import_operation("constexpr_affine_dequantize", {}, {2, 3},
                                            {{"quantized_data", codes}, {"scale", floats({2}, {1, 2})}, {"axis", int_value(-9)}, {"zero_point", int_value(0)}}));
  expect_malformed("rank of the scales", import_operation("constexpr_blockwise_shift_scale", {}, {2, 3}, {{"data", codes}, {"scale", floats({2}, {1, 2})}}));
}

/// Every byte of the model changed, and every length cut: a code, or a model; never a crash.
TEST_F(Import, NoBytesCrashTheImport) {
  ASSERT_TRUE(import(sound_model()).ok());
  const fs::path file = path() / "Data/com.apple.CoreML/model.mlmodel";
  std::ifstream in(file, std::ios::binary);
  const std::string sound((std::istreambuf_iterator<char>(in)), {});
  std::size_t accepted = 0;
  const auto try_bytes = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    const Result<ImportResult> result = import_package(path());
    if (result.ok()) ++accepted;
    if (!result.ok()) {
      EXPECT_NE(result.error().code(), ErrorCode::kInternal) << result.error().to_string();
    }
  };
  for (std::size_t k = 0; k < sound.size(); ++k) {
    try_bytes(sound.substr(0, k));
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string bytes = sound;
      bytes[k] = static_cast<char>(static_cast<unsigned char>(bytes[k]) ^ change);
      try_bytes(bytes);
    }
  }
  EXPECT_LT(accepted, sound.size());  // weights of b, and what is skipped
}

}  // namespace
}  // namespace smelt::coreml_format
