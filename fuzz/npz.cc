// The bytes are an .npz archive.

#include "target.h"
#include "validate/npy.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const smelt::fuzz::ScratchFolder folder;
  folder.write("a.npz", std::as_bytes(std::span(data, size)));
  const smelt::parity::NpyLimits limits{.max_bytes = std::uint64_t{64} << 20};
  const auto entries = smelt::parity::read_npz(folder.path() / "a.npz", limits);
  if (!entries.ok()) return 0;
  std::uint64_t bytes = 0;
  for (const auto& entry : *entries) bytes += entry.tensor.bytes.size();
  SMELT_CHECK(bytes <= limits.max_bytes);
  return 0;
}
