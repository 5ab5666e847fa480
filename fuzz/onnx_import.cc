// The bytes are an ONNX file, beside a file of weights: checked, imported, and lowered as far as `smelt inspect` does.

#include <array>
#include <memory>

#include "convert/coreml/export.h"
#include "convert/coreml/legalize.h"
#include "convert/onnx/import.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const smelt::fuzz::ScratchFolder folder;
  static const bool has_weights = [] {
    std::array<std::byte, 4096> weights{};
    for (std::size_t k = 0; k < weights.size(); ++k) weights[k] = static_cast<std::byte>(k / 4 % 251);
    folder.write("weights.bin", weights);
    return true;
  }();
  SMELT_CHECK(has_weights);
  folder.write("model.onnx", std::as_bytes(std::span(data, size)));
  const std::filesystem::path path = folder.path() / "model.onnx";
  auto file = smelt::MappedFile::open(path);
  SMELT_CHECK(file.ok());
  smelt::onnx_format::ImportOptions options;
  options.assumed_extent = 4;
  const auto imported = smelt::onnx_format::import_model(std::make_shared<const smelt::MappedFile>(std::move(file).value()), path, options);
  if (!imported.ok()) {
    SMELT_CHECK(imported.error().code() != smelt::ErrorCode::kInternal);
    return 0;
  }
  smelt::fuzz::load_constants(imported->graph);
  constexpr auto kTarget = smelt::coreml_format::Target::kIos18;
  const auto legal = smelt::coreml_format::legalize(imported->graph, kTarget);
  if (!legal.ok()) {
    SMELT_CHECK(legal.error().code() != smelt::ErrorCode::kInternal);
    return 0;
  }
  const auto exported = smelt::coreml_format::check_export(*legal, {.target = kTarget, .if_exists = {}, .user_defined = {}});
  SMELT_CHECK(exported.ok() || exported.error().code() != smelt::ErrorCode::kInternal);
  return 0;
}
