#include "convert/onnx/wire.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proto_bytes.h"

namespace smelt::onnx_format {
namespace {

std::string tensor(const std::string& name, std::vector<std::uint64_t> dims, int data_type, const std::string& data) {
  std::string out;
  for (const std::uint64_t dim : dims) out += number(1, dim);
  return out + number(2, static_cast<std::uint64_t>(data_type)) + block(8, name) + data;
}
std::string raw(std::size_t size) { return block(9, std::string(size, '\x01')); }
std::string value_info(const std::string& name) {
  const std::string shape = block(1, block(2, "batch")) + block(1, number(1, 3)) + block(1, "");
  return block(1, name) + block(2, block(1, number(1, 1) + block(2, shape)));
}
std::string node(const std::string& attributes = "") {
  return block(1, "x") + block(1, "") + block(2, "y") + block(3, "n0") + block(4, "Conv") + block(7, "custom") + attributes;
}
std::string graph() {
  return block(1, node(block(5, block(1, "value") + block(5, tensor("c", {}, 7, raw(8))) + number(20, 4)))) +
         block(2, "main") + block(5, tensor("w", {2, 3}, 1, raw(24))) + block(11, value_info("x")) + block(12, value_info("y"));
}
std::string with_graph(const std::string& graph_body) { return number(1, 8) + block(7, graph_body); }
std::string whole() { return number(1, 8) + block(2, "writer") + block(8, block(1, "") + number(2, 17)) + block(7, graph()); }

Result<Model> read(const std::string& file, const Limits& limits = {}) {
  return read_model(std::as_bytes(std::span(file)), "m.onnx", limits);
}

/// The code that reading gives, or nullopt when it succeeds.
std::optional<ErrorCode> code_of(const std::string& file, const Limits& limits = {}) {
  const Result<Model> model = read(file, limits);
  if (model.ok()) return std::nullopt;
  return model.error().code();
}
std::optional<ErrorCode> code_of_tensor(const std::string& body) { return code_of(with_graph(block(5, body))); }

TEST(Wire, ReadsEveryPartAndLeavesTheWeightsInTheFile) {
  const std::string file = whole();
  const Result<Model> model = read(file);
  ASSERT_TRUE(model.ok()) << model.error().to_string();
  EXPECT_EQ(model->ir_version, 8);
  EXPECT_EQ(model->producer_name, "writer");
  ASSERT_EQ(model->opset_imports.size(), 1U);
  EXPECT_EQ(model->opset_imports[0].version, 17);
  const Graph& main = model->graph;
  EXPECT_EQ(main.name, "main");
  ASSERT_EQ(main.nodes.size(), 1U);
  EXPECT_EQ(main.nodes[0].op_type, "Conv");
  EXPECT_EQ(main.nodes[0].domain, "custom");
  EXPECT_EQ(main.nodes[0].inputs, (std::vector<std::string>{"x", ""}));
  ASSERT_TRUE(main.nodes[0].attributes.at(0).tensor.has_value());
  EXPECT_EQ(main.nodes[0].attributes[0].tensor->element_count, 1U);
  ASSERT_EQ(main.initializers.size(), 1U);
  EXPECT_EQ(main.initializers[0].dims, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(main.initializers[0].element_count, 6U);
  ASSERT_EQ(main.initializers[0].payloads.size(), 1U);
  const Payload payload = main.initializers[0].payloads[0];
  EXPECT_EQ(file.substr(payload.offset, payload.length), std::string(24, '\x01'));
  ASSERT_TRUE(main.inputs.at(0).shape.has_value());
  EXPECT_EQ(main.inputs[0].shape->at(0).symbol, "batch");
  EXPECT_EQ(main.inputs[0].shape->at(1).extent, 3);
  EXPECT_FALSE(main.inputs[0].shape->at(2).extent.has_value());
}

TEST(Wire, EveryPrefixIsAnError) {
  const std::string file = whole();  // the graph comes last, so every proper prefix cuts it or lacks it
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_TRUE(code_of(file.substr(0, size)).has_value()) << size << " of " << file.size() << " bytes";
  }
}

TEST(Wire, EverySingleByteChangeIsReadOrRefused) {
  const std::string file = whole();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const int flip : {0x01, 0x07, 0x80, 0xff}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      if (code_of(changed).has_value()) ++refused;
    }
  }
  EXPECT_GT(refused, file.size());  // the sanitizer build watches what the others do
}

TEST(Wire, RefusesWhatParsersDisagreeAbout) {
  EXPECT_EQ(code_of(""), ErrorCode::kNotThisFormat);
  EXPECT_EQ(code_of(number(1, 8)), ErrorCode::kMalformedInput);                                // no graph
  EXPECT_EQ(code_of(whole() + block(7, graph())), ErrorCode::kMalformedInput);                 // two graphs
  EXPECT_EQ(code_of(whole() + std::string(1, '\0')), ErrorCode::kMalformedInput);              // tag 0
  EXPECT_EQ(code_of(whole() + varint(7 << 3 | 3)), ErrorCode::kMalformedInput);                // group
  EXPECT_EQ(code_of(whole() + varint(99 << 3) + std::string(10, '\x80')), ErrorCode::kMalformedInput);  // 11-byte varint
  EXPECT_EQ(code_of(number(1, ~0ULL) + block(7, graph())), ErrorCode::kMalformedInput);        // ir_version -1
  EXPECT_EQ(code_of(with_graph(block(1, node(block(5, block(6, "") + block(6, "")))))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(number(7, 1)), ErrorCode::kMalformedInput);                                // graph as a number
  EXPECT_EQ(code_of(with_graph(block(1, block(1, "x")))), ErrorCode::kMalformedInput);         // node without op_type
  EXPECT_EQ(code_of(whole() + block(99, "unknown field")), std::nullopt);
}

TEST(Wire, AttributeValues) {
  const std::string half("\0\0\0\x3f", 4);  // 0.5f
  const std::string two("\0\0\0\x40", 4);   // 2.0f
  const auto attribute = [](const std::string& name, const std::string& body) { return block(5, block(1, name) + body); };
  const std::string long_text(100'000, 't');  // longer than a name may be
  const std::string all =
      attribute("f", varint(2 << 3 | 5) + half + number(20, 1)) + attribute("i", number(3, ~0ULL) + number(20, 2)) +
      attribute("s", block(4, std::string("a\0b", 3)) + number(20, 3)) +
      attribute("floats", varint(7 << 3 | 5) + half + block(7, half + two) + number(20, 6)) +
      attribute("ints", number(8, 7) + block(8, varint(300) + varint(~0ULL)) + number(20, 7)) +
      attribute("strings", block(9, "x") + block(9, "") + block(9, long_text) + number(20, 8)) +
      attribute("ref", block(21, "outer") + number(20, 2));
  const Result<Model> model = read(with_graph(block(1, node(all))));
  ASSERT_TRUE(model.ok()) << model.error().to_string();
  const std::vector<Attribute>& read_back = model->graph.nodes.at(0).attributes;
  ASSERT_EQ(read_back.size(), 7U);
  EXPECT_EQ(read_back[0].f, 0.5F);
  EXPECT_EQ(read_back[1].i, -1);
  EXPECT_EQ(read_back[2].s, std::string("a\0b", 3));
  EXPECT_EQ(read_back[3].floats, (std::vector<float>{0.5F, 0.5F, 2.0F}));
  EXPECT_EQ(read_back[4].ints, (std::vector<std::int64_t>{7, 300, -1}));
  EXPECT_EQ(read_back[5].strings, (std::vector<std::string>{"x", "", long_text}));
  EXPECT_EQ(read_back[6].ref_attr_name, "outer");
  EXPECT_FALSE(read_back[6].i.has_value());

  const auto code = [&](const std::string& body) { return code_of(with_graph(block(1, node(attribute("a", body))))); };
  EXPECT_EQ(code(number(2, 1)), ErrorCode::kMalformedInput);                 // f as a varint
  EXPECT_EQ(code(block(7, "abcde")), ErrorCode::kMalformedInput);            // 5 bytes of floats
  EXPECT_EQ(code(block(8, "\x01\x80")), ErrorCode::kTruncatedInput);         // an int that ends in its middle
  EXPECT_EQ(code(block(3, "1")), ErrorCode::kMalformedInput);
  const Limits limits{.max_structure_bytes = 100'000};
  const std::string ones(50'000, '\1');
  EXPECT_EQ(code_of(with_graph(block(1, node(attribute("a", block(8, ones))))), limits), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(with_graph(block(1, node(attribute("a", block(4, long_text))))), limits), ErrorCode::kLimitReached);
}

TEST(Wire, FlagsAndHints) {
  const Result<Model> plain = read(whole());
  ASSERT_TRUE(plain.ok());
  EXPECT_FALSE(plain->has_functions);
  EXPECT_FALSE(plain->graph.has_sparse_initializers);
  EXPECT_TRUE(plain->graph.value_infos.empty());
  const Result<Model> model = read(with_graph(graph() + block(13, value_info("t")) + block(15, "")) + block(25, ""));
  ASSERT_TRUE(model.ok()) << model.error().to_string();
  EXPECT_TRUE(model->has_functions);
  EXPECT_TRUE(model->graph.has_sparse_initializers);
  ASSERT_EQ(model->graph.value_infos.size(), 1U);
  EXPECT_EQ(model->graph.value_infos[0].name, "t");
}

TEST(Wire, ExternalRanges) {
  const auto entry = [](const std::string& key, const std::string& value) { return block(13, block(1, key) + block(2, value)); };
  const auto external = [&](const std::string& entries) {
    return tensor("w", {4}, 1, entry("location", "w.bin") + entries + number(14, 1));
  };
  const std::string file = with_graph(block(5, external(entry("offset", "0064") + entry("length", "16") + entry("checksum", "?"))));
  const Result<Model> model = read(file);
  ASSERT_TRUE(model.ok()) << model.error().to_string();
  EXPECT_EQ(model->graph.initializers.at(0).external_offset, 64U);
  EXPECT_EQ(model->graph.initializers.at(0).external_length, 16U);
  EXPECT_EQ(code_of_tensor(external("")), std::nullopt);
  EXPECT_EQ(code_of_tensor(external(entry("offset", "9223372036854775807"))), std::nullopt);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x10", "9223372036854775808", "18446744073709551616", "00000000000000000001"}) {
    EXPECT_EQ(code_of_tensor(external(entry("offset", text))), ErrorCode::kMalformedInput) << text;
    EXPECT_EQ(code_of_tensor(external(entry("length", text))), ErrorCode::kMalformedInput) << text;
  }
  EXPECT_EQ(code_of_tensor(external(entry("offset", "1") + entry("offset", "1"))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(external(entry("location", "v.bin"))), ErrorCode::kMalformedInput);
}

TEST(Wire, TensorRules) {
  EXPECT_EQ(code_of_tensor(tensor("w", {2, 3}, 1, raw(24))), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("w", {2, 3}, 1, raw(23))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {5}, 22, raw(3))), std::nullopt);  // 5 values of 4 bits
  EXPECT_EQ(code_of_tensor(tensor("w", {0, 9}, 1, "")), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, "")), ErrorCode::kMalformedInput);               // no data
  EXPECT_EQ(code_of_tensor(tensor("w", {~0ULL}, 1, raw(4))), ErrorCode::kMalformedInput);       // extent -1
  EXPECT_EQ(code_of_tensor(tensor("w", {1ULL << 40, 1ULL << 40}, 1, raw(4))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {1}, 99, raw(4))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {1}, 0, raw(4))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {1}, 1, raw(4) + raw(4))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {1}, 1, raw(4) + block(4, "abcd"))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("s", {1}, 8, raw(4))), ErrorCode::kMalformedInput);
  const std::string location = block(13, block(1, "location") + block(2, "w.bin"));
  EXPECT_EQ(code_of_tensor(tensor("w", {4}, 1, location + number(14, 1))), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("w", {4}, 1, number(14, 1))), ErrorCode::kMalformedInput);
}

TEST(Wire, TypedDataIsTheRightMemberWithTheRightCount) {
  const std::string one = varint(4 << 3 | 5) + "abcd";  // float_data, not packed
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, block(4, std::string(8, 'a')))), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, block(4, std::string(9, 'a')))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, block(4, "abcd"))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, block(7, std::string(2, '\1')))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, number(4, 1) + number(4, 1))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 1, one)), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 7, block(7, varint(300) + varint(1)))), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("w", {2}, 7, block(7, "\x01\x80"))), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code_of_tensor(tensor("w", {5}, 22, block(5, "\x01\x01\x01"))), std::nullopt);   // int4: bytes
  EXPECT_EQ(code_of_tensor(tensor("w", {1}, 14, block(4, std::string(8, 'a')))), std::nullopt);  // complex64
  EXPECT_EQ(code_of_tensor(tensor("s", {2}, 8, block(6, "a") + block(6, ""))), std::nullopt);
  EXPECT_EQ(code_of_tensor(tensor("s", {2}, 8, block(6, "a"))), ErrorCode::kMalformedInput);

  // Elements that stand alone, and runs among them, keep their place: joined, they are the packed form.
  const std::string file = with_graph(block(5, tensor("w", {4}, 1, one + block(4, "efghijkl") + varint(4 << 3 | 5) + "mnop")));
  const Result<Model> model = read(file);
  ASSERT_TRUE(model.ok()) << model.error().to_string();
  std::string joined;
  for (const Payload& run : model->graph.initializers.at(0).payloads) joined += file.substr(run.offset, run.length);
  EXPECT_EQ(joined, "abcdefghijklmnop");
}

TEST(Wire, AnEmptyElementCostsItsStructNotTwoBytes) {
  const Limits limits{.max_structure_bytes = 1 << 20};
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += block(5, "");
  EXPECT_EQ(code_of(with_graph(block(1, node(many))), limits), ErrorCode::kLimitReached);  // attributes
  for (const unsigned field : {11U, 12U}) {  // inputs, outputs
    many.clear();
    for (int i = 0; i < 100'000; ++i) many += block(field, "");
    EXPECT_EQ(code_of(with_graph(many), limits), ErrorCode::kLimitReached) << field;
  }
  many.clear();
  for (int i = 0; i < 100'000; ++i) many += block(8, "");
  EXPECT_EQ(code_of(many + whole(), limits), ErrorCode::kLimitReached);  // opset imports
  many.clear();
  for (int i = 0; i < 100'000; ++i) many += block(11, "");
  EXPECT_EQ(code_of(with_graph(block(1, node(block(5, many)))), limits), ErrorCode::kLimitReached);  // graphs
  many.clear();
  for (int i = 0; i < 100'000; ++i) many += block(1, "");
  EXPECT_EQ(code_of(with_graph(block(1, node(many))), limits), ErrorCode::kLimitReached);  // input names
}

TEST(Wire, MagicBytesOfAnotherFormatInANameAreOnnxStill) {
  EXPECT_EQ(code_of(number(1, 8) + block(2, "TFL3 exporter") + block(7, graph())), std::nullopt);
  EXPECT_EQ(code_of(number(1, 8) + block(2, "abcd{\"k\"}") + block(7, graph())), std::nullopt);
}

TEST(Wire, DimsMayBePacked) {
  const std::string body = block(1, varint(2) + varint(3)) + number(2, 1) + block(8, "w") + raw(24);
  EXPECT_EQ(code_of_tensor(body), std::nullopt);
}

TEST(Wire, LimitsHold) {
  std::string nested = "";
  for (int depth = 0; depth < 10'000; ++depth) {
    nested = block(1, node(block(5, block(6, nested))));
    if (nested.size() > 4'000'000) break;
  }
  EXPECT_EQ(code_of(with_graph(nested)), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(with_graph(block(2, std::string(1 << 20, 'n')))), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(with_graph(block(1, node()) + block(1, node())), {.max_nodes = 1}), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of_tensor(tensor("w", std::vector<std::uint64_t>(40, 1), 1, raw(4))), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(with_graph(block(1, node())), {.max_operands = 2}), std::nullopt);
  EXPECT_EQ(code_of(with_graph(block(1, node())), {.max_operands = 1}), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(whole(), {.max_graph_outputs = 0}), ErrorCode::kLimitReached);
}

TEST(Wire, OtherFormatsAreNamed) {
  const std::pair<std::string, const char*> cases[] = {{"PK\x03\x04 rest", "zip"},
                                                       {"\x1f\x8b rest", "gzip"},
                                                       {std::string("\x1c\0\0\0TFL3", 8), "TFLite"},
                                                       {"", "empty"},
                                                       {"BZh91AY", "bzip2"},
                                                       {"\xfd" "7zXZ rest", "xz"},
                                                       {"\x28\xb5\x2f\xfd rest", "zstd"},
                                                       {"7z\xbc\xaf rest", "7z"},
                                                       {std::string(257, 'n') + "ustar", "tar"},
                                                       {std::string("\x1c\0\0\0ORTM", 8), "ONNX Runtime"},
                                                       {"GGUF rest", "GGUF"},
                                                       {"\x93NUMPY rest", "numpy"},
                                                       {"\x80\x05 rest", "pickle"},
                                                       {"version https://git-lfs.github.com/spec/v1", "Git LFS"},
                                                       {"<!DOCTYPE html>", "HTML"},
                                                       {"<?xml version=\"1.0\"?>", "XML"},
                                                       {"{\"model\": 1}", "text"},
                                                       {"[1, 2]\n", "text"},
                                                       {std::string("\x07\0\0\0\0\0\0\0{\"w\":1}", 15), "safetensors"}};
  for (const auto& [file, name] : cases) {
    const Result<Model> model = read(file);
    ASSERT_FALSE(model.ok()) << name;
    EXPECT_EQ(model.error().code(), ErrorCode::kNotThisFormat);
    EXPECT_NE(model.error().message().find(name), std::string::npos) << model.error().message();
  }
}

}  // namespace
}  // namespace smelt::onnx_format
