#include "engine/engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <dlfcn.h>

#include <fmt/format.h>

#include "engine/ort_abi.h"

namespace smelt::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "HostTensor is little-endian, the engine native");

constexpr int kMaxThreads = 1024;
constexpr const char* kInstallHint =
    "run ./smelt.sh setup, or pip install onnxruntime and pass its libonnxruntime.so with --engine";

Error not_installed(std::string message) {
  return Error(ErrorCode::kNotInstalled, std::move(message)).hint(kInstallHint);
}

Error invalid(std::string message) { return Error(ErrorCode::kInvalidArgument, std::move(message)); }

/// Names and messages carry a stranger's bytes to a terminal: control characters become spaces.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

struct ElementPair {
  ort::ElementType element;
  DType dtype;
};

constexpr std::array<ElementPair, 13> kElements{{
    {ort::ElementType::kFloat, DType::kF32},
    {ort::ElementType::kFloat16, DType::kF16},
    {ort::ElementType::kBfloat16, DType::kBF16},
    {ort::ElementType::kDouble, DType::kF64},
    {ort::ElementType::kInt8, DType::kI8},
    {ort::ElementType::kUint8, DType::kU8},
    {ort::ElementType::kInt16, DType::kI16},
    {ort::ElementType::kUint16, DType::kU16},
    {ort::ElementType::kInt32, DType::kI32},
    {ort::ElementType::kUint32, DType::kU32},
    {ort::ElementType::kInt64, DType::kI64},
    {ort::ElementType::kUint64, DType::kU64},
    {ort::ElementType::kBool, DType::kBool},
}};

std::optional<DType> to_dtype(ort::ElementType element) {
  for (const ElementPair& pair : kElements) {
    if (pair.element == element) return pair.dtype;
  }
  return std::nullopt;
}

/// Only for the dtype of a port, which came from `to_dtype`.
ort::ElementType to_element(DType dtype) {
  const auto found = std::ranges::find(kElements, dtype, &ElementPair::dtype);
  SMELT_CHECK(found != kElements.end());
  return found->element;
}

/// Owns one object of the engine.
template <typename T>
struct Releaser {
  void (*release)(T*) = nullptr;
  void operator()(T* object) const { release(object); }
};
template <typename T>
using Handle = std::unique_ptr<T, Releaser<T>>;

/// The function table. Calls through it turn a status into an `Error` and release it.
class Api {
 public:
  explicit Api(const ort::AnyFunction* table) : table_(table) {}

  template <typename F>
  [[nodiscard]] F* function(ort::Slot<F> slot) const {
    return reinterpret_cast<F*>(table_[slot.index]);
  }

  template <typename F, typename... Args>
  [[nodiscard]] Status call(ort::Slot<F> slot, Args... args) const {
    const Handle<ort::OrtStatus> status(function(slot)(args...), {function(ort::kReleaseStatus)});
    if (status == nullptr) return Status();
    return Error(ErrorCode::kEngineFailed,
                 fmt::format("the engine answers: {}", printable(function(ort::kGetErrorMessage)(status.get()))));
  }

  /// Calls a function whose last parameter receives a new object.
  template <typename T, typename F, typename... Args>
  [[nodiscard]] Result<Handle<T>> create(ort::Slot<void(T*)> release, ort::Slot<F> slot, Args... args) const {
    T* object = nullptr;
    SMELT_RETURN_IF_ERROR(call(slot, args..., &object));
    return Handle<T>(object, {function(release)});
  }

 private:
  const ort::AnyFunction* table_;
};

/// Official libraries from 1.29 on report to their publisher unless this is set before they start: without it, creating an
/// environment writes a device id and a queue of events under ~/.cache/Microsoft and starts a thread for the uploads
/// (observed with 1.32.0; `DisableTelemetryEvents` comes too late for that). A converter does not report on its users'
/// models, so this is the one place that changes the process's environment. Not safe beside a thread that uses getenv.
void refuse_telemetry() {
  const char* const name = "ORT_DISABLE_TELEMETRY";
  const char* const value = std::getenv(name);
  if (value == nullptr || std::string_view(value) != "1") ::setenv(name, "1", 1);
}

struct LibraryCloser {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

}  // namespace

/// Members in order of need: the library is closed last.
struct Engine::State {
  Library library;
  std::string version;
  Api api;
  Handle<ort::OrtEnv> env;
  Handle<ort::OrtMemoryInfo> memory;  ///< plain CPU memory, the caller's
};

/// Holds on to the engine, so that the library outlives the session.
struct Session::State {
  std::shared_ptr<const Engine::State> engine;
  std::string file;
  Handle<ort::OrtSession> session;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

namespace {

bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

Result<std::filesystem::path> find_library(const std::filesystem::path& library,
                                           std::span<const std::filesystem::path> search_paths) {
  std::filesystem::path found = library;
  if (library.empty()) {
    const auto first = std::ranges::find_if(search_paths, is_file);
    if (first == search_paths.end()) return not_installed("ONNX Runtime, the inference engine, is not installed");
    found = *first;
  } else if (!is_file(library)) {
    return not_installed(fmt::format("the engine library {} is not a file", printable(library.string())));
  }
  // A name without a slash would make dlopen look through the system's folders instead.
  std::error_code code;
  std::filesystem::path absolute = std::filesystem::absolute(found, code);
  if (code) return not_installed(fmt::format("the engine library has no absolute path: {}", code.message()));
  return absolute;
}

/// True for "1.N" with N below the API version. Asking such a library for the table would make it print on stderr.
bool is_too_old(std::string_view version) {
  if (!version.starts_with("1.")) return false;
  std::uint32_t minor = 0;
  const auto parsed = std::from_chars(version.data() + 2, version.data() + version.size(), minor);
  return parsed.ec == std::errc() && minor < ort::kApiVersion;
}

Result<Handle<ort::OrtSessionOptions>> make_options(const Api& api, const SessionOptions& options) {
  SMELT_ASSIGN_OR_RETURN(Handle<ort::OrtSessionOptions> made,
                         api.create(ort::kReleaseSessionOptions, ort::kCreateSessionOptions));
  ort::OrtSessionOptions* const raw = made.get();
  SMELT_RETURN_IF_ERROR(api.call(ort::kSetSessionGraphOptimizationLevel, raw, ort::GraphOptimization::kOff));
  SMELT_RETURN_IF_ERROR(api.call(ort::kSetIntraOpNumThreads, raw, options.threads));
  SMELT_RETURN_IF_ERROR(api.call(ort::kSetInterOpNumThreads, raw, 1));
  SMELT_RETURN_IF_ERROR(api.call(ort::kSetSessionExecutionMode, raw, ort::ExecutionMode::kSequential));
  SMELT_RETURN_IF_ERROR(api.call(ort::kAddSessionConfigEntry, raw, "session.intra_op.allow_spinning", "0"));
  SMELT_RETURN_IF_ERROR(api.call(ort::kDisableMemPattern, raw));
  SMELT_RETURN_IF_ERROR(api.call(ort::kDisableCpuMemArena, raw));
  return made;
}

Result<std::vector<std::int64_t>> read_shape(const Api& api, const ort::OrtTensorTypeAndShapeInfo* info) {
  std::size_t rank = 0;
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetDimensionsCount, info, &rank));
  std::vector<std::int64_t> shape(rank);
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetDimensions, info, shape.data(), rank));
  return shape;
}

std::string_view kind_name(ort::ValueKind kind) {
  switch (kind) {
    case ort::ValueKind::kTensor: return "a tensor";
    case ort::ValueKind::kSequence: return "a sequence";
    case ort::ValueKind::kMap: return "a map";
    case ort::ValueKind::kOpaque: return "an opaque value";
    case ort::ValueKind::kSparseTensor: return "a sparse tensor";
    case ort::ValueKind::kOptional: return "an optional";
  }
  return "of an unknown kind";
}

/// One side of a session: the functions that describe it, and what its ports are called in messages.
struct Side {
  decltype(ort::kSessionGetInputCount) count;
  decltype(ort::kSessionGetInputName) name;
  decltype(ort::kSessionGetInputTypeInfo) type;
  std::string_view word;
};
constexpr Side kInputSide{ort::kSessionGetInputCount, ort::kSessionGetInputName, ort::kSessionGetInputTypeInfo, "input"};
constexpr Side kOutputSide{ort::kSessionGetOutputCount, ort::kSessionGetOutputName, ort::kSessionGetOutputTypeInfo,
                           "output"};

Result<std::string> read_name(const Api& api, const ort::OrtSession* session, const Side& side, std::size_t index) {
  ort::OrtAllocator* allocator = nullptr;
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetAllocatorWithDefaultOptions, &allocator));
  char* raw = nullptr;
  SMELT_RETURN_IF_ERROR(api.call(side.name, session, index, allocator, &raw));
  std::string name(raw);
  SMELT_RETURN_IF_ERROR(api.call(ort::kAllocatorFree, allocator, static_cast<void*>(raw)));
  return name;
}

Result<Port> read_port(const Api& api, const ort::OrtSession* session, const Side& side, std::size_t index) {
  Port port;
  SMELT_ASSIGN_OR_RETURN(port.name, read_name(api, session, side, index));
  SMELT_ASSIGN_OR_RETURN(const Handle<ort::OrtTypeInfo> type,
                         api.create(ort::kReleaseTypeInfo, side.type, session, index));
  const ort::OrtTypeInfo* const type_view = type.get();
  auto kind = ort::ValueKind{};
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetOnnxTypeFromTypeInfo, type_view, &kind));
  if (kind != ort::ValueKind::kTensor) {
    return Error(ErrorCode::kEngineFailed, fmt::format("the {} \"{}\" is {}; only tensors can be passed", side.word,
                                                       printable(port.name), kind_name(kind)));
  }
  const ort::OrtTensorTypeAndShapeInfo* info = nullptr;
  SMELT_RETURN_IF_ERROR(api.call(ort::kCastTypeInfoToTensorInfo, type_view, &info));
  auto element = ort::ElementType{};
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetTensorElementType, info, &element));
  const std::optional<DType> dtype = to_dtype(element);
  if (!dtype) {
    const std::string what = element == ort::ElementType::kString
                                 ? "strings"
                                 : fmt::format("elements of the engine's type {}", static_cast<std::int32_t>(element));
    return Error(ErrorCode::kEngineFailed, fmt::format("the {} \"{}\" has {}, which cannot be passed", side.word,
                                                       printable(port.name), what));
  }
  port.dtype = *dtype;
  SMELT_ASSIGN_OR_RETURN(port.shape, read_shape(api, info));
  return port;
}

Result<std::vector<Port>> read_ports(const Api& api, const ort::OrtSession* session, const Side& side) {
  std::size_t count = 0;
  SMELT_RETURN_IF_ERROR(api.call(side.count, session, &count));
  std::vector<Port> ports;
  ports.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    SMELT_ASSIGN_OR_RETURN(Port port, read_port(api, session, side, i));
    ports.push_back(std::move(port));
  }
  return ports;
}

/// Loads the file; errors have no location yet.
Result<std::unique_ptr<Session::State>> load_state(std::shared_ptr<const Engine::State> engine,
                                                   const std::filesystem::path& model, const SessionOptions& options) {
  const Api& api = engine->api;
  SMELT_ASSIGN_OR_RETURN(const Handle<ort::OrtSessionOptions> made, make_options(api, options));
  SMELT_ASSIGN_OR_RETURN(Handle<ort::OrtSession> session,
                         api.create(ort::kReleaseSession, ort::kCreateSession, engine->env.get(), model.c_str(),
                                    made.get()));
  SMELT_ASSIGN_OR_RETURN(std::vector<Port> inputs, read_ports(api, session.get(), kInputSide));
  SMELT_ASSIGN_OR_RETURN(std::vector<Port> outputs, read_ports(api, session.get(), kOutputSide));
  return std::make_unique<Session::State>(Session::State{.engine = std::move(engine),
                                                         .file = model.string(),
                                                         .session = std::move(session),
                                                         .inputs = std::move(inputs),
                                                         .outputs = std::move(outputs)});
}

/// "f32[1, ?, 8]".
std::string port_text(const Port& port) {
  std::string text(name(port.dtype));
  for (std::size_t i = 0; i < port.shape.size(); ++i) {
    text += i == 0 ? "[" : ", ";
    text += port.shape[i] < 0 ? "?" : fmt::format("{}", port.shape[i]);
  }
  return text + (port.shape.empty() ? "[]" : "]");
}

/// The engine describes a port without a declared shape like a scalar, and accepts every shape for both
/// (observed: library 1.32.0, Identity over a port of either kind); so rank 0 allows every shape here too.
bool allows(const Port& port, std::span<const std::int64_t> shape) {
  if (port.shape.empty()) return true;
  return std::ranges::equal(port.shape, shape, [](std::int64_t declared, std::int64_t given) {
    return declared < 0 || declared == given;
  });
}

Status check_feed(const Port& port, const HostTensor& tensor) {
  if (std::ranges::any_of(tensor.shape, [](std::int64_t extent) { return extent < 0; })) {
    return invalid(fmt::format("the tensor for input \"{}\" has a negative extent", printable(port.name)));
  }
  if (tensor.dtype != port.dtype || !allows(port, tensor.shape)) {
    return invalid(fmt::format("the input \"{}\" is {}, the tensor is {}", printable(port.name), port_text(port),
                               type_text(tensor.dtype, tensor.shape)));
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(tensor.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t bytes, packed_bytes(tensor.dtype, static_cast<std::uint64_t>(count)));
  if (bytes != tensor.bytes.size()) {
    return invalid(fmt::format("the tensor for input \"{}\" has {} bytes, {} needs {}", printable(port.name),
                               tensor.bytes.size(), type_text(tensor.dtype, tensor.shape), bytes));
  }
  return Status();
}

/// The feeds in the order of the inputs, each checked against its port.
Result<std::vector<const HostTensor*>> match_feeds(const std::vector<Port>& inputs, std::span<const NamedTensor> feeds) {
  std::vector<const HostTensor*> ordered(inputs.size(), nullptr);
  for (const NamedTensor& feed : feeds) {
    const auto port = std::ranges::find(inputs, feed.name, &Port::name);
    if (port == inputs.end()) return invalid(fmt::format("the model has no input \"{}\"", printable(feed.name)));
    const HostTensor*& place = ordered[static_cast<std::size_t>(port - inputs.begin())];
    if (place != nullptr) return invalid(fmt::format("the input \"{}\" is given twice", printable(feed.name)));
    SMELT_RETURN_IF_ERROR(check_feed(*port, feed.tensor));
    place = &feed.tensor;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (ordered[i] == nullptr) {
      return invalid(fmt::format("the input \"{}\" ({}) is not given", printable(inputs[i].name), port_text(inputs[i])));
    }
  }
  return ordered;
}

/// A value over the tensor's own bytes.
Result<Handle<ort::OrtValue>> borrow(const Engine::State& engine, const HostTensor& tensor) {
  static std::byte nothing{};  // The engine wants an address even for no bytes.
  // The C signature is not const; the engine does not write to the inputs of a run.
  void* const data = tensor.bytes.empty() ? &nothing : const_cast<std::byte*>(tensor.bytes.data());
  return engine.api.create(ort::kReleaseValue, ort::kCreateTensorWithDataAsOrtValue, engine.memory.get(), data,
                           tensor.bytes.size(), tensor.shape.data(), tensor.shape.size(), to_element(tensor.dtype));
}

Result<HostTensor> copy_out(const Api& api, const Port& port, ort::OrtValue* value) {
  int is_tensor = 0;
  if (value != nullptr) SMELT_RETURN_IF_ERROR(api.call(ort::kIsTensor, value, &is_tensor));
  if (is_tensor == 0) {
    return Error(ErrorCode::kEngineFailed,
                 fmt::format("the engine gives no tensor for the output \"{}\"", printable(port.name)));
  }
  SMELT_ASSIGN_OR_RETURN(const Handle<ort::OrtTensorTypeAndShapeInfo> info,
                         api.create(ort::kReleaseTensorTypeAndShapeInfo, ort::kGetTensorTypeAndShape, value));
  const ort::OrtTensorTypeAndShapeInfo* const view = info.get();
  auto element = ort::ElementType{};
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetTensorElementType, view, &element));
  SMELT_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, read_shape(api, view));
  if (to_dtype(element) != port.dtype || std::ranges::any_of(shape, [](std::int64_t extent) { return extent < 0; })) {
    return Error(ErrorCode::kEngineFailed, fmt::format("the engine gives another type for the output \"{}\" than {}",
                                                       printable(port.name), port_text(port)));
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(port.dtype, static_cast<std::uint64_t>(count)));
  void* data = nullptr;
  SMELT_RETURN_IF_ERROR(api.call(ort::kGetTensorMutableData, value, &data));
  HostTensor tensor{.dtype = port.dtype, .shape = std::move(shape), .bytes = std::vector<std::byte>(size)};
  if (size != 0) std::memcpy(tensor.bytes.data(), data, size);
  return tensor;
}

std::vector<const char*> c_names(const std::vector<Port>& ports) {
  std::vector<const char*> names;
  names.reserve(ports.size());
  for (const Port& port : ports) names.push_back(port.name.c_str());
  return names;
}

/// Runs the session; every output value is owned when this returns, also after a failure.
Result<std::vector<Handle<ort::OrtValue>>> run_values(const Session::State& state,
                                                      const std::vector<Handle<ort::OrtValue>>& inputs,
                                                      const std::vector<const Port*>& outputs) {
  const Api& api = state.engine->api;
  std::vector<const ort::OrtValue*> borrowed;
  borrowed.reserve(inputs.size());
  for (const Handle<ort::OrtValue>& input : inputs) borrowed.push_back(input.get());
  const std::vector<const char*> input_names = c_names(state.inputs);
  std::vector<const char*> output_names;
  for (const Port* const port : outputs) output_names.push_back(port->name.c_str());
  std::vector<ort::OrtValue*> raw(output_names.size(), nullptr);
  const Status ran = api.call(ort::kRun, state.session.get(), nullptr, input_names.data(), borrowed.data(),
                              borrowed.size(), output_names.data(), raw.size(), raw.data());
  std::vector<Handle<ort::OrtValue>> owned;
  owned.reserve(raw.size());
  for (ort::OrtValue* const value : raw) {
    owned.push_back(Handle<ort::OrtValue>(value, {api.function(ort::kReleaseValue)}));
  }
  SMELT_RETURN_IF_ERROR(ran);
  return owned;
}

/// The outputs of these names; all of them when none is named.
Result<std::vector<const Port*>> wanted_ports(const std::vector<Port>& outputs, std::span<const std::string> names) {
  std::vector<const Port*> ports;
  if (names.empty()) {
    for (const Port& port : outputs) ports.push_back(&port);
  }
  for (const std::string& name : names) {
    const auto port = std::find_if(outputs.begin(), outputs.end(), [&name](const Port& p) { return p.name == name; });
    if (port == outputs.end()) return Error(ErrorCode::kInvalidArgument, fmt::format("there is no output \"{}\"", printable(name)));
    ports.push_back(&*port);
  }
  return ports;
}

Result<std::vector<HostTensor>> run_state(const Session::State& state, std::span<const NamedTensor> feeds,
                                          std::span<const std::string> names) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<const Port*> ports, wanted_ports(state.outputs, names));
  SMELT_ASSIGN_OR_RETURN(const std::vector<const HostTensor*> ordered, match_feeds(state.inputs, feeds));
  std::vector<Handle<ort::OrtValue>> inputs;
  inputs.reserve(ordered.size());
  for (const HostTensor* const tensor : ordered) {
    SMELT_ASSIGN_OR_RETURN(Handle<ort::OrtValue> value, borrow(*state.engine, *tensor));
    inputs.push_back(std::move(value));
  }
  SMELT_ASSIGN_OR_RETURN(std::vector<Handle<ort::OrtValue>> values, run_values(state, inputs, ports));
  std::vector<HostTensor> outputs;
  outputs.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    SMELT_ASSIGN_OR_RETURN(HostTensor tensor, copy_out(state.engine->api, *ports[i], values[i].get()));
    values[i].reset();  // The engine's copy goes before the next one is made.
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

const std::vector<Port>& Session::inputs() const { return state_->inputs; }
const std::vector<Port>& Session::outputs() const { return state_->outputs; }

Result<std::vector<HostTensor>> Session::run(std::span<const NamedTensor> feeds, std::span<const std::string> wanted) {
  Result<std::vector<HostTensor>> ran = run_state(*state_, feeds, wanted);
  if (ran.ok()) return ran;
  return Error(ran.error()).at({.file = state_->file});
}

Engine::Engine(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<Engine> Engine::open(const std::filesystem::path& library, std::span<const std::filesystem::path> search_paths) {
  SMELT_ASSIGN_OR_RETURN(const std::filesystem::path path, find_library(library, search_paths));
  refuse_telemetry();
  // Never unmapped: a thread of the engine can outlive its environment (observed: 1.32.0 with telemetry on). 16 MiB stay.
  Library loaded(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
  if (loaded == nullptr) {
    const char* const reason = ::dlerror();
    return not_installed(
        fmt::format("the engine library cannot be loaded: {}", printable(reason == nullptr ? path.c_str() : reason)));
  }
  auto* const get_base = reinterpret_cast<ort::GetApiBase*>(::dlsym(loaded.get(), "OrtGetApiBase"));
  const ort::OrtApiBase* const base = get_base == nullptr ? nullptr : get_base();
  if (base == nullptr) return not_installed(fmt::format("{} is not ONNX Runtime", printable(path.string())));
  std::string version = printable(base->get_version_string());
  const ort::AnyFunction* const table = is_too_old(version) ? nullptr : base->get_api(ort::kApiVersion);
  if (table == nullptr) {
    return not_installed(fmt::format("{} is ONNX Runtime {}, without API version {}", printable(path.string()), version,
                                     ort::kApiVersion));
  }
  const Api api(table);
  // Errors come back as statuses with the same text; at level error the engine would print them on stderr as well.
  SMELT_ASSIGN_OR_RETURN(Handle<ort::OrtEnv> env,
                         api.create(ort::kReleaseEnv, ort::kCreateEnv, ort::LogLevel::kFatal, "smelt"));
  SMELT_RETURN_IF_ERROR(api.call(ort::kDisableTelemetryEvents, env.get()));
  SMELT_ASSIGN_OR_RETURN(Handle<ort::OrtMemoryInfo> memory,
                         api.create(ort::kReleaseMemoryInfo, ort::kCreateCpuMemoryInfo, ort::AllocatorType::kDevice,
                                    ort::MemoryType::kDefault));
  return Engine(std::make_shared<State>(State{.library = std::move(loaded),
                                              .version = std::move(version),
                                              .api = api,
                                              .env = std::move(env),
                                              .memory = std::move(memory)}));
}

const std::string& Engine::version() const { return state_->version; }

Result<Session> Engine::load(const std::filesystem::path& model, const SessionOptions& options) const {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return invalid(fmt::format("{} threads; 1 to {} are possible", options.threads, kMaxThreads));
  }
  // The engine would wait for ever for the writer of a pipe.
  if (!is_file(model)) {
    return Error(ErrorCode::kReadFailed, "the model is not there, or not a file").at({.file = model.string()});
  }
  Result<std::unique_ptr<Session::State>> loaded = load_state(state_, model, options);
  if (!loaded.ok()) return Error(loaded.error()).at({.file = model.string()});
  return Session(std::move(loaded).value());
}

}  // namespace smelt::engine
