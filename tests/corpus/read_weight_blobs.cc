// usage: read_weight_blobs FILE...   Every weight.bin must list its blobs. Exit status 1 if one does not.
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "convert/coreml/weight_blob.h"

int main(int argc, char** argv) {
  std::size_t passed = 0, failed = 0, blobs = 0;
  for (int i = 1; i < argc; ++i) {
    const auto file = smelt::MappedFile::open(argv[i]);
    if (!file.ok()) {
      fmt::print("{}\n", file.error().to_string());
      ++failed;
      continue;
    }
    const auto records = smelt::coreml_format::list_records(file->bytes());
    if (records.ok()) {
      ++passed;
      blobs += records->size();
    } else {
      fmt::print("{}: {}\n", argv[i], records.error().to_string());
      ++failed;
    }
  }
  fmt::print("weights: {} blobs in packages of Apple's converter\nweights: {} passed, {} failed\n", blobs, passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
