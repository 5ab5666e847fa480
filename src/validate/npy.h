#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "smelt/result.h"
#include "tensor/host_tensor.h"

/// NumPy's .npy and .npz files (NEP 1: format versions 1.0 to 3.0). Read only the dtypes that HostTensor has; Fortran order is
/// transposed; big-endian is swapped.
namespace smelt::parity {

/// Bounds on what a file may ask for.
struct NpyLimits {
  std::uint64_t max_bytes = std::uint64_t{4} << 30;  ///< of one array, unpacked
  std::uint64_t max_entries = 65536;                 ///< arrays of an .npz
  std::size_t max_rank = 32;
};

struct NpyEntry {
  std::string name;  ///< without ".npy"
  HostTensor tensor;
};

[[nodiscard]] Result<HostTensor> parse_npy(std::span<const std::byte> bytes, const std::string& file, const NpyLimits& limits);

/// Every array of an .npz (a zip archive: stored or deflated, zip64 as numpy writes it), in the archive's order. A ratio of unpacked
/// to packed bytes is no error; unpacked bytes over the limit are `kLimitReached` before they are allocated.
[[nodiscard]] Result<std::vector<NpyEntry>> read_npz(const std::filesystem::path& path, const NpyLimits& limits);
[[nodiscard]] Result<HostTensor> read_npy(const std::filesystem::path& path, const NpyLimits& limits);

/// The bytes of a version 1.0 .npy file.
[[nodiscard]] std::vector<std::byte> format_npy(const HostTensor& tensor);

/// Writes arrays as an uncompressed .npz; same arrays, same bytes (dates are zero). `kOutputExists` when the file is there.
[[nodiscard]] Status write_npz(const std::filesystem::path& path, std::span<const NpyEntry> entries);

}  // namespace smelt::parity
