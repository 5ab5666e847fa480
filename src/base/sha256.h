#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace smelt {

/// SHA-256 (FIPS 180-4), fed in pieces of any size.
class Sha256 {
 public:
  /// `uses_hardware`: the processor's own SHA instructions where it has them; the digest is the same.
  explicit Sha256(bool uses_hardware = true);

  void update(std::span<const std::byte> bytes);

  /// The digest as 64 lower-case hexadecimal digits. Ends the object's use.
  [[nodiscard]] std::string finish_hex();

 private:
  void blocks(const std::byte* bytes, std::size_t count);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t total_ = 0;  ///< bytes
  bool uses_hardware_;
};

}  // namespace smelt
