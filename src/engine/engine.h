#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/host_tensor.h"

/// Running whole models fast. One engine for now: ONNX Runtime, opened at run time through its C ABI, so that nothing
/// links against it and a command that does not run models does not pay for it.
namespace smelt::engine {

/// A declared input or output. An extent that the model leaves open is -1.
struct Port {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
};

struct NamedTensor {
  std::string name;
  HostTensor tensor;
};

struct SessionOptions {
  int threads = 1;  ///< inside an operator; 1 gives the same bits every time
};

/// A loaded model. Move-only. Graph optimizations are off, so that the numbers are those of the file's own operators.
class Session {
 public:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  [[nodiscard]] const std::vector<Port>& inputs() const;
  [[nodiscard]] const std::vector<Port>& outputs() const;

  /// Runs once. `feeds`: one tensor for each input, by name, any order. Gives the `wanted` outputs in that order; all in `outputs()`
  /// order when none is named. `kInvalidArgument` for an output that is not there, a missing, unknown or repeated name, another dtype, or a shape that the input does not allow;
  /// `kEngineFailed` (E0802) when the engine refuses, with its own message.
  [[nodiscard]] Result<std::vector<HostTensor>> run(std::span<const NamedTensor> feeds, std::span<const std::string> wanted = {});

 private:
  std::unique_ptr<State> state_;
};

/// The engine's library, loaded once for each object and shared by its sessions.
class Engine {
 public:
  /// Opens `library`, or when empty the first that exists of `search_paths` (a file each). `kNotInstalled` (E0801) when there
  /// is none, when it is no ONNX Runtime, or one older than API version 22; the hint names the command that installs it.
  [[nodiscard]] static Result<Engine> open(const std::filesystem::path& library,
                                           std::span<const std::filesystem::path> search_paths);

  /// "1.32.0".
  [[nodiscard]] const std::string& version() const;

  /// Loads an ONNX file; external data is found beside it. `kEngineFailed` with the engine's message when it refuses.
  [[nodiscard]] Result<Session> load(const std::filesystem::path& model, const SessionOptions& options) const;

  struct State;

 private:
  explicit Engine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace smelt::engine
