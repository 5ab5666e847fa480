// The bytes are a manifest.json: what is read and written again is read the same.

#include "manifest/manifest.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = smelt::manifest::parse({reinterpret_cast<const char*>(data), size}, "manifest.json");
  if (!read.ok()) return 0;
  const std::string text = smelt::manifest::to_json(*read);
  const auto again = smelt::manifest::parse(text, "manifest.json");
  SMELT_CHECK(again.ok() && smelt::manifest::to_json(*again) == text);
  return 0;
}
