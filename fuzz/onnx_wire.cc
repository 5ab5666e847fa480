// The bytes are an ONNX file.

#include "convert/onnx/wire.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto model = smelt::onnx_format::read_model(bytes, "model.onnx", {});
  if (!model.ok()) return 0;
  for (const auto& tensor : model->graph.initializers) {
    for (const auto& payload : tensor.payloads) SMELT_CHECK(payload.offset <= size && payload.length <= size - payload.offset);
  }
  return 0;
}
