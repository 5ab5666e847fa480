// The bytes are a TensorProto, as ONNX test data has them.

#include "target.h"
#include "validate/tensor_proto.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const smelt::parity::NpyLimits limits{.max_bytes = std::uint64_t{64} << 20};
  const auto read = smelt::parity::parse_tensor_proto(std::as_bytes(std::span(data, size)), "input_0.pb", limits);
  if (!read.ok()) return 0;
  const auto count = smelt::element_count(read->tensor.shape);
  SMELT_CHECK(count.ok());
  SMELT_CHECK(smelt::packed_bytes(read->tensor.dtype, static_cast<std::uint64_t>(*count)).value() == read->tensor.bytes.size());
  return 0;
}
