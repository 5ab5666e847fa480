#include "convert/coreml/package.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/temporary.h"

namespace smelt::coreml_format {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAuthor = "com.apple.CoreML";
constexpr const char* kModelName = "model.mlmodel";
constexpr const char* kWeightsName = "weights";

// UUIDv5 of the item's path ("com.apple.CoreML/weights") in the namespace ae1adcf1-9bb7-5c50-9bce-1cb375686aca, which is
// UUIDv5 of "https://smelt/coreml/package-items" in RFC 4122's URL namespace. Apple's are random; ours never change.
constexpr const char* kModelId = "961011bd-29c1-5f47-bec2-2df11e2fb89d";
constexpr const char* kWeightsId = "afc46c86-5e26-5c62-96e2-ba2a9257973e";

Error write_failed(const fs::path& path, std::string_view what, int code) {
  return Error(ErrorCode::kWriteFailed, fmt::format("{}: {}", what, std::strerror(code))).at({.file = path.string()});
}

Error already_there(const fs::path& target) {
  return Error(ErrorCode::kOutputExists, "the output is already there")
      .at({.file = target.string()})
      .hint("name another output, or remove this one");
}

// Writing.

Status make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0755) != 0) return write_failed(path, "the folder cannot be created", errno);
  return {};
}

/// Makes the names in a folder durable.
Status flush_folder(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return write_failed(path, "the folder cannot be opened", errno);
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // EINVAL: the file system has no such thing as flushing a folder.
  if (code != 0 && code != EINVAL) return write_failed(path, "the folder cannot be flushed", code);
  return {};
}

/// A new file inside the folder being built. It needs no temporary name: the folder has one.
class NewFile {
 public:
  explicit NewFile(fs::path path)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (fd_ < 0) status_ = write_failed(path_, "the file cannot be created", errno);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// The file becomes this long, of zeros.
  Status resize(std::uint64_t size) const {
    SMELT_RETURN_IF_ERROR(status_);
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return write_failed(path_, "the file cannot be written", errno);
    return {};
  }

  /// From several threads at once. After an error of this or `resize` the caller does not finish the file.
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
    SMELT_RETURN_IF_ERROR(status_);
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return write_failed(path_, "the file cannot be written", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return {};
  }

  Status finish() {
    SMELT_RETURN_IF_ERROR(status_);
    if (::fsync(fd_) != 0) return write_failed(path_, "the file cannot be flushed", errno);
    if (::close(std::exchange(fd_, -1)) != 0) return write_failed(path_, "the file cannot be closed", errno);
    return {};
  }

 private:
  fs::path path_;
  int fd_;
  Status status_;
};

nlohmann::json manifest_item(const char* name, const char* description) {
  return {{"author", kAuthor}, {"description", description}, {"name", name}, {"path", fmt::format("{}/{}", kAuthor, name)}};
}

std::string manifest_text(bool has_weights) {
  nlohmann::json manifest;  // sorts its keys
  manifest["fileFormatVersion"] = "1.0.0";
  manifest["itemInfoEntries"][kModelId] = manifest_item(kModelName, "CoreML Model Specification");
  if (has_weights) manifest["itemInfoEntries"][kWeightsId] = manifest_item(kWeightsName, "CoreML Model Weights");
  manifest["rootModelIdentifier"] = kModelId;
  return manifest.dump(4) + "\n";
}

bool is_taken(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

/// Whether `path` is a folder, not a link to one, with a Manifest.json: what may be replaced.
bool is_package(const fs::path& path) {
  struct stat folder {}, manifest {};
  return ::lstat(path.c_str(), &folder) == 0 && S_ISDIR(folder.st_mode) &&
         ::lstat((path / "Manifest.json").c_str(), &manifest) == 0 && S_ISREG(manifest.st_mode);
}

Error not_a_package(const fs::path& target) {
  return Error(ErrorCode::kOutputExists, "the output is already there and is not a Core ML package, so it is not replaced")
      .at({.file = target.string()})
      .hint("name another output, or remove this one");
}

/// Renames a folder to a name that must be free. 0, or an errno; EEXIST when it is taken.
int rename_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != ENOSYS && errno != EINVAL) return errno;
  // Not offered by this file system. mkdir claims the name, and rename may replace an empty folder.
  if (::mkdir(to.c_str(), 0755) != 0) return errno;
  if (::rename(from.c_str(), to.c_str()) == 0) return 0;
  const int code = errno;
  ::rmdir(to.c_str());
  return code;
}

}  // namespace

struct PackageWriter::State {
  fs::path target;
  Temporary temporary;  ///< a folder that is private to its owner
  IfExists if_exists = IfExists::kFail;
  bool has_weights = false;
  bool has_model = false;
  Status status{};  ///< the first error: a package with a part missing is never named

  // The temporary folder is closed to others whatever the umask. What is made inside it gets ordinary permissions.
  [[nodiscard]] fs::path root() const { return temporary.path() / "new"; }
  [[nodiscard]] fs::path items() const { return root() / "Data" / kAuthor; }

  Status make_folders() const {
    SMELT_RETURN_IF_ERROR(make_folder(root()));
    SMELT_RETURN_IF_ERROR(make_folder(root() / "Data"));
    return make_folder(items());
  }

  Status weights(std::uint64_t size, const std::function<Status(const SinkAt&)>& fill) const {
    SMELT_RETURN_IF_ERROR(make_folder(items() / kWeightsName));
    NewFile file(items() / kWeightsName / "weight.bin");
    SMELT_RETURN_IF_ERROR(file.resize(size));
    SMELT_RETURN_IF_ERROR(fill([&file, size](std::uint64_t offset, std::span<const std::byte> bytes) {
      SMELT_CHECK(offset <= size && bytes.size() <= size - offset);
      return file.write_at(offset, bytes);
    }));
    return file.finish();
  }

  Status model(std::span<const std::byte> bytes) const {
    NewFile file(items() / kModelName);
    SMELT_RETURN_IF_ERROR(file.write_at(0, bytes));
    return file.finish();
  }

  Status finish() const {
    const std::string text = manifest_text(has_weights);
    NewFile file(root() / "Manifest.json");
    SMELT_RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(text))));
    SMELT_RETURN_IF_ERROR(file.finish());
    if (has_weights) SMELT_RETURN_IF_ERROR(flush_folder(items() / kWeightsName));
    SMELT_RETURN_IF_ERROR(flush_folder(items()));
    SMELT_RETURN_IF_ERROR(flush_folder(root() / "Data"));
    return flush_folder(root());
  }

  Status name_it() {
    bool keeps_old = false;
    Status named;
    {
      const auto guard = hold_off_interruption();
      named = name_it(keeps_old);
    }
    if (keeps_old) temporary.release();
    return named;
  }

  Status name_it(bool& keeps_old) const {
    const int code = rename_to_free_name(root(), target);
    if (code == 0) return {};
    if (code != EEXIST && code != ENOTEMPTY) return write_failed(target, "the output cannot be named", code);
    if (if_exists == IfExists::kFail) return already_there(target);
    if (!is_package(target)) return not_a_package(target);
    return replace(keeps_old);
  }

  /// The old package ends up inside the temporary folder, and goes away with it, unless it could not be put back.
  Status replace(bool& keeps_old) const {
    if (::renameat2(AT_FDCWD, root().c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return {};
    // Not offered by every file system. In two steps, the name is missing for a moment.
    const fs::path old = temporary.path() / "old";
    if (::rename(target.c_str(), old.c_str()) != 0) return write_failed(target, "the old output cannot be moved aside", errno);
    const int code = rename_to_free_name(root(), target);
    if (code == 0) return {};
    Error error = write_failed(target, "the output cannot be named", code);
    if (rename_to_free_name(old, target) == 0) return error;
    keeps_old = true;
    return std::move(error).hint(fmt::format("the old output is now {}", old.string()));
  }
};

void remove_leftovers(const fs::path& target) {
  smelt::remove_leftovers(target, [&target](const fs::path& left) {
    if (!is_taken(target)) static_cast<void>(rename_to_free_name(left / "old", target));
  });
}

Result<PackageWriter> PackageWriter::create(const fs::path& target, IfExists if_exists) {
  const fs::path path = target.has_filename() ? target : target.parent_path();  // "a.mlpackage/" names the same folder
  if (path.extension() != ".mlpackage") {
    return Error(ErrorCode::kInvalidArgument, fmt::format("the name of a Core ML package ends in .mlpackage, not \"{}\"",
                                                          path.extension().string()))
        .at({.file = target.string()});
  }
  remove_leftovers(path);
  if (if_exists == IfExists::kFail && is_taken(path)) return already_there(path);
  if (if_exists == IfExists::kReplace && is_taken(path) && !is_package(path)) return not_a_package(path);
  SMELT_ASSIGN_OR_RETURN(Temporary temporary, Temporary::folder(path));
  PackageWriter writer(State{.target = path, .temporary = std::move(temporary), .if_exists = if_exists});
  SMELT_RETURN_IF_ERROR(writer.state_->make_folders());
  return writer;
}

PackageWriter::PackageWriter(State state) : state_(std::make_unique<State>(std::move(state))) {}
PackageWriter::PackageWriter(PackageWriter&&) noexcept = default;

PackageWriter::~PackageWriter() = default;

Status PackageWriter::write_weights(std::uint64_t size, const std::function<Status(const SinkAt&)>& fill) {
  SMELT_CHECK(state_ != nullptr && !state_->has_weights);
  state_->has_weights = true;
  if (state_->status.ok()) state_->status = state_->weights(size, fill);
  return state_->status;
}

Status PackageWriter::write_model(std::span<const std::byte> bytes) {
  SMELT_CHECK(state_ != nullptr && !state_->has_model);
  state_->has_model = true;
  if (state_->status.ok()) state_->status = state_->model(bytes);
  return state_->status;
}

Status PackageWriter::commit() {
  SMELT_CHECK(state_ != nullptr && state_->has_model && !state_->temporary.path().empty());
  State& state = *state_;
  SMELT_RETURN_IF_ERROR(state.status);
  SMELT_RETURN_IF_ERROR(state.finish());
  SMELT_RETURN_IF_ERROR(state.name_it());
  // The package is there and whole. Should flushing its name fail, a crash may still bring back what was there before.
  const fs::path parent = state.target.parent_path();
  static_cast<void>(flush_folder(parent.empty() ? fs::path(".") : parent).ok());
  state.temporary.remove();
  return {};
}

// Reading.

namespace {

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{1} << 20;
constexpr int kMaxManifestDepth = 8;  // a manifest needs 3

Error bad_manifest(const fs::path& manifest, std::string message) {
  return Error(ErrorCode::kMalformedInput, std::move(message)).at({.file = manifest.string()});
}

/// Relative, not empty, and without "..": what stays below a folder as long as no link leads out of it.
bool is_safe(std::string_view text) {
  if (text.empty() || text.front() == '/' || text.find('\0') != std::string_view::npos) return false;
  const fs::path path(text);
  return std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

bool is_inside(const fs::path& folder, const fs::path& path) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

Error unsafe(const fs::path& file, std::string_view path) {
  return Error(ErrorCode::kUnsafePath, fmt::format("the path \"{}\" leaves the package", path)).at({.file = file.string()});
}

/// The real path of `path` within a package whose real path is `root`. `text` is what the package calls it.
Result<fs::path> resolve(const fs::path& root, const fs::path& path, std::string_view text) {
  std::error_code code;
  fs::path real = fs::canonical(path, code);
  if (code) {
    return Error(ErrorCode::kReadFailed, fmt::format("the package's \"{}\" cannot be found: {}", text, code.message()))
        .at({.file = path.string()});
  }
  if (!is_inside(root, real)) return unsafe(path, text);
  return real;
}

Result<nlohmann::json> parse_manifest(const fs::path& root, const fs::path& path) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open_inside(root, path));
  if (file.size() > kMaxManifestBytes) {
    return Error(ErrorCode::kLimitReached, fmt::format("the manifest has {} bytes, the limit is {}", file.size(), kMaxManifestBytes))
        .at({.file = path.string()});
  }
  bool is_too_deep = false;
  const auto bound_depth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    is_too_deep = is_too_deep || depth > kMaxManifestDepth;
    return depth <= kMaxManifestDepth;
  };
  const char* const text = reinterpret_cast<const char*>(file.bytes().data());
  try {
    nlohmann::json json = nlohmann::json::parse(text, text + file.size(), bound_depth, false);
    if (is_too_deep) return bad_manifest(path, fmt::format("the manifest is nested deeper than {}", kMaxManifestDepth));
    if (!json.is_object()) return bad_manifest(path, "the manifest is not a JSON object");
    return json;
  } catch (const nlohmann::json::exception& exception) {
    return bad_manifest(path, fmt::format("the manifest is not JSON: {}", exception.what()));
  }
}

/// The member `key` when it is a string.
std::optional<std::string> string_member(const nlohmann::json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

/// The three numbers of "1.0.0".
std::optional<std::array<std::uint32_t, 3>> parse_version(std::string_view text) {
  std::array<std::uint32_t, 3> version{};
  const char* in = text.data();
  const char* const end = in + text.size();
  for (std::size_t i = 0; i < version.size(); ++i) {
    if (i > 0 && (in == end || *in++ != '.')) return std::nullopt;
    const auto [stop, code] = std::from_chars(in, end, version[i]);
    if (code != std::errc()) return std::nullopt;
    in = stop;
  }
  if (in != end) return std::nullopt;
  return version;
}

Status check_version(const fs::path& manifest, const nlohmann::json& json) {
  const std::optional<std::string> text = string_member(json, "fileFormatVersion");
  const auto version = text ? parse_version(*text) : std::nullopt;
  if (!version) return bad_manifest(manifest, "the manifest has no fileFormatVersion of three numbers");
  if (*version <= std::array<std::uint32_t, 3>{1, 0, 0}) return {};
  return Error(ErrorCode::kUnsupported, fmt::format("the package has the format version {}, the newest known is 1.0.0", *text))
      .at({.file = manifest.string()});
}

struct Item {
  std::string id, author, name;
  fs::path path;  ///< resolved
};

Result<Item> read_item(const fs::path& root, const std::string& id, const nlohmann::json& json) {
  const fs::path manifest = root / "Manifest.json";
  const auto author = string_member(json, "author"), name = string_member(json, "name"), path = string_member(json, "path");
  if (!author || !name || !path || !string_member(json, "description")) {
    return bad_manifest(manifest, fmt::format("item \"{}\" lacks an author, a description, a name or a path", id));
  }
  if (!is_safe(*path)) return unsafe(manifest, *path);
  SMELT_ASSIGN_OR_RETURN(fs::path real, resolve(root, root / "Data" / *path, *path));
  return Item{.id = id, .author = *author, .name = *name, .path = std::move(real)};
}

Result<std::vector<Item>> read_items(const fs::path& root, const nlohmann::json& json) {
  const auto entries = json.find("itemInfoEntries");
  if (entries == json.end() || !entries->is_object()) return bad_manifest(root / "Manifest.json", "the manifest has no itemInfoEntries");
  std::vector<Item> items;
  for (const auto& [id, entry] : entries->items()) {
    SMELT_ASSIGN_OR_RETURN(Item item, read_item(root, id, entry));
    items.push_back(std::move(item));
  }
  return items;
}

/// The item that holds the weights. Other authors than Apple's name it alike, so the name decides first.
const Item* find_weights(const std::vector<Item>& items) {
  const Item* found = nullptr;
  for (const Item& item : items) {
    if (item.name == kWeightsName && (found == nullptr || item.author == kAuthor)) found = &item;
  }
  return found;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

Result<fs::path> real_root(const fs::path& root) {
  std::error_code code;
  fs::path real = fs::canonical(root, code);
  if (code) {
    return Error(ErrorCode::kReadFailed, fmt::format("the package cannot be opened: {}", code.message())).at({.file = root.string()});
  }
  if (!is_folder(real)) {
    return Error(ErrorCode::kNotThisFormat, "the file is not a Core ML package, which is a folder").at({.file = root.string()});
  }
  return real;
}

}  // namespace

Result<PackageFiles> open_package(const fs::path& path) {
  SMELT_ASSIGN_OR_RETURN(const fs::path root, real_root(path));
  const fs::path manifest = root / "Manifest.json";
  if (!is_taken(manifest)) {
    return Error(ErrorCode::kNotThisFormat, "the folder is not a Core ML package: it has no Manifest.json").at({.file = path.string()});
  }
  SMELT_ASSIGN_OR_RETURN(const fs::path real_manifest, resolve(root, manifest, "Manifest.json"));
  SMELT_ASSIGN_OR_RETURN(const nlohmann::json json, parse_manifest(root, real_manifest));
  SMELT_RETURN_IF_ERROR(check_version(manifest, json));
  SMELT_ASSIGN_OR_RETURN(const std::vector<Item> items, read_items(root, json));
  const std::optional<std::string> model_id = string_member(json, "rootModelIdentifier");
  const auto model = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.id == model_id; });
  if (model == items.end()) return bad_manifest(manifest, "the manifest's rootModelIdentifier is none of its items");
  if (!is_file(model->path)) return bad_manifest(manifest, fmt::format("the model item \"{}\" is not a file", model->name));
  PackageFiles files{.root = root, .model = model->path, .weights_dir = {}};
  if (const Item* const weights = find_weights(items)) {
    if (!is_folder(weights->path)) return bad_manifest(manifest, "the weights item is not a folder");
    files.weights_dir = weights->path;
  }
  return files;
}

Result<fs::path> resolve_blob_file(const PackageFiles& package, const std::string& file_name) {
  constexpr std::string_view kPrefix = "@model_path/";
  std::string_view relative = file_name;
  if (relative.starts_with(kPrefix)) relative.remove_prefix(kPrefix.size());
  if (!is_safe(relative)) return unsafe(package.model, file_name);
  fs::path path = package.model.parent_path() / relative;
  if (!is_file(path) && !package.weights_dir.empty()) path = package.weights_dir / fs::path(relative).filename();
  SMELT_ASSIGN_OR_RETURN(fs::path real, resolve(package.root, path, file_name));
  if (is_file(real)) return real;
  return Error(ErrorCode::kReadFailed, fmt::format("the package's \"{}\" is not a file", file_name)).at({.file = real.string()});
}

Result<std::vector<std::string>> list_package_files(const fs::path& path) {
  SMELT_ASSIGN_OR_RETURN(const fs::path root, real_root(path));
  std::vector<std::string> files;
  std::error_code code;
  fs::recursive_directory_iterator entry(root, code);  // does not follow links to folders
  for (; !code && entry != fs::recursive_directory_iterator(); entry.increment(code)) {
    const std::string relative = entry->path().lexically_relative(root).generic_string();
    std::error_code ignored;
    // A link is listed as the file that it leads to, or a digest of the package would not cover what is read from it.
    if (entry->is_symlink(ignored)) {
      Result<fs::path> real = resolve(root, entry->path(), relative);
      if (!real.ok()) return real.error();
    }
    if (entry->is_regular_file(ignored)) files.push_back(relative);
  }
  if (code) {
    return Error(ErrorCode::kReadFailed, fmt::format("the package cannot be listed: {}", code.message())).at({.file = root.string()});
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace smelt::coreml_format
