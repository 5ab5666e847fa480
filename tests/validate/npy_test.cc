#include "validate/npy.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "need.h"
#include "temp_folder.h"

namespace smelt::parity {
namespace {

using ByteVector = std::vector<std::byte>;

ByteVector bytes_of(const std::string& text) {
  ByteVector out(text.size());
  if (!text.empty()) std::memcpy(out.data(), text.data(), text.size());
  return out;
}

std::string le(std::uint64_t value, int size) {
  std::string out;
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

std::string as_text(const ByteVector& bytes) {
  std::string out;
  for (const std::byte byte : bytes) out += static_cast<char>(byte);
  return out;
}

/// A version 1.0 file with any header.
std::string npy(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + le(header.size(), 2) + header + data;
}

Result<HostTensor> parse(const std::string& text, const NpyLimits& limits = {}) { return parse_npy(bytes_of(text), "a.npy", limits); }

ErrorCode code_of(const std::string& text, const NpyLimits& limits = {}) {
  const Result<HostTensor> result = parse(text, limits);
  return result.ok() ? ErrorCode::kInternal : result.error().code();
}

HostTensor some_tensor(DType dtype, std::vector<std::int64_t> shape) {
  const auto count = static_cast<std::uint64_t>(element_count(shape).value());
  HostTensor tensor{.dtype = dtype, .shape = std::move(shape), .bytes = ByteVector(packed_bytes(dtype, count).value())};
  for (std::size_t i = 0; i < tensor.bytes.size(); ++i) {
    tensor.bytes[i] = static_cast<std::byte>(dtype == DType::kBool ? i % 2 : (i * 7 + 1) % 251);
  }
  return tensor;
}

TEST(Npy, RoundTripsEveryDType) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kF64, DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32,
                            DType::kU32, DType::kI64, DType::kU64, DType::kBool}) {
    for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{{}, {5}, {2, 3}, {3, 0, 2}, {1, 2, 3, 4}}) {
      const HostTensor tensor = some_tensor(dtype, shape);
      const ByteVector bytes = format_npy(tensor);
      EXPECT_EQ((bytes.size() - tensor.bytes.size()) % 64, 0U);
      const Result<HostTensor> back = parse_npy(bytes, "a.npy", {});
      ASSERT_TRUE(back.ok()) << back.error().to_string();
      EXPECT_EQ(*back, tensor) << type_text(dtype, shape);
    }
  }
}

TEST(Npy, WritesWhatNumpyWrites) {
  const std::string text = as_text(format_npy(f32_tensor({1}, std::vector<float>{1})));
  EXPECT_EQ(text.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(text.substr(10, 57), "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }");
  EXPECT_EQ(text[127], '\n');
  EXPECT_EQ(text.size(), 132U);
}

TEST(Npy, WidensWhatNumpyLacks) {
  const HostTensor bf16{.dtype = DType::kBF16, .shape = {2}, .bytes = {std::byte{0x80}, std::byte{0x3f}, std::byte{0}, std::byte{0xc0}}};
  EXPECT_EQ(parse_npy(format_npy(bf16), "", {}).value(), f32_tensor({2}, std::vector<float>{1, -2}));
  const HostTensor i4{.dtype = DType::kI4, .shape = {3}, .bytes = {std::byte{0x8f}, std::byte{0x07}}};
  const HostTensor i8 = parse_npy(format_npy(i4), "", {}).value();
  EXPECT_EQ(i8.dtype, DType::kI8);
  EXPECT_EQ(to_doubles(i8), (std::vector<double>{-1, -8, 7}));
  const HostTensor u4{.dtype = DType::kU4, .shape = {1}, .bytes = {std::byte{0x0f}}};
  EXPECT_EQ(parse_npy(format_npy(u4), "", {}).value().dtype, DType::kU8);
}

TEST(Npy, OrdersOfAxesAndBytes) {
  const std::string data("\x00\x01\x02\x03\x04\x05", 6);  // columns of [2, 3]
  const HostTensor fortran = parse(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", data)).value();
  EXPECT_EQ(fortran.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(to_doubles(fortran), (std::vector<double>{0, 2, 4, 1, 3, 5}));
  const HostTensor big = parse(npy("{'descr': '>u2', 'fortran_order': False, 'shape': (3,)}", data)).value();
  EXPECT_EQ(to_doubles(big), (std::vector<double>{1, 0x203, 0x405}));
  // Both, of rank 3: element (i, j, k) of [2, 2, 2] is at i + 2 j + 4 k.
  std::string wide;
  for (int i = 0; i < 8; ++i) wide += std::string("\x00", 1) + static_cast<char>(i);
  const HostTensor both = parse(npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2, 2)}", wide)).value();
  EXPECT_EQ(to_doubles(both), (std::vector<double>{0, 4, 2, 6, 1, 5, 3, 7}));
}

TEST(Npy, OtherFormsOfTheHeader) {
  const std::string dict = "{\"shape\": (1L, ), 'fortran_order':False,\t'descr': '<u1'} \n";
  EXPECT_TRUE(parse(npy(dict, "x")).ok());
  for (const char major : {'\x02', '\x03'}) {
    EXPECT_TRUE(parse(std::string("\x93NUMPY") + major + '\0' + le(dict.size(), 4) + dict + "x").ok());
  }
  const std::string scalar = npy("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", "\x01");
  EXPECT_TRUE(parse(scalar).value().shape.empty());
}

TEST(Npy, MalformedHeaders) {
  for (const char* header : {
           "", "{", "{}", "[]", "{'descr'}", "{'descr': '<f4'}", "{'descr: '<f4'}", "{descr: '<f4'}",
           "{'descr': '<u1', 'fortran_order': False, 'shape': (1)}", "{'descr': '<u1', 'fortran_order': False, 'shape': (1 1)}",
           "{'descr': '<u1', 'fortran_order': False, 'shape': (,)}", "{'descr': '<u1', 'fortran_order': False, 'shape': (-1,)}",
           "{'descr': '<u1', 'fortran_order': False, 'shape': (1,", "{'descr': '<u1', 'fortran_order': False, 'shape': (1,)} x",
           "{'descr': '<u1', 'fortran_order': 0, 'shape': (1,)}", "{'descr': '<u1', 'fortran_order': False, 'shape': (1.5,)}",
           "{'descr': '<u1', 'descr': '<u1', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<u1', 'fortran_order': False, 'shape': (1,), 'more': 1}",
           "{'descr': '<u1', 'fortran_order': False, 'shape': (9223372036854775808,)}",
           "{'descr': '<\\x75', 'fortran_order': False, 'shape': (1,)}"}) {
    EXPECT_EQ(code_of(npy(header, "x")), ErrorCode::kMalformedInput) << header;
  }
}

TEST(Npy, OtherCodes) {
  for (const char* descr : {"'<V2'", "'|O'", "'<U4'", "'<c8'", "'<M8[ns]'", "'=f4'", "'|f4'", "'f4'", "''", "'<f16'", "[('a', '<f4')]"}) {
    const std::string header = std::string("{'descr': ") + descr + ", 'fortran_order': False, 'shape': (1,)}";
    EXPECT_EQ(code_of(npy(header, "xxxx")), ErrorCode::kUnsupported) << descr;
  }
  const std::string header = "{'descr': '<u1', 'fortran_order': False, 'shape': (2,)}";
  EXPECT_EQ(code_of(npy(header, "x")), ErrorCode::kTruncatedInput);
  EXPECT_EQ(code_of(npy(header, "xxx")), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", "\x01\x02")), ErrorCode::kMalformedInput);
  EXPECT_EQ(code_of("PK\x03\x04"), ErrorCode::kNotThisFormat);
  EXPECT_EQ(code_of(std::string("\x93NUMPY\x04\x00\x00\x00", 10)), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), ErrorCode::kLimitReached);
  const std::string huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}";
  EXPECT_EQ(code_of(npy(huge, "")), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}", "")), ErrorCode::kLimitReached);
  EXPECT_EQ(code_of(npy(header, "xx"), {.max_bytes = 1}), ErrorCode::kLimitReached);
  EXPECT_TRUE(parse(npy(header, "xx"), {.max_bytes = 2}).ok());
  std::string ones;
  for (int i = 0; i < 33; ++i) ones += "1,";
  EXPECT_EQ(code_of(npy("{'descr': '<u1', 'fortran_order': False, 'shape': (" + ones + ")}", "x")), ErrorCode::kLimitReached);
}

TEST(Npy, EveryTruncationIsAnError) {
  const std::string text = as_text(format_npy(f32_tensor({2, 2}, std::vector<float>{1, 2, 3, 4})));
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse(text.substr(0, size)).ok()) << size;
}

TEST(Npy, EveryByteChangedDoesNotCrash) {
  std::string text = as_text(format_npy(f32_tensor({2, 2}, std::vector<float>{1, 2, 3, 4})));
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char old = text[i];
    for (const char value : {'\0', '\xff', '9', '(', static_cast<char>(old ^ 1)}) {
      text[i] = value;
      static_cast<void>(parse(text).ok());
    }
    text[i] = old;
  }
}

// ---- archives ----

struct Member {
  std::string name;
  std::string data;
  bool is_deflated = false;
  bool has_local_zip64 = false;    ///< as numpy writes: 32-bit sizes of all ones, the sizes in an extra field
  bool has_central_zip64 = false;
  std::uint64_t flags = 0;
  std::uint64_t crc_change = 0;
  std::int64_t unpacked_change = 0;
  std::string local_name{};        ///< when it is to be another
};

std::string deflate_raw(const std::string& data) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  ByteVector in = bytes_of(data), out(deflateBound(&stream, data.size()) + 16);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return as_text(out);
}

std::string zip(const std::vector<Member>& members, const std::string& comment = "", bool has_zip64_end = false) {
  std::string out, directory;
  for (const Member& member : members) {
    const std::string packed = member.is_deflated ? deflate_raw(member.data) : member.data;
    const ByteVector data = bytes_of(member.data);
    const std::uint64_t crc = crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()) ^ member.crc_change;
    const std::uint64_t unpacked = member.data.size() + static_cast<std::uint64_t>(member.unpacked_change);
    const auto fields = [&](bool is_zip64, std::size_t extra, const std::string& name) {
      return le(45, 2) + le(member.flags, 2) + le(member.is_deflated ? 8 : 0, 2) + le(0x21, 4) + le(crc, 4) +
             le(is_zip64 ? 0xffffffff : packed.size(), 4) + le(is_zip64 ? 0xffffffff : unpacked, 4) + le(name.size(), 2) + le(extra, 2);
    };
    const std::string extra = le(1, 2) + le(16, 2) + le(unpacked, 8) + le(packed.size(), 8);
    const std::string name = member.local_name.empty() ? member.name : member.local_name;
    directory += "PK\x01\x02" + le(45, 2) + fields(member.has_central_zip64, member.has_central_zip64 ? extra.size() + 8 : 0, member.name) +
                 le(0, 2) + le(0, 8) + le(out.size(), 4) + member.name;
    if (member.has_central_zip64) directory += le(0x5455, 2) + le(4, 2) + "time" + extra;
    out += "PK\x03\x04" + fields(member.has_local_zip64, member.has_local_zip64 ? extra.size() : 0, name) + name;
    if (member.has_local_zip64) out += extra;
    out += packed;
  }
  const std::size_t at = out.size();
  out += directory;
  if (has_zip64_end) {
    const std::size_t end = out.size();
    out += "PK\x06\x06" + le(44, 8) + le(45, 2) + le(45, 2) + le(0, 8) + le(members.size(), 8) + le(members.size(), 8) +
           le(directory.size(), 8) + le(at, 8);
    out += "PK\x06\x07" + le(0, 4) + le(end, 8) + le(1, 4);
    out += "PK\x05\x06" + le(0, 4) + le(0xffff, 2) + le(0xffff, 2) + le(0xffffffff, 4) + le(0xffffffff, 4);
  } else {
    out += "PK\x05\x06" + le(0, 4) + le(members.size(), 2) + le(members.size(), 2) + le(directory.size(), 4) + le(at, 4);
  }
  return out + le(comment.size(), 2) + comment;
}

class Npz : public TempFolderTest {
 protected:
  Result<std::vector<NpyEntry>> read(const std::string& text, const NpyLimits& limits = {}) {
    const std::filesystem::path path = folder_ / "a.npz";
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size()));
    return read_npz(path, limits);
  }

  ErrorCode code(const std::string& text, const NpyLimits& limits = {}) {
    const auto result = read(text, limits);
    return result.ok() ? ErrorCode::kInternal : result.error().code();
  }

  HostTensor tensor_ = f32_tensor({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  std::string array_ = as_text(format_npy(tensor_));
};

TEST_F(Npz, RoundTrip) {
  const std::vector<NpyEntry> entries{{"b", tensor_}, {"a/\xc3\xa9", some_tensor(DType::kI64, {0})}, {"s", some_tensor(DType::kBool, {})}};
  ASSERT_TRUE(write_npz(folder_ / "one.npz", entries).ok());
  ASSERT_TRUE(write_npz(folder_ / "two.npz", entries).ok());
  const auto back = read_npz(folder_ / "one.npz", {});
  ASSERT_TRUE(back.ok()) << back.error().to_string();
  ASSERT_EQ(back->size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*back)[i].name, entries[i].name);
    EXPECT_EQ((*back)[i].tensor, entries[i].tensor);
  }
  const auto content = [&](const char* name) {
    std::ifstream in(folder_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(content("one.npz"), content("two.npz"));
  const Status again = write_npz(folder_ / "one.npz", entries);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kOutputExists);
}

TEST_F(Npz, NamesMustBeDistinct) {
  const std::vector<NpyEntry> twice{{"a", tensor_}, {"a", tensor_}};
  EXPECT_EQ(write_npz(folder_ / "a.npz", twice).error().code(), ErrorCode::kInvalidArgument);
  const std::vector<NpyEntry> unnamed{{"", tensor_}};
  EXPECT_EQ(write_npz(folder_ / "a.npz", unnamed).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Npz, StoredDeflatedAndZip64) {
  for (int form = 0; form < 16; ++form) {
    const Member member{.name = "x.npy", .data = array_, .is_deflated = (form & 1) != 0, .has_local_zip64 = (form & 2) != 0,
                        .has_central_zip64 = (form & 4) != 0};
    const auto entries = read(zip({member, {.name = "readme.txt", .data = "hello"}}, "a comment", (form & 8) != 0));
    ASSERT_TRUE(entries.ok()) << form << entries.error().to_string();
    ASSERT_EQ(entries->size(), 1U);
    EXPECT_EQ((*entries)[0].name, "x");
    EXPECT_EQ((*entries)[0].tensor, tensor_);
  }
  EXPECT_TRUE(read(zip({})).value().empty());
}

TEST_F(Npz, EveryTruncationIsAnError) {
  for (const bool is_deflated : {false, true}) {
    const std::string text = zip({{.name = "x.npy", .data = array_, .is_deflated = is_deflated, .has_local_zip64 = true}}, "", is_deflated);
    for (std::size_t size = 0; size < text.size(); ++size) {
      const ErrorCode got = code(text.substr(0, size));
      EXPECT_TRUE(got == ErrorCode::kTruncatedInput || got == ErrorCode::kMalformedInput) << size;
    }
  }
}

TEST_F(Npz, EveryByteChangedIsAnErrorOrTheSame) {
  std::string text = zip({{.name = "x.npy", .data = array_, .is_deflated = true, .has_local_zip64 = true, .has_central_zip64 = true}}, "", true);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char old = text[i];
    for (const char value : {'\0', '\x7f', '\xff', static_cast<char>(old ^ 1)}) {
      text[i] = value;
      const auto entries = read(text);
      if (!entries.ok()) continue;
      for (const NpyEntry& entry : *entries) EXPECT_EQ(entry.tensor, tensor_) << i;  // the checksum sees every other change
    }
    text[i] = old;
  }
}

TEST_F(Npz, Lies) {
  const auto one = [&](Member member) {
    member.name = member.name.empty() ? "x.npy" : member.name;
    member.data = array_;
    return code(zip({member}));
  };
  EXPECT_EQ(one({.name = "", .data = "", .crc_change = 1}), ErrorCode::kMalformedInput);
  EXPECT_EQ(one({.name = "", .data = "", .is_deflated = true, .crc_change = 1}), ErrorCode::kMalformedInput);
  EXPECT_EQ(one({.name = "", .data = "", .flags = 1}), ErrorCode::kUnsupported);
  EXPECT_EQ(one({.name = "", .data = "", .unpacked_change = 1}), ErrorCode::kMalformedInput);
  for (const std::int64_t change : {-150, -1, 1, 1000, 1 << 30}) {
    EXPECT_EQ(one({.name = "", .data = "", .is_deflated = true, .unpacked_change = change}), ErrorCode::kMalformedInput) << change;
  }
  EXPECT_EQ(one({.name = "", .data = "", .local_name = "y.npy"}), ErrorCode::kMalformedInput);
  EXPECT_EQ(code(zip({{.name = "x.npy", .data = array_}, {.name = "x.npy", .data = array_}})), ErrorCode::kMalformedInput);
  EXPECT_EQ(code(zip({{.name = "x.npy", .data = "no array"}})), ErrorCode::kNotThisFormat);
  std::string other_method = zip({{.name = "x.npy", .data = array_, .is_deflated = true}});
  for (std::size_t at = 0; (at = other_method.find("\x2d\0\0\0\x08\0", at, 6)) != std::string::npos; ++at) other_method[at + 4] = '\x0c';
  EXPECT_EQ(code(other_method), ErrorCode::kUnsupported);
}

TEST_F(Npz, Limits) {
  const std::string two = zip({{.name = "x.npy", .data = array_}, {.name = "y.npy", .data = array_, .is_deflated = true}});
  EXPECT_EQ(code(two, {.max_bytes = 23}), ErrorCode::kLimitReached);
  EXPECT_EQ(code(two, {.max_bytes = 47}), ErrorCode::kLimitReached);  // of all arrays together too
  EXPECT_TRUE(read(two, {.max_bytes = 48}).ok());
  EXPECT_EQ(code(two, {.max_entries = 1}), ErrorCode::kLimitReached);
  EXPECT_TRUE(read(two, {.max_entries = 2}).ok());
  const std::string zeros = as_text(format_npy({.dtype = DType::kU8, .shape = {1 << 20}, .bytes = ByteVector(1 << 20)}));
  EXPECT_TRUE(read(zip({{.name = "z.npy", .data = zeros, .is_deflated = true}})).ok());  // about 1000 to 1
  EXPECT_EQ(code(zip({{.name = "z.npy", .data = zeros, .is_deflated = true}}), {.max_bytes = 1000}), ErrorCode::kLimitReached);
}

TEST_F(Npz, OtherFiles) {
  EXPECT_EQ(code(array_), ErrorCode::kNotThisFormat);
  EXPECT_EQ(code("x"), ErrorCode::kNotThisFormat);
  EXPECT_EQ(code(""), ErrorCode::kTruncatedInput);
  EXPECT_EQ(read_npz(folder_, {}).error().code(), ErrorCode::kReadFailed);
  EXPECT_EQ(read_npy(folder_ / "none", {}).error().code(), ErrorCode::kReadFailed);
}

TEST_F(Npz, EvaluationSet) {
  const std::filesystem::path path = std::filesystem::path(SMELT_FIXTURES) / "models/digits_cnn/eval.npz";
  const auto entries = read_npz(path, {});
  ASSERT_TRUE(entries.ok()) << entries.error().to_string();
  ASSERT_EQ(entries->size(), 2U);
  for (const NpyEntry& entry : *entries) {
    const bool is_image = entry.name == "image";
    EXPECT_TRUE(is_image || entry.name == "label") << entry.name;
    EXPECT_EQ(type_text(entry.tensor.dtype, entry.tensor.shape), is_image ? "f32[597, 1, 8, 8]" : "i64[597]");
    for (const double value : to_doubles(entry.tensor)) ASSERT_TRUE(is_image || (value >= 0 && value <= 9));
  }
}

TEST_F(Npz, WholeCorpusReads) {
  SMELT_NEED("corpus", SMELT_CORPUS);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SMELT_CORPUS)) {
    if (entry.path().extension() != ".npz") continue;
    ++files;
    const auto arrays = read_npz(entry.path(), {});
    EXPECT_TRUE(arrays.ok()) << arrays.error().to_string();
  }
  EXPECT_GT(files, 0U);
}

}  // namespace
}  // namespace smelt::parity
