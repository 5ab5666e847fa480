#pragma once

#include <cstddef>
#include <cstdint>

/// The part of ONNX Runtime's C ABI that the adapter calls. `OrtApi` is an array of function pointers in an order that never
/// changes, so the slot number and the signature of a function are all that a caller needs. Names, numbers and signatures:
/// the project's note on that ABI (the notes on ONNX Runtime's C ABI), which was checked against library 1.32.0.
namespace smelt::engine::ort {

inline constexpr std::uint32_t kApiVersion = 22;  ///< library 1.N answers versions 1 to N

struct OrtAllocator;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;

enum class LogLevel : std::int32_t { kFatal = 4 };
enum class GraphOptimization : std::int32_t { kOff = 0 };
enum class ExecutionMode : std::int32_t { kSequential = 0 };
enum class ValueKind : std::int32_t { kTensor = 1, kSequence = 2, kMap = 3, kOpaque = 4, kSparseTensor = 5, kOptional = 6 };
enum class AllocatorType : std::int32_t { kDevice = 0 };
enum class MemoryType : std::int32_t { kDefault = 0 };
enum class ElementType : std::int32_t {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

using AnyFunction = void (*)();

/// What `OrtGetApiBase()` points to. `get_api` answers null for a version that the library does not have.
struct OrtApiBase {
  const AnyFunction* (*get_api)(std::uint32_t version);
  const char* (*get_version_string)();
};
using GetApiBase = const OrtApiBase*();

/// The place of a function of type `F` in the table.
template <typename F>
struct Slot {
  using Function = F;
  std::size_t index;
};

// A function that returns OrtStatus* gives null when all is well; else the caller releases the status.
inline constexpr Slot<const char*(const OrtStatus*)> kGetErrorMessage{2};
inline constexpr Slot<OrtStatus*(LogLevel, const char* log_id, OrtEnv**)> kCreateEnv{3};
inline constexpr Slot<OrtStatus*(const OrtEnv*)> kDisableTelemetryEvents{6};
inline constexpr Slot<OrtStatus*(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**)> kCreateSession{7};
/// The run options may be null.
inline constexpr Slot<OrtStatus*(OrtSession*, const void* run_options, const char* const* input_names,
                                 const OrtValue* const* inputs, std::size_t input_count, const char* const* output_names,
                                 std::size_t output_count, OrtValue** outputs)>
    kRun{9};
inline constexpr Slot<OrtStatus*(OrtSessionOptions**)> kCreateSessionOptions{10};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*, ExecutionMode)> kSetSessionExecutionMode{13};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*)> kDisableMemPattern{17};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*)> kDisableCpuMemArena{19};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*, GraphOptimization)> kSetSessionGraphOptimizationLevel{23};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*, int)> kSetIntraOpNumThreads{24};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*, int)> kSetInterOpNumThreads{25};
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t*)> kSessionGetInputCount{30};
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t*)> kSessionGetOutputCount{31};
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t index, OrtTypeInfo**)> kSessionGetInputTypeInfo{33};
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t index, OrtTypeInfo**)> kSessionGetOutputTypeInfo{34};
/// The name is freed with `kAllocatorFree` of the same allocator.
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t index, OrtAllocator*, char**)> kSessionGetInputName{36};
inline constexpr Slot<OrtStatus*(const OrtSession*, std::size_t index, OrtAllocator*, char**)> kSessionGetOutputName{37};
/// Borrows `data`, which must outlive the value.
inline constexpr Slot<OrtStatus*(const OrtMemoryInfo*, void* data, std::size_t bytes, const std::int64_t* shape,
                                 std::size_t rank, ElementType, OrtValue**)>
    kCreateTensorWithDataAsOrtValue{49};
inline constexpr Slot<OrtStatus*(const OrtValue*, int*)> kIsTensor{50};
inline constexpr Slot<OrtStatus*(OrtValue*, void**)> kGetTensorMutableData{51};
/// A view into the type info, not released.
inline constexpr Slot<OrtStatus*(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**)> kCastTypeInfoToTensorInfo{55};
inline constexpr Slot<OrtStatus*(const OrtTypeInfo*, ValueKind*)> kGetOnnxTypeFromTypeInfo{56};
inline constexpr Slot<OrtStatus*(const OrtTensorTypeAndShapeInfo*, ElementType*)> kGetTensorElementType{60};
inline constexpr Slot<OrtStatus*(const OrtTensorTypeAndShapeInfo*, std::size_t*)> kGetDimensionsCount{61};
inline constexpr Slot<OrtStatus*(const OrtTensorTypeAndShapeInfo*, std::int64_t*, std::size_t)> kGetDimensions{62};
inline constexpr Slot<OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)> kGetTensorTypeAndShape{65};
inline constexpr Slot<OrtStatus*(AllocatorType, MemoryType, OrtMemoryInfo**)> kCreateCpuMemoryInfo{69};
inline constexpr Slot<OrtStatus*(OrtAllocator*, void*)> kAllocatorFree{76};
/// One for the process, not released.
inline constexpr Slot<OrtStatus*(OrtAllocator**)> kGetAllocatorWithDefaultOptions{78};
inline constexpr Slot<void(OrtEnv*)> kReleaseEnv{92};
inline constexpr Slot<void(OrtStatus*)> kReleaseStatus{93};
inline constexpr Slot<void(OrtMemoryInfo*)> kReleaseMemoryInfo{94};
inline constexpr Slot<void(OrtSession*)> kReleaseSession{95};
inline constexpr Slot<void(OrtValue*)> kReleaseValue{96};
inline constexpr Slot<void(OrtTypeInfo*)> kReleaseTypeInfo{98};
inline constexpr Slot<void(OrtTensorTypeAndShapeInfo*)> kReleaseTensorTypeAndShapeInfo{99};
inline constexpr Slot<void(OrtSessionOptions*)> kReleaseSessionOptions{100};
inline constexpr Slot<OrtStatus*(OrtSessionOptions*, const char* key, const char* value)> kAddSessionConfigEntry{130};

}  // namespace smelt::engine::ort
