#include "engine/engine.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <gtest/gtest.h>

#include "need.h"
#include "proto_bytes.h"
#include "temp_folder.h"

namespace smelt::engine {
namespace {

const std::filesystem::path kLibrary = SMELT_TEST_ENGINE_LIBRARY;
const std::filesystem::path kDigits = std::filesystem::path(SMELT_FIXTURES) / "models/digits_cnn/model.onnx";

HostTensor zeros(DType dtype, std::vector<std::int64_t> shape) {
  const std::size_t count = static_cast<std::size_t>(element_count(shape).value());
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::vector<std::byte>(count * bits(dtype) / 8)};
}

/// Zeros for a port, open extents as 1.
NamedTensor zero_feed(const Port& port) {
  std::vector<std::int64_t> shape = port.shape;
  for (std::int64_t& extent : shape) extent = extent < 0 ? 1 : extent;
  return {.name = port.name, .tensor = zeros(port.dtype, shape)};
}

std::string message_of(const Error& error) { return error.to_string(); }

/// A port's shape in ONNX form. `std::nullopt`: no shape declared. An extent of -1 is the symbol "n".
std::string tensor_type(int element, const std::optional<std::vector<int>>& shape) {
  std::string type = number(1, element);
  if (shape) {
    std::string dims;
    for (const int extent : *shape) dims += block(1, extent < 0 ? block(2, "n") : number(1, extent));
    type += block(2, dims);
  }
  return block(1, type);
}

/// One node from x to y, both of the type given. `inputs` is the node's own list.
std::string one_node_model(const std::string& op, const std::string& inputs, const std::string& type) {
  const std::string node = inputs + block(2, "y") + block(4, op);
  const std::string graph = block(1, node) + block(2, "g") + block(11, block(1, "x") + block(2, type)) +
                            block(12, block(1, "y") + block(2, type));
  const int ir_version = 9;
  const int opset = 19;
  return number(1, ir_version) + block(8, number(2, opset)) + block(7, graph);
}
std::string identity_model(const std::string& type) { return one_node_model("Identity", block(1, "x"), type); }

class EngineTest : public TempFolderTest {
 protected:
  void SetUp() override {
    TempFolderTest::SetUp();
    SMELT_NEED("engine", kLibrary);
    // Where the engine's telemetry would keep its files; it holds its peace on build machines (CI), which would hide it.
    std::filesystem::create_directory(folder_ / "cache");
    ASSERT_EQ(::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1), 0);
    ASSERT_EQ(::unsetenv("CI"), 0);
    Result<Engine> opened = Engine::open(kLibrary, {});
    ASSERT_TRUE(opened.ok()) << message_of(opened.error());
    engine_.emplace(std::move(opened).value());
  }

  void TearDown() override {
    engine_.reset();
    if (std::filesystem::exists(folder_ / "cache")) {
      EXPECT_TRUE(std::filesystem::is_empty(folder_ / "cache")) << "the engine's telemetry is on";
    }
    TempFolderTest::TearDown();
  }

  Result<Session> load_bytes(const std::string& bytes) {
    std::ofstream(folder_ / "model.onnx", std::ios::binary) << bytes;
    return engine_->load(folder_ / "model.onnx", {});
  }

  /// The code of a run of digits_cnn that must fail.
  void expect_refused(const std::vector<NamedTensor>& feeds, std::string_view text) {
    Result<Session> session = engine_->load(kDigits, {});
    ASSERT_TRUE(session.ok()) << message_of(session.error());
    const Result<std::vector<HostTensor>> ran = session->run(feeds);
    ASSERT_FALSE(ran.ok()) << text;
    EXPECT_EQ(ran.error().code(), ErrorCode::kInvalidArgument) << message_of(ran.error());
    EXPECT_NE(ran.error().message().find(text), std::string::npos) << message_of(ran.error());
  }

  NamedTensor digits_feed() {
    Result<Session> session = engine_->load(kDigits, {});
    SMELT_CHECK(session.ok() && session->inputs().size() == 1);
    return zero_feed(session->inputs()[0]);
  }

  std::optional<Engine> engine_;
};

TEST_F(EngineTest, RunsADigitsModelTwiceWithEqualBytes) {
  EXPECT_TRUE(engine_->version().starts_with("1.")) << engine_->version();
  Result<Session> session = engine_->load(kDigits, {});
  ASSERT_TRUE(session.ok()) << message_of(session.error());
  ASSERT_EQ(session->inputs().size(), 1U);
  ASSERT_EQ(session->outputs().size(), 1U);
  const std::vector<NamedTensor> feeds{zero_feed(session->inputs()[0])};
  const Result<std::vector<HostTensor>> first = session->run(feeds);
  ASSERT_TRUE(first.ok()) << message_of(first.error());
  const Result<std::vector<HostTensor>> second = session->run(feeds);
  ASSERT_TRUE(second.ok()) << message_of(second.error());
  ASSERT_EQ(first->size(), 1U);
  EXPECT_EQ(first->front().shape, (std::vector<std::int64_t>{1, 10}));
  EXPECT_EQ(first->front().bytes.size(), 40U);
  EXPECT_NE(to_doubles(first->front()), std::vector<double>(10, 0.0));
  EXPECT_EQ(*first, *second);
}

TEST_F(EngineTest, GivesTheOutputsThatAreAskedFor) {
  Result<Session> session = engine_->load(kDigits, {});
  ASSERT_TRUE(session.ok()) << message_of(session.error());
  const std::vector<NamedTensor> feeds{zero_feed(session->inputs()[0])};
  const std::vector<std::string> known{session->outputs()[0].name}, unknown{"nothing"};
  const Result<std::vector<HostTensor>> all = session->run(feeds), named = session->run(feeds, known);
  ASSERT_TRUE(all.ok() && named.ok());
  EXPECT_EQ(*all, *named);
  const Result<std::vector<HostTensor>> refused = session->run(feeds, unknown);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument) << message_of(refused.error());
}

TEST_F(EngineTest, ASessionOutlivesItsEngineAndMoves) {
  Result<Session> loaded = engine_->load(kDigits, {.threads = 2});
  ASSERT_TRUE(loaded.ok()) << message_of(loaded.error());
  engine_.reset();
  Session session = std::move(loaded).value();
  EXPECT_TRUE(session.run(std::vector<NamedTensor>{zero_feed(session.inputs()[0])}).ok());
}

TEST_F(EngineTest, TwoSessionsRunAtTheSameTime) {
  const NamedTensor feed = digits_feed();
  std::vector<HostTensor> results(2);
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (HostTensor& result : results) {
    threads.emplace_back([this, &feed, &result] {
      Result<Session> session = engine_->load(kDigits, {});
      SMELT_CHECK(session.ok());
      Result<std::vector<HostTensor>> ran = session->run(std::span(&feed, 1));
      SMELT_CHECK(ran.ok());
      result = ran->front();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(results[0], results[1]);
  EXPECT_FALSE(results[0].bytes.empty());
}

TEST_F(EngineTest, FeedsThatDoNotFitTheInputsAreRefused) {
  const NamedTensor good = digits_feed();
  expect_refused({}, "is not given");
  expect_refused({{.name = "no-such-input", .tensor = good.tensor}}, "no input \"no-such-input\"");
  expect_refused({good, {.name = "esc\x1b[2J", .tensor = good.tensor}}, "no input \"esc [2J\"");
  expect_refused({good, good}, "given twice");

  NamedTensor bad = good;
  bad.tensor = zeros(DType::kI32, good.tensor.shape);
  expect_refused({bad}, "the tensor is i32[");
  bad.tensor = zeros(DType::kI4, good.tensor.shape);
  expect_refused({bad}, "the tensor is i4[");

  std::vector<std::int64_t> shape = good.tensor.shape;
  shape.back() += 1;
  bad.tensor = zeros(DType::kF32, shape);
  expect_refused({bad}, "the tensor is f32[");
  shape = good.tensor.shape;
  shape.push_back(1);
  bad.tensor = zeros(DType::kF32, shape);
  expect_refused({bad}, "the tensor is f32[");
  bad.tensor = zeros(DType::kF32, {});
  expect_refused({bad}, "the tensor is f32[]");

  bad = good;
  bad.tensor.shape.back() = -1;
  expect_refused({bad}, "negative extent");
  bad = good;
  bad.tensor.bytes.pop_back();
  expect_refused({bad}, "bytes, f32[");
}

TEST_F(EngineTest, EveryDtypeAndEmptyTensorsPassThrough) {
  // TensorProto.DataType of onnx.proto.
  const std::pair<int, DType> cases[] = {{1, DType::kF32},  {2, DType::kU8},   {3, DType::kI8},  {4, DType::kU16},
                                         {5, DType::kI16},  {6, DType::kI32},  {7, DType::kI64}, {9, DType::kBool},
                                         {10, DType::kF16}, {11, DType::kF64}, {12, DType::kU32}, {13, DType::kU64},
                                         {16, DType::kBF16}};
  for (const auto& [element, dtype] : cases) {
    SCOPED_TRACE(name(dtype));
    Result<Session> session = load_bytes(identity_model(tensor_type(element, std::vector<int>{-1, 2})));
    ASSERT_TRUE(session.ok()) << message_of(session.error());
    ASSERT_EQ(session->inputs().size(), 1U);
    EXPECT_EQ(session->inputs()[0].name, "x");
    EXPECT_EQ(session->inputs()[0].dtype, dtype);
    EXPECT_EQ(session->inputs()[0].shape, (std::vector<std::int64_t>{-1, 2}));
    EXPECT_EQ(session->outputs()[0].name, "y");
    for (const std::int64_t extent : {3, 1, 0}) {
      NamedTensor feed{.name = "x", .tensor = zeros(dtype, {extent, 2})};
      if (extent > 0) feed.tensor.bytes.front() = std::byte{1};
      const Result<std::vector<HostTensor>> ran = session->run(std::span(&feed, 1));
      ASSERT_TRUE(ran.ok()) << message_of(ran.error());
      EXPECT_EQ(ran->front(), feed.tensor);
    }
  }
}

TEST_F(EngineTest, AScalarAndAPortWithoutAShapeLookAlikeAndAllowEveryShape) {
  for (const bool declares_rank_0 : {true, false}) {
    const auto declared = declares_rank_0 ? std::optional(std::vector<int>{}) : std::nullopt;
    Result<Session> session = load_bytes(identity_model(tensor_type(1, declared)));
    ASSERT_TRUE(session.ok()) << message_of(session.error());
    EXPECT_TRUE(session->inputs()[0].shape.empty());
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, std::vector<std::int64_t>{2, 3}}) {
      const NamedTensor feed{.name = "x", .tensor = zeros(DType::kF32, shape)};
      const Result<std::vector<HostTensor>> ran = session->run(std::span(&feed, 1));
      ASSERT_TRUE(ran.ok()) << message_of(ran.error());
      EXPECT_EQ(ran->front(), feed.tensor);
    }
  }
}

TEST_F(EngineTest, PortsThatNoTensorCanFillAreRefusedByName) {
  const std::string f32 = tensor_type(1, std::vector<int>{2});
  const std::pair<std::string, const char*> cases[] = {
      {tensor_type(8, std::vector<int>{2}), "the input \"x\" has strings"},
      {tensor_type(17, std::vector<int>{2}), "the input \"x\" has elements of the engine's type 17"},  // float8e4m3fn
      {block(4, block(1, f32)), "the input \"x\" is a sequence"},   // TypeProto.sequence_type
      {block(9, block(1, f32)), "the input \"x\" is an optional"},  // TypeProto.optional_type
  };
  for (const auto& [type, text] : cases) {
    const Result<Session> session = load_bytes(identity_model(type));
    ASSERT_FALSE(session.ok()) << text;
    EXPECT_EQ(session.error().code(), ErrorCode::kEngineFailed);
    EXPECT_NE(session.error().message().find(text), std::string::npos) << message_of(session.error());
  }
}

TEST_F(EngineTest, WhatTheEngineRefusesCarriesItsMessageAndTheFile) {
  ::testing::internal::CaptureStderr();
  const Result<Session> text = load_bytes("this is a text, not a model\n");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code(), ErrorCode::kEngineFailed);
  EXPECT_EQ(text.error().location().file, (folder_ / "model.onnx").string());
  EXPECT_NE(text.error().message().find("model.onnx"), std::string::npos) << message_of(text.error());

  const Result<Session> op = load_bytes(one_node_model("Whatever", block(1, "x"), tensor_type(1, std::vector<int>{2})));
  ASSERT_FALSE(op.ok());
  EXPECT_EQ(op.error().code(), ErrorCode::kEngineFailed);
  EXPECT_NE(op.error().message().find("Whatever"), std::string::npos) << message_of(op.error());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "a library prints nothing";
}

TEST_F(EngineTest, AFailedRunIsAnEngineErrorAndTheSessionStaysUsable) {
  // MatMul(x, x) of [n, 2] is possible for n = 2 only.
  const std::string type = tensor_type(1, std::vector<int>{-1, 2});
  Result<Session> session = load_bytes(one_node_model("MatMul", block(1, "x") + block(1, "x"), type));
  ASSERT_TRUE(session.ok()) << message_of(session.error());
  ::testing::internal::CaptureStderr();
  const NamedTensor three{.name = "x", .tensor = zeros(DType::kF32, {3, 2})};
  const Result<std::vector<HostTensor>> ran = session->run(std::span(&three, 1));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "a library prints nothing";
  ASSERT_FALSE(ran.ok());
  EXPECT_EQ(ran.error().code(), ErrorCode::kEngineFailed);
  EXPECT_NE(ran.error().message().find("MatMul"), std::string::npos) << message_of(ran.error());
  const NamedTensor two{.name = "x", .tensor = zeros(DType::kF32, {2, 2})};
  EXPECT_TRUE(session->run(std::span(&two, 1)).ok());
}

TEST_F(EngineTest, WhatIsNoFileIsNotLoaded) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const char* const file : {"none.onnx", "pipe", "."}) {
    const Result<Session> session = engine_->load(folder_ / file, {});
    ASSERT_FALSE(session.ok()) << file;
    EXPECT_EQ(session.error().code(), ErrorCode::kReadFailed);
  }
}

TEST_F(EngineTest, ThreadCountsAreBounded) {
  for (const int threads : {0, -1, 1'000'000}) {
    const Result<Session> session = engine_->load(kDigits, {.threads = threads});
    ASSERT_FALSE(session.ok()) << threads;
    EXPECT_EQ(session.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST_F(EngineTest, TheFirstSearchPathThatExistsIsTaken) {
  const std::filesystem::path paths[] = {folder_ / "none.so", folder_, kLibrary, folder_ / "none.so"};
  const Result<Engine> engine = Engine::open({}, paths);
  ASSERT_TRUE(engine.ok()) << message_of(engine.error());
  EXPECT_EQ(engine->version(), engine_->version());
}

class EngineLibraryTest : public TempFolderTest {
 protected:
  static void expect_not_installed(const Result<Engine>& engine, std::string_view text) {
    ASSERT_FALSE(engine.ok()) << text;
    EXPECT_EQ(engine.error().code(), ErrorCode::kNotInstalled);
    EXPECT_NE(engine.error().message().find(text), std::string::npos) << message_of(engine.error());
    EXPECT_NE(engine.error().hint_text().find("smelt.sh setup"), std::string::npos) << engine.error().hint_text();
  }
};

TEST_F(EngineLibraryTest, NoLibraryIsNotInstalledWithAHint) {
  expect_not_installed(Engine::open({}, {}), "is not installed");
  const std::filesystem::path paths[] = {folder_ / "none.so", folder_};
  expect_not_installed(Engine::open({}, paths), "is not installed");
  expect_not_installed(Engine::open(folder_ / "none.so", {}), "none.so is not a file");
  // A bare name means the current folder, not the system's.
  expect_not_installed(Engine::open("libc.so.6", {}), "libc.so.6 is not a file");
}

TEST_F(EngineLibraryTest, ATextIsNoLibrary) {
  std::ofstream(folder_ / "text.so") << "this is a text, not a library\n";
  expect_not_installed(Engine::open(folder_ / "text.so", {}), "cannot be loaded");
}

TEST_F(EngineLibraryTest, AnotherLibraryIsNotTheEngine) {
  Dl_info info{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::gnu_dev_major), &info), 0);
  ASSERT_TRUE(std::string_view(info.dli_fname).find("libc") != std::string_view::npos) << info.dli_fname;
  expect_not_installed(Engine::open(info.dli_fname, {}), "is not ONNX Runtime");
}

}  // namespace
}  // namespace smelt::engine
