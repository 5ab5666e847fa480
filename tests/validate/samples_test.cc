#include "validate/samples.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "proto_bytes.h"
#include "temp_folder.h"
#include "validate/npy.h"
#include "validate/tensor_proto.h"

namespace smelt::parity {
namespace {

constexpr std::array kAllDTypes{DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI8,   DType::kU8, DType::kI16, DType::kU16,
                                DType::kI32, DType::kU32, DType::kI64,  DType::kU64, DType::kBool, DType::kI4, DType::kU4};

HostTensor i64s(std::vector<std::int64_t> shape, std::vector<std::int64_t> values) { return i64_tensor(std::move(shape), values); }
HostTensor f32s(std::vector<std::int64_t> shape, std::vector<float> values) { return f32_tensor(std::move(shape), values); }

std::vector<double> values(const SampleSource& source, std::uint64_t index, std::size_t input = 0) {
  return to_doubles(source.sample(index).value().at(input).tensor);
}

// ---- generated ----

TEST(Generated, ExactDTypesAndShapes) {
  for (const DType dtype : kAllDTypes) {
    const auto source = generated_samples({{.name = "x", .dtype = dtype, .shape = {2, 3}}}, 4, 1);
    EXPECT_EQ(source->count(), 4U);
    EXPECT_EQ(source->method(), "generated");
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::vector<NamedArray> arrays = source->sample(i).value();
      ASSERT_EQ(arrays.size(), 1U);
      EXPECT_EQ(arrays[0].name, "x");
      EXPECT_EQ(arrays[0].tensor.dtype, dtype);
      EXPECT_EQ(arrays[0].tensor.shape, (std::vector<std::int64_t>{2, 3}));
      EXPECT_EQ(arrays[0].tensor.bytes.size(), packed_bytes(dtype, 6).value());
      for (const double value : to_doubles(arrays[0].tensor)) {
        EXPECT_LE(std::abs(value), is_float(dtype) ? 6 : dtype == DType::kBool ? 1 : 9);
        EXPECT_TRUE(is_float(dtype) || value >= 0);
      }
    }
    EXPECT_FALSE(source->label(0).has_value());
    EXPECT_TRUE(source->expected(0).value().empty());
    EXPECT_EQ(source->sample(4).error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Generated, StandardNormal) {
  const std::vector<double> x = values(*generated_samples({{.name = "x", .dtype = DType::kF32, .shape = {100000}}}, 1, 7), 0);
  double sum = 0, squares = 0;
  std::size_t beyond_two = 0;
  for (const double value : x) {
    sum += value;
    squares += value * value;
    beyond_two += std::abs(value) > 2 ? 1U : 0U;
  }
  const auto n = static_cast<double>(x.size());
  EXPECT_NEAR(sum / n, 0, 0.015);
  EXPECT_NEAR(squares / n, 1, 0.02);
  EXPECT_NEAR(static_cast<double>(beyond_two) / n, 0.0455, 0.005);
}

TEST(Generated, SamplesAreDistinctAndRepeatable) {
  const std::vector<InputSpec> inputs{{.name = "x", .dtype = DType::kF32, .shape = {8}}, {.name = "y", .dtype = DType::kF32, .shape = {8}}};
  const auto a = generated_samples(inputs, 3, 5);
  const auto b = generated_samples(inputs, 300, 5);
  EXPECT_EQ(values(*a, 2), values(*b, 2));  // whatever the count, and without the earlier ones
  EXPECT_EQ(values(*a, 0, 1), values(*b, 0, 1));
  EXPECT_NE(values(*a, 0), values(*a, 1));
  EXPECT_NE(values(*a, 0, 0), values(*a, 0, 1));
  EXPECT_NE(values(*a, 0, 0), values(*a, 1, 1));
  EXPECT_NE(values(*a, 0), values(*generated_samples(inputs, 3, 6), 0));
  EXPECT_NE(values(*a, 1), values(*generated_samples(inputs, 3, 6), 0));
  EXPECT_EQ(a->digest().value(), generated_samples(inputs, 3, 5)->digest().value());
  EXPECT_NE(a->digest().value(), generated_samples(inputs, 3, 6)->digest().value());
}

// The bytes are part of what a report's digest means: changing them is a change of behaviour. The value is that of a second implementation, in Python.
TEST(Generated, BytesAreFixed) {
  std::vector<InputSpec> inputs;
  for (const DType dtype : kAllDTypes) inputs.push_back({.name = "x", .dtype = dtype, .shape = {3, 5}});
  inputs.push_back({.name = "i", .dtype = DType::kI64, .shape = {7}, .role = InputRole::kIndex, .index_bound = 30522});
  inputs.push_back({.name = "m", .dtype = DType::kI64, .shape = {2, 9}, .role = InputRole::kMask});
  EXPECT_EQ(generated_samples(inputs, 3, 42)->digest().value(), "5068d75b1c43b60e1baa9060615ceb12a4fae20476e49ba55c2cf1404a4d255c");
}

TEST(Generated, Indices) {
  for (const DType dtype : {DType::kI64, DType::kI32, DType::kU8, DType::kF32}) {
    const InputSpec input{.name = "x", .dtype = dtype, .shape = {1000}, .role = InputRole::kIndex, .index_bound = 3};
    std::array<int, 3> seen{};
    for (const double value : values(*generated_samples({input}, 1, 0), 0)) ++seen.at(static_cast<std::size_t>(value));
    for (const int count : seen) EXPECT_GT(count, 250);
  }
  const auto code = [](DType dtype, std::int64_t bound) {
    const InputSpec input{.name = "x", .dtype = dtype, .shape = {1}, .role = InputRole::kIndex, .index_bound = bound};
    const auto sample = generated_samples({input}, 1, 0)->sample(0);
    return sample.ok() ? ErrorCode::kInternal : sample.error().code();
  };
  EXPECT_EQ(code(DType::kI64, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kI64, -1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kI8, 129), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kI8, 128), ErrorCode::kInternal);
  EXPECT_EQ(code(DType::kI64, std::numeric_limits<std::int64_t>::max()), ErrorCode::kInternal);
  EXPECT_EQ(code(DType::kU4, 17), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kBool, 2), ErrorCode::kInternal);
}

TEST(Generated, MasksAreAPrefix) {
  for (const DType dtype : kAllDTypes) {
    const InputSpec input{.name = "x", .dtype = dtype, .shape = {50, 7}, .role = InputRole::kMask};
    const std::vector<double> mask = values(*generated_samples({input}, 1, 3), 0);
    std::array<int, 8> lengths{};
    for (std::size_t row = 0; row < 50; ++row) {
      std::size_t ones = 0;
      while (ones < 7 && mask[row * 7 + ones] == 1) ++ones;
      for (std::size_t i = ones; i < 7; ++i) EXPECT_EQ(mask[row * 7 + i], 0);
      ++lengths.at(ones);
    }
    EXPECT_EQ(lengths[0], 0);
    EXPECT_GT(lengths[1], 0);
    EXPECT_GT(lengths[7], 0);
  }
  const InputSpec scalar{.name = "x", .dtype = DType::kI64, .shape = {}, .role = InputRole::kMask};
  EXPECT_EQ(values(*generated_samples({scalar}, 1, 0), 0), std::vector<double>{1});
  const InputSpec empty{.name = "x", .dtype = DType::kI64, .shape = {3, 0}, .role = InputRole::kMask};
  EXPECT_TRUE(values(*generated_samples({empty}, 1, 0), 0).empty());
}

TEST(Generated, ShapesThatCannotBe) {
  const auto code = [](std::vector<std::int64_t> shape) {
    return generated_samples({{.name = "x", .dtype = DType::kF32, .shape = std::move(shape)}}, 1, 0)->sample(0).error().code();
  };
  EXPECT_EQ(code({-1, 3}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({1 << 20, 1 << 20}), ErrorCode::kLimitReached);
  EXPECT_EQ(code({std::int64_t{1} << 40, std::int64_t{1} << 40}), ErrorCode::kLimitReached);
}

// ---- arrays in files ----

class Files : public TempFolderTest {
 protected:
  std::filesystem::path npz(const std::vector<NpyEntry>& entries) {
    const std::filesystem::path path = folder_ / ("data" + std::to_string(++files_) + ".npz");
    EXPECT_TRUE(write_npz(path, entries).ok());
    return path;
  }
  std::filesystem::path write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path, std::ios::binary | std::ios::trunc) << text;
    return folder_ / path;
  }
  std::filesystem::path write_npy(const std::filesystem::path& path, const HostTensor& tensor) {
    std::string text;
    for (const std::byte byte : format_npy(tensor)) text += static_cast<char>(byte);
    return write(path, text);
  }

  InputSpec x_{.name = "x", .dtype = DType::kF32, .shape = {1, 2}};
  InputSpec ids_{.name = "ids", .dtype = DType::kI64, .shape = {1, 2}};
  HostTensor x3_ = f32s({3, 2}, {1, 2, 3, 4, 5, 6});
  HostTensor ids3_ = i64s({3, 2}, {10, 20, 30, 40, 50, 60});
  int files_ = 0;
};

Error error_of(const Result<std::unique_ptr<SampleSource>>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? Error(ErrorCode::kInternal, "no error") : result.error();
}

TEST_F(Files, NpzGivesASampleForEachBatch) {
  const auto path = npz({{"ids", ids3_}, {"mask_position", i64s({1}, {0})}, {"x", x3_}, {"label", i64s({3}, {7, 8, 9})}});
  const auto source = samples_from(path, {}, {x_, ids_}, 0);
  ASSERT_TRUE(source.ok()) << source.error().to_string();
  EXPECT_EQ((*source)->count(), 3U);
  EXPECT_EQ((*source)->method(), "npz");
  EXPECT_EQ((*source)->label(1), 8);
  EXPECT_FALSE((*source)->label(3).has_value());
  EXPECT_TRUE((*source)->expected(0).value().empty());
  const std::vector<NamedArray> arrays = (*source)->sample(1).value();
  ASSERT_EQ(arrays.size(), 2U);
  EXPECT_EQ(arrays[0].name, "x");
  EXPECT_EQ(arrays[0].tensor, f32s({1, 2}, {3, 4}));
  EXPECT_EQ(arrays[1].tensor, i64s({1, 2}, {30, 40}));
  EXPECT_EQ((*source)->sample(3).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Files, LimitCuts) {
  const auto path = npz({{"x", x3_}, {"label", i64s({3}, {7, 8, 9})}});
  const auto source = samples_from(path, {}, {x_}, 2);
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->count(), 2U);
  EXPECT_FALSE((*source)->label(2).has_value());
  EXPECT_EQ(samples_from(path, {}, {x_}, 9).value()->count(), 3U);
}

TEST_F(Files, BatchesAndScalars) {
  InputSpec batch = x_;
  batch.shape = {3, 2};
  EXPECT_EQ(samples_from(npz({{"x", x3_}}), {}, {batch}, 0).value()->count(), 1U);
  batch.shape = {2, 2};
  EXPECT_EQ(error_of(samples_from(npz({{"x", x3_}}), {}, {batch}, 0)).code(), ErrorCode::kInvalidArgument);
  const InputSpec scalar{.name = "x", .dtype = DType::kF32, .shape = {}};
  EXPECT_EQ(values(*samples_from(npz({{"x", f32s({2}, {4, 5})}}), {}, {scalar}, 0).value(), 1), std::vector<double>{5});
  EXPECT_EQ(samples_from(npz({{"x", f32s({}, {4})}}), {}, {scalar}, 0).value()->count(), 1U);
}

TEST_F(Files, ErrorsNameWhatDisagrees) {
  const auto path = npz({{"x", x3_}, {"other", x3_}});
  const Error missing = error_of(samples_from(path, {}, {ids_}, 0));
  EXPECT_EQ(missing.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(missing.message().find("\"ids\""), std::string::npos);
  EXPECT_NE(missing.message().find("x, other"), std::string::npos);
  EXPECT_EQ(missing.location().file, path.string());
  InputSpec wide = x_;
  wide.shape = {1, 5};
  const Error shape = error_of(samples_from(path, {}, {wide}, 0));
  EXPECT_NE(shape.message().find("f32[3, 2]"), std::string::npos);
  EXPECT_NE(shape.message().find("f32[1, 5]"), std::string::npos);
  EXPECT_FALSE(samples_from(npz({{"x", x3_}, {"ids", i64s({1, 2}, {1, 2})}}), {}, {x_, ids_}, 0).ok());
  EXPECT_FALSE(samples_from(npz({{"x", f32s({0, 2}, {})}}), {}, {x_}, 0).ok());
  EXPECT_FALSE(samples_from(npz({{"x", f32s({2}, {1, 2})}}), {}, {x_}, 0).ok());
  EXPECT_FALSE(samples_from(path, {}, {}, 0).ok());
  EXPECT_EQ(error_of(samples_from(folder_ / "none", {}, {x_}, 0)).code(), ErrorCode::kReadFailed);
  EXPECT_EQ(error_of(samples_from(write_npy("x.npy", x3_), {}, {x_}, 0)).code(), ErrorCode::kNotThisFormat);
}

TEST_F(Files, WidthsConvertWhenEveryValueFits) {
  for (const DType dtype : {DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32, DType::kU32, DType::kU64}) {
    InputSpec narrow = ids_;
    narrow.dtype = dtype;
    const auto source = samples_from(npz({{"ids", ids3_}}), {}, {narrow}, 0);
    ASSERT_TRUE(source.ok()) << source.error().to_string();
    EXPECT_EQ((*source)->sample(2).value()[0].tensor.dtype, dtype);
    EXPECT_EQ(values(**source, 2), (std::vector<double>{50, 60}));
  }
  InputSpec small = ids_;
  small.dtype = DType::kI8;
  const auto path = npz({{"ids", i64s({3, 2}, {0, 0, 0, 0, 0, 128})}});
  const Error over = error_of(samples_from(path, {}, {small}, 0));
  EXPECT_NE(over.message().find("128"), std::string::npos);
  EXPECT_TRUE(samples_from(path, {}, {small}, 2).ok());  // what is cut off need not fit
  small.dtype = DType::kBool;
  EXPECT_TRUE(samples_from(npz({{"ids", i64s({1, 2}, {0, 1})}}), {}, {small}, 0).ok());
  EXPECT_FALSE(samples_from(npz({{"ids", i64s({1, 2}, {0, 2})}}), {}, {small}, 0).ok());
  small.dtype = DType::kI4;
  small.shape = {1, 3};
  const auto packed = samples_from(npz({{"ids", i64s({2, 3}, {-8, 7, 1, 2, 3, -1})}}), {}, {small}, 0);
  ASSERT_TRUE(packed.ok());
  EXPECT_EQ(values(**packed, 1), (std::vector<double>{2, 3, -1}));
  const HostTensor huge{.dtype = DType::kU64, .shape = {1, 2}, .bytes = std::vector<std::byte>(16, std::byte{0xff})};
  EXPECT_FALSE(samples_from(npz({{"ids", huge}}), {}, {ids_}, 0).ok());
}

TEST_F(Files, FloatsConvertWhenExact) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF64}) {
    InputSpec other = x_;
    other.dtype = dtype;
    EXPECT_EQ(values(*samples_from(npz({{"x", x3_}}), {}, {other}, 0).value(), 1), (std::vector<double>{3, 4}));
    const float inf = std::numeric_limits<float>::infinity();
    const auto special = samples_from(npz({{"x", f32s({1, 2}, {-inf, std::nanf("")})}}), {}, {other}, 0);
    ASSERT_TRUE(special.ok());
    EXPECT_TRUE(std::isinf(values(**special, 0)[0]));
    EXPECT_TRUE(std::isnan(values(**special, 0)[1]));
    const bool is_exact = samples_from(npz({{"x", f32s({1, 2}, {1, 1.0001F})}}), {}, {other}, 0).ok();
    EXPECT_EQ(is_exact, dtype == DType::kF64);
  }
  HostTensor wide{.dtype = DType::kF64, .shape = {1, 2}, .bytes = std::vector<std::byte>(16)};
  EXPECT_TRUE(samples_from(npz({{"x", wide}}), {}, {x_}, 0).ok());
  const double large = 1e300;
  std::memcpy(wide.bytes.data(), &large, 8);
  EXPECT_FALSE(samples_from(npz({{"x", wide}}), {}, {x_}, 0).ok());
  EXPECT_FALSE(samples_from(npz({{"x", ids3_}}), {}, {x_}, 0).ok());
  EXPECT_FALSE(samples_from(npz({{"ids", x3_}}), {}, {ids_}, 0).ok());
}

TEST_F(Files, Labels) {
  const auto path = npz({{"x", x3_}, {"label", i64s({3}, {7, 8, 9})}});
  EXPECT_EQ(samples_from(path, write("a.tsv", "some text\t1\ntwo\twords\t2\r\n3"), {x_}, 0).value()->label(1), 2);
  EXPECT_EQ(samples_from(path, write("a.txt", "4\n5\n-6\n"), {x_}, 0).value()->label(2), -6);
  for (const char* text : {"1\n2\n", "1\n2\n3\n4\n", ""}) {
    EXPECT_EQ(error_of(samples_from(path, write("b.txt", text), {x_}, 0)).code(), ErrorCode::kInvalidArgument) << text;
  }
  for (const char* text : {"1\nx\n3\n", "1\n\n3\n", "1\n2 \n3\n", "1\n99999999999999999999\n3\n", "a\t1\n"}) {
    EXPECT_EQ(error_of(samples_from(path, write("b.txt", text), {x_}, 0)).code(), ErrorCode::kMalformedInput) << text;
  }
  EXPECT_EQ(error_of(samples_from(path, folder_ / "none.txt", {x_}, 0)).code(), ErrorCode::kReadFailed);
  for (const HostTensor& label : {i64s({2}, {1, 2}), f32s({3}, {1, 2, 3}),
                                  HostTensor{.dtype = DType::kU64, .shape = {3}, .bytes = std::vector<std::byte>(24, std::byte{0xff})}}) {
    EXPECT_FALSE(samples_from(npz({{"x", x3_}, {"label", label}}), {}, {x_}, 0).ok());
  }
  const HostTensor narrow{.dtype = DType::kU8, .shape = {3, 1}, .bytes = std::vector<std::byte>(3, std::byte{200})};
  EXPECT_EQ(samples_from(npz({{"x", x3_}, {"label", narrow}}), {}, {x_}, 0).value()->label(0), 200);
  InputSpec input = x_;
  input.name = "label";
  EXPECT_FALSE(samples_from(npz({{"label", x3_}}), {}, {input}, 0).value()->label(0).has_value());
}

TEST_F(Files, NpyFolder) {
  write_npy("set/x.npy", x3_);
  write_npy("set/ids.npy", ids3_);
  write_npy("set/label.npy", i64s({3}, {1, 2, 3}));
  write("set/unused.npy", "not read");
  write("set/readme.txt", "hello");
  const auto source = samples_from(folder_ / "set", {}, {ids_, x_}, 0);
  ASSERT_TRUE(source.ok()) << source.error().to_string();
  EXPECT_EQ((*source)->method(), "npy folder");
  EXPECT_EQ((*source)->count(), 3U);
  EXPECT_EQ((*source)->label(2), 3);
  const auto other = samples_from(npz({{"x", x3_}, {"ids", ids3_}}), {}, {ids_, x_}, 0);
  EXPECT_EQ((*source)->digest().value(), (*other)->digest().value());
  EXPECT_NE((*source)->digest().value(), samples_from(folder_ / "set", {}, {ids_, x_}, 2).value()->digest().value());
  InputSpec outside = x_;
  outside.name = "../set/x";
  const Error error = error_of(samples_from(folder_ / "set", {}, {outside}, 0));
  EXPECT_NE(error.message().find("ids, label, unused, x"), std::string::npos);
}

TEST_F(Files, EvaluationSet) {
  const std::filesystem::path path = std::filesystem::path(SMELT_FIXTURES) / "models/digits_cnn/eval.npz";
  const auto source = samples_from(path, {}, {{.name = "image", .dtype = DType::kF32, .shape = {1, 1, 8, 8}}}, 0);
  ASSERT_TRUE(source.ok()) << source.error().to_string();
  EXPECT_EQ((*source)->count(), 597U);
  for (std::uint64_t i = 0; i < 597; ++i) {
    ASSERT_TRUE((*source)->label(i).has_value());
    ASSERT_LT((*source)->label(i).value(), 10);
  }
  EXPECT_EQ((*source)->digest().value().size(), 64U);
}

// ---- ONNX test data ----

std::string raw(const HostTensor& tensor) {
  std::string out;
  for (const std::byte byte : tensor.bytes) out += static_cast<char>(byte);
  return out;
}
std::string head(std::uint64_t type, const std::vector<std::int64_t>& dims) {
  std::string out;
  for (const std::int64_t dim : dims) out += number(1, static_cast<std::uint64_t>(dim));
  return out + number(2, type);
}
std::string proto(const HostTensor& tensor, const std::string& name = "") {
  return head(tensor.dtype == DType::kF32 ? 1 : 7, tensor.shape) + (name.empty() ? "" : block(8, name)) + block(9, raw(tensor));
}

Result<ProtoTensor> parse(const std::string& text, const NpyLimits& limits = {}) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return parse_tensor_proto(bytes, "a.pb", limits);
}
ErrorCode code_of(const std::string& text, const NpyLimits& limits = {}) {
  const auto result = parse(text, limits);
  return result.ok() ? ErrorCode::kInternal : result.error().code();
}

TEST(Proto, RawAndTypedData) {
  const HostTensor tensor = f32s({2}, {1, -2});
  EXPECT_EQ(parse(proto(tensor, "x")).value().tensor, tensor);
  EXPECT_EQ(parse(proto(tensor, "x")).value().name, "x");
  EXPECT_EQ(parse(head(1, {2}) + block(4, raw(tensor))).value().tensor, tensor);
  EXPECT_EQ(parse(block(4, raw(tensor)) + block(1, varint(2)) + number(2, 1)).value().tensor, tensor);  // any order, packed dims
  const std::string alone = varint(4 << 3 | 5);
  EXPECT_EQ(parse(head(1, {2}) + alone + raw(tensor).substr(0, 4) + alone + raw(tensor).substr(4)).value().tensor, tensor);
  const std::uint64_t minus = ~std::uint64_t{0};
  EXPECT_EQ(parse(head(7, {2}) + block(7, varint(minus) + varint(5))).value().tensor, i64s({2}, {-1, 5}));
  EXPECT_EQ(parse(head(7, {2}) + number(7, minus) + number(7, 5)).value().tensor, i64s({2}, {-1, 5}));
  const auto ints = [](std::uint64_t type, int field, std::uint64_t value) {
    return to_doubles(parse(head(type, {}) + number(field, value)).value().tensor).at(0);
  };
  EXPECT_EQ(ints(3, 5, minus - 127), -128);
  EXPECT_EQ(ints(2, 5, 255), 255);
  EXPECT_EQ(ints(9, 5, 1), 1);
  EXPECT_EQ(ints(10, 5, 0x3c00), 1);
  EXPECT_EQ(ints(16, 5, 0xc000), -2);
  EXPECT_EQ(ints(12, 11, 0xffffffff), 4294967295.0);
  EXPECT_EQ(ints(13, 11, std::uint64_t{1} << 63), 9223372036854775808.0);
  EXPECT_EQ(to_doubles(parse(head(22, {3}) + block(5, varint(0x8f) + varint(7))).value().tensor), (std::vector<double>{-1, -8, 7}));
  EXPECT_EQ(to_doubles(parse(head(11, {1}) + block(10, std::string("\0\0\0\0\0\0\xf0\x3f", 8))).value().tensor), std::vector<double>{1});
  EXPECT_TRUE(parse(head(1, {0, 3})).value().tensor.bytes.empty());
}

TEST(Proto, Malformed) {
  const HostTensor tensor = f32s({2}, {1, -2});
  const std::uint64_t minus = ~std::uint64_t{0};
  for (const std::string& text : {
           std::string(), block(9, "xxxx"), head(1, {3}).substr(0, 2) + number(2, 1) + number(2, 0) + number(1, minus),
           head(1, {1}) + block(9, raw(tensor)), head(1, {2}) + block(4, raw(tensor)) + block(9, raw(tensor)),
           head(1, {2}) + block(9, raw(tensor)) + block(9, raw(tensor)), head(1, {1}) + number(5, 1), head(3, {1}) + number(5, 128),
           head(9, {1}) + block(9, "\x02"), head(9, {1}) + number(5, 2), head(12, {1}) + number(11, std::uint64_t{1} << 32),
           head(1, {1}) + block(4, "xxxxx"), head(1, {1}) + number(4, 1), head(1, {1}) + number(9, 1), number(1, minus) + number(2, 1),
           head(1, {1}) + std::string(1, '\x4b'), std::string(1, '\0'), std::string(11, '\xff')}) {
    const ErrorCode code = code_of(text);
    EXPECT_TRUE(code == ErrorCode::kMalformedInput || code == ErrorCode::kUnsupported) << testing::PrintToString(text);
  }
  EXPECT_EQ(code_of(head(1, {2})), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code_of(head(1, {3}) + block(9, raw(tensor))), ErrorCode::kTruncatedInput);
  for (const std::string& text : {head(8, {1}) + block(6, "a"), head(14, {1}), head(17, {1}), head(0, {}), head(1, {1}) + number(14, 1),
                                  head(1, {1}) + block(13, ""), head(1, {1}) + block(3, "")}) {
    EXPECT_EQ(code_of(text), ErrorCode::kUnsupported) << testing::PrintToString(text);
  }
  EXPECT_EQ(code_of(head(1, std::vector<std::int64_t>(33, 1))), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(head(1, {std::int64_t{1} << 40})), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(head(1, {std::int64_t{1} << 40, std::int64_t{1} << 40})), ErrorCode::kLimitReached);
}

TEST(Proto, EveryTruncationAndEveryByte) {
  for (std::string text : {proto(f32s({2}, {1, -2}), "name"), head(7, {3}) + block(7, varint(300) + varint(5) + varint(70000))}) {
    for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse(text.substr(0, size)).ok()) << size;
    for (char& byte : text) {
      const char old = byte;
      for (int value = 0; value < 256; ++value) {
        byte = static_cast<char>(value);
        static_cast<void>(parse(text).ok());
      }
      byte = old;
    }
  }
}

TEST_F(Files, TestDataSets) {
  for (int i = 0; i < 11; ++i) {
    const std::string set = "data/test_data_set_" + std::to_string(i) + "/";
    const auto value = static_cast<float>(i);
    write(set + "input_0.pb", proto(i64s({1, 2}, {i, i}), "ids"));
    write(set + "input_1.pb", proto(f32s({1, 2}, {value, value}), "x"));
    write(set + "output_0.pb", proto(f32s({1}, {value})));
    write(set + "output_1.pb", proto(f32s({2}, {value, value})));
  }
  const auto source = samples_from(folder_ / "data", {}, {x_, ids_}, 0);
  ASSERT_TRUE(source.ok()) << source.error().to_string();
  EXPECT_EQ((*source)->method(), "onnx test data");
  EXPECT_EQ((*source)->count(), 11U);
  EXPECT_EQ(values(**source, 10, 0), (std::vector<double>{10, 10}));  // ordered by number, not by text
  EXPECT_EQ(values(**source, 10, 1), (std::vector<double>{10, 10}));
  EXPECT_EQ((*source)->expected(2).value(), (std::vector<HostTensor>{f32s({1}, {2}), f32s({2}, {2, 2})}));
  EXPECT_FALSE((*source)->expected(11).ok());
  const auto labels = write("labels.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
  const auto cut = samples_from(folder_ / "data", labels, {x_, ids_}, 3);
  ASSERT_TRUE(cut.ok()) << cut.error().to_string();
  EXPECT_EQ((*cut)->count(), 3U);
  EXPECT_EQ((*cut)->label(2), 2);
  EXPECT_EQ(samples_from(folder_ / "data/test_data_set_7", {}, {x_, ids_}, 0).value()->count(), 1U);
}

TEST_F(Files, TestDataByPosition) {
  write("set/input_0.pb", proto(f32s({1, 2}, {1, 2})));
  write("set/input_1.pb", proto(i64s({1, 2}, {3, 4}), "other"));
  EXPECT_EQ(values(*samples_from(folder_ / "set", {}, {x_, ids_}, 0).value(), 0, 1), (std::vector<double>{3, 4}));
  EXPECT_FALSE(samples_from(folder_ / "set", {}, {x_}, 0).ok());
  write("set/input_1.pb", proto(i64s({1, 2}, {3, 4}), "ids"));  // one name is an input's: all must be
  EXPECT_NE(error_of(samples_from(folder_ / "set", {}, {x_, ids_}, 0)).message().find("\"x\""), std::string::npos);
  EXPECT_TRUE(samples_from(folder_ / "set", {}, {ids_}, 0).ok());
  write("set/input_1.pb", proto(ids3_, "ids"));
  EXPECT_FALSE(samples_from(folder_ / "set", {}, {ids_}, 0).ok());  // a set is one sample
  write("set/input_3.pb", "");
  EXPECT_NE(error_of(samples_from(folder_ / "set", {}, {ids_}, 0)).message().find("input_2.pb"), std::string::npos);
}

}  // namespace
}  // namespace smelt::parity
