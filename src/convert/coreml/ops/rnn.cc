#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"
#include "tensor/float16.h"
#include "tensor/host_tensor.h"

namespace smelt::coreml_format {
namespace {

using Ints = std::vector<std::int64_t>;
using Values = std::vector<double>;

/// Blocks of H rows, by place in MIL, as ONNX numbers them: i, f, o, z of i, o, f, c; r, o, z of z, r, h.
constexpr std::array<std::size_t, 4> kLstmBlocks{0, 2, 1, 3};
constexpr std::array<std::size_t, 3> kGruBlocks{1, 2, 0};
constexpr std::int64_t kMostUnrolled = 64;  ///< steps

/// The parameters that select the default functions, the only ones of the IR.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kFunctions{
    {{"recurrent_activation", "sigmoid"}, {"activation", "tanh"}, {"cell_activation", "tanh"}}};

HostTensor tensor_of(DType dtype, Ints shape, const Values& values) {
  HostTensor out{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  const std::size_t size = dtype == DType::kF16 ? 2 : 4;
  out.bytes.resize(values.size() * size);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const auto single = static_cast<float>(values[k]);
    const std::uint16_t half = f16_bits(single);
    std::memcpy(out.bytes.data() + k * size, dtype == DType::kF16 ? static_cast<const void*>(&half) : &single, size);
  }
  return out;
}

/// Part `index` of `count` equal ones.
Values part(const Values& all, std::size_t index, std::size_t count) {
  const auto size = static_cast<std::ptrdiff_t>(all.size() / count);
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(index) * size;
  return {begin, begin + size};
}

/// As many equal blocks as there are numbers, in their order.
Values reordered(const Values& all, std::span<const std::size_t> blocks) {
  Values out;
  for (const std::size_t block : blocks) {
    const Values rows = part(all, block, blocks.size());
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

Values sum_of(Values a, const Values& b) {
  for (std::size_t k = 0; k < a.size(); ++k) a[k] += b[k];
  return a;
}

/// The lowering of one recurrent op: its extents, its constants, and the operations that it adds. Where MIL's op is float32 only,
/// before iOS 17, everything inside is, between casts.
class RnnLowering {
 public:
  RnnLowering(LowerContext& cx, bool is_native)
      : steps(cx.type(0).shape[0].extent()), batch(cx.type(0).shape[1].extent()), features(cx.type(0).shape[2].extent()),
        hidden(cx.type(2).shape[2].extent()), directions(cx.type(1).shape[0].extent()), cx_(cx),
        dtype_(is_native && cx.target() < Target::kIos17 ? DType::kF32 : cx.type(0).dtype),
        hint_(cx.builder().name_of(cx.node().outputs[0]).value()) {}

  const std::int64_t steps, batch, features, hidden, directions;

  /// w, r and b of every direction; b is empty when absent.
  Status load_weights() {
    for (std::size_t k = 1; k < 4; ++k) {
      if (!cx_.has(k)) continue;
      if (cx_.constant(k) == nullptr) return cx_.unsupported(fmt::format("operand {} is not constant", k));
      SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*cx_.constant(k)));
      weights_[k - 1] = to_doubles(tensor);
    }
    return {};
  }
  [[nodiscard]] Values w(std::size_t d) const { return part(weights_[0], d, direction_count()); }
  [[nodiscard]] Values r(std::size_t d) const { return part(weights_[1], d, direction_count()); }
  [[nodiscard]] bool has_bias() const { return !weights_[2].empty(); }
  /// The bias of w (half 0) or r (half 1), zeros when absent.
  [[nodiscard]] Values bias(std::size_t d, std::size_t half) const {
    if (!has_bias()) return Values(weights_[1].size() / direction_count() / static_cast<std::size_t>(hidden));
    return part(part(weights_[2], d, direction_count()), half, 2);
  }
  [[nodiscard]] std::size_t direction_count() const { return static_cast<std::size_t>(directions); }

  Result<std::string> constant(std::string_view what, Ints shape, const Values& values) {
    SMELT_ASSIGN_OR_RETURN(MilValue value, cx_.builder().weight_value(*make_constant(tensor_of(dtype_, std::move(shape), values))));
    return cx_.builder().add_constant(fmt::format("{}_{}", hint_, what), std::move(value));
  }

  Result<std::string> operand(std::size_t k) {
    SMELT_ASSIGN_OR_RETURN(const std::string name, cx_.in(k));
    if (cx_.type(k).dtype == dtype_) return name;
    return cx_.step("cast", {{"x", name}, {"dtype", cx_.param("dtype", string_value("fp32"))}}, {.dtype = dtype_, .shape = cx_.type(k).shape});
  }

  [[nodiscard]] std::string step(std::string_view type, const LowerContext::Inputs& inputs, const Ints& shape) {
    return cx_.step(type, inputs, {.dtype = dtype_, .shape = to_shape(shape)});
  }
  [[nodiscard]] std::string ints(std::string_view name, const Ints& values) { return cx_.param(name, ints_value(values)); }

  /// An operation of several results.
  [[nodiscard]] std::vector<std::string> steps_of(std::string_view type, const LowerContext::Inputs& inputs, const std::vector<Ints>& shapes) {
    MilOperation operation{.type = std::string(type), .inputs = {}, .outputs = {}, .blocks = {}, .attributes = {}};
    for (const auto& [parameter, value] : inputs) operation.inputs[parameter] = {MilBinding(value)};
    std::vector<std::string> names;
    for (const Ints& shape : shapes) {
      names.push_back(cx_.builder().names().take(fmt::format("{}_{}", hint_, type)));
      operation.outputs.push_back({names.back(), to_mil(TensorType{.dtype = dtype_, .shape = to_shape(shape)})});
    }
    operation.attributes.emplace("name", string_value(names.front()));
    cx_.builder().add(std::move(operation));
    return names;
  }
  [[nodiscard]] std::string concat(const std::vector<std::string>& values, std::int64_t axis, const Ints& shape) {
    if (values.size() == 1) return values.front();
    const std::string name = cx_.builder().names().take(fmt::format("{}_concat", hint_));
    add_concat(values, axis, name, {.dtype = dtype_, .shape = to_shape(shape)});
    return name;
  }
  /// Pieces of equal size along an axis of `shape`.
  [[nodiscard]] std::vector<std::string> split(const std::string& x, std::int64_t axis, std::int64_t count, Ints shape) {
    if (count == 1) return {x};
    const auto at = static_cast<std::size_t>(axis);
    shape[at] /= count;
    const Ints sizes(static_cast<std::size_t>(count), shape[at]);
    return steps_of("split", {{"x", x}, {"split_sizes", ints("split_sizes", sizes)}, {"axis", cx_.param("axis", int_value(static_cast<std::int32_t>(axis)))}},
                    std::vector<Ints>(static_cast<std::size_t>(count), shape));
  }

  [[nodiscard]] bool is_used(std::size_t result) const { return cx_.builder().graph().use_count(cx_.node().outputs[result]) != 0; }
  /// Result k of the node, by one more operation; in the node's own type.
  void finish(std::size_t k, std::string_view type, const LowerContext::Inputs& inputs) {
    const TensorType& wanted = cx_.result_type(k);
    if (wanted.dtype != dtype_) {
      const std::string wide = cx_.step(type, inputs, {.dtype = dtype_, .shape = wanted.shape});
      add_named(k, "cast", {{"x", wide}, {"dtype", cx_.param("dtype", string_value("fp16"))}});
    } else {
      add_named(k, type, inputs);
    }
  }

  /// An initial state as one tensor of every direction: [D, B, H] as [B, D * H].
  Result<std::string> packed_state(std::size_t k, std::string_view what) {
    const Ints packed{batch, directions * hidden};
    Values values(static_cast<std::size_t>(batch * directions * hidden));
    if (!cx_.has(k)) return constant(what, packed, values);
    if (cx_.constant(k) != nullptr) {
      SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*cx_.constant(k)));
      const Values given = to_doubles(tensor);
      const auto units = static_cast<std::size_t>(hidden), samples = static_cast<std::size_t>(batch);
      for (std::size_t i = 0; i < given.size(); ++i) {
        const std::size_t d = i / units / samples, n = i / units % samples;
        values[(n * direction_count() + d) * units + i % units] = given[i];
      }
      return constant(what, packed, values);
    }
    SMELT_ASSIGN_OR_RETURN(const std::string state, operand(k));
    if (directions == 1) return step("squeeze", {{"x", state}, {"axes", ints("axes", {0})}}, packed);
    const std::string turned = step("transpose", {{"x", state}, {"perm", ints("perm", {1, 0, 2})}}, {batch, directions, hidden});
    return step("reshape", {{"x", turned}, {"shape", ints("shape", packed)}}, packed);
  }

  /// The initial state of one direction, of this shape: [1, B, H] or [B, H].
  Result<std::string> state_of(std::size_t d, std::size_t k, const Ints& shape) {
    if (!cx_.has(k)) return constant("initial_h", shape, Values(static_cast<std::size_t>(batch * hidden)));
    if (cx_.constant(k) != nullptr) {
      SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*cx_.constant(k)));
      return constant("initial_h", shape, part(to_doubles(tensor), d, direction_count()));
    }
    SMELT_ASSIGN_OR_RETURN(std::string state, operand(k));
    if (directions > 1) {
      const auto at = static_cast<std::int64_t>(d);
      state = step("slice_by_index", {{"x", state}, {"begin", ints("begin", {at, 0, 0})}, {"end", ints("end", {at + 1, batch, hidden})}}, {1, batch, hidden});
    }
    if (shape.size() == 2) state = step("squeeze", {{"x", state}, {"axes", ints("axes", {0})}}, shape);
    return state;
  }

  void add_function_parameters(LowerContext::Inputs& inputs, std::size_t count) {
    inputs.emplace_back("output_sequence", cx_.param("output_sequence", bool_value(true)));
    for (const auto& [parameter, value] : std::span(kFunctions).first(count)) {
      inputs.emplace_back(parameter, cx_.param(parameter, string_value(value)));
    }
  }

 private:
  void add_named(std::size_t k, std::string_view type, const LowerContext::Inputs& inputs) {
    const std::string name = cx_.builder().name_of(cx_.node().outputs[k]).value();
    MilOperation operation{.type = std::string(type), .inputs = {}, .outputs = {{name, to_mil(cx_.result_type(k))}}, .blocks = {}, .attributes = {}};
    for (const auto& [parameter, value] : inputs) operation.inputs[parameter] = {MilBinding(value)};
    operation.attributes.emplace("name", string_value(name));
    cx_.builder().add(std::move(operation));
  }
  void add_concat(const std::vector<std::string>& values, std::int64_t axis, const std::string& name, const TensorType& type) {
    MilOperation operation{.type = "concat", .inputs = {}, .outputs = {{name, to_mil(type)}}, .blocks = {}, .attributes = {}};
    for (const std::string& value : values) operation.inputs["values"].emplace_back(value);
    operation.inputs["axis"] = {MilBinding(cx_.param("axis", int_value(static_cast<std::int32_t>(axis))))};
    operation.inputs["interleave"] = {MilBinding(cx_.param("interleave", bool_value(false)))};
    operation.attributes.emplace("name", string_value(name));
    cx_.builder().add(std::move(operation));
  }

  LowerContext& cx_;
  DType dtype_;  ///< of everything inside
  std::string hint_;
  std::array<Values, 3> weights_;
};

/// One native op. With direction "reverse" its sequence comes in processing order, a bidirectional one in that of x.
Status lower_lstm(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Lstm>();
  RnnLowering net(cx, true);
  SMELT_RETURN_IF_ERROR(net.load_weights());
  const std::int64_t rows = 4 * net.hidden, width = net.directions * net.hidden;
  LowerContext::Inputs inputs;
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("x", "").second, net.operand(0));
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("initial_h", "").second, net.packed_state(4, "initial_h"));
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("initial_c", "").second, net.packed_state(5, "initial_c"));
  for (std::size_t d = 0; d < net.direction_count(); ++d) {
    const std::string_view suffix = d == 0 ? "" : "_back";
    const auto add = [&](std::string_view parameter, Ints shape, const Values& values) -> Status {
      const std::string name = fmt::format("{}{}", parameter, suffix);
      SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(name, "").second, net.constant(name, std::move(shape), reordered(values, kLstmBlocks)));
      return {};
    };
    SMELT_RETURN_IF_ERROR(add("weight_ih", {rows, net.features}, net.w(d)));
    SMELT_RETURN_IF_ERROR(add("weight_hh", {rows, net.hidden}, net.r(d)));
    if (net.has_bias()) SMELT_RETURN_IF_ERROR(add("bias", {rows}, sum_of(net.bias(d, 0), net.bias(d, 1))));
  }
  inputs.emplace_back("direction", cx.param("direction", string_value(word(op.direction))));
  net.add_function_parameters(inputs, 3);
  const std::vector<std::string> out = net.steps_of("lstm", inputs, {{net.steps, net.batch, width}, {net.batch, width}, {net.batch, width}});
  for (std::size_t k = 0; k < 3; ++k) {
    if (!net.is_used(k)) continue;
    std::string value = out[k];
    if (k == 0 && op.direction == ir::RnnDirection::kReverse) {
      value = net.step("reverse", {{"x", value}, {"axes", net.ints("axes", {0})}}, {net.steps, net.batch, width});
    }
    if (net.directions == 1) {
      net.finish(k, "expand_dims", {{"x", value}, {"axes", net.ints("axes", {k == 0 ? 1 : 0})}});
      continue;
    }
    const Ints apart = k == 0 ? Ints{net.steps, net.batch, 2, net.hidden} : Ints{net.batch, 2, net.hidden};
    value = net.step("reshape", {{"x", value}, {"shape", net.ints("shape", apart)}}, apart);
    net.finish(k, "transpose", {{"x", value}, {"perm", net.ints("perm", k == 0 ? Ints{0, 2, 1, 3} : Ints{1, 0, 2})}});
  }
  return {};
}

/// What one direction gives: [S, B, H] in the order of x, and [1, B, H].
struct Sequence {
  std::string all, last;
};

/// The products with x of all steps at once; then for each step z, r = sigmoid(...), o = tanh(...), h = o + z * (h - o).
Result<Sequence> unroll_gru(RnnLowering& net, const ir::Gru& op, const std::string& x, std::size_t d, bool is_backward) {
  const std::int64_t n = net.batch, hidden = net.hidden;
  const Ints one{1, n, hidden}, two{1, n, 2 * hidden};
  // Rows of z and r, then those of h.
  struct Matrix {
    std::string weight, bias;
  };
  const auto matrix = [&](std::string_view what, const Values& all, const Values& bias, std::int64_t columns, bool is_last) -> Result<Matrix> {
    const std::int64_t rows = is_last ? hidden : 2 * hidden;
    const auto rows_of = [&](const Values& values) {
      const auto border = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 3 * 2);
      return is_last ? Values(border, values.end()) : Values(values.begin(), border);
    };
    Matrix out;
    SMELT_ASSIGN_OR_RETURN(out.weight, net.constant(fmt::format("{}_weight", what), {rows, columns}, rows_of(all)));
    SMELT_ASSIGN_OR_RETURN(out.bias, net.constant(fmt::format("{}_bias", what), {rows}, rows_of(bias)));
    return out;
  };
  SMELT_ASSIGN_OR_RETURN(const Matrix w_gates, matrix("w_gates", net.w(d), net.bias(d, 0), net.features, false));
  SMELT_ASSIGN_OR_RETURN(const Matrix w_new, matrix("w_new", net.w(d), net.bias(d, 0), net.features, true));
  SMELT_ASSIGN_OR_RETURN(const Matrix r_gates, matrix("r_gates", net.r(d), net.bias(d, 1), hidden, false));
  SMELT_ASSIGN_OR_RETURN(const Matrix r_new, matrix("r_new", net.r(d), net.bias(d, 1), hidden, true));
  const auto linear = [&](const std::string& value, const Matrix& m, const Ints& shape) {
    return net.step("linear", {{"x", value}, {"weight", m.weight}, {"bias", m.bias}}, shape);
  };
  const auto binary = [&](std::string_view type, const std::string& a, const std::string& b, const Ints& shape) {
    return net.step(type, {{"x", a}, {"y", b}}, shape);
  };
  const Ints all_gates{net.steps, n, 2 * hidden}, all_new{net.steps, n, hidden};
  const std::vector<std::string> x_gates = net.split(linear(x, w_gates, all_gates), 0, net.steps, all_gates);
  const std::vector<std::string> x_new = net.split(linear(x, w_new, all_new), 0, net.steps, all_new);
  SMELT_ASSIGN_OR_RETURN(std::string h, net.state_of(d, 4, one));
  std::vector<std::string> states(x_new.size());
  for (std::size_t k = 0; k < states.size(); ++k) {
    const std::size_t t = is_backward ? states.size() - 1 - k : k;
    const std::string gates = net.step("sigmoid", {{"x", binary("add", x_gates[t], linear(h, r_gates, two), two)}}, two);
    const std::vector<std::string> z_and_r = net.split(gates, 2, 2, two);
    const std::string recurrent = op.resets_after ? binary("mul", z_and_r[1], linear(h, r_new, one), one)
                                                  : linear(binary("mul", z_and_r[1], h, one), r_new, one);
    const std::string o = net.step("tanh", {{"x", binary("add", x_new[t], recurrent, one)}}, one);
    h = binary("add", o, binary("mul", z_and_r[0], binary("sub", h, o, one), one), one);
    states[t] = h;
  }
  return Sequence{.all = net.is_used(0) ? net.concat(states, 0, all_new) : std::string(), .last = h};
}

Result<Sequence> native_gru(LowerContext& cx, RnnLowering& net, const std::string& x, std::size_t d, bool is_backward) {
  const std::int64_t rows = 3 * net.hidden;
  LowerContext::Inputs inputs{{"x", x}};
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("initial_h", "").second, net.state_of(d, 4, {net.batch, net.hidden}));
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("weight_ih", "").second, net.constant("weight_ih", {rows, net.features}, reordered(net.w(d), kGruBlocks)));
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("weight_hh", "").second, net.constant("weight_hh", {rows, net.hidden}, reordered(net.r(d), kGruBlocks)));
  SMELT_ASSIGN_OR_RETURN(inputs.emplace_back("bias", "").second, net.constant("bias", {rows}, reordered(sum_of(net.bias(d, 0), net.bias(d, 1)), kGruBlocks)));
  inputs.emplace_back("direction", cx.param("direction", string_value(is_backward ? "reverse" : "forward")));
  net.add_function_parameters(inputs, 2);
  const Ints shape{net.steps, net.batch, net.hidden};
  std::vector<std::string> out = net.steps_of("gru", inputs, {shape, {net.batch, net.hidden}});
  if (is_backward) out[0] = net.step("reverse", {{"x", out[0]}, {"axes", net.ints("axes", {0})}}, shape);
  out[1] = net.step("expand_dims", {{"x", out[1]}, {"axes", net.ints("axes", {0})}}, {1, net.batch, net.hidden});
  return Sequence{.all = out[0], .last = out[1]};
}

/// MIL's gru gives zeros after the first sample of a batch on some devices, and its form that resets after the product is not what
/// it says: primitive ops, step by step, where there are not too many.
Status lower_gru(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Gru>();
  const std::int64_t steps = cx.type(0).shape[0].extent(), batch = cx.type(0).shape[1].extent();
  const bool unrolls = steps <= kMostUnrolled;
  const auto refuse = [&](std::string_view why) {
    return cx.unsupported(fmt::format("{} steps, of which at most {} are written one by one, and Core ML's gru {}", steps, kMostUnrolled, why));
  };
  if (!unrolls && op.resets_after) return refuse("resets before the product");
  if (!unrolls && batch != 1) return refuse(fmt::format("is not right for a batch of {}", batch));
  RnnLowering net(cx, !unrolls);
  SMELT_RETURN_IF_ERROR(net.load_weights());
  SMELT_ASSIGN_OR_RETURN(const std::string x, net.operand(0));
  std::vector<std::string> all, last;
  for (std::size_t d = 0; d < net.direction_count(); ++d) {
    const bool is_backward = d == 1 || op.direction == ir::RnnDirection::kReverse;
    SMELT_ASSIGN_OR_RETURN(const Sequence out, unrolls ? unroll_gru(net, op, x, d, is_backward) : native_gru(cx, net, x, d, is_backward));
    all.push_back(out.all);
    last.push_back(out.last);
  }
  const Ints apart{steps, net.directions, batch, net.hidden};
  if (net.is_used(0)) {
    // Along the batch, then apart: [S, D * B, H] as [S, D, B, H].
    const std::string joined = net.concat(all, 1, {steps, net.directions * batch, net.hidden});
    net.finish(0, "reshape", {{"x", joined}, {"shape", net.ints("shape", apart)}});
  }
  if (net.is_used(1)) net.finish(1, "identity", {{"x", net.concat(last, 0, {net.directions, batch, net.hidden})}});
  return {};
}

// ---- and back

/// The weights of a MIL op in the IR's order, its x and its initial states.
struct LiftedRnn {
  std::int64_t hidden = 0;
  ir::RnnDirection direction = ir::RnnDirection::kForward;
  bool gives_sequence = false;
  std::vector<ir::ValueId> inputs;  ///< x, w, r, b
};

Status check_functions(LiftContext& cx) {
  for (const auto& [parameter, value] : kFunctions) {
    if (!cx.has(parameter)) continue;
    SMELT_ASSIGN_OR_RETURN(const std::string given, cx.text(parameter));
    if (given != value) return cx.unsupported(fmt::format("{} \"{}\"", parameter, given));
  }
  for (const std::string_view parameter : {"clip", "peephole", "peephole_back", "reset_after", "input_bias"}) {
    if (cx.has(parameter)) return cx.unsupported(fmt::format("parameter \"{}\"", parameter));
  }
  return {};
}

Result<HostTensor> weight_of(LiftContext& cx, std::string_view parameter) {
  SMELT_ASSIGN_OR_RETURN(const MilValue* value, cx.value(parameter));
  SMELT_ASSIGN_OR_RETURN(const ConstantRef constant, cx.constant(*value));
  if (constant->dtype != DType::kF16 && constant->dtype != DType::kF32) {
    return cx.malformed(fmt::format("parameter \"{}\" is {}", parameter, name(constant->dtype)));
  }
  return load(*constant);
}

Result<LiftedRnn> lift_rnn(LiftContext& cx, std::span<const std::size_t> blocks) {
  SMELT_RETURN_IF_ERROR(check_functions(cx));
  LiftedRnn out;
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  if (cx.type(x).shape.size() != 3) return cx.malformed(fmt::format("x has rank {}, 3 required", cx.type(x).shape.size()));
  if (cx.has("direction")) {
    SMELT_ASSIGN_OR_RETURN(const std::string given, cx.text("direction"));
    if (given == "reverse") out.direction = ir::RnnDirection::kReverse;
    else if (given == "bidirectional" && blocks.size() == 4) out.direction = ir::RnnDirection::kBidirectional;
    else if (given != "forward") return cx.malformed(fmt::format("direction \"{}\"", given));
  }
  if (cx.has("output_sequence")) {
    SMELT_ASSIGN_OR_RETURN(out.gives_sequence, cx.boolean("output_sequence"));
  }
  // MIL's place of each of the IR's blocks.
  std::vector<std::size_t> places(blocks.size());
  for (std::size_t k = 0; k < blocks.size(); ++k) places[blocks[k]] = k;
  const std::int64_t directions = direction_count(out.direction);
  Values w, r, b;
  std::int64_t rows = 0, columns = 0;
  bool has_bias = false;
  DType dtype = DType::kF32;
  for (std::int64_t d = 0; d < directions; ++d) {
    const std::string suffix = d == 0 ? "" : "_back";
    SMELT_ASSIGN_OR_RETURN(const HostTensor w_part, weight_of(cx, "weight_ih" + suffix));
    SMELT_ASSIGN_OR_RETURN(const HostTensor r_part, weight_of(cx, "weight_hh" + suffix));
    if (d == 0 && w_part.shape.size() == 2 && r_part.shape.size() == 2) {
      out.hidden = r_part.shape[1];
      rows = r_part.shape[0];
      columns = w_part.shape[1];
      dtype = w_part.dtype;
    }
    const auto gates = static_cast<std::int64_t>(blocks.size());
    if (rows % gates != 0 || out.hidden != rows / gates || w_part.shape != Ints{rows, columns} || r_part.shape != Ints{rows, out.hidden}) {
      return cx.malformed(fmt::format("weights {} and {}", type_text(w_part.dtype, w_part.shape), type_text(r_part.dtype, r_part.shape)));
    }
    const auto append = [](Values& to, const Values& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(w, reordered(to_doubles(w_part), places));
    append(r, reordered(to_doubles(r_part), places));
    Values bias(static_cast<std::size_t>(rows));
    if (cx.has("bias" + suffix)) {
      SMELT_ASSIGN_OR_RETURN(const HostTensor given, weight_of(cx, "bias" + suffix));
      if (given.shape != Ints{rows}) return cx.malformed(fmt::format("bias {} for {} rows", type_text(given.dtype, given.shape), rows));
      bias = reordered(to_doubles(given), places);
      has_bias = true;
    }
    append(b, bias);
    append(b, Values(static_cast<std::size_t>(rows)));
  }
  const auto add = [&](std::string_view what, Ints shape, const Values& values) {
    const std::string name = cx.operation().outputs.empty() ? "" : cx.operation().outputs.front().name;
    return cx.graph().add_constant(fmt::format("{}_{}", name, what), make_constant(tensor_of(dtype, std::move(shape), values)));
  };
  out.inputs = {x, add("w", {directions, rows, columns}, w), add("r", {directions, rows, out.hidden}, r)};
  out.inputs.push_back(has_bias ? add("b", {directions, 2 * rows}, b) : ir::ValueId{});
  return out;
}

/// [B, D * H] as [D, B, H]; constant zeros are an absent state.
Result<ir::ValueId> lift_state(LiftContext& cx, const LiftedRnn& net, std::string_view parameter) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId given, cx.operand(parameter));
  const std::int64_t directions = direction_count(net.direction);
  const Shape& shape = cx.type(given).shape;
  const smelt::Dim batch = cx.type(net.inputs[0]).shape[1];
  if (!batch.is_static()) return cx.unsupported("an open batch");
  if (shape != Shape{batch, smelt::Dim(directions * net.hidden)}) {
    return cx.malformed(fmt::format("{} has shape {}, [{}, {}] required", parameter, cx.graph().symbols().text(shape), batch.extent(), directions * net.hidden));
  }
  if (const ConstantRef constant = cx.graph().value(given).constant; constant != nullptr) {
    SMELT_ASSIGN_OR_RETURN(const HostTensor tensor, load(*constant));
    const Values values = to_doubles(tensor);
    if (std::all_of(values.begin(), values.end(), [](double value) { return value == 0.0; })) return ir::ValueId{};
  }
  if (directions == 1) return cx.emit(ir::ExpandDims{.axes = {0}}, {given});
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId apart, cx.emit(ir::Reshape{.shape = {batch.extent(), directions, net.hidden}}, {given}));
  return cx.emit(ir::Transpose{.perm = {1, 0, 2}}, {apart});
}

Result<ir::ValueId> reversed(LiftContext& cx, ir::ValueId x, const Ints& axes) {
  const Shape shape = cx.type(x).shape;
  ir::Slice op;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (!shape[k].is_static()) return cx.unsupported("an open extent");
    const bool turns = std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k)) != axes.end();
    op.begin.push_back(turns ? shape[k].extent() - 1 : 0);
    op.end.push_back(turns ? -1 : shape[k].extent());
    op.step.push_back(turns ? -1 : 1);
  }
  return cx.emit(std::move(op), {x});
}

/// The results as MIL has them: the sequence, then the states.
Status define_rnn(LiftContext& cx, const LiftedRnn& net, const std::vector<ir::ValueId>& results) {
  const std::int64_t width = direction_count(net.direction) * net.hidden;
  const auto together = [&](ir::ValueId value, std::int64_t axis) -> Result<ir::ValueId> {  // the axis of directions goes into the last one
    if (width == net.hidden) return cx.emit(ir::Squeeze{.axes = {axis}}, {value});
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId turned, cx.emit(ir::Transpose{.perm = axis == 0 ? Ints{1, 0, 2} : Ints{0, 2, 1, 3}}, {value}));
    Ints shape;
    for (const Dim dim : cx.type(turned).shape) shape.push_back(dim.is_static() ? dim.extent() : -1);
    shape.pop_back();
    shape.back() = width;
    return cx.emit(ir::Reshape{.shape = std::move(shape)}, {turned});
  };
  std::vector<ir::ValueId> out(results.size());
  for (std::size_t k = 1; k < results.size(); ++k) {
    SMELT_ASSIGN_OR_RETURN(out[k], together(results[k], 0));
  }
  if (net.gives_sequence) {
    SMELT_ASSIGN_OR_RETURN(out[0], together(results[0], 1));
    if (net.direction == ir::RnnDirection::kReverse) {
      SMELT_ASSIGN_OR_RETURN(out[0], reversed(cx, out[0], {0}));
    }
  } else {
    SMELT_ASSIGN_OR_RETURN(out[0], cx.emit(ir::ExpandDims{.axes = {0}}, {out[1]}));
  }
  return cx.define(out);
}

Status lift_recurrent(LiftContext& cx, std::span<const std::size_t> blocks, std::span<const std::string_view> states) {
  SMELT_ASSIGN_OR_RETURN(LiftedRnn net, lift_rnn(cx, blocks));
  for (const std::string_view parameter : states) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId state, lift_state(cx, net, parameter));
    net.inputs.push_back(state);
  }
  while (!net.inputs.back().valid()) net.inputs.pop_back();
  const ir::Op op = blocks.size() == 4 ? ir::Op(ir::Lstm{.hidden_size = net.hidden, .direction = net.direction})
                                       : ir::Op(ir::Gru{.hidden_size = net.hidden, .direction = net.direction});
  SMELT_ASSIGN_OR_RETURN(const std::vector<ir::ValueId> results, cx.emit_all(op, net.inputs));
  return define_rnn(cx, net, results);
}

Status lift_lstm(LiftContext& cx) {
  constexpr std::array<std::string_view, 2> kStates{"initial_h", "initial_c"};
  return lift_recurrent(cx, kLstmBlocks, kStates);
}

Status lift_gru(LiftContext& cx) {
  constexpr std::array<std::string_view, 1> kStates{"initial_h"};
  return lift_recurrent(cx, kGruBlocks, kStates);
}

/// Along every axis when none is named.
Status lift_reverse(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  const auto rank = static_cast<std::int64_t>(cx.type(x).shape.size());
  Ints axes;
  for (std::int64_t k = 0; k < rank; ++k) axes.push_back(k);
  if (cx.has("axes")) {
    SMELT_ASSIGN_OR_RETURN(axes, cx.ints("axes"));
    for (std::int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  }
  return cx.define(reversed(cx, x, axes));
}

constexpr std::array<LoweringRow, 2> kLowerings{{{ir::OpKind::kLstm, lower_lstm}, {ir::OpKind::kGru, lower_gru}}};
constexpr std::array<LiftRow, 3> kLifts{{{"lstm", lift_lstm}, {"gru", lift_gru}, {"reverse", lift_reverse}}};

}  // namespace

std::span<const LoweringRow> rnn_lowerings() { return kLowerings; }
std::span<const LiftRow> rnn_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
