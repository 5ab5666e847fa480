#include "convert/passes/scaled_rows.h"

#include <memory>
#include <utility>

#include <fmt/format.h>

namespace smelt::passes {
namespace {

class ScaledRows final : public ByteSource {
 public:
  ScaledRows(BytesRef source, std::vector<double> scales) : source_(std::move(source)), scales_(std::move(scales)) {}
  [[nodiscard]] std::uint64_t size() const override { return source_->size(); }
  [[nodiscard]] std::uint64_t working_set() const override { return source_->working_set() + kWorkingSet; }
  [[nodiscard]] Status stream(std::span<std::byte> scratch, const Sink& sink) const override {
    if (size() == 0) return {};
    const std::uint64_t inner = size() / sizeof(float) / scales_.size();
    std::uint64_t position = 0;
    std::vector<float> out;
    return stream_elements<float>(*source_, scratch, [&](std::span<const float> elements) {
      out.clear();
      for (const float element : elements) {
        out.push_back(static_cast<float>(static_cast<double>(element) * scales_[static_cast<std::size_t>(position++ / inner)]));
      }
      return sink(std::as_bytes(std::span(out)));
    });
  }

 private:
  static constexpr std::uint64_t kWorkingSet = std::uint64_t{2} * 16384 * sizeof(float);  ///< of `stream_elements`, and `out`
  BytesRef source_;
  std::vector<double> scales_;
};

}  // namespace

Result<BytesRef> scaled_rows(BytesRef source, std::vector<double> scales) {
  if (source == nullptr) return Error(ErrorCode::kInvalidArgument, "scaled rows need a source");
  const std::uint64_t row_count = scales.size();
  if (row_count == 0 ? source->size() != 0 : source->size() % (row_count * sizeof(float)) != 0) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} bytes are not {} rows of f32", source->size(), row_count));
  }
  return BytesRef(std::make_shared<const ScaledRows>(std::move(source), std::move(scales)));
}

}  // namespace smelt::passes
