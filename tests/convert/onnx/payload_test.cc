#include "convert/onnx/payload.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "proto_bytes.h"
#include "temp_folder.h"

namespace smelt::onnx_format {
namespace {

std::string tensor(const std::vector<std::uint64_t>& dims, int data_type, const std::string& data) {
  std::string out;
  for (const std::uint64_t dim : dims) out += number(1, dim);
  return out + number(2, static_cast<std::uint64_t>(data_type)) + block(8, "w") + data;
}
std::string packed(const std::vector<std::int64_t>& values) {
  std::string out;
  for (const std::int64_t value : values) out += varint(static_cast<std::uint64_t>(value));
  return out;
}
std::string entry(const std::string& key, const std::string& value) { return block(13, block(1, key) + block(2, value)); }
std::string external(const std::string& location, const std::string& more = "") {
  return entry("location", location) + more + number(14, 1);
}

class PayloadTest : public TempFolderTest {
 protected:
  void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  /// Reads the first initializer of a model with this tensor.
  Result<ConstantRef> read(const std::string& tensor_body) {
    std::filesystem::create_directory(folder_ / "model");
    const std::filesystem::path path = folder_ / "model" / "m.onnx";
    write(path, number(1, 8) + block(7, block(5, tensor_body)));
    SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
    SMELT_ASSIGN_OR_RETURN(const Model model, read_model(file.bytes(), path.string(), {}));
    PayloadReader reader(std::make_shared<const MappedFile>(std::move(file)), path);
    return reader.read(model.graph.initializers.at(0));
  }

  std::vector<double> values(const std::string& tensor_body, DType dtype) {
    const Result<ConstantRef> constant = read(tensor_body);
    if (!constant.ok()) {
      ADD_FAILURE() << constant.error().to_string();
      return {};
    }
    EXPECT_EQ((*constant)->dtype, dtype);
    const Result<HostTensor> loaded = load(**constant);
    return loaded.ok() ? to_doubles(*loaded) : std::vector<double>();
  }

  std::optional<ErrorCode> code_of(const std::string& tensor_body) {
    const Result<ConstantRef> constant = read(tensor_body);
    if (constant.ok()) return std::nullopt;
    return constant.error().code();
  }
};

using Values = std::vector<double>;
const std::string kHalfAndTwo("\0\0\0\x3f\0\0\0\x40", 8);  // 0.5f, 2.0f

TEST_F(PayloadTest, RawDataIsARangeOfTheFile) {
  EXPECT_EQ(values(tensor({2}, 1, block(9, kHalfAndTwo)), DType::kF32), (Values{0.5, 2}));
  EXPECT_EQ(values(tensor({}, 7, block(9, std::string("\5\0\0\0\0\0\0\0", 8))), DType::kI64), (Values{5}));
  EXPECT_EQ(values(tensor({3}, 9, block(9, std::string("\0\1\xff", 3))), DType::kBool), (Values{0, 1, 1}));
  EXPECT_EQ(values(tensor({0}, 1, ""), DType::kF32), Values{});
}

TEST_F(PayloadTest, TypedMembers) {
  EXPECT_EQ(values(tensor({2}, 1, block(4, kHalfAndTwo)), DType::kF32), (Values{0.5, 2}));
  EXPECT_EQ(values(tensor({2}, 1, varint(4 << 3 | 5) + kHalfAndTwo.substr(0, 4) + block(4, kHalfAndTwo.substr(4))), DType::kF32),
            (Values{0.5, 2}));
  EXPECT_EQ(values(tensor({1}, 11, block(10, std::string("\0\0\0\0\0\0\xe0\x3f", 8))), DType::kF64), (Values{0.5}));
  EXPECT_EQ(values(tensor({2}, 6, block(5, packed({-5, 1 << 30}))), DType::kI32), (Values{-5, 1 << 30}));
  EXPECT_EQ(values(tensor({3}, 3, block(5, packed({-128, 0, 127}))), DType::kI8), (Values{-128, 0, 127}));
  EXPECT_EQ(values(tensor({2}, 2, number(5, 0) + number(5, 255)), DType::kU8), (Values{0, 255}));
  EXPECT_EQ(values(tensor({2}, 5, block(5, packed({-32768, 32767}))), DType::kI16), (Values{-32768, 32767}));
  EXPECT_EQ(values(tensor({2}, 4, block(5, packed({0, 65535}))), DType::kU16), (Values{0, 65535}));
  EXPECT_EQ(values(tensor({2}, 9, block(5, packed({0, 1}))), DType::kBool), (Values{0, 1}));
  EXPECT_EQ(values(tensor({2}, 10, block(5, packed({0x3800, 0xc000}))), DType::kF16), (Values{0.5, -2}));
  EXPECT_EQ(values(tensor({1}, 16, block(5, packed({0x3f00}))), DType::kBF16), (Values{0.5}));
  EXPECT_EQ(values(tensor({3}, 7, block(7, packed({-1, 300})) + number(7, 4)), DType::kI64), (Values{-1, 300, 4}));
  EXPECT_EQ(values(tensor({2}, 12, block(11, packed({0, 4294967295}))), DType::kU32), (Values{0, 4294967295.0}));
  EXPECT_EQ(values(tensor({2}, 13, block(11, packed({1, 2}))), DType::kU64), (Values{1, 2}));
}

TEST_F(PayloadTest, FourBitEntriesAreBytesOfTwo) {
  const Result<ConstantRef> constant = read(tensor({3}, 22, block(5, packed({0x21, 0x0f}))));
  ASSERT_TRUE(constant.ok()) << constant.error().to_string();
  EXPECT_EQ((*constant)->dtype, DType::kI4);
  const Result<HostTensor> loaded = load(**constant);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->bytes, (std::vector<std::byte>{std::byte{0x21}, std::byte{0x0f}}));
}

TEST_F(PayloadTest, EntriesOutOfTheDtypesRangeAreMalformed) {
  const std::pair<int, std::vector<std::int64_t>> cases[] = {
      {3, {-129, 128}},   {2, {-1, 256}},  {5, {-32769, 32768}},         {4, {-1, 65536}},
      {9, {-1, 2}},       {10, {-1, 65536}}, {6, {-2147483649, 2147483648}}, {22, {-1, 256}},
  };
  for (const auto& [data_type, entries] : cases) {
    for (const std::int64_t value : entries) {
      EXPECT_EQ(code_of(tensor({1}, data_type, block(5, packed({value})))), ErrorCode::kMalformedInput) << data_type << " " << value;
    }
  }
  EXPECT_EQ(code_of(tensor({1}, 12, block(11, packed({4294967296})))), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(tensor({1}, 12, block(11, packed({-1})))), ErrorCode::kMalformedInput);
}

TEST_F(PayloadTest, DataTypesWithoutADtypeAreNamed) {
  const Result<ConstantRef> constant = read(tensor({1}, 14, block(9, kHalfAndTwo)));
  ASSERT_FALSE(constant.ok());
  EXPECT_EQ(constant.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(constant.error().message().find("complex64"), std::string::npos);
  EXPECT_EQ(code_of(tensor({1}, 8, block(6, "text"))), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of(tensor({1}, 17, block(9, "a"))), ErrorCode::kUnsupported);
  for (int data_type = -1; data_type < 40; ++data_type) {
    const std::optional<DType> dtype = to_dtype(data_type);
    if (!dtype) continue;
    EXPECT_EQ(from_dtype(*dtype), data_type);
    EXPECT_EQ(bits(*dtype), data_type_bits(data_type));
  }
}

TEST_F(PayloadTest, ExternalDataInTheFolder) {
  std::filesystem::create_directories(folder_ / "model" / "sub");
  write(folder_ / "model" / "w.bin", "12345678" + kHalfAndTwo);
  write(folder_ / "model" / "sub" / "w.bin", kHalfAndTwo);
  write(folder_ / "model" / "flags", std::string("\0\7", 2));
  std::filesystem::create_symlink("sub/w.bin", folder_ / "model" / "link");
  const Values expected{0.5, 2};
  EXPECT_EQ(values(tensor({2}, 1, external("w.bin", entry("offset", "8") + entry("length", "8"))), DType::kF32), expected);
  EXPECT_EQ(values(tensor({2}, 1, external("w.bin", entry("offset", "8"))), DType::kF32), expected);
  EXPECT_EQ(values(tensor({2}, 1, external("./sub//w.bin")), DType::kF32), expected);
  EXPECT_EQ(values(tensor({2}, 1, external("link")), DType::kF32), expected);
  EXPECT_EQ(values(tensor({2}, 9, external("flags")), DType::kBool), (Values{0, 1}));
}

TEST_F(PayloadTest, ExternalDataOfABareFileName) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  write("m.onnx", number(1, 8) + block(7, block(5, tensor({2}, 1, external("w.bin"))) + block(5, tensor({2}, 1, external("up/w.bin")))));
  write("w.bin", kHalfAndTwo);
  std::filesystem::create_symlink("..", "up");
  Result<MappedFile> file = MappedFile::open("m.onnx");
  ASSERT_TRUE(file.ok());
  const Result<Model> model = read_model(file->bytes(), "m.onnx", {});
  ASSERT_TRUE(model.ok());
  PayloadReader reader(std::make_shared<const MappedFile>(std::move(file).value()), "m.onnx");
  EXPECT_TRUE(reader.read(model->graph.initializers.at(0)).ok());
  EXPECT_FALSE(reader.read(model->graph.initializers.at(1)).ok());
  std::filesystem::current_path(before);
}

TEST_F(PayloadTest, ExternalDataElsewhereIsUnsafe) {
  std::filesystem::create_directories(folder_ / "model" / "sub");
  std::filesystem::create_directories(folder_ / "model-2");
  for (const char* file : {"w.bin", "model/w.bin", "model-2/w.bin"}) write(folder_ / file, kHalfAndTwo);
  std::filesystem::create_symlink(folder_ / "w.bin", folder_ / "model" / "link");
  std::filesystem::create_symlink("..", folder_ / "model" / "up");
  std::filesystem::create_symlink(folder_ / "model-2", folder_ / "model" / "sibling");
  const std::string locations[] = {"../w.bin",          "sub/../w.bin", "sub/../../w.bin", (folder_ / "model" / "w.bin").string(),
                                   "link",              "up/w.bin",     "sibling/w.bin",   std::string("w.bin\0/../x", 11),
                                   "../model-2/w.bin", ".."};
  for (const std::string& location : locations) {
    EXPECT_EQ(code_of(tensor({2}, 1, external(location))), ErrorCode::kUnsafePath) << location;
  }
}

TEST_F(PayloadTest, ExternalDataThatIsNotThere) {
  std::filesystem::create_directories(folder_ / "model" / "sub");
  write(folder_ / "model" / "w.bin", kHalfAndTwo);
  ASSERT_EQ(::mkfifo((folder_ / "model" / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("nowhere", folder_ / "model" / "dangling");
  for (const char* location : {"missing", "pipe", "sub", ".", "w.bin/", "w.bin/x", "dangling", "sub\\w.bin"}) {
    EXPECT_EQ(code_of(tensor({2}, 1, external(location))), ErrorCode::kReadFailed) << location;
  }
}

TEST_F(PayloadTest, ExternalDataThatDoesNotHoldTheTensor) {
  std::filesystem::create_directories(folder_ / "model");
  write(folder_ / "model" / "w.bin", kHalfAndTwo);
  const auto code = [&](const std::string& more) { return code_of(tensor({2}, 1, external("w.bin", more))); };
  EXPECT_EQ(code(""), std::nullopt);
  EXPECT_EQ(code(entry("offset", "1")), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code(entry("offset", "9")), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code(entry("offset", "9223372036854775807")), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code(entry("offset", "9223372036854775808")), ErrorCode::kMalformedInput);
  EXPECT_EQ(code(entry("length", "4")), ErrorCode::kMalformedInput);
  EXPECT_EQ(code(entry("length", "9223372036854775807")), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(tensor({0}, 1, external("w.bin", entry("offset", "8")))), std::nullopt);
  EXPECT_EQ(code_of(tensor({1ULL << 40}, 1, external("w.bin"))), ErrorCode::kTruncatedInput);
}

}  // namespace
}  // namespace smelt::onnx_format
