#include "manifest/manifest.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/sha256.h"

namespace smelt::manifest {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kDigestChunk = std::size_t{4} << 20U;

/// JSON has no infinity and no NaN: such a number is null, and reads back as NaN.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json number(const std::optional<double>& value) { return value.has_value() ? number(*value) : Json(nullptr); }

std::string stated(const std::string& reason) { return reason.empty() ? "not stated" : reason; }

void put_measured(Json& out, const std::string& key, const Measured& measured) {
  out[key] = number(measured.value);
  if (!out[key].is_null()) return;
  const bool is_not_finite = measured.value.has_value() && measured.reason.empty();
  out[key + "_reason"] = is_not_finite ? "the number is not finite" : stated(measured.reason);
}

/// The string as the dump will write it: bytes that are not UTF-8 replaced.
std::string printable(const std::string& text) {
  const std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

/// Keys that become equal once they are printable are kept apart, for a key given twice is not readable.
Json string_map(const std::map<std::string, std::string>& map) {
  Json out = Json::object();
  for (const auto& [raw, value] : map) {
    std::string key = printable(raw);
    while (out.contains(key)) key += "\xEF\xBF\xBD";  // U+FFFD
    out[key] = value;
  }
  return out;
}

Json io_tensors(const std::vector<IoTensor>& tensors) {
  Json out = Json::array();
  for (const IoTensor& tensor : tensors) {
    Json shape = Json::array();
    for (const std::int64_t extent : tensor.shape) shape.push_back(extent);
    out.push_back(Json{{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", std::move(shape)}});
  }
  return out;
}

Json file_digest(const FileDigest& digest) {
  return Json{{"path", digest.path}, {"bytes", digest.bytes}, {"sha256", digest.sha256}};
}

Json digests(const Entry& entry) {
  std::vector<FileDigest> sorted = entry.files;
  std::ranges::stable_sort(sorted, {}, &FileDigest::path);
  Json files = Json::array();
  for (const FileDigest& file : sorted) files.push_back(file_digest(file));
  return Json{{"source", file_digest(entry.source_digest)}, {"files", std::move(files)}};
}

Json plan(const PlanSummary& plan) {
  std::vector<Fallback> sorted = plan.fallbacks;
  std::ranges::stable_sort(sorted, {}, &Fallback::weight);
  Json fallbacks = Json::array();
  for (const Fallback& fallback : sorted) {
    fallbacks.push_back(Json{{"weight", fallback.weight}, {"elements", fallback.elements}, {"reason", fallback.reason}});
  }
  return Json{{"quantized", plan.quantized},
              {"kept", plan.kept},
              {"bytes_before", plan.bytes_before},
              {"bytes_after", plan.bytes_after},
              {"fallbacks", std::move(fallbacks)}};
}

Json output_parity(const OutputParity& output) {
  return Json{{"name", output.name},
              {"l_inf", number(output.l_inf)},
              {"rmse", number(output.rmse)},
              {"peak", number(output.peak)},
              {"sqnr_db", number(output.sqnr_db)},
              {"cosine", number(output.cosine)},
              {"top1_agreement", number(output.top1_agreement)},
              {"top5_agreement", number(output.top5_agreement)},
              {"nan_count", output.nan_count},
              {"inf_count", output.inf_count}};
}

Json gate_record(const GateRecord& gate) {
  return Json{{"output", gate.output},        {"metric", gate.metric},        {"value", number(gate.value)},
              {"scale", number(gate.scale)}, {"limit", number(gate.limit)}, {"passed", gate.passed}};
}

Json parity(const Parity& parity) {
  Json outputs = Json::array();
  for (const OutputParity& output : parity.outputs) outputs.push_back(output_parity(output));
  Json gates = Json::array();
  for (const GateRecord& gate : parity.gates) gates.push_back(gate_record(gate));
  return Json{{"method", parity.method},
              {"data", parity.data},
              {"dataset_sha256", parity.dataset_sha256},
              {"seed", parity.seed},
              {"samples", parity.samples},
              {"outputs", std::move(outputs)},
              {"gates", std::move(gates)},
              {"baseline_accuracy", number(parity.baseline_accuracy)},
              {"variant_accuracy", number(parity.variant_accuracy)},
              {"verdict", parity.verdict}};
}

void put_engine(Json& out, const Entry& entry) {
  if (entry.engine_version.has_value()) {
    out["engine"] = Json{{"name", "onnxruntime"}, {"version", *entry.engine_version}};
    return;
  }
  out["engine"] = nullptr;
  // The engine runs for parity only, so why there is no parity is why there is no engine.
  out["engine_reason"] = entry.parity.has_value() ? "parity was measured without an engine" : stated(entry.parity_reason);
}

Json entry_json(const Entry& entry) {
  Json out = Json::object();
  out["model"] = entry.model;
  out["source"] = entry.source;
  out["backend"] = entry.backend;
  out["io_schema"] = Json{{"inputs", io_tensors(entry.inputs)}, {"outputs", io_tensors(entry.outputs)}};
  out["precision"] = entry.precision;
  out["quantization"] = entry.quantization;
  put_measured(out, "ane_op_coverage_pct", entry.ane_op_coverage_pct);
  put_measured(out, "expected_speedup_m1", entry.expected_speedup_m1);
  put_measured(out, "expected_speedup_m2", entry.expected_speedup_m2);
  put_measured(out, "expected_speedup_m3", entry.expected_speedup_m3);
  put_measured(out, "accuracy_delta_l_inf", entry.accuracy_delta_l_inf);
  put_measured(out, "accuracy_delta_rmse", entry.accuracy_delta_rmse);
  out["schema_version"] = kSchemaVersion;
  out["path"] = entry.path;
  out["target"] = entry.target;
  out["weight_threshold"] = entry.weight_threshold;
  out["digests"] = digests(entry);
  out["tool"] = Json{{"name", "smelt"}, {"version", entry.tool_version}};
  put_engine(out, entry);
  out["options"] = string_map(entry.options);
  out["quantization_plan"] = plan(entry.plan);
  out["name_map"] = string_map(entry.name_map);
  out["notes"] = Json::array();
  for (const std::string& note : entry.notes) out["notes"].push_back(note);
  out["parity"] = entry.parity.has_value() ? parity(*entry.parity) : Json(nullptr);
  if (!entry.parity.has_value()) out["parity_reason"] = stated(entry.parity_reason);
  return out;
}

/// Not empty, relative, and no part that is empty, "." or "..": it stays below the folder that it is joined to.
bool is_safe_path(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) return false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = std::string_view(path).substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

/// Checks the package of one entry; what differs becomes lines of `problems`.
class PackageCheck {
 public:
  PackageCheck(const Entry& entry, const fs::path& folder, std::vector<std::string>& problems)
      : entry_(entry), folder_(folder), problems_(problems) {}

  [[nodiscard]] Status run() {
    if (!is_safe_path(entry_.path)) {
      problem(fmt::format("the path \"{}\" could leave the manifest's folder and was not followed", entry_.path));
      return {};
    }
    bool is_there = false;
    SMELT_RETURN_IF_ERROR(find_package(is_there));
    if (!is_there) return {};
    SMELT_RETURN_IF_ERROR(list(entry_.path));
    std::set<std::string> recorded;
    for (const FileDigest& file : entry_.files) {
      if (!recorded.insert(file.path).second) {
        problem(fmt::format("\"{}\" is recorded twice", file.path));
      } else {
        SMELT_RETURN_IF_ERROR(check_file(file));
      }
    }
    for (const std::string& path : found_) {
      if (!recorded.contains(path)) problem(fmt::format("\"{}\" is not recorded", path));
    }
    return {};
  }

 private:
  void problem(const std::string& text) { problems_.push_back(fmt::format("{}: {}", entry_.model, text)); }

  static Error unreadable(const fs::path& path, const std::error_code& code) {
    return Error(ErrorCode::kReadFailed, fmt::format("the package cannot be examined: {}", code.message()))
        .at({.file = path.string()});
  }

  /// Looks at each part of the package's path without following links. Sets `is_there` when it is a folder.
  Status find_package(bool& is_there) {
    fs::path path = folder_;
    fs::file_type type = fs::file_type::none;
    for (const fs::path& part : fs::path(entry_.path)) {
      path /= part;
      std::error_code code;
      type = fs::symlink_status(path, code).type();
      if (type == fs::file_type::none) return unreadable(path, code);
      if (type == fs::file_type::not_found || type == fs::file_type::symlink) break;
    }
    if (type == fs::file_type::not_found) {
      problem(fmt::format("the package \"{}\" is missing", entry_.path));
    } else if (type == fs::file_type::symlink) {
      problem(fmt::format("\"{}\" is, or lies behind, a symbolic link and was not followed", entry_.path));
    } else if (type != fs::file_type::directory) {
      problem(fmt::format("the package \"{}\" is not a folder", entry_.path));
    }
    is_there = type == fs::file_type::directory;
    return {};
  }

  /// Puts the files under `package` into `found_`, relative to the manifest's folder. Links are never followed.
  Status list(const std::string& package) {
    std::vector<std::string> irregular;
    std::error_code code;
    fs::recursive_directory_iterator at(folder_ / package, code);
    for (; !code && at != fs::recursive_directory_iterator(); at.increment(code)) {
      const fs::file_status status = at->symlink_status(code);
      if (code) break;
      const std::string path = at->path().lexically_relative(folder_).generic_string();
      if (fs::is_regular_file(status)) {
        found_.insert(path);
      } else if (!fs::is_directory(status)) {
        irregular_.insert(path);
        const char* const what = fs::is_symlink(status) ? "a symbolic link and was not followed" : "neither a file nor a folder";
        irregular.push_back(fmt::format("\"{}\" is {}", path, what));
      }
    }
    if (code) return unreadable(folder_ / package, code);
    std::ranges::sort(irregular);  // the order of a folder's entries is the file system's
    for (const std::string& line : irregular) problem(line);
    return {};
  }

  Status check_file(const FileDigest& file) {
    if (!is_safe_path(file.path) || !file.path.starts_with(entry_.path + "/")) {
      problem(fmt::format("the file path \"{}\" is not inside the package and was not followed", file.path));
      return {};
    }
    if (irregular_.contains(file.path)) return {};  // has its line
    if (!found_.contains(file.path)) {
      problem(fmt::format("\"{}\" is missing", file.path));
      return {};
    }
    const fs::path path = folder_ / file.path;
    std::error_code code;
    const std::uint64_t bytes = fs::file_size(path, code);
    if (code) return unreadable(path, code);
    if (bytes != file.bytes) {
      problem(fmt::format("\"{}\" has {} bytes, {} are recorded", file.path, bytes, file.bytes));
      return {};
    }
    SMELT_ASSIGN_OR_RETURN(const FileDigest actual, digest_file(path, file.path));
    if (actual.sha256 != file.sha256) {
      problem(fmt::format("\"{}\" has the digest {}, {} is recorded", file.path, actual.sha256, file.sha256));
    }
    return {};
  }

  const Entry& entry_;
  const fs::path& folder_;
  std::vector<std::string>& problems_;
  std::set<std::string> found_, irregular_;
};

}  // namespace

std::string to_json(const Manifest& manifest) {
  std::vector<const Entry*> sorted;
  for (const Entry& entry : manifest.models) sorted.push_back(&entry);
  std::ranges::stable_sort(sorted, {}, [](const Entry* entry) -> const std::string& { return entry->model; });
  Json models = Json::array();
  for (const Entry* const entry : sorted) models.push_back(entry_json(*entry));
  const Json out{{"schema_version", kSchemaVersion}, {"models", std::move(models)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<FileDigest> digest_file(const fs::path& file, std::string recorded_path) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(file));
  Sha256 sha256;
  for (std::span<const std::byte> rest = mapped.bytes(); !rest.empty();) {
    const std::size_t count = std::min(rest.size(), kDigestChunk);
    sha256.update(rest.first(count));
    mapped.release_pages();
    rest = rest.subspan(count);
  }
  return FileDigest{.path = std::move(recorded_path), .bytes = mapped.size(), .sha256 = sha256.finish_hex()};
}

Result<std::vector<std::string>> check_files(const Manifest& manifest, const fs::path& folder) {
  std::vector<std::string> problems;
  for (const Entry& entry : manifest.models) SMELT_RETURN_IF_ERROR(PackageCheck(entry, folder, problems).run());
  return problems;
}

}  // namespace smelt::manifest
