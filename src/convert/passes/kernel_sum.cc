#include "convert/passes/kernel_sum.h"

#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace smelt::passes {
namespace {

std::uint64_t product(const std::vector<std::int64_t>& extents) {
  return std::accumulate(extents.begin(), extents.end(), std::uint64_t{1},
                         [](std::uint64_t taps, std::int64_t extent) { return taps * static_cast<std::uint64_t>(extent); });
}

/// Streams factor * element + addend(position).
Status stream_sum(const Kernels& kernels, std::span<std::byte> scratch, const ByteSource::Sink& sink,
                  const std::function<double(std::uint64_t)>& addend) {
  std::uint64_t position = 0;
  std::vector<float> out;
  return stream_elements<float>(*kernels.bytes, scratch, [&](std::span<const float> elements) {
    out.clear();
    for (const float element : elements) {
      out.push_back(static_cast<float>(static_cast<double>(element) * kernels.factor + addend(position++)));
    }
    return sink(std::as_bytes(std::span(out)));
  });
}

constexpr std::uint64_t kChunks = std::uint64_t{2} * 16384 * sizeof(float);  ///< of `stream_elements`, and `out`

class KernelSum final : public ByteSource {
 public:
  /// `places`: for each element of a large row, the one of the small row that lies on it.
  KernelSum(Kernels large, Kernels small, std::vector<std::optional<std::uint64_t>> places)
      : large_(std::move(large)), small_(std::move(small)), places_(std::move(places)), small_taps_(product(small_.extents)) {}
  [[nodiscard]] std::uint64_t size() const override { return large_.bytes->size(); }
  [[nodiscard]] std::uint64_t working_set() const override {
    return large_.bytes->working_set() + small_.bytes->working_set() + small_.bytes->size() + kChunks;
  }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    std::vector<float> held;
    held.reserve(static_cast<std::size_t>(small_.bytes->size() / sizeof(float)));
    SMELT_RETURN_IF_ERROR(stream_elements<float>(*small_.bytes, scratch, [&held](std::span<const float> elements) {
      held.insert(held.end(), elements.begin(), elements.end());
      return Status();
    }));
    return stream_sum(large_, scratch, sink, [&](std::uint64_t position) {
      const std::optional<std::uint64_t>& place = places_[static_cast<std::size_t>(position % places_.size())];
      if (!place) return 0.0;
      return small_.factor * static_cast<double>(held[static_cast<std::size_t>(position / places_.size() * small_taps_ + *place)]);
    });
  }

 private:
  Kernels large_, small_;
  std::vector<std::optional<std::uint64_t>> places_;
  std::uint64_t small_taps_;
};

class ChannelScales final : public ByteSource {
 public:
  ChannelScales(Kernels kernels, std::uint64_t inputs_per_group, std::uint64_t tap, std::vector<double> scales)
      : kernels_(std::move(kernels)), inputs_(inputs_per_group), taps_(product(kernels_.extents)), tap_(tap), scales_(std::move(scales)) {}
  [[nodiscard]] std::uint64_t size() const override { return kernels_.bytes->size(); }
  [[nodiscard]] std::uint64_t working_set() const override { return kernels_.bytes->working_set() + kChunks; }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    return stream_sum(kernels_, scratch, sink, [&](std::uint64_t position) {
      const std::uint64_t row = position / taps_, output = row / inputs_;
      const bool is_own = row % inputs_ == output % inputs_ && position % taps_ == tap_;
      return is_own ? scales_[static_cast<std::size_t>(output)] : 0.0;
    });
  }

 private:
  Kernels kernels_;
  std::uint64_t inputs_, taps_, tap_;
  std::vector<double> scales_;
};

/// Rows of a source, or nothing when it is not whole ones.
std::optional<std::uint64_t> row_count(const Kernels& kernels) {
  const std::uint64_t row_bytes = product(kernels.extents) * sizeof(float);
  if (kernels.bytes == nullptr || row_bytes == 0 || kernels.bytes->size() % row_bytes != 0) return std::nullopt;
  return kernels.bytes->size() / row_bytes;
}

}  // namespace

Result<BytesRef> sum_kernels(Kernels large, Kernels small, const std::vector<std::int64_t>& offset) {
  const std::optional<std::uint64_t> rows = row_count(large);
  bool fits = rows.has_value() && rows == row_count(small) && large.extents.size() == small.extents.size() && offset.size() == small.extents.size();
  for (std::size_t k = 0; fits && k < offset.size(); ++k) {
    fits = offset[k] >= 0 && small.extents[k] <= large.extents[k] && offset[k] <= large.extents[k] - small.extents[k];
  }
  if (!fits) return Error(ErrorCode::kInvalidArgument, "the kernels of a sum do not lie within each other");
  std::vector<std::optional<std::uint64_t>> places(static_cast<std::size_t>(product(large.extents)));
  for (std::uint64_t tap = 0; tap < product(small.extents); ++tap) {
    std::uint64_t place = 0, left = tap, stride = 1;
    for (std::size_t k = offset.size(); k-- > 0;) {
      const auto extent = static_cast<std::uint64_t>(small.extents[k]);
      place += (left % extent + static_cast<std::uint64_t>(offset[k])) * stride;
      stride *= static_cast<std::uint64_t>(large.extents[k]);
      left /= extent;
    }
    places[static_cast<std::size_t>(place)] = tap;
  }
  return BytesRef(std::make_shared<const KernelSum>(std::move(large), std::move(small), std::move(places)));
}

Result<BytesRef> add_channel_scales(Kernels kernels, std::uint64_t inputs_per_group, std::uint64_t tap, std::vector<double> scales) {
  if (row_count(kernels) != scales.size() * inputs_per_group || inputs_per_group == 0 || tap >= product(kernels.extents)) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} scales do not fit the kernels", scales.size()));
  }
  return BytesRef(std::make_shared<const ChannelScales>(std::move(kernels), inputs_per_group, tap, std::move(scales)));
}

}  // namespace smelt::passes
