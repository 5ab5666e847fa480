#include "validate/samples.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/mapped_file.h"
#include "base/sha256.h"
#include "tensor/float16.h"
#include "validate/npy.h"
#include "validate/tensor_proto.h"

namespace smelt::parity {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLabelKey = "label";
Error invalid(const fs::path& file, std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message)).at({.file = file.string()});
}

/// Calls `visit` with a zero of the C++ type of an integer or bool dtype of whole bytes.
template <typename Visit>
auto with_integer(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kI8: return visit(std::int8_t{});
    case DType::kU8:
    case DType::kBool: return visit(std::uint8_t{});
    case DType::kI16: return visit(std::int16_t{});
    case DType::kU16: return visit(std::uint16_t{});
    case DType::kI32: return visit(std::int32_t{});
    case DType::kU32: return visit(std::uint32_t{});
    case DType::kI64: return visit(std::int64_t{});
    case DType::kU64: return visit(std::uint64_t{});
    default: SMELT_CHECK(false);
  }
}

/// Writes element i of an integer or bool dtype. False when it does not hold the value. 4-bit elements must be zero before.
bool put_integer(DType dtype, std::vector<std::byte>& bytes, std::size_t i, std::int64_t value) {
  if (dtype == DType::kI4 || dtype == DType::kU4) {
    const std::int64_t low = dtype == DType::kI4 ? -8 : 0;
    if (value < low || value > low + 15) return false;
    bytes[i / 2] |= static_cast<std::byte>((value & 15) << (i % 2 * 4));
    return true;
  }
  if (dtype == DType::kBool && value != 0 && value != 1) return false;
  return with_integer(dtype, [&](auto narrow) {
    if (!std::in_range<decltype(narrow)>(value)) return false;
    narrow = static_cast<decltype(narrow)>(value);
    std::memcpy(bytes.data() + i * sizeof narrow, &narrow, sizeof narrow);
    return true;
  });
}

std::uint16_t bf16_bits(float value) {
  const auto wide = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(wide >> 16 | 0x40);
  return static_cast<std::uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);  // to nearest, ties to even
}

/// Writes element i of a float dtype, rounded from float. False when the value does not come back; a NaN stays one.
bool put_float(DType dtype, std::vector<std::byte>& bytes, std::size_t i, double value) {
  std::byte* const to = bytes.data() + i * (bits(dtype) / 8);
  if (dtype == DType::kF64) {
    std::memcpy(to, &value, sizeof value);
    return true;
  }
  // Past float's range the cast is not defined.
  if (std::isfinite(value) && std::abs(value) > static_cast<double>(std::numeric_limits<float>::max())) return false;
  float back = static_cast<float>(value);
  if (dtype == DType::kF32) {
    std::memcpy(to, &back, sizeof back);
  } else {
    SMELT_CHECK(dtype == DType::kF16 || dtype == DType::kBF16);
    const std::uint16_t half = dtype == DType::kF16 ? f16_bits(back) : bf16_bits(back);
    std::memcpy(to, &half, sizeof half);
    back = dtype == DType::kF16 ? f16_value(half) : std::bit_cast<float>(std::uint32_t{half} << 16);
  }
  return static_cast<double>(back) == value || std::isnan(value);
}

/// Element i of an integer or bool tensor of whole bytes; absent when it is over 2^63 - 1.
std::optional<std::int64_t> integer_at(const HostTensor& tensor, std::size_t i) {
  return with_integer(tensor.dtype, [&](auto value) -> std::optional<std::int64_t> {
    std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
    if (!std::in_range<std::int64_t>(value)) return std::nullopt;
    return static_cast<std::int64_t>(value);
  });
}

/// The tensor in another dtype, every value kept, or an error.
Result<HostTensor> convert(HostTensor tensor, const InputSpec& input) {
  if (tensor.dtype == input.dtype) return tensor;
  const std::string types = fmt::format("input \"{}\" is {}, its data is {}", input.name, name(input.dtype), name(tensor.dtype));
  if (is_float(tensor.dtype) != is_float(input.dtype) || bits(tensor.dtype) == 4) {
    return Error(ErrorCode::kInvalidArgument, types).hint("save the data in the input's own type");
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(tensor.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(input.dtype, static_cast<std::uint64_t>(count)));
  HostTensor out{.dtype = input.dtype, .shape = tensor.shape, .bytes = std::vector<std::byte>(size)};
  const std::vector<double> floats = is_float(input.dtype) ? to_doubles(tensor) : std::vector<double>{};
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    if (is_float(input.dtype)) {
      if (put_float(out.dtype, out.bytes, i, floats[i])) continue;
      return Error(ErrorCode::kInvalidArgument, fmt::format("{}, and the value {} does not fit", types, floats[i]));
    }
    const std::optional<std::int64_t> value = integer_at(tensor, i);
    if (value.has_value() && put_integer(out.dtype, out.bytes, i, *value)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{}, and the value {} does not fit", types, value ? fmt::to_string(*value) : "at 2^63 or over"));
  }
  return out;
}

Status check_index(const SampleSource& source, std::uint64_t index) {
  if (index < source.count()) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("sample {} is asked for, there are {}", index, source.count()));
}

/// splitmix64 (Steele, Lea and Flood 2014; constants as in Vigna's reference code).
class Random {
 public:
  explicit Random(std::uint64_t state) : state_(state) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, bound), bound >= 1: values of the last, incomplete run of `bound` are drawn again.
  std::int64_t below(std::int64_t bound) {
    const auto wide = static_cast<std::uint64_t>(bound);
    const std::uint64_t rejected = (std::numeric_limits<std::uint64_t>::max() % wide + 1) % wide;  // 2^64 mod bound
    std::uint64_t value = next();
    while (value < rejected) value = next();
    return static_cast<std::int64_t>(value % wide);
  }

  float normal() {
    std::uint64_t sum = 0;
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t value = next();
      sum += (value >> 40) + (value >> 16 & 0xffffff);
    }
    return static_cast<float>(static_cast<double>(sum) / 16777216.0 - 6.0);
  }

 private:
  std::uint64_t state_;
};

bool put_number(DType dtype, std::vector<std::byte>& bytes, std::size_t i, std::int64_t value) {
  return is_float(dtype) ? put_float(dtype, bytes, i, static_cast<double>(value)) : put_integer(dtype, bytes, i, value);
}

void fill_values(HostTensor& tensor, std::size_t count, Random& random) {
  const std::int64_t bound = tensor.dtype == DType::kBool ? 2 : tensor.dtype == DType::kI4 ? 8 : 10;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_float(tensor.dtype)) {
      static_cast<void>(put_float(tensor.dtype, tensor.bytes, i, static_cast<double>(random.normal())));  // may round
    } else {
      SMELT_CHECK(put_integer(tensor.dtype, tensor.bytes, i, random.below(bound)));
    }
  }
}

void fill_mask(HostTensor& tensor, std::size_t count, Random& random) {
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  for (std::size_t at = 0; at < count; at += static_cast<std::size_t>(row)) {
    const auto ones = static_cast<std::size_t>(random.below(row) + 1);
    for (std::size_t i = 0; i < ones; ++i) SMELT_CHECK(put_number(tensor.dtype, tensor.bytes, at + i, 1));
  }
}

/// The bytes are zero, which is 0 in every dtype.
Result<HostTensor> zero_tensor(const InputSpec& input) {
  if (std::ranges::any_of(input.shape, [](std::int64_t extent) { return extent < 0; })) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("input \"{}\" has a negative extent", input.name));
  }
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(input.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(input.dtype, static_cast<std::uint64_t>(count)));
  if (size > NpyLimits{}.max_bytes) {
    return Error(ErrorCode::kLimitReached,
                 fmt::format("input \"{}\" has {} bytes a sample, the limit is {}", input.name, size, NpyLimits{}.max_bytes));
  }
  return HostTensor{.dtype = input.dtype, .shape = input.shape, .bytes = std::vector<std::byte>(size)};
}

Result<HostTensor> generate(const InputSpec& input, Random random) {
  SMELT_ASSIGN_OR_RETURN(HostTensor tensor, zero_tensor(input));
  const auto count = static_cast<std::size_t>(element_count(input.shape).value());
  if (input.role == InputRole::kMask) {
    fill_mask(tensor, count, random);
  } else if (input.role == InputRole::kValues) {
    fill_values(tensor, count, random);
  } else {
    // The largest index is tried first: whether the bound suits the dtype must not depend on what is drawn.
    std::vector<std::byte> trial(8);
    if (input.index_bound < 1 || !put_number(input.dtype, trial, 0, input.index_bound - 1)) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("input \"{}\" of {} is to be an index below {}", input.name, name(input.dtype), input.index_bound));
    }
    for (std::size_t i = 0; i < count; ++i) {
      static_cast<void>(put_number(input.dtype, tensor.bytes, i, random.below(input.index_bound)));  // a float may round
    }
  }
  return tensor;
}

class GeneratedSamples final : public SampleSource {
 public:
  GeneratedSamples(std::vector<InputSpec> inputs, std::uint64_t count, std::uint64_t seed)
      : inputs_(std::move(inputs)), count_(count), seed_(seed) {}

  [[nodiscard]] std::uint64_t count() const override { return count_; }
  [[nodiscard]] Result<std::vector<NamedArray>> sample(std::uint64_t index) const override {
    SMELT_RETURN_IF_ERROR(check_index(*this, index));
    std::vector<NamedArray> arrays;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      // Each step scatters its sum over all 64 bits, so that neighbours in any of the three are unrelated streams.
      const std::uint64_t of_input = Random(Random(seed_).next() + i).next();
      SMELT_ASSIGN_OR_RETURN(HostTensor tensor, generate(inputs_[i], Random(Random(of_input + index).next())));
      arrays.push_back({.name = inputs_[i].name, .tensor = std::move(tensor)});
    }
    return arrays;
  }
  [[nodiscard]] std::optional<std::int64_t> label(std::uint64_t) const override { return std::nullopt; }
  [[nodiscard]] Result<std::vector<HostTensor>> expected(std::uint64_t) const override { return std::vector<HostTensor>{}; }
  [[nodiscard]] std::string method() const override { return "generated"; }

 private:
  std::vector<InputSpec> inputs_;
  std::uint64_t count_, seed_;
};

/// What was read from files: sets of one array for each input, each set with the same number of samples.
struct Data {
  fs::path path;
  std::string method;
  std::vector<std::vector<HostTensor>> sets;
  std::uint64_t per_set = 1;
  std::optional<HostTensor> labels;  ///< an integer for each sample
  std::vector<fs::path> folders;     ///< of test data, one for each set
};

class FileSamples final : public SampleSource {
 public:
  FileSamples(std::vector<InputSpec> inputs, Data data, std::uint64_t count)
      : inputs_(std::move(inputs)), data_(std::move(data)), count_(count) {}

  /// Every sample converts, so that `sample` fails for a wrong index only.
  [[nodiscard]] Status check() const {
    for (std::uint64_t i = 0; i < count_; ++i) {
      for (std::size_t k = 0; k < inputs_.size(); ++k) {
        if (data_.sets[i / data_.per_set][k].dtype == inputs_[k].dtype) continue;
        const Result<HostTensor> tensor = slice(i, k);
        if (tensor.ok()) continue;
        const Error& error = tensor.error();
        return invalid(data_.path, fmt::format("sample {}: {}", i, error.message())).hint(error.hint_text());
      }
    }
    return {};
  }

  [[nodiscard]] std::uint64_t count() const override { return count_; }
  [[nodiscard]] Result<std::vector<NamedArray>> sample(std::uint64_t index) const override {
    SMELT_RETURN_IF_ERROR(check_index(*this, index));
    std::vector<NamedArray> arrays;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      SMELT_ASSIGN_OR_RETURN(HostTensor tensor, slice(index, k));
      arrays.push_back({.name = inputs_[k].name, .tensor = std::move(tensor)});
    }
    return arrays;
  }
  [[nodiscard]] std::optional<std::int64_t> label(std::uint64_t index) const override {
    return data_.labels.has_value() && index < count_ ? integer_at(*data_.labels, index) : std::nullopt;
  }

  [[nodiscard]] Result<std::vector<HostTensor>> expected(std::uint64_t index) const override {
    SMELT_RETURN_IF_ERROR(check_index(*this, index));
    std::vector<HostTensor> outputs;
    if (data_.folders.empty()) return outputs;
    SMELT_ASSIGN_OR_RETURN(const std::vector<fs::path> files, tensor_files(data_.folders[index], "output"));
    for (const fs::path& file : files) {
      SMELT_ASSIGN_OR_RETURN(ProtoTensor output, read_tensor_proto(file, NpyLimits{}));
      outputs.push_back(std::move(output.tensor));
    }
    return outputs;
  }
  [[nodiscard]] std::string method() const override { return data_.method; }

 private:
  [[nodiscard]] Result<HostTensor> slice(std::uint64_t index, std::size_t input) const {
    const HostTensor& whole = data_.sets[index / data_.per_set][input];
    const std::uint64_t size = whole.bytes.size() / data_.per_set;
    const auto bytes = std::span(whole.bytes).subspan(index % data_.per_set * size, size);
    return convert({.dtype = whole.dtype, .shape = inputs_[input].shape, .bytes = {bytes.begin(), bytes.end()}}, inputs_[input]);
  }

  std::vector<InputSpec> inputs_;
  Data data_;
  std::uint64_t count_;
};

std::string key_list(std::span<const std::string> keys) {
  constexpr std::size_t kShown = 20;
  if (keys.empty()) return "none";
  const std::string text = fmt::format("{}", fmt::join(keys.first(std::min(keys.size(), kShown)), ", "));
  return keys.size() <= kShown ? text : fmt::format("{} and {} more", text, keys.size() - kShown);
}

/// How many samples an array has for an input.
Result<std::uint64_t> samples_in(const HostTensor& tensor, const InputSpec& input, const fs::path& path) {
  const auto& data = tensor.shape;
  const auto& run = input.shape;
  if (data == run) return std::uint64_t{1};
  if (run.empty() && data.size() == 1 && data[0] > 0) return static_cast<std::uint64_t>(data[0]);
  if (!run.empty() && data.size() == run.size() && std::equal(data.begin() + 1, data.end(), run.begin() + 1) && run[0] > 0 &&
      data[0] > 0 && data[0] % run[0] == 0) {
    return static_cast<std::uint64_t>(data[0] / run[0]);
  }
  return invalid(path, fmt::format("array \"{}\" is {}, input \"{}\" is {}", input.name, type_text(tensor.dtype, data), input.name,
                                   type_text(input.dtype, run)))
      .hint("the first extent must be a multiple of the input's, the others equal to it");
}

/// Puts the arrays in the order of the inputs and takes the labels.
Status take_arrays(std::vector<NpyEntry> entries, std::span<const std::string> keys, std::span<const InputSpec> inputs, Data& data) {
  data.sets.resize(1);
  for (const InputSpec& input : inputs) {
    const auto entry = std::ranges::find(entries, input.name, &NpyEntry::name);
    if (entry == entries.end()) {
      return invalid(data.path, fmt::format("there is no array \"{}\" for that input, the arrays are: {}", input.name, key_list(keys)));
    }
    SMELT_ASSIGN_OR_RETURN(const std::uint64_t samples, samples_in(entry->tensor, input, data.path));
    if (!data.sets[0].empty() && samples != data.per_set) {
      return invalid(data.path, fmt::format("array \"{}\" has {} samples, \"{}\" has {}", input.name, samples, inputs[0].name, data.per_set));
    }
    data.per_set = samples;
    data.sets[0].push_back(std::move(entry->tensor));
    entries.erase(entry);
  }
  const auto label = std::ranges::find(entries, kLabelKey, &NpyEntry::name);
  if (label != entries.end()) data.labels = std::move(label->tensor);
  return {};
}

/// A name of the model never becomes a path: files are found by listing.
Status load_npy_folder(std::span<const InputSpec> inputs, Data& data) {
  std::set<std::string> sorted;
  std::error_code code;
  for (fs::directory_iterator entry(data.path, code), end; !code && entry != end; entry.increment(code)) {
    if (entry->path().extension() == ".npy") sorted.insert(entry->path().stem().string());
  }
  if (code) {
    return Error(ErrorCode::kReadFailed, fmt::format("cannot list the folder: {}", code.message())).at({.file = data.path.string()});
  }
  const std::vector<std::string> keys(sorted.begin(), sorted.end());
  std::vector<NpyEntry> entries;
  for (const std::string& key : keys) {
    if (key != kLabelKey && std::ranges::find(inputs, key, &InputSpec::name) == inputs.end()) continue;
    SMELT_ASSIGN_OR_RETURN(HostTensor tensor, read_npy(data.path / (key + ".npy"), NpyLimits{}));
    entries.push_back({.name = key, .tensor = std::move(tensor)});
  }
  return take_arrays(std::move(entries), keys, inputs, data);
}

/// One set: by name where any name is an input's, by position otherwise, as older test data has no names or others.
Status load_set(const fs::path& folder, std::span<const InputSpec> inputs, Data& data) {
  SMELT_ASSIGN_OR_RETURN(const std::vector<fs::path> files, tensor_files(folder, "input"));
  std::vector<NpyEntry> entries;
  std::vector<std::string> keys;
  bool is_named = false;
  for (const fs::path& file : files) {
    SMELT_ASSIGN_OR_RETURN(ProtoTensor tensor, read_tensor_proto(file, NpyLimits{}));
    is_named = is_named || std::ranges::find(inputs, tensor.name, &InputSpec::name) != inputs.end();
    keys.push_back(tensor.name);
    entries.push_back({.name = std::move(tensor.name), .tensor = std::move(tensor.tensor)});
  }
  if (!is_named && entries.size() != inputs.size()) {
    return invalid(folder, fmt::format("there are {} tensors for {} inputs, and no name is an input's: {}", entries.size(),
                                       inputs.size(), key_list(keys)));
  }
  for (std::size_t i = 0; !is_named && i < entries.size(); ++i) entries[i].name = inputs[i].name;
  Data one;
  one.path = folder;
  SMELT_RETURN_IF_ERROR(take_arrays(std::move(entries), keys, inputs, one));
  if (one.per_set != 1) return invalid(folder, fmt::format("the tensors have {} samples, a set of test data is one", one.per_set));
  data.sets.push_back(std::move(one.sets[0]));
  data.folders.push_back(folder);
  return {};
}

Status load(std::span<const InputSpec> inputs, Data& data) {
  std::error_code code;
  data.method = "npz";
  if (!fs::is_directory(data.path, code)) {
    SMELT_ASSIGN_OR_RETURN(std::vector<NpyEntry> entries, read_npz(data.path, NpyLimits{}));
    std::vector<std::string> keys;
    for (const NpyEntry& entry : entries) keys.push_back(entry.name);
    return take_arrays(std::move(entries), keys, inputs, data);
  }
  SMELT_ASSIGN_OR_RETURN(const std::vector<fs::path> sets, test_data_sets(data.path));
  data.method = sets.empty() ? "npy folder" : "onnx test data";
  if (sets.empty()) return load_npy_folder(inputs, data);
  for (const fs::path& folder : sets) SMELT_RETURN_IF_ERROR(load_set(folder, inputs, data));
  return {};
}

/// The last column of each line as an integer.
Result<HostTensor> read_labels(const fs::path& path) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.size());
  const bool is_table = path.extension() == ".tsv";
  std::vector<std::int64_t> labels;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (is_table) line.remove_prefix(line.rfind('\t') + 1);  // npos + 1 is 0
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (code != std::errc() || stop != line.data() + line.size()) {
      return Error(ErrorCode::kMalformedInput,
                   fmt::format("line {} does not end in a class index: \"{}\"", labels.size() + 1, line.substr(0, 64)))
          .at({.file = path.string()});
    }
    labels.push_back(value);
  }
  return i64_tensor({static_cast<std::int64_t>(labels.size())}, labels);
}

Status check_labels(const HostTensor& labels, std::uint64_t samples, const fs::path& path) {
  const auto count = static_cast<std::uint64_t>(element_count(labels.shape).value());
  if (!is_integer(labels.dtype) || bits(labels.dtype) == 4 || count != samples) {
    return invalid(path, fmt::format("the labels are {}, there are {} samples", type_text(labels.dtype, labels.shape), samples))
        .hint("give one integer for each sample");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!integer_at(labels, i)) return invalid(path, fmt::format("label {} is 2^63 or more", i));
  }
  return {};
}

}  // namespace

Result<std::string> SampleSource::digest() const {
  Sha256 sha;
  for (std::uint64_t i = 0; i < count(); ++i) {
    SMELT_ASSIGN_OR_RETURN(const std::vector<NamedArray> arrays, sample(i));
    for (const NamedArray& array : arrays) sha.update(array.tensor.bytes);
  }
  return sha.finish_hex();
}

std::unique_ptr<SampleSource> generated_samples(std::vector<InputSpec> inputs, std::uint64_t samples, std::uint64_t seed) {
  return std::make_unique<GeneratedSamples>(std::move(inputs), samples, seed);
}

Result<std::unique_ptr<SampleSource>> samples_from(const fs::path& data, const fs::path& labels, std::vector<InputSpec> inputs,
                                                   std::uint64_t limit) {
  if (inputs.empty()) return invalid(data, "the model has no inputs to give data to");
  Data loaded;
  loaded.path = data;
  SMELT_RETURN_IF_ERROR(load(inputs, loaded));
  const std::uint64_t samples = loaded.sets.size() * loaded.per_set;
  if (!labels.empty()) {
    SMELT_ASSIGN_OR_RETURN(loaded.labels, read_labels(labels));
  }
  if (loaded.labels.has_value()) {
    SMELT_RETURN_IF_ERROR(check_labels(*loaded.labels, samples, labels.empty() ? data : labels));
  }
  const std::uint64_t count = limit == 0 ? samples : std::min(limit, samples);
  auto source = std::make_unique<FileSamples>(std::move(inputs), std::move(loaded), count);
  SMELT_RETURN_IF_ERROR(source->check());
  return std::unique_ptr<SampleSource>(std::move(source));
}

}  // namespace smelt::parity
