// The bytes are the files of a package: two little-endian 16-bit lengths, then Manifest.json and weight.bin of these lengths (or what
// there is), and model.mlmodel to the end. Framed so, the part that has the most structure grows without moving the others.

#include "convert/coreml/import.h"
#include "convert/coreml/mil.h"
#include "convert/coreml/package.h"
#include "convert/coreml/weight_blob.h"
#include "target.h"

#include <algorithm>

namespace {

using Bytes = std::span<const std::byte>;

Bytes take(Bytes& from, std::size_t size) {
  const Bytes taken = from.first(std::min(size, from.size()));
  from = from.subspan(taken.size());
  return taken;
}

std::size_t take_length(Bytes& from) {
  std::size_t length = 0, shift = 0;
  for (const std::byte byte : take(from, 2)) {
    length |= std::to_integer<std::size_t>(byte) << shift;
    shift += 8;
  }
  return length;
}

/// What can be written again reads back as the same.
void check_model(Bytes bytes) {
  const auto model = smelt::coreml_format::decode_model(bytes, "model.mlmodel", {});
  if (!model.ok()) return;
  const auto encoded = smelt::coreml_format::encode_model(*model);
  if (!encoded.ok()) return;
  const auto again = smelt::coreml_format::decode_model(*encoded, "model.mlmodel", {});
  SMELT_CHECK(again.ok() && *again == *model);
}

void check_weights(Bytes bytes) {
  const auto records = smelt::coreml_format::list_records(bytes);
  if (!records.ok()) return;
  for (const auto& record : *records) {
    SMELT_CHECK(record.data_offset <= bytes.size() && record.size <= bytes.size() - record.data_offset);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes = std::as_bytes(std::span(data, size));
  const std::size_t manifest_length = take_length(bytes), weights_length = take_length(bytes);
  const Bytes manifest = take(bytes, manifest_length), weights = take(bytes, weights_length);
  check_weights(weights);
  check_model(bytes);
  static const smelt::fuzz::ScratchFolder folder;
  const std::filesystem::path root = "in.mlpackage", parts = root / "Data/com.apple.CoreML";
  folder.write(root / "Manifest.json", manifest);
  folder.write(parts / "weights/weight.bin", weights);
  folder.write(parts / "model.mlmodel", bytes);
  const auto imported = smelt::coreml_format::import_package(folder.path() / root);
  if (imported.ok()) smelt::fuzz::load_constants(imported->graph);
  SMELT_CHECK(imported.ok() || imported.error().code() != smelt::ErrorCode::kInternal);
  return 0;
}
