#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/byte_source.h"
#include "tensor/dtype.h"
#include "tensor/host_tensor.h"

namespace smelt {

/// A tensor known at conversion: its type, and bytes that need not be in memory. Shared and never edited; a changed weight is
/// another constant.
struct Constant {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  BytesRef bytes;  ///< row-major, little-endian, packed: exactly packed_bytes(dtype, element count)
};
using ConstantRef = std::shared_ptr<const Constant>;

[[nodiscard]] ConstantRef make_constant(HostTensor tensor);

/// Every extent multiplied. The constant's own invariant says that it fits.
[[nodiscard]] std::uint64_t element_count(const Constant& constant);
[[nodiscard]] std::uint64_t byte_count(const Constant& constant);

/// The whole tensor in memory.
[[nodiscard]] Result<HostTensor> load(const Constant& constant);

/// SHA-256 over dtype, shape and bytes, 64 hex digits: equal digest, equal constant.
[[nodiscard]] Result<std::string> digest(const Constant& constant);

}  // namespace smelt
