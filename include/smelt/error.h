#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace smelt {

/// Stable error codes. Never renumbered, never reused; `docs/errors.md` has a section for each.
/// The hundreds digit decides the exit status (`exit_status`).
enum class ErrorCode : std::uint16_t {
  kInvalidArgument = 1,     ///< E0001: wrong usage or option value
  kReadFailed = 101,        ///< E0101: the system refused to open or read a file
  kWriteFailed = 102,       ///< E0102: the system refused to create, write or rename a file
  kOutputExists = 103,      ///< E0103: the output is already there
  kTruncatedInput = 201,    ///< E0201: a length or record reaches past the end of its container
  kMalformedInput = 202,    ///< E0202: bytes that the format does not allow
  kNotThisFormat = 203,     ///< E0203: the file is of another kind, named in the message
  kUnsafePath = 204,        ///< E0204: a path inside a file that leaves the model's folder
  kUnsupported = 301,       ///< E0301: valid, but smelt has no support for it
  kOpenShape = 302,         ///< E0302: an extent is left open that the conversion needs
  kNotRepresentable = 401,  ///< E0401: the target cannot hold it
  kGateFailed = 501,        ///< E0501: the artifact is written, but a parity gate failed
  kManifestMismatch = 502,  ///< E0502: a manifest states what its files do not show
  kLimitReached = 701,      ///< E0701: a bound of `Limits` was reached
  kNotInstalled = 801,      ///< E0801: something that the command needs is not installed
  kEngineFailed = 802,      ///< E0802: the inference engine refused a model or a run
  kInternal = 901,          ///< E0901: a bug in smelt
};

/// The process exit status for a code: 2 usage, 1 could not, 4 malformed, 3 gate, 5 limit, 6 not installed, 70 bug.
[[nodiscard]] int exit_status(ErrorCode code);

/// "E0201" for `kTruncatedInput`.
[[nodiscard]] std::string code_name(ErrorCode code);

/// Where in the input an error was found. Empty members are not known.
struct ErrorLocation {
  std::string file{};
  std::optional<std::uint64_t> byte_offset{};
  std::string graph{};
  std::string node{};
};

/// One coded error: what is wrong, where, and what the user can do. The message is lower case, without full stop.
class Error {
 public:
  Error(ErrorCode code, std::string message);

  Error&& at(ErrorLocation location) &&;
  Error&& hint(std::string text) &&;

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const ErrorLocation& location() const { return location_; }
  [[nodiscard]] const std::string& hint_text() const { return hint_; }

  /// The form that the command line prints:
  ///     error[E0201]: raw_data needs 40 bytes, 12 remain
  ///       --> model.onnx, byte 1234
  ///        = help: the file may be a partial download
  [[nodiscard]] std::string to_string() const;

 private:
  ErrorCode code_;
  std::string message_;
  ErrorLocation location_;
  std::string hint_;
};

}  // namespace smelt
