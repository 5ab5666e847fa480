#include "convert/onnx/import_cases.h"

#include <cstring>

#include "eval/evaluate.h"
#include "ir/ops/all.h"

namespace smelt::onnx_format {
namespace {

template <typename Value>
Arg filled(DType dtype, Ints shape, Value value) {
  std::vector<double> values;
  const std::int64_t count = element_count(shape).value();
  for (std::int64_t k = 0; k < count; ++k) values.push_back(value(static_cast<int>(k)));
  return of(dtype, std::move(shape), values);
}

}  // namespace

Arg of(DType dtype, Ints shape, const std::vector<double>& values) {
  HostTensor wide{.dtype = DType::kF64, .shape = std::move(shape), .bytes = std::vector<std::byte>(values.size() * sizeof(double))};
  if (!values.empty()) std::memcpy(wide.bytes.data(), values.data(), wide.bytes.size());
  const std::vector<const HostTensor*> operands{&wide};
  return {.tensor = eval::evaluate(ir::Op(ir::Cast{.to = dtype}), operands).value().front(), .kind = Arg::Kind::kInput};
}

Arg x(Ints shape, DType dtype, int first) {
  return filled(dtype, std::move(shape), [first](int k) { return ((7 * k + first) % 11 - 5) * 0.5; });
}
Arg p(Ints shape, DType dtype) {
  return filled(dtype, std::move(shape), [](int k) { return ((7 * k + 3) % 11 + 1) * 0.25; });
}
Arg i(Ints shape, DType dtype, int first) {
  return filled(dtype, std::move(shape), [first](int k) { return (7 * k + first) % 11 - 5; });
}
Arg b(Ints shape, int first) {
  return filled(DType::kBool, std::move(shape), [first](int k) { return (7 * k + first) % 11 % 2; });
}
Arg absent() { return {.tensor = {}, .kind = Arg::Kind::kAbsent}; }
Arg constant(Arg arg) {
  arg.kind = Arg::Kind::kConstant;
  return arg;
}
Arg list(const Ints& values) { return constant({.tensor = i64_tensor({static_cast<std::int64_t>(values.size())}, values), .kind = {}}); }
Arg scalar(double value, DType dtype) { return constant(of(dtype, {}, {value})); }

ModelBuilder model_of(const Case& c) {
  ModelBuilder model(c.opset);
  std::vector<std::string> inputs, outputs;
  for (std::size_t k = 0; k < c.args.size(); ++k) {
    const Arg& arg = c.args[k];
    inputs.push_back(arg.kind == Arg::Kind::kAbsent ? "" : "in" + std::to_string(k));
    if (arg.kind == Arg::Kind::kInput) model.input(inputs.back(), arg.tensor.dtype, {arg.tensor.shape.begin(), arg.tensor.shape.end()});
    if (arg.kind == Arg::Kind::kConstant) model.initializer(inputs.back(), arg.tensor);
  }
  for (std::size_t k = 0; k < c.expected.size(); ++k) outputs.push_back("out" + std::to_string(k));
  model.node(c.op_type, inputs, outputs, c.attributes);
  for (const std::string& name : outputs) model.output(name);
  return model;
}

std::vector<HostTensor> inputs_of(const Case& c) {
  std::vector<HostTensor> inputs;
  for (const Arg& arg : c.args) {
    if (arg.kind == Arg::Kind::kInput) inputs.push_back(arg.tensor);
  }
  return inputs;
}

}  // namespace smelt::onnx_format
