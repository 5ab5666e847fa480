// The bytes are an .npy file.

#include "target.h"
#include "validate/npy.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const smelt::parity::NpyLimits limits{.max_bytes = std::uint64_t{64} << 20};
  const auto tensor = smelt::parity::parse_npy(std::as_bytes(std::span(data, size)), "a.npy", limits);
  if (!tensor.ok()) return 0;
  const auto again = smelt::parity::parse_npy(smelt::parity::format_npy(*tensor), "b.npy", limits);
  SMELT_CHECK(again.ok() && *again == *tensor);
  return 0;
}
