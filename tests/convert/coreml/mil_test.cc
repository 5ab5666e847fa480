#include "convert/coreml/mil.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "proto_bytes.h"

namespace smelt::coreml_format {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

std::string text_of(const Bytes& bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  return text;
}

Result<MilModel> decode(const std::string& bytes, const MilLimits& limits = {}) {
  return decode_model(std::as_bytes(std::span(bytes)), "model.mlmodel", limits);
}

std::string encode(const MilModel& model) {
  const Result<Bytes> bytes = encode_model(model);
  EXPECT_TRUE(bytes.ok()) << bytes.error().to_string();
  return bytes.ok() ? text_of(*bytes) : std::string();
}

ErrorCode code_of(const std::string& bytes, const MilLimits& limits = {}) {
  const Result<MilModel> model = decode(bytes, limits);
  EXPECT_FALSE(model.ok());
  return model.ok() ? ErrorCode::kInternal : model.error().code();
}

// For what the encoder never writes.
std::string message(std::uint64_t field, const std::string& body) { return block(field, body); }
std::string entry(const std::string& key, const std::string& value) { return message(1, key) + message(2, value); }

/// A model of one function whose block, for opset CoreML5, is `block`.
std::string model_with_block(const std::string& block) {
  const std::string function = message(2, "CoreML5") + message(3, entry("CoreML5", block));
  return number(1, 6) + message(2, "") + message(502, number(1, 1) + message(2, entry("main", function)));
}
/// A model with one const operation whose `val` is `value`.
std::string model_with_value(const std::string& value) {
  return model_with_block(message(3, message(1, "const") + message(5, entry("val", value))));
}
std::string tensor_type(MilDataType dtype, std::initializer_list<std::uint64_t> dims) {
  std::string body = number(1, static_cast<std::uint64_t>(dtype));
  if (dims.size() != 0) body += number(2, dims.size());
  for (const std::uint64_t extent : dims) body += message(3, message(1, number(1, extent)));
  return message(1, body);
}
/// An immediate value whose TensorValue has `content` in `member`.
std::string immediate(const std::string& type, std::uint64_t member, const std::string& content) {
  return message(2, type) + message(3, message(1, message(member, content)));
}

Result<MilValue> decode_value(const std::string& value) {
  const Result<MilModel> model = decode(model_with_value(value));
  if (!model.ok()) return model.error();
  return model->functions.at("main").block.operations.at(0).attributes.at("val");
}

ErrorCode value_error(const std::string& value) { return code_of(model_with_value(value)); }

MilValue string_value(const std::string& text) {
  return {.type = {.dtype = MilDataType::kString, .dims = {}}, .data = std::vector<std::string>{text}};
}

MilOperation constant(const std::string& name, MilValue value) {
  MilOperation op{.type = "const", .inputs = {}, .outputs = {{.name = name, .type = value.type}}, .blocks = {}, .attributes = {}};
  op.attributes = {{"name", string_value(name)}, {"val", std::move(value)}};
  return op;
}

MilModel small_model() {
  const MilType image{.dtype = MilDataType::kFloat16, .dims = {1, 3, std::nullopt, 4}};
  const MilType scalar_bool{.dtype = MilDataType::kBool, .dims = {}};
  const BlobReference blob{.file_name = "@model_path/weights/weight.bin", .offset = 64};
  MilBlock block;
  auto& ops = block.operations;
  ops.push_back(constant("w", {.type = {.dtype = MilDataType::kFloat16, .dims = {2, 3, 1, 1}}, .data = blob}));
  ops.push_back(constant("b", {.type = {.dtype = MilDataType::kFloat16, .dims = {2}}, .data = bytes_of({0, 0x3e, 0, 0x80})}));
  ops.push_back(constant("strides", {.type = {.dtype = MilDataType::kInt32, .dims = {2}},
                                     .data = bytes_of({1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})}));
  ops.push_back(constant("flag", {.type = scalar_bool, .data = bytes_of({0})}));
  ops.push_back(constant("pad_type", string_value("valid")));
  ops.push_back(constant("table", {.type = {.dtype = MilDataType::kInt8, .dims = {3}}, .data = bytes_of({0x80, 0, 0x7f})}));
  ops.push_back(constant("nothing", {.type = {.dtype = MilDataType::kFloat32, .dims = {0}}, .data = Bytes()}));

  MilOperation dequantize{.type = "constexpr_affine_dequantize", .inputs = {}, .outputs = {}, .blocks = {}, .attributes = {}};
  dequantize.outputs = {{.name = "w2", .type = {.dtype = MilDataType::kFloat32, .dims = {2, 3, 1, 1}}}};
  dequantize.attributes["quantized_data"] = {.type = {.dtype = MilDataType::kUInt8, .dims = {2, 3, 1, 1}}, .data = blob};
  dequantize.attributes["axis"] = {.type = {.dtype = MilDataType::kInt32, .dims = {}}, .data = bytes_of({0, 0, 0, 0})};
  dequantize.attributes["scale"] = {.type = {.dtype = MilDataType::kFloat32, .dims = {}}, .data = bytes_of({0, 0, 0xc0, 0x3f})};
  ops.push_back(dequantize);

  MilOperation conv{.type = "conv", .inputs = {}, .outputs = {{.name = "y", .type = image}}, .blocks = {}, .attributes = {}};
  for (const char* parameter : {"x", "weight", "bias", "strides", "pad_type"}) conv.inputs[parameter] = {std::string(parameter)};
  conv.inputs["values"] = {std::string("x"), MilValue{.type = scalar_bool, .data = bytes_of({1})}, std::string("w")};
  conv.attributes["name"] = string_value("y");
  ops.push_back(conv);

  MilOperation branch{.type = "cond", .inputs = {{"pred", {std::string("flag")}}}, .outputs = {{.name = "z", .type = image}},
                      .blocks = {}, .attributes = {}};
  MilBlock inner{.inputs = {{.name = "loop", .type = scalar_bool}}, .operations = {conv}, .outputs = {"y"}};
  branch.blocks = {inner, {.inputs = {}, .operations = {}, .outputs = {"x"}}};
  ops.push_back(branch);
  block.outputs = {"z"};

  MilModel model{.specification_version = 7, .inputs = {}, .outputs = {}, .user_defined = {}, .functions = {}};
  model.inputs = {{.name = "x", .dtype = MilDataType::kFloat16, .shape = std::vector<std::int64_t>{1, 3, 4, 4}}};
  model.outputs = {{.name = "z", .dtype = MilDataType::kFloat16, .shape = std::nullopt}};
  model.user_defined = {{"b", ""}, {"a", "1"}};
  model.functions["main"] = {.inputs = {{.name = "x", .type = image}}, .opset = "CoreML6", .block = block};
  return model;
}

TEST(Mil, TypeBytesOfTheFormatNote) {
  MilModel model{.specification_version = 6, .inputs = {}, .outputs = {}, .user_defined = {}, .functions = {}};
  MilFunction& main = model.functions["main"];
  main.opset = "CoreML5";
  main.inputs = {{.name = "a", .type = {.dtype = MilDataType::kFloat32, .dims = {}}},
                 {.name = "b", .type = {.dtype = MilDataType::kFloat32, .dims = {2, 3}}},
                 {.name = "c", .type = {.dtype = MilDataType::kFloat32, .dims = {0, std::nullopt}}}};
  using namespace std::string_literals;
  const std::string function = "\x0a\x09\x0a\x01" "a\x12\x04\x0a\x02\x08\x0b"
                               "\x0a\x17\x0a\x01" "b\x12\x12\x0a\x10\x08\x0b\x10\x02\x1a\x04\x0a\x02\x08\x02\x1a\x04\x0a\x02\x08\x03"
                               "\x0a\x13\x0a\x01" "c\x12\x0e\x0a\x0c\x08\x0b\x10\x02\x1a\x02\x0a\x00\x1a\x02\x12\x00"
                               "\x12\x07" "CoreML5\x1a\x0b\x0a\x07" "CoreML5\x12\x00"s;
  EXPECT_EQ(encode(model), number(1, 6) + message(2, "") + message(502, number(1, 1) + message(2, entry("main", function))));
}

TEST(Mil, WhatIsEncodedDecodesEqual) {
  const MilModel model = small_model();
  const Result<MilModel> again = decode(encode(model));
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_TRUE(*again == model);
  MilModel other = model;
  other.functions["main"].block.operations.back().blocks.front().outputs = {"x"};
  EXPECT_FALSE(other == model);
}

TEST(Mil, SameModelSameBytes) { EXPECT_EQ(encode(small_model()), encode(small_model())); }

TEST(Mil, ImmediatesUseTheMemberOfTheirType) {
  const auto body = [](MilDataType dtype, Bytes data) {
    MilModel model{.specification_version = 6, .inputs = {}, .outputs = {}, .user_defined = {}, .functions = {}};
    MilOperation op{.type = "const", .inputs = {}, .outputs = {}, .blocks = {}, .attributes = {}};
    op.attributes["val"] = {.type = {.dtype = dtype, .dims = {2}}, .data = std::move(data)};
    model.functions["main"] = {.inputs = {}, .opset = "CoreML5", .block = {.inputs = {}, .operations = {op}, .outputs = {}}};
    const std::string bytes = encode(model);
    return bytes.substr(bytes.find("CoreML5\x12") + 1);
  };
  const auto ends = [&](MilDataType dtype, Bytes data, std::uint64_t member, const std::string& content) {
    return body(dtype, std::move(data)).ends_with(message(3, message(1, message(member, message(1, content)))));
  };
  using namespace std::string_literals;
  EXPECT_TRUE(ends(MilDataType::kFloat16, bytes_of({0, 0x3e, 0, 0}), 7, "\0\x3e\0\0"s));
  EXPECT_TRUE(ends(MilDataType::kFloat32, bytes_of({0, 0, 0xc0, 0x3f, 0, 0, 0, 0}), 1, "\0\0\xc0\x3f\0\0\0\0"s));
  EXPECT_TRUE(ends(MilDataType::kFloat64, Bytes(16), 6, std::string(16, '\0')));
  EXPECT_TRUE(ends(MilDataType::kBool, bytes_of({0, 1}), 3, "\0\x01"s));
  EXPECT_TRUE(ends(MilDataType::kInt8, bytes_of({0xff, 1}), 7, "\xff\x01"));
  EXPECT_TRUE(ends(MilDataType::kInt16, bytes_of({0xff, 0xff, 2, 1}), 2, varint(~std::uint64_t{0}) + varint(258)));
  EXPECT_TRUE(ends(MilDataType::kUInt16, bytes_of({0xff, 0xff, 0, 0}), 2, varint(65535) + varint(0)));
  EXPECT_TRUE(ends(MilDataType::kInt32, bytes_of({0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0}), 2, varint(~std::uint64_t{1}) + varint(0)));
  EXPECT_TRUE(ends(MilDataType::kUInt32, bytes_of({2, 0, 0, 0, 16, 0, 0, 0}), 7, "\x02\0\0\0\x10\0\0\0"s));
  EXPECT_TRUE(ends(MilDataType::kInt64, Bytes(16, std::byte{0xff}), 5, varint(~std::uint64_t{0}) + varint(~std::uint64_t{0})));
  EXPECT_TRUE(ends(MilDataType::kUInt64, Bytes(16, std::byte{0xff}), 5, varint(~std::uint64_t{0}) + varint(~std::uint64_t{0})));
  EXPECT_TRUE(ends(MilDataType::kInt4, bytes_of({0x21}), 7, "\x21"));
}

TEST(Mil, ConstantsThatDoNotFitTheirTypeAreNotEncoded) {
  const auto refused = [](MilValue value) {
    MilModel model = small_model();
    model.functions["main"].block.operations.push_back(constant("c", std::move(value)));
    const Result<Bytes> bytes = encode_model(model);
    return !bytes.ok() && bytes.error().code() == ErrorCode::kInternal;
  };
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kInt32, .dims = {2}}, .data = Bytes(7)}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kInt4, .dims = {3}}, .data = Bytes(1)}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kBool, .dims = {}}, .data = bytes_of({2})}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kInt8, .dims = {std::nullopt}}, .data = Bytes(1)}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kInt8, .dims = {-1}}, .data = Bytes(1)}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kString, .dims = {}}, .data = Bytes()}));
  EXPECT_TRUE(refused({.type = {.dtype = MilDataType::kInt8, .dims = {}}, .data = std::vector<std::string>{"a"}}));
  EXPECT_TRUE(refused(string_value("\xff")));
}

TEST(Mil, OtherWritersMembersAreRead) {
  const auto data = [](const std::string& value) {
    const Result<MilValue> read = decode_value(value);
    EXPECT_TRUE(read.ok()) << read.error().to_string();
    return read.ok() ? std::get<Bytes>(read->data) : Bytes();
  };
  const std::string two_int8 = tensor_type(MilDataType::kInt8, {2}), two_int32 = tensor_type(MilDataType::kInt32, {2});
  EXPECT_EQ(data(immediate(two_int8, 2, message(1, varint(127) + varint(static_cast<std::uint64_t>(-128))))), bytes_of({127, 0x80}));
  EXPECT_EQ(data(immediate(two_int32, 5, message(1, varint(1) + varint(2)))), bytes_of({1, 0, 0, 0, 2, 0, 0, 0}));
  // Not packed, and a packed list in two parts.
  EXPECT_EQ(data(immediate(two_int32, 2, number(1, 1) + number(1, 2))), bytes_of({1, 0, 0, 0, 2, 0, 0, 0}));
  EXPECT_EQ(data(immediate(tensor_type(MilDataType::kFloat32, {}), 1, std::string("\x0d\x01\x02\x03\x04"))), bytes_of({1, 2, 3, 4}));
  // The data before its type.
  EXPECT_EQ(data(message(3, message(1, message(7, message(1, "ab")))) + message(2, two_int8)), bytes_of({'a', 'b'}));
  EXPECT_EQ(data(immediate(tensor_type(MilDataType::kBool, {}), 3, number(1, 7))), bytes_of({1}));
  const std::string max = varint(~std::uint64_t{0});
  EXPECT_EQ(data(immediate(tensor_type(MilDataType::kUInt64, {}), 5, message(1, max))), Bytes(8, std::byte{0xff}));
  EXPECT_EQ(data(immediate(tensor_type(MilDataType::kUInt64, {}), 2, message(1, varint(1)))), bytes_of({1, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Mil, ConstantsThatDoNotFitTheirTypeAreNotDecoded) {
  const std::string two_int8 = tensor_type(MilDataType::kInt8, {2});
  const auto ints = [](MilDataType dtype, std::int64_t value) {
    return immediate(tensor_type(dtype, {}), 2, message(1, varint(static_cast<std::uint64_t>(value))));
  };
  for (const auto& [dtype, value] : {std::pair(MilDataType::kInt8, 128), std::pair(MilDataType::kInt8, -129),
                                     std::pair(MilDataType::kUInt8, 256), std::pair(MilDataType::kUInt8, -1),
                                     std::pair(MilDataType::kUInt32, -1), std::pair(MilDataType::kUInt64, -1)}) {
    EXPECT_EQ(value_error(ints(dtype, value)), ErrorCode::kMalformedInput) << mil_type_name(dtype) << value;
  }
  EXPECT_EQ(value_error(immediate(two_int8, 7, message(1, "abc"))), ErrorCode::kMalformedInput);         // one too many
  EXPECT_EQ(value_error(immediate(two_int8, 7, message(1, "a"))), ErrorCode::kMalformedInput);           // one too few
  EXPECT_EQ(value_error(immediate(two_int8, 1, message(1, "abcd"))), ErrorCode::kMalformedInput);        // floats
  EXPECT_EQ(value_error(immediate(tensor_type(MilDataType::kString, {2}), 4, message(1, "a"))), ErrorCode::kMalformedInput);
  const std::uint64_t huge = std::uint64_t{1} << 40;
  EXPECT_EQ(value_error(immediate(tensor_type(MilDataType::kInt8, {huge, huge}), 7, "")), ErrorCode::kMalformedInput);
  EXPECT_EQ(value_error(immediate(tensor_type(MilDataType::kInt8, {~std::uint64_t{0}}), 7, "")), ErrorCode::kMalformedInput);
  const std::string unknown = message(1, number(1, 21) + number(2, 1) + message(3, message(2, "")));
  EXPECT_EQ(value_error(immediate(unknown, 7, "")), ErrorCode::kMalformedInput);
  EXPECT_EQ(value_error(message(2, two_int8)), ErrorCode::kMalformedInput);                              // no data
  EXPECT_EQ(value_error(message(3, message(1, message(7, "")))), ErrorCode::kMalformedInput);            // no type
  EXPECT_EQ(value_error(message(2, tensor_type(MilDataType::kString, {})) + message(5, message(1, "f"))), ErrorCode::kMalformedInput);
  EXPECT_EQ(value_error(message(2, two_int8) + message(3, message(3, ""))), ErrorCode::kUnsupported);    // a list
  EXPECT_EQ(value_error(message(2, message(2, "")) + message(3, message(3, ""))), ErrorCode::kUnsupported);
}

TEST(Mil, TypesAreChecked) {
  const auto error = [](const std::string& type) { return value_error(immediate(type, 7, "")); };
  EXPECT_EQ(error(message(1, number(1, 13))), ErrorCode::kUnsupported);                      // bfloat16
  EXPECT_EQ(error(message(1, number(1, 99))), ErrorCode::kMalformedInput);
  EXPECT_EQ(error(message(1, number(1, 21) + number(2, 2))), ErrorCode::kMalformedInput);    // rank without extents
  EXPECT_EQ(error(message(1, number(1, 21) + number(2, ~std::uint64_t{0}))), ErrorCode::kUnsupported);
  EXPECT_EQ(error(message(1, number(1, 21) + number(2, 1) + message(3, ""))), ErrorCode::kMalformedInput);
  EXPECT_EQ(error(message(1, number(1, 21) + number(2, 1) + message(3, message(2, number(1, 1))))), ErrorCode::kUnsupported);
  std::string extents;
  for (int i = 0; i < 33; ++i) extents += message(3, message(1, number(1, 1)));
  EXPECT_EQ(error(message(1, number(1, 21) + number(2, 33) + extents)), ErrorCode::kLimitReached);
}

TEST(Mil, EveryTruncationIsAnErrorOrAnotherModel) {
  const MilModel model = small_model();
  const std::string bytes = encode(model);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Result<MilModel> cut = decode(bytes.substr(0, size));
    EXPECT_FALSE(cut.ok() && *cut == model) << size;
  }
}

TEST(Mil, EveryChangedByteIsSurvived) {
  const std::string bytes = encode(small_model());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const char flip : {'\x01', '\x08', '\x80', '\xff'}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      const Result<MilModel> read = decode(changed);
      if (!read.ok()) continue;
      const Result<Bytes> again = encode_model(*read);  // whatever decodes can be encoded
      ASSERT_TRUE(again.ok()) << at << again.error().to_string();
      const Result<MilModel> same = decode(text_of(*again));
      ASSERT_TRUE(same.ok()) << at;
      EXPECT_TRUE(*same == *read) << at;
    }
  }
}

TEST(Mil, DeepNestingIsRefused) {
  const auto nested = [](int depth) {
    std::string block;
    for (int i = 1; i < depth; ++i) block = message(3, message(1, "cond") + message(4, block));
    return model_with_block(block);
  };
  EXPECT_TRUE(decode(nested(32)).ok());
  EXPECT_EQ(code_of(nested(33)), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(nested(5000)), ErrorCode::kLimitReached);
}

TEST(Mil, BoundsAreKept) {
  const std::string bytes = encode(small_model());
  MilLimits limits;
  limits.max_operations = 11;
  EXPECT_TRUE(decode(bytes, limits).ok());
  limits.max_operations = 10;
  EXPECT_EQ(code_of(bytes, limits), ErrorCode::kLimitReached);
  limits = {};
  limits.max_name_bytes = 5;
  EXPECT_EQ(code_of(bytes, limits), ErrorCode::kLimitReached);
  for (std::uint64_t budget = 0; budget < 4000; budget += 7) {
    limits = {};
    limits.max_structure_bytes = budget;
    EXPECT_EQ(code_of(bytes, limits), ErrorCode::kLimitReached) << budget;
  }
}

TEST(Mil, MalformedWireIsRefused) {
  EXPECT_EQ(code_of(""), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of("\x08"), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code_of("\x0b"), ErrorCode::kMalformedInput);                            // a group
  EXPECT_EQ(code_of(std::string("\x00\x00", 2)), ErrorCode::kMalformedInput);        // field 0
  EXPECT_EQ(code_of("\x08" + std::string(9, '\xff') + "\x02"), ErrorCode::kMalformedInput);  // 65 bits
  EXPECT_EQ(code_of("\x08" + std::string(11, '\xff')), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(message(1, "6")), ErrorCode::kMalformedInput);                   // a number as bytes
  EXPECT_EQ(code_of(number(502, 1)), ErrorCode::kMalformedInput);                    // a message as a number
  EXPECT_EQ(code_of("version https://git-lfs.github.com/spec/v1\n"), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(number(1, 0) + message(2, "") + message(502, number(1, 1))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(number(1, 6) + message(502, number(1, 1))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(model_with_block("") + message(502, "")), ErrorCode::kMalformedInput);     // two programs
  EXPECT_EQ(code_of(model_with_block(message(3, ""))), ErrorCode::kMalformedInput);            // an operation without type
  EXPECT_EQ(code_of(model_with_block(message(2, "\xc0\x80"))), ErrorCode::kMalformedInput);    // not UTF-8
  const std::string no_binding = message(1, "add") + message(2, entry("x", message(1, "")));
  EXPECT_EQ(code_of(model_with_block(message(3, no_binding))), ErrorCode::kMalformedInput);
  const std::string twice = message(1, "add") + message(2, entry("x", "")) + message(2, entry("x", ""));
  EXPECT_EQ(code_of(model_with_block(message(3, twice))), ErrorCode::kMalformedInput);
}

TEST(Mil, TheBlockOfTheOpsetIsRead) {
  const auto model = [](const std::string& opset) {
    const std::string other = message(3, entry("CoreML5", message(2, "a"))), wanted = message(3, entry("CoreML6", message(2, "b")));
    const std::string function = other + wanted + message(2, opset);
    return number(1, 7) + message(2, "") + message(502, number(1, 1) + message(2, entry("main", function)));
  };
  const Result<MilModel> read = decode(model("CoreML6"));
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_EQ(read->functions.at("main").block.outputs, std::vector<std::string>{"b"});
  EXPECT_EQ(code_of(model("CoreML7")), ErrorCode::kMalformedInput);
}

TEST(Mil, UnknownFieldsAndDescriptionsAreSkipped) {
  const MilModel model = small_model();
  const std::string junk = number(3000000, 5) + message(12345, "junk") + varint(777 << 3 | 5) + "abcd" + varint(777 << 3 | 1) + "abcdefgh";
  const Result<MilModel> read = decode(junk + encode(model) + junk);
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_TRUE(*read == model);
  const std::string described = message(100, message(1, "text") + message(3, "author"));
  const std::string program = number(1, 1) + message(2, entry("main", message(3, entry("", "")))) +
                              message(3, "doc") + message(4, entry("buildInfo", message(1, "doc")));
  EXPECT_TRUE(decode(number(1, 6) + message(2, described) + message(502, program)).ok());
}

TEST(Mil, OtherModelsAreNamed) {
  const auto refused = [](const std::string& bytes, const std::string& word) {
    const Result<MilModel> model = decode(bytes);
    return !model.ok() && model.error().code() == ErrorCode::kUnsupported && model.error().message().find(word) != std::string::npos;
  };
  EXPECT_TRUE(refused(number(1, 4) + message(2, "") + message(500, ""), "neuralNetwork"));
  EXPECT_TRUE(refused(number(1, 4) + message(2, "") + message(403, ""), "neuralNetworkClassifier"));
  const auto description = [](const std::string& body) { return number(1, 9) + message(2, body) + message(502, number(1, 1)); };
  EXPECT_TRUE(refused(description(message(20, "")), "functions"));
  EXPECT_TRUE(refused(description(message(13, "")), "state"));
  EXPECT_TRUE(refused(description(message(11, "label")), "classifier"));
  EXPECT_TRUE(refused(description(message(1, message(1, "i") + message(3, message(4, "")))), "an image"));
  EXPECT_TRUE(refused(description(message(10, message(1, "i") + message(3, message(6, "")))), "a dictionary"));
  EXPECT_TRUE(refused(description(message(1, message(1, "i") + message(3, message(5, "") + number(1000, 1)))), "optional"));
  const std::string state = message(1, message(1, "s") + message(2, message(5, "")));
  const std::string program = number(1, 1) + message(2, entry("main", state));
  EXPECT_TRUE(refused(number(1, 9) + message(2, "") + message(502, program), "a state"));
}

TEST(Mil, ErrorsNameTheOperation) {
  const std::string op = message(1, "classify") + message(3, message(1, "label") + message(2, message(4, "")));
  const Result<MilModel> model = decode(model_with_block(message(3, op)));
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().location().graph, "main");
  EXPECT_EQ(model.error().location().node, "label");
}

TEST(Mil, Utf8) {
  for (const std::string_view good : {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const std::string_view bad : {"\x80", "\xc1\x80", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                                     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Mil, ElementCounts) {
  EXPECT_EQ(mil_element_count({.dtype = MilDataType::kInt8, .dims = {}}), 1U);
  EXPECT_EQ(mil_element_count({.dtype = MilDataType::kInt8, .dims = {std::int64_t{1} << 60, 0}}), 0U);
  EXPECT_EQ(mil_element_count({.dtype = MilDataType::kInt8, .dims = {std::int64_t{1} << 28, std::int64_t{1} << 28}}), std::uint64_t{1} << 56);
  EXPECT_EQ(mil_element_count({.dtype = MilDataType::kInt8, .dims = {std::int64_t{1} << 29, std::int64_t{1} << 28}}), std::nullopt);
  EXPECT_EQ(mil_element_count({.dtype = MilDataType::kInt8, .dims = {std::nullopt, 0}}), std::nullopt);
  EXPECT_EQ(mil_bits(MilDataType::kUInt3), 3U);
  EXPECT_STREQ(mil_type_name(MilDataType::kFloat16), "fp16");
}

}  // namespace
}  // namespace smelt::coreml_format
