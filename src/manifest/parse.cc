#include "manifest/manifest.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"

namespace smelt::manifest {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20U;
constexpr int kMaxDepth = 16;  ///< the schema needs 6

Error too_large(std::uint64_t bytes, const std::string& file) {
  return Error(ErrorCode::kLimitReached, fmt::format("the manifest has {} bytes, the limit is {}", bytes, kMaxBytes))
      .at({.file = file});
}

Error malformed(std::string message, const std::string& file) {
  return Error(ErrorCode::kMalformedInput, std::move(message)).at({.file = file});
}

/// Watches a parse for what a JSON tree does not show: nesting that is too deep, and keys given twice.
class Watch {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (depth > kMaxDepth) {
      note(fmt::format("the manifest is nested deeper than {}", kMaxDepth));
    } else if (event == Json::parse_event_t::object_start) {
      keys_.resize(std::max(keys_.size(), level + 2));
      keys_[level + 1].clear();  // keys are one deeper than their object
    } else if (event == Json::parse_event_t::key && !keys_[level].insert(parsed.get<std::string>()).second) {
      note(fmt::format("the key {} is given twice in one object", parsed.dump()));
    }
    return problem_.empty();
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void note(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  std::vector<std::set<std::string>> keys_;  ///< by depth, of the object that is open there
  std::string problem_;
};

Result<Json> parse_json(const std::string& text, const std::string& file) {
  Watch watch;
  try {
    const auto callback = [&watch](int depth, Json::parse_event_t event, Json& parsed) { return watch(depth, event, parsed); };
    Json json = Json::parse(text, callback);
    if (!watch.problem().empty()) return malformed(watch.problem(), file);
    return json;
  } catch (const Json::parse_error& error) {
    if (!watch.problem().empty()) return malformed(watch.problem(), file);
    // nlohmann counts from one, and points at the last byte that it read.
    return Error(ErrorCode::kMalformedInput, "the manifest is not JSON")
        .at({.file = file, .byte_offset = error.byte > 0 ? error.byte - 1 : 0})
        .hint("it may be cut short or edited by hand; convert again to write it anew");
  } catch (const Json::exception& error) {
    return malformed(fmt::format("the manifest is not JSON: {}", error.what()), file);
  }
}

/// The first problem that reading the tree met. After one, every read gives an empty value, and the caller returns `first`.
struct Problem {
  std::optional<std::string> first{};
  ErrorCode code = ErrorCode::kMalformedInput;

  void set(std::string message, ErrorCode of = ErrorCode::kMalformedInput) {
    if (first.has_value()) return;
    first = std::move(message);
    code = of;
  }
};

/// A value of the tree and the path to it, "models[2].parity.samples", with the reads that check its type.
class Value {
 public:
  Value(const Json* json, std::string path, Problem& problem) : json_(json), path_(std::move(path)), problem_(&problem) {}

  [[nodiscard]] bool is_null() const { return json_ != nullptr && json_->is_null(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Problem& problem() const { return *problem_; }

  [[nodiscard]] std::string text() const { return expect(&Json::is_string, "a string") ? json_->get<std::string>() : ""; }

  [[nodiscard]] std::string filled_text() const {
    std::string out = text();
    if (out.empty()) problem_->set(fmt::format("{} is an empty string", path_));
    return out;
  }

  [[nodiscard]] std::string one_of(std::initializer_list<std::string_view> words) const {
    std::string out = text();
    if (std::ranges::find(words, out) == words.end()) {
      problem_->set(fmt::format("{} is \"{}\", not \"{}\"", path_, out, fmt::join(words, "\" or \"")));
    }
    return out;
  }

  [[nodiscard]] std::string sha256() const {
    std::string out = text();
    const bool is_hex = out.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (out.size() != 64 || !is_hex) problem_->set(fmt::format("{} is not 64 lower-case hexadecimal digits", path_));
    return out;
  }

  [[nodiscard]] std::uint64_t count() const {
    return expect(&Json::is_number_unsigned, "an integer from 0 to 2^64 - 1") ? json_->get<std::uint64_t>() : 0;
  }

  [[nodiscard]] std::int64_t extent() const {
    const std::uint64_t out = count();
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (out > kMax) problem_->set(fmt::format("{} is {}, the limit is {}", path_, out, kMax));
    return static_cast<std::int64_t>(std::min(out, kMax));
  }

  [[nodiscard]] std::optional<double> number_or_null() const {
    if (is_null() || !expect(&Json::is_number, "a number or null")) return std::nullopt;
    return json_->get<double>();
  }

  /// A number that was computed, null where it was not finite.
  [[nodiscard]] double number() const { return number_or_null().value_or(std::numeric_limits<double>::quiet_NaN()); }

  [[nodiscard]] bool boolean() const { return expect(&Json::is_boolean, "true or false") && json_->get<bool>(); }

  /// What `read` makes of each element.
  template <typename Read>
  [[nodiscard]] auto list(Read read) const {
    std::vector<decltype(read(*this))> out;
    if (!expect(&Json::is_array, "an array")) return out;
    for (std::size_t i = 0; i < json_->size() && !problem_->first.has_value(); ++i) {
      out.push_back(read(Value(&(*json_)[i], fmt::format("{}[{}]", path_, i), *problem_)));
    }
    return out;
  }

  [[nodiscard]] std::map<std::string, std::string> string_map() const {
    std::map<std::string, std::string> out;
    if (!expect(&Json::is_object, "an object")) return out;
    for (const auto& item : json_->items()) {
      out.emplace(item.key(), Value(&item.value(), fmt::format("{}.{}", path_, item.key()), *problem_).text());
    }
    return out;
  }

  /// The object, or null after a problem.
  [[nodiscard]] const Json* object() const { return expect(&Json::is_object, "an object") ? json_ : nullptr; }

 private:
  /// After a problem nothing is as expected, so no read goes on.
  [[nodiscard]] bool expect(bool (Json::*is)() const noexcept, const char* what) const {
    if (json_ == nullptr || problem_->first.has_value()) return false;
    if (!(json_->*is)()) problem_->set(fmt::format("{} is {}, not {}", path_.empty() ? "the manifest" : path_, kind(), what));
    return (json_->*is)();
  }

  [[nodiscard]] std::string kind() const {
    if (json_->is_null()) return "null";
    if (json_->is_number()) return fmt::format("the number {}", json_->dump());
    return fmt::format("of type {}", json_->type_name());
  }

  const Json* json_;  ///< null after a problem
  std::string path_;
  Problem* problem_;
};

/// The members of an object, each asked for by its key; `finish` refuses the keys that nobody asked for.
class Object {
 public:
  explicit Object(const Value& value) : value_(value), json_(value.object()) {}

  [[nodiscard]] Value operator[](const std::string& key) {
    asked_.insert(key);
    const std::string path = value_.path().empty() ? key : fmt::format("{}.{}", value_.path(), key);
    if (json_ == nullptr) return {nullptr, path, value_.problem()};
    const auto member = json_->find(key);
    if (member != json_->end()) return {&*member, path, value_.problem()};
    value_.problem().set(fmt::format("{} is missing", path));
    return {nullptr, path, value_.problem()};
  }

  /// The reason beside `key`: there, and not empty, exactly when `key` is null.
  [[nodiscard]] std::string reason(const std::string& key) {
    const std::string name = key + "_reason";
    if ((*this)[key].is_null()) return (*this)[name].filled_text();
    if (json_ != nullptr && json_->contains(name)) {
      value_.problem().set(fmt::format("{} is there although {} is not null", (*this)[name].path(), key));
    }
    return {};
  }

  [[nodiscard]] Measured measured(const std::string& key) {
    return {.value = (*this)[key].number_or_null(), .reason = reason(key)};
  }

  void finish() {
    if (json_ == nullptr) return;
    for (const auto& item : json_->items()) {
      if (asked_.contains(item.key())) continue;
      value_.problem().set(fmt::format("the key {} of {} is not known", Json(item.key()).dump(),
                                       value_.path().empty() ? "the manifest" : value_.path()));
      return;
    }
  }

 private:
  const Value value_;
  const Json* json_;
  std::set<std::string> asked_;
};

void check_version(const Value& value) {
  const std::uint64_t version = value.count();
  if (version != kSchemaVersion) {
    value.problem().set(fmt::format("{} is {}, this smelt reads {}", value.path(), version, kSchemaVersion),
                        ErrorCode::kUnsupported);
  }
}

IoTensor read_io_tensor(const Value& value) {
  Object in(value);
  IoTensor out{.name = in["name"].text(),
               .dtype = in["dtype"].text(),
               .shape = in["shape"].list([](const Value& v) { return v.extent(); })};
  in.finish();
  return out;
}

FileDigest read_digest(const Value& value) {
  Object in(value);
  FileDigest out{.path = in["path"].filled_text(), .bytes = in["bytes"].count(), .sha256 = in["sha256"].sha256()};
  in.finish();
  return out;
}

Fallback read_fallback(const Value& value) {
  Object in(value);
  Fallback out{.weight = in["weight"].text(), .reason = in["reason"].text(), .elements = in["elements"].count()};
  in.finish();
  return out;
}

PlanSummary read_plan(const Value& value) {
  Object in(value);
  PlanSummary out{.quantized = in["quantized"].count(),
                  .kept = in["kept"].count(),
                  .bytes_before = in["bytes_before"].count(),
                  .bytes_after = in["bytes_after"].count(),
                  .fallbacks = in["fallbacks"].list(read_fallback)};
  in.finish();
  return out;
}

OutputParity read_output_parity(const Value& value) {
  Object in(value);
  OutputParity out{.name = in["name"].text(),
                   .l_inf = in["l_inf"].number(),
                   .rmse = in["rmse"].number(),
                   .peak = in["peak"].number(),
                   .cosine = in["cosine"].number(),
                   .sqnr_db = in["sqnr_db"].number_or_null(),
                   .top1_agreement = in["top1_agreement"].number_or_null(),
                   .top5_agreement = in["top5_agreement"].number_or_null(),
                   .nan_count = in["nan_count"].count(),
                   .inf_count = in["inf_count"].count()};
  in.finish();
  return out;
}

GateRecord read_gate(const Value& value) {
  Object in(value);
  GateRecord out{.output = in["output"].text(),
                 .metric = in["metric"].text(),
                 .value = in["value"].number(),
                 .scale = in["scale"].number(),
                 .limit = in["limit"].number(),
                 .passed = in["passed"].boolean()};
  in.finish();
  return out;
}

Parity read_parity(const Value& value) {
  Object in(value);
  Parity out{.method = in["method"].text(),
             .dataset_sha256 = in["dataset_sha256"].sha256(),
             .seed = in["seed"].count(),
             .samples = in["samples"].count(),
             .data = in["data"].text(),
             .outputs = in["outputs"].list(read_output_parity),
             .gates = in["gates"].list(read_gate),
             .baseline_accuracy = in["baseline_accuracy"].number_or_null(),
             .variant_accuracy = in["variant_accuracy"].number_or_null(),
             .verdict = in["verdict"].one_of({"pass", "fail"})};
  in.finish();
  return out;
}

/// "tool" and "engine": the version of the one program that it can be.
std::string read_program(const Value& value, std::string_view name) {
  Object in(value);
  static_cast<void>(in["name"].one_of({name}));
  std::string version = in["version"].text();
  in.finish();
  return version;
}

void read_io_schema(const Value& value, Entry& out) {
  Object in(value);
  out.inputs = in["inputs"].list(read_io_tensor);
  out.outputs = in["outputs"].list(read_io_tensor);
  in.finish();
}

void read_digests(const Value& value, Entry& out) {
  Object in(value);
  out.source_digest = read_digest(in["source"]);
  out.files = in["files"].list(read_digest);
  in.finish();
}

Entry read_entry(const Value& value) {
  Object in(value);
  Entry out;
  check_version(in["schema_version"]);  // first: another version may well have other keys
  out.model = in["model"].filled_text();
  out.source = in["source"].text();
  out.backend = in["backend"].text();
  read_io_schema(in["io_schema"], out);
  out.precision = in["precision"].text();
  out.quantization = in["quantization"].text();
  out.ane_op_coverage_pct = in.measured("ane_op_coverage_pct");
  out.expected_speedup_m1 = in.measured("expected_speedup_m1");
  out.expected_speedup_m2 = in.measured("expected_speedup_m2");
  out.expected_speedup_m3 = in.measured("expected_speedup_m3");
  out.accuracy_delta_l_inf = in.measured("accuracy_delta_l_inf");
  out.accuracy_delta_rmse = in.measured("accuracy_delta_rmse");
  out.path = in["path"].filled_text();
  out.target = in["target"].text();
  out.weight_threshold = in["weight_threshold"].text();
  read_digests(in["digests"], out);
  out.tool_version = read_program(in["tool"], "smelt");
  if (const Value engine = in["engine"]; !engine.is_null()) out.engine_version = read_program(engine, "onnxruntime");
  static_cast<void>(in.reason("engine"));  // follows from the rest of the entry
  out.options = in["options"].string_map();
  out.plan = read_plan(in["quantization_plan"]);
  out.name_map = in["name_map"].string_map();
  out.notes = in["notes"].list([](const Value& v) { return v.text(); });
  if (const Value parity = in["parity"]; !parity.is_null()) out.parity = read_parity(parity);
  out.parity_reason = in.reason("parity");
  in.finish();
  return out;
}

std::vector<Entry> read_models(const Value& value) {
  std::set<std::string> models;
  std::vector<Entry> out = value.list([&models](const Value& element) {
    Entry entry = read_entry(element);
    if (!models.insert(entry.model).second) {
      element.problem().set(fmt::format("{}.model is \"{}\", as is that of an entry before it", element.path(), entry.model));
    }
    return entry;
  });
  std::ranges::sort(out, {}, &Entry::model);
  return out;
}

}  // namespace

Result<Manifest> parse(const std::string& text, const std::string& file) {
  if (text.size() > kMaxBytes) return too_large(text.size(), file);
  SMELT_ASSIGN_OR_RETURN(const Json json, parse_json(text, file));
  Problem problem;
  Object in(Value(&json, "", problem));
  check_version(in["schema_version"]);
  Manifest manifest{.models = read_models(in["models"])};
  in.finish();
  if (problem.first.has_value()) return Error(problem.code, *problem.first).at({.file = file});
  return manifest;
}

Result<Manifest> read(const fs::path& folder) {
  const fs::path path = folder / "manifest.json";
  std::error_code code;
  if (fs::symlink_status(path, code).type() == fs::file_type::not_found) return Manifest{};
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  if (file.size() > kMaxBytes) return too_large(file.size(), path.string());  // before it is copied
  if (file.size() == 0) return parse("", path.string());
  return parse(std::string(reinterpret_cast<const char*>(file.bytes().data()), file.size()), path.string());
}

}  // namespace smelt::manifest
