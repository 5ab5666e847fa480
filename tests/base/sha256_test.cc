#include "base/sha256.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace smelt {
namespace {

std::string digest(const std::string& text) {
  Sha256 sha256;
  sha256.update(std::as_bytes(std::span(text)));
  return sha256.finish_hex();
}

// Expected values: the example messages published with FIPS 180-4.
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesOfAnySizeGiveTheDigestOfTheWhole) {
  for (std::size_t size = 0; size < 200; ++size) {
    const std::string text(size, 'x');
    for (const std::size_t step : {1U, 7U, 63U, 64U, 65U}) {
      Sha256 pieces;
      for (std::size_t at = 0; at < size; at += step) {
        pieces.update(std::as_bytes(std::span(text)).subspan(at, std::min(step, size - at)));
      }
      EXPECT_EQ(pieces.finish_hex(), digest(text)) << size << " by " << step;
    }
  }
}

// The instructions and the scalar reference give the same digest at every length, from every alignment.
TEST(Sha256, HardwareAgreesWithTheReference) {
  std::string text(1000, '\0');
  for (std::size_t k = 0; k < text.size(); ++k) text[k] = static_cast<char>(k * 131 + k / 7);
  for (std::size_t size = 0; size < 300; ++size) {
    for (const std::size_t offset : {0U, 1U, 5U}) {
      const auto bytes = std::as_bytes(std::span(text)).subspan(offset, size);
      Sha256 fast(true), reference(false);
      fast.update(bytes);
      reference.update(bytes);
      EXPECT_EQ(fast.finish_hex(), reference.finish_hex()) << size << " at " << offset;
    }
  }
}

}  // namespace
}  // namespace smelt
