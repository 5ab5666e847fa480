#include "tensor/constant.h"

#include <utility>

#include <fmt/format.h>

#include "base/sha256.h"

namespace smelt {
namespace {

/// Chunks of sources that need scratch are this large; also bounds what a digest or a load needs beyond its result.
constexpr std::size_t kScratchBytes = std::size_t{256} << 10;

}  // namespace

ConstantRef make_constant(HostTensor tensor) {
  return std::make_shared<const Constant>(Constant{
      .dtype = tensor.dtype, .shape = std::move(tensor.shape), .bytes = owned_bytes(std::move(tensor.bytes))});
}

std::uint64_t element_count(const Constant& constant) {
  const Result<std::int64_t> count = element_count(constant.shape);
  SMELT_CHECK(count.ok());
  return static_cast<std::uint64_t>(*count);
}

std::uint64_t byte_count(const Constant& constant) { return constant.bytes->size(); }

Result<HostTensor> load(const Constant& constant) {
  HostTensor tensor{.dtype = constant.dtype, .shape = constant.shape, .bytes = {}};
  tensor.bytes.reserve(static_cast<std::size_t>(constant.bytes->size()));
  std::vector<std::byte> scratch(kScratchBytes);
  SMELT_RETURN_IF_ERROR(constant.bytes->stream(scratch, [&](std::span<const std::byte> chunk) {
    tensor.bytes.insert(tensor.bytes.end(), chunk.begin(), chunk.end());
    return Status();
  }));
  SMELT_CHECK(tensor.bytes.size() == constant.bytes->size());
  return tensor;
}

Result<std::string> digest(const Constant& constant) {
  Sha256 sha256;
  const std::string head = type_text(constant.dtype, constant.shape) + "\n";
  sha256.update(std::as_bytes(std::span(head)));
  std::vector<std::byte> scratch(kScratchBytes);
  SMELT_RETURN_IF_ERROR(constant.bytes->stream(scratch, [&](std::span<const std::byte> chunk) {
    sha256.update(chunk);
    return Status();
  }));
  return sha256.finish_hex();
}

}  // namespace smelt
