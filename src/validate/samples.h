#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/host_tensor.h"

/// Where the inputs of a parity run come from: generators with a seed, or files.
namespace smelt::parity {

/// What values an input takes, for the generators.
enum class InputRole {
  kValues,  ///< floats: standard normal; integers: 0 to 9 (i4: 0 to 7); bool: 0 or 1
  kIndex,   ///< indices into a table of `index_bound` rows: uniform in [0, index_bound)
  kMask,    ///< 1 for a random-length prefix (at least one element) of the last axis, then 0, as padded text has it
};

struct InputSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  ///< of one run, batch included
  InputRole role = InputRole::kValues;
  std::int64_t index_bound = 0;
};

struct NamedArray {
  std::string name;
  HostTensor tensor;
};

/// The samples of a parity run, one at a time; sample k is the same whenever it is asked for.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  [[nodiscard]] virtual std::uint64_t count() const = 0;
  /// One tensor for each InputSpec, in that order, of exactly its dtype and shape.
  [[nodiscard]] virtual Result<std::vector<NamedArray>> sample(std::uint64_t index) const = 0;
  /// The class index of the sample, where the data has labels.
  [[nodiscard]] virtual std::optional<std::int64_t> label(std::uint64_t index) const = 0;
  /// Expected outputs, where the data has them (ONNX test_data_set_*): empty otherwise.
  [[nodiscard]] virtual Result<std::vector<HostTensor>> expected(std::uint64_t index) const = 0;
  /// "generated", "npz", "npy folder", "onnx test data".
  [[nodiscard]] virtual std::string method() const = 0;
  /// SHA-256 over every sample's bytes in order (64 hex digits): equal data, equal digest, whatever file it came from.
  [[nodiscard]] Result<std::string> digest() const;
};

/// `samples` >= 1 sets of generated inputs. The same seed gives the same bytes on every machine: integers come from splitmix64,
/// "standard normal" is the sum of 12 uniform 24-bit integers over 2^24, less 6 (Irwin-Hall), exact in double and rounded to
/// float and then to the dtype; neither libm nor the standard library's distributions, which are not specified, take part. Each
/// tensor depends on (seed, position of the input, sample) alone. A spec that cannot be generated (an index_bound below 1 or
/// over the dtype, a negative extent, more bytes than `NpyLimits` has) makes `sample` return `kInvalidArgument` or `kLimitReached`.
[[nodiscard]] std::unique_ptr<SampleSource> generated_samples(std::vector<InputSpec> inputs, std::uint64_t samples,
                                                              std::uint64_t seed);

/// Samples from `data`: an .npz with an array for each input (keys are input names; a first extent of k times the input's gives
/// k samples; integers convert between widths when every value fits, and so do floats exactly representable; key "label" gives labels),
/// a folder of NAME.npy with the same rules, an ONNX test_data_set folder, or a folder that holds several of them.
/// `labels`: a .tsv whose last column is the class index, or a text file with an index a line, or empty. `limit` cuts the count; 0 for all.
/// Errors name the key, the file and the two shapes that disagree, and list the keys there are.
[[nodiscard]] Result<std::unique_ptr<SampleSource>> samples_from(const std::filesystem::path& data,
                                                                 const std::filesystem::path& labels,
                                                                 std::vector<InputSpec> inputs, std::uint64_t limit);

}  // namespace smelt::parity
